"""Holds as rows: one open per order, closed with a time, their lots found again in the order they were taken."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from storage_making import NOW, capture, make_account, make_hold, post, transfer

from loyalty.redemption import Allocation
from storage import holds, orders, verify
from storage.db import Database


def test_a_hold_is_read_as_it_was_made(db: Database) -> None:
    account = make_account(db)

    made = make_hold(db, account, 40, code_digest=b"secret")

    with db.begin() as tx:
        assert holds.by_id(tx, made.id) == made == holds.by_public_id(tx, made.public_id)
        assert holds.by_public_id(tx, "nobody") is None
        assert holds.allocations(tx, made.id) == (Allocation(account.lot_key, 40),)
    assert (made.state, made.is_open, made.spread, made.code_digest) == ("unconfirmed", True, (40,), b"secret")


def test_a_code_confirms_once_and_is_forgotten(db: Database) -> None:
    made = make_hold(db, make_account(db), 40, code_digest=b"secret")
    with db.begin() as tx:
        assert [holds.count_try(tx, made.id, tried=b"x") for _ in range(3)] == [1, 2, 3]
        holds.confirm(tx, made.id)
        confirmed = holds.by_id(tx, made.id)
        assert (confirmed.state, confirmed.code_digest, confirmed.code_tries) == ("active", None, 3)
        holds.close(tx, made.id, state="released", now=NOW)
        holds.confirm(tx, made.id)
        assert holds.by_id(tx, made.id).state == "released"


def test_an_order_has_one_open_hold_and_may_have_many_closed(db: Database) -> None:
    account = make_account(db)
    first = make_hold(db, account, 10)

    with pytest.raises(IntegrityError) as refusal:
        make_hold(db, account, 10)

    assert "one_open_hold_per_order" in str(refusal.value)
    with db.begin() as tx:
        holds.close(tx, first.id, state="expired", now=NOW)
    assert make_hold(db, account, 10).is_open


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("state = 'captured'", "closed_hold_has_its_time"),
        ("closed_at = now()", "closed_hold_has_its_time"),
        ("state = 'lost', closed_at = now()", "hold_state_check"),
        ("points = 0", "hold_points_check"),
        ("total_kopecks = -1", "hold_total_kopecks_check"),
    ],
)
def test_a_hold_that_makes_no_sense_is_refused(db: Database, change: str, constraint: str) -> None:
    make_hold(db, make_account(db), 10)

    with pytest.raises(IntegrityError) as refusal, db.begin() as tx:
        tx.execute(sa.text(f"UPDATE hold SET {change}"))

    assert constraint in str(refusal.value)


def test_two_holds_never_share_a_public_name(db: Database) -> None:
    first, _ = make_hold(db, make_account(db), 10), make_hold(db, make_account(db), 10)

    with pytest.raises(IntegrityError, match="one_public_name_per_hold"), db.begin() as tx:
        tx.execute(sa.text("UPDATE hold SET public_id = :id"), {"id": first.public_id})


def test_those_that_ran_out_are_walked_by_their_orders(db: Database) -> None:
    accounts = [make_account(db) for _ in range(4)]
    made = [make_hold(db, account, 10) for account in accounts]
    with db.begin() as tx:
        for hold, minutes in zip(made, (-1, -3, 1, -9), strict=True):
            tx.execute(
                sa.text("UPDATE hold SET expires_at = :at WHERE id = :id"),
                {"id": hold.id, "at": NOW + timedelta(minutes=minutes)},
            )
        holds.close(tx, made[3].id, state="released", now=NOW)

        assert holds.expired(tx, now=NOW, limit=9) == [accounts[0].order_id, accounts[1].order_id]
        assert holds.expired(tx, now=NOW, limit=9, after=accounts[0].order_id) == [accounts[1].order_id]


def test_redemptions_of_a_day_are_those_that_were_used_or_still_may_be(db: Database) -> None:
    account = make_account(db)
    first = make_hold(db, account, 10)
    with db.begin() as tx:
        assert holds.made_between(tx, account.member.id, NOW, NOW + timedelta(1)) == 1
        assert holds.made_between(tx, account.member.id, NOW - timedelta(1), NOW) == 0
        holds.close(tx, first.id, state="released", now=NOW)
        assert holds.made_between(tx, account.member.id, NOW, NOW + timedelta(1)) == 0
    capture(db, account, make_hold(db, account, 10))
    with db.begin() as tx:
        assert holds.made_between(tx, account.member.id, NOW, NOW + timedelta(1)) == 1


def test_the_same_hold_once_more_asks_for_no_code(db: Database) -> None:
    account = make_account(db)
    old = make_hold(db, account, 40, code_digest=b"secret")

    new = holds.again(old, public_id="again", expires_at=NOW)

    assert (new.points, new.spread, new.order_id, new.code_digest) == (40, (40,), account.order_id, None)


def test_a_captured_hold_stays_with_its_order_and_the_book_is_whole(db: Database) -> None:
    account = make_account(db)
    hold = make_hold(db, account, 40)
    capture(db, account, hold)

    with db.begin() as tx:
        order = orders.lock(tx, account.order_id)
        assert (order.hold_id, order.redeemed, order.restored) == (hold.id, 40, 0)
    with db.begin() as tx:
        found = verify.verify(tx)
    assert found.faults == ()


def test_a_hold_over_two_lots_is_found_in_the_order_it_took_them(db: Database) -> None:
    account = make_account(db)
    hold = make_hold(db, account, 40)
    post(
        db,
        account,
        transfer("a", account.lot_key, 5, debit="pending", credit="available", move="activate"),
        transfer("b", account.lot_key, 5, debit="available", credit="reserved", move="hold", hold_id=hold.id),
    )

    with db.begin() as tx:
        assert [one.points for one in holds.allocations(tx, hold.id)] == [40, 5]
