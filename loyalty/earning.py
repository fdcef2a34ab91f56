"""How many points money earns: the rate of an order, the multipliers in force, the points of each line.

Source: specification of points, sections 5.1 (one floor for the whole order, then spread) and 5.3 (steps 8-9).
The order in which rules stand in the file never matters: the best of a group is taken, groups are multiplied.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, time
from fractions import Fraction
from math import floor
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from loyalty.segments import by_code
from loyalty.spreading import spread

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from loyalty.basket import Basket, Line
    from loyalty.programme import AccrualRules, Programme
    from loyalty.rules import Exclusions, Multiplier

BPS_IN_WHOLE = 10_000
"""Basis points in 100 %."""


@dataclass(frozen=True)
class Rate:
    """The rate of an order and the path of the rule that set it."""

    bps: int
    rule: str


@dataclass(frozen=True)
class Earned:
    """`points` of each line; `total` is what the order earns; `multipliers` are those that raised it; `uncapped` is the
    total before limits, `limit` the rule that lowered it."""

    points: tuple[int, ...]
    total: int
    rate: Rate
    multipliers: tuple[Multiplier, ...]
    uncapped: int
    limit: str | None


def earn(
    programme: Programme,
    basket: Basket,
    bases_kopecks: Sequence[int],
    *,
    segment_code: str | None,
    at: datetime,
    cap: int | None = None,
    rate: Rate | None = None,
) -> Earned:
    """Points of an order whose lines have these bases; `cap` is what the limits leave the member, `rate` is given when
    it was settled by the order's full price already."""
    net_kopecks = sum(basket.net_kopecks())
    rate = rate or order_rate(programme, net_kopecks, segment_code=segment_code, method=basket.method)
    in_force = [one for one in programme.accrual.multipliers if is_in_force(one, at, programme.timezone, segment_code)]
    used: dict[str, Multiplier] = {}
    weights = []
    for line, base in zip(basket.lines, bases_kopecks, strict=True):
        times, raised_by = _times(in_force, line)
        weights.append(base * rate.bps * times * _share_of_rate(programme.accrual.exclude, line))
        if base > 0:
            used |= {one.title: one for one in raised_by}
    if net_kopecks < programme.accrual.min_order_kopecks:
        weights = [Fraction(0)] * len(weights)
    uncapped = floor(sum(weights, Fraction(0)) / (BPS_IN_WHOLE * programme.point_value_kopecks))
    total, limit = _within_limits(programme, uncapped, cap)
    raised = tuple(sorted(used.values(), key=lambda one: one.title))
    return Earned(tuple(spread(total, weights)), total, rate, raised, uncapped, limit)


def order_rate(programme: Programme, goods_kopecks: int, *, segment_code: str | None, method: str | None) -> Rate:
    """The way of paying decides first, then the member's segment, then the steps by the order's price."""
    accrual = programme.accrual
    for one in accrual.by_method:
        if one.method == method:
            return Rate(one.rate_bps, "accrual.by_method")
    segment = by_code(segment_code, programme.segments)
    if segment is not None and segment.rate_bps is not None:
        return Rate(segment.rate_bps, f"segments.{segment.code}.rate")
    reached = [step for step in accrual.steps if goods_kopecks >= step.from_kopecks]
    if reached:
        return Rate(max(reached, key=lambda step: step.from_kopecks).rate_bps, "accrual.steps")
    return Rate(accrual.rate_bps, "accrual.rate")


def earns(rules: AccrualRules, line: Line) -> bool:
    """Whether the line takes part in accrual at all."""
    return takes_part(rules.exclude, line)


def takes_part(exclude: Exclusions, line: Line) -> bool:
    """The same words exclude from accrual and from redemption."""
    return not (
        line.is_gift_card
        or line.category in exclude.categories
        or (line.is_on_sale and exclude.on_sale == "yes")
        or (line.discount_kopecks > 0 and exclude.discounted)
    )


def is_in_force(rule: Multiplier, at: datetime, timezone: str, segment_code: str | None) -> bool:
    """Whether the multiplier's days, hours and segments include this member at this instant."""
    local = at.astimezone(ZoneInfo(timezone))
    day, clock = local.date(), local.time()
    return (
        (rule.first_day is None or day >= date.fromisoformat(rule.first_day))
        and (rule.last_day is None or day <= date.fromisoformat(rule.last_day))
        and (not rule.weekdays or day.weekday() in rule.weekdays)
        and (rule.from_time is None or clock >= time.fromisoformat(rule.from_time))
        and (rule.until_time is None or clock < time.fromisoformat(rule.until_time))
        and (not rule.segments or segment_code in rule.segments)
    )


def _times(in_force: Sequence[Multiplier], line: Line) -> tuple[Fraction, list[Multiplier]]:
    best: dict[str, Multiplier] = {}
    for rule in in_force:
        if rule.categories and line.category not in rule.categories:
            continue
        known = best.get(rule.group)
        if known is None or (rule.times_bps, rule.title) > (known.times_bps, known.title):
            best[rule.group] = rule
    times = Fraction(1)
    for rule in best.values():
        times *= Fraction(rule.times_bps, BPS_IN_WHOLE)
    return times, list(best.values())


def _share_of_rate(exclude: Exclusions, line: Line) -> Fraction:
    return Fraction(1, 2) if line.is_on_sale and exclude.on_sale == "yes_half" else Fraction(1)


def _within_limits(programme: Programme, points: int, cap: int | None) -> tuple[int, str | None]:
    per_order = programme.limits.points_per_order
    if per_order is not None and points > per_order and (cap is None or per_order <= cap):
        return per_order, "points_per_order"
    if cap is not None and points > cap:
        return cap, "limit"
    return points, None
