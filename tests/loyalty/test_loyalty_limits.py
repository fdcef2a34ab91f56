"""What one member may earn and spend, and what a basket may be: above it a reason, never a silent zero."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loyalty_book import PAID_AT, RULES, Book, days
from loyalty_strategies import QUICK, THOROUGH

from loyalty import limits
from loyalty.basket import KOPECKS_MAX, LINES_MAX, QUANTITY_MAX, BadBasket, Basket, Line, whole_sum
from loyalty.checkout import checkout
from loyalty.limits import Allowance, Used
from loyalty.rules import Duration, Limits

NO_WELCOME = replace(RULES, welcome=None)
bounds = st.none() | st.integers(0, 300)
some_limits = st.builds(
    Limits, accruals_per_day=st.none() | st.integers(0, 4), points_per_day=bounds, points_per_period=bounds
)
used = st.builds(Used, st.integers(0, 5), st.integers(0, 400), st.integers(0, 400))


@THOROUGH
@given(rules=some_limits, used=used)
def test_what_is_left_is_the_tightest_limit_and_its_name(rules: Limits, used: Used) -> None:
    allowed = limits.allowance(rules, used)

    if rules.accruals_per_day is not None and used.accruals_today >= rules.accruals_per_day:
        assert allowed == Allowance(0, "daily_limit")
        return
    left = {
        "points_per_day": None if rules.points_per_day is None else max(0, rules.points_per_day - used.points_today),
        "points_per_period": (
            None if rules.points_per_period is None else max(0, rules.points_per_period - used.points_in_period)
        ),
    }
    known = {name: points for name, points in left.items() if points is not None}
    if not known:
        assert allowed == Allowance(None, None)
    else:
        assert allowed.points == min(known.values())
        assert allowed.reason in known


def test_of_two_limits_the_one_that_is_overdrawn_further_gives_its_name() -> None:
    rules = Limits(points_per_day=100, points_per_period=150)

    assert limits.allowance(rules, Used(points_today=50, points_in_period=50)) == Allowance(50, "points_per_day")
    assert limits.allowance(rules, Used(points_today=0, points_in_period=140)) == Allowance(10, "points_per_period")
    assert limits.allowance(rules, Used(points_today=0, points_in_period=170)) == Allowance(0, "points_per_period")


@QUICK
@given(
    rules=some_limits,
    prices=st.lists(st.tuples(st.integers(0, 300_000), st.integers(0, 2)), min_size=1, max_size=8),
    per_order=bounds,
)
def test_no_history_earns_more_than_the_limits(
    rules: Limits, prices: list[tuple[int, int]], per_order: int | None
) -> None:
    period = Duration(3, "days")
    book = Book(replace(NO_WELCOME, limits=replace(rules, points_per_order=per_order, period=period)))
    day, days_of_orders = 0, {}
    for number, (price, later) in enumerate(prices, start=1):
        day += later
        days_of_orders[number] = day
        book.buy(number, whole_sum(price), at=PAID_AT + days(day))

    points = {number: book.points_of(number, "accrual") for number in days_of_orders}
    assert per_order is None or max(points.values()) <= per_order
    for last in set(days_of_orders.values()):
        today = [points[number] for number, day in days_of_orders.items() if day == last]
        in_period = [points[number] for number, day in days_of_orders.items() if last - 3 <= day <= last]
        assert rules.points_per_day is None or sum(today) <= rules.points_per_day
        assert rules.points_per_period is None or sum(in_period) <= rules.points_per_period
        assert rules.accruals_per_day is None or sum(one > 0 for one in today) <= rules.accruals_per_day


@pytest.mark.parametrize(
    ("per_order", "left", "total", "limit"),
    [
        (None, None, 500, None),
        (500, None, 500, None),
        (300, None, 300, "points_per_order"),
        (None, 200, 200, "limit"),
        (None, 500, 500, None),
        (300, 200, 200, "limit"),
        (200, 300, 200, "points_per_order"),
        (600, 0, 0, "limit"),
    ],
)
def test_the_limit_that_lowered_an_order_is_named_and_its_lines_share_what_is_left(
    per_order: int | None, left: int | None, total: int, limit: str | None
) -> None:
    rules = replace(NO_WELCOME, limits=Limits(points_per_order=per_order))
    basket = Basket((Line(400_000), Line(100_000)))

    earned = checkout(rules, basket, segment_code=None, balance=0, requested=0, at=PAID_AT, earn_cap=left).earned

    assert (earned.total, earned.uncapped, earned.limit) == (total, 500, limit)
    assert earned.points == (total * 4 // 5, total // 5)


def test_the_limit_of_the_first_counting_holds_when_other_orders_come_in_between() -> None:
    book = Book(replace(NO_WELCOME, limits=Limits(points_per_day=100)))
    book.pay(1, 60_000)
    book.converge(1)
    book.pay(2, 60_000)
    book.converge(2)
    assert [book.points_of(number, "accrual") for number in (1, 2)] == [60, 40]

    book.pay(2, 60_000, 30_000)
    book.converge(2)
    book.pay(1, 60_000)
    assert not book.converge(1)

    assert [book.points_of(number, "accrual") for number in (1, 2)] == [60, 30]


@pytest.mark.parametrize(
    ("gross", "qty", "discount"),
    [(100, 0, 0), (100, QUANTITY_MAX + 1, 0), (-1, 1, 0), (KOPECKS_MAX + 1, 1, 0), (100, 1, 101), (100, 1, -1)],
)
def test_a_line_that_contradicts_itself_is_refused_in_russian(gross: int, qty: int, discount: int) -> None:
    with pytest.raises(BadBasket, match=r"строк[еи]"):
        Line(gross, qty=qty, discount_kopecks=discount)


@pytest.mark.parametrize(
    ("lines", "promo", "delivery", "text"),
    [
        (LINES_MAX + 1, 0, 0, "больше 500 строк"),
        (1, 0, -1, "доставки"),
        (1, 0, KOPECKS_MAX + 1, "доставки"),
        (2, 201, 0, "Промоскидка"),
        (2, -1, 0, "Промоскидка"),
    ],
)
def test_a_basket_that_contradicts_itself_is_refused_in_russian(
    lines: int, promo: int, delivery: int, text: str
) -> None:
    with pytest.raises(BadBasket, match=text):
        Basket((Line(100),) * lines, promo, delivery)


def test_the_greatest_basket_is_accepted() -> None:
    basket = Basket((Line(KOPECKS_MAX, qty=QUANTITY_MAX),) * LINES_MAX, KOPECKS_MAX, KOPECKS_MAX)

    answer = checkout(NO_WELCOME, basket, segment_code=None, balance=10**9, requested=10**9, at=PAID_AT)

    assert answer.due_kopecks + 100 * 10**9 == basket.total_kopecks
