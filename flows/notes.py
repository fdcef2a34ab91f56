"""The line about points in a deal's feed: what this order has earned now, told once per change.

A level too: the note says the present total and the change since the last note. amoCRM keeps no idempotency keys, so
every note carries a mark, and an attempt that follows a failure looks for the mark before it writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.amocrm.notes import NoteDraft
from flows.settle import SetupIncomplete
from loyalty.wording import count_text
from storage import ledger, orders

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from connector.amocrm.client import AmoCrm
    from flows.runtime import Runtime
    from storage.orders import Order


def write(rt: Runtime, order_ids: Sequence[int]) -> dict[int, str]:
    """Adds the missing notes. Raises ConnectorError; a note that was written is never written again."""
    if rt.crm is None:
        raise SetupIncomplete("amoCRM не подключена")
    with rt.db.begin() as tx:
        found = orders.by_ids(tx, order_ids)
        points = ledger.points_of_orders(tx, order_ids)
    totals = {order_id: sum(points.get(order_id, {}).values()) for order_id in found}
    due = [order for order in found.values() if totals[order.id] != order.noted_points]
    unsaid = [order for order in due if not _is_said(rt.crm, order)]
    with rt.db.begin() as tx:
        orders.save_noting(tx, unsaid)
    rt.crm.add_notes([NoteDraft(order.deal_ref, _text(rt, order, points.get(order.id, {}))) for order in unsaid])
    with rt.db.begin() as tx:
        for order in due:
            orders.save_noted(tx, order.id, totals[order.id])
    said = {order.id for order in unsaid}
    return {order_id: "примечание добавлено" if order_id in said else "примечание не нужно" for order_id in order_ids}


def _is_said(crm: AmoCrm, order: Order) -> bool:
    """Only an order whose note for this very revision was tried before is looked up."""
    if order.noting_revision != order.revision:
        return False
    return any(_mark(order) in note.text for note in crm.deal_notes(order.deal_ref))


def _text(rt: Runtime, order: Order, points: Mapping[str, int]) -> str:
    words = rt.point_forms
    total = sum(points.values())
    change = total - order.noted_points
    verb = f"Начислено {count_text(change, words)}" if change > 0 else f"Снято {count_text(-change, words)}"
    parts = [f"{points[source]} {name}" for source, name in _SOURCES if points.get(source)]
    whole = f"Всего за сделку: {count_text(total, words)}" + (f" ({' + '.join(parts)})" if len(parts) > 1 else "")
    return f"{rt.programme.name}. {verb}. {whole}. {_mark(order)}"


def _mark(order: Order) -> str:
    return f"[операция {order.id}-{order.revision}]"


_SOURCES = (("welcome", "приветственные"), ("accrual", "за покупку"))
