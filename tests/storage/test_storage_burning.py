"""Many lots at once: the same marks in the outbox as one by one, locks nobody waits for, lots that changed hands."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from storage_making import NOW, Account4, make_account, make_member, post, transfer

from storage import boxes, burning, members, outbox, verify
from storage.burning import Picked
from storage.db import Database

RULES = {"accrual": "accrual.expire_after"}


def available(db: Database, *, points: int = 100, ends_at: Any = NOW, told: bool = True) -> Account4:
    account = make_account(db, points=points)
    key = account.lot_key
    post(db, account, transfer(f"activate:{key}", key, points, debit="pending", credit="available", move="activate"))
    with db.begin() as tx:
        tx.execute(
            sa.text("UPDATE lot SET expires_at = :ends_at, notified_at = :told WHERE key = :key"),
            {"ends_at": ends_at, "told": NOW if told else None, "key": key},
        )
    return account


def pick(db: Database, **how: Any) -> Picked:
    with db.begin() as tx:
        return burning.pick(tx, **{"after": 0, "now": NOW, "limit": 100, **how})


def burn(db: Database, lots: Picked, *, is_silent: bool = False) -> tuple[int, int]:
    with db.begin() as tx:
        burning.lock_free(tx, lots.member_ids)
        moved = burning.burn(tx, lots, rules=RULES, is_silent=is_silent, now=NOW)
    return moved.lots, moved.points


def test_due_lots_are_picked_by_member_and_others_are_not(db: Database) -> None:
    accounts = [available(db), available(db, ends_at=NOW + timedelta(seconds=1)), available(db, told=False)]

    with db.begin() as tx:
        assert burning.count_due(tx, now=NOW) == 2
    assert pick(db).member_ids == [accounts[0].member.id, accounts[2].member.id]
    assert pick(db, after=accounts[0].member.id).member_ids == [accounts[2].member.id]
    assert pick(db, limit=1).member_ids == [accounts[0].member.id]
    assert list(pick(db, after=accounts[2].member.id).lot_ids) == []


def test_burning_twice_burns_once_and_the_book_is_whole(db: Database) -> None:
    available(db, points=70)
    lots = pick(db)

    assert (burn(db, lots), burn(db, lots)) == ((1, 70), (0, 0))
    with db.begin() as tx:
        assert verify.verify(tx).faults == ()


def test_untold_points_burn_only_where_the_owner_of_the_shop_says_so(db: Database) -> None:
    available(db, told=False)
    lots = pick(db)

    assert burn(db, lots) == (0, 0)
    assert burn(db, lots, is_silent=True) == (1, 100)


def test_a_lot_that_changed_hands_since_it_was_picked_is_left_alone(db: Database) -> None:
    account = available(db)
    lots = pick(db)
    with db.begin() as tx:
        heir = make_member(tx)
        tx.execute(sa.text("UPDATE lot SET member_id = :heir"), {"heir": heir.id})

    assert burn(db, lots, is_silent=True) == (0, 0)
    with db.begin() as tx:
        assert burning.prolong(tx, lots, until=NOW + timedelta(days=1), now=NOW).lots == 0
        assert members.by_ids(tx, [account.member.id])[account.member.id].balance.available == 100


def test_locked_members_are_passed_over_at_once(db: Database) -> None:
    busy, free = available(db), available(db)
    with db.begin() as other:
        members.lock(other, busy.member.id)
        with db.begin() as tx:
            assert burning.lock_free(tx, [busy.member.id, free.member.id]) == [free.member.id]


def test_prolonged_points_remember_the_first_end_they_had(db: Database) -> None:
    available(db, told=False)
    lots = pick(db)
    later, last = NOW + timedelta(days=30), NOW + timedelta(days=60)

    with db.begin() as tx:
        first = burning.prolong(tx, lots, until=later, now=NOW)
        again = burning.prolong(tx, lots, until=last, now=NOW)
        third = burning.prolong(tx, lots, until=last, now=later)
        row = tx.execute(sa.text("SELECT expires_at, postponed_from FROM lot")).one()

    assert ((first.lots, first.points), again.lots, third.lots) == ((1, 100), 0, 1)
    assert tuple(row) == (last, NOW)


@pytest.mark.parametrize("state", ["none", "waiting", "failing", "working", "done", "parked"])
def test_marking_many_leaves_every_row_as_marking_one_does(db: Database, state: str) -> None:
    with db.begin() as tx:
        ours, theirs = make_member(tx).id, make_member(tx).id
    for member_id in (ours, theirs):
        _bring_to(db, member_id, state)
    later = NOW + timedelta(hours=5)

    with db.begin() as tx:
        burning.mark_out_of_date(tx, ["crm", "google"], [ours], now=later)
        outbox.add(tx, "crm", [theirs], now=later)
        outbox.add(tx, "google", [theirs], now=later)

    def rows(member_id: int) -> list[tuple[Any, ...]]:
        columns = "kind, wanted, claimed, state, due_at, leased_until, claims, failures, crashes, outcome, finished_at"
        with db.begin() as tx:
            found = tx.execute(
                sa.text(f"SELECT {columns} FROM outbox WHERE target_id = :id ORDER BY kind"), {"id": member_id}
            )
            return [tuple(row) for row in found]

    assert len(rows(ours)) == 2
    assert rows(ours) == rows(theirs)


def _bring_to(db: Database, member_id: int, state: str) -> None:
    if state == "none":
        return
    with db.begin() as tx:
        outbox.add(tx, "crm", [member_id], now=NOW)
        if state == "waiting":
            return
        claim = outbox.claim(tx, "crm", now=NOW, lease=timedelta(minutes=1), limit=1)[0].claim
        if state == "failing":
            boxes.retry(tx, "outbox", claim, due_at=NOW + timedelta(hours=9), outcome="позже")
        elif state == "done":
            boxes.finish(tx, "outbox", claim, now=NOW, outcome="готово")
        elif state == "parked":
            boxes.park(tx, "outbox", claim, now=NOW, outcome="человеку")
