"""Welcome points: once while the member keeps an order, taken back with the last one, then open again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from loyalty_book import PAID_AT, RULES, Book, days

from loyalty.programme import Duration, WelcomeRules

INSTEAD = replace(RULES, welcome=WelcomeRules(points=300, with_base=False))


def test_a_second_order_brings_no_second_welcome(book: Book) -> None:
    for order_id in (1, 2, 3):
        book.pay(order_id, 100_000)
        book.converge(order_id)

    assert book.net == 300 + 3 * 100
    assert [book.points_of(order_id, "welcome") for order_id in (1, 2, 3)] == [300, 0, 0]


def test_an_order_too_small_to_earn_still_brings_the_welcome(book: Book) -> None:
    book.pay(1, 999)
    book.converge(1)

    assert (book.points_of(1, "accrual"), book.points_of(1, "welcome")) == (0, 300)


def test_the_welcome_goes_with_the_order_that_brought_it(book: Book) -> None:
    for order_id in (1, 2):
        book.pay(order_id, 100_000)
        book.converge(order_id)

    book.pay(2, 100_000, 100_000)
    book.converge(2)
    assert book.net == 300 + 100

    book.pay(1, 100_000, 100_000)
    book.converge(1)
    assert book.net == 0


@pytest.mark.parametrize("last", [1, 2])
def test_everything_returned_in_any_order_leaves_no_welcome(book: Book, last: int) -> None:
    for order_id in (1, 2):
        book.pay(order_id, 100_000)
        book.converge(order_id)

    for order_id in (3 - last, last):
        book.pay(order_id, 100_000, 100_000)
        book.converge(order_id)

    assert book.net == 0
    assert book.balance("reversed") == 500


def test_while_another_order_is_kept_the_next_one_is_not_welcomed(book: Book) -> None:
    for order_id, refunded in ((1, 0), (2, 0), (1, 100_000), (3, 0)):
        book.pay(order_id, 100_000, refunded)
        book.converge(order_id)

    assert [book.points_of(order_id, "welcome") for order_id in (1, 2, 3)] == [0, 0, 0]


def test_a_partial_refund_leaves_the_welcome(book: Book) -> None:
    book.pay(1, 100_000)
    book.converge(1)

    book.pay(1, 100_000, 99_999)
    book.converge(1)

    assert (book.points_of(1, "accrual"), book.points_of(1, "welcome")) == (0, 300)


def test_after_everything_was_returned_the_next_order_is_welcomed_again(book: Book) -> None:
    for order_id in (1, 2, 3):
        book.pay(order_id, 100_000)
        book.converge(order_id)
        assert book.net == 400
        book.pay(order_id, 100_000, 100_000)
        book.converge(order_id)
        assert book.net == 0

    welcomes = [transfer.key for transfer in book.transfers.values() if transfer.move == "welcome"]
    assert len(set(welcomes)) == len(welcomes) == 3


def test_an_order_paid_again_after_its_refund_is_welcomed_again(book: Book) -> None:
    book.pay(1, 100_000, 100_000)
    book.converge(1)
    assert book.net == 0

    book.pay(1, 50_000, payment="second")
    book.converge(1)

    assert book.net == 300 + 50


def test_the_welcome_is_taken_back_from_available_points_after_its_activation(book: Book) -> None:
    book.pay(1, 100_000)
    book.converge(1)
    book.bring_up_to_date(PAID_AT)
    assert book.balance("available") == 300

    book.pay(1, 100_000, is_total=True)
    book.converge(1, PAID_AT + days(1))

    assert (book.balance("available"), book.balance("pending"), book.balance("reversed")) == (0, 0, 400)


def test_instead_of_the_base_only_the_order_that_carries_the_welcome_earns_nothing() -> None:
    book = Book(INSTEAD)

    for order_id in (1, 2):
        book.pay(order_id, 100_000)
        book.converge(order_id)

    assert [book.points_of(order_id, "accrual") for order_id in (1, 2)] == [0, 100]
    assert book.net == 300 + 100


def test_instead_of_the_base_a_repeated_message_does_not_bring_the_base_after_all() -> None:
    book = Book(INSTEAD)
    book.pay(1, 100_000)
    book.converge(1)

    book.pay(1, 100_000)
    assert not book.converge(1)
    book.pay(1, 100_000, 40_000)
    assert not book.converge(1)

    assert book.net == 300


def test_instead_of_the_base_everything_returned_leaves_nothing() -> None:
    book = Book(INSTEAD)
    for order_id in (1, 2):
        book.pay(order_id, 100_000)
        book.converge(order_id)

    for order_id in (1, 2):
        book.pay(order_id, 100_000, 100_000)
        book.converge(order_id)

    assert book.net == 0


def test_instead_of_the_base_an_order_that_lost_the_welcome_to_another_earns_the_base() -> None:
    book = Book(INSTEAD)
    for order_id, refunded in ((1, 0), (1, 100_000), (2, 0)):
        book.pay(order_id, 100_000, refunded)
        book.converge(order_id)
    assert [book.points_of(order_id, "welcome") for order_id in (1, 2)] == [0, 300]

    book.pay(1, 50_000, payment="again")
    book.converge(1)

    assert book.points_of(1, "accrual") == 50


def test_an_order_that_is_not_paid_brings_no_welcome_that_the_rules_promise_since() -> None:
    book = Book(replace(RULES, welcome=None))
    book.pay(1, 100_000)
    book.converge(1)
    book.rules = RULES

    book.stage(2, is_paid=False, price=100_000)
    book.converge(2)

    assert book.net == 100


def test_a_welcome_with_a_delay_waits_for_its_own_day() -> None:
    rules = replace(RULES, welcome=WelcomeRules(points=300, activate_after=Duration(300, "minutes")))
    book = Book(rules)
    book.pay(1, 100_000)
    book.converge(1, PAID_AT)

    book.bring_up_to_date(PAID_AT + days(299 / 1_440))
    assert book.balance("available") == 0

    book.bring_up_to_date(PAID_AT + days(300 / 1_440))
    assert book.balance("available") == 300


def test_an_order_paid_again_finds_its_welcome_gone_to_the_next_one(book: Book) -> None:
    for order_id, captured, refunded in ((1, 100_000, 0), (1, 100_000, 100_000), (2, 100_000, 0)):
        book.pay(order_id, captured, refunded)
        book.converge(order_id)

    book.pay(1, 50_000, payment="again")
    book.converge(1)

    assert [book.points_of(order_id, "welcome") for order_id in (1, 2)] == [0, 300]


@pytest.mark.parametrize("welcome", [None, WelcomeRules(points=0)])
def test_without_a_welcome_rule_nobody_is_welcomed(welcome: WelcomeRules | None) -> None:
    book = Book(replace(RULES, welcome=welcome))

    book.pay(1, 100_000)
    book.converge(1)

    assert book.net == 100
