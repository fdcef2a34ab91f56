"""Endpoints and deliveries of outgoing webhooks as rows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from storage_making import NOW, at_once

from storage import outbox, outgoing
from storage.db import Database

HOUR = timedelta(hours=1)


def endpoint(db: Database, *events: str, url: str = "https://shop.test/hook?token=secret-in-url") -> int:
    with db.begin() as tx:
        endpoint_id = outgoing.new_endpoint_id(tx)
        events = events or ("points.accrued",)
        outgoing.add_endpoint(tx, endpoint_id, url=url, sealed_secret=b"sealed-bytes", events=events, now=NOW)
    return endpoint_id


def add(db: Database, *event_ids: str, to: list[int], now: datetime = NOW) -> list[int]:
    with db.begin() as tx:
        made = outgoing.add_deliveries(
            tx, to, event_type="points.accrued", event_ids=event_ids, payloads=["{}" for _ in event_ids], now=now
        )
        outbox.add(tx, "webhook", made, now=now)
    return list(made)


def task(db: Database, delivery_id: int) -> Any:
    with db.begin() as tx:
        return outgoing.task(tx, delivery_id)


def fail(db: Database, delivery_id: int, *, now: datetime = NOW) -> None:
    with db.begin() as tx:
        found = outgoing.task(tx, delivery_id)
        assert found is not None
        outgoing.save_failure(tx, found, status=500, error="приёмник ответил 500", now=now)


def deliver(db: Database, delivery_id: int, *, now: datetime = NOW) -> None:
    with db.begin() as tx:
        found = outgoing.task(tx, delivery_id)
        assert found is not None
        outgoing.save_delivered(tx, found, status=200, now=now)


def only_endpoint(db: Database) -> outgoing.Endpoint:
    with db.begin() as tx:
        (found,) = outgoing.endpoints(tx)
    return found


def rows(db: Database) -> list[outgoing.Delivery]:
    with db.begin() as tx:
        return list(outgoing.deliveries(tx, endpoint_id=None, limit=100))


def test_only_endpoints_that_are_on_and_want_the_type_are_asked(db: Database) -> None:
    first = endpoint(db, "points.accrued", "segment.changed")
    endpoint(db, "segment.changed")
    off = endpoint(db, "points.accrued")
    with db.begin() as tx:
        outgoing.switch(tx, off, is_on=False, reason="выключен вручную")
        assert outgoing.wanting(tx, "points.accrued") == [first]
        assert outgoing.wanting(tx, "points.burn_soon") == []


def test_an_event_makes_one_delivery_per_endpoint_however_often_it_is_told(db: Database) -> None:
    both = [endpoint(db), endpoint(db)]

    made = add(db, "e1", "e2", to=both)
    again = add(db, "e2", "e3", to=both)

    assert (len(made), len(again)) == (4, 2)
    assert sorted((row.endpoint_id, row.event_id) for row in rows(db)) == [
        (at, e) for at in both for e in ("e1", "e2", "e3")
    ]


def test_two_workers_that_tell_one_event_at_once_make_one_delivery(db: Database) -> None:
    to = [endpoint(db)]

    made = at_once([lambda: add(db, "e1", "e2", to=to)] * 6)

    assert sum(len(one) for one in made) == 2


def test_a_task_holds_what_an_attempt_needs_and_shows_no_secret(db: Database) -> None:
    endpoint_id = endpoint(db)
    (delivery_id,) = add(db, "e1", to=[endpoint_id])

    found = task(db, delivery_id)

    assert (found.endpoint_id, found.event_id, found.payload, found.is_on) == (endpoint_id, "e1", "{}", True)
    assert found.sealed_secret == b"sealed-bytes"
    assert "sealed-bytes" not in repr(found)
    assert "secret-in-url" not in repr(found) + repr(only_endpoint(db))
    assert task(db, delivery_id + 1) is None


def test_the_first_failure_is_remembered_until_something_is_delivered(db: Database) -> None:
    first, second = add(db, "e1", "e2", to=[endpoint(db)])

    fail(db, first)
    fail(db, first, now=NOW + HOUR)
    since = only_endpoint(db).failing_since
    deliver(db, second)

    assert since == NOW
    assert only_endpoint(db).failing_since is None
    assert (task(db, first).attempts, task(db, first).state) == (2, "waiting")


def test_a_pause_is_seen_by_every_task_of_the_endpoint_and_ends_with_a_delivery(db: Database) -> None:
    paused, other = endpoint(db), endpoint(db)
    first, second = add(db, "e1", "e2", to=[paused])
    (elsewhere,) = add(db, "e1", to=[other])
    with db.begin() as tx:
        outgoing.pause(tx, paused, until=NOW + HOUR, reason="не отвечает")
        outgoing.pause(tx, paused, until=NOW + 2 * HOUR, reason="не отвечает")

    assert [task(db, one).paused_until for one in (first, second, elsewhere)] == [NOW + 2 * HOUR] * 2 + [None]

    deliver(db, first)

    assert task(db, second).paused_until is None


def test_a_failure_that_is_told_late_does_not_undo_a_delivery(db: Database) -> None:
    (delivery_id,) = add(db, "e1", to=[endpoint(db)])
    with db.begin() as tx:
        stale = outgoing.task(tx, delivery_id)
    assert stale is not None
    deliver(db, delivery_id)

    with db.begin() as tx:
        outgoing.save_failure(tx, stale, status=None, error="не ответил", now=NOW)
        outgoing.give_up(tx, delivery_id, error="не ответил", now=NOW)

    assert (rows(db)[0].state, rows(db)[0].attempts, rows(db)[0].last_status) == ("delivered", 1, 200)


def test_switching_forgets_failures_and_pauses_and_says_whether_it_changed_anything(db: Database) -> None:
    endpoint_id = endpoint(db)
    (delivery_id,) = add(db, "e1", to=[endpoint_id])
    fail(db, delivery_id)
    with db.begin() as tx:
        outgoing.pause(tx, endpoint_id, until=NOW + HOUR, reason="не отвечает")
        changes = [outgoing.switch(tx, endpoint_id, is_on=False, reason="почему") for _ in range(2)]
    off = only_endpoint(db)
    with db.begin() as tx:
        assert outgoing.switch(tx, endpoint_id, is_on=True, reason=None)

    assert changes == [True, False]
    assert (off.is_on, off.off_reason, off.failing_since) == (False, "почему", None)
    assert (only_endpoint(db).is_on, only_endpoint(db).off_reason) == (True, None)
    assert task(db, delivery_id).paused_until is None


def test_a_delivery_begins_anew_only_while_its_endpoint_is_on(db: Database) -> None:
    endpoint_id = endpoint(db)
    (delivery_id,) = add(db, "e1", to=[endpoint_id])
    fail(db, delivery_id)
    with db.begin() as tx:
        outgoing.give_up(tx, delivery_id, error="не вышло", now=NOW)
        assert outgoing.renew(tx, delivery_id)
        assert not outgoing.renew(tx, delivery_id + 1)
        outgoing.switch(tx, endpoint_id, is_on=False, reason="почему")
        assert not outgoing.renew(tx, delivery_id)

    (row,) = rows(db)
    assert (row.state, row.attempts, row.closed_at, row.last_error) == ("waiting", 0, None, "не вышло")


def test_the_list_of_deliveries_says_when_a_waiting_one_is_tried_next(db: Database) -> None:
    first, second = endpoint(db), endpoint(db)
    (waiting,) = add(db, "e1", to=[first])
    (done,) = add(db, "e1", to=[second])
    deliver(db, done)

    assert [(row.id, row.due_at) for row in rows(db)] == [(done, None), (waiting, NOW)]
    with db.begin() as tx:
        assert [row.id for row in outgoing.deliveries(tx, endpoint_id=first, limit=100)] == [waiting]
        assert [row.id for row in outgoing.deliveries(tx, endpoint_id=None, limit=1)] == [done]


def test_old_settled_deliveries_are_forgotten_with_their_outbox_rows_in_steps(db: Database) -> None:
    to = [endpoint(db)]
    old = add(db, "e1", "e2", "e3", to=to, now=NOW - 100 * HOUR)
    new = add(db, "e4", to=to)
    for delivery_id in (*old[:2], *new):
        deliver(db, delivery_id)
    with db.begin() as tx:
        tx.execute(sa.text("UPDATE outbox SET state = 'done' WHERE target_id <> :waiting"), {"waiting": old[2]})
        steps = [outgoing.forget(tx, before=NOW - HOUR, limit=1) for _ in range(3)]
        kept = list(tx.execute(sa.text("SELECT target_id FROM outbox ORDER BY 1")).scalars())

    assert steps == [1, 1, 0]
    assert sorted(row.id for row in rows(db)) == kept == sorted([old[2], *new])


@pytest.mark.parametrize("error", ["\x00NUL", "половина \ud83d", "х" * 10_000])
def test_any_words_of_a_failure_can_be_stored(db: Database, error: str) -> None:
    (delivery_id,) = add(db, "e1", to=[endpoint(db)])
    found = task(db, delivery_id)
    with db.begin() as tx:
        outgoing.save_failure(tx, found, status=None, error=error, now=NOW)
        outgoing.pause(tx, found.endpoint_id, until=NOW, reason=error)

    assert len(rows(db)[0].last_error or "") <= outgoing.ERROR_CHARS_MAX
