"""Points of an order: the target, and the moves that bring what is posted to it.

Owns the base accrual, the welcome points, the capture of a hold and what a return undoes. An order converges:
target(facts, terms of its first counting) minus what is posted is written as one step, so a repeated, late or reordered
message writes nothing new. Source: specification of points, sections 5.2-5.4 and examples V01-V08, V12-V17, V20, V23.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from loyalty import calendar, checkout, earning, redemption, reversal
from loyalty.account import Cause
from loyalty.basket import whole_sum
from loyalty.granting import Grant, grant
from loyalty.orders import Remains, is_paid_without_points, money_of, points_back_by_sum, remains
from loyalty.redemption import Spent
from loyalty.reversal import Demand

if TYPE_CHECKING:
    from datetime import datetime

    from loyalty.account import Account
    from loyalty.basket import Basket
    from loyalty.earning import Earned
    from loyalty.ledger import Account as AccountName
    from loyalty.orders import Money, OrderFacts
    from loyalty.programme import Programme


@dataclass(frozen=True)
class Terms:
    """What was settled when the order was counted first and holds for it from then on: the rules and their version, the
    member's segment before this order, whether it carries the welcome points, what the limits left it."""

    programme: Programme
    rules_version: str
    segment_code: str | None = None
    is_greeted: bool = False
    earn_cap: int | None = None


@dataclass(frozen=True)
class Posted:
    """What earlier decisions wrote for the order; `own_keys` are the lots it opened, oldest first. `forgiven`: of what
    was reversed, the points that could not be taken and that the member still has."""

    accrued: int = 0
    welcomed: int = 0
    reversed: int = 0
    forgiven: int = 0
    own_keys: tuple[str, ...] = ()


NOTHING_SPENT = Spent()
NOTHING_POSTED = Posted()


@dataclass(frozen=True)
class OrderState:
    """An order at the moment of decision. `revision` counts its earlier decisions, `paid_at` dates new points,
    `counted_at` is the first such date and decides which multipliers are in force, `spent_elsewhere` are the points
    spent on other orders that the member keeps."""

    order_id: int
    revision: int
    basket: Basket | None
    facts: OrderFacts
    paid_at: datetime
    counted_at: datetime
    terms: Terms
    spent: Spent = NOTHING_SPENT
    posted: Posted = NOTHING_POSTED
    spent_elsewhere: int = 0


