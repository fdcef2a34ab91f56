"""Transactions: what is retried, what means «the database is away», what goes up as it is."""

from __future__ import annotations

import threading
import traceback
from contextlib import ExitStack

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DataError, IntegrityError, OperationalError, ProgrammingError
from storage_making import NOW, at_once

from storage import db as database_module
from storage import inbox, installation
from storage.db import DEADLOCK_RETRIES, Database, DatabaseAway, refusal, sqlstate

POISON = "a\x00b"
"""PostgreSQL has no such text: the driver refuses it before it reaches the server."""

ways = pytest.mark.parametrize("way", ["run", "begin", "autocommit", "connect", "driver"])


@pytest.fixture
def db(shared_db: Database) -> Database:
    return shared_db


@pytest.fixture
def pair(db: Database) -> Database:
    """A table of two rows to lock in opposite orders."""
    with db.begin() as tx:
        tx.execute(sa.text("DROP TABLE IF EXISTS pair"))
        tx.execute(sa.text("CREATE TABLE pair (id int PRIMARY KEY, touched int NOT NULL DEFAULT 0)"))
        tx.execute(sa.text("INSERT INTO pair (id) VALUES (1), (2)"))
    return db


def test_a_deadlock_is_invisible_to_both_callers(pair: Database) -> None:
    both_hold_one = threading.Barrier(2, timeout=10)
    runs: list[int] = []

    def touch(first: int, second: int) -> str:
        is_first_run = True

        def work(tx: sa.Connection) -> str:
            nonlocal is_first_run
            runs.append(first)
            tx.execute(sa.text("SET LOCAL deadlock_timeout = '50ms'"))
            tx.execute(sa.text("UPDATE pair SET touched = touched + 1 WHERE id = :id"), {"id": first})
            if is_first_run:
                is_first_run = False
                both_hold_one.wait()
            tx.execute(sa.text("UPDATE pair SET touched = touched + 1 WHERE id = :id"), {"id": second})
            return "done"

        return pair.run(work)

    assert at_once([lambda: touch(1, 2), lambda: touch(2, 1)]) == ["done", "done"]

    assert len(runs) > 2, "nothing was retried: the deadlock did not happen"
    with pair.begin() as tx:
        assert tx.execute(sa.text("SELECT touched FROM pair ORDER BY id")).scalars().all() == [2, 2]


def test_a_serialization_failure_is_retried_until_it_passes(db: Database) -> None:
    attempts: list[int] = []

    def work(tx: sa.Connection) -> int:
        attempts.append(1)
        if len(attempts) < 4:
            tx.execute(sa.text("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$"))
        return len(attempts)

    assert db.run(work) == 4


def test_a_failure_that_stays_is_given_up_and_told_as_it_is(db: Database) -> None:
    attempts: list[int] = []

    def work(tx: sa.Connection) -> None:
        attempts.append(1)
        tx.execute(sa.text("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40P01'; END $$"))

    with pytest.raises(OperationalError) as failure:
        db.run(work)

    assert sqlstate(failure.value) == "40P01"
    assert len(attempts) == DEADLOCK_RETRIES + 1


def test_what_a_failed_attempt_wrote_is_not_kept_by_its_retry(pair: Database) -> None:
    attempts: list[int] = []

    def work(tx: sa.Connection) -> None:
        attempts.append(1)
        tx.execute(sa.text("UPDATE pair SET touched = touched + 1"))
        if len(attempts) == 1:
            tx.execute(sa.text("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$"))

    pair.run(work)

    with pair.begin() as tx:
        assert tx.execute(sa.text("SELECT touched FROM pair")).scalars().all() == [1, 1]


def test_a_lock_that_is_held_for_long_is_waited_for_again(pair: Database) -> None:
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with pair.begin() as tx:
            tx.execute(sa.text("SELECT * FROM pair FOR UPDATE"))
            held.set()
            release.wait(10)

    def work(tx: sa.Connection) -> str:
        tx.execute(sa.text("SET LOCAL lock_timeout = '100ms'"))
        tx.execute(sa.text("UPDATE pair SET touched = 7"))
        return "done"

    def wait_for_it() -> str:
        held.wait(10)
        threading.Timer(0.25, release.set).start()
        return pair.run(work)

    assert at_once([hold, wait_for_it])[1] == "done"


def test_a_refused_row_goes_up_once_and_as_it_is(pair: Database) -> None:
    attempts: list[int] = []

    def work(tx: sa.Connection) -> None:
        attempts.append(1)
        tx.execute(sa.text("INSERT INTO pair (id) VALUES (1)"))

    with pytest.raises(IntegrityError) as failure:
        pair.run(work)

    assert len(attempts) == 1
    assert failure.value.__cause__ is not failure.value, "an exception that is its own cause sends log readers round"


