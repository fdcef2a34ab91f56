"""The proof that the book is whole must find every damage, and say where it is."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from storage_making import Account4, make_account, post, transfer

from storage import verify
from storage.db import Database
from storage.verify import Verdict


@pytest.fixture
def account(db: Database) -> Account4:
    """100 points earned, 60 of them available, 10 taken back; a neighbour whose book is in order."""
    made = make_account(db, points=100)
    make_account(db, points=50)
    post(
        db,
        made,
        transfer("activation", made.lot_key, 60, debit="pending", credit="available", move="activate"),
        transfer("refund", made.lot_key, 10, debit="pending", credit="reversed", move="reverse"),
    )
    return made


def damage(db: Database, statement: str, account: Account4) -> None:
    """What a superuser's hand could do with every guard switched off."""
    names = {"member": account.member.id, "lot": account.lot_key}
    with db.begin() as tx:
        for table in ("transfer", "rule_version"):
            tx.execute(sa.text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        tx.execute(sa.text(statement), names)
        for table in ("transfer", "rule_version"):
            tx.execute(sa.text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))


def verdict(db: Database) -> Verdict:
    with db.begin() as tx:
        return verify.verify(tx)


def test_a_book_in_order_is_whole(db: Database, account: Account4) -> None:
    found = verdict(db)

    assert (found.is_whole, found.faults, found.sum, found.transfers) == (True, (), 0, 4)
    assert found.accounts == {"available": 60, "issued": -150, "pending": 80, "reversed": 10}


def test_an_empty_book_is_whole(db: Database) -> None:
    assert (verdict(db).is_whole, verdict(db).transfers) == (True, 0)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE member SET available = available + 1 WHERE id = :member", "участник {member}"),
        ("UPDATE member SET pending = 0 WHERE id = :member", "участник {member}"),
        ("UPDATE member SET reserved = 5 WHERE id = :member", "участник {member}"),
        ("UPDATE member SET debt = 5 WHERE id = :member", "участник {member}"),
        ("UPDATE lot SET pending = pending - 1 WHERE key = :lot", "партия {lot}"),
        ("UPDATE lot SET earned = earned + 1 WHERE key = :lot", "партия {lot}"),
        ("UPDATE lot SET reversed = 0 WHERE key = :lot", "партия {lot}"),
        ("UPDATE lot SET pending = pending - 5, available = available + 5 WHERE key = :lot", "партия {lot}"),
        ("UPDATE lot SET member_id = (SELECT max(id) FROM member) WHERE key = :lot", "чужая партия"),
        ("UPDATE transfer SET points = points + 1 WHERE key = 'activation'", "партия {lot}"),
        ("UPDATE transfer SET credit = 'expired' WHERE key = 'refund'", "партия {lot}"),
        ("UPDATE transfer SET debit = 'opening' WHERE move = 'accrue' AND member_id = :member", "партия {lot}"),
        (
            "UPDATE transfer SET member_id = (SELECT max(id) FROM member) WHERE key = 'activation'",
            "операция activation",
        ),
        ("DELETE FROM transfer WHERE key = 'refund'", "партия {lot}"),
        (
            "INSERT INTO transfer (key, member_id, lot_id, move, debit, credit, points, rules_version, occurred_at,"
            " recorded_at) SELECT 'forged', member_id, id, 'accrue', 'issued', 'available', 500, rules_version, now(),"
            " now() FROM lot WHERE key = :lot",
            "участник {member}",
        ),
        (
            "WITH v AS (INSERT INTO rule_version VALUES ('v2', '{}', now()) RETURNING version)"
            " UPDATE lot SET rules_version = (SELECT version FROM v) WHERE key = :lot",
            "операция",
        ),
    ],
)
def test_a_damage_is_found_and_named(db: Database, account: Account4, statement: str, named: str) -> None:
    damage(db, statement, account)

    found = verdict(db)

    assert not found.is_whole
    expected = named.format(member=account.member.id, lot=account.lot_key)
    assert any(expected in fault for fault in found.faults), found.faults


def test_a_debt_beside_available_points_is_a_fault(db: Database, account: Account4) -> None:
    damage(
        db,
        "WITH owed AS (UPDATE member SET debt = 5 WHERE id = :member)"
        " INSERT INTO transfer (key, member_id, lot_id, move, debit, credit, points, rules_version, occurred_at,"
        " recorded_at) SELECT 'loan', member_id, id, 'reverse', 'debt', 'expired', 5, rules_version, now(), now()"
        " FROM lot WHERE key = :lot",
        account,
    )

    assert verdict(db).faults == (f"участник {account.member.id}: остатки не равны сумме партий",)


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