@dataclass(frozen=True)
class Target:
    """What the order should have posted: base points, welcome points, spent points given back. `multipliers`: titles of
    those that raised the base points."""

    accrued: int
    welcomed: int
    restored: int
    is_kept: bool
    kept_kopecks: int
    limit: str | None
    multipliers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What the order has posted after the decision, and what the decision changed: points taken back (less than nothing
    if earlier forgiveness was undone), given back, spent again, forgiven."""

    target: Target
    reversed: int
    restored: int
    spent_again: int = 0
    forgiven: int = 0


def target_of(order: OrderState) -> Target:
    """The points this order is worth by its facts and terms alone."""
    terms, facts = order.terms, order.facts
    money = money_of(facts, terms.programme.accrual)
    spent = order.spent
    if is_paid_without_points(facts, money):
        order = replace(order, spent=NOTHING_SPENT)
    if order.basket is None:
        left, by_rules = _remains_of_sum(order, money)
    else:
        left, by_rules = _remains_of_basket(order, order.basket, money)
    if not money.is_paid:
        left = Remains(0, spent.points, is_kept=False)
    elif order.spent is not spent:
        left = replace(left, returned_points=spent.points)
    welcome = terms.programme.welcome
    welcomed = welcome.points if welcome is not None and terms.is_greeted and left.is_kept else 0
    accrued = 0 if welcomed and welcome is not None and not welcome.with_base else left.earned
    restored = left.returned_points if terms.programme.refund.return_redeemed else 0
    raised_by = tuple(one.title for one in by_rules.multipliers)
    return Target(accrued, welcomed, restored, left.is_kept, left.kept_kopecks, by_rules.limit, raised_by)


def converge(account: Account, order: OrderState, *, now: datetime) -> Outcome:
    """Everything the present facts of one order change for its member. Spent points come back before earned ones are
    taken, so that a debt arises only where something is really missing."""
    target = target_of(order)
    prefix = f"order:{order.order_id}:r{order.revision + 1}"
    back = target.restored - order.spent.restored_before
    if back > 0:
        redemption.restore(
            account,
            order.spent,
            back,
            programme=order.terms.programme,
            key_prefix=prefix,
            order_id=order.order_id,
            now=now,
        )
    spent_again = redemption.spend_again(account, -back, order_id=order.order_id, key_prefix=prefix) if back < 0 else 0
    taken, forgiven = _take_back(account, order, target, prefix)
    more, more_welcome = target.accrued - order.posted.accrued, target.welcomed - order.posted.welcomed
    undone = _undo_forgiveness(account, order, max(0, more) + max(0, more_welcome), prefix)
    _grant_base(account, order, target, more - undone, prefix)
    _grant_welcome(account, order, more_welcome - max(0, undone - max(0, more)), prefix)
    return Outcome(target, taken - undone, max(0, back), spent_again, forgiven - undone)


def demand_of(order: OrderState, target: Target) -> Demand:
    """What must be taken back to come down to the target."""
    down = {
        "accrual": max(0, order.posted.accrued - target.accrued),
        "welcome": max(0, order.posted.welcomed - target.welcomed),
    }
    spent_here = max(0, order.spent.points - target.restored) if target.is_kept else 0
    return Demand(
        points=sum(down.values()),
        sources=tuple(source for source, points in down.items() if points),
        own_keys=order.posted.own_keys,
        reversed_before=order.posted.reversed,
        spent_elsewhere=order.spent_elsewhere + spent_here,
    )


def _remains_of_sum(order: OrderState, money: Money) -> tuple[Remains, Earned]:
    """Only sums are known: the rate is that of the whole order, the points are those of the money kept."""
    terms = order.terms
    spent_kopecks = order.spent.points * terms.programme.point_value_kopecks
    whole = whole_sum(money.paid_kopecks + spent_kopecks)
    rate = earning.order_rate(terms.programme, sum(whole.net_kopecks()), segment_code=terms.segment_code, method=None)
    is_covered = _is_covered_by_points(order, money)
    base = money.kept_kopecks
    if terms.programme.accrual.base == "order_total":
        kept, paid = (1, 1) if is_covered else (money.kept_kopecks, max(1, money.paid_kopecks))
        base += spent_kopecks * kept // paid
    earned = earning.earn(
        terms.programme,
        whole,
        [base],
        segment_code=terms.segment_code,
        at=order.counted_at,
        cap=terms.earn_cap,
        rate=rate,
    )
    back = 0 if is_covered else points_back_by_sum(order.spent.points, money)
    kept = money.kept_kopecks
    return Remains(earned.total, back, is_kept=kept > 0 or is_covered, kept_kopecks=kept), earned


def _is_covered_by_points(order: OrderState, money: Money) -> bool:
    """Points pay the whole price: the order is paid although it brings no money."""
    has_moved_money = any(payment.moved_money for payment in order.facts.payments)
    return money.is_paid and money.paid_kopecks == 0 and order.spent.points > 0 and not has_moved_money


def _remains_of_basket(order: OrderState, basket: Basket, money: Money) -> tuple[Remains, Earned]:
    terms = order.terms
    spread = order.spent.spread or (0,) * len(basket.lines)
    priced = checkout.priced(
        terms.programme,
        basket,
        checkout.given(spread),
        segment_code=terms.segment_code,
        at=order.counted_at,
        earn_cap=terms.earn_cap,
    )
    return remains(basket, priced.lines, money, order.facts), priced.earned


def _take_back(account: Account, order: OrderState, target: Target, prefix: str) -> tuple[int, int]:
    """Points reversed, and how many of them were only forgiven."""
    demand = demand_of(order, target)
    if demand.points == 0:
        return 0, 0
    cause = Cause(order_id=order.order_id, rule="refund.take_back_accrued")
    return reversal.take_back(account, demand, order.terms.programme, key_prefix=f"{prefix}:take", cause=cause)


def _undo_forgiveness(account: Account, order: OrderState, points: int, prefix: str) -> int:
    """Points that could not be taken when the order came back are still the member's: the order that is paid again has
    earned those, and no others."""
    undone = min(points, order.posted.forgiven)
    if undone > 0:
        path: tuple[AccountName, AccountName] = ("reversed", "shortfall")
        cause = Cause(order_id=order.order_id, rule="refund.take_back_accrued")
        version = order.terms.rules_version
        account.move("write_off", undone, path, key=f"{prefix}:unforgive", cause=cause, rules_version=version)
    return undone


def _grant_base(account: Account, order: OrderState, target: Target, points: int, prefix: str) -> None:
    if points <= 0:
        return
    rules, zone = order.terms.programme.accrual, order.terms.programme.timezone
    plan = Grant(
        key=f"{prefix}:base",
        source="accrual",
        move="accrue",
        points=points,
        at=order.paid_at,
        delay=rules.activate_after,
        lifetime=rules.expire_after,
        expires_at=None if rules.expire_idle is None else calendar.expiry_at(order.paid_at, rules.expire_idle, zone),
    )
    _grant(account, order, plan, rule=_rate_rule(order), reason=_beside_the_rate(target))


def _grant_welcome(account: Account, order: OrderState, points: int, prefix: str) -> None:
    rules = order.terms.programme.welcome
    if points <= 0 or rules is None:
        return
    plan = Grant(
        key=f"{prefix}:welcome",
        source="welcome",
        move="welcome",
        points=points,
        at=order.paid_at,
        delay=rules.activate_after,
        lifetime=rules.expire_after,
    )
    _grant(account, order, plan, rule="welcome.points")


def _beside_the_rate(target: Target) -> str | None:
    """What else made these points as many as they are, for whoever multiplies the price by the rate."""
    raised = [f"с множителем «{title}»" for title in target.multipliers]
    limited = ["не больше предела правил"] if target.limit is not None else []
    return ", ".join(raised + limited) or None


def _grant(account: Account, order: OrderState, plan: Grant, *, rule: str, reason: str | None = None) -> None:
    cause = Cause(order_id=order.order_id, rule=rule, reason=reason)
    version, zone = order.terms.rules_version, order.terms.programme.timezone
    grant(account, plan, timezone=zone, rules_version=version, cause=cause)


def _rate_rule(order: OrderState) -> str:
    """The rule that set the order's rate: cited by every line about these points."""
    terms = order.terms
    money = money_of(order.facts, terms.programme.accrual)
    spent_kopecks = order.spent.points * terms.programme.point_value_kopecks
    goods = money.paid_kopecks + spent_kopecks if order.basket is None else sum(order.basket.net_kopecks())
    method = None if order.basket is None else order.basket.method
    return earning.order_rate(terms.programme, goods, segment_code=terms.segment_code, method=method).rule
