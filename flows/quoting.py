"""What an order would cost, spend and earn if it were paid now: the answer to a site's or a till's question.

Changes nothing and reserves nothing. The calculation is the same that decides when the order is paid, with the
member's limits and his welcome points; why it came out so is told line by line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows import book, people
from flows.order_sheet import FOR_EVER
from loyalty import calendar, checkout, explain, limits
from loyalty.explain import Asked
from storage import holds, lots, orders

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from flows.people import Names
    from flows.runtime import ActiveRules, Runtime
    from loyalty.basket import Basket
    from loyalty.checkout import Checkout
    from loyalty.explain import Line
    from storage.members import Member
    from storage.orders import Order, Others


@dataclass(frozen=True)
class Quoted:
    """`welcome`: points that come with the first order besides `will_accrue`; `limit_reason` is the limit that lowered
    the accrual. `lines` tell the whole calculation, each with the line of the rules file it follows."""

    member: Member
    checkout: Checkout
    will_accrue: int
    welcome: int
    limit_reason: str | None
    available_at: datetime
    lines: Sequence[tuple[Line, int]]
    rules_version: str


def quote(rt: Runtime, names: Names, basket: Basket, *, redeem: int, order_ref: str | None = None) -> Quoted:
    """Points that lie reserved on this very order count as free. Raises MemberNotFound, SeveralMembers, BadPhone,
    BadEmail."""
    now = rt.now()
    with rt.db.begin() as tx:
        member = people.find(tx, names)
        order = None if order_ref is None else orders.find_shop_order(tx, order_ref)
        balance = _free_points(tx, rt, member, order, now=now)
        others = _others(tx, rt, member, order, now=now)
        has_welcome = lots.has_live_welcome(tx, member.id)
    active = rt.active
    programme = active.programme
    used = limits.Used(others.accruals_today, others.points_today, others.points_in_period)
    allowance = limits.allowance(programme.limits, used)
    found = checkout.checkout(
        programme,
        basket,
        segment_code=member.segment_code,
        balance=balance,
        requested=redeem,
        at=now,
        earn_cap=allowance.points,
    )
    rules = programme.welcome
    is_greeted = rules is not None and rules.on == "first_payment" and others.kept == 0 and not has_welcome
    asked = Asked(redeem, balance, member.segment_code, now, allowance.reason)
    return Quoted(
        member=member,
        checkout=found,
        will_accrue=0 if is_greeted and rules is not None and not rules.with_base else found.earned.total,
        welcome=rules.points if is_greeted and rules is not None else 0,
        limit_reason=allowance.reason if found.earned.limit == "limit" else found.earned.limit,
        available_at=calendar.activation_at(now, programme.accrual.activate_after, programme.timezone),
        lines=_explained(active, found, basket, asked, is_greeted=is_greeted),
        rules_version=active.version,
    )


def _free_points(tx: sa.Connection, rt: Runtime, member: Member, order: Order | None, *, now: datetime) -> int:
    free = book.open_account(tx, rt, member, now=now).balances["available"]
    if order is not None and order.hold_id is not None and order.member_id == member.id:
        own = holds.by_id(tx, order.hold_id)
        free += own.points if own.is_open else 0
    return free


def _others(tx: sa.Connection, rt: Runtime, member: Member, order: Order | None, *, now: datetime) -> Others:
    programme, zone = rt.programme, rt.programme.timezone
    return orders.others(
        tx,
        member.id,
        except_order=0 if order is None else order.id,
        at=now,
        day=calendar.day_bounds(now, zone),
        window_from=calendar.ago(now, programme.segment_policy.window or FOR_EVER, zone),
        period_from=calendar.ago(now, programme.limits.period, zone),
    )


def _explained(
    active: ActiveRules, found: Checkout, basket: Basket, asked: Asked, *, is_greeted: bool
) -> Sequence[tuple[Line, int]]:
    lines = explain.of_checkout(found, active.programme, basket, asked, rules_version=active.version)
    if is_greeted:
        lines += explain.of_welcome(active.programme, at=asked.at, rules_version=active.version)
    return [(line, active.lines.get(line.rule, 0)) for line in lines]
