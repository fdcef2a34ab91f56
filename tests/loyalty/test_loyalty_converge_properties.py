"""Properties of the rules over random histories: whatever the order and number of the messages, the book is whole and
ends where the facts say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loyalty_book import PAID_AT, RULES, Book, days
from loyalty_messages import Payment, Stage, Step, earning_histories, histories, payments, play, stages, sums
from loyalty_strategies import THOROUGH

from loyalty.orders import OrderFacts, PaymentTotals, money_of
from loyalty.programme import AccrualRules, Duration, Programme, WelcomeRules

NO_WELCOME = replace(RULES, welcome=None)
programmes = st.builds(
    Programme,
    name=st.just("Клуб"),
    timezone=st.sampled_from(["Europe/Moscow", "Asia/Kamchatka", "Europe/Berlin", "UTC"]),
    point_value_kopecks=st.sampled_from([1, 100, 300]),
    accrual=st.builds(
        AccrualRules,
        rate_bps=st.sampled_from([0, 1, 333, 1_000, 10_000]),
        activate_after=st.sampled_from([Duration(0, "days"), Duration(14, "days"), Duration(1, "months")]),
        expire_after=st.sampled_from([None, Duration(10, "days"), Duration(180, "days")]),
    ),
    welcome=st.sampled_from([None, WelcomeRules(points=300), WelcomeRules(points=300, with_base=False)]),
)


@THOROUGH
@given(programme=programmes, history=histories)
def test_after_any_history_the_book_is_whole_and_converging_again_changes_nothing(
    programme: Programme, history: Sequence[Step]
) -> None:
    book = Book(programme)

    now = play(book, history)

    for order_id, order in book.orders.items():
        if order.facts.payments or order.is_stage_paid:
            assert not book.converge(order_id, now)


@THOROUGH
@given(programme=programmes, history=earning_histories)
def test_points_of_every_order_are_a_function_of_its_facts_alone(programme: Programme, history: Sequence[Step]) -> None:
    book = Book(programme)

    play(book, history)

    is_instead = programme.welcome is not None and not programme.welcome.with_base
    for order_id, order in book.orders.items():
        base = order.kept_kopecks * programme.accrual.rate_bps // (10_000 * programme.point_value_kopecks)
        carries = book.points_of(order_id, "welcome") > 0
        assert book.points_of(order_id, "accrual") == (0 if carries and is_instead else base)
        assert not carries or order.is_kept


@THOROUGH
@given(programme=programmes, history=earning_histories)
def test_a_member_is_welcomed_once_at_most_and_with_an_order_he_keeps(
    programme: Programme, history: Sequence[Step]
) -> None:
    book = Book(programme)

    play(book, history)

    welcomes = [book.points_of(order_id, "welcome") for order_id in book.orders]
    kept = [order for order in book.orders.values() if order.is_kept]
    assert sum(welcomes) in ((0,) if programme.welcome is None or not kept else (0, 300))
    if len(book.orders) == 1 and kept and programme.welcome is not None:
        assert welcomes == [300]


@THOROUGH
@given(data=st.data(), facts=st.lists(payments, min_size=1, max_size=8))
def test_payment_messages_in_any_order_and_number_end_in_the_same_points(
    data: st.DataObject, facts: list[Payment]
) -> None:
    repeats = data.draw(st.lists(st.sampled_from(facts), max_size=8))
    shuffled = data.draw(st.permutations(facts + repeats))
    told_in_order, told_at_random = Book(NO_WELCOME), Book(NO_WELCOME)

    play(told_in_order, facts)
    play(told_at_random, list(shuffled))

    assert told_at_random.net == told_in_order.net
    for order_id in told_in_order.orders:
        assert told_at_random.points_of(order_id, "accrual") == told_in_order.points_of(order_id, "accrual")


@THOROUGH
@given(data=st.data(), paid=st.lists(payments, max_size=5), read=st.lists(stages, max_size=5))
def test_stage_changes_between_payment_messages_end_where_the_last_stage_says(
    data: st.DataObject, paid: list[Payment], read: list[Stage]
) -> None:
    """The deal is read, not heard of: its stages come in their own order, payments fall anywhere between them."""
    places = data.draw(st.permutations(["payment"] * len(paid) + ["stage"] * len(read)))
    queues: dict[str, list[Step]] = {"payment": list(data.draw(st.permutations(paid))), "stage": list(read)}
    plain, mixed = Book(NO_WELCOME), Book(NO_WELCOME)

    play(plain, [*read, *paid])
    play(mixed, [queues[place].pop(0) for place in places])

    assert mixed.net == plain.net


@THOROUGH
@given(programme=programmes, history=histories)
def test_everything_refunded_leaves_no_points_at_all(programme: Programme, history: Sequence[Step]) -> None:
    book = Book(programme)
    now = play(book, history)

    for order_id, order in book.orders.items():
        book.stage(order_id, is_paid=False, price=0)
        for payment in list(order.payments):
            book.pay(order_id, 0, payment=payment, is_total=True)
        book.converge(order_id, now)
        if order.held:
            book.release(order_id, now)

    assert (book.net, book.balances, book.balance("redeemed")) == (0, {}, 0)
    assert list(book.faults()) == []


@THOROUGH
@given(programme=programmes, history=earning_histories)
def test_points_that_are_due_move_once_and_all(programme: Programme, history: Sequence[Step]) -> None:
    book = Book(programme)
    play(book, history)
    net = book.net
    last_day = max((lot.activates_at for lot in book.lots.values()), default=PAID_AT)

    book.bring_up_to_date(last_day)

    assert (book.balance("pending"), book.net) == (0, net)
    assert not book.bring_up_to_date(last_day + days(1_000))


@THOROUGH
@given(programme=programmes, history=histories)
def test_nothing_becomes_available_before_its_day(programme: Programme, history: Sequence[Step]) -> None:
    book = Book(programme)
    play(book, history)
    waiting = [lot for lot in book.lots.values() if lot.pending]

    for instant in sorted({lot.activates_at for lot in waiting}):
        book.bring_up_to_date(instant - timedelta(microseconds=1))
        assert all(book.lots[lot.key].pending == lot.pending for lot in waiting if lot.activates_at >= instant)
        book.bring_up_to_date(instant)
        assert all(book.lots[lot.key].pending == 0 for lot in waiting if lot.activates_at <= instant)


@THOROUGH
@given(
    totals=st.lists(st.builds(PaymentTotals, sums, sums, st.booleans()), max_size=4),
    is_stage_paid=st.booleans(),
    price=sums,
)
def test_money_kept_is_never_negative_and_never_more_than_came(
    totals: list[PaymentTotals], is_stage_paid: bool, price: int
) -> None:
    kept = money_of(OrderFacts(tuple(totals), is_stage_paid, price), RULES.accrual).kept_kopecks

    assert 0 <= kept <= max(sum(payment.captured_kopecks for payment in totals), price)


@pytest.mark.parametrize(
    ("earn_on", "payments", "is_stage_paid", "kept"),
    [
        (("payment", "stage"), (PaymentTotals(100, 0),), True, 100),
        (("payment", "stage"), (), True, 777),
        (("payment", "stage"), (), False, 0),
        (("payment", "stage"), (PaymentTotals(0, 0),), True, 777),
        (("payment", "stage"), (PaymentTotals(100, 0), PaymentTotals(50, 20)), False, 130),
        (("payment", "stage"), (PaymentTotals(100, 150),), True, 0),
        (("payment", "stage"), (PaymentTotals(100, 0, is_refund_total=True),), True, 0),
        (("payment",), (), True, 0),
        (("stage",), (), True, 777),
        (("payment", "stage"), (PaymentTotals(0, 0, is_refund_total=True),), True, 0),
        (("payment", "stage"), (PaymentTotals(0, 50),), True, 0),
        (("stage",), (PaymentTotals(100, 0),), True, 777),
        (("stage",), (PaymentTotals(100, 30),), True, 747),
        (("stage",), (PaymentTotals(777, 0, is_refund_total=True),), True, 0),
        (("stage",), (PaymentTotals(0, 0, is_refund_total=True),), True, 0),
        (("stage",), (PaymentTotals(100, 0),), False, 0),
    ],
)
def test_a_payment_that_moved_money_decides_and_the_stage_stands_in_until_there_is_one(
    earn_on: tuple[Literal["payment", "stage"], ...],
    payments: tuple[PaymentTotals, ...],
    is_stage_paid: bool,
    kept: int,
) -> None:
    rules = replace(RULES.accrual, earn_on=earn_on)

    assert money_of(OrderFacts(payments, is_stage_paid, 777), rules).kept_kopecks == kept
