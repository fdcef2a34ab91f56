"""Rows of work whose worker died, was too slow or was refused with others: the lease and what it protects."""

from __future__ import annotations

from datetime import timedelta

import pytest
from storage_making import LEASE, NOW, ask, claim, finish, one_claim, row

from storage import boxes
from storage.boxes import Box
from storage.db import Database

BOTH: list[Box] = ["inbox", "outbox"]
SECOND = timedelta(seconds=1)

pytestmark = pytest.mark.parametrize("box", BOTH)


@pytest.fixture
def db(shared_db: Database) -> Database:
    return shared_db


def test_a_worker_that_lost_its_claim_cannot_finish_retry_park_or_release_the_row(db: Database, box: Box) -> None:
    ask(db, box)
    lost = one_claim(db, box)
    with db.begin() as tx:
        assert boxes.reclaim_expired(tx, box, now=NOW + LEASE) == 1
    held = one_claim(db, box, now=NOW + LEASE, alone=True)
    before = row(db, box)

    assert not finish(db, box, lost)
    with db.begin() as tx:
        boxes.retry(tx, box, lost, due_at=NOW, outcome="нет")
        boxes.park(tx, box, lost, now=NOW, outcome="нет")
        boxes.release(tx, box, [lost])
        boxes.isolate(tx, box, [lost])

    assert row(db, box) == before
    assert finish(db, box, held)


def test_a_claim_taken_back_is_lost_even_if_nobody_has_it_yet(db: Database, box: Box) -> None:
    ask(db, box)
    lost = one_claim(db, box)
    with db.begin() as tx:
        boxes.reclaim_expired(tx, box, now=NOW + LEASE)

    assert not finish(db, box, lost)
    assert row(db, box).state == "waiting"


def test_a_lease_is_respected_to_its_last_second(db: Database, box: Box) -> None:
    ask(db, box)
    one_claim(db, box)

    with db.begin() as tx:
        assert boxes.reclaim_expired(tx, box, now=NOW + LEASE - SECOND) == 0
        assert boxes.reclaim_expired(tx, box, now=NOW + LEASE) == 1
        assert boxes.reclaim_expired(tx, box, now=NOW + LEASE) == 0


def test_a_lease_is_made_longer_for_those_rows_that_are_still_ours(db: Database, box: Box) -> None:
    for number in (1, 2):
        ask(db, box, number)
    ours, lost = claim(db, box)
    with db.begin() as tx:
        boxes.release(tx, box, [lost])

    with db.begin() as tx:
        assert boxes.extend(tx, box, [ours, lost], until=NOW + LEASE * 3) == 1
        assert boxes.reclaim_expired(tx, box, now=NOW + LEASE * 2) == 0
        assert boxes.reclaim_expired(tx, box, now=NOW + LEASE * 3) == 1


def test_a_row_that_crashed_a_worker_is_from_then_on_claimed_alone(db: Database, box: Box) -> None:
    for number in (1, 2, 3):
        ask(db, box, number)
    assert len(claim(db, box, limit=2)) == 2
    with db.begin() as tx:
        boxes.reclaim_expired(tx, box, now=NOW + LEASE)

    later = NOW + LEASE
    assert [one.id for one in claim(db, box, now=later)] == [3]
    assert [one.id for one in claim(db, box, now=later, alone=True)] == [1]
    assert [one.id for one in claim(db, box, now=later, alone=True)] == [2]
    assert claim(db, box, now=later, alone=True) == []


def test_a_row_that_crashes_every_worker_is_parked_with_a_reason_and_its_neighbour_is_not(
    db: Database, box: Box
) -> None:
    ask(db, box, 1)
    ask(db, box, 2)
    now = NOW
    claim(db, box, now=now)
    for crash in range(1, boxes.CRASHES_MAX + 1):
        now += LEASE
        with db.begin() as tx:
            boxes.reclaim_expired(tx, box, now=now)
        assert row(db, box, 1).crashes == crash
        if crash < boxes.CRASHES_MAX:
            assert one_claim(db, box, now=now, alone=True).id == 1
        if crash == 1:
            assert finish(db, box, one_claim(db, box, now=now, alone=True))

    assert row(db, box, 1).state == "parked"
    assert f"{boxes.CRASHES_MAX} раз" in row(db, box, 1).outcome
    assert claim(db, box, now=now, alone=True) == []
    assert (row(db, box, 2).state, row(db, box, 2).crashes) == ("done", 0)


def test_rows_refused_together_are_given_back_to_be_worked_alone(db: Database, box: Box) -> None:
    for number in (1, 2):
        ask(db, box, number)
    claims = claim(db, box)

    with db.begin() as tx:
        boxes.isolate(tx, box, claims)

    assert claim(db, box) == []
    assert [one_claim(db, box, alone=True).id for _ in claims] == [1, 2]
    assert [row(db, box, number).crashes for number in (1, 2)] == [1, 1]


def test_untouched_rows_are_given_back_without_a_mark(db: Database, box: Box) -> None:
    for number in (1, 2):
        ask(db, box, number)
    with db.begin() as tx:
        boxes.release(tx, box, claim(db, box))

    assert [(one.id, one.failures) for one in claim(db, box)] == [(1, 0), (2, 0)]
