"""The reading half of an import: deals, customers and contacts of the account, page by page through the rate gate.

Writes only what was read, one page and its place in one transaction; no request is made inside one. What the CRM is
unwell with is tried again here for a few minutes: an import of an hour must not end with one lost answer.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import structlog

from connector.amocrm.api import READ_BATCH
from connector.amocrm.exports import Place
from connector.amocrm.leads import LOST_STATUS_ID, WON_STATUS_ID
from connector.amocrm.reading import date_value
from connector.errors import AccountUnpaid, ConnectorError, WrongMode
from flows import crm_fields, deal_stages, phones
from flows.settle import SetupIncomplete
from storage import crm_import as storage
from storage.crm_import import ReadContact, ReadDeal, Reject

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    import sqlalchemy as sa

    from connector.amocrm.client import AmoCrm
    from connector.amocrm.contacts import Contact
    from connector.amocrm.exports import KnownCustomer, Page, SoldDeal, Span
    from flows.jobs import Progress, Run
    from flows.runtime import Runtime

Result = TypeVar("Result")
One = TypeVar("One")

PHASES = ("deals", "customers", "everybody", "contacts")
TITLES = {
    "deals": "Выигранные сделки",
    "customers": "Покупатели",
    "everybody": "Все контакты",
    "contacts": "Контакты покупателей",
}
TRIES = 8
PAUSE_MAX_S = 60.0

_log = structlog.get_logger(__name__)


def read(run: Run, phase: str, pipelines: Sequence[str], *, all_contacts: bool) -> Iterator[bool]:
    """The pieces of one phase. Yields whether the total is a guess."""
    if phase == "deals":
        yield from _deals(run, pipelines)
    elif phase == "customers":
        yield from _customers(run)
    elif phase == "contacts":
        yield from _contacts(run)
    elif all_contacts:
        yield from _everybody(run)


def patiently(ask: Callable[[], Result], *, sleep: Callable[[float], None] = time.sleep) -> Result:
    """Asks again where that may help. Raises ConnectorError."""
    for attempt in range(TRIES - 1):
        try:
            return ask()
        except AccountUnpaid:
            raise
        except ConnectorError as failure:
            pause_s = max(failure.retry_after_s or 0.0, 2.0**attempt)
            if not failure.retryable or pause_s > PAUSE_MAX_S:
                raise
            _log.warning("import_waits", error=failure.code, seconds=pause_s)
            sleep(pause_s)
    return ask()


def _deals(run: Run, pipelines: Sequence[str]) -> Iterator[bool]:
    crm = _crm(run.rt)
    followed = patiently(lambda: deal_stages.paid(run.rt, crm)).all
    stages = followed | (patiently(lambda: _stages_of(run.rt, crm, pipelines)) if pipelines else frozenset())
    read_from = datetime.fromisoformat(run.progress.place["read_from"])

    def keep(tx: sa.Connection, rows: Sequence[SoldDeal]) -> dict[str, int]:
        deals = [read_deal(one, followed, read_from) for one in rows]
        storage.add_deals(tx, deals)
        told = zip(rows, deals, strict=True)
        storage.reject(tx, [found for one, kept in told for found in _deal_rejects(one, kept.bought_at >= read_from)])
        return {"deals": len(deals)}

    yield from _pages(run, lambda: crm.sold_span(stages), lambda place: crm.sold_deals(stages, place), keep)


def _customers(run: Run) -> Iterator[bool]:
    crm = _crm(run.rt)

    def keep(tx: sa.Connection, rows: Sequence[KnownCustomer]) -> dict[str, int]:
        storage.name_contacts(tx, [(one.contact_id, one.id) for one in rows if one.contact_id is not None])
        nobody = [one.id for one in rows if one.contact_id is None]
        storage.reject(tx, [Reject("customer", ref, "У покупателя нет контакта") for ref in nobody])
        return {"customers": len(rows)}

    try:
        yield from _pages(run, crm.customers_span, crm.all_customers, keep)
    except (AccountUnpaid, WrongMode) as failure:
        _log.warning("no_customers", error=failure.code)
        run.piece(lambda _tx: run.progress.plus(no_customers=1))


def _everybody(run: Run) -> Iterator[bool]:
    crm = _crm(run.rt)
    birthday_id = patiently(lambda: crm_fields.birthday_id(run.rt, crm))

    def keep(tx: sa.Connection, rows: Sequence[Contact]) -> dict[str, int]:
        _keep_contacts(tx, rows, birthday_id)
        return {"contacts": len(rows)}

    yield from _pages(run, crm.contacts_span, crm.all_contacts, keep)


def _contacts(run: Run) -> Iterator[bool]:
    """Those who bought or are customers, by their ids: nobody else's phone is asked for, and the total is known."""
    rt, crm = run.rt, _crm(run.rt)
    birthday_id = patiently(lambda: crm_fields.birthday_id(rt, crm))
    if run.progress.total is None:
        with rt.db.begin() as tx:
            total = storage.count_unread(tx)
        run.begin(total)
        yield False
    while True:
        after = int(run.progress.place.get("after", 0))
        with rt.db.begin() as tx:
            refs = storage.unread(tx, after=after, limit=READ_BATCH)
        if not refs:
            return
        found = _asked_for(crm, refs)
        run.piece(_contacts_kept(run, refs, found, birthday_id))
        yield False


