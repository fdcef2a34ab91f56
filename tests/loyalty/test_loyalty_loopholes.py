"""Ways to keep or lose points that nobody meant: each was found by a property or by reading, and stays shut."""

from __future__ import annotations

from dataclasses import replace

import pytest
from loyalty_book import PAID_AT, RULES, Book, days, with_points
from loyalty_book_order import BookOrder

from loyalty.basket import Basket, Line, whole_sum
from loyalty.checkout import spend
from loyalty.programme import Duration
from loyalty.rules import RedeemRules, RefundRules

NO_WELCOME = replace(RULES, welcome=None)
ALL_BY_POINTS = replace(NO_WELCOME, redeem=RedeemRules(max_share_bps=10_000))
AT_ONCE = replace(NO_WELCOME, accrual=replace(RULES.accrual, activate_after=Duration(0, "days")))


def test_a_part_payment_does_not_give_back_the_points_that_pay_the_rest() -> None:
    book = with_points(NO_WELCOME, 300)
    book.orders[1] = BookOrder(basket=whole_sum(100_000))
    book.hold(1, 300, at=PAID_AT, spread=(300,))

    book.pay(1, 35_000)
    book.converge(1)
    assert book.balances == {"pending": 35}
    book.pay(1, 70_000)
    book.converge(1)

    assert (book.balances, book.balance("redeemed")) == ({"pending": 70}, 300)


def test_a_deal_paid_with_points_alone_is_paid_and_its_loss_gives_them_back() -> None:
    for basket in (None, whole_sum(30_000)):
        book = with_points(ALL_BY_POINTS, 300)
        book.orders[1] = BookOrder(basket=basket)
        book.hold(1, 300, at=PAID_AT, spread=() if basket is None else (300,))

        book.stage(1, is_paid=True, price=0)
        book.converge(1)
        assert (book.balances, book.balance("redeemed"), book.orders[1].is_kept) == ({}, 300, True)

        book.stage(1, is_paid=False, price=0)
        book.converge(1)
        assert (book.balances, book.orders[1].is_kept) == ({"available": 300}, False)


def test_points_reserved_for_another_order_do_not_escape_a_return() -> None:
    """Otherwise: buy, reserve what came of it, return the goods, give up the reserve, keep the points."""
    book = Book(AT_ONCE)
    book.buy(1, whole_sum(499_000), at=PAID_AT)
    book.hold(2, 499, at=PAID_AT)

    book.give_back(1, (1,), PAID_AT + days(1))
    assert book.balances == {"reserved": 499, "debt": 499}
    book.release(2, PAID_AT + days(1))

    assert (book.balances, book.balance("shortfall")) == ({}, 0)


def test_where_spent_points_do_not_come_back_a_returned_order_makes_no_debt_of_its_own() -> None:
    """The bound counts points spent on orders the member keeps; this one he does not."""
    rules = replace(AT_ONCE, refund=RefundRules(return_redeemed=False))
    book = with_points(rules, 300)
    book.buy(1, whole_sum(100_000), at=PAID_AT, spend=300)
    book.buy(2, whole_sum(100_000), at=PAID_AT, spend=70)
    book.give_back(2, (1,), PAID_AT + days(1))
    assert (book.balances, book.balance("redeemed")) == ({}, 370)

    book.give_back(1, (1,), PAID_AT + days(1))

    assert (book.balance("debt"), book.balance("shortfall")) == (0, -70)


def test_lines_too_cheap_to_bear_one_whole_point_are_refused_with_a_reason() -> None:
    """Never silently zero (section 5.11)."""
    pennies = Basket((Line(99),) * 100)

    answer = spend(ALL_BY_POINTS, pennies, segment_code=None, balance=50, requested=50)

    assert (answer.cap_points, answer.points, answer.refusal) == (99, 0, "below_minimum")


@pytest.mark.parametrize(
    ("min_points", "requested", "balance", "points", "refusal"),
    [
        (10, 9, 100, 0, "below_minimum"),
        (10, 10, 100, 10, None),
        (10, 50, 9, 0, "below_minimum"),
        (1, 50, 0, 0, "no_points"),
        (1, 0, 100, 0, None),
        (1, -5, 100, 0, None),
    ],
)
def test_a_spending_that_is_refused_says_why(
    min_points: int, requested: int, balance: int, points: int, refusal: str | None
) -> None:
    rules = replace(ALL_BY_POINTS, redeem=RedeemRules(max_share_bps=10_000, min_points=min_points))

    answer = spend(rules, whole_sum(100_000), segment_code=None, balance=balance, requested=requested)

    assert (answer.points, answer.refusal) == (points, refusal)


def test_where_points_cannot_be_spent_asking_says_so() -> None:
    no_redeem = replace(NO_WELCOME, redeem=None)

    assert spend(no_redeem, whole_sum(100_000), segment_code=None, balance=9, requested=9).refusal == "redeem_off"
    assert spend(no_redeem, whole_sum(100_000), segment_code=None, balance=9, requested=0).refusal is None


def test_a_deal_moved_out_of_its_paid_stage_and_back_does_not_give_its_points_back_as_well() -> None:
    book = with_points(NO_WELCOME, 300)
    book.hold(1, 300, at=PAID_AT)

    for is_paid in (True, False, True):
        book.stage(1, is_paid=is_paid, price=70_000)
        book.converge(1)

    assert (book.balances, book.balance("redeemed")) == ({"pending": 70}, 300)


def test_the_banks_refund_heard_before_the_shop_names_the_line_ends_as_heard_after_it() -> None:
    """A gift card bears no points: returning it gives none back, whoever tells of it first."""
    ends = []
    for bank_first in (True, False):
        book = with_points(NO_WELCOME, 300)
        book.buy(1, Basket((Line(70_000), Line(30_000, is_gift_card=True))), at=PAID_AT, spend=200)
        book.orders[1].shop_paid_kopecks = None
        book.pay(1, 80_000)
        book.converge(1)
        for is_bank in (bank_first, not bank_first):
            if is_bank:
                book.pay(1, 80_000, 30_000)
                book.converge(1)
            else:
                book.give_back(1, (0, 1), PAID_AT)
        ends.append((book.balances, book.balance("redeemed"), book.orders[1].accrued))

    assert ends[0] == ends[1] == ({"available": 100, "pending": 50}, 200, 50)


def test_all_money_of_the_goods_refunded_as_a_sum_is_a_full_return_though_the_delivery_was_kept_loyaltylion() -> None:
    book = with_points(NO_WELCOME, 300)
    book.buy(1, Basket((Line(130_000),), delivery_kopecks=35_000), at=PAID_AT, spend=300)

    book.orders[1].shop_returned_kopecks = 100_000
    book.converge(1, PAID_AT + days(1))

    assert (book.balances, book.orders[1].is_kept) == ({"available": 300}, False)
