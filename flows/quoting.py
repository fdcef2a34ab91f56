"""What an order would cost, spend and earn if it were paid now: the answer to a site's or a till's question.

Changes nothing, reserves nothing and waits for nobody: it locks no row. The calculation is the same that decides when
the order is paid, with the member's limits and his welcome points; why it came out so is told line by line.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flows import book, people
from flows.refusals import PointsOutOfRange
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
    from loyalty.limits import Allowance
    from loyalty.programme import Programme
    from storage.members import Member
    from storage.orders import Order, Others


POINTS_MAX = 2**31 - 1
"""What an account holds, as its column is made."""


@dataclass(frozen=True)
class Quoted:
    """`welcome`: points that come with the first order besides `will_accrue`, or in its place; `limit_reason` is the
    limit that lowered the accrual. `lines` tell the whole calculation, each with the line of the rules file it follows;
    their points sum to what the order earns less what it spends."""

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
    BadEmail, PointsOutOfRange."""
    now, active = rt.now(), rt.active  # once: another thread may take new rules over meanwhile
    programme = active.programme
    with rt.db.begin() as tx:
        member = people.find(tx, names)
        order = None if order_ref is None else orders.read_shop_order(tx, order_ref)
        balance = _free_points(tx, rt, member, order, now=now)
        others = _others(tx, programme, member, order, now=now)
        is_new = others.kept == 0 and not lots.has_live_welcome(tx, member.id)
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
    asked = Asked(redeem, balance, member.segment_code, now, allowance.reason)
    return _quoted(active, member, basket, found, asked, allowance, is_new=is_new)


def _quoted(
    active: ActiveRules,
    member: Member,
    basket: Basket,
    found: Checkout,
    asked: Asked,
    allowance: Allowance,
    *,
    is_new: bool,
) -> Quoted:
    """The calculation with what a first order brings; `is_new`: no order has greeted the member yet."""
    programme = active.programme
    rules = programme.welcome
    greeting = rules if is_new and rules is not None and rules.on == "first_payment" else None
    lines = explain.of_checkout(found, programme, basket, asked, rules_version=active.version)
    if greeting is not None:
        lines += explain.of_first_order(found, programme, at=asked.at, rules_version=active.version)
    is_replaced = greeting is not None and not greeting.with_base
    if is_replaced:  # the welcome points stand in for those of the order
        found = replace(found, lines=tuple(replace(line, earned=0) for line in found.lines))
    will_accrue = sum(line.earned for line in found.lines)
    welcome = 0 if greeting is None else greeting.points
    if member.balance.pending + member.balance.available + will_accrue + welcome > POINTS_MAX:
        raise PointsOutOfRange
    return Quoted(
        member=member,
        checkout=found,
        will_accrue=will_accrue,
        welcome=welcome,
        limit_reason=None if is_replaced else _limit_reason(found, allowance),
        available_at=calendar.activation_at(asked.at, programme.accrual.activate_after, programme.timezone),
        lines=[(line, active.lines.get(line.rule, 0)) for line in lines],
        rules_version=active.version,
    )


def _limit_reason(found: Checkout, allowance: Allowance) -> str | None:
    return allowance.reason if found.earned.limit == "limit" else found.earned.limit


def _free_points(tx: sa.Connection, rt: Runtime, member: Member, order: Order | None, *, now: datetime) -> int:
    free = book.open_account(tx, rt, member, now=now).balances["available"]
    if order is not None and order.hold_id is not None and order.member_id == member.id:
        own = holds.by_id(tx, order.hold_id)
        free += own.points if own.is_open else 0
    return free


def _others(tx: sa.Connection, programme: Programme, member: Member, order: Order | None, *, now: datetime) -> Others:
    zone = programme.timezone
    return orders.others(
        tx,
        member.id,
        except_order=0 if order is None else order.id,
        day=calendar.day_bounds(now, zone),
        period_from=calendar.ago(now, programme.limits.period, zone),
    )