@ways
def test_text_that_cannot_be_stored_is_not_taken_for_an_absent_database(db: Database, way: str) -> None:
    with pytest.raises((DataError, psycopg.DataError)):
        execute(db, way, "SELECT CAST(%(text)s AS text)", text=POISON)


def test_the_text_of_a_failure_shows_no_values(db: Database) -> None:
    with pytest.raises(DataError) as failure:
        db.run(lambda tx: tx.execute(sa.text("SELECT CAST(:text AS integer)"), {"text": POISON}))

    assert "CAST" in str(failure.value)
    assert POISON not in str(failure.value)
    assert repr(POISON) not in str(failure.value)


def test_a_refusal_is_told_by_code_and_constraint_without_the_row(pair: Database) -> None:
    def spoil(tx: sa.Connection) -> None:
        tx.execute(sa.text("ALTER TABLE pair ADD CONSTRAINT no_nines CHECK (touched <> 999)"))
        tx.execute(sa.text("UPDATE pair SET touched = 999"))

    with pytest.raises(IntegrityError) as failure:
        pair.run(spoil)

    told = refusal(failure.value)
    assert "999)" in str(failure.value), "the driver's own text quotes the row"
    assert told is not None
    assert "23514" in told
    assert "no_nines" in told
    assert "999" not in told
    assert refusal(LookupError("no database")) is None


def test_a_mistake_in_a_statement_goes_up_as_it_is(db: Database) -> None:
    with pytest.raises(ProgrammingError) as failure:
        db.run(lambda tx: tx.execute(sa.text("SELECT * FROM nowhere")))

    assert sqlstate(failure.value) == "42P01"


def test_an_error_of_the_caller_rolls_back_and_goes_up(db: Database) -> None:
    def work(tx: sa.Connection) -> None:
        installation.beat(tx, "worker", now=NOW)
        raise LookupError

    with pytest.raises(LookupError):
        db.run(work)

    with db.begin() as tx:
        assert installation.heartbeats(tx) == {}


@ways
def test_a_server_that_cannot_be_reached_is_away(way: str) -> None:
    nowhere = Database("postgresql+psycopg://kopilka:x@127.0.0.1:1/kopilka", pool_size=1)

    with pytest.raises(DatabaseAway):
        execute(nowhere, way, "SELECT 1")


@ways
def test_a_connection_that_was_cut_is_away_and_the_next_one_works(db: Database, way: str) -> None:
    with pytest.raises(DatabaseAway) as failure:
        execute(db, way, "SELECT pg_terminate_backend(pg_backend_pid())")

    assert failure.value.__cause__ is not None
    execute(db, way, "SELECT 1")


def test_a_pool_that_is_used_up_is_away(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "CONNECT_TIMEOUT_S", 1)
    small = Database(database_url, pool_size=1)
    with ExitStack() as held:
        for _ in range(1 + 4):  # four over
            held.enter_context(small.begin())

        with pytest.raises(DatabaseAway, match="no free"):
            small.run(lambda tx: None)
    small.close()


def test_a_single_statement_is_durable_at_once(db: Database) -> None:
    with db.autocommit() as connection:
        inbox.add(connection, source="tbank", external_id="1", body=b"x", is_hint=False, now=NOW)
        with db.begin() as other:
            assert other.execute(sa.text("SELECT count(*) FROM inbox")).scalar_one() == 1


def test_the_session_is_in_utc_with_its_timeouts(db: Database) -> None:
    with db.begin() as tx:
        names = ("TimeZone", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        shown = {name: tx.execute(sa.text(f"SHOW {name}")).scalar_one() for name in names}

    assert shown == {
        "TimeZone": "UTC",
        "statement_timeout": "15s",
        "lock_timeout": "3s",
        "idle_in_transaction_session_timeout": "20s",
    }


def test_a_failure_that_is_passed_on_can_be_printed(db: Database) -> None:
    with pytest.raises(OperationalError) as failure:
        execute(db, "begin", "DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40P01'; END $$")

    assert failure.value.__cause__ is not failure.value
    assert "again" in "".join(traceback.format_exception(failure.value))


def execute(db: Database, way: str, statement: str, **parameters: str) -> None:
    if way == "run":
        db.run(lambda tx: tx.exec_driver_sql(statement, parameters))
        return
    with getattr(db, way)() as connection:
        if way == "driver":
            connection.execute(statement, parameters)
        else:
            connection.exec_driver_sql(statement, parameters)
