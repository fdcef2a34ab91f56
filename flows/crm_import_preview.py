"""What an import of the CRM would change: people, purchases by years, segments before and after. Reads only."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING

from connector.amocrm.api import WRITE_BATCH
from flows import crm_import_known
from flows.order_sheet import FOR_EVER
from loyalty import calendar, segments
from loyalty.segments import Standing
from storage import crm_import as storage
from storage import crm_import_known as known_people
from storage import crm_import_preview as reading
from storage.crm_import import Reject

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from flows.runtime import Runtime
    from storage.crm_import_preview import Buyer, Totals

CHUNK = 5_000
FIELDS_REQUESTS, CUSTOMERS_REQUESTS = 2, 4
"""Of one batch of new members: their contacts are read and changed; customers are made and linked, or found, read and
put into their segments."""

CONTACTS_NAMED = 5
"""Namesakes by phone that are named in a reject's reason."""


@dataclass(frozen=True)
class SegmentLine:
    """Members in a segment before the import and after it. `code` None: in none."""

    code: str | None
    title: str
    before: int
    after: int


@dataclass(frozen=True)
class Preview:
    """`new_members`: contacts that become members; `recognised`: members who get their contact; `push_s`: how
    long the CRM will be told of them, None: it is not."""

    totals: Totals
    years: Sequence[tuple[int, int]]
    new_members: int
    recognised: int
    segments: Sequence[SegmentLine]
    push_s: int | None


def preview(rt: Runtime, read_from: datetime, *, push: bool) -> Preview:
    with rt.db.begin() as tx:
        totals = reading.totals(tx, read_from=read_from)
        years = reading.by_year(tx, rt.programme.timezone, read_from=read_from)
        before = reading.count_by_segment(tx)
    known = {one.contact_ref: one.member_id for one in crm_import_known.matches(rt)}
    totals = replace(totals, elsewhere=totals.elsewhere - len(known))
    new_members = totals.contacts - totals.known - len(known)
    push_s = _push_s(rt, new_members + len(known)) if push and rt.crm is not None else None
    return Preview(totals, years, new_members, len(known), _segments(rt, before, known), push_s)


def _push_s(rt: Runtime, members: int) -> int:
    """As long as the CRM's limit makes it take if nobody else asks anything."""
    requests = FIELDS_REQUESTS + (CUSTOMERS_REQUESTS if rt.crm_names.customers else 0)
    return ceil(ceil(members / WRITE_BATCH) * requests / rt.settings.crm_requests_per_second)


def rejects(rt: Runtime) -> Iterator[Reject]:
    """What was left out, and contacts that look like one person: they stay members of their own."""
    with rt.db.begin() as tx:
        yield from storage.rejects(tx)
    with rt.db.begin() as tx:
        for phone, refs in reading.same_phones(tx):
            for ref in refs:
                others = [str(other) for other in refs if other != ref][:CONTACTS_NAMED]
                tail = f"Телефон {phone} есть и у контакта {', '.join(others)}: это разные участники"
                yield Reject("contact", ref, tail)
    yield from _doubtful(rt)


def _doubtful(rt: Runtime) -> Iterator[Reject]:
    """Contacts with the phone of a member who has no contact, and not surely his."""
    sure = {one.contact_ref for one in crm_import_known.matches(rt)}
    with rt.db.begin() as tx:
        for ref, phone, member_id in known_people.doubtful(tx):
            if ref not in sure:
                reason = (
                    f"Телефон {phone} есть и у участника {member_id}, которого amoCRM не знает: если это один человек, "
                    "объедините их (kopilka member merge)"
                )
                yield Reject("contact", ref, reason)


def _segments(rt: Runtime, before: dict[str | None, int], known: dict[int, int]) -> list[SegmentLine]:
    programme = rt.programme
    after = Counter(before)
    now = rt.now()
    window_from = calendar.ago(now, programme.segment_policy.window or FOR_EVER, programme.timezone)
    seen = 0
    while True:
        with rt.db.begin() as tx:
            chunk = reading.buyers(tx, known, after=seen, window_from=window_from, limit=CHUNK)
        if not chunk:
            break
        seen = chunk[-1].contact_ref
        for one in chunk:
            after[_code(rt, one, now)] += 1
            after[one.segment_code] -= one.is_member
    rules = [(rule.code, rule.title) for rule in programme.segments]
    codes = [code for code, _title in rules]
    others = [(code, code) for code in sorted({*before, *after} - {*codes, None}, key=str) if code is not None]
    named: list[tuple[str | None, str]] = [(None, "без сегмента"), *rules, *others]
    return [SegmentLine(code, title, before.get(code, 0), after.get(code, 0)) for code, title in named]


def _code(rt: Runtime, one: Buyer, now: datetime) -> str | None:
    programme = rt.programme
    return segments.standing(
        Standing(one.segment_code, one.falls_at),
        one.purchases,
        manual_code=one.manual_code,
        rules=programme.segments,
        policy=programme.segment_policy,
        timezone=programme.timezone,
        now=now,
    ).code
