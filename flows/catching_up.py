"""Nothing missed: what changed in the CRM and no hook told of, found by asking for it.

amoCRM disables a hook that failed too often, loses some, and tells nobody; and this product may have been down. Every
ten minutes the lists are asked for what changed since the last time: what the inbox has not heard of is read like after
a hook. If there was such a thing, the subscription is looked at and made anew. Source: amoCRM reference, sections 3.1
and 4.8. Open tasks of call lists are read again, a part each time.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from connector.amocrm.changes import ListIsLonger, TooManyEvents
from connector.amocrm.reading import date_value
from connector.errors import ConnectorError, NeedsReauth
from flows import call_results, consent_fields, crm_fields, deals, people, phones
from flows.connect import hook_events
from storage import addresses, catching_up, inbox, members

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import sqlalchemy as sa

    from connector.amocrm.client import AmoCrm
    from connector.amocrm.contacts import Contact
    from flows.jobs import Run
    from flows.runtime import Runtime
    from storage.members import Member

EVERY = timedelta(minutes=10)
OVERLAP = timedelta(minutes=2)
"""Clocks differ, and a list may show a change a little after its second."""
SILENT_AFTER = timedelta(minutes=5)
"""A change that no hook has told of for so long was missed: hooks come within seconds, their first repetition after
five minutes."""
READING = timedelta(seconds=6)
"""Between reading a deal and being done with it, with the second that a change is rounded down to."""
AGAIN = timedelta(minutes=1)
MARK = "caught_up"
HOOKS = "hook_health"
_SOURCES = {
    "lead_deleted": deals.DEAL_SOURCE,
    "lead_restored": deals.DEAL_SOURCE,
    "contact_deleted": deals.CONTACT_SOURCE,
}

_log = structlog.get_logger(__name__)


def catch_up(run: Run) -> Iterator[None]:
    """The job. Counts what was missed; while the CRM is away it comes back soon."""
    rt = run.rt
    if rt.crm is None:
        return
    marks = _marks(rt, run.now)
    _save(rt, marks)  # before anything can fail: a new installation begins now, whenever the CRM answers first
    try:
        for step in (_deals, _deleted, _contacts, _tasks):
            for _ in step(run, rt.crm, marks):
                _save(rt, marks)
                yield
            _save(rt, marks)
        if run.counts.get("missed", 0):
            _look_after_hook(rt, rt.crm, run)
    except NeedsReauth:  # a person must connect again; what changes meanwhile is found afterwards
        run.piece(lambda _tx: run.progress.plus(unconnected=1))
    except ConnectorError as failure:
        _log.warning("catching_up_stopped", error=failure.code)
        run.again_in = AGAIN
    yield


def summary(counts: Mapping[str, int]) -> str:
    words = {
        "missed": "сделок без хука",
        "deleted": "удалённых или восстановленных без хука",
        "contacts": "изменившихся покупателей",
        "calls": "закрытых задач обзвона",
        "mended": "вебхук подписан заново",
        "unread": "удалено больше, чем мы читаем: самые старые проверьте по корзине amoCRM, журналов непрочитано",
        "unconnected": "amoCRM не подключена",
    }
    return ", ".join(f"{title}: {counts[name]}" for name, title in words.items() if counts.get(name)) or "всё известно"


def _marks(rt: Runtime, now: datetime) -> dict[str, datetime]:
    """Up to when each list was looked through. A new installation begins now: its past is the first import's."""
    known = rt.directory.recall(MARK) or {}
    times = {name: known.get(name) for name in ("deals", "deleted", "contacts")}
    return {name: datetime.fromtimestamp(at, UTC) if isinstance(at, int | float) else now for name, at in times.items()}


def _save(rt: Runtime, marks: Mapping[str, datetime]) -> None:
    rt.directory.put(MARK, {name: mark.timestamp() for name, mark in marks.items()})


def _deals(run: Run, crm: AmoCrm, marks: dict[str, datetime]) -> Iterator[None]:
    with _comes_back_if_longer(run, marks, "deals"):
        for page in crm.changed_deals(marks["deals"] - OVERLAP):
            changes = {one.id: one.updated_at for one in page}

            def work(tx: sa.Connection, changes: Mapping[int, datetime] = changes) -> int:
                return _ask_for(tx, deals.DEAL_SOURCE, changes, now=run.now)

            missed = run.rt.db.run(work)
            progress = run.progress.plus(done=len(page), missed=missed)
            run.piece(lambda _tx, progress=progress: progress)  # type: ignore[misc]
            run.rt.bell.ring("inbox", 0)
            marks["deals"] = max([marks["deals"], *changes.values()])
            yield


