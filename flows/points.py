"""Points follow the facts: one order is brought to its target, and with it everything that depends on it.

Runs inside the caller's transaction. Lock order: the caller holds the order row, this module takes the member row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from flows import book, crm_purchases, segmenting
from flows.order_sheet import read_sheet, state_of, terms_of
from loyalty import accrual, calendar, redemption, reversal
from loyalty.account import Cause
from loyalty.orders import is_paid_without_points, money_of
from loyalty.redemption import Spent
from storage import holds, lots, orders, outbox

if TYPE_CHECKING:
    from datetime import datetime

    from flows.order_sheet import Sheet
    from flows.runtime import Runtime
    from loyalty.account import Account
    from loyalty.accrual import OrderState, Outcome, Terms
    from loyalty.ledger import Lot
    from storage.holds import Hold
    from storage.orders import Counted, Order

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Spending:
    """The points that pay for an order, how many of them were captured just now, and the order's hold from now on."""

    hold_id: int | None
    spent: Spent = accrual.NOTHING_SPENT
    captured: int = 0


def converge_order(tx: sa.Connection, rt: Runtime, order: Order, *, occurred_at: datetime, now: datetime) -> str:
    """Brings the order's points to what its facts are worth, and everything that follows from it.

    `order` is locked and has a member. Returns a line for the inbox row. Steps: read facts; bring the member up to
    date; capture the hold of a paid order; decide; post; segment; mark CRM, feed and card out of date.
    """
    sheet = read_sheet(tx, rt, order, occurred_at=occurred_at)
    terms, limit_reason = terms_of(tx, sheet)
    account = book.open_account(tx, rt, sheet.member, now=now, more=_touched_lots(tx, sheet, now=now))
    spending = _spend(tx, rt, sheet, terms, account, now=now)
    state = state_of(sheet, terms, spending.spent, account)
    _know_enough(tx, account, state, sheet.member.id, now=now)
    outcome = accrual.converge(account, state, now=now)
    book.bring_up_to_date(account, rt, now=now)
    decision = book.save(tx, rt, sheet.member.id, account, occurred_at=occurred_at)
    binding = limit_reason if outcome.target.limit == "limit" else outcome.target.limit
    result = _counted(sheet, terms, outcome, spending, is_changed=bool(decision), limit_reason=binding)
    orders.save_result(tx, order.id, result)
    if outcome.target.is_kept and order.counted_at is None:
        _extend_idle(tx, sheet)
    moved = segmenting.look_again(tx, rt, sheet.member, now=now)
    if moved and not decision:
        book.mark_out_of_date(tx, rt, sheet.member.id, now=now)
    is_counted_now = order.counted_at is None and result.counted_at is not None
    if order.kept_kopecks != result.kept_kopecks or order.is_kept != result.is_kept:
        crm_purchases.tell(tx, rt, order, now=now)
    _tell_deal(tx, rt, order, is_moved=bool(decision), is_counted_now=is_counted_now, now=now)
    return f"операций: {len(decision.transfers)}" if decision else "ничего не изменилось"


def _touched_lots(tx: sa.Connection, sheet: Sheet, *, now: datetime) -> tuple[Lot, ...]:
    found = lots.for_order(tx, sheet.member.id, sheet.order.id, now=now)
    if sheet.hold is None:
        return found
    taken_from = [one.lot_key for one in holds.allocations(tx, sheet.hold.id)]
    return (*found, *lots.by_keys(tx, taken_from))


def _spend(tx: sa.Connection, rt: Runtime, sheet: Sheet, terms: Terms, account: Account, *, now: datetime) -> Spending:
    """The points that pay for this order. A paid order captures its open hold."""
    hold, order = sheet.hold, sheet.order
    if hold is None:
        return Spending(order.hold_id)
    allocations = holds.allocations(tx, hold.id)
    spread = hold.spread if order.basket is not None else ()
    if hold.state == "captured":
        earlier = order.redeemed - hold.points
        return Spending(hold.id, Spent(spread, allocations, order.restored - earlier))
    spent = Spent(spread, allocations)
    if not accrual.target_of(state_of(sheet, terms, spent, account)).is_kept:
        return Spending(hold.id)
    is_unused = is_paid_without_points(sheet.facts, money_of(sheet.facts, sheet.programme.accrual))
    if hold.state == "expired":
        is_too_late = order.counted_at is not None or is_unused
        return Spending(hold.id) if is_too_late else _take_again(tx, rt, sheet, hold, account, now=now)
    if is_unused:
        redemption.release(account, allocations, cause=Cause(order_id=order.id, hold_id=hold.id, rule="redeem.hold"))
        holds.close(tx, hold.id, state="released", now=now)
        return Spending(None)
    redemption.capture(account, allocations, cause=Cause(order_id=order.id, hold_id=hold.id, rule="redeem"))
    holds.close(tx, hold.id, state="captured", now=now)
    return Spending(hold.id, spent, hold.points)


