"""The truth about money: what acquirers say of a span of time, against our books and the CRM; repaired or reported.

More money at an acquirer is taken over the way of every callback; less is asked of a person; points and the deal's
fields are brought to what the books say. Asks outside any transaction; every payment is judged in one of its own, so
doing it twice or stopping half-way does no harm. Owns the jobs and how far back they look; the way through acquirers
and payments is `reconciling_walk.py`. Source: acquirers reference, section 13.8.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from flows.reconciling_place import Place, Span
from flows.reconciling_walk import Walk
from loyalty import calendar

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from datetime import date

    from flows.jobs import Run
    from flows.reconciled import Line, Verdict
    from flows.reconciling_place import Step
    from flows.runtime import Runtime

LISTED_DAYS = 3
KNOWN_DAYS = 14
"""How far back the nightly job looks: in the acquirers' lists, and into our own books."""
LISTED_DAYS_MAX = 92
"""As far as after a long outage."""
MARK = "reconciled_until"
HELD_DAYS = 10
HELD_FOR = timedelta(minutes=15)
"""Frozen money is looked at once it has been frozen for so long: its capture may have been told and lost."""

AGAIN = timedelta(hours=1)
"""An acquirer that was away is asked again."""

SUMMARY = {
    "agrees": "сошлось",
    "repaired": "исправлено",
    "person": "нужен человек",
    "unasked": "нельзя спросить",
    "away": "банк не ответил",
    "unchecked": "не проверено",
    "elsewhere": "мимо банков",
}


def compared(rt: Runtime, span: Span, *, repair: bool, only: Collection[str] = ()) -> Iterator[list[Line]]:
    """Piece by piece, the whole span. Raises DatabaseAway."""
    for step in Walk(rt, span, repair=repair, only=only).steps(Place()):
        if step.lines:
            yield list(step.lines)


def nightly(run: Run) -> Iterator[None]:
    """The job: the last days whole, and all since each acquirer was last compared. A run that was stopped goes on where
    it was."""
    zone = run.rt.programme.timezone
    today = calendar.local_day(run.now, zone)
    run.begin_on(today)
    first_days = _first_days(run, today)
    since_of = {name: calendar.at_local(day, time.min, zone) for name, day in first_days.items()}
    since, until = (calendar.at_local(today - timedelta(days=days), time.min, zone) for days in (LISTED_DAYS, 0))
    days = max([(today - day).days for day in first_days.values()], default=LISTED_DAYS)
    if days > LISTED_DAYS and "days" not in run.counts:
        run.progress = run.progress.plus(days=days)
    span = Span(
        since,
        until,
        known_before=timedelta(days=KNOWN_DAYS - LISTED_DAYS),
        window=timedelta(days=1),
        since_of=since_of,
    )
    for step in _run(run, span):
        if step.place is not None and step.place.phase == "done" and step.place.is_whole:
            marks = run.rt.directory.recall(MARK) or {}
            run.rt.directory.put(MARK, {**marks, step.place.acquirer: until.timestamp()})
        yield


def held(run: Run) -> Iterator[None]:
    """The job: frozen money that nobody has told us anything more about."""
    for _ in _run(run, Span(run.now - timedelta(days=HELD_DAYS), run.now - HELD_FOR, is_held=True)):
        yield


def summary(counts: Mapping[str, int]) -> str:
    told = ", ".join(f"{title}: {counts[name]}" for name, title in SUMMARY.items() if counts.get(name))
    days = f", за {counts['days']} дн." if counts.get("days") else ""
    return (told or "платежей нет") + days


def counted(lines: Iterable[Line]) -> dict[Verdict, int]:
    found: dict[Verdict, int] = {}
    for line in lines:
        found[line.verdict] = found.get(line.verdict, 0) + line.payments
    return found


def _first_days(run: Run, today: date) -> dict[str, date]:
    """From which day on each acquirer is compared: one that was away, or we, may have missed more than a night."""
    marks = run.rt.directory.recall(MARK) or {}
    zone, found = run.rt.programme.timezone, {}
    for name in run.rt.acquirers:
        mark = marks.get(name)
        last = datetime.fromtimestamp(mark, UTC) if isinstance(mark, int | float) else run.last_finished_at
        day = today if last is None else calendar.local_day(last, zone) - timedelta(days=1)
        found[name] = max(min(day, today - timedelta(days=LISTED_DAYS)), today - timedelta(days=LISTED_DAYS_MAX))
    return found


def _run(run: Run, span: Span) -> Iterator[Step]:
    """Yields where the run may be stopped. What was found since then is counted when it can be gone on from."""
    if run.counts.get("away"):  # found by an earlier slice of this run
        run.again_in = AGAIN
    progress = run.progress
    for step in Walk(run.rt, span, repair=True, watch=run.renew).steps(Place.read(run.progress.place)):
        counts: dict[str, Any] = {str(name): n for name, n in counted(step.lines).items()}
        progress = progress.plus(done=len(step.lines), **counts)
        if "away" in counts:
            run.again_in = AGAIN
        if step.place is None:
            run.renew()
            continue
        progress = progress.plus(place={**run.progress.place, **step.place.saved()})
        run.piece(lambda _tx, progress=progress: progress)  # type: ignore[misc]
        yield step
