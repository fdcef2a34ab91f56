"""Statements that go to the driver past SQLAlchemy: one transaction with the others, and the same exceptions."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError
from storage_making import LEASE, NOW, Account4, make_account, transfer

from loyalty.ledger import Decision
from storage import ledger, members, outbox
from storage.db import Database, DatabaseAway, quick, sqlstate

BEAT = "INSERT INTO heartbeat (name, beat_at) VALUES (%(name)s, %(at)s) RETURNING name"
ENDPOINT = """
    INSERT INTO webhook_endpoint (url, sealed_secret, events, created_at)
    VALUES ('https://shop.example/events', '', '{points.accrued}', :now)
"""


@pytest.fixture
def account(db: Database) -> Account4:
    """100 pending points of an order, due now."""
    return make_account(db, points=100)


def beats(db: Database) -> int:
    with db.begin() as tx:
        return int(tx.execute(sa.text("SELECT count(*) FROM heartbeat")).scalar_one())


def test_it_is_part_of_the_transaction_it_is_called_in(db: Database) -> None:
    def work(tx: sa.Connection) -> None:
        assert quick(tx, BEAT, {"name": "one", "at": NOW}) == [("one",)]
        assert tx.execute(sa.text("SELECT count(*) FROM heartbeat")).scalar_one() == 1
        raise LookupError

    with pytest.raises(LookupError):
        db.run(work)

    assert beats(db) == 0


def test_what_it_wrote_is_committed_with_the_rest(db: Database) -> None:
    with db.begin() as tx:
        quick(tx, BEAT, {"name": "one", "at": NOW})

    assert beats(db) == 1


def test_a_refusal_is_sqlalchemys_and_carries_no_values(db: Database) -> None:
    def work(tx: sa.Connection) -> None:
        quick(tx, BEAT, {"name": "one", "at": NOW})
        quick(tx, BEAT, {"name": "one", "at": NOW})

    with pytest.raises(IntegrityError) as failure:
        db.run(work)

    assert sqlstate(failure.value) == "23505"
    assert failure.value.params is None
    assert beats(db) == 0


def test_a_mistake_and_a_value_that_cannot_be_sent_are_told_as_they_are(db: Database) -> None:
    with pytest.raises(ProgrammingError), db.begin() as tx:
        quick(tx, "SELECT * FROM nowhere", {})
    with pytest.raises(DataError), db.begin() as tx:
        quick(tx, "SELECT CAST(%(text)s AS text)", {"text": "a\x00b"})
    with db.begin() as tx:
        assert quick(tx, "SELECT 1", {}) == [(1,)]


def test_what_may_be_run_again_is_run_again(db: Database) -> None:
    attempts: list[int] = []

    def work(tx: sa.Connection) -> int:
        attempts.append(1)
        if len(attempts) < 4:
            quick(tx, "DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$", {})
        return len(attempts)

    assert db.run(work) == 4


@pytest.mark.parametrize("way", ["begin", "autocommit", "connect"])
def test_a_cut_connection_is_away_and_the_next_one_works(db: Database, way: str) -> None:
    with pytest.raises(DatabaseAway), getattr(db, way)() as connection:
        quick(connection, "SELECT pg_terminate_backend(pg_backend_pid())", {})

    with getattr(db, way)() as connection:
        assert quick(connection, "SELECT 1", {}) == [(1,)]


def test_a_locked_member_says_whether_a_lot_of_his_is_due(db: Database, account: Account4) -> None:
    with db.begin() as tx:
        assert members.lock(tx, account.member.id, now=NOW).has_due
        assert not members.lock(tx, account.member.id, now=NOW - timedelta(seconds=1)).has_due
        assert members.lock(tx, account.member.id).has_due, "nobody has looked"


def test_several_kinds_are_marked_at_once_and_a_target_named_twice_once(db: Database) -> None:
    with db.begin() as tx:
        outbox.add_kinds(tx, ["crm", "google"], [7, 5, 7], now=NOW)
        outbox.add_kinds(tx, [], [5], now=NOW)
        claimed = {
            kind: [row.target_id for row in outbox.claim(tx, kind, now=NOW, lease=LEASE, limit=9)]
            for kind in ("crm", "google")
        }

    assert {kind: sorted(targets) for kind, targets in claimed.items()} == {"crm": [5, 7], "google": [5, 7]}


def test_a_posted_decision_marks_its_member_and_says_whether_anyone_listens(db: Database, account: Account4) -> None:
    def take(key: str) -> Decision:
        return Decision((transfer(key, account.lot_key, 1, debit="pending", credit="reversed", move="reverse"),))

    with db.begin() as tx:
        member = members.lock(tx, account.member.id)
        assert not ledger.post_and_mark(tx, member.id, take("one"), ["crm", "google"], occurred_at=NOW, now=NOW)
        tx.execute(sa.text(ENDPOINT), {"now": NOW})
        assert ledger.post_and_mark(tx, member.id, take("two"), [], occurred_at=NOW, now=NOW)
        marked = tx.execute(sa.text("SELECT kind, target_id, wanted FROM outbox ORDER BY kind")).all()

    assert [tuple(row) for row in marked] == [("crm", member.id, 1), ("google", member.id, 1)]
