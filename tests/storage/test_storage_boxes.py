"""Rows of work: claimed with a lease, finished, retried, parked, taken back from the dead; for both boxes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from storage_making import LEASE, NOW, at_once

from storage import boxes, inbox, outbox
from storage.boxes import Box, Claim
from storage.db import Database

BOTH: list[Box] = ["inbox", "outbox"]
SECOND = timedelta(seconds=1)

pytestmark = pytest.mark.parametrize("box", BOTH)


@pytest.fixture
def db(shared_db: Database) -> Database:
    return shared_db


def ask(db: Database, box: Box, number: int = 1) -> None:
    """Asks for work number N, for the first or another time."""
    with db.begin() as tx:
        if box == "inbox":
            inbox.add(tx, source="amocrm.deal", external_id=str(number), body=b"", is_hint=True, now=NOW)
        else:
            outbox.add(tx, "crm", [number], now=NOW)


def claim(db: Database, box: Box, *, alone: bool = False, limit: int = 50, now: Any = NOW) -> Sequence[Claim]:
    with db.begin() as tx:
        rows: Sequence[Any] = (
            inbox.claim(tx, now=now, lease=LEASE, limit=limit, alone=alone)
            if box == "inbox"
            else outbox.claim(tx, "crm", now=now, lease=LEASE, limit=limit, alone=alone)
        )
    return [row.claim for row in rows]


def one_claim(db: Database, box: Box, **how: Any) -> Claim:
    claims = claim(db, box, **how)
    assert len(claims) == 1
    return claims[0]


def finish(db: Database, box: Box, done: Claim) -> bool:
    with db.begin() as tx:
        return boxes.finish(tx, box, done, now=NOW, outcome="готово")


def row(db: Database, box: Box, row_id: int = 1) -> Any:
    with db.begin() as tx:
        return tx.execute(sa.text(f"SELECT * FROM {box} WHERE id = :id"), {"id": row_id}).one()


def test_work_is_claimed_done_and_asked_for_no_more(db: Database, box: Box) -> None:
    ask(db, box)

    assert finish(db, box, one_claim(db, box))

    assert (row(db, box).state, row(db, box).outcome, row(db, box).leased_until) == ("done", "готово", None)
    assert claim(db, box, now=NOW + LEASE) == []


def test_many_workers_never_get_the_same_row(db: Database, box: Box) -> None:
    for number in range(1, 61):
        ask(db, box, number)

    def take() -> list[int]:
        taken: list[int] = []
        while claims := claim(db, box, limit=3):
            taken += [one.id for one in claims]
        return taken

    taken = at_once([take] * 6)

    all_taken = [row_id for ids in taken for row_id in ids]
    assert sorted(all_taken) == list(range(1, 61))


def test_a_row_locked_by_another_transaction_is_passed_over_not_waited_for(db: Database, box: Box) -> None:
    ask(db, box, 1)
    ask(db, box, 2)

    with db.begin() as other:
        other.execute(sa.text(f"SELECT id FROM {box} WHERE id = 1 FOR UPDATE"))
        assert [one.id for one in claim(db, box)] == [2]


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


def test_a_row_finished_once_is_not_finished_again(db: Database, box: Box) -> None:
    ask(db, box)
    done = one_claim(db, box)

    assert [finish(db, box, done), finish(db, box, done)] == [True, False]


@pytest.mark.parametrize("end", ["finish", "park"])
def test_work_asked_for_while_it_is_done_is_done_once_more(db: Database, box: Box, end: str) -> None:
    ask(db, box)
    held = one_claim(db, box)
    ask(db, box)
    ask(db, box)
    assert row(db, box).state == "working"

    with db.begin() as tx:
        if end == "finish":
            assert boxes.finish(tx, box, held, now=NOW, outcome="готово")
        else:
            boxes.park(tx, box, held, now=NOW, outcome="к человеку")

    assert row(db, box).state == "waiting"
    assert finish(db, box, one_claim(db, box))
    assert row(db, box).state == "done"


def test_a_retried_row_waits_for_its_date_and_counts_the_failure(db: Database, box: Box) -> None:
    ask(db, box)
    for failures in (1, 2):
        held = one_claim(db, box, now=NOW + SECOND * failures)
        assert held.failures == failures - 1
        with db.begin() as tx:
            boxes.retry(tx, box, held, due_at=NOW + SECOND * (failures + 1), outcome="позже")

    assert claim(db, box, now=NOW + SECOND * 2) == []
    assert (row(db, box).failures, row(db, box).crashes, row(db, box).outcome) == (2, 0, "позже")


def test_success_forgets_earlier_failures(db: Database, box: Box) -> None:
    ask(db, box)
    with db.begin() as tx:
        boxes.retry(tx, box, one_claim(db, box), due_at=NOW, outcome="позже")

    finish(db, box, one_claim(db, box))

    assert row(db, box).failures == 0


def test_a_parked_row_waits_for_a_person_who_says_again(db: Database, box: Box) -> None:
    ask(db, box)
    with db.begin() as tx:
        boxes.park(tx, box, one_claim(db, box), now=NOW, outcome="решите")
    assert claim(db, box, now=NOW + timedelta(days=365)) == []
    assert (row(db, box).state, row(db, box).outcome) == ("parked", "решите")

    with db.begin() as tx:
        assert boxes.replay(tx, box, 1, now=NOW)

    assert one_claim(db, box).failures == 0


def test_replay_wakes_finished_rows_and_no_others(db: Database, box: Box) -> None:
    ask(db, box)

    def replay(row_id: int) -> bool:
        with db.begin() as tx:
            return boxes.replay(tx, box, row_id, now=NOW)

    assert not replay(1), "it waits already"
    held = one_claim(db, box)
    assert not replay(1), "it is being worked"
    finish(db, box, held)
    assert replay(1)
    assert not replay(99)


def test_a_lease_is_respected_to_its_last_second(db: Database, box: Box) -> None:
    ask(db, box)
    one_claim(db, box)

    with db.begin() as tx:
        assert boxes.reclaim_expired(tx, box, now=NOW + LEASE - SECOND) == 0
        assert boxes.reclaim_expired(tx, box, now=NOW + LEASE) == 1
        assert boxes.reclaim_expired(tx, box, now=NOW + LEASE) == 0


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


def test_rows_are_worked_oldest_first(db: Database, box: Box) -> None:
    for number in (1, 2, 3):
        ask(db, box, number)
    with db.begin() as tx:
        tx.execute(sa.text(f"UPDATE {box} SET due_at = due_at - make_interval(mins => id::int) WHERE id > 1"))

    assert [one_claim(db, box, limit=1).id for _ in range(3)] == [3, 2, 1]


@pytest.mark.parametrize("outcome", ["с\x00нулём", "половина \ud83d", "я" * 2_000])
@pytest.mark.parametrize("end", ["finish", "retry", "park"])
def test_an_outcome_of_any_text_can_be_written(db: Database, box: Box, end: str, outcome: str) -> None:
    ask(db, box)
    held = one_claim(db, box)

    with db.begin() as tx:
        if end == "finish":
            assert boxes.finish(tx, box, held, now=NOW, outcome=outcome)
        elif end == "retry":
            boxes.retry(tx, box, held, due_at=NOW, outcome=outcome)
        else:
            boxes.park(tx, box, held, now=NOW, outcome=outcome)

    stored = row(db, box).outcome
    assert 0 < len(stored) <= boxes.OUTCOME_CHARS_MAX
    assert row(db, box).state != "working"


def test_counts_and_ages_tell_how_the_box_stands(db: Database, box: Box) -> None:
    for number in (1, 2, 3, 4):
        ask(db, box, number)
    first, second = claim(db, box, limit=2)
    finish(db, box, first)
    with db.begin() as tx:
        boxes.park(tx, box, second, now=NOW, outcome="решите")
        held = one_claim(db, box, limit=1)
        assert held.id == 3

    later = NOW + timedelta(minutes=5)
    with db.begin() as tx:
        assert boxes.counts(tx, box) == {"waiting": 1, "working": 1, "done": 1, "parked": 1}
        assert (boxes.due(tx, box, now=later), boxes.due(tx, box, now=NOW - SECOND)) == (1, 0)
        assert boxes.oldest_waiting_s(tx, box, now=later) == 300.0
        assert boxes.oldest_waiting_s(tx, box, now=NOW - SECOND) == 0.0


def test_people_see_the_newest_rows_of_the_states_they_ask_for(db: Database, box: Box) -> None:
    for number in (1, 2, 3):
        ask(db, box, number)
    finish(db, box, one_claim(db, box, limit=1))
    recent = inbox.recent if box == "inbox" else outbox.recent

    with db.begin() as tx:
        assert [row.id for row in recent(tx, states=["waiting", "done"], limit=2)] == [3, 2]
        assert [row.id for row in recent(tx, states=["done"], limit=9)] == [1]
