"""A new look reaches installed Apple cards: all of them are marked out of date, so many a minute. It is the design, and
what cards say of the segments.

Marks are given dates ahead, so that a payment's card, which is marked for now, never waits behind them, and Apple and
our own server are asked evenly. Which design was carried out last is remembered once all are marked; marked twice, the
same.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from flows.wallets import design_digest
from storage import apple, outbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import sqlalchemy as sa

    from flows.jobs import Progress, Run
    from flows.runtime import Runtime

EVERY = timedelta(minutes=1)
ENTRY = "apple_design"
CHUNK_PEOPLE = 1_000
CARDS_PER_MINUTE = 3_000
"""A hundred thousand in half an hour."""


def carry_out(run: Run) -> Iterator[None]:
    """The job. Counts people whose cards were marked."""
    rt = run.rt
    if rt.apple is None:
        return
    digest = look_digest(rt)
    if (rt.directory.recall(ENTRY) or {}).get("digest") == digest:
        return
    if run.progress.place.get("digest") != digest:  # new, or changed once more while we were at it
        with rt.db.begin() as tx:
            total = apple.count(tx)
        place = {"digest": digest, "after": 0, "from": rt.now().isoformat()}
        run.progress = replace(run.progress, done=0, total=total, place=place, counts={})
    while True:
        marked_before = run.progress.done
        run.piece(lambda tx: _mark(tx, run))
        yield
        if run.progress.done == marked_before:
            break
    rt.directory.put(ENTRY, {"digest": digest})
    rt.bell.ring("outbox", 0)


def look_digest(rt: Runtime) -> str:
    """Of what cards show besides the person's own: it changes with the rules too, and then nobody is marked by them."""
    programme = rt.programme
    said = repr((programme.segments, programme.segment_policy, programme.timezone))
    return hashlib.sha256(f"{design_digest(rt.design)} {said}".encode()).hexdigest()


def summary(counts: Mapping[str, int]) -> str:
    return f"обновляем карт: {counts.get('cards', 0)}"


def _mark(tx: sa.Connection, run: Run) -> Progress:
    place = run.progress.place
    people = apple.next_people(tx, after=int(place["after"]), limit=CHUNK_PEOPLE)
    if not people:
        return run.progress
    due_at = datetime.fromisoformat(place["from"]) + timedelta(minutes=run.progress.done / CARDS_PER_MINUTE)
    outbox.lock_marks(tx, ["apple"], people)
    outbox.add(tx, "apple", people, now=run.rt.now(), due_at=due_at)
    return run.progress.plus(done=len(people), place={**place, "after": people[-1]}, cards=len(people))
