"""Worked examples of the specification of points (section 5.5) about one purchase: V01-V06, V22, V23.

V24 is `test_loyalty_rule_order.py`, V21 `test_loyalty_gifts.py`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from loyalty_book import PAID_AT, RULES, Book, days

from loyalty import limits, segments
from loyalty.basket import Basket, Line, whole_sum
from loyalty.checkout import Checkout, checkout, spend
from loyalty.limits import Allowance, Used
from loyalty.programme import Programme, SegmentRule, WelcomeRules
from loyalty.rules import Exclusions, Limits, RedeemRules, SegmentPolicy
from loyalty.segments import Purchases, Standing

INSTEAD = replace(RULES, welcome=WelcomeRules(points=300, with_base=False))
NO_WELCOME = replace(RULES, welcome=None)
NOT_ON_SALE = Exclusions(on_sale="yes")
SALES_OUT = replace(
    NO_WELCOME,
    accrual=replace(RULES.accrual, exclude=NOT_ON_SALE),
    redeem=RedeemRules(max_share_bps=3_000, exclude=NOT_ON_SALE),
)
V05 = Basket(
    (
        Line(300_000, sku="A"),
        Line(200_000, sku="B"),
        Line(150_000, sku="C", discount_kopecks=50_000, is_on_sale=True),
    ),
    promo_kopecks=60_000,
    delivery_kopecks=35_000,
)


def quote(rules: Programme, basket: Basket, *, balance: int = 0, requested: int = 0) -> Checkout:
    return checkout(rules, basket, segment_code=None, balance=balance, requested=requested, at=PAID_AT)


@pytest.mark.parametrize(("rules", "expected"), [(NO_WELCOME, 499), (RULES, 799), (INSTEAD, 300)])
def test_v01_a_payment_of_4990_earns_by_the_preset(rules: Programme, expected: int) -> None:
    book = Book(rules)

    book.pay(1, 499_000)
    book.converge(1)

    assert book.net == expected


@pytest.mark.parametrize(("kopecks", "expected"), [(99_999, 99), (999, 0), (1_000, 1)])
def test_v02_a_share_of_a_point_is_not_given(kopecks: int, expected: int) -> None:
    book = Book(NO_WELCOME)

    book.pay(1, kopecks)
    book.converge(1)

    assert book.net == expected
    assert quote(NO_WELCOME, whole_sum(kopecks)).earned.total == expected


def test_v03_points_are_rounded_once_for_the_whole_order_not_per_line() -> None:
    lines = (Line(3_333), Line(3_333), Line(3_334))

    whole_order = quote(NO_WELCOME, Basket(lines)).earned
    line_by_line = sum(quote(NO_WELCOME, Basket((line,))).earned.total for line in lines)

    assert (whole_order.total, line_by_line) == (10, 9)
    assert whole_order.points == (3, 3, 4)


@pytest.mark.parametrize(("kopecks", "cap"), [(499_000, 1_497), (33_350, 100), (99, 0)])
def test_v04_no_more_than_thirty_per_cent_is_paid_with_points(kopecks: int, cap: int) -> None:
    answer = spend(NO_WELCOME, whole_sum(kopecks), segment_code=None, balance=10_000, requested=10_000)

    assert (answer.cap_points, answer.max_points, answer.points) == (cap, cap, cap)


def test_v05_the_promo_lies_on_all_goods_and_only_eligible_ones_take_points() -> None:
    prices = [line.gross_kopecks - line.discount_kopecks for line in V05.lines]
    net = V05.net_kopecks()

    assert [price - left for price, left in zip(prices, net, strict=True)] == [30_000, 20_000, 10_000]
    assert net == (270_000, 180_000, 90_000)
    assert V05.delivery_kopecks == 35_000
    answer = spend(SALES_OUT, V05, segment_code=None, balance=10_000, requested=10_000)
    assert (answer.base_kopecks, answer.cap_points, answer.cap_rule) == (450_000, 1_350, "redeem.max_share")


def test_v06_the_whole_balance_is_spent_and_the_rest_is_due_and_earns() -> None:
    answer = quote(SALES_OUT, V05, balance=1_234, requested=2_000)

    assert [line.points_spent for line in answer.lines] == [740, 494, 0]
    assert answer.spending.points == 1_234
    assert [line.due_kopecks for line in answer.lines] == [196_000, 130_600, 90_000]
    assert (answer.delivery_kopecks, answer.due_kopecks) == (35_000, 451_600)
    assert answer.earn_base_kopecks == 326_600
    assert (answer.earned.total, answer.earned.points) == (326, (196, 130, 0))


def test_v06_before_points_the_same_order_earns_450() -> None:
    before_points = replace(SALES_OUT, accrual=replace(SALES_OUT.accrual, base="order_total"))

    answer = quote(before_points, V05, balance=1_234, requested=2_000)

    assert (answer.spending.points, answer.due_kopecks) == (1_234, 451_600)
    assert answer.earned.total == 450


def test_v06_what_was_quoted_is_what_the_paid_order_posts() -> None:
    book = Book(SALES_OUT)
    book.open_lot("own", 1_234, expires_at=None)

    book.buy(1, V05, at=PAID_AT, spend=2_000)

    assert book.balances == {"pending": 326}
    assert book.balance("redeemed") == 1_234


def test_v22_the_fourth_order_of_a_day_earns_nothing_and_says_why() -> None:
    rules = replace(NO_WELCOME, limits=Limits(accruals_per_day=3, redemptions_per_day=2))
    book = Book(rules)

    for order_id in (1, 2, 3, 4):
        book.buy(order_id, whole_sum(100_000), at=PAID_AT)
    book.buy(5, whole_sum(100_000), at=PAID_AT + days(1))

    assert [book.points_of(order_id, "accrual") for order_id in (1, 2, 3, 4, 5)] == [100, 100, 100, 0, 100]
    assert [book.orders[order_id].limit for order_id in (1, 2, 3, 4, 5)] == [None, None, None, "limit", None]
    assert limits.allowance(rules.limits, Used(accruals_today=3)) == Allowance(0, "daily_limit")


def test_v22_an_order_that_earned_nothing_for_the_limit_stays_so_when_it_is_told_again_or_returned() -> None:
    book = Book(replace(NO_WELCOME, limits=Limits(accruals_per_day=1)))
    for order_id in (1, 2):
        book.buy(order_id, whole_sum(100_000), at=PAID_AT)

    assert not book.converge(2, PAID_AT + days(1))
    assert not book.give_back(2, (1,), PAID_AT + days(2))
    assert book.net == 100


def test_v22_the_third_redemption_of_a_day_is_refused() -> None:
    rules = Limits(accruals_per_day=3, redemptions_per_day=2)

    assert [limits.may_redeem(rules, redemptions_today=done) for done in (0, 1, 2, 3)] == [True, True, False, False]
    assert limits.may_redeem(Limits(), redemptions_today=1_000)


def test_v23_the_order_that_makes_a_vip_uses_the_tier_before_it_and_the_next_one_the_new() -> None:
    regular = SegmentRule("regular", "Постоянный", min_orders=1)
    vip = SegmentRule("vip", "VIP", min_orders=None, min_spent_kopecks=500_000, rate_bps=1_500)
    book = Book(replace(NO_WELCOME, segments=(regular, vip)), segment_code="regular")

    book.buy(1, whole_sum(600_000), at=PAID_AT)
    book.segment_code = stand(book).code
    book.buy(2, whole_sum(100_000), at=PAID_AT + days(1))

    assert book.segment_code == "vip"
    assert [book.points_of(order_id, "accrual") for order_id in (1, 2)] == [600, 150]


def test_v23_the_snapshot_holds_for_every_later_message_of_the_order() -> None:
    vip = SegmentRule("vip", "VIP", rate_bps=2_000)
    book = Book(replace(NO_WELCOME, segments=(vip,)))
    book.pay(1, 100_000)
    book.converge(1)

    book.segment_code = "vip"
    book.pay(1, 200_000)
    book.converge(1)
    assert book.points_of(1, "accrual") == 200

    book.pay(1, 200_000, 50_000)
    book.converge(1)
    assert book.points_of(1, "accrual") == 150


def stand(book: Book) -> Standing:
    kept = [order for order in book.orders.values() if order.is_kept]
    return segments.standing(
        Standing(book.segment_code),
        Purchases(len(kept), sum(order.kept_kopecks for order in kept)),
        manual_code=None,
        rules=book.rules.segments,
        policy=SegmentPolicy(),
        timezone=book.rules.timezone,
        now=PAID_AT,
    )
