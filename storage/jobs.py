"""Rows of scheduled work: when a job is due, who does it now, how far it has come.

One row per job. A run holds a lease; each saved step extends it, and whoever has lost it can save nothing more. What a
killed run has saved stays in the row, and the next run goes on from there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from storage.text import storable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

RESULT_CHARS_MAX = 500
LOCK_WAIT_MS = 250


@dataclass(frozen=True)
class Job:
    """`cursor` is None between runs. `total`: how much there was to do when the run began, None if nobody counted."""

    name: str
    due_at: datetime
    leased_until: datetime | None
    started_at: datetime | None
    done: int
    total: int | None
    cursor: Mapping[str, Any] | None
    last_finished_at: datetime | None
    last_result: str | None
    last_error: str | None


_COLUMNS = "name, due_at, leased_until, started_at, done, total, cursor, last_finished_at, last_result, last_error"
_TAKE = sa.text(
    f"""
    WITH free AS (
        SELECT name FROM job
        WHERE name = :name AND (due_at <= :now OR :at_once) AND (leased_until IS NULL OR leased_until <= :now)
        FOR UPDATE SKIP LOCKED
    )
    UPDATE job SET leased_until = :until, due_at = LEAST(due_at, :now),
        started_at = CASE WHEN cursor IS NULL THEN :now ELSE started_at END,
        done = CASE WHEN cursor IS NULL THEN 0 ELSE done END,
        total = CASE WHEN cursor IS NULL THEN NULL ELSE total END,
        cursor = COALESCE(cursor, '{{}}')
    WHERE name IN (SELECT name FROM free)
    RETURNING {_COLUMNS}
    """  # noqa: S608
)


_PLAN = sa.text(
    """
    INSERT INTO job (name, due_at) SELECT * FROM unnest(CAST(:names AS text[]), CAST(:due AS timestamptz[]))
    ON CONFLICT DO NOTHING
    """
)
_MEND = sa.text(
    """
    UPDATE job SET due_at = LEAST(job.due_at, known.latest),
        leased_until = CASE WHEN job.leased_until > :lease_max THEN :lease_max ELSE job.leased_until END
    FROM unnest(CAST(:names AS text[]), CAST(:latest AS timestamptz[])) AS known (name, latest)
    WHERE job.name = known.name AND (job.due_at > known.latest OR job.leased_until > :lease_max)
    """
)


def plan(
    tx: sa.Connection, first_due: Mapping[str, datetime], *, latest: Mapping[str, datetime], lease_max: datetime
) -> None:
    """Rows for jobs that have none yet. A clock that was once wrong stops nothing: no job stays due after its `latest`
    time, no lease lasts beyond `lease_max`."""
    tx.execute(_PLAN, {"names": list(first_due), "due": list(first_due.values())})
    tx.execute(_MEND, {"names": list(latest), "latest": list(latest.values()), "lease_max": lease_max})


def take(tx: sa.Connection, name: str, *, now: datetime, until: datetime, at_once: bool = False) -> Job | None:
    """The job, leased and due until it is finished; None if it is not due (`at_once` does not ask) or somebody does
    it."""
    row = tx.execute(_TAKE, {"name": name, "now": now, "until": until, "at_once": at_once}).one_or_none()
    return None if row is None else _job(row)


def save(
    tx: sa.Connection,
    name: str,
    *,
    held: datetime,
    until: datetime,
    done: int,
    total: int | None,
    cursor: Mapping[str, Any],
) -> bool:
    """How far the run has come, and a longer lease. False: another run has taken the job since, roll back."""
    return _write(
        tx,
        "leased_until = :until, done = :done, total = :total, cursor = :cursor",
        {
            "name": name,
            "held": held,
            "until": until,
            "done": done,
            "total": total,
            "cursor": json.dumps(cursor, ensure_ascii=False),
        },
    )


def be_impatient(tx: sa.Connection) -> None:
    """For the rest of the transaction a lock is waited for only shortly: whoever waits keeps many members locked."""
    tx.execute(sa.text(f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}"))


def pause(tx: sa.Connection, name: str, *, held: datetime) -> bool:
    """Gives the job back unfinished: whoever takes it next goes on at once."""
    return _write(tx, "leased_until = NULL", {"name": name, "held": held})


def finish(tx: sa.Connection, name: str, *, held: datetime, due_at: datetime, now: datetime, result: str) -> bool:
    """The run is over; the next one begins from the beginning at `due_at`."""
    return _write(
        tx,
        "leased_until = NULL, cursor = NULL, due_at = :due_at, last_finished_at = :now, last_result = :result,"
        " last_error = NULL",
        {
            "name": name,
            "held": held,
            "due_at": due_at,
            "now": now,
            "result": storable(result, chars_max=RESULT_CHARS_MAX),
        },
    )


def fail(tx: sa.Connection, name: str, *, held: datetime, due_at: datetime, error: str) -> bool:
    """The run broke off; the next one goes on from what was saved, at `due_at`."""
    return _write(
        tx,
        "leased_until = NULL, due_at = :due_at, last_error = :error",
        {"name": name, "held": held, "due_at": due_at, "error": storable(error, chars_max=RESULT_CHARS_MAX)},
    )


def all_jobs(tx: sa.Connection) -> Sequence[Job]:
    """For people who look after the night."""
    return [_job(row) for row in tx.execute(sa.text(f"SELECT {_COLUMNS} FROM job ORDER BY name"))]  # noqa: S608


def _write(tx: sa.Connection, changes: str, parameters: Mapping[str, Any]) -> bool:
    statement = sa.text(f"UPDATE job SET {changes} WHERE name = :name AND leased_until = :held")  # noqa: S608
    return tx.execute(statement, parameters).rowcount == 1


def _job(row: sa.Row[Any]) -> Job:
    known = dict(row._mapping)
    cursor = known["cursor"]
    return Job(**{**known, "cursor": None if cursor is None else json.loads(cursor)})
