"""Points follow the facts: one order is brought to its target, due lots become available.

Runs inside the caller's transaction. Lock order: the caller holds the order row, this module takes the member row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from loyalty import accrual, activation, segments
from loyalty.orders import OrderFacts, kept_kopecks
from storage import ledger, members, orders, outbox
from storage.db import refusal

if TYPE_CHECKING:
    from datetime import datetime

    from flows.runtime import Runtime
    from storage.members import Member
    from storage.orders import Order

ACTIVATION_BATCH = 200

_log = structlog.get_logger(__name__)


def converge_order(tx: sa.Connection, rt: Runtime, order: Order, *, occurred_at: datetime, now: datetime) -> str:
    """Brings the order's points to what its facts are worth, and everything that follows from it.

    `order` is locked and has a member. Returns a line for the inbox row. Steps: read facts; decide; post; segment;
    activate what is due; mark CRM, feed and card out of date if anything changed.
    """
    if order.member_id is None:
        raise ValueError("an order without a member cannot earn")
    payments, captured_at = orders.payment_totals(tx, order.id)
    member = members.lock(tx, order.member_id)
    version = order.rules_version or rt.rules_version
    programme = rt.programme_of(tx, version)
    kept = kept_kopecks(OrderFacts(payments, order.is_stage_paid, order.price_kopecks), programme.accrual)
    earned_at = captured_at or occurred_at
    kept_orders = orders.kept_by_others(tx, member.id, except_order=order.id) + (kept > 0)
    decision = accrual.converge(
        accrual.OrderState(
            order_id=order.id,
            revision=order.revision,
            kept_kopecks=kept,
            paid_at=earned_at,
            lots=ledger.order_lots(tx, order.id),
            programme=programme,
            rules_version=version,
        ),
        accrual.WelcomeState(member.id, ledger.welcome_lots(tx, member.id), kept_orders),
    )
    if decision:
        ledger.post(tx, member.id, decision, occurred_at=occurred_at, now=now)
    orders.save_result(
        tx,
        order.id,
        kept_kopecks=kept,
        paid_at=order.paid_at or (earned_at if kept else None),
        revision=order.revision + bool(decision),
        rules_version=version if decision or kept else order.rules_version,
    )
    activated = activate_due(tx, member.id, debt=member.balance.debt, now=now)
    moved = _follow_segment(tx, rt, member, kept_orders)
    if decision or activated or moved:
        mark_out_of_date(tx, rt, member.id, now=now)
    if decision and rt.crm is not None and rt.crm_names.note_to_feed:
        touched = {transfer.order_id for transfer in decision.transfers if transfer.order_id is not None}
        outbox.add(tx, "note", touched | {order.id}, now=now)
    return f"операций: {len(decision.transfers) + activated}" if decision or activated else "ничего не изменилось"


def mark_out_of_date(tx: sa.Connection, rt: Runtime, member_id: int, *, now: datetime) -> None:
    """CRM and Google no longer say what is true of this member."""
    if rt.crm is not None:
        outbox.add(tx, "crm", [member_id], now=now)
    if rt.google is not None:
        outbox.add(tx, "google", [member_id], now=now)


def activate_due(tx: sa.Connection, member_id: int, *, debt: int, now: datetime) -> int:
    """Posts the activation of the member's due lots; the caller holds the member's lock. Returns transfers posted."""
    decision = activation.activate(ledger.due_lots(tx, member_id, now=now), debt=debt, now=now)
    if decision:
        ledger.post(tx, member_id, decision, occurred_at=now, now=now)
    return len(decision.transfers)


def activate_members(rt: Runtime, *, now: datetime) -> int:
    """Activates points whose day has come, one short transaction per member. Returns members changed."""
    changed = 0
    while True:
        with rt.db.begin() as tx:
            due = members.with_due_lots(tx, now=now, limit=ACTIVATION_BATCH)
        done = sum(_activate_member(rt, member_id, now=now) for member_id in due)
        changed += done
        if len(due) < ACTIVATION_BATCH or done == 0:
            return changed


def _activate_member(rt: Runtime, member_id: int, *, now: datetime) -> bool:
    def work(tx: sa.Connection) -> int:
        member = members.lock(tx, member_id)
        posted = activate_due(tx, member_id, debt=member.balance.debt, now=now)
        if posted:
            mark_out_of_date(tx, rt, member_id, now=now)
        return posted

    try:
        return rt.db.run(work) > 0
    except sa.exc.IntegrityError as failure:  # one damaged account must not stop all others
        _log.error("activation_refused", member_id=member_id, error=refusal(failure))
        return False


def _follow_segment(tx: sa.Connection, rt: Runtime, member: Member, kept_orders: int) -> bool:
    rule = segments.segment_for(kept_orders, rt.programme.segments)
    code = None if rule is None else rule.code
    if code == member.segment_code:
        return False
    members.set_segment(tx, member.id, code)
    return True
