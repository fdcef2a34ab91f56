"""The proof that the book is whole must find every damage, and say where it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

import pytest
import sqlalchemy as sa
from storage_making import (
    NOW,
    RULES,
    Account4,
    another_order,
    capture,
    counted,
    make_account,
    make_hold,
    make_member,
    opening,
    post,
    transfer,
)

from cli.services.postgres import RunningPostgres, create_database, drop_database
from loyalty.ledger import Decision
from loyalty.rules import BurnRules
from storage import ledger, members, merging, orders, rules, verify
from storage.db import Database
from storage.verify import Verdict

NAME = "test_storage_unguarded"
GUARDS = {
    "lot": ("lot_accounts_for_every_point",),
    "transfer": ("points_lie_in_a_lot", "known_moves", "known_accounts", "walks_a_known_path"),
    "orders": ("restored_no_more_than_redeemed",),
    "member": ("merged_member_holds_nothing",),
}
TABLES = ("transfer", "hold", "lot", "payment", "orders", "member", "rules_applied", "rule_version")


@pytest.fixture(scope="module")
def unguarded(postgres_server: RunningPostgres, template_url: str) -> Iterator[Database]:
    """What a superuser's hand could do with every guard switched off."""
    create_database(postgres_server.url, NAME, template=template_url.rsplit("/", 1)[1])
    database = Database(template_url.rsplit("/", 1)[0] + f"/{NAME}")
    with database.begin() as tx:
        for table, constraints in GUARDS.items():
            for constraint in constraints:
                tx.execute(sa.text(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}"))
        for table in ("transfer", "rule_version", "rules_applied"):
            tx.execute(sa.text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
    yield database
    database.close()
    drop_database(postgres_server.url, NAME)


@pytest.fixture
def db(unguarded: Database) -> Database:
    with unguarded.begin() as tx:
        tx.execute(sa.text("SET LOCAL session_replication_role = replica"))
        for table in TABLES:
            tx.execute(sa.text(f"DELETE FROM {table}"))
    return unguarded


@pytest.fixture
def account(db: Database) -> Account4:
    """100 points earned, 60 of them available, 10 taken back; a neighbour whose book is in order."""
    made = make_account(db, points=100)
    make_account(db, points=50)
    post(
        db,
        made,
        transfer("activation", made.lot_key, 60, debit="pending", credit="available", move="activate"),
        transfer(
            "refund", made.lot_key, 10, debit="pending", credit="reversed", move="reverse", order_id=made.order_id
        ),
    )
    with db.begin() as tx:
        orders.save_result(tx, made.order_id, counted(accrued=90, reversed=10))
    return made


@pytest.fixture
def spent(db: Database) -> Account4:
    """100 points earned, 40 of them captured for the order itself, 15 more held for another."""
    made = make_account(db, points=100)
    make_account(db, points=50)
    capture(db, made, make_hold(db, made, 40))
    make_hold(db, another_order(db, made), 15)
    return made


@pytest.fixture
def forgiven(db: Database) -> Account4:
    """100 points earned and burnt elsewhere; 70 of them were written off, then 30 of those earned anew."""
    made = make_account(db, points=100)
    post(
        db,
        made,
        transfer("come", made.lot_key, 100, debit="pending", credit="available", move="activate"),
        transfer("gone", made.lot_key, 100, debit="available", credit="adjusted", move="adjust"),
    )
    off = transfer("off", "", 70, debit="shortfall", credit="reversed", move="write_off", order_id=made.order_id)
    undone = transfer("undone", "", 30, debit="reversed", credit="shortfall", move="write_off", order_id=made.order_id)
    post(db, made, *(replace(one, lot_key=None) for one in (off, undone)))
    with db.begin() as tx:
        orders.save_result(tx, made.order_id, counted(accrued=60, reversed=40, forgiven=40))
    return made


def damage(db: Database, statement: str, account: Account4) -> None:
    names = {"member": account.member.id, "lot": account.lot_key, "order": account.order_id}
    with db.begin() as tx:
        assert tx.execute(sa.text(statement), {name: names[name] for name in names if f":{name}" in statement}).rowcount


def verdict(db: Database) -> Verdict:
    with db.begin() as tx:
        return verify.verify(tx)


def names(account: Account4, text: str) -> str:
    return text.format(member=account.member.id, lot=account.lot_key, deal=10_000 + account.member.id)


def test_a_book_in_order_is_whole(db: Database, account: Account4) -> None:
    found = verdict(db)

    assert (found.is_whole, found.faults, found.sum, found.transfers) == (True, (), 0, 4)
    assert found.accounts == {"available": 60, "issued": -150, "pending": 80, "reversed": 10}


def test_a_book_with_holds_is_whole(db: Database, spent: Account4) -> None:
    found = verdict(db)

    assert (found.is_whole, found.faults, found.sum) == (True, (), 0)
    assert found.accounts == {"available": 0, "issued": -150, "pending": 95, "redeemed": 40, "reserved": 15}


def test_a_book_in_which_a_write_off_was_undone_is_whole(db: Database, forgiven: Account4) -> None:
    assert verdict(db).faults == ()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE orders SET forgiven = 70 WHERE id = :order",
        "UPDATE orders SET forgiven = 0 WHERE id = :order",
        "UPDATE orders SET reversed = 70 WHERE id = :order",
        "DELETE FROM transfer WHERE key = 'undone' AND member_id = :member",
    ],
)
def test_a_damage_to_what_was_forgiven_is_found_and_named(db: Database, forgiven: Account4, statement: str) -> None:
    damage(db, statement, forgiven)

    assert any(names(forgiven, "заказ {deal}") in fault for fault in verdict(db).faults)


