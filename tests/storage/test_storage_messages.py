"""What the inbox and the outbox do with repetition, each in its own way."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from storage_making import LEASE, NOW, at_once

from storage import boxes, inbox, outbox
from storage.db import Database
from storage.inbox import Stored

MINUTE = timedelta(minutes=1)


@pytest.fixture
def db(shared_db: Database) -> Database:
    return shared_db


def arrive(db: Database, *, is_hint: bool, body: bytes = b"body", now: Any = NOW, external_id: str = "1") -> Stored:
    with db.autocommit() as connection:
        return inbox.add(connection, source="tbank", external_id=external_id, body=body, is_hint=is_hint, now=now)


def inbox_row(db: Database) -> Any:
    with db.begin() as tx:
        return tx.execute(sa.text("SELECT * FROM inbox")).one()


def outbox_row(db: Database) -> Any:
    with db.begin() as tx:
        return tx.execute(sa.text("SELECT * FROM outbox")).one()


def work(db: Database, end: str) -> None:
    """Claims the one row of the inbox and ends it."""
    with db.begin() as tx:
        (row,) = inbox.claim(tx, now=NOW, lease=LEASE, limit=1)
        if end == "done":
            boxes.finish(tx, "inbox", row.claim, now=NOW, outcome="готово")
        elif end == "parked":
            boxes.park(tx, "inbox", row.claim, now=NOW, outcome="решите")
        elif end == "retried":
            boxes.retry(tx, "inbox", row.claim, due_at=NOW + 10 * MINUTE, outcome="позже")


def test_a_message_is_kept_as_the_bytes_that_came(db: Database) -> None:
    body = bytes(range(256))

    stored = arrive(db, is_hint=False, body=body)

    assert stored.is_new
    with db.begin() as tx:
        (row,) = inbox.claim(tx, now=NOW, lease=LEASE, limit=9)
    assert (row.body, row.source, row.external_id, row.received_at) == (body, "tbank", "1", NOW)


def test_both_ways_into_the_inbox_end_in_the_same_row(db: Database) -> None:
    message: dict[str, Any] = {"source": "tbank", "external_id": "1", "body": b"body", "is_hint": True}
    with db.driver() as connection:
        first = inbox.add_at_once(connection, **message, now=NOW)
    with db.begin() as tx:
        second = inbox.add(tx, **message, now=NOW)
    with db.driver() as connection:
        third = inbox.add_at_once(connection, **message, now=NOW)

    assert [first.is_new, second.is_new, third.is_new] == [True, False, False]
    assert first.id == second.id == third.id
    row = inbox_row(db)
    assert (row.arrivals, row.wanted, row.is_conflict, bytes(row.body)) == (3, 3, False, b"body")


def test_the_same_id_of_two_sources_is_two_messages(db: Database) -> None:
    with db.begin() as tx:
        first = inbox.add(tx, source="tbank", external_id="1", body=b"", is_hint=False, now=NOW)
        second = inbox.add(tx, source="yookassa", external_id="1", body=b"", is_hint=True, now=NOW)

    assert first.id != second.id
    assert first.is_new
    assert second.is_new


@pytest.mark.parametrize("end", ["done", "parked", "retried", "working"])
def test_a_repeated_fact_is_counted_and_changes_nothing(db: Database, end: str) -> None:
    arrive(db, is_hint=False)
    work(db, end)
    before = inbox_row(db)._asdict()

    for _ in range(3):
        assert not arrive(db, is_hint=False, now=NOW + MINUTE).is_new

    assert inbox_row(db)._asdict() == {**before, "arrivals": 4}


@pytest.mark.parametrize(
    ("end", "state", "due_at"),
    [
        ("done", "waiting", NOW + MINUTE),
        ("parked", "waiting", NOW + MINUTE),
        ("retried", "waiting", NOW + MINUTE),
        ("working", "working", NOW),
    ],
)
def test_a_repeated_hint_asks_for_the_work_again(db: Database, end: str, state: str, due_at: Any) -> None:
    arrive(db, is_hint=True)
    work(db, end)

    arrive(db, is_hint=True, now=NOW + MINUTE)

    row = inbox_row(db)
    assert (row.state, row.due_at, row.wanted, row.arrivals) == (state, due_at, 2, 2)


def test_a_hint_that_waits_anyway_is_not_put_off_by_its_repetition(db: Database) -> None:
    arrive(db, is_hint=True)

    arrive(db, is_hint=True, now=NOW + MINUTE)

    assert inbox_row(db).due_at == NOW


def test_a_parked_hint_that_comes_again_gets_its_whole_schedule_again(db: Database) -> None:
    arrive(db, is_hint=True)
    with db.begin() as tx:
        tx.execute(sa.text("UPDATE inbox SET failures = 7"))
    work(db, "parked")

    arrive(db, is_hint=True)

    with db.begin() as tx:
        (row,) = inbox.claim(tx, now=NOW, lease=LEASE, limit=1)
    assert row.claim.failures == 0


def test_other_bytes_under_a_known_id_are_marked_and_the_first_are_kept(db: Database) -> None:
    arrive(db, is_hint=False, body=b"499000")
    assert not inbox_row(db).is_conflict

    arrive(db, is_hint=False, body=b"1")
    arrive(db, is_hint=False, body=b"499000")

    row = inbox_row(db)
    assert (bytes(row.body), row.is_conflict, row.arrivals) == (b"499000", True, 3)


def test_one_message_told_at_once_by_many_is_one_row(db: Database) -> None:
    stored = at_once([lambda: arrive(db, is_hint=False)] * 8)

    assert sorted(one.is_new for one in stored) == [False] * 7 + [True]
    assert len({one.id for one in stored}) == 1
    assert inbox_row(db).arrivals == 8


def test_bodies_of_old_finished_rows_are_forgotten_and_their_ids_kept(db: Database) -> None:
    old = NOW - timedelta(days=91)
    for number, received_at in enumerate((old, old, NOW), start=1):
        arrive(db, is_hint=False, external_id=str(number), now=received_at)
    with db.begin() as tx:
        for row in inbox.claim(tx, now=NOW, lease=LEASE, limit=9):
            if row.external_id != "2":
                boxes.finish(tx, "inbox", row.claim, now=NOW, outcome="готово")

    with db.begin() as tx:
        assert inbox.forget_bodies(tx, before=NOW - timedelta(days=90), limit=10) == 1
        assert inbox.forget_bodies(tx, before=NOW - timedelta(days=90), limit=10) == 0
        bodies = tx.execute(sa.text("SELECT body FROM inbox ORDER BY id")).scalars().all()
    assert [bytes(body) for body in bodies] == [b"", b"body", b"body"]
    assert not arrive(db, is_hint=False, external_id="1").is_new
    with db.begin() as tx:
        again = tx.execute(sa.text("SELECT body FROM inbox WHERE external_id = '1'")).scalar_one()
    assert bytes(again) == b"body", "a repeated message brings its forgotten body back"


def test_a_hundred_changes_of_one_member_make_one_delivery(db: Database) -> None:
    for _ in range(100):
        with db.begin() as tx:
            outbox.add(tx, "crm", [7], now=NOW)

    row = outbox_row(db)
    assert (row.wanted, row.state, row.due_at) == (100, "waiting", NOW)


def test_kinds_and_targets_are_delivered_apart(db: Database) -> None:
    with db.begin() as tx:
        outbox.add(tx, "crm", [7, 8], now=NOW)
        outbox.add(tx, "google", [7], now=NOW)
        outbox.add(tx, "note", [], now=NOW)

    with db.begin() as tx:
        assert [row.target_id for row in outbox.claim(tx, "crm", now=NOW, lease=LEASE, limit=9)] == [7, 8]
        assert [row.target_id for row in outbox.claim(tx, "google", now=NOW, lease=LEASE, limit=9)] == [7]
        assert outbox.claim(tx, "note", now=NOW, lease=LEASE, limit=9) == []


def test_a_failing_delivery_keeps_its_planned_retry_when_more_is_asked(db: Database) -> None:
    with db.begin() as tx:
        outbox.add(tx, "crm", [7], now=NOW)
        (row,) = outbox.claim(tx, "crm", now=NOW, lease=LEASE, limit=1)
        boxes.retry(tx, "outbox", row.claim, due_at=NOW + 10 * MINUTE, outcome="CRM не отвечает")

    with db.begin() as tx:
        outbox.add(tx, "crm", [7], now=NOW + MINUTE)

    assert (outbox_row(db).due_at, outbox_row(db).failures) == (NOW + 10 * MINUTE, 1)


@pytest.mark.parametrize("end", ["done", "parked"])
def test_a_finished_or_parked_delivery_wakes_with_a_clean_record(db: Database, end: str) -> None:
    with db.begin() as tx:
        outbox.add(tx, "crm", [7], now=NOW)
        (row,) = outbox.claim(tx, "crm", now=NOW, lease=LEASE, limit=1)
        if end == "done":
            boxes.finish(tx, "outbox", row.claim, now=NOW, outcome="готово")
        else:
            boxes.park(tx, "outbox", row.claim, now=NOW, outcome="решите")

    with db.begin() as tx:
        outbox.add(tx, "crm", [7], now=NOW + MINUTE, due_at=NOW + 2 * MINUTE)

    row = outbox_row(db)
    assert (row.state, row.due_at, row.failures) == ("waiting", NOW + 2 * MINUTE, 0)


def test_a_delivery_planned_for_later_comes_forward_but_never_goes_back(db: Database) -> None:
    def plan(due_at: Any) -> Any:
        with db.begin() as tx:
            outbox.add(tx, "crm", [7], now=NOW, due_at=due_at)
        return outbox_row(db).due_at

    assert plan(NOW + 10 * MINUTE) == NOW + 10 * MINUTE
    assert plan(NOW + 5 * MINUTE) == NOW + 5 * MINUTE
    assert plan(NOW + 20 * MINUTE) == NOW + 5 * MINUTE


def test_targets_added_in_opposite_orders_at_once_do_not_stop_each_other(db: Database) -> None:
    numbers = list(range(1, 200))

    def add(targets: list[int]) -> None:
        for _ in range(5):
            with db.begin() as tx:
                outbox.add(tx, "crm", targets, now=NOW)

    at_once([lambda: add(numbers), lambda: add(numbers[::-1]), lambda: add(numbers[5:] + numbers[:5])])

    with db.begin() as tx:
        assert tx.execute(sa.text("SELECT DISTINCT wanted FROM outbox")).scalars().all() == [15]
