"""Native bonus points that somebody else moved: the report; and the night's look for those that lag behind the ledger.

The night asks amoCRM nothing, since its balance cannot be read: it compares the ledger with what amoCRM last told, and
marks those who differ. So the points of those who were members before `bonus_points` was switched on get there too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from flows import crm_bonus
from storage import crm_bonus as storage
from storage import members, outbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from flows.jobs import Progress, Run
    from flows.runtime import Runtime
    from storage.crm_bonus import Drift

STRETCH_MEMBERS = 2_000
MARKED_A_NIGHT = 50_000
"""At seven requests a second and two for each it is four hours: done before the shop opens."""
ROWS_MAX = 10_000
KEPT = timedelta(days=400)
FORGOTTEN_A_NIGHT = 10_000
_AFTER, _OVER = "bonus_after", "bonus_over"


@dataclass(frozen=True)
class Line:
    """One move that was not ours, with the person it concerns."""

    drift: Drift
    name: str
    card_number: str
    contact_ref: int | None


@dataclass(frozen=True)
class Report:
    """`lines` are the newest ROWS_MAX of `total`."""

    is_on: bool
    total: int
    lines: Sequence[Line]


def report(rt: Runtime, *, since: datetime) -> Report:
    """What was found since then, the newest first."""
    with rt.db.begin() as tx:
        found = storage.drifts(tx, since=since, limit=ROWS_MAX)
        total = storage.count_drifts(tx, since=since)
        people = members.by_ids(tx, {one.member_id for one in found})
    lines = [
        Line(one, person.name, person.card_number, person.contact_ref)
        for one in found
        if (person := people.get(one.member_id)) is not None
    ]
    return Report(crm_bonus.is_on(rt), total, lines)


def look(run: Run) -> Iterator[None]:
    """Marks customers whose points lag behind, once a run, as many as a night can tell."""
    rt = run.rt
    if not crm_bonus.is_on(rt):
        return
    while not run.progress.place.get(_OVER):
        run.piece(lambda tx: _stretch(tx, run))
        yield
    if run.counts.get("bonus_marked"):
        rt.bell.ring("outbox", 0)


def summary(counts: Mapping[str, int]) -> list[str]:
    """The night's words, none where `bonus_points` is off."""
    if "bonus_marked" not in counts:
        return []
    return [f"бонусные баллы: отправляем {counts['bonus_marked']}, чужих движений за сутки {counts['bonus_moved']}"]


def _stretch(tx: sa.Connection, run: Run) -> Progress:
    place = run.progress.place
    last, lagging = storage.lagging(tx, after=int(place.get(_AFTER, 0)), limit=STRETCH_MEMBERS)
    outbox.lock_marks(tx, ["bonus"], lagging)
    outbox.add(tx, "bonus", lagging, now=run.rt.now())
    is_over = last is None or run.counts.get("bonus_marked", 0) + len(lagging) >= MARKED_A_NIGHT
    moved = 0
    if is_over:
        moved = storage.count_drifts(tx, since=run.now - timedelta(days=1))
        storage.forget_drifts(tx, before=run.now - KEPT, limit=FORGOTTEN_A_NIGHT)
    place = {**place, _AFTER: last or 0, _OVER: is_over}
    return run.progress.plus(place=place, bonus_marked=len(lagging), bonus_moved=moved)
