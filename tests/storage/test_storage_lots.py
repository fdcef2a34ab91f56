"""Reading lots: what a decision can touch, what is spent first, what is due; and that a long book is not read whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from storage_making import NOW, VERSION, Account4, make_account, opening, post, transfer

from loyalty.ledger import Decision, LotOpening, consumption_order
from storage import ledger, lots, members
from storage.db import Database

FIRST_OF_MARCH = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def account(db: Database) -> Account4:
    """100 pending points of an order, due now."""
    return make_account(db, points=100)


def add_lot(db: Database, account: Account4, key: str, points: int, **shape: Any) -> None:
    """A lot of available points."""
    plan = {"source": "gift", "order_id": None, "activates_at": NOW, "expires_at": None, **shape}
    made = LotOpening(key=key, rules_version=VERSION, **plan)
    with db.begin() as tx:
        members.lock(tx, account.member.id)
        moved = transfer(key, key, points, debit="opening", credit="available", move="opening")
        ledger.post(tx, account.member.id, Decision((moved,), (made,)), occurred_at=NOW, now=NOW)


def keys(found: Any) -> list[str]:
    return [lot.key for lot in found]


def test_v09_lots_are_walked_in_the_order_in_which_they_are_spent(db: Database, account: Account4) -> None:
    for key, points, end in (
        ("L1", 300, "2026-01-31"),
        ("L2", 499, "2026-06-30"),
        ("L3", 150, "2026-03-01"),
        ("L4", 200, None),
    ):
        ends = None if end is None else datetime.fromisoformat(end).replace(tzinfo=UTC)
        add_lot(db, account, key, points, expires_at=ends)

    with db.begin() as tx:
        walked = lots.open_lots(tx, account.member.id, enough=10_000, now=NOW)

    assert keys(walked) == ["L1", "L3", "L2", "L4"]
    assert sorted(walked, key=consumption_order) == walked


def test_equal_ends_are_spent_by_activation_then_by_age(db: Database, account: Account4) -> None:
    for key, days in (("late", 2), ("old", 1), ("young", 1)):
        add_lot(db, account, key, 1, activates_at=NOW - timedelta(days=-days))

    with db.begin() as tx:
        assert keys(lots.open_lots(tx, account.member.id, enough=9, now=NOW)) == ["old", "young", "late"]


def test_a_walk_stops_when_it_has_enough(db: Database, account: Account4) -> None:
    for number in range(100):
        add_lot(db, account, f"n{number}", 10, expires_at=NOW + timedelta(days=number + 1))

    with db.begin() as tx:
        few = lots.open_lots(tx, account.member.id, enough=30, now=NOW)
        more = lots.open_lots(tx, account.member.id, enough=500, now=NOW)
        everything = lots.open_lots(tx, account.member.id, enough=10**9, now=NOW)

    assert len(few) == lots.WALK_STEP
    assert len(more) == lots.WALK_STEP * 5
    assert len(everything) == 100
    assert keys(everything) == [f"n{number}" for number in range(100)]


def test_the_due_are_those_whose_activation_or_last_day_has_come(db: Database, account: Account4) -> None:
    add_lot(db, account, "ends now", 5, expires_at=NOW)
    add_lot(db, account, "ends later", 5, expires_at=NOW + timedelta(seconds=1))

    with db.begin() as tx:
        assert sorted(keys(lots.due(tx, account.member.id, now=NOW))) == ["ends now", account.lot_key]
        assert lots.due(tx, account.member.id, now=NOW - timedelta(seconds=1)) == ()


def test_an_orders_lots_are_its_own_and_those_that_were_made_of_them(db: Database, account: Account4) -> None:
    other = make_account(db)
    add_lot(db, account, "restored", 5, source="restored", order_id=other.order_id, root_key=account.lot_key)
    add_lot(db, account, "foreign", 5)
    before = NOW - timedelta(days=1)

    with db.begin() as tx:
        assert sorted(keys(lots.for_order(tx, account.member.id, account.order_id, now=before))) == [
            account.lot_key,
            "restored",
        ]
        [restored] = lots.by_keys(tx, ["restored"])
        assert (restored.root_key, restored.root) == (account.lot_key, account.lot_key)
        [own] = lots.by_keys(tx, [account.lot_key])
        assert (own.root_key, own.root) == ("", account.lot_key)


def test_empty_lots_are_walked_by_nobody(db: Database, account: Account4) -> None:
    add_lot(db, account, "spent", 5)
    post(db, account, transfer("burn", "spent", 5, debit="available", credit="expired", move="expire"))

    with db.begin() as tx:
        assert lots.open_lots(tx, account.member.id, enough=1, now=NOW) == []
        assert keys(lots.all_open(tx, account.member.id)) == [account.lot_key]


def test_what_activates_and_what_ends_next_counts_all_lots_of_that_moment(db: Database, account: Account4) -> None:
    end = NOW + timedelta(days=9)
    for key, shape in (
        ("a", {"expires_at": end}),
        ("b", {"expires_at": end}),
        ("c", {"expires_at": end + timedelta(1)}),
    ):
        add_lot(db, account, key, 7, **shape)
    other = make_account(db)
    post(db, other, transfer("r", other.lot_key, 100, debit="pending", credit="reversed", move="reverse"))

    with db.begin() as tx:
        assert lots.next_activation(tx, account.member.id) == (100, NOW)
        assert lots.next_activation(tx, other.member.id) is None
        assert lots.next_burn(tx, account.member.id) == (14, end)
        assert lots.next_burn(tx, other.member.id) is None
        assert lots.next_burns(tx, [account.member.id, other.member.id]) == {account.member.id: (14, end)}


def test_members_with_due_points_are_walked_by_their_ids(db: Database) -> None:
    first, second, third = make_account(db), make_account(db), make_account(db)
    with db.begin() as tx:
        for account, hours in ((first, -1), (second, -3), (third, 1)):
            tx.execute(
                sa.text("UPDATE lot SET activates_at = :now + make_interval(hours => :hours) WHERE key = :key"),
                {"now": NOW, "hours": hours, "key": account.lot_key},
            )

    with db.begin() as tx:
        assert lots.members_with_due(tx, now=NOW, limit=9) == [first.member.id, second.member.id]
        assert lots.members_with_due(tx, now=NOW, limit=9, after=first.member.id) == [second.member.id]


def test_buying_prolongs_what_orders_earned_and_voids_its_notice_and_gifts_keep_their_end(
    db: Database, account: Account4
) -> None:
    until = NOW + timedelta(days=30)
    for key, shape in (("soon", {"expires_at": NOW}), ("later", {"expires_at": until + timedelta(1)}), ("never", {})):
        add_lot(db, account, key, 5, source="opening", **shape)
    add_lot(db, account, "gift", 5, source="gift", expires_at=NOW)
    with db.begin() as tx:
        tx.execute(sa.text("UPDATE lot SET notified_at = :now"), {"now": NOW})
        lots.extend_idle(tx, account.member.id, until=until)
        found = {lot.key: (lot.expires_at, lot.notified_at) for lot in lots.all_open(tx, account.member.id)}

    assert found["soon"] == (until, None)
    assert found["later"] == (until + timedelta(1), NOW)
    assert found["gift"] == (NOW, NOW)
    assert found["never"] == found[account.lot_key] == (None, NOW), "what never ends is given no end"


def test_a_welcome_is_live_while_not_all_of_it_was_taken_back(db: Database, account: Account4) -> None:
    add_lot(db, account, "welcome", 300, source="welcome")
    with db.begin() as tx:
        assert lots.has_live_welcome(tx, account.member.id)

    post(db, account, transfer("back", "welcome", 300, debit="available", credit="reversed", move="reverse"))

    with db.begin() as tx:
        assert not lots.has_live_welcome(tx, account.member.id)


def test_a_posting_finds_the_root_that_it_names(db: Database, account: Account4) -> None:
    made = opening("second", account.order_id)
    with db.begin() as tx:
        members.lock(tx, account.member.id)
        ledger.post(
            tx, account.member.id, Decision((transfer("second", "second", 1),), (made,)), occurred_at=NOW, now=NOW
        )
    add_lot(db, account, "again", 5, source="restored", root_key="second")

    with db.begin() as tx:
        assert lots.by_keys(tx, ["again"])[0].root == "second"


def test_rewards_are_counted_by_their_own_code(db: Database, account: Account4) -> None:
    for key in ("action:review:1:a", "action:review:1:b", "action:reviewer:1:a", "action:visit:1:a"):
        add_lot(db, account, key, 1, source="action")
    add_lot(db, account, "action:review:1:gift", 1)

    with db.begin() as tx:
        assert lots.actions_since(tx, account.member.id, "review", since=NOW) == 2
        assert lots.actions_since(tx, account.member.id, "review", since=NOW + timedelta(seconds=1)) == 0
