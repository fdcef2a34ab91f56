"""A job is one row: one run at a time, a dead one is taken over, a late one is not doubled."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from storage_making import NOW, at_once

from storage import jobs
from storage.db import Database
from storage.jobs import Job

LEASE = timedelta(minutes=2)
TOMORROW = NOW + timedelta(days=1)


def plan(tx: sa.Connection, first: dict[str, datetime], *, latest: datetime = TOMORROW, at: datetime = NOW) -> None:
    jobs.plan(tx, first, latest=dict.fromkeys(first, latest), lease_max=at + 2 * LEASE)


@pytest.fixture(autouse=True)
def _planned(db: Database) -> None:
    with db.begin() as tx:
        plan(tx, {"burn": NOW, "gifts": TOMORROW})


def take(db: Database, name: str = "burn", *, at: Any = NOW, at_once: bool = False) -> Job | None:
    with db.begin() as tx:
        return jobs.take(tx, name, now=at, until=at + LEASE, at_once=at_once)


def taken(db: Database, name: str = "burn", **how: Any) -> Job:
    job = take(db, name, **how)
    assert job is not None
    return job


def save(db: Database, job: Job, *, at: Any = NOW, done: int = 1) -> bool:
    assert job.leased_until is not None
    with db.begin() as tx:
        return jobs.save(
            tx, job.name, held=job.leased_until, until=at + LEASE, done=done, total=10, cursor={"place": {"after": 7}}
        )


def row(db: Database, name: str = "burn") -> Job:
    with db.begin() as tx:
        return next(job for job in jobs.all_jobs(tx) if job.name == name)


def test_a_job_is_planned_once_and_keeps_its_date(db: Database) -> None:
    with db.begin() as tx:
        plan(tx, {"burn": TOMORROW, "notices": NOW})

    assert (row(db).due_at, row(db, "notices").due_at) == (NOW, NOW)


def test_a_clock_that_was_once_a_year_ahead_stops_no_job(db: Database) -> None:
    ahead = NOW + timedelta(days=365)
    held = taken(db, "gifts", at=ahead)
    with db.begin() as tx:
        assert held.leased_until is not None
        assert jobs.finish(tx, "gifts", held=held.leased_until, due_at=ahead, now=ahead, result="")
    taken(db, at=ahead)

    with db.begin() as tx:
        plan(tx, {"burn": NOW, "gifts": NOW}, latest=TOMORROW)

    assert row(db, "gifts").due_at == TOMORROW
    assert take(db, "burn", at=NOW + 2 * LEASE - timedelta(seconds=1)) is None  # who holds it may still be alive
    assert take(db, "burn", at=NOW + 2 * LEASE) is not None


def test_planning_leaves_a_job_alone_that_is_due_sooner_or_at_work(db: Database) -> None:
    held = taken(db)

    with db.begin() as tx:
        plan(tx, {"burn": TOMORROW, "gifts": TOMORROW}, latest=TOMORROW + timedelta(days=1))

    assert (row(db).leased_until, row(db).due_at) == (held.leased_until, NOW)
    assert (row(db, "gifts").leased_until, row(db, "gifts").due_at) == (None, TOMORROW)
    assert save(db, held)


def test_a_job_is_taken_when_it_is_due_or_at_once(db: Database) -> None:
    assert take(db, "gifts") is None
    assert taken(db, "gifts", at_once=True).cursor == {}
    assert taken(db).started_at == NOW


def test_only_one_of_many_takers_gets_the_job(db: Database) -> None:
    found = at_once([lambda: take(db)] * 6)

    assert sum(job is not None for job in found) == 1


def test_a_leased_job_is_not_taken_even_at_once(db: Database) -> None:
    taken(db)

    assert take(db, at_once=True) is None


def test_the_lease_of_a_dead_run_runs_out_and_the_next_goes_on_from_its_place(db: Database) -> None:
    dead = taken(db)
    save(db, dead, done=4)

    assert take(db, at=NOW + LEASE - timedelta(seconds=1)) is None
    heir = taken(db, at=NOW + LEASE)
    assert (heir.done, heir.total, heir.cursor) == (4, 10, {"place": {"after": 7}})
    assert heir.started_at == NOW  # still the same run


def test_a_run_killed_before_its_time_is_due_for_whoever_comes_next(db: Database) -> None:
    taken(db, "gifts", at_once=True)

    assert take(db, "gifts", at=NOW + LEASE) is not None


def test_who_lost_the_lease_can_save_nothing_more(db: Database) -> None:
    slow = taken(db)
    heir = taken(db, at=NOW + LEASE)

    assert not save(db, slow, done=9)
    assert slow.leased_until is not None
    with db.begin() as tx:
        assert not jobs.finish(tx, "burn", held=slow.leased_until, due_at=TOMORROW, now=NOW, result="")
        assert not jobs.fail(tx, "burn", held=slow.leased_until, due_at=TOMORROW, error="")
        assert not jobs.pause(tx, "burn", held=slow.leased_until)
    assert (row(db).done, row(db).leased_until) == (0, heir.leased_until)


def test_a_saved_step_makes_the_lease_longer(db: Database) -> None:
    job = taken(db)
    save(db, job, at=NOW + timedelta(minutes=1))

    assert take(db, at=NOW + LEASE) is None


def test_a_finished_run_leaves_its_result_and_the_next_begins_from_the_beginning(db: Database) -> None:
    job = taken(db)
    save(db, job, at=NOW)
    with db.begin() as tx:
        assert jobs.finish(tx, "burn", held=NOW + LEASE, due_at=TOMORROW, now=NOW, result="сгорело: 3")

    left = row(db)
    assert (left.leased_until, left.cursor, left.due_at, left.done) == (None, None, TOMORROW, 1)
    assert (left.last_result, left.last_finished_at, left.last_error) == ("сгорело: 3", NOW, None)
    again = taken(db, at=TOMORROW)
    assert (again.done, again.total, again.cursor, again.started_at) == (0, None, {}, TOMORROW)


def test_a_failed_run_keeps_its_place_and_says_why(db: Database) -> None:
    job = taken(db)
    save(db, job, done=4)
    later = NOW + timedelta(minutes=10)
    with db.begin() as tx:
        assert jobs.fail(tx, "burn", held=NOW + LEASE, due_at=later, error="база\x00 отказала")

    assert take(db, at=NOW + timedelta(minutes=9)) is None
    assert row(db).last_error == "база отказала"
    assert taken(db, at=later).done == 4


def test_a_paused_run_goes_on_at_once(db: Database) -> None:
    job = taken(db, "gifts", at_once=True)
    assert job.leased_until is not None
    with db.begin() as tx:
        assert jobs.pause(tx, "gifts", held=job.leased_until)

    assert take(db, "gifts") is not None
