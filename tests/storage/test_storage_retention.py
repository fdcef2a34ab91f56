"""What is old is forgotten in small steps: letters to buyers hold the address of a card, their rows only grow."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from storage_making import LEASE, NOW, make_member

from storage import boxes, messages, outbox
from storage.db import Database
from storage.messages import NewNotice

LONG_AGO = NOW - timedelta(days=91)
LIMIT = NOW - timedelta(days=90)


@pytest.fixture
def db(shared_db: Database) -> Iterator[Database]:
    yield shared_db
    with shared_db.begin() as tx:
        tx.execute(sa.text("DELETE FROM message"))


def plan(db: Database, key: str) -> int:
    with db.begin() as tx:
        notice = NewNotice(
            key=key,
            member_id=make_member(tx).id,
            burn_on=NOW.date(),
            burns_at=NOW,
            step_days=7,
            points=340,
            subject="340 баллов сгорят",
            body="Карта и баланс: https://shop.test/c/secret",
            due_at=LONG_AGO,
        )
        assert messages.add_notices(tx, [notice], now=LONG_AGO) == {key}
        return int(tx.execute(sa.text("SELECT id FROM message WHERE key = :key"), {"key": key}).scalar_one())


def close(db: Database, message_id: int, *, days_ago: int) -> None:
    """Sent, and its row of the outbox done, so many days ago."""
    at = NOW - timedelta(days=days_ago)
    with db.begin() as tx:
        assert messages.close(tx, message_id, "sent", reason=None, channel="email", now=at)
        rows = outbox.claim(tx, "message", now=at, lease=LEASE, limit=50)
        for row in rows:
            if row.target_id == message_id:
                assert boxes.finish(tx, "outbox", row.claim, now=at, outcome="отправлено")
            else:
                boxes.release(tx, "outbox", [row.claim])


def left(db: Database) -> tuple[dict[str, bool], set[str]]:
    """Which messages still have a body, and which a row of the outbox."""
    with db.begin() as tx:
        bodies = {row.key: row.body is not None for row in tx.execute(sa.text("SELECT key, body FROM message"))}
        rows = tx.execute(sa.text("SELECT m.key FROM outbox o JOIN message m ON m.id = o.target_id")).scalars()
        return bodies, set(rows)


def test_letters_closed_long_ago_lose_their_text_and_their_row_and_others_keep_them(db: Database) -> None:
    old, fresh = plan(db, "old"), plan(db, "fresh")
    plan(db, "planned")
    close(db, old, days_ago=91)
    close(db, fresh, days_ago=89)

    with db.begin() as tx:
        forgotten = messages.forget_bodies(tx, before=LIMIT, limit=10), outbox.forget_told(tx, before=LIMIT, limit=10)
        again = messages.forget_bodies(tx, before=LIMIT, limit=10), outbox.forget_told(tx, before=LIMIT, limit=10)

    assert (forgotten, again) == ((1, 1), (0, 0))
    assert left(db) == ({"old": False, "fresh": True, "planned": True}, {"fresh", "planned"})
    with db.begin() as tx:
        told = messages.task(tx, old)
    assert told is not None
    assert (told.subject, told.state) == ("340 баллов сгорят", "sent")  # that it was told is never forgotten


def test_no_step_forgets_more_than_it_was_asked_to(db: Database) -> None:
    for number in range(3):
        close(db, plan(db, f"old-{number}"), days_ago=91)

    with db.begin() as tx:
        steps = [messages.forget_bodies(tx, before=LIMIT, limit=2) for _ in range(3)]
        rows = [outbox.forget_told(tx, before=LIMIT, limit=2) for _ in range(3)]

    assert steps == rows == [2, 1, 0]


def test_rows_of_other_kinds_are_not_forgotten(db: Database) -> None:
    with db.begin() as tx:
        outbox.add(tx, "crm", [1], now=LONG_AGO)
        claim = outbox.claim(tx, "crm", now=LONG_AGO, lease=LEASE, limit=1)[0].claim
        boxes.finish(tx, "outbox", claim, now=LONG_AGO, outcome="готово")

        assert outbox.forget_told(tx, before=NOW, limit=10) == 0
