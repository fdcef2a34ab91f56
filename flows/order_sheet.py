"""All that is known when one order is decided about, read in one place.

Reads only; the decision is `loyalty.accrual`, the writing `points.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows import book
from loyalty import accrual, calendar, limits
from loyalty.basket import Basket
from loyalty.orders import OrderFacts
from loyalty.rules import Duration
from storage import holds, lots, orders, payments

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from flows.runtime import Runtime
    from loyalty.account import Account
    from loyalty.accrual import OrderState, Terms
    from loyalty.orders import PaymentTotals
    from loyalty.programme import Programme
    from loyalty.redemption import Spent
    from storage.holds import Hold
    from storage.members import Member
    from storage.orders import Order, Others

FOR_EVER = Duration(120, "months")
"""A window for rules that have none."""


@dataclass(frozen=True)
class Sheet:
    """All that is known when one order is decided about. `earned_at` dates new points."""

    order: Order
    member: Member
    hold: Hold | None
    programme: Programme
    rules_version: str
    facts: OrderFacts
    others: Others
    earned_at: datetime


def read_sheet(tx: sa.Connection, rt: Runtime, order: Order, *, occurred_at: datetime) -> Sheet:
    if order.member_id is None:
        raise ValueError("an order without a member cannot earn")
    totals, captured_at = payments.totals(tx, order.id)
    member = book.lock(tx, order.member_id)
    hold = None if order.hold_id is None else holds.by_id(tx, order.hold_id)
    version = order.rules_version or (hold.rules_version if hold is not None else rt.rules_version)
    programme = rt.programme_of(tx, version)
    if hold is not None and not _counts(hold, totals, programme):
        hold = None
    price = _full_kopecks(order, hold)
    facts = OrderFacts(
        payments=totals,
        is_stage_paid=order.is_stage_paid,
        price_kopecks=price_in_money(order, hold, programme),
        shop_paid_kopecks=order.shop_paid_kopecks,
        shop_returned_kopecks=order.shop_returned_kopecks,
        returned=order.returned,
        due_kopecks=price - _discount_kopecks(hold, programme) if price else None,
        full_kopecks=price if hold is not None else None,
    )
    earned_at = captured_at or order.shop_paid_at or occurred_at
    others = orders.others(
        tx,
        member.id,
        except_order=order.id,
        day=calendar.day_bounds(earned_at, programme.timezone),
        period_from=calendar.ago(earned_at, programme.limits.period, programme.timezone),
    )
    return Sheet(order, member, hold, programme, version, facts, others, earned_at)


def price_in_money(order: Order, hold: Hold | None, programme: Programme) -> int:
    """The deal's price less what points pay of it. A manager who lowers the price himself after the points were held
    gives the same discount, not another one."""
    if hold is None or hold.state == "expired":
        return order.price_kopecks
    discount = _discount_kopecks(hold, programme)
    if order.price_kopecks >= hold.total_kopecks:
        return max(0, order.price_kopecks - discount)
    return min(order.price_kopecks, max(0, hold.total_kopecks - discount))


def _full_kopecks(order: Order, hold: Hold | None) -> int:
    """What the order costs when no points pay for it; 0 if nobody said."""
    told = order.price_kopecks if order.basket is None else Basket.from_data(order.basket).total_kopecks
    return told if hold is None else max(told, hold.total_kopecks)


def _discount_kopecks(hold: Hold | None, programme: Programme) -> int:
    """What the points of a hold that still stands take off the price."""
    return 0 if hold is None or hold.state == "expired" else hold.points * programme.point_value_kopecks


def _counts(hold: Hold, totals: Sequence[PaymentTotals], programme: Programme) -> bool:
    """A hold that the buyer has not confirmed counts only if he confirmed it with his money, by paying the lower price
    and not the full one: a manager's word alone spends nobody's points."""
    if hold.state != "unconfirmed":
        return hold.state != "released"
    came = sum(payment.captured_kopecks for payment in totals)
    return came > 0 and hold.total_kopecks - _discount_kopecks(hold, programme) <= came < hold.total_kopecks


def terms_of(tx: sa.Connection, sheet: Sheet) -> tuple[Terms, str | None]:
    """Settled at the first counting, kept from then on. Second value: the limit that would bind."""
    order, member = sheet.order, sheet.member
    if order.counted_at is not None:
        is_greeted = order.is_greeted and (order.welcomed > 0 or not _greeted_elsewhere(tx, sheet))
        kept = accrual.Terms(sheet.programme, sheet.rules_version, order.segment_code, is_greeted, order.earn_cap)
        return kept, order.limit_reason
    others = sheet.others
    used = limits.Used(others.accruals_today, others.points_today, others.points_in_period)
    allowance = limits.allowance(sheet.programme.limits, used)
    welcome = sheet.programme.welcome
    is_greeted = (
        welcome is not None and welcome.on == "first_payment" and others.kept == 0 and not _greeted_elsewhere(tx, sheet)
    )
    terms = accrual.Terms(sheet.programme, sheet.rules_version, member.segment_code, is_greeted, allowance.points)
    return terms, allowance.reason


def _greeted_elsewhere(tx: sa.Connection, sheet: Sheet) -> bool:
    """An order that came back, and was paid again after another had brought the welcome points, brings none."""
    return lots.has_live_welcome(tx, sheet.member.id, except_order=sheet.order.id)


def state_of(sheet: Sheet, terms: Terms, spent: Spent, account: Account) -> OrderState:
    order = sheet.order
    own = tuple(
        lot.key for lot in account.lots.values() if lot.order_id == order.id and lot.source in ("accrual", "welcome")
    )
    return accrual.OrderState(
        order_id=order.id,
        revision=order.revision,
        basket=None if order.basket is None else Basket.from_data(order.basket),
        facts=sheet.facts,
        paid_at=sheet.earned_at,
        counted_at=order.counted_at or sheet.earned_at,
        terms=terms,
        spent=spent,
        posted=accrual.Posted(order.accrued, order.welcomed, order.reversed, order.forgiven, own),
        spent_elsewhere=sheet.others.points_spent,
    )
