"""For how long the other side has not shown what it should: an age that retries do not make younger."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from storage_making import LEASE, NOW

from storage import boxes, outbox
from storage.db import Database

MINUTE = timedelta(minutes=1)


@pytest.fixture
def db(shared_db: Database) -> Database:
    return shared_db


def mark(db: Database, member_id: int = 1, *, after_min: int = 0, due_min: int | None = None) -> None:
    due_at = None if due_min is None else NOW + due_min * MINUTE
    with db.begin() as tx:
        outbox.add(tx, "crm", [member_id], now=NOW + after_min * MINUTE, due_at=due_at)


def take(db: Database, *, after_min: int) -> boxes.Claim:
    with db.begin() as tx:
        [row] = outbox.claim(tx, "crm", now=NOW + after_min * MINUTE, lease=LEASE, limit=1)
    return row.claim


def take_in(tx: sa.Connection) -> boxes.Claim:
    [row] = outbox.claim(tx, "crm", now=NOW + MINUTE, lease=LEASE, limit=1)
    return row.claim


def finish(db: Database, claim: boxes.Claim, *, after_min: int) -> None:
    with db.begin() as tx:
        assert boxes.finish(tx, "outbox", claim, now=NOW + after_min * MINUTE, outcome="готово")


def behind_min(db: Database, *, after_min: int) -> tuple[int, float]:
    with db.begin() as tx:
        count, age_s = outbox.behind(tx, "crm", now=NOW + after_min * MINUTE)
    return count, age_s / 60


def test_nobody_is_behind_while_nothing_is_marked_and_after_all_is_done(db: Database) -> None:
    before = behind_min(db, after_min=0)
    mark(db)
    finish(db, take(db, after_min=1), after_min=2)

    assert before == behind_min(db, after_min=9) == (0, 0.0)


def test_the_age_is_that_of_the_first_mark_however_often_it_is_repeated(db: Database) -> None:
    mark(db)
    mark(db, after_min=3)
    mark(db, 2, after_min=4)

    assert behind_min(db, after_min=10) == (2, 10.0)


def test_retries_do_not_make_it_younger(db: Database) -> None:
    mark(db)
    with db.begin() as tx:
        boxes.retry(tx, "outbox", take_in(tx), due_at=NOW + 60 * MINUTE, outcome="CRM не отвечает")
    mark(db, after_min=20)

    assert behind_min(db, after_min=30) == (1, 30.0)


def test_a_mark_during_the_work_counts_from_itself_and_the_next_ones_from_it(db: Database) -> None:
    mark(db)
    claim = take(db, after_min=1)
    mark(db, after_min=4)
    mark(db, after_min=6)
    finish(db, claim, after_min=7)

    assert behind_min(db, after_min=10) == (1, 6.0)


def test_what_is_done_begins_anew_with_its_next_mark(db: Database) -> None:
    mark(db)
    finish(db, take(db, after_min=1), after_min=2)
    mark(db, after_min=8)

    assert behind_min(db, after_min=10) == (1, 2.0)


def test_a_look_that_is_planned_for_later_is_not_behind_before_its_time(db: Database) -> None:
    mark(db, due_min=20)

    assert behind_min(db, after_min=19) == (0, 0.0)
    assert behind_min(db, after_min=25) == (1, 5.0)


def test_what_a_person_must_release_counts_from_when_it_first_should_have_been_done(db: Database) -> None:
    mark(db)
    with db.begin() as tx:
        boxes.park(tx, "outbox", take_in(tx), now=NOW + MINUTE, outcome="поля нет")
    mark(db, after_min=30)

    assert behind_min(db, after_min=40) == (1, 40.0)
