"""What money earns: the rate of an order, goods that take no part, multipliers and when they are in force."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from loyalty_book import PAID_AT, RULES

from loyalty import earning
from loyalty.basket import Basket, Line
from loyalty.checkout import checkout, spend
from loyalty.earning import Earned, Rate
from loyalty.programme import Programme, SegmentRule
from loyalty.rules import Exclusions, MethodRate, Multiplier, OnSale, RateStep, RedeemRules

VIP = SegmentRule("vip", "VIP", rate_bps=1_500, max_share_bps=5_000)
REGULAR = SegmentRule("regular", "Постоянный")
PLAIN, ON_SALE, CARD = Line(100_000), Line(100_000, is_on_sale=True), Line(100_000, is_gift_card=True)
CHEAPER, SKIS = Line(150_000, discount_kopecks=50_000), Line(100_000, category="skis")


def earn(
    rules: Programme, *lines: Line, segment: str | None = None, method: str | None = None, at: datetime = PAID_AT
) -> Earned:
    basket = Basket(lines, method=method)
    return checkout(rules, basket, segment_code=segment, balance=0, requested=0, at=at).earned


def with_accrual(**changes: Any) -> Programme:
    return replace(RULES, segments=(VIP, REGULAR), accrual=replace(RULES.accrual, **changes))


def moscow(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Moscow"))


@pytest.mark.parametrize(
    ("exclude", "points"),
    [
        (Exclusions(), (100, 100, 100, 100, 0)),
        (Exclusions(categories=("skis", "food")), (100, 0, 100, 100, 0)),
        (Exclusions(on_sale="yes"), (100, 100, 0, 100, 0)),
        (Exclusions(on_sale="yes_half"), (100, 100, 50, 100, 0)),
        (Exclusions(discounted=True), (100, 100, 100, 0, 0)),
        (Exclusions(("skis",), "yes", discounted=True), (100, 0, 0, 0, 0)),
    ],
)
def test_excluded_goods_earn_nothing_and_gift_cards_never_do(exclude: Exclusions, points: tuple[int, ...]) -> None:
    assert earn(with_accrual(exclude=exclude), PLAIN, SKIS, ON_SALE, CHEAPER, CARD).points == points


@pytest.mark.parametrize(("on_sale", "base"), [("no", 300_000), ("yes", 200_000)])
def test_the_same_words_exclude_from_spending_but_a_gift_card_is_always_out(on_sale: OnSale, base: int) -> None:
    rules = replace(RULES, redeem=RedeemRules(max_share_bps=10_000, exclude=Exclusions(("skis",), on_sale)))
    basket = Basket((PLAIN, SKIS, ON_SALE, CHEAPER, CARD))

    assert spend(rules, basket, segment_code=None, balance=10_000, requested=10_000).base_kopecks == base


def test_points_are_rounded_once_though_a_line_earns_half_the_rate() -> None:
    half = with_accrual(exclude=Exclusions(on_sale="yes_half"))

    earned = earn(half, Line(1_999, is_on_sale=True), Line(1_001))

    assert (earned.total, earned.points) == (2, (1, 1))  # 0.9995 and 1.001: together 2, each by itself 0 and 1


@pytest.mark.parametrize(("price", "points"), [(99_999, 0), (100_000, 100)])
def test_an_order_below_the_least_sum_earns_nothing(price: int, points: int) -> None:
    assert earn(with_accrual(min_order_kopecks=100_000), Line(price)).total == points


def test_the_least_sum_is_that_of_all_goods_before_points_and_without_delivery() -> None:
    rules = with_accrual(min_order_kopecks=100_000)
    basket = Basket((Line(60_000), Line(40_000, is_gift_card=True)), delivery_kopecks=50_000)
    poor = replace(basket, lines=basket.lines[:1])

    totals = [
        checkout(rules, one, segment_code=None, balance=90, requested=90, at=PAID_AT).earned.total
        for one in (basket, poor)
    ]
    assert totals == [51, 0]


METHODS = (MethodRate("cash", 700), MethodRate("credit", 0))
STEPS = (RateStep(50_000, 300), RateStep(200_000, 500))


@pytest.mark.parametrize(
    ("price", "segment", "method", "rate"),
    [
        (49_999, None, None, Rate(1_000, "accrual.rate")),
        (50_000, None, None, Rate(300, "accrual.steps")),
        (199_999, "regular", None, Rate(300, "accrual.steps")),
        (200_000, None, "card", Rate(500, "accrual.steps")),
        (200_000, "vip", "card", Rate(1_500, "segments.vip.rate")),
        (200_000, "vip", "cash", Rate(700, "accrual.by_method")),
        (200_000, "vip", "credit", Rate(0, "accrual.by_method")),
        (200_000, "dropped", None, Rate(500, "accrual.steps")),
    ],
)
def test_the_way_of_paying_decides_then_the_segment_then_the_steps(
    price: int, segment: str | None, method: str | None, rate: Rate
) -> None:
    rules = with_accrual(steps=STEPS, by_method=METHODS)

    assert earning.order_rate(rules, price, segment_code=segment, method=method) == rate
    assert earn(rules, Line(price), segment=segment, method=method).total == price * rate.bps // 1_000_000


@pytest.mark.parametrize(
    ("segment", "cap", "rule"), [("vip", 500, "segments.vip.max_share"), ("regular", 300, "redeem.max_share")]
)
def test_a_segment_may_pay_a_greater_share_with_points(segment: str, cap: int, rule: str) -> None:
    rules = replace(RULES, segments=(VIP, REGULAR))

    answer = spend(rules, Basket((PLAIN,)), segment_code=segment, balance=9_999, requested=9_999)

    assert (answer.points, answer.cap_rule) == (cap, rule)


def test_the_most_points_of_an_order_are_named_where_they_bind() -> None:
    rules = replace(RULES, redeem=RedeemRules(max_share_bps=3_000, max_points=200))

    tight = spend(rules, Basket((PLAIN,)), segment_code=None, balance=9_999, requested=9_999)
    loose = spend(rules, Basket((Line(60_000),)), segment_code=None, balance=9_999, requested=9_999)

    assert (tight.points, tight.cap_rule) == (200, "redeem.max_points")
    assert (loose.points, loose.cap_rule) == (180, "redeem.max_share")


@pytest.mark.parametrize(
    ("rule", "inside", "outside"),
    [
        (
            Multiplier("дни", 20_000, first_day="2026-03-07", last_day="2026-03-08"),
            ["2026-03-07T00:00", "2026-03-08T23:59:59"],
            ["2026-03-06T23:59:59", "2026-03-09T00:00"],
        ),
        (
            Multiplier("выходные", 20_000, weekdays=(5, 6)),
            ["2026-03-07T00:00", "2026-03-08T23:59"],
            ["2026-03-06T12:00", "2026-03-09T00:00"],
        ),
        (
            Multiplier("утро", 20_000, from_time="08:00", until_time="11:00"),
            ["2026-03-06T08:00", "2026-03-06T10:59:59"],
            ["2026-03-06T07:59:59", "2026-03-06T11:00"],
        ),
        (
            Multiplier("суббота утром", 20_000, weekdays=(5,), until_time="11:00"),
            ["2026-03-07T10:00"],
            ["2026-03-07T11:00", "2026-03-06T10:00"],
        ),
    ],
)
def test_a_multiplier_is_in_force_by_the_clock_of_the_programme(
    rule: Multiplier, inside: list[str], outside: list[str]
) -> None:
    rules = with_accrual(multipliers=(rule,))

    assert [earn(rules, PLAIN, at=moscow(text)).total for text in inside] == [200] * len(inside)
    assert [earn(rules, PLAIN, at=moscow(text)).total for text in outside] == [100] * len(outside)


def test_midnight_of_the_programme_decides_not_that_of_the_server() -> None:
    rules = with_accrual(multipliers=(Multiplier("день", 20_000, first_day="2026-03-08", last_day="2026-03-08"),))

    assert earn(rules, PLAIN, at=datetime.fromisoformat("2026-03-07T21:00:00Z")).total == 200
    assert earn(rules, PLAIN, at=datetime.fromisoformat("2026-03-08T21:00:00Z")).total == 100


def test_a_multiplier_raises_the_lines_of_its_categories_and_the_members_of_its_segments() -> None:
    skis = with_accrual(multipliers=(Multiplier("лыжи", 30_000, categories=("skis",)),))
    vips = with_accrual(multipliers=(Multiplier("VIP", 20_000, segments=("vip", "star")),))

    assert earn(skis, PLAIN, SKIS).points == (100, 300)
    assert [earn(vips, PLAIN, segment=code).total for code in (None, "regular", "vip")] == [100, 100, 300]


@pytest.mark.parametrize(
    ("multipliers", "total", "titles"),
    [
        ((Multiplier("а", 20_000), Multiplier("б", 30_000)), 300, ["б"]),
        ((Multiplier("а", 20_000), Multiplier("б", 30_000, group="card")), 600, ["а", "б"]),
        ((Multiplier("а", 15_000), Multiplier("б", 15_000)), 150, ["б"]),
        ((Multiplier("а", 15_000), Multiplier("б", 15_000, group="card")), 225, ["а", "б"]),
        ((), 100, []),
    ],
)
def test_of_a_group_the_best_counts_and_groups_multiply(
    multipliers: tuple[Multiplier, ...], total: int, titles: list[str]
) -> None:
    earned = earn(with_accrual(multipliers=multipliers), PLAIN)

    assert (earned.total, [one.title for one in earned.multipliers]) == (total, titles)


def test_the_best_multiplier_is_chosen_for_each_line() -> None:
    rules = with_accrual(multipliers=(Multiplier("все", 20_000), Multiplier("лыжи", 30_000, categories=("skis",))))

    earned = earn(rules, PLAIN, SKIS)

    assert (earned.points, [one.title for one in earned.multipliers]) == ((200, 300), ["все", "лыжи"])


def test_a_multiplier_of_lines_that_earn_nothing_is_not_named() -> None:
    rules = with_accrual(
        multipliers=(Multiplier("лыжи", 30_000, categories=("skis",)),), exclude=Exclusions(categories=("skis",))
    )

    assert earn(rules, PLAIN, SKIS).multipliers == ()
