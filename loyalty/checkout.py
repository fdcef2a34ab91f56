"""The order of operations at checkout: what may be spent, how it lies on the lines, what is due, what is earned.

One function answers the site's quote, the manager's field, the till, `kopilka try` and the paid order itself.
Source: specification of points, section 5.3 and examples V04-V06.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from loyalty import earning
from loyalty.segments import by_code
from loyalty.spreading import spread_within

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from loyalty.basket import Basket
    from loyalty.earning import Earned
    from loyalty.programme import Programme

Refusal = Literal["redeem_off", "nothing_eligible", "no_points", "below_minimum"]
"""Why nothing is spent although it was asked."""


@dataclass(frozen=True)
class Spending:
    """`base_kopecks` is the eligible price; `cap_points` the share of it that points may pay, `cap_rule` the rule that
    set the share; `max_points` what this member may spend on this order; `spread` the points of each line."""

    base_kopecks: int
    share_bps: int
    cap_points: int
    cap_rule: str
    max_points: int
    points: int
    spread: tuple[int, ...]
    refusal: Refusal | None


@dataclass(frozen=True)
class CheckoutLine:
    """One line of the answer; `due_kopecks` is what is paid in money for it."""

    net_kopecks: int
    points_spent: int
    due_kopecks: int
    earn_base_kopecks: int
    earned: int


@dataclass(frozen=True)
class Checkout:
    lines: tuple[CheckoutLine, ...]
    spending: Spending
    delivery_kopecks: int
    due_kopecks: int
    earn_base_kopecks: int
    earned: Earned


def checkout(
    programme: Programme,
    basket: Basket,
    *,
    segment_code: str | None,
    balance: int,
    requested: int,
    at: datetime,
    earn_cap: int | None = None,
) -> Checkout:
    """The whole calculation for a member with `balance` spendable points who asks to spend `requested`."""
    spending = spend(programme, basket, segment_code=segment_code, balance=balance, requested=requested)
    return priced(programme, basket, spending, segment_code=segment_code, at=at, earn_cap=earn_cap)


def spend(programme: Programme, basket: Basket, *, segment_code: str | None, balance: int, requested: int) -> Spending:
    """How many of the requested points this order takes: never above the share, the balance or the order's limit."""
    rules = programme.redeem
    if rules is None:
        refusal: Refusal | None = "redeem_off" if requested > 0 else None
        return Spending(0, 0, 0, "redeem", 0, 0, (0,) * len(basket.lines), refusal)
    weights = [
        net if earning.takes_part(rules.exclude, line) else 0
        for line, net in zip(basket.lines, basket.net_kopecks(), strict=True)
    ]
    base = sum(weights)
    segment = by_code(segment_code, programme.segments)
    share_bps, cap_rule = rules.max_share_bps, "redeem.max_share"
    if segment is not None and segment.max_share_bps is not None:
        share_bps, cap_rule = segment.max_share_bps, f"segments.{segment.code}.max_share"
    value = programme.point_value_kopecks
    cap = base * share_bps // (earning.BPS_IN_WHOLE * value)
    if rules.max_points is not None and rules.max_points < cap:
        cap, cap_rule = rules.max_points, "redeem.max_points"
    allowed = max(0, min(balance, cap))
    asked = min(requested, allowed)
    refusal = None if requested <= 0 else _refusal(base, allowed, asked, rules.min_points)
    points = 0 if refusal else max(0, asked)
    parts = spread_within(points, weights, [weight // value for weight in weights])
    if points > 0 and sum(parts) < rules.min_points:  # the lines are too cheap to bear so many whole points
        refusal, parts = "below_minimum", [0] * len(parts)
    return Spending(base, share_bps, cap, cap_rule, allowed, sum(parts), tuple(parts), refusal)


def priced(
    programme: Programme,
    basket: Basket,
    spending: Spending,
    *,
    segment_code: str | None,
    at: datetime,
    earn_cap: int | None = None,
) -> Checkout:
    """The money and the points of an order on which `spending` lies."""
    value = programme.point_value_kopecks
    net = basket.net_kopecks()
    dues = [price - points * value for price, points in zip(net, spending.spread, strict=True)]
    bases = earn_bases(programme, basket, net, dues)
    earned = earning.earn(programme, basket, bases, segment_code=segment_code, at=at, cap=earn_cap)
    lines = tuple(CheckoutLine(*parts) for parts in zip(net, spending.spread, dues, bases, earned.points, strict=True))
    due = sum(dues) + basket.delivery_kopecks
    return Checkout(lines, spending, basket.delivery_kopecks, due, sum(bases), earned)


def given(spread: Sequence[int]) -> Spending:
    """The spending of an order that has happened: how its points lie on the lines is known, nothing is asked."""
    points = sum(spread)
    return Spending(0, 0, points, "redeem", points, points, tuple(spread), None)


def earn_bases(programme: Programme, basket: Basket, net: Sequence[int], dues: Sequence[int]) -> list[int]:
    """What each line earns on: the money paid for it, or its price before points (preset `order_total`)."""
    amounts = net if programme.accrual.base == "order_total" else dues
    return [
        amount if earning.earns(programme.accrual, line) else 0
        for line, amount in zip(basket.lines, amounts, strict=True)
    ]


def _refusal(base: int, allowed: int, asked: int, min_points: int) -> Refusal | None:
    if base == 0:
        return "nothing_eligible"
    if allowed == 0:
        return "no_points"
    return "below_minimum" if asked < min_points else None