def burn_untold(db: Database, account: Account4) -> None:
    """A day after its end, without a notice."""
    post(db, account, transfer("burn", account.lot_key, 60, debit="available", credit="expired", move="expire"))
    damage(db, "UPDATE lot SET expires_at = opened_at - interval '1 day' WHERE key = :lot", account)


def apply_rules(db: Database, version: str, *, without_notice: Literal["postpone", "burn"], at: datetime) -> None:
    programme = replace(RULES, burn=BurnRules(without_notice=without_notice))
    with db.begin() as tx:
        rules.remember(tx, version, programme, now=at)
        rules.apply(tx, version, source="", lines={}, by="test", now=at)


def test_points_that_burnt_untold_are_found(db: Database, account: Account4) -> None:
    apply_rules(db, "silent", without_notice="burn", at=NOW - timedelta(days=9))
    apply_rules(db, "kind", without_notice="postpone", at=NOW - timedelta(days=1))
    burn_untold(db, account)

    assert verdict(db).faults == ("операция burn: баллы сгорели без предупреждения, а правила этого не разрешали",)


def test_points_that_burnt_after_a_notice_are_in_order(db: Database, account: Account4) -> None:
    burn_untold(db, account)
    damage(db, "UPDATE lot SET notified_at = expires_at - interval '1 day' WHERE key = :lot", account)

    assert verdict(db).faults == ()


def test_points_may_burn_untold_while_the_rules_say_so(db: Database, account: Account4) -> None:
    apply_rules(db, "silent", without_notice="burn", at=NOW - timedelta(days=1))
    apply_rules(db, "kind", without_notice="postpone", at=NOW + timedelta(days=1))
    burn_untold(db, account)

    assert verdict(db).faults == ()


def test_an_empty_book_is_whole(db: Database) -> None:
    assert (verdict(db).is_whole, verdict(db).transfers) == (True, 0)


def test_the_book_of_a_merged_member_is_that_of_the_other(db: Database, spent: Account4) -> None:
    with db.begin() as tx:
        merging.move(tx, from_id=spent.member.id, into_id=make_member(tx).id)

    assert verdict(db).faults == ()


