"""The other two sides of a compared payment: the points of its order and the fields of its deal.

Each is brought to what the books say; without `repair` it is only said what would be. What acquirers say is
`reconciling.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from connector.amocrm.leads import Deal, deal_diff
from connector.errors import ConnectorError
from flows import deal_fields, deal_payments, points
from flows.settle import SetupIncomplete
from storage import deal_marks, orders, outbox

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    import sqlalchemy as sa

    from flows.reconciled import Line
    from flows.runtime import Runtime
    from storage.orders import Order

_NO_DEAL = "сделки в CRM нет"

_log = structlog.get_logger(__name__)


def with_order(rt: Runtime, line: Line, order: Order, deals: Mapping[int, Deal] | None, *, repair: bool) -> Line:
    """Points and the deal's fields, each brought to what the books say."""
    notes = list(line.notes)
    if order.member_id is not None and _points_moved(rt, order, at=line.at, repair=repair):
        notes.append(f"баллы {'исправлены' if repair else 'будут исправлены'}")
    if order.deal_ref is not None and deals is not None:
        deal = deals.get(order.deal_ref)
        if deal is None or deal.is_deleted:
            notes.append(_NO_DEAL)
        elif _crm_is_behind(rt, order, deal):
            notes.append(f"поля сделки {'обновляются' if repair else 'устарели'}")
            if repair:
                _tell_deal(rt, order)
    is_mended = len(notes) > len(line.notes) and line.verdict == "agrees" and notes[-1] != _NO_DEAL
    if is_mended:
        return replace(line, verdict="repaired" if repair else "would_repair", notes=tuple(notes))
    return replace(line, notes=tuple(notes))


def _points_moved(rt: Runtime, order: Order, *, at: datetime | None, repair: bool) -> bool:
    """Brings the order's points to what its facts are worth; without `repair` only says whether that would move any."""
    now = rt.now()

    def work(tx: sa.Connection) -> bool:
        fresh = orders.lock(tx, order.id)
        before = fresh.revision
        points.converge_order(tx, rt, fresh, occurred_at=at or now, now=now)
        is_moved = orders.by_ids(tx, [order.id])[order.id].revision != before
        if not repair:
            raise _OnlyAsked(is_moved)
        return is_moved

    try:
        return rt.db.run(work)
    except _OnlyAsked as answer:
        return answer.is_moved


class _OnlyAsked(Exception):
    """Rolls back what was done only to see whether it would change anything."""

    def __init__(self, is_moved: bool) -> None:
        super().__init__()
        self.is_moved = is_moved


def deals_of(rt: Runtime, of_orders: Iterable[Order]) -> Mapping[int, Deal] | None:
    """What the CRM says of these deals; None if it cannot be asked or is told nothing of payments."""
    refs = [order.deal_ref for order in of_orders if order.deal_ref is not None]
    if rt.crm is None or not refs or not set(deal_payments.KEYS) & set(rt.crm_names.lead_fields):
        return None
    try:
        return rt.crm.deals(refs)
    except ConnectorError as failure:
        _log.warning("reconciliation_without_crm", error=failure.code)
        return None


def _crm_is_behind(rt: Runtime, order: Order, deal: Deal) -> bool:
    if rt.crm is None:
        return False
    try:
        ids = deal_fields.field_ids(rt, rt.crm)
    except (ConnectorError, SetupIncomplete):  # the outbox tells of it, with what to do
        return False
    with rt.db.begin() as tx:
        wanted = deal_payments.fields(tx, rt, order)
    return deal_diff(deal, {ids[key]: value for key, value in wanted.items() if key in ids}) is not None


def _tell_deal(rt: Runtime, order: Order) -> None:
    with rt.db.begin() as tx:
        deal_marks.save_pushed(tx, order.id, None)
        outbox.add(tx, "deal", [order.id], now=rt.now())
