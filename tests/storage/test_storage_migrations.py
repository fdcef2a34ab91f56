"""The schema's way up and down, and several processes that go it at once."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError
from storage_making import at_once, everything, make_account

from cli.services.postgres import RunningPostgres, create_database, drop_database
from storage import db as database_module
from storage import rules, schema, verify
from storage.db import Database, DatabaseAway, sqlstate

pytestmark = pytest.mark.slow

BOOK_0001 = (Path(__file__).parent / "golden" / "book_0001.sql").read_text(encoding="utf-8")

_numbers = itertools.count(1)


@pytest.fixture
def empty_url(postgres_server: RunningPostgres, template_url: str) -> Iterator[str]:
    """A database without a single table."""
    name = f"test_empty_{next(_numbers)}"
    create_database(postgres_server.url, name)
    yield template_url.rsplit("/", 1)[0] + f"/{name}"
    drop_database(postgres_server.url, name)


@pytest.fixture
def empty_db(empty_url: str) -> Iterator[Database]:
    database = Database(empty_url)
    yield database
    database.close()


def shape(db: Database) -> list[tuple[str, ...]]:
    """Everything the schema consists of: columns, constraints, indexes, triggers, functions, sequences."""
    queries = (
        "SELECT 'column', table_name, column_name, data_type, is_nullable, column_default"
        " FROM information_schema.columns WHERE table_schema = 'public'",
        "SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace",
        "SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "SELECT 'trigger', tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
        "SELECT 'function', proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
        "SELECT 'sequence', sequencename::text FROM pg_sequences WHERE schemaname = 'public'",
    )
    with db.begin() as tx:
        return sorted(tuple(str(part) for part in row) for query in queries for row in tx.execute(sa.text(query)))


def test_up_down_and_up_again_ends_in_the_same_schema(empty_db: Database) -> None:
    assert schema.current(empty_db) is None
    nothing = shape(empty_db)

    assert schema.migrate(empty_db) == schema.expected()
    first = shape(empty_db)
    schema.downgrade(empty_db, to="base")
    assert schema.current(empty_db) is None
    left = [row for row in shape(empty_db) if "alembic_version" not in " ".join(row)]
    schema.migrate(empty_db)

    assert left == nothing
    assert shape(empty_db) == first
    assert schema.current(empty_db) == schema.expected()


def test_migrating_a_database_that_is_at_the_head_changes_nothing(db: Database) -> None:
    make_account(db)
    before, before_shape = everything(db), shape(db)

    assert schema.migrate(db) == schema.expected()

    assert (everything(db), shape(db)) == (before, before_shape)


def test_a_database_with_a_book_goes_down_and_up_and_works(db: Database) -> None:
    make_account(db)

    schema.downgrade(db, to="base")
    schema.migrate(db)

    make_account(db)
    with db.begin() as tx:
        assert verify.verify(tx).is_whole


@pytest.fixture
def old_db(empty_db: Database) -> Database:
    """A book that the first schema's programme has kept."""
    schema.migrate(empty_db, to="0001")
    with empty_db.begin() as tx:
        tx.connection.driver_connection.execute(BOOK_0001)  # type: ignore[union-attr]
    return empty_db


def rows(db: Database, statement: str) -> list[tuple[Any, ...]]:
    with db.begin() as tx:
        return [tuple(row) for row in tx.execute(sa.text(statement))]


def test_a_book_of_the_first_schema_is_whole_after_the_second(old_db: Database) -> None:
    schema.migrate(old_db)

    with old_db.begin() as tx:
        assert verify.verify(tx).faults == ()
    told = "SELECT deal_ref, accrued, welcomed, reversed, redeemed, restored, is_greeted FROM orders ORDER BY id"
    assert rows(old_db, told) == [
        (101, 400, 300, 99, 0, 0, True),
        (102, 0, 0, 400, 0, 0, True),
        (103, 0, 300, 499, 0, 0, True),
        (104, 499, 0, 0, 0, 0, False),
        (105, 100, 300, 0, 0, 0, True),
        (106, 0, 0, 0, 0, 0, False),
    ]
    assert rows(old_db, "SELECT deal_ref FROM orders WHERE counted_at IS DISTINCT FROM paid_at") == []
    assert rows(old_db, "SELECT DISTINCT channel, shop_ref, returned::text FROM orders") == [("crm", None, "{}")]
    assert rows(old_db, "SELECT count(*) FROM lot WHERE settled + redeemed + expired + withdrawn > 0") == [(0,)]


def test_transfers_balances_and_dates_are_the_same_before_and_after(old_db: Database) -> None:
    known = (
        "SELECT key, member_id, lot_id, order_id, move, debit, credit, points, rules_version, occurred_at, recorded_at"
        " FROM transfer ORDER BY id",
        "SELECT id, contact_ref, name, card_token, segment_code, pending, available, reserved, debt FROM member"
        " ORDER BY id",
        "SELECT key, member_id, order_id, earned, reversed, pending, available, activates_at, expires_at FROM lot"
        " ORDER BY id",
        "SELECT id, acquirer, payment_ref, order_id, captured_kopecks, refunded_kopecks, is_refund_total, status,"
        " captured_at, created_at FROM payment ORDER BY id",
        "SELECT * FROM rule_version",
        "SELECT deal_ref, member_id, price_kopecks, kept_kopecks, paid_at, revision, rules_version, noted_points"
        " FROM orders ORDER BY id",
    )
    before = [rows(old_db, statement) for statement in known]

    schema.migrate(old_db)

    assert [rows(old_db, statement) for statement in known] == before