def _asked_for(crm: AmoCrm, refs: Sequence[int]) -> dict[int, Contact]:
    return patiently(lambda: crm.contacts(refs))


def _contacts_kept(
    run: Run, refs: Sequence[int], found: dict[int, Contact], birthday_id: int | None
) -> Callable[[sa.Connection], Progress]:
    def keep(tx: sa.Connection) -> Progress:
        _keep_contacts(tx, list(found.values()), birthday_id)
        gone = [ref for ref in refs if ref not in found]
        storage.are_gone(tx, gone)
        storage.reject(tx, [Reject("contact", ref, "Контакта в amoCRM больше нет") for ref in gone])
        return run.progress.plus(done=len(refs), place={**run.progress.place, "after": refs[-1]}, contacts=len(found))

    return keep


def _keep_contacts(tx: sa.Connection, contacts: Sequence[Contact], birthday_id: int | None) -> None:
    read = [_read_contact(one, birthday_id) for one in contacts]
    storage.keep_contacts(tx, read)
    silent = [
        one.id for one, kept in zip(contacts, read, strict=True) if one.phones and not kept.phones and not kept.emails
    ]
    storage.reject(
        tx, [Reject("contact", ref, "Телефон не читается, почты нет: найти по ним нельзя") for ref in silent]
    )


def _pages(
    run: Run,
    span_of: Callable[[], Span | None],
    read_page: Callable[[Place], Page[One]],
    keep: Callable[[sa.Connection, Sequence[One]], dict[str, int]],
) -> Iterator[bool]:
    """A whole list, from where the run stands. The total is judged by how far the ids have come."""
    place = run.progress.place
    if "last_id" not in place:
        span = patiently(span_of)
        ends = {
            "first_id": span.first_id if span else 0,
            "last_id": span.last_id if span else 0,
            "second": 0,
            "page": 0,
        }
        run.piece(lambda _tx: run.progress.plus(place={**place, **ends}))
        if span is None:
            return
    while not run.progress.place.get("is_read"):
        at = Place(int(run.progress.place["second"]), int(run.progress.place["page"]))
        run.piece(_page_kept(run, _page_at(read_page, at), keep))
        yield not run.progress.place.get("is_read")


def _page_at(read_page: Callable[[Place], Page[One]], at: Place) -> Page[One]:
    return patiently(lambda: read_page(at))