def _take_again(
    tx: sa.Connection, rt: Runtime, sheet: Sheet, old: Hold, account: Account, *, now: datetime
) -> Spending:
    """The buyer paid the lower price after his hold had run out: the points are taken now if he still has them."""
    account.know(lots.open_lots(tx, sheet.member.id, enough=old.points, now=now))
    if sum(lot.available for lot in account.spendable(now=now)) < old.points:
        _log.warning("expired_hold_not_covered", order_id=sheet.order.id, points=old.points)
        return Spending(old.id)
    new = holds.again(old, public_id=rt.new_id("hold"), expires_at=now)
    renewed = holds.add(tx, new, now=now)
    cause = Cause(order_id=sheet.order.id, hold_id=renewed.id, rule="redeem")
    before = len(account.decision.transfers)
    redemption.take(account, old.points, cause=cause, now=now)
    taken = tuple(redemption.Allocation(one.lot_key or "", one.points) for one in account.decision.transfers[before:])
    redemption.capture(account, taken, cause=cause)
    holds.close(tx, renewed.id, state="captured", now=now)
    spread = old.spread if sheet.order.basket is not None else ()
    return Spending(renewed.id, Spent(spread, taken), old.points)


def _extend_idle(tx: sa.Connection, sheet: Sheet) -> None:
    """Where points live as long as one buys, they live from his newest order on, whichever was told last."""
    rules = sheet.programme.accrual
    newest = orders.newest_kept_at(tx, sheet.member.id)
    if rules.expire_idle is None or newest is None:
        return
    until = calendar.expiry_at(newest, rules.expire_idle, sheet.programme.timezone)
    if until is not None:
        lots.extend_idle(tx, sheet.member.id, until=until)


def _know_enough(tx: sa.Connection, account: Account, state: OrderState, member_id: int, *, now: datetime) -> None:
    """If the order's own lots do not hold what must be taken back, the member's other open lots are read."""
    demand = accrual.demand_of(state, accrual.target_of(state))
    owed = reversal.still_owed(account, demand)
    if owed > reversal.held(account, demand):
        account.know(lots.open_lots(tx, member_id, enough=owed, now=now))


def _counted(
    sheet: Sheet, terms: Terms, outcome: Outcome, spending: Spending, *, is_changed: bool, limit_reason: str | None
) -> Counted:
    order, target = sheet.order, outcome.target
    first_earned_at = sheet.earned_at if target.is_kept else None
    pinned = terms if target.is_kept or order.counted_at is not None else None
    return orders.Counted(
        kept_kopecks=target.kept_kopecks,
        paid_at=order.paid_at or first_earned_at,
        revision=order.revision + is_changed,
        rules_version=sheet.rules_version if pinned or is_changed else order.rules_version,
        segment_code=pinned.segment_code if pinned else None,
        is_greeted=bool(pinned and pinned.is_greeted),
        earn_cap=pinned.earn_cap if pinned else None,
        limit_reason=limit_reason if pinned else None,
        counted_at=order.counted_at or first_earned_at,
        accrued=target.accrued,
        welcomed=target.welcomed,
        reversed=order.reversed + outcome.reversed,
        redeemed=order.redeemed + spending.captured + outcome.spent_again,
        restored=order.restored + outcome.restored,
        forgiven=order.forgiven + outcome.forgiven,
        is_kept=target.is_kept,
        hold_id=spending.hold_id,
    )


def _tell_deal(
    tx: sa.Connection, rt: Runtime, order: Order, *, is_moved: bool, is_counted_now: bool, now: datetime
) -> None:
    """The deal's feed and fields follow its points; a repeated message is not told again."""
    if order.deal_ref is None or rt.crm is None:
        return
    if is_moved and rt.crm_names.note_to_feed:
        outbox.add(tx, "note", [order.id], now=now)
    if (is_moved or is_counted_now) and rt.crm_names.lead_fields:
        outbox.add(tx, "deal", [order.id], now=now)
