"""What is done by the clock: when each job is due, and running those that are. Which there are is `schedule.py`.

Jobs are rows in the database, so it does not matter which process looks or how often: one run at a time, a killed one
is taken over, a late one is caught up once. Every job may be run twice without harm.
"""

from __future__ import annotations

import time as stopwatch
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

import structlog

from flows import active_rules
from flows.jobs import LEASE, JobLost, Run
from flows.runtime import SchemaMismatch
from flows.schedule import JOBS
from loyalty import calendar
from storage import jobs
from storage.db import DatabaseAway, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from flows.jobs import Progress
    from flows.runtime import Runtime
    from flows.schedule import Scheduled
    from loyalty.programme import Programme

FAILED_AGAIN = timedelta(minutes=10)
LOCKED_AGAIN = timedelta(minutes=10)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Result:
    """How a run went. `text`: for people; `is_over` is False when it was stopped and goes on later."""

    name: str
    title: str
    text: str
    done: int
    total: int | None
    is_over: bool = True
    error: str | None = None


@dataclass(frozen=True)
class JobState:
    """A job as people see it. `is_running`: somebody does it now, or did when he was killed."""

    name: str
    title: str
    due_at: datetime
    is_running: bool
    started_at: datetime | None
    done: int
    total: int | None
    last_finished_at: datetime | None
    last_result: str | None
    last_error: str | None


def run_due(
    rt: Runtime,
    *,
    now: datetime,
    only: str | None = None,
    at_once: bool = False,
    work_for: timedelta | None = None,
    on_progress: Callable[[str, Progress], None] | None = None,
    schedule: Sequence[Scheduled] | None = None,
) -> list[Result]:
    """Runs the jobs that are due (`at_once`: whether they are or not), or the one named. With `work_for` each stops
    between two pieces, at the earliest after its first, once it has had half of the time that was left: a long one does
    not keep the others waiting. The next call goes on from there. Raises DatabaseAway, SchemaMismatch."""
    active_rules.look(rt)
    schedule = JOBS if schedule is None else schedule
    _plan(rt, schedule, now)
    stop_at = None if work_for is None else stopwatch.monotonic() + work_for.total_seconds()
    results: list[Result] = []
    for job in schedule:
        if only in (None, job.name):
            deadline = None if stop_at is None else (stopwatch.monotonic() + stop_at) / 2
            result = _run(rt, job, now=now, at_once=at_once, deadline=deadline, on_progress=on_progress)
            results += [] if result is None else [result]
    return results


def states(rt: Runtime) -> list[JobState]:
    """Every job, in the order in which they run. Raises DatabaseAway."""
    now = rt.now()
    _plan(rt, JOBS, now)
    with rt.db.begin() as tx:
        rows = {row.name: row for row in jobs.all_jobs(tx)}
    return [_state(job, rows[job.name], now) for job in JOBS]


def next_due(job: Scheduled, programme: Programme, now: datetime) -> datetime:
    """The first time after `now`, however many were missed."""
    if job.every is not None:
        return _EPOCH + ((now - _EPOCH) // job.every + 1) * job.every
    clock = time.min if job.at is None else job.at(programme)
    today = calendar.local_day(now, programme.timezone)
    due_at = calendar.at_local(today, clock, programme.timezone)
    return due_at if due_at > now else calendar.at_local(today + timedelta(days=1), clock, programme.timezone)


def _plan(rt: Runtime, schedule: Sequence[Scheduled], now: datetime) -> None:
    """Every job has its row, and none waits for a time that a wrong clock has written there."""
    first = {job.name: _first_due(job, rt.programme, now) for job in schedule}
    latest = {job.name: max(next_due(job, rt.programme, now), now + FAILED_AGAIN) for job in schedule}
    with rt.db.begin() as tx:
        jobs.plan(tx, first, latest=latest, lease_max=now + 2 * LEASE)


def _first_due(job: Scheduled, programme: Programme, now: datetime) -> datetime:
    """A new installation does not write to buyers at night."""
    return now if job.every is not None else next_due(job, programme, now)


def _run(
    rt: Runtime,
    job: Scheduled,
    *,
    now: datetime,
    at_once: bool,
    deadline: float | None,
    on_progress: Callable[[str, Progress], None] | None,
) -> Result | None:
    """None: not due, or somebody else does it."""
    with rt.db.begin() as tx:
        row = jobs.take(tx, job.name, now=now, until=rt.now() + LEASE, at_once=at_once)
    if row is None:
        return None
    run = Run(rt, row, now=now)
    try:
        for _ in _pieces(job, run):
            if on_progress is not None:
                on_progress(job.name, run.progress)
            if deadline is not None and stopwatch.monotonic() >= deadline:
                return _paused(job, run)
        return _finished(job, run)
    except JobLost:
        _log.warning("job_lost", job=job.name)
        return None
    except (DatabaseAway, SchemaMismatch):
        raise
    except KeyboardInterrupt:  # a person at the terminal: whoever comes next need not wait for the lease
        _paused(job, run)
        raise
    except Exception as failure:  # noqa: BLE001 - the outermost net of a job: the others must run all the same
        return _failed(job, run, failure)


def _pieces(job: Scheduled, run: Run) -> Iterator[None]:
    """The job's pieces. When other rules are applied meanwhile, the rest is done by those: the work is begun anew and
    goes on from its place."""
    while True:
        version = run.rt.rules_version
        for _ in job.work(run):
            yield
            active_rules.look(run.rt)
            if run.rt.rules_version != version:
                break
        else:
            return


def _finished(job: Scheduled, run: Run) -> Result:
    rt, text = run.rt, job.summary(run.counts)
    due_at = next_due(job, rt.programme, run.now)
    again_in = run.again_in or (LOCKED_AGAIN if run.is_something_left else None)
    if again_in is not None:
        due_at = min(due_at, run.now + again_in)
    with rt.db.begin() as tx:
        if not jobs.finish(tx, job.name, held=run.held, due_at=due_at, now=run.now, result=text):
            raise JobLost(job.name)
    return Result(job.name, job.title, text, run.progress.done, run.progress.total)


def _paused(job: Scheduled, run: Run) -> Result:
    with run.rt.db.begin() as tx:
        jobs.pause(tx, job.name, held=run.held)
    return Result(job.name, job.title, job.summary(run.counts), run.progress.done, run.progress.total, is_over=False)


def _failed(job: Scheduled, run: Run, failure: Exception) -> Result:
    error = refusal(failure) or f"{type(failure).__name__}: {failure}"
    _log.error("job_failed", job=job.name, error=error, exc_info=traceable(failure))
    with run.rt.db.begin() as tx:
        jobs.fail(tx, job.name, held=run.held, due_at=run.now + FAILED_AGAIN, error=error)
    text = job.summary(run.counts)
    return Result(job.name, job.title, text, run.progress.done, run.progress.total, is_over=False, error=error)


def traceable(failure: Exception) -> Exception | None:
    """What the log may say of a failure beyond its name. The driver quotes whole rows, names and tokens of cards
    included: of a refusal, or of what came of one, no traceback is kept."""
    cause: BaseException | None = failure
    while cause is not None:
        if refusal(cause) is not None:
            return None
        cause = cause.__cause__ or cause.__context__
    return failure


def _state(job: Scheduled, row: jobs.Job, now: datetime) -> JobState:
    return JobState(
        name=job.name,
        title=job.title,
        due_at=row.due_at,
        is_running=row.leased_until is not None and row.leased_until > now,
        started_at=row.started_at,
        done=row.done,
        total=row.total,
        last_finished_at=row.last_finished_at,
        last_result=row.last_result,
        last_error=row.last_error,
    )
