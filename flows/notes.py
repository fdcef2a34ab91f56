"""The line about points in a deal's feed: what this order has earned now, told once per change.

A level too: the note says the present total and the change since the last note. amoCRM keeps no idempotency keys, so
every note carries a mark with its total, and after an attempt whose end is unknown the feed itself says what was told.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from connector.amocrm.notes import NoteDraft
from flows.deal_money import Money
from flows.settle import SetupIncomplete, written_once
from loyalty.wording import count_text
from storage import deal_marks, ledger, orders, payments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from connector.amocrm.client import AmoCrm
    from flows.runtime import Runtime
    from storage.orders import Order

NOT_NOTING = 0
"""In place of a revision: no attempt to write a note is under way."""

_MARK = re.compile(r"\[операция (?P<order>[0-9]+)-[0-9]+: (?P<total>-?[0-9]+)\]")


def write(rt: Runtime, order_ids: Sequence[int], hold: Callable[[], None]) -> dict[int, str]:
    """Adds the missing notes; `hold` is called before they are written. Raises ConnectorError, ClaimLost."""
    if rt.crm is None:
        raise SetupIncomplete("amoCRM не подключена")
    with rt.db.begin() as tx:
        found = orders.by_ids(tx, order_ids)
        points = ledger.points_of_orders(tx, order_ids)
        money = {order_id: Money(payments.of_order(tx, order_id)).text for order_id in found}
    totals = {order_id: _earned(points.get(order_id, {})) for order_id in found}
    due = [order for order in found.values() if totals[order.id] != order.noted_points or order.noting_revision]
    told = {order.id: _told_points(rt.crm, order) for order in due}
    unsaid = [order for order in due if told[order.id] != totals[order.id]]
    texts = {
        order.id: _text(rt, order, points.get(order.id, {}), told=told[order.id], money=money[order.id])
        for order in unsaid
    }
    if unsaid:
        hold()
        with rt.db.begin() as tx:
            deal_marks.save_noting(tx, unsaid)
        with written_once():
            rt.crm.add_notes([NoteDraft(order.deal, texts[order.id]) for order in unsaid])
        rt.failpoints.reach("note.after_write")
    with rt.db.begin() as tx:
        for order in due:
            deal_marks.save_noted(tx, order.id, totals[order.id])
        deal_marks.save_noting(tx, [replace(order, revision=NOT_NOTING) for order in due])
    return {order_id: "примечание добавлено" if order_id in texts else "примечание не нужно" for order_id in order_ids}


def _told_points(crm: AmoCrm, order: Order) -> int:
    """The total that the feed tells. It is looked up only if an earlier attempt has not ended."""
    if order.noting_revision == NOT_NOTING:
        return order.noted_points
    marks = [
        (note.id, int(mark.group("total")))
        for note in crm.deal_notes(order.deal)
        for mark in _MARK.finditer(note.text)
        if int(mark.group("order")) == order.id
    ]
    return max(marks)[1] if marks else 0


def _text(rt: Runtime, order: Order, points: Mapping[str, int], *, told: int, money: str) -> str:
    words = rt.point_forms
    total = _earned(points)
    change = total - told
    verb = f"Начислено {count_text(change, words)}" if change > 0 else f"Снято {count_text(-change, words)}"
    parts = [f"{points[source]} {name}" for source, name in _SOURCES if points.get(source)]
    whole = f"Всего за сделку: {count_text(total, words)}" + (f" ({' + '.join(parts)})" if len(parts) > 1 else "")
    line = f"{rt.programme.name}. {verb}. {whole}. [операция {order.id}-{order.revision}: {total}]"
    return f"{line}\n{money}" if money else line


def _earned(points: Mapping[str, int]) -> int:
    return sum(points.get(source, 0) for source, _ in _SOURCES)


_SOURCES = (("welcome", "приветственные"), ("accrual", "за покупку"))
