"""The business segment of a member: «Стартовый», «Постоянный», VIP (specification of points, section 5.6, last rules).

Owns who is in which segment and when one falls. The order of the rules in the file does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from loyalty import calendar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from loyalty.rules import SegmentPolicy, SegmentRule


@dataclass(frozen=True)
class Purchases:
    """Kept orders of a member that count for his segment, and the money kept for them; `…_ever`: with those that the
    window has left behind, None if they are not known."""

    orders: int
    spent_kopecks: int = 0
    orders_ever: int | None = None
    spent_ever_kopecks: int = 0

    @property
    def ever(self) -> Purchases | None:
        return None if self.orders_ever is None else Purchases(self.orders_ever, self.spent_ever_kopecks)


@dataclass(frozen=True)
class Goal:
    """The next segment upwards and what is still lacking for it; `needs_both`: all that is named, not one of it."""

    title: str
    orders: int | None
    kopecks: int | None
    needs_both: bool


@dataclass(frozen=True)
class Standing:
    """Where a member stands: his segment, and the instant he falls from it unless he buys (None: nothing threatens)."""

    code: str | None
    falls_at: datetime | None = None


def segment_for(
    purchases: Purchases | int, rules: Sequence[SegmentRule], policy: SegmentPolicy | None = None
) -> SegmentRule | None:
    """The highest segment whose conditions are met; None before the first. Manual segments are never met."""
    if isinstance(purchases, int):
        purchases = Purchases(purchases)
    reached = [rule for rule in rules if not rule.is_manual and _meets(purchases, rule, policy)]
    return max(reached, key=_height, default=None)


def standing(
    now_in: Standing,
    purchases: Purchases,
    *,
    manual_code: str | None,
    rules: Sequence[SegmentRule],
    policy: SegmentPolicy,
    timezone: str,
    now: datetime,
) -> Standing:
    """Where the member stands from now on: up at once, down only as the policy allows, by hand above all."""
    if manual_code is not None and by_code(manual_code, rules) is not None:
        return Standing(manual_code)
    earned = segment_for(purchases, rules, policy)
    present = by_code(now_in.code, rules)
    if present is None or present.is_manual or (earned is not None and _height(earned) >= _height(present)):
        return Standing(None if earned is None else earned.code)
    if policy.window is None or _never_got_to(present, purchases, rules, policy):
        return Standing(None if earned is None else earned.code)  # only a returned order can have lowered him
    if policy.downgrade == "never":
        return Standing(present.code)
    falls_at = now_in.falls_at or calendar.activation_at(now, policy.grace, timezone)
    if falls_at <= now:
        return Standing(None if earned is None else earned.code)
    return Standing(present.code, falls_at)


def _never_got_to(
    present: SegmentRule, purchases: Purchases, rules: Sequence[SegmentRule], policy: SegmentPolicy
) -> bool:
    """All orders he keeps together do not lead where he stands: those that did were returned."""
    if purchases.ever is None:
        return False
    reached = segment_for(purchases.ever, rules, policy)
    return reached is None or _height(reached) < _height(present)


def next_goal(
    code: str | None, purchases: Purchases, rules: Sequence[SegmentRule], policy: SegmentPolicy
) -> Goal | None:
    """What leads a member upwards; None at the top, in a segment filled by hand, or where nothing more can be asked."""
    present = by_code(code, rules)
    if present is not None and present.is_manual:
        return None
    above = [rule for rule in rules if not rule.is_manual and (present is None or _height(rule) > _height(present))]
    rule = min(above, key=_height, default=None)
    if rule is None or _meets(purchases, rule, policy):
        return None
    orders = None if rule.min_orders is None else max(0, rule.min_orders - purchases.orders)
    kopecks = None if rule.min_spent_kopecks is None else max(0, rule.min_spent_kopecks - purchases.spent_kopecks)
    if not orders and not kopecks:
        return Goal(rule.title, 1, None, needs_both=False)  # the money is there, the order is not
    return Goal(rule.title, orders or None, kopecks or None, needs_both=policy.match == "all")


def by_code(code: str | None, rules: Sequence[SegmentRule]) -> SegmentRule | None:
    """The segment with this code, None if the present rules have none."""
    return next((rule for rule in rules if rule.code == code), None)


def _meets(purchases: Purchases, rule: SegmentRule, policy: SegmentPolicy | None) -> bool:
    if purchases.orders == 0:
        return False
    conditions = []
    if rule.min_orders is not None:
        conditions.append(purchases.orders >= rule.min_orders)
    if rule.min_spent_kopecks is not None:
        conditions.append(purchases.spent_kopecks >= rule.min_spent_kopecks)
    return (all if policy is not None and policy.match == "all" else any)(conditions)


def _height(rule: SegmentRule) -> tuple[float, int, str]:
    """Higher is harder to reach: by orders, then by money; one that asks for money alone stands above those that ask
    for orders alone. The code settles what is equal."""
    orders = rule.min_orders if rule.min_orders is not None else (inf if rule.min_spent_kopecks else 0)
    return orders, rule.min_spent_kopecks or 0, rule.code
