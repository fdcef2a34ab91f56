"""What the database itself refuses, whatever the code above it does."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError
from storage_making import (
    LEASE,
    NOW,
    RULES,
    VERSION,
    counted,
    everything,
    make_account,
    make_member,
    opening,
    post,
    transfer,
)

from loyalty.ledger import Decision
from storage import inbox, ledger, merging, orders, outbox, rules, verify
from storage.db import Database, sqlstate

APPEND_ONLY = "0A000"


@pytest.fixture
def db(shared_db: Database) -> Database:
    return shared_db


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE transfer SET points = points + 1",
        "UPDATE transfer SET key = key",
        "DELETE FROM transfer",
        "TRUNCATE transfer",
        "TRUNCATE lot CASCADE",
        "TRUNCATE rule_version CASCADE",
        "TRUNCATE member CASCADE",
        "UPDATE rules_applied SET applied_by = 'nobody'",
        "DELETE FROM rules_applied",
        "UPDATE rule_version SET rules = '{}'",
        "DELETE FROM rule_version",
        "TRUNCATE rule_version",
    ],
)
def test_what_was_written_into_the_book_cannot_be_changed(db: Database, statement: str) -> None:
    make_account(db)
    with db.begin() as tx:
        rules.apply(tx, VERSION, source="version: 1", lines={"accrual.rate": 3}, by="Ольга", now=NOW)
    before = everything(db)

    with pytest.raises(DBAPIError) as refusal, db.begin() as tx:
        tx.execute(sa.text(statement))

    assert sqlstate(refusal.value) == APPEND_ONLY
    assert everything(db) == before


def test_a_stored_rules_version_keeps_its_first_content(db: Database) -> None:
    other = RULES.__class__(name="Другой", timezone="UTC", accrual=RULES.accrual)
    with db.begin() as tx:
        rules.remember(tx, VERSION, RULES, now=NOW)
        rules.remember(tx, VERSION, other, now=NOW)

    with db.begin() as tx:
        assert rules.load(tx, VERSION) == RULES


def test_a_version_that_never_was_is_an_error(db: Database) -> None:
    with pytest.raises(sa.exc.NoResultFound), db.begin() as tx:
        rules.load(tx, "never")


def test_a_key_that_was_posted_before_is_refused_with_everything_beside_it(db: Database) -> None:
    account = make_account(db)
    before = everything(db)

    with pytest.raises(IntegrityError) as refusal:
        post(
            db,
            account,
            transfer("new", account.lot_key, 5, debit="pending", credit="reversed", move="reverse"),
            transfer(account.lot_key, account.lot_key, 100),
        )

    assert "one_transfer_per_key" in str(refusal.value)
    assert everything(db) == before


@pytest.mark.parametrize("source", ["pending", "available", "reserved"])
def test_a_balance_below_zero_is_refused_and_nothing_stays(db: Database, source: str) -> None:
    account = make_account(db, points=100)
    before = everything(db)

    with pytest.raises(IntegrityError) as refusal:
        post(
            db,
            account,
            transfer("first", account.lot_key, 1, debit="pending", credit="reversed", move="reverse"),
            transfer("second", account.lot_key, 100, debit=source, credit="reversed", move="reverse"),  # type: ignore[arg-type]
        )

    assert sqlstate(refusal.value) == "23514"
    assert everything(db) == before


def test_a_members_balance_is_refused_below_zero_even_if_the_lots_would_allow_it(db: Database) -> None:
    account = make_account(db, points=100)

    with pytest.raises(IntegrityError) as refusal, db.begin() as tx:
        tx.execute(sa.text("UPDATE member SET pending = pending - 101 WHERE id = :id"), {"id": account.member.id})

    assert "member_pending_check" in str(refusal.value)


@pytest.mark.parametrize(
    "change",
    [
        "available = available + 1",
        "pending = pending - 1",
        "earned = earned + 1",
        "redeemed = 1",
        "expired = 1",
        "reversed = 1",
        "settled = 1",
        "withdrawn = 1",
        "reserved = 1, redeemed = -1",
    ],
)
def test_a_lot_accounts_for_every_point(db: Database, change: str) -> None:
    account = make_account(db, points=100)
    before = everything(db)

    with pytest.raises(IntegrityError) as refusal, db.begin() as tx:
        tx.execute(sa.text(f"UPDATE lot SET {change} WHERE key = :key"), {"key": account.lot_key})

    assert sqlstate(refusal.value) == "23514"
    assert everything(db) == before


@pytest.mark.parametrize(
    ("shape", "constraint"),
    [
        ({"debit": "pocket", "credit": "pending"}, "known_accounts"),
        ({"debit": "issued", "credit": "pocket"}, "known_accounts"),
        ({"move": "steal"}, "known_moves"),
        ({"debit": "pending", "credit": "pending"}, "two_accounts"),
        ({"points": 0}, "transfer_points_check"),
        ({"points": -5}, "transfer_points_check"),
        ({"debit": "debt", "credit": "reversed"}, "points_lie_in_a_lot"),
        ({"lot_id": None}, "points_lie_in_a_lot"),
    ],
)
def test_a_transfer_that_makes_no_sense_is_refused(db: Database, shape: dict[str, Any], constraint: str) -> None:
    account = make_account(db)
    row = {"move": "accrue", "debit": "issued", "credit": "pending", "points": 1} | shape
    with db.begin() as tx:
        statement = sa.text("SELECT id FROM lot WHERE key = :key")
        row = {"lot_id": tx.execute(statement, {"key": account.lot_key}).scalar_one(), **row}

    with pytest.raises(IntegrityError) as refusal, db.begin() as tx:
        tx.execute(
            sa.text(
                "INSERT INTO transfer (key, member_id, lot_id, move, debit, credit, points, rules_version, occurred_at,"
                " recorded_at, rule)"
                " VALUES ('odd', :member, :lot_id, :move, :debit, :credit, :points, :version, now(), now(), 'x')"
            ),
            {**row, "member": account.member.id, "version": VERSION},
        )

    assert constraint in str(refusal.value)


def test_a_transfer_needs_a_lot_of_the_same_member(db: Database) -> None:
    mine, his = make_account(db), make_account(db)
    before = everything(db)

    for lot_key in (his.lot_key, "nobody's"):
        with pytest.raises(IntegrityError, match="points_lie_in_a_lot"):
            post(db, mine, transfer("theft", lot_key, 1, debit="pending", credit="available", move="activate"))

    assert everything(db) == before


def test_no_more_comes_back_than_was_spent(db: Database) -> None:
    account = make_account(db)

    for redeemed, restored in ((5, 6), (5, -1), (-1, -1)):
        with pytest.raises(IntegrityError, match="restored_no_more_than_redeemed"), db.begin() as tx:
            orders.save_result(tx, account.order_id, counted(redeemed=redeemed, restored=restored))


def test_an_order_has_a_name_and_no_two_have_the_same(db: Database) -> None:
    account, other = make_account(db), make_account(db)

    with pytest.raises(IntegrityError, match="order_has_a_name"), db.begin() as tx:
        tx.execute(sa.text("UPDATE orders SET deal_ref = NULL WHERE id = :id"), {"id": account.order_id})
    with pytest.raises(IntegrityError, match="one_order_per_shop_ref"), db.begin() as tx:
        tx.execute(
            sa.text("UPDATE orders SET shop_ref = 'same' WHERE id IN (:a, :b)"),
            {"a": account.order_id, "b": other.order_id},
        )


@pytest.mark.parametrize("balance", ["pending", "available", "reserved", "debt"])
def test_who_was_merged_holds_nothing(db: Database, balance: str) -> None:
    with db.begin() as tx:
        gone, kept = make_member(tx), make_member(tx)
        merging.move(tx, from_id=gone.id, into_id=kept.id)

    with pytest.raises(IntegrityError, match="merged_member_holds_nothing"), db.begin() as tx:
        tx.execute(sa.text(f"UPDATE member SET {balance} = 1 WHERE id = :id"), {"id": gone.id})


def test_points_cannot_be_posted_to_who_was_merged(db: Database) -> None:
    account = make_account(db)
    with db.begin() as tx:
        merging.move(tx, from_id=account.member.id, into_id=make_member(tx).id)
    before = everything(db)
    decision = Decision((transfer("late", "late", 1),), (opening("late", account.order_id),))

    with pytest.raises(IntegrityError, match="merged_member_holds_nothing"), db.begin() as tx:
        ledger.post(tx, account.member.id, decision, occurred_at=NOW, now=NOW)

    assert everything(db) == before


def test_a_lot_is_opened_once(db: Database) -> None:
    account = make_account(db)
    decision = Decision((transfer("again", account.lot_key, 1),), (opening(account.lot_key, account.order_id),))

    with pytest.raises(IntegrityError) as refusal, db.begin() as tx:
        ledger.post(tx, account.member.id, decision, occurred_at=NOW, now=NOW)

    assert "one_lot_per_decision" in str(refusal.value)


def test_a_transfer_of_a_version_that_was_never_stored_is_refused(db: Database) -> None:
    account = make_account(db)

    with pytest.raises(IntegrityError) as refusal, db.begin() as tx:
        tx.execute(
            sa.text(
                "INSERT INTO transfer (key, member_id, lot_id, move, debit, credit, points, rules_version, occurred_at,"
                " recorded_at, rule) SELECT 'k', member_id, id, 'accrue', 'issued', 'pending', 1, 'never', now(),"
                " now(), 'x' FROM lot WHERE key = :key"
            ),
            {"key": account.lot_key},
        )

    assert sqlstate(refusal.value) == "23503"


@pytest.mark.parametrize("box", ["inbox", "outbox"])
def test_a_row_in_work_needs_a_lease_and_no_other_row_may_have_one(db: Database, box: str) -> None:
    with db.begin() as tx:
        inbox.add(tx, source="tbank", external_id="1", body=b"", is_hint=False, now=NOW)
        outbox.add(tx, "crm", [1], now=NOW)

    for change in ("state = 'working'", "leased_until = now()", "state = 'asleep'"):
        with pytest.raises(IntegrityError) as refusal, db.begin() as tx:
            tx.execute(sa.text(f"UPDATE {box} SET {change}"))
        assert sqlstate(refusal.value) == "23514", change


@pytest.mark.parametrize("column", ["card_token", "card_serial", "card_number", "contact_ref"])
def test_two_members_never_share_what_names_them(db: Database, column: str) -> None:
    with db.begin() as tx:
        first, second = make_member(tx), make_member(tx)

    with pytest.raises(IntegrityError) as refusal, db.begin() as tx:
        tx.execute(
            sa.text(f"UPDATE member SET {column} = (SELECT {column} FROM member WHERE id = :a) WHERE id = :b"),
            {"a": first.id, "b": second.id},
        )

    assert sqlstate(refusal.value) == "23505"


def test_a_refused_decision_leaves_the_book_whole(db: Database) -> None:
    account = make_account(db)

    for points in (101, 1_000):
        with pytest.raises(IntegrityError):
            post(
                db, account, transfer("x", account.lot_key, points, debit="pending", credit="reversed", move="reverse")
            )

    with db.begin() as tx:
        assert verify.verify(tx).is_whole


def test_a_row_in_work_is_not_claimed_even_after_its_lease_until_it_is_taken_back(db: Database) -> None:
    with db.begin() as tx:
        inbox.add(tx, source="tbank", external_id="1", body=b"", is_hint=False, now=NOW)
        assert len(inbox.claim(tx, now=NOW, lease=LEASE, limit=9)) == 1

    with db.begin() as tx:
        assert inbox.claim(tx, now=NOW + LEASE * 2, lease=LEASE, limit=9) == []
