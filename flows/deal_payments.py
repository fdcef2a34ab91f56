"""What a deal in the CRM says of its money: status, sums, acquirer, day; and its stage, if the owner wants that.

Levels: `deal_fields.py` pushes the present state. A deal is moved once; whoever moves it back is not contradicted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from connector.acquiring import ACQUIRERS
from connector.amocrm.leads import DealChange
from flows import deal_stages
from flows.order_sheet import price_in_money
from storage import deal_marks, outbox, payments
from storage import holds as holds_storage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from connector.amocrm.client import AmoCrm
    from connector.amocrm.values import FieldValue
    from flows.runtime import Runtime
    from storage.orders import Order
    from storage.payments import Payment

KEYS = ("payment_status", "paid", "refunded", "acquirer", "paid_on")
"""Our keys of the fields that tell of money."""

_WITHOUT_MONEY = {
    "authorised": "сумма заморожена",
    "voided": "заморозка снята",
    "failed": "оплата не прошла",
}


def told(tx: sa.Connection, rt: Runtime, order: Order, *, now: datetime) -> None:
    """A payment of the order was heard of: the deal is to say so."""
    if order.deal_ref is None or rt.crm is None:
        return
    names = rt.crm_names
    if names.lead_fields or names.move_paid_deals or names.mark_invoices:
        outbox.add(tx, "deal", [order.id], now=now)


def fields(tx: sa.Connection, rt: Runtime, order: Order) -> dict[str, FieldValue]:
    """By our keys; nothing where no payment is known: what people wrote there stays."""
    found = payments.of_order(tx, order.id)
    if not found:
        return {}
    paid = sum(one.captured_kopecks for one in found)
    refunded = paid - sum(one.totals.kept_kopecks for one in found)
    days = [one.captured_at for one in found if one.captured_at is not None]
    zone = ZoneInfo(rt.programme.timezone)
    return {
        "payment_status": _status(found, paid, refunded),
        "paid": _roubles(paid),
        "refunded": _roubles(refunded),
        "acquirer": ", ".join(titles(found)),
        "paid_on": max(days).astimezone(zone).strftime("%d.%m.%Y") if days else "",
    }


def advance(rt: Runtime, crm: AmoCrm, found: Sequence[Order], hold: Callable[[], None]) -> None:
    """Puts deals that the bank says are paid in full into the paid stage. Raises ConnectorError, ClaimLost."""
    if not rt.crm_names.move_paid_deals:
        return
    with rt.db.begin() as tx:
        moved = deal_marks.stages_moved(tx, [order.id for order in found])
        due = [order for order in found if order.id not in moved and _is_paid(tx, rt, order)]
    if not due:
        return
    stages = deal_stages.paid(rt, crm)
    present = crm.deals([order.deal for order in due])
    changes = [
        DealChange(deal.id, {}, stages.entry)
        for deal in present.values()
        if not deal.is_deleted and (deal.pipeline_id, deal.status_id) in stages.before
    ]
    if changes:
        hold()
        crm.update_deals(changes)
    with rt.db.begin() as tx:  # only now: an attempt that failed is repeated, and finds deals that did move past it
        deal_marks.save_stage_moved(tx, [order.id for order in due])


def _is_paid(tx: sa.Connection, rt: Runtime, order: Order) -> bool:
    if order.is_stage_paid or order.price_kopecks == 0:
        return False
    kept = sum(one.totals.kept_kopecks for one in payments.of_order(tx, order.id))
    return kept >= price_left(tx, rt, order) > 0


def price_left(tx: sa.Connection, rt: Runtime, order: Order) -> int:
    """What of the deal's price must be paid in money."""
    held = None if order.hold_id is None else holds_storage.by_id(tx, order.hold_id)
    programme = rt.programme if held is None else rt.programme_of(tx, held.rules_version)
    return price_in_money(order, held, programme)


def titles(found: Sequence[Payment]) -> list[str]:
    """Acquirers that took money, as managers call them; while none has, those that tried."""
    took = [one for one in found if one.captured_kopecks] or found
    return sorted({_title(one.acquirer) for one in took})


def _status(found: Sequence[Payment], paid: int, refunded: int) -> str:
    if paid and refunded >= paid:
        return "возвращено"
    if refunded:
        return "возвращено частично"
    if paid:
        return "оплачено"
    return _WITHOUT_MONEY.get(found[-1].status, "возвращено" if found[-1].is_refund_total else "ожидает оплаты")


def _title(name: str) -> str:
    known = ACQUIRERS.get(name)
    return name if known is None else known.title_ru


def _roubles(kopecks: int) -> FieldValue:
    whole, rest = divmod(kopecks, 100)
    return whole if rest == 0 else f"{whole}.{rest:02}"
