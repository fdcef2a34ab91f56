"""The book while one decision is made: what it refuses, what new points pay first, what a return takes first."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loyalty_book import PAID_AT, RULES, days
from loyalty_strategies import THOROUGH

from loyalty import activation, redemption, reversal
from loyalty.account import Account, Cause, PointsMissing
from loyalty.ledger import Balance, Decision, Lot, LotOpening, ProgrammeAccount, Transfer, account_changes
from loyalty.redemption import NotEnoughPoints
from loyalty.reversal import Demand

Policy = Literal["allow", "within_balance", "only_pending"]
CAUSE = Cause(order_id=1, hold_id=7, rule="test")


def a_lot(
    key: str,
    *,
    pending: int = 0,
    available: int = 0,
    reserved: int = 0,
    day: int = 0,
    ends: int | None = None,
    root: str = "",
) -> Lot:
    return Lot(
        key=key,
        source="accrual",
        order_id=1,
        rules_version="v1",
        earned=pending + available + reserved,
        reversed=0,
        pending=pending,
        available=available,
        reserved=reserved,
        activates_at=PAID_AT + days(day),
        expires_at=None if ends is None else PAID_AT + days(ends),
        root_key=root,
    )


def account_of(*lots: Lot, debt: int = 0) -> Account:
    pending, available = sum(lot.pending for lot in lots), sum(lot.available for lot in lots)
    return Account(Balance(pending, available, sum(lot.reserved for lot in lots), debt), lots)


def told(account: Account) -> list[tuple[str, str | None, int]]:
    return [(one.debit, one.lot_key, one.points) for one in account.decision.transfers]


@THOROUGH
@given(
    debt=st.integers(0, 500),
    pending=st.lists(st.tuples(st.integers(1, 300), st.integers(0, 3)), min_size=1, max_size=5),
)
def test_activation_pays_the_debt_first_and_loses_nothing(debt: int, pending: list[tuple[int, int]]) -> None:
    lots = [a_lot(f"lot-{number}", pending=points, day=day) for number, (points, day) in enumerate(pending)]
    total = sum(points for points, _ in pending)
    account = account_of(*lots, debt=debt)

    activation.activate_due(account, now=PAID_AT + days(3))

    changes = account_changes(account.decision.transfers)
    assert changes["pending"] == -total
    assert changes["debt"] == -min(debt, total)
    assert changes["available"] == max(0, total - debt)
    settled = [one for one in account.decision.transfers if one.move == "settle"]
    last_to_settle = max((account.lots[one.lot_key or ""].activates_at for one in settled), default=PAID_AT)
    assert all(lot.activates_at >= last_to_settle for lot in account.lots.values() if lot.available)


@pytest.mark.parametrize("day", [1, 2])
def test_only_what_is_due_is_activated(day: int) -> None:
    account = account_of(a_lot("due", pending=10, day=1), a_lot("not-due", pending=20, day=3))

    activation.activate_due(account, now=PAID_AT + days(day))

    assert told(account) == [("pending", "due", 10)]


def test_a_refund_takes_what_still_waits_before_what_is_available_and_the_newest_first() -> None:
    account = account_of(
        a_lot("old", available=100, day=0),
        a_lot("waiting-old", pending=100, day=1),
        a_lot("waiting", pending=100, day=2),
    )

    take_back(account, 250, own=("old", "waiting-old", "waiting"))

    assert told(account) == [("pending", "waiting", 100), ("pending", "waiting-old", 100), ("available", "old", 50)]


def test_a_refund_takes_the_orders_points_then_what_was_made_of_them_then_others_that_end_first_then_a_debt() -> None:
    account = account_of(
        a_lot("never-ends", available=10),
        a_lot("ends-soon", available=20, ends=5),
        replace(a_lot("own", available=30), earned=200, redeemed=170),
        a_lot("again", available=40, root="own", ends=9),
    )

    take_back(account, 120, own=("own",), spent=500)

    assert told(account) == [
        ("available", "own", 30),
        ("available", "again", 40),
        ("available", "ends-soon", 20),
        ("available", "never-ends", 10),
        ("debt", None, 20),
    ]


def test_points_that_others_still_wait_for_are_not_taken() -> None:
    account = account_of(replace(a_lot("own"), earned=50, redeemed=50), a_lot("waiting", pending=80))

    take_back(account, 50, own=("own",), spent=50)

    assert told(account) == [("debt", None, 50)]


@pytest.mark.parametrize(
    ("spent", "reserved", "debt", "new_debt"),
    [
        (100, 0, 0, 100),
        (40, 0, 0, 40),
        (0, 0, 0, 0),
        (100, 0, 70, 30),
        (60, 0, 70, 0),
        (10, 25, 0, 35),
        (10, 25, 30, 5),
    ],
)
def test_a_new_debt_never_exceeds_what_was_spent_on_kept_orders_less_the_debt_there_is(
    spent: int, reserved: int, debt: int, new_debt: int
) -> None:
    account = account_of(replace(a_lot("own"), earned=100, redeemed=100), a_lot("held", reserved=reserved), debt=debt)

    take_back(account, 100, own=("own",), spent=spent)

    made = sum(one.points for one in account.decision.transfers if one.debit == "debt")
    written_off = sum(one.points for one in account.decision.transfers if one.debit == "shortfall")
    assert (made, written_off) == (new_debt, 100 - new_debt)


@pytest.mark.parametrize(
    ("policy", "taken"),
    [
        ("only_pending", [("shortfall", None, 90)]),
        ("within_balance", [("available", "own", 20), ("available", "other", 30), ("shortfall", None, 40)]),
        ("allow", [("available", "own", 20), ("available", "other", 30), ("debt", None, 40)]),
    ],
)
def test_the_owner_chooses_how_far_a_refund_may_reach(policy: Policy, taken: list[tuple[str, str | None, int]]) -> None:
    own = replace(a_lot("own", pending=10, available=20), earned=100, redeemed=70)
    account = account_of(own, a_lot("other", available=30))

    take_back(account, 100, own=("own",), spent=1_000, policy=policy)

    assert told(account) == [("pending", "own", 10), *taken]


def test_burnt_points_are_not_taken_a_second_time() -> None:
    account = account_of(replace(a_lot("own"), earned=100, redeemed=30, expired=70), a_lot("other", available=500))

    assert take_back(account, 100, own=("own",), spent=30) == 30
    assert told(account) == [("available", "other", 30)]


def test_what_was_taken_or_written_off_before_is_not_demanded_again() -> None:
    account = account_of(replace(a_lot("own"), earned=100, redeemed=100), a_lot("other", available=500))

    assert take_back(account, 100, own=("own",), spent=100, before=60) == 40


@pytest.mark.parametrize("points", [301, 10_000])
def test_a_refused_spending_changes_nothing(points: int) -> None:
    lots = (a_lot("one", available=100), a_lot("two", available=200, ends=3))
    account = account_of(*lots)

    with pytest.raises(NotEnoughPoints) as refusal:
        redemption.take(account, points, cause=CAUSE, now=PAID_AT)

    assert (refusal.value.asked, refusal.value.available) == (points, 300)
    assert account.decision == Decision()
    assert account.lots == {lot.key: lot for lot in lots}
    assert account.balances["available"] == 300


def test_points_whose_owner_was_told_cannot_be_spent_after_their_last_day_and_untold_ones_can() -> None:
    ended = a_lot("told", available=100, ends=1)
    account = account_of(replace(ended, notified_at=PAID_AT), a_lot("untold", available=30, ends=1))

    redemption.take(account, 30, cause=CAUSE, now=PAID_AT + days(1))

    assert told(account) == [("available", "untold", 30)]
    with pytest.raises(NotEnoughPoints):
        redemption.take(account, 1, cause=CAUSE, now=PAID_AT + days(1))


def test_a_lot_that_lost_its_points_stops_the_decision() -> None:
    damaged = Account(Balance(pending=100), [replace(a_lot("lost", pending=10), earned=100)])

    with pytest.raises(PointsMissing, match="lost"):
        damaged.move("reverse", 50, ("pending", "reversed"), key="k", cause=CAUSE, lot=damaged.lots["lost"])
    assert not damaged.decision


def test_an_account_that_would_fall_below_nothing_stops_the_decision() -> None:
    damaged = Account(Balance(available=10), [a_lot("one", available=100)])

    with pytest.raises(PointsMissing, match="available"):
        damaged.move("expire", 100, ("available", "expired"), key="k", cause=CAUSE, lot=damaged.lots["one"])
    assert not damaged.decision


def test_a_lot_cannot_be_opened_twice() -> None:
    account = account_of(a_lot("one"))

    with pytest.raises(PointsMissing, match="opened twice"):
        account.open(LotOpening("one", "gift", None, "v1", PAID_AT, None))


def test_lots_that_are_known_already_stay_as_the_moves_have_left_them() -> None:
    account = account_of(a_lot("one", available=100))
    redemption.take(account, 40, cause=CAUSE, now=PAID_AT)

    account.know([a_lot("one", available=100), a_lot("two", available=5)])

    assert {key: lot.available for key, lot in account.lots.items()} == {"one": 60, "two": 5}


@pytest.mark.parametrize(("points", "credit"), [(0, "available"), (-1, "available"), (1, "issued")])
def test_a_transfer_of_nothing_cannot_be_made(points: int, credit: ProgrammeAccount) -> None:
    with pytest.raises(ValueError, match="moves nothing"):
        Transfer("k", "accrue", "issued", credit, points, "l", 1, "v1")


def take_back(
    account: Account, points: int, *, own: tuple[str, ...], spent: int = 0, before: int = 0, policy: Policy = "allow"
) -> int:
    rules = replace(RULES, refund=replace(RULES.refund, debt=policy))
    demand = Demand(points, ("accrual",), own, before, spent)
    return reversal.take_back(account, demand, rules, key_prefix="test", cause=CAUSE)[0]
