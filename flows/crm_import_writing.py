"""The writing half of an import: members, their history, their segments. No point moves.

One piece is one transaction of many contacts, and whatever it makes is found again by its key in the CRM: a run that
was killed, repeated or overtaken by a hook makes nothing twice. Segments are set without events: nobody is written to.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from flows import book, crm_import_known
from flows.deals import DEAL_SOURCE
from flows.order_sheet import FOR_EVER
from loyalty import calendar, segments
from loyalty.segments import Standing
from storage import crm_import_writing as storage
from storage import inbox, outbox, segment_review
from storage.crm_import_writing import Terms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import sqlalchemy as sa

    from flows.jobs import Progress, Run
    from flows.runtime import Runtime

PHASES = ("known", "members", "strays", "living")
TITLES = {
    "known": "Узнанные по телефону",
    "members": "Участники и история",
    "strays": "Сделки без контакта",
    "living": "Сделки этого часа",
}
CHUNK_CONTACTS = 500
CHUNK_DEALS = 500


def write(run: Run, phase: str, *, push: bool) -> Iterator[None]:
    """The pieces of one phase."""
    terms = Terms(
        read_from=datetime.fromisoformat(run.progress.place["read_from"]),
        rules_version=run.rt.rules_version,
        on_stage="stage" in run.rt.programme.accrual.earn_on,
    )
    if phase == "known":
        yield from crm_import_known.recognise(run, push=push)
    elif phase == "members":
        yield from _members(run, terms, push=push)
    elif phase == "strays":
        yield from _strays(run, terms)
    else:
        yield from _living(run, terms)


def _members(run: Run, terms: Terms, *, push: bool) -> Iterator[None]:
    if run.is_new:
        with run.rt.db.begin() as tx:
            total = storage.count_contacts(tx)
        run.begin(total)
    while True:
        with run.rt.db.begin() as tx:
            refs = storage.next_contacts(tx, after=_after(run), limit=CHUNK_CONTACTS)
        if not refs:
            return
        run.piece(_chunk(run, refs, terms, push=push))
        yield


def _chunk(run: Run, refs: Sequence[int], terms: Terms, *, push: bool) -> Callable[[sa.Connection], Progress]:
    """Contacts who become members with all they bought; those who are members already get what is missing."""
    rt = run.rt

    def work(tx: sa.Connection) -> Progress:
        now = rt.now()
        rt.programme_of(tx, terms.rules_version)
        cards = {ref: rt.new_card() for ref in storage.strangers(tx, refs)}
        made = storage.make_members(tx, cards, now=now)
        bought = storage.add_orders(tx, refs, terms, now=now)
        linked = storage.remember_customers(tx, refs)
        touched = sorted({*made, *bought, *linked})
        moved = _into_segments(tx, rt, touched, now=now)
        if push and touched:
            kinds = book.shown_by(rt)
            outbox.lock_marks(tx, kinds, touched)
            outbox.add_kinds(tx, kinds, touched, now=now)
        place = {**run.progress.place, "after": refs[-1]}
        counts = {"members": len(made), "orders": len(bought), "linked": len(linked), "moved": moved}
        return run.progress.plus(done=len(refs), place=place, **counts)

    return work


def _into_segments(tx: sa.Connection, rt: Runtime, member_ids: Sequence[int], *, now: datetime) -> int:
    """Puts members where all they bought wants them. Returns how many have changed their segment."""
    if not member_ids:
        return 0
    programme = rt.programme
    storage.lock_members(tx, member_ids)
    window_from = calendar.ago(now, programme.segment_policy.window or FOR_EVER, programme.timezone)
    changed: dict[int, Standing] = {}
    moved = 0
    for one in segment_review.of_members(tx, member_ids, window_from=window_from):
        present = Standing(one.segment_code, one.falls_at)
        standing = segments.standing(
            present,
            one.purchases,
            manual_code=one.manual_code,
            rules=programme.segments,
            policy=programme.segment_policy,
            timezone=programme.timezone,
            now=now,
        )
        if standing != present:
            changed[one.member_id] = standing
            moved += standing.code != present.code
    storage.set_segments(tx, changed)
    return moved


def _strays(run: Run, terms: Terms) -> Iterator[None]:
    """Deals of nobody are remembered as bought: a buyer put into one next year earns nothing for it."""

    def work(tx: sa.Connection, refs: Sequence[int]) -> Progress:
        run.rt.programme_of(tx, terms.rules_version)
        made = storage.add_strays(tx, refs, terms, now=run.rt.now())
        return run.progress.plus(done=len(refs), place={**run.progress.place, "after": refs[-1]}, strays=made)

    yield from _deals(run, storage.next_strays, terms, work)


def _living(run: Run, terms: Terms) -> Iterator[None]:
    """Deals that are won while we import go the ordinary way of a deal, whether their hook came or not."""

    def work(tx: sa.Connection, refs: Sequence[int]) -> Progress:
        for ref in refs:
            inbox.add(tx, source=DEAL_SOURCE, external_id=str(ref), body=b"", is_hint=True, now=run.rt.now())
        return run.progress.plus(done=len(refs), place={**run.progress.place, "after": refs[-1]}, living=len(refs))

    yield from _deals(run, storage.next_living, terms, work)


def _deals(
    run: Run,
    next_deals: Callable[..., Sequence[int]],
    terms: Terms,
    work: Callable[[sa.Connection, Sequence[int]], Progress],
) -> Iterator[None]:
    while True:
        with run.rt.db.begin() as tx:
            refs = next_deals(tx, after=_after(run), read_from=terms.read_from, limit=CHUNK_DEALS)
        if not refs:
            return
        _piece(run, refs, work)
        yield


def _piece(run: Run, refs: Sequence[int], work: Callable[[sa.Connection, Sequence[int]], Progress]) -> None:
    run.piece(lambda tx: work(tx, refs))


def _after(run: Run) -> int:
    return int(run.progress.place.get("after", 0))