def test_points_that_burnt_are_not_missing_from_the_order_that_was_returned(db: Database, account: Account4) -> None:
    key = account.lot_key
    post(db, account, transfer("burn", key, 60, debit="available", credit="expired", move="expire"))
    back = transfer("back", key, 30, debit="pending", credit="reversed", move="reverse", order_id=account.order_id)
    post(db, account, back)
    with db.begin() as tx:
        orders.save_result(tx, account.order_id, counted(accrued=0, reversed=40, kept_kopecks=0))

    assert verdict(db).faults == ()


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE member SET available = available + 1 WHERE id = :member", "участник {member}: остатки не равны сумме"),
        ("UPDATE member SET pending = 0 WHERE id = :member", "участник {member}: остатки не равны сумме"),
        ("UPDATE member SET reserved = 5 WHERE id = :member", "участник {member}: зарезервированное"),
        ("UPDATE member SET debt = 5 WHERE id = :member", "участник {member}: остатки не равны сумме"),
        ("UPDATE lot SET pending = pending - 1 WHERE key = :lot", "партия {lot}"),
        ("UPDATE lot SET earned = earned + 1 WHERE key = :lot", "партия {lot}"),
        ("UPDATE lot SET reversed = 0 WHERE key = :lot", "партия {lot}"),
        ("UPDATE lot SET expired = 5, available = available - 5 WHERE key = :lot", "партия {lot}"),
        ("UPDATE lot SET settled = 5, available = available - 5 WHERE key = :lot", "партия {lot}"),
        ("UPDATE lot SET withdrawn = 5, available = available - 5 WHERE key = :lot", "партия {lot}"),
        ("UPDATE lot SET pending = pending - 5, available = available + 5 WHERE key = :lot", "партия {lot}"),
        ("UPDATE lot SET member_id = (SELECT max(id) FROM member) WHERE key = :lot", "чужая партия"),
        ("UPDATE transfer SET points = points + 1 WHERE key = 'activation'", "партия {lot}"),
        ("UPDATE transfer SET credit = 'expired' WHERE key = 'refund'", "партия {lot}"),
        ("UPDATE transfer SET debit = 'opening' WHERE move = 'accrue' AND member_id = :member", "операция {lot}"),
        ("UPDATE transfer SET move = 'adjust' WHERE key = 'activation'", "операция activation"),
        ("UPDATE transfer SET lot_id = NULL WHERE key = 'activation'", "партия {lot}"),
        ("UPDATE transfer SET order_id = NULL WHERE key = 'refund'", "заказ {deal}"),
        (
            "UPDATE transfer SET member_id = (SELECT max(id) FROM member) WHERE key = 'activation'",
            "операция activation",
        ),
        ("DELETE FROM transfer WHERE key = 'refund'", "партия {lot}"),
        ("DELETE FROM transfer WHERE move = 'accrue' AND member_id = :member", "заказ {deal}"),
        ("UPDATE orders SET accrued = accrued + 1 WHERE id = :order", "заказ {deal}: начисленное"),
        ("UPDATE orders SET accrued = accrued - 1 WHERE id = :order", "заказ {deal}: начисленное"),
        ("UPDATE orders SET welcomed = 300 WHERE id = :order", "заказ {deal}"),
        ("UPDATE orders SET accrued = welcomed, welcomed = accrued WHERE id = :order", "заказ {deal}"),
        ("UPDATE orders SET forgiven = 1 WHERE id = :order", "заказ {deal}"),
        ("UPDATE orders SET member_id = (SELECT max(id) FROM member) WHERE id = :order", "партия {lot}: заказ не тот"),
        ("UPDATE lot SET order_id = NULL WHERE key = :lot", "партия {lot}: заказ не тот"),
        ("UPDATE orders SET reversed = reversed + 1 WHERE id = :order", "заказ {deal}"),
        ("UPDATE orders SET redeemed = 5 WHERE id = :order", "заказ {deal}"),
        ("UPDATE orders SET redeemed = 5, restored = 5 WHERE id = :order", "заказ {deal}"),
        (
            "INSERT INTO transfer (key, member_id, lot_id, move, debit, credit, points, rules_version, occurred_at,"
            " recorded_at, rule) SELECT 'forged', member_id, id, 'accrue', 'issued', 'available', 500, rules_version,"
            " now(), now(), 'x' FROM lot WHERE key = :lot",
            "участник {member}",
        ),
        (
            "WITH v AS (INSERT INTO rule_version VALUES ('v2', '{{}}', now()) RETURNING version)"
            " UPDATE lot SET rules_version = (SELECT version FROM v) WHERE key = :lot",
            "операция",
        ),
        (
            "UPDATE member SET merged_into_id = (SELECT max(id) FROM member) WHERE id = :member",
            "участник {member}: остатки не равны сумме",
        ),
    ],
)
def test_a_damage_is_found_and_named(db: Database, account: Account4, statement: str, named: str) -> None:
    damage(db, statement.replace("{{}}", "{}"), account)

    found = verdict(db)

    assert not found.is_whole
    assert any(names(account, named) in fault for fault in found.faults), found.faults


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE hold SET points = points + 1 WHERE member_id = :member AND state = 'active'", "резерв hold-"),
        ("UPDATE hold SET points = points + 1 WHERE member_id = :member AND state = 'captured'", "резерв hold-"),
        ("UPDATE hold SET state = 'released' WHERE member_id = :member AND state = 'captured'", "резерв hold-"),
        (
            "UPDATE hold SET state = 'expired', closed_at = now() WHERE state = 'active'",
            "участник {member}: зарезервир",
        ),
        ("UPDATE hold SET state = 'captured', closed_at = now() WHERE state = 'active'", "резерв hold-"),
        ("UPDATE hold SET member_id = (SELECT max(id) FROM member)", "участник {member}: зарезервированное"),
        ("UPDATE transfer SET hold_id = NULL WHERE move = 'capture'", "резерв hold-"),
        ("UPDATE orders SET hold_id = NULL WHERE member_id = :member AND id <> :order", ": заказ не знает о нём"),
        ("UPDATE orders SET hold_id = (SELECT max(id) FROM hold) WHERE id = :order", ": заказ не знает о нём"),
        ("UPDATE hold SET spread = '[7, 7]' WHERE member_id = :member AND state = 'active'", ": заказ не знает о нём"),
        (
            "UPDATE orders SET member_id = (SELECT max(id) FROM member) WHERE member_id = :member AND id <> :order",
            ": заказ не знает о нём",
        ),
        ("UPDATE transfer SET order_id = NULL WHERE move = 'capture'", "заказ {deal}"),
        ("UPDATE transfer SET hold_id = (SELECT max(id) FROM hold) WHERE move = 'capture'", "резерв hold-"),
        ("UPDATE transfer SET credit = 'expired' WHERE move = 'capture'", "партия {lot}"),
        ("DELETE FROM transfer WHERE move = 'capture'", "резерв hold-"),
        ("UPDATE orders SET redeemed = redeemed - 1 WHERE id = :order", "заказ {deal}"),
        ("UPDATE orders SET restored = 1 WHERE id = :order", "заказ {deal}"),
        ("UPDATE lot SET redeemed = 0, reserved = reserved + 40 WHERE key = :lot", "партия {lot}"),
        (
            "WITH l AS (UPDATE lot SET reserved = 0, available = 15 WHERE key = :lot)"
            " UPDATE member SET reserved = 0, available = 15 WHERE id = :member",
            "участник {member}: зарезервированное",
        ),
    ],
)
def test_a_damage_to_what_was_spent_is_found_and_named(
    db: Database, spent: Account4, statement: str, named: str
) -> None:
    damage(db, statement, spent)

    found = verdict(db)

    assert not found.is_whole
    assert any(names(spent, named) in fault for fault in found.faults), found.faults


