"""Rows of work: claimed with a lease, finished, retried, parked, taken back from the dead; for both boxes."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from storage_making import LEASE, NOW, ask, at_once, claim, finish, one_claim, row

from storage import boxes, inbox, outbox
from storage.boxes import Box
from storage.db import Database

BOTH: list[Box] = ["inbox", "outbox"]
SECOND = timedelta(seconds=1)

pytestmark = pytest.mark.parametrize("box", BOTH)


@pytest.fixture
def db(shared_db: Database) -> Database:
    return shared_db


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