def _page_kept(
    run: Run, page: Page[One], keep: Callable[[sa.Connection, Sequence[One]], dict[str, int]]
) -> Callable[[sa.Connection], Progress]:
    """One page and the place after it, in one transaction."""

    def work(tx: sa.Connection) -> Progress:
        counts = keep(tx, page.rows)
        place = dict(run.progress.place)
        if page.next is None:
            place["is_read"] = True
        else:
            place |= {"second": page.next.second, "page": page.next.page}
        progress = run.progress.plus(done=len(page.rows), place=place, **counts)
        return replace(progress, total=_guess(progress, page.last_id))

    return work


def _guess(progress: Progress, last_id: int | None) -> int | None:
    """As many rows as there would be if their ids were spread evenly."""
    first, last = int(progress.place["first_id"]), int(progress.place["last_id"])
    if progress.place.get("is_read"):
        return progress.done
    if last_id is None or last_id <= first:
        return progress.total
    return max(progress.done, round(progress.done * (last - first) / (last_id - first)))


def read_deal(deal: SoldDeal, followed: Collection[tuple[int, int]], read_from: datetime) -> ReadDeal:
    """A deal bought since the reading began is only remembered: its hook does the rest, its buyer is not ours yet. So
    is one in the bin, without a buyer: restored one day it earns nothing. A deal of a funnel that is not followed has
    no ordinary way to go and is always of the past."""
    is_stage = (deal.pipeline_id, deal.status_id) in followed
    bought_at = deal.sold_at
    if not is_stage or not _is_new(deal, read_from):
        bought_at = min(bought_at, read_from - timedelta(seconds=1))
    return ReadDeal(
        deal_ref=deal.id,
        contact_ref=None if deal.is_deleted or bought_at >= read_from else deal.contact_id,
        price_kopecks=0 if deal.is_deleted else deal.price_kopecks or 0,
        is_stage=is_stage,
        bought_at=bought_at,
    )


def _is_new(deal: SoldDeal, read_from: datetime) -> bool:
    """Whether it was surely bought since: an open deal that was changed a moment ago may stand paid for years."""
    return not deal.is_deleted and deal.sold_at >= read_from and (deal.is_closed or deal.made_at >= read_from)


def _deal_rejects(deal: SoldDeal, is_new: bool) -> list[Reject]:
    if deal.is_deleted:
        return [Reject("deal", deal.id, "Сделка удалена: в историю не вошла")]
    if is_new:
        return []
    reasons = ["У сделки нет контакта: чья покупка, не известно"] if deal.contact_id is None else []
    if deal.price_kopecks is None:
        reasons.append("Сумма сделки не читается: покупкой не считается")
    return [Reject("deal", deal.id, reason) for reason in reasons]


def _read_contact(contact: Contact, birthday_id: int | None) -> ReadContact:
    stored = None if birthday_id is None else contact.field_values.get(birthday_id)
    found, emails = phones.all_in(contact.phones), phones.emails_in(contact.emails)
    return ReadContact(contact.id, contact.name, found, emails, date_value(stored))


def _stages_of(rt: Runtime, crm: AmoCrm, names: Sequence[str]) -> frozenset[tuple[int, int]]:
    """Of further funnels: the paid stage and those after it where there is one of that name, won in any case."""
    pipelines = {one.name: one for one in crm.pipelines()}
    pairs: set[tuple[int, int]] = set()
    for name in names:
        if name not in pipelines:
            raise SetupIncomplete(f"В amoCRM нет воронки «{name}»; есть: {', '.join(pipelines)}")
        one = pipelines[name]
        titles = [title for _, title in one.statuses]
        paid = titles.index(rt.crm_names.paid_status) if rt.crm_names.paid_status in titles else len(titles)
        refund = rt.crm_names.refund_status
        ids = {status_id for status_id, title in one.statuses[paid:] if title != refund} - {LOST_STATUS_ID}
        pairs |= {(one.id, status_id) for status_id in ids | {WON_STATUS_ID}}
    return frozenset(pairs)


def _crm(rt: Runtime) -> AmoCrm:
    if rt.crm is None:
        raise SetupIncomplete("amoCRM не подключена: заполните раздел amocrm файла правил")
    return rt.crm