def test_a_debt_beside_available_points_is_a_fault(db: Database, account: Account4) -> None:
    damage(
        db,
        "WITH owed AS (UPDATE member SET debt = 5 WHERE id = :member), told AS (UPDATE orders SET reversed = 15,"
        " accrued = 85 WHERE id = :order)"
        " INSERT INTO transfer (key, member_id, order_id, move, debit, credit, points, rules_version, occurred_at,"
        " recorded_at, rule) SELECT 'loan', member_id, order_id, 'reverse', 'debt', 'reversed', 5, rules_version,"
        " now(), now(), 'x' FROM lot WHERE key = :lot",
        account,
    )

    assert verdict(db).faults == (f"участник {account.member.id}: остатки не равны сумме партий",)


def test_a_debt_that_was_paid_off_is_whole(db: Database, account: Account4) -> None:
    """Made, partly paid by new points, the rest still owed; nothing available beside it."""
    key, order_id = account.lot_key, account.order_id
    with db.begin() as tx:
        members.lock(tx, account.member.id)
        moves = (
            transfer("spend", key, 60, debit="available", credit="expired", move="expire"),
            transfer("owe", key, 20, debit="debt", credit="reversed", move="reverse", order_id=order_id),
            transfer("new", "new", 12, order_id=order_id),
            transfer("come", "new", 12, debit="pending", credit="available", move="activate"),
            transfer("settle", "new", 12, debit="available", credit="debt", move="settle"),
        )
        owed = moves[1].__class__(**{**vars(moves[1]), "lot_key": None})
        decision = Decision((moves[0], owed, *moves[2:]), (opening("new", order_id),))
        balance = ledger.post(tx, account.member.id, decision, occurred_at=NOW, now=NOW)
        orders.save_result(tx, order_id, counted(accrued=82, reversed=30))

    assert (balance.debt, balance.available, balance.pending) == (8, 0, 30)
    assert verdict(db).faults == ()


def test_a_wide_damage_is_told_briefly(db: Database) -> None:
    for _ in range(verify.FAULTS_SHOWN_MAX + 5):
        account = make_account(db)
    damage(db, "UPDATE member SET available = 1", account)

    of_balances = [fault for fault in verdict(db).faults if "сумме операций" in fault]

    assert len(of_balances) == verify.FAULTS_SHOWN_MAX


def test_the_proof_sees_one_moment_and_writes_nothing(db: Database, account: Account4) -> None:
    with db.begin() as tx:
        first = verify.verify(tx)
        make_account(db)

        assert tx.execute(sa.text("SELECT count(*) FROM transfer")).scalar_one() == first.transfers
        assert tx.execute(sa.text("SHOW transaction_read_only")).scalar_one() == "on"


def test_the_guards_that_are_switched_off_here_exist(shared_db: Database) -> None:
    """What the product's database refuses by itself; `test_storage_refusals.py` shows each of them."""
    with shared_db.begin() as tx:
        known = set(tx.execute(sa.text("SELECT conname FROM pg_constraint")).scalars())

    assert {constraint for constraints in GUARDS.values() for constraint in constraints} <= known
