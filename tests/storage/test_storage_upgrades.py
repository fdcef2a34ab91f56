"""Upgrading a database that is in use, never going back over what was learnt, and what the newest schema refuses."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError
from storage_making import at_once, make_account

from cli.services.postgres import RunningPostgres, create_database, drop_database
from flows import migrating
from flows.migrating import TablesInUse
from storage import db as database_module
from storage import schema
from storage.db import Database, sqlstate

pytestmark = pytest.mark.slow

NAME = "test_storage_upgrades"
PEOPLE = """
INSERT INTO rule_version VALUES ('v', '{}', now());
INSERT INTO member (contact_ref, name, card_token, card_serial, card_number, created_at)
    VALUES (1, 'Анна', 't', 's', 'c', now());
INSERT INTO orders (deal_ref, member_id, created_at) SELECT 1, id, now() FROM member;
"""


@pytest.fixture
def old_url(postgres_server: RunningPostgres, template_url: str) -> Iterator[str]:
    """A database at the first schema, with a member and an order."""
    create_database(postgres_server.url, NAME)
    url = template_url.rsplit("/", 1)[0] + f"/{NAME}"
    database = Database(url)
    schema.migrate(database, to="0001")
    run(database, PEOPLE)
    database.close()
    yield url
    drop_database(postgres_server.url, NAME)


@pytest.fixture
def old(old_url: str) -> Iterator[Database]:
    database = Database(old_url)
    yield database
    database.close()


def run(db: Database, *statements: str) -> None:
    with db.begin() as tx:
        for statement in statements:
            tx.connection.driver_connection.execute(statement)  # type: ignore[union-attr]


def test_a_worker_in_the_middle_of_an_order_and_the_migration_do_not_wait_for_each_other_in_a_circle(
    old: Database, old_url: str
) -> None:
    has_order = threading.Event()

    def work() -> str:
        with old.begin() as tx:
            tx.execute(sa.text("SELECT id FROM orders FOR NO KEY UPDATE"))
            has_order.set()
            _until_somebody_waits(old)
            tx.execute(sa.text("SELECT id FROM member FOR NO KEY UPDATE"))
        return "done"

    def migrate() -> str:
        has_order.wait(10)
        return migrating.migrate(old_url)

    assert at_once([work, migrate]) == ["done", schema.expected()]


def _until_somebody_waits(db: Database) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with db.begin() as tx:
            if tx.execute(sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one():
                return
        time.sleep(0.02)


def test_a_migration_that_finds_its_tables_in_use_says_what_to_stop(
    old: Database, old_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "LOCK_TIMEOUT_MS", 100)
    with old.begin() as worker:
        worker.execute(sa.text("SELECT id FROM orders FOR NO KEY UPDATE"))
        with pytest.raises(TablesInUse, match="остановите kopilka web, worker и sweep"):
            migrating.migrate(old_url)

    assert schema.current(old) == "0001"
    assert migrating.migrate(old_url) == schema.expected()


@pytest.mark.parametrize(
    "learnt",
    [
        "INSERT INTO member_address SELECT id, 'phone', '+79161234567', now() FROM member",
        "INSERT INTO rules_applied (version, source, lines, applied_by, applied_at) VALUES ('v', '', '{}', 'x', now())",
        "UPDATE member SET birthday = '1990-01-01'",
        "UPDATE member SET manual_segment_code = 'vip'",
        "UPDATE orders SET shop_ref = 'S1'",
        "UPDATE orders SET basket = '{}'",
        "INSERT INTO message (key, member_id, kind, subject, created_at, due_at)"
        " SELECT 'k', id, 'redeem_code', '', now(), now() FROM member",
    ],
)
def test_nobody_goes_back_over_what_was_learnt_since(old: Database, learnt: str) -> None:
    schema.migrate(old)
    run(old, learnt)

    with pytest.raises(DBAPIError, match="going back would lose what it has learnt"):
        schema.downgrade(old, to="0001")

    assert schema.current(old) == schema.expected()


def test_a_database_nobody_taught_anything_goes_back(old: Database) -> None:
    schema.migrate(old)

    schema.downgrade(old, to="0001")

    assert schema.current(old) == "0001"


def test_the_expected_schema_is_that_of_the_code_that_runs_not_of_the_files_that_lie_there() -> None:
    assert schema.expected() is schema.expected()


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        (
            "INSERT INTO transfer (key, member_id, lot_id, move, debit, credit, points, rules_version, occurred_at,"
            " recorded_at, rule) SELECT 'odd', member_id, id, 'gift', 'redeemed', 'available', 5, rules_version, now(),"
            " now(), 'x' FROM lot LIMIT 1",
            "walks_a_known_path",
        ),
        (
            "INSERT INTO transfer (key, member_id, move, debit, credit, points, rules_version, occurred_at,"
            " recorded_at, rule) SELECT 'odd', member_id, 'write_off', 'reversed', 'debt', 5, rules_version, now(),"
            " now(), 'x' FROM lot LIMIT 1",
            "walks_a_known_path",
        ),
        (
            "INSERT INTO lot (key, member_id, source, rules_version, activates_at, opened_at)"
            " SELECT 'odd', id, 'nonsense', 'v1', now(), now() FROM member LIMIT 1",
            "comes_from_a_known_source",
        ),
        ("UPDATE member SET merged_into_id = id, pending = 0", "merged_into_another"),
        (
            "INSERT INTO message (key, member_id, kind, burn_on, step_days, subject, created_at, due_at)"
            " SELECT 'k', id, 'burn_notice', '2026-03-28', 7, '', now(), now() FROM member LIMIT 1",
            "notice_names_its_day",
        ),
        (
            "INSERT INTO message (key, member_id, kind, subject, created_at, due_at, state)"
            " SELECT 'k', id, 'redeem_code', '', now(), now(), 'sent' FROM member LIMIT 1",
            "closed_message_has_its_time",
        ),
        (
            "INSERT INTO message (key, member_id, kind, subject, created_at, due_at, closed_at)"
            " SELECT 'k', id, 'redeem_code', '', now(), now(), now() FROM member LIMIT 1",
            "closed_message_has_its_time",
        ),
    ],
)
def test_what_no_flow_would_write_is_refused(shared_db: Database, statement: str, constraint: str) -> None:
    make_account(shared_db)

    with pytest.raises(IntegrityError) as failure, shared_db.begin() as tx:
        tx.execute(sa.text(statement))

    assert getattr(failure.value.orig, "diag").constraint_name == constraint  # noqa: B009 - the driver's type


def test_a_write_off_may_be_undone(shared_db: Database) -> None:
    make_account(shared_db)
    statement = (
        "INSERT INTO transfer (key, member_id, move, debit, credit, points, rules_version, occurred_at, recorded_at,"
        " rule) SELECT 'undone', member_id, 'write_off', 'reversed', 'shortfall', 5, rules_version, now(), now(), 'x'"
        " FROM lot LIMIT 1"
    )

    with shared_db.begin() as tx:
        assert tx.execute(sa.text(statement)).rowcount == 1
        tx.rollback()


def test_the_list_of_what_was_applied_cannot_be_emptied(shared_db: Database) -> None:
    with pytest.raises(DBAPIError) as failure, shared_db.begin() as tx:
        tx.execute(sa.text("TRUNCATE rules_applied"))

    assert sqlstate(failure.value) == "0A000"


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("SELECT id FROM lot WHERE member_id = 7 AND (available > 0 OR pending > 0 OR reserved > 0)", "lot_member"),
        (
            "SELECT id FROM inbox WHERE state = 'waiting' AND due_at <= now() AND crashes > 0"
            " ORDER BY due_at, id LIMIT 1",
            "inbox_crashed",
        ),
        (
            "SELECT id FROM inbox WHERE state = 'waiting' AND due_at <= now() AND crashes = 0"
            " ORDER BY due_at, id LIMIT 9",
            "inbox_due",
        ),
        (
            "SELECT id FROM inbox WHERE received_at < now() AND state IN ('done', 'parked') AND body <> ''::bytea"
            " ORDER BY received_at LIMIT 9",
            "inbox_bodies",
        ),
        (
            "SELECT id FROM outbox WHERE state = 'waiting' AND due_at <= now() AND crashes > 0 AND kind = 'crm'"
            " ORDER BY due_at, id LIMIT 1",
            "outbox_crashed",
        ),
        ("SELECT count(*) FROM outbox WHERE state = 'parked'", "outbox_parked"),
        (
            "SELECT id FROM outbox WHERE state = 'done' AND kind IN ('code', 'message') AND finished_at < now()"
            " ORDER BY finished_at LIMIT 9",
            "outbox_told",
        ),
        (
            "SELECT id FROM message WHERE closed_at < now() AND body IS NOT NULL ORDER BY closed_at LIMIT 9",
            "message_bodies",
        ),
    ],
)
def test_what_is_asked_all_day_long_has_its_index(shared_db: Database, statement: str, index: str) -> None:
    with shared_db.begin() as tx:
        tx.execute(sa.text("SET LOCAL enable_seqscan = off"))
        plan = "\n".join(tx.execute(sa.text(f"EXPLAIN {statement}")).scalars())

    assert index in plan
    assert "Sort" not in plan