def test_the_rules_of_the_first_schema_are_read_with_what_did_not_exist_then(old_db: Database) -> None:
    schema.migrate(old_db)

    with old_db.begin() as tx:
        programme = rules.load(tx, "749f7d945eba")

    assert (programme.accrual.rate_bps, programme.redeem) == (1_000, None)
    assert [segment.min_spent_kopecks for segment in programme.segments] == [None, None]


def test_a_book_nobody_used_the_new_programme_on_goes_back_and_forth(old_db: Database) -> None:
    first_shape, first = shape(old_db), everything_of_0001(old_db)
    schema.migrate(old_db)

    schema.downgrade(old_db, to="0001")

    assert (shape(old_db), everything_of_0001(old_db)) == (first_shape, first)
    schema.migrate(old_db)
    with old_db.begin() as tx:
        assert verify.verify(tx).faults == ()


def test_a_book_the_new_programme_was_used_on_does_not_go_back(old_db: Database) -> None:
    schema.migrate(old_db)
    with old_db.begin() as tx:
        tx.execute(sa.text("UPDATE lot SET available = 200, withdrawn = 100 WHERE key = 'member:1:welcome:1'"))
        tx.execute(
            sa.text(
                "INSERT INTO transfer (key, member_id, lot_id, move, debit, credit, points, rules_version, occurred_at,"
                " recorded_at, rule) VALUES ('adjust', 1, 2, 'adjust', 'available', 'adjusted', 100, '749f7d945eba',"
                " now(), now(), 'x')"
            )
        )
    before, before_shape = everything(old_db), shape(old_db)

    with pytest.raises(IntegrityError):
        schema.downgrade(old_db, to="0001")

    assert (everything(old_db), shape(old_db)) == (before, before_shape)


def everything_of_0001(db: Database) -> list[list[tuple[Any, ...]]]:
    tables = ("member", "orders", "payment", "lot", "transfer", "rule_version")
    return [rows(db, f"SELECT t::text FROM {table} AS t ORDER BY 1") for table in tables]


def test_processes_that_start_together_migrate_once(empty_url: str, empty_db: Database) -> None:
    def migrate() -> str:
        own = Database(empty_url, pool_size=1)
        try:
            return schema.migrate(own)
        finally:
            own.close()

    assert at_once([migrate] * 4) == [schema.expected()] * 4

    make_account(empty_db)


def test_a_migration_waits_for_another_however_long_it_takes(
    empty_url: str, empty_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than the lock timeout of an ordinary transaction, shortened here."""
    monkeypatch.setattr(database_module, "LOCK_TIMEOUT_MS", 100)
    impatient = Database(empty_url, pool_size=1)
    with empty_db.engine.connect() as other:
        other.execute(sa.text("SELECT pg_advisory_lock(:lock)"), {"lock": schema.MIGRATION_LOCK})
        other.commit()
        release = threading.Timer(0.4, other.invalidate)
        release.start()

        assert schema.migrate(impatient) == schema.expected()

        release.join()
    impatient.close()


def test_a_migration_gives_up_a_table_in_use_soon(empty_db: Database) -> None:
    """Everybody would queue behind a waiting ALTER: only the wait for another migration has no end."""
    limits: list[str] = []

    @sa.event.listens_for(empty_db.engine, "before_cursor_execute")
    def look(_connection: object, cursor: Any, statement: str, *_rest: object) -> None:
        if "CREATE TABLE installation" in statement:
            limits.append(cursor.connection.execute("SHOW lock_timeout").fetchone()[0])

    schema.migrate(empty_db)

    assert limits == ["3s"]


def test_a_way_down_that_meets_a_table_in_use_changes_nothing(
    empty_url: str, empty_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "LOCK_TIMEOUT_MS", 100)
    impatient = Database(empty_url, pool_size=1)
    schema.migrate(empty_db)
    before = shape(empty_db)

    with empty_db.begin() as reader:
        reader.execute(sa.text("SELECT * FROM lot"))
        with pytest.raises(OperationalError) as failure:
            schema.downgrade(impatient, to="base")

    assert sqlstate(failure.value) == "55P03"
    assert shape(empty_db) == before
    impatient.close()


def test_an_unreachable_database_is_away_for_migrations_too() -> None:
    nowhere = Database("postgresql+psycopg://kopilka:x@127.0.0.1:1/kopilka", pool_size=1)

    with pytest.raises(DatabaseAway):
        schema.migrate(nowhere)
    with pytest.raises(DatabaseAway):
        schema.current(nowhere)


def test_a_migration_that_fails_says_its_own_reason_and_lets_the_next_one_try(empty_db: Database) -> None:
    with empty_db.begin() as tx:
        tx.execute(sa.text("CREATE TABLE inbox (mine int)"))

    with pytest.raises(ProgrammingError, match="already exists"):
        schema.migrate(empty_db)

    assert schema.current(empty_db) is None
    with empty_db.begin() as tx:
        tx.execute(sa.text("DROP TABLE inbox"))
    assert schema.migrate(empty_db) == schema.expected()


def test_after_a_migration_its_connection_serves_with_the_usual_limits(empty_db: Database) -> None:
    schema.migrate(empty_db)

    with empty_db.begin() as tx:
        assert tx.execute(sa.text("SHOW statement_timeout")).scalar_one() == "15s"
        held = tx.execute(sa.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")).scalar_one()
    assert held == 0
