"""The night's burning: every lot whose last valid day is over, a thousand at a time.

Points whose owner was told burn; others are prolonged, so that every notice fits again before their new end (no
notice, no burn). A member somebody else is working with is left for the next pass: nobody waits for the night, and the
night waits for nobody. Source: specification of points, sections 5.2 (expire) and 5.5 (V10, V18).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, get_args

from flows import book
from loyalty import burning as rules
from loyalty import notices
from loyalty.ledger import Lot, LotSource
from loyalty.wording import plural
from storage import burning
from storage.db import RETRIED_SQLSTATES, sqlstate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import sqlalchemy as sa

    from flows.jobs import Progress, Run
    from flows.runtime import Runtime
    from storage.burning import Moved, Picked

CHUNK_LOTS = 1_000
CHUNK_LOTS_MIN = 50
LOCK_MS_WANTED = 150
"""On a slow or busy server a chunk is made smaller: nobody is to wait for the night longer than 0.3 s."""

PICK_LOTS = 50_000
"""Looked up at a time: a pick reads an index, a chunk must not read it again."""

PASSES_MAX = 3
LEFT_OVER_AGAIN = timedelta(minutes=10)
REFUSED_MAX = 1_000
"""So many members are remembered who cannot be burnt; where there are more, the run tries the others again."""

NOTHING = burning.Moved(0, 0)
_SOME_TIME = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Burnt:
    """What one chunk did, and for how long it kept its members locked."""

    burnt: Moved
    prolonged: Moved
    locked_ms: int


def burn(run: Run, *, chunk_lots: int = CHUNK_LOTS, pick_lots: int = PICK_LOTS) -> Iterator[None]:
    """The job. Its counts: burnt and prolonged lots and points, the longest lock in milliseconds."""
    if run.is_new:
        with run.rt.db.begin() as tx:
            total = burning.count_due(tx, now=run.now)
        run.begin(total)
    for _ in range(PASSES_MAX):
        yield from _pass(run, chunk_lots, pick_lots)
        if _is_done(run):
            return
        run.piece(lambda _tx: run.progress.plus(place={**run.progress.place, "after": 0}))
    run.again_in = LEFT_OVER_AGAIN


def summary(counts: Mapping[str, int]) -> str:
    """The job's result for people."""
    lots, points, longer, kept = (counts.get(name, 0) for name in _COUNTS)
    text = f"сгорело: {_words(lots, points)}; продлено: {_words(longer, kept)}"
    if refused := counts.get("refused", 0):
        text += f"; не тронуто участников с повреждённой книгой: {refused}, их покажет kopilka verify-ledger"
    return text


def burn_chunk(tx: sa.Connection, rt: Runtime, chunk: Picked, *, now: datetime) -> Burnt:
    """Locks the members who are free, then burns or prolongs their lots. Part of the caller's transaction."""
    began = time.monotonic()
    is_silent = rt.programme.burn.without_notice == "burn"
    free = burning.lock_free(tx, sorted(set(chunk.member_ids)))
    ours = chunk.of(set(free))
    burnt = burning.burn(tx, ours, rules=rules_of_expiry(), is_silent=is_silent, now=now)
    prolonged = NOTHING
    if burnt.lots < len(ours.lot_ids):  # the rest is untold
        until = notices.prolonged_until(rt.programme, now=now)
        prolonged = burning.prolong(tx, ours, until=until, now=now)
    burning.mark_out_of_date(tx, book.shown_by(rt), free, now=now)
    return Burnt(burnt, prolonged, round((time.monotonic() - began) * 1000))


def rules_of_expiry() -> dict[str, str]:
    """The rule that ends the lots of each source, as a decision about one member would cite it."""
    return {source: rules.rule_of_expiry(_lot_of(source)) for source in get_args(LotSource)}


def _words(lots: int, points: int) -> str:
    in_lots, in_points = plural(lots, ("партия", "партии", "партий")), plural(points, ("балл", "балла", "баллов"))
    return f"{lots} {in_lots}, {points} {in_points}"


def _pass(run: Run, chunk_lots: int, pick_lots: int) -> Iterator[None]:
    """Once through the members, from where the run stands. Chunks shrink while locks last too long."""
    size = chunk_lots
    while True:
        after = int(run.progress.place.get("after", 0))
        with run.rt.db.begin() as tx:
            picked = burning.pick(tx, after=after, now=run.now, limit=pick_lots, refused=_refused(run))
        if not picked.lot_ids:
            return
        begin = 0
        while begin < len(picked.lot_ids):
            chunk = _cut(picked, begin, size)
            locked_ms = _piece(run, chunk)
            begin += len(chunk.lot_ids)
            size = max(CHUNK_LOTS_MIN, size // 2) if locked_ms > LOCK_MS_WANTED else min(chunk_lots, size * 2)
            yield


def _cut(picked: Picked, begin: int, size: int) -> Picked:
    """The next chunk; it never parts the lots of one member."""
    end, count = min(begin + size, len(picked.lot_ids)), len(picked.lot_ids)
    while end < count and picked.member_ids[end] == picked.member_ids[end - 1]:
        end += 1
    return burning.Picked(picked.lot_ids[begin:end], picked.member_ids[begin:end])


def _is_done(run: Run) -> bool:
    """Nothing is left of members who were busy, or who had more lots than one look shows."""
    with run.rt.db.begin() as tx:
        return burning.count_due(tx, now=run.now, refused=_refused(run)) == 0


def _piece(run: Run, chunk: Picked) -> int:
    """The chunk, without members whose book is damaged. Returns for how many milliseconds members were locked at
    most."""
    longest_ms = 0

    def work(tx: sa.Connection, member_ids: Sequence[int]) -> Progress:
        nonlocal longest_ms
        burnt = burn_chunk(tx, run.rt, chunk.of(set(member_ids)), now=run.now)
        longest_ms = max(longest_ms, burnt.locked_ms)
        return run.progress.plus(
            done=burnt.burnt.lots + burnt.prolonged.lots,
            place={**run.progress.place, "after": member_ids[-1]},
            lots=burnt.burnt.lots,
            points=burnt.burnt.points,
            prolonged_lots=burnt.prolonged.lots,
            prolonged_points=burnt.prolonged.points,
            longest_lock_ms=max(0, burnt.locked_ms - run.counts.get("longest_lock_ms", 0)),
        )

    run.members(sorted(set(chunk.member_ids)), work, lambda member_id, failure: _left_out(run, member_id, failure))
    return longest_ms


def _left_out(run: Run, member_id: int, failure: Exception) -> Progress:
    """Who was only locked is looked for again in the next pass; a damaged book is for a person to mend."""
    known = _refused(run)
    if sqlstate(failure) in RETRIED_SQLSTATES or len(known) >= REFUSED_MAX:
        return run.progress.plus(place={**run.progress.place, "after": member_id})
    return run.progress.plus(place={"after": member_id, "refused": [*known, member_id]}, refused=1)


def _refused(run: Run) -> Sequence[int]:
    """Members whom this run has left out."""
    return [int(member_id) for member_id in run.progress.place.get("refused", ())]


def _lot_of(source: LotSource) -> Lot:
    return Lot(
        key="",
        source=source,
        order_id=None,
        rules_version="",
        earned=0,
        reversed=0,
        pending=0,
        available=0,
        reserved=0,
        activates_at=_SOME_TIME,
        expires_at=None,
    )


_COUNTS = ("lots", "points", "prolonged_lots", "prolonged_points")
