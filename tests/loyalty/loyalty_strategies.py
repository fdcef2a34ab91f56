"""Random programmes and baskets for the properties of the rules."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from loyalty_book import PAID_AT

from loyalty.basket import Basket, Line
from loyalty.programme import AccrualRules, Duration, Programme, SegmentRule, WelcomeRules
from loyalty.rules import Exclusions, GiftRules, HolidayGift, Limits, MethodRate, Multiplier, RateStep, RedeemRules

One = TypeVar("One")

EXAMPLES = int(os.environ.get("KOPILKA_EXAMPLES", "70"))
THOROUGH = settings(max_examples=EXAMPLES, deadline=None)
QUICK = settings(max_examples=max(1, EXAMPLES * 2 // 5), deadline=None)
"""For properties that play a whole life of a member."""
CATEGORIES = ("shoes", "skis", "food")
METHODS = ("cash", "card", "credit")
SEGMENTS = ("start", "regular", "vip")

kopecks = st.one_of(st.integers(0, 999), st.integers(0, 2_000_000))
rates = st.sampled_from([0, 1, 333, 500, 1_000, 10_000])
instants = st.builds(lambda hours: PAID_AT + timedelta(hours=hours), st.integers(0, 24 * 60))


def some_of(values: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), unique=True, max_size=2).map(tuple)


def rows(one: st.SearchStrategy[One], *, by: str, most: int = 3) -> st.SearchStrategy[tuple[One, ...]]:
    """A list of the rules file: what names a row is not repeated, as `config/` demands."""
    return st.lists(one, max_size=most, unique_by=lambda row: getattr(row, by)).map(tuple)


exclusions = st.builds(
    Exclusions,
    categories=some_of(CATEGORIES),
    on_sale=st.sampled_from(["no", "yes_half", "yes"]),
    discounted=st.booleans(),
)
multipliers = st.builds(
    Multiplier,
    title=st.text("абв", min_size=1, max_size=3),
    times_bps=st.sampled_from([10_000, 12_500, 20_000, 30_000]),
    group=st.sampled_from(["", "season", "card"]),
    first_day=st.sampled_from([None, None, "2026-01-10", "2026-02-01"]),
    last_day=st.sampled_from([None, None, "2026-02-20"]),
    weekdays=st.sampled_from([(), (), (5, 6), (0, 1, 2, 3, 4)]),
    from_time=st.sampled_from([None, None, "10:00"]),
    until_time=st.sampled_from([None, None, "22:00"]),
    categories=some_of(CATEGORIES),
    segments=some_of(SEGMENTS),
)
accruals = st.builds(
    AccrualRules,
    rate_bps=rates,
    base=st.sampled_from(["paid_money", "order_total"]),
    exclude=exclusions,
    steps=rows(st.builds(RateStep, kopecks, rates), by="from_kopecks"),
    by_method=rows(st.builds(MethodRate, st.sampled_from(METHODS), rates), by="method"),
    multipliers=rows(multipliers, by="title", most=5),
    min_order_kopecks=st.sampled_from([0, 0, 100_000]),
    activate_after=st.sampled_from([Duration(0, "days"), Duration(14, "days"), Duration(1, "months")]),
    expire_after=st.sampled_from([None, Duration(180, "days")]),
)
redemptions = st.builds(
    RedeemRules,
    max_share_bps=st.sampled_from([0, 2_500, 3_000, 10_000]),
    min_points=st.sampled_from([1, 1, 50]),
    max_points=st.sampled_from([None, None, 200]),
    exclude=exclusions,
)
segment_rules = st.builds(
    SegmentRule,
    code=st.sampled_from(SEGMENTS),
    title=st.just("Сегмент"),
    min_orders=st.none() | st.integers(1, 6),
    min_spent_kopecks=st.none() | st.integers(1, 3_000_000),
    rate_bps=st.none() | rates,
    max_share_bps=st.sampled_from([None, 0, 5_000, 10_000]),
    is_manual=st.sampled_from([False, False, True]),
)
limits = st.builds(
    Limits,
    accruals_per_day=st.sampled_from([None, None, 1, 3]),
    points_per_order=st.sampled_from([None, None, 100]),
    points_per_day=st.sampled_from([None, None, 150]),
    points_per_period=st.sampled_from([None, None, 150]),
)
holidays = st.builds(
    HolidayGift, st.text("абв", min_size=1, max_size=3), st.sampled_from(["01-10", "03-08"]), st.just(50)
)
welcomes = st.sampled_from([None, WelcomeRules(points=300), WelcomeRules(points=300, with_base=False)])
programmes = st.builds(
    Programme,
    name=st.just("Клуб"),
    timezone=st.sampled_from(["Europe/Moscow", "Asia/Kamchatka", "Europe/Berlin", "UTC"]),
    point_value_kopecks=st.sampled_from([1, 100, 100, 300]),
    accrual=accruals,
    welcome=welcomes,
    redeem=st.none() | redemptions,
    segments=rows(segment_rules, by="code"),
    limits=limits,
    gifts=st.builds(GiftRules, holidays=rows(holidays, by="title")),
)


@st.composite
def lines(draw: st.DrawFn) -> Line:
    gross = draw(kopecks)
    return Line(
        gross,
        qty=draw(st.sampled_from([1, 1, 2, 3, 7])),
        category=draw(st.sampled_from([None, *CATEGORIES])),
        discount_kopecks=draw(st.sampled_from([0, 0, gross // 3, gross])),
        is_on_sale=draw(st.booleans()),
        is_gift_card=draw(st.sampled_from([False, False, False, True])),
    )


@st.composite
def baskets(draw: st.DrawFn) -> Basket:
    chosen = tuple(draw(st.lists(lines(), min_size=1, max_size=5)))
    goods = sum(line.gross_kopecks - line.discount_kopecks for line in chosen)
    return Basket(
        chosen,
        promo_kopecks=draw(st.just(0) | st.integers(0, goods)),
        delivery_kopecks=draw(st.sampled_from([0, 35_000])),
        method=draw(st.sampled_from([None, *METHODS])),
    )


def shuffled(draw: st.DrawFn, programme: Programme) -> Programme:
    """The same rules, every list of them in another order."""

    def mixed(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(draw(st.permutations(values)))

    def excluded(rules: Exclusions) -> Exclusions:
        return replace(rules, categories=mixed(rules.categories))

    accrual, redeem = programme.accrual, programme.redeem
    raised = [
        replace(one, categories=mixed(one.categories), segments=mixed(one.segments), weekdays=mixed(one.weekdays))
        for one in accrual.multipliers
    ]
    return replace(
        programme,
        accrual=replace(
            accrual,
            earn_on=mixed(accrual.earn_on),
            exclude=excluded(accrual.exclude),
            steps=mixed(accrual.steps),
            by_method=mixed(accrual.by_method),
            multipliers=mixed(tuple(raised)),
        ),
        redeem=None if redeem is None else replace(redeem, exclude=excluded(redeem.exclude)),
        segments=mixed(programme.segments),
        gifts=replace(programme.gifts, holidays=mixed(programme.gifts.holidays)),
        burn=replace(programme.burn, notify_before=mixed(programme.burn.notify_before)),
    )
