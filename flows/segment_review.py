"""The night's review of segments: members whose standing time alone has changed, or a new version of the rules.

Reads many members at once without a lock; whoever would move is looked at again under his lock. The decision is
`loyalty/segments.py`, the writing `segmenting.follow`, as when he buys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows import book, segmenting
from flows.order_sheet import FOR_EVER
from loyalty import calendar, segments
from loyalty.segments import Standing
from storage import members, outbox, segment_review

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from flows.jobs import Progress, Run
    from flows.runtime import Runtime
    from storage.segment_review import Bought

CHUNK_MEMBERS = 2_000
BATCH_MEMBERS = 50
"""Locked together, in the order of their ids."""


def review(run: Run) -> Iterator[None]:
    """The job. Counts members who have changed their segment."""
    run.begin_on(calendar.local_day(run.now, run.rt.programme.timezone))
    if run.is_new:
        with run.rt.db.begin() as tx:
            total = members.count(tx)
        run.begin(total)
    while True:
        after = int(run.progress.place.get("after", 0))
        with run.rt.db.begin() as tx:
            window_from = _window_from(run.rt, now=run.now)
            chunk = segment_review.next_members(tx, after=after, window_from=window_from, limit=CHUNK_MEMBERS)
        if not chunk:
            return
        movers = [one.member_id for one in chunk if _moves(run.rt, one, now=run.now)]
        for begin in range(0, len(movers), BATCH_MEMBERS):
            _piece(run, movers[begin : begin + BATCH_MEMBERS])
            yield
        _close(run, chunk)
        yield


def summary(counts: Mapping[str, int]) -> str:
    return f"сменили сегмент: {counts.get('moved', 0)}"


def _window_from(rt: Runtime, *, now: datetime) -> datetime:
    programme = rt.programme
    return calendar.ago(now, programme.segment_policy.window or FOR_EVER, programme.timezone)


def _moves(rt: Runtime, one: Bought, *, now: datetime) -> bool:
    programme = rt.programme
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
    return standing != present


def _piece(run: Run, member_ids: Sequence[int]) -> None:
    """Those who would move, by what is true under their locks."""

    def work(tx: sa.Connection, ids: Sequence[int]) -> Progress:
        locked = [members.lock(tx, member_id) for member_id in ids]
        outbox.lock_marks(tx, book.shown_by(run.rt), ids)
        window_from = _window_from(run.rt, now=run.now)
        bought = {one.member_id: one for one in segment_review.of_members(tx, ids, window_from=window_from)}
        moved = 0
        for member in locked:
            facts = bought.get(member.id)
            if facts is None:  # merged since
                continue
            if segmenting.follow(tx, run.rt, member, facts.purchases, now=run.now):
                book.mark_out_of_date(tx, run.rt, member.id, now=run.now)
                moved += 1
        return run.progress.plus(moved=moved)

    run.members(member_ids, work, lambda _member_id, _failure: run.progress)  # who is left out is looked at again


def _close(run: Run, chunk: Sequence[Bought]) -> None:
    place = {**run.progress.place, "after": chunk[-1].member_id}
    run.piece(lambda _tx: run.progress.plus(done=len(chunk), place=place))
