"""The money that came for a deal and went back of it: in one line for the feed, and as the status of its invoice.

An invoice is a level: its status is read and set if it differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connector.amocrm.invoices import InvoiceChange
from connector.errors import AccountUnpaid, NotFound, Refused, WrongMode
from flows import deal_payments
from flows.settle import NotYet, SetupIncomplete
from loyalty.phrases import roubles
from storage import deal_marks, payments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from connector.amocrm.client import AmoCrm
    from connector.amocrm.invoices import InvoiceStatus
    from flows.runtime import Runtime
    from storage.orders import Order
    from storage.payments import Payment

CATALOG = "invoices"
"""Where the list's id is remembered."""


@dataclass(frozen=True)
class Money:
    """What came for an order and what went back of it."""

    found: Sequence[Payment]

    @property
    def paid_kopecks(self) -> int:
        return sum(one.captured_kopecks for one in self.found)

    @property
    def kept_kopecks(self) -> int:
        return sum(one.totals.kept_kopecks for one in self.found)

    @property
    def mark(self) -> str:
        return f"{self.paid_kopecks}-{self.paid_kopecks - self.kept_kopecks}"

    @property
    def paid_at(self) -> datetime | None:
        return max((one.captured_at for one in self.found if one.captured_at is not None), default=None)

    @property
    def text(self) -> str:
        """ "" while no money has come."""
        through = f" ({', '.join(deal_payments.titles(self.found))})"
        back = self.paid_kopecks - self.kept_kopecks
        if back:
            return f"Возвращено {roubles(back)} из {roubles(self.paid_kopecks)}{through}"
        return f"Оплачено {roubles(self.paid_kopecks)}{through}" if self.paid_kopecks else ""


def mark_invoices(rt: Runtime, crm: AmoCrm, found: Sequence[Order], hold: Callable[[], None]) -> None:
    """Invoices of deals that money came for. Raises ConnectorError, ClaimLost, SetupIncomplete, NotYet."""
    if not rt.crm_names.mark_invoices:
        return
    with rt.db.begin() as tx:
        marked = deal_marks.invoice_marks(tx, [order.id for order in found])
        due = {order.id: _due(tx, rt, order) for order in found}
    paid = [one for one in found if due[one.id][0].paid_kopecks and marked[one.id] != _mark(due[one.id])]
    if not paid:
        return
    catalog_id = _catalog(rt, crm)
    linked = crm.linked_invoices([order.deal for order in paid], catalog_id)
    chosen = {order.id: _chosen(due[order.id][0], linked.get(order.deal, ())) for order in paid}
    present = _present(rt, crm, catalog_id, [one for invoices in chosen.values() for one in invoices])
    changes = [one for order in paid for one in _changes(due[order.id][1], chosen[order.id], present)]
    if changes:
        hold()
        try:
            crm.update_invoices(catalog_id, changes)
        except Refused as failure:
            if failure.retryable or len(changes) > 1:
                raise
            raise NotYet(f"amoCRM не принимает статус счёта: {failure}") from failure
    with rt.db.begin() as tx:
        for order in paid:
            deal_marks.save_invoice_mark(tx, order.id, _mark(due[order.id]))


def _due(tx: sa.Connection, rt: Runtime, order: Order) -> tuple[Money, InvoiceStatus]:
    """What the deal's invoice should say. «Returned» is no status of an invoice: it is open again."""
    money = Money(payments.of_order(tx, order.id))
    price = deal_payments.price_left(tx, rt, order)
    if money.kept_kopecks <= 0:
        return money, "created"
    return money, "paid" if money.kept_kopecks >= price else "partially_paid"


def _mark(due: tuple[Money, InvoiceStatus]) -> str:
    return f"{due[0].mark} {due[1]}"


def _chosen(money: Money, linked: Sequence[int]) -> dict[int, Money]:
    """The deal's invoices that payments are for: the one a payment named, which may be of another deal; what names none
    is for the deal's only one: which of several is meant nobody says."""
    only = linked[0] if len(linked) == 1 else None
    found: dict[int, list[Payment]] = {}
    for one in money.found:
        invoice = only if one.invoice_ref is None else one.invoice_ref
        if one.captured_kopecks and invoice is not None and invoice in linked:
            found.setdefault(invoice, []).append(one)
    return {invoice: Money(payments_of) for invoice, payments_of in found.items()}


def _changes(status: InvoiceStatus, chosen: Mapping[int, Money], present: Mapping[int, str]) -> Iterator[InvoiceChange]:
    for invoice, money in chosen.items():
        wanted: InvoiceStatus = status if money.kept_kopecks > 0 else "created"
        if invoice in present and present[invoice] != wanted:
            yield InvoiceChange(invoice, wanted, money.paid_at)


def _present(rt: Runtime, crm: AmoCrm, catalog_id: int, invoices: Sequence[int]) -> dict[int, str]:
    try:
        return crm.invoice_statuses(catalog_id, invoices)
    except NotFound as failure:  # the list is another one now: the next attempt looks for it
        rt.directory.put(CATALOG, {})
        raise NotYet("Список «Счета» в amoCRM пересоздан: найдём его заново") from failure


def _catalog(rt: Runtime, crm: AmoCrm) -> int:
    known = rt.directory.get(CATALOG)
    if known is not None and isinstance(known.get("id"), int):
        return int(known["id"])
    try:
        found = crm.invoices_catalog()
    except (AccountUnpaid, WrongMode) as failure:
        raise SetupIncomplete(
            "В тарифе amoCRM нет списков, а значит и счетов: уберите amocrm.mark_invoices"
        ) from failure
    if found is None:
        raise SetupIncomplete("В amoCRM нет списка «Счета»: включите его или уберите amocrm.mark_invoices")
    rt.directory.put(CATALOG, {"id": found})
    return found
