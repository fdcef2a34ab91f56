"""Where a member stands: up at once, down only as the policy allows, by hand above all."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loyalty_book import PAID_AT, days
from loyalty_strategies import THOROUGH

from loyalty import segments
from loyalty.programme import Duration, SegmentRule
from loyalty.rules import SegmentPolicy
from loyalty.segments import Purchases, Standing

START, REGULAR, FRIEND = (
    SegmentRule("start", "Стартовый", 1),
    SegmentRule("regular", "Постоянный", 3),
    SegmentRule("friend", "Друг", 10),
)
VIP = SegmentRule("vip", "VIP", min_orders=None, min_spent_kopecks=5_000_000)
BY_HAND = SegmentRule("star", "Звезда", min_orders=2, is_manual=True)
ALL = (START, REGULAR, FRIEND, VIP, BY_HAND)
YEAR = SegmentPolicy(window=Duration(365, "days"), grace=Duration(30, "days"))
FALLS_AT = datetime(2026, 2, 9, tzinfo=ZoneInfo("Europe/Moscow"))
"""Thirty days after the day of PAID_AT."""

bought = st.builds(Purchases, st.integers(0, 12), st.integers(0, 6_000_000))
codes = st.sampled_from([None, *(rule.code for rule in ALL), "dropped"])
policies = st.builds(
    SegmentPolicy,
    window=st.sampled_from([None, Duration(365, "days")]),
    match=st.sampled_from(["any", "all"]),
    downgrade=st.sampled_from(["never", "after_window"]),
    grace=st.sampled_from([Duration(0, "days"), Duration(30, "days")]),
)


def stand(
    now_in: Standing | str | None,
    purchases: Purchases,
    *,
    policy: SegmentPolicy = YEAR,
    manual: str | None = None,
    now: datetime = PAID_AT,
) -> Standing:
    present = now_in if isinstance(now_in, Standing) else Standing(now_in)
    return segments.standing(
        present, purchases, manual_code=manual, rules=ALL, policy=policy, timezone="Europe/Moscow", now=now
    )


@pytest.mark.parametrize("rules", [(START, REGULAR, FRIEND), (FRIEND, START, REGULAR)])
@pytest.mark.parametrize(
    ("kept_orders", "expected"), [(0, None), (1, START), (2, START), (3, REGULAR), (9, REGULAR), (10, FRIEND)]
)
def test_a_member_is_in_the_last_segment_he_reached_whatever_their_order(
    rules: tuple[SegmentRule, ...], kept_orders: int, expected: SegmentRule | None
) -> None:
    assert segments.segment_for(kept_orders, rules) == expected


def test_a_segment_that_the_rules_dropped_is_found_no_more() -> None:
    assert segments.by_code("start", (START, REGULAR)) == START
    assert segments.by_code("vip", (START, REGULAR)) is None
    assert segments.by_code(None, (START,)) is None


@pytest.mark.parametrize(
    ("match", "orders", "spent", "is_in"),
    [
        ("any", 2, 0, True),
        ("any", 1, 100_000, True),
        ("any", 1, 99_999, False),
        ("all", 2, 99_999, False),
        ("all", 1, 100_000, False),
        ("all", 2, 100_000, True),
        ("any", 0, 100_000, False),
    ],
)
def test_two_conditions_are_joined_as_the_policy_says(
    match: Literal["any", "all"], orders: int, spent: int, is_in: bool
) -> None:
    rule = SegmentRule("both", "Оба", min_orders=2, min_spent_kopecks=100_000)
    policy = SegmentPolicy(match=match)

    assert (segments.segment_for(Purchases(orders, spent), (rule,), policy) == rule) == is_in


def test_one_who_bought_nothing_that_he_kept_is_in_no_segment() -> None:
    assert stand(None, Purchases(0, 0)) == Standing(None)


def test_a_segment_for_money_alone_stands_above_those_for_orders_alone() -> None:
    assert stand("friend", Purchases(10, 5_000_000)) == Standing("vip")


@THOROUGH
@given(now_in=codes, purchases=bought, policy=policies)
def test_up_is_at_once_and_nobody_stands_lower_than_he_has_earned(
    now_in: str | None, purchases: Purchases, policy: SegmentPolicy
) -> None:
    earned = segments.segment_for(purchases, ALL, policy)
    after = stand(now_in, purchases, policy=policy)

    order = [None, "start", "regular", "friend", "vip"]
    assert after.code in order
    assert order.index(after.code) >= order.index(None if earned is None else earned.code)
    if after.falls_at is not None:
        assert after.code == now_in
        assert after.falls_at > PAID_AT


@THOROUGH
@given(now_in=codes, purchases=bought, policy=policies, manual=codes)
def test_to_stand_where_one_stands_changes_nothing(
    now_in: str | None, purchases: Purchases, policy: SegmentPolicy, manual: str | None
) -> None:
    once = stand(now_in, purchases, policy=policy, manual=manual)

    assert stand(once, purchases, policy=policy, manual=manual) == once


@THOROUGH
@given(now_in=codes, purchases=bought, policy=policies, more=bought)
def test_who_bought_more_never_stands_lower(
    now_in: str | None, purchases: Purchases, policy: SegmentPolicy, more: Purchases
) -> None:
    richer = Purchases(purchases.orders + more.orders, purchases.spent_kopecks + more.spent_kopecks)

    order = [None, "start", "regular", "friend", "vip"]
    poor, rich = stand(now_in, purchases, policy=policy).code, stand(now_in, richer, policy=policy).code
    assert order.index(rich) >= order.index(poor)


@THOROUGH
@given(now_in=codes, purchases=bought, policy=policies)
def test_by_hand_is_above_all_and_nobody_gets_there_by_buying(
    now_in: str | None, purchases: Purchases, policy: SegmentPolicy
) -> None:
    assert stand(now_in, purchases, policy=policy, manual="star") == Standing("star")
    assert stand(now_in, purchases, policy=policy).code != "star"


def test_one_who_is_no_longer_vip_by_hand_goes_where_his_orders_put_him_without_grace() -> None:
    assert stand("star", Purchases(3)) == Standing("regular")


def test_a_manual_segment_that_the_rules_dropped_counts_no_more() -> None:
    assert stand("dropped", Purchases(1), manual="dropped") == Standing("start")


def test_one_who_falls_keeps_his_segment_for_the_grace_and_falls_then() -> None:
    falling = stand("regular", Purchases(1))
    assert falling == Standing("regular", FALLS_AT)

    assert stand(falling, Purchases(1), now=PAID_AT + days(20)) == falling
    assert stand(falling, Purchases(1), now=FALLS_AT) == Standing("start")


def test_an_order_within_the_grace_saves_the_segment() -> None:
    assert stand(Standing("regular", FALLS_AT), Purchases(3), now=PAID_AT + days(20)) == Standing("regular")


def test_one_who_falls_and_climbs_part_of_the_way_falls_no_further_than_he_has_earned() -> None:
    assert stand(Standing("friend", FALLS_AT), Purchases(3), now=FALLS_AT) == Standing("regular")
    assert stand(Standing("regular", FALLS_AT), Purchases(0), now=FALLS_AT) == Standing(None)


def test_without_grace_one_falls_with_the_window() -> None:
    assert stand("regular", Purchases(1), policy=replace(YEAR, grace=Duration(0, "days"))) == Standing("start")


def test_where_nobody_is_lowered_the_segment_stays_for_good() -> None:
    assert stand("friend", Purchases(0), policy=replace(YEAR, downgrade="never")) == Standing("friend")


@pytest.mark.parametrize("downgrade", ["never", "after_window"])
def test_without_a_window_only_a_return_lowers_and_at_once(downgrade: Literal["never", "after_window"]) -> None:
    policy = SegmentPolicy(downgrade=downgrade, grace=Duration(30, "days"))

    assert stand("regular", Purchases(2), policy=policy) == Standing("start")


@pytest.mark.parametrize(
    ("code", "has", "match", "expected"),
    [
        (None, Purchases(0), "any", ("Стартовый", 1, None)),
        ("start", Purchases(1, 100), "any", ("Постоянный", 2, None)),
        ("friend", Purchases(10, 3_760_000), "any", ("VIP", None, 1_240_000)),
        ("vip", Purchases(1, 6_000_000), "any", None),
        ("star", Purchases(1), "any", None),
        ("dropped", Purchases(1), "any", None),
    ],
)
def test_the_next_segment_is_the_lowest_one_above(
    code: str | None, has: Purchases, match: Literal["any", "all"], expected: tuple[object, ...] | None
) -> None:
    goal = segments.next_goal(code, has, ALL, SegmentPolicy(match=match))

    assert (None if goal is None else (goal.title, goal.orders, goal.kopecks)) == expected


@pytest.mark.parametrize(
    ("match", "has", "expected"),
    [
        ("any", Purchases(1, 1_000_000), (2, 500_000, False)),
        ("all", Purchases(1, 1_000_000), (2, 500_000, True)),
        ("all", Purchases(3, 1_000_000), (None, 500_000, True)),
        ("all", Purchases(1, 1_500_000), (2, None, True)),
        ("any", Purchases(0, 1_500_000), (3, None, False)),
    ],
)
def test_orders_and_money_are_asked_for_as_the_policy_joins_them(
    match: Literal["any", "all"], has: Purchases, expected: tuple[int | None, int | None, bool]
) -> None:
    rules = (START, SegmentRule("regular", "Постоянный", 3, 1_500_000))

    goal = segments.next_goal("start", has, rules, SegmentPolicy(match=match))
    assert goal is not None
    assert (goal.orders, goal.kopecks, goal.needs_both) == expected


@THOROUGH
@given(has=bought, policy=policies)
def test_whoever_does_what_was_said_gets_what_was_named(has: Purchases, policy: SegmentPolicy) -> None:
    present = segments.segment_for(has, ALL, policy)
    goal = segments.next_goal(None if present is None else present.code, has, ALL, policy)
    if goal is None:
        return
    ways = [(goal.orders or 0, goal.kopecks or 0)]
    if not goal.needs_both and goal.orders and goal.kopecks:
        ways = [(goal.orders, 0), (0, goal.kopecks)]
    for orders, kopecks in ways:
        later = Purchases(max(1, has.orders + orders), has.spent_kopecks + kopecks)
        reached = segments.segment_for(later, ALL, policy)
        assert reached is not None
        assert present is None or ALL.index(reached) > ALL.index(present)