def _deleted(run: Run, crm: AmoCrm, marks: dict[str, datetime]) -> Iterator[None]:
    """The newest come first, so the mark moves when all are read."""
    newest = marks["deleted"]
    try:
        for page in crm.events(marks["deleted"] - OVERLAP):
            if not page:
                continue
            newest = max(newest, *(one.at for one in page))
            by_source: dict[str, dict[int, datetime]] = {}
            for one in page:
                times = by_source.setdefault(_SOURCES[one.kind], {})
                times[one.entity_id] = max(one.at, times.get(one.entity_id, one.at))

            def work(tx: sa.Connection, by_source: Mapping[str, Mapping[int, datetime]] = by_source) -> int:
                return sum(_ask_for(tx, source, times, now=run.now) for source, times in sorted(by_source.items()))

            progress = run.progress.plus(done=len(page), deleted=run.rt.db.run(work))
            run.piece(lambda _tx, progress=progress: progress)  # type: ignore[misc]
            run.rt.bell.ring("inbox", 0)
            yield
    except TooManyEvents as failure:  # reading them again would end here again, and nothing newer would ever be seen
        _log.error("deletions_left_unread", error=str(failure))
        run.piece(lambda _tx: run.progress.plus(unread=1))
    marks["deleted"] = newest


def _ask_for(tx: sa.Connection, source: str, changes: Mapping[int, datetime], *, now: datetime) -> int:
    """Asks to read what was not read for certain since it changed. Returns how much of it no hook has told of."""
    heard = catching_up.heard(tx, source, changes, margin=READING)
    unheard = changes.keys() - heard.keys()
    for entity_id in sorted(one for one in changes if not heard.get(one, False)):
        inbox.add(tx, source=source, external_id=str(entity_id), body=b"", is_hint=True, now=now)
    return sum(1 for one in unheard if changes[one] < now - SILENT_AFTER)


def _contacts(run: Run, crm: AmoCrm, marks: dict[str, datetime]) -> Iterator[None]:
    """Names, phones, addresses and birthdays that people changed. Our own writes show here too and change nothing."""
    rt = run.rt
    birthday_id = crm_fields.birthday_id(rt, crm)
    asked_at = rt.now()
    with _comes_back_if_longer(run, marks, "contacts"):
        for page in crm.changed_contacts(marks["contacts"] - OVERLAP):

            def work(tx: sa.Connection, page: Sequence[Contact] = page) -> int:
                return sum(_take_over(tx, rt, contact, birthday_id) for contact in page)

            changed = rt.db.run(work) + consent_fields.look(rt, crm, page, asked_at)
            asked_at = rt.now()
            progress = run.progress.plus(done=len(page), contacts=changed)
            run.piece(lambda _tx, progress=progress: progress)  # type: ignore[misc]
            times = [contact.updated_at for contact in page if contact.updated_at is not None]
            marks["contacts"] = max([marks["contacts"], *times])
            yield


def _tasks(run: Run, crm: AmoCrm, _marks: dict[str, datetime]) -> Iterator[None]:
    """Tasks of call lists that were closed or deleted and no hook told of it."""
    closed = call_results.look_again(run.rt, crm, now=run.now)
    if closed:
        run.piece(lambda _tx: run.progress.plus(calls=closed))
    yield


@contextmanager
def _comes_back_if_longer(run: Run, marks: dict[str, datetime], name: str) -> Iterator[None]:
    """The list was longer than one look reads: the rest soon, and from there on, or so many rows would be read again
    that it never came further."""
    try:
        yield
    except ListIsLonger:
        run.again_in = AGAIN
        marks[name] += OVERLAP


def _take_over(tx: sa.Connection, rt: Runtime, contact: Contact, birthday_id: int | None) -> bool:
    member = members.by_contact(tx, contact.id)
    if member is None or member.contact_ref != contact.id:
        return False
    birthday = None if birthday_id is None else date_value(contact.field_values.get(birthday_id))
    if not _differs(tx, member, contact) and birthday in (None, member.birthday):
        return False
    people.take_over_contact(tx, rt, member, contact, birthday)
    return True


def _differs(tx: sa.Connection, member: Member, contact: Contact) -> bool:
    if contact.name and contact.name != member.name:
        return True
    known = {kind: set(addresses.of_member(tx, member.id, kind)) for kind in addresses.KINDS}
    return known != {"phone": set(phones.all_in(contact.phones)), "email": set(phones.emails_in(contact.emails))}


def _look_after_hook(rt: Runtime, crm: AmoCrm, run: Run) -> None:
    """Changes came without hooks: is our subscription there, whole and not disabled?"""
    destination = f"{rt.settings.public_url}{rt.hook_path()}"
    ours = [one for one in crm.webhooks() if one.destination == destination]
    is_well = any(not one.is_disabled and set(hook_events(rt)) <= set(one.settings) for one in ours)
    missed = run.counts.get("missed", 0)
    state = "silent" if is_well else "mended"
    if not is_well:
        crm.subscribe(destination, hook_events(rt))
        run.piece(lambda _tx: run.progress.plus(mended=1))
    _log.warning("hooks_missed", missed=missed, state=state)
    rt.directory.put(HOOKS, {"state": state, "missed": missed, "at": run.now.timestamp()})
