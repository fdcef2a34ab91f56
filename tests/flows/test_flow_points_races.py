"""Two workers at the same order or the same buyer: the database lets one through, the other sees its result."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from flow_points_world import activated, together
from flow_shop_world import ShopWorld, opened, shipped_rules
from kopilka_testing import StandingClock

from connector.amocrm.leads import Deal
from flows import deals
from flows.runtime import Runtime
from loyalty.ledger import Balance
from storage import inbox, members
from storage.inbox import InboxRow

PAID_STAGE = (7, 142)
ROUNDS = 5


@pytest.fixture
def world(database_url: str, clock: StandingClock, tmp_path: Path) -> Iterator[ShopWorld]:
    with opened(database_url, clock, tmp_path, shipped_rules()) as made:
        yield made


def test_one_order_worked_by_many_at_once_accrues_once(world: ShopWorld) -> None:
    for _ in range(ROUNDS):
        buyer = world.member()
        deal = world.deal(buyer)

        outcomes = together(4, lambda _, deal=deal: world.pay(deal, 499_000))

        assert sorted(outcomes) == ["ничего не изменилось"] * 3 + ["операций: 3"]
        assert world.balance(buyer) == Balance(pending=499, available=300)
    assert world.verdict().is_whole


def test_two_orders_of_one_buyer_at_once_bring_one_welcome(world: ShopWorld) -> None:
    for _ in range(ROUNDS):
        buyer = world.member()
        own = [world.deal(buyer) for _ in range(4)]

        together(4, lambda number, own=own: world.pay(own[number], 100_000))

        assert [transfer.points for transfer in world.transfers(buyer) if transfer.move == "welcome"] == [300]
        assert world.balance(buyer) == Balance(pending=400, available=300)
    assert world.verdict().is_whole


def test_two_last_orders_returned_at_once_take_the_welcome_back_once(world: ShopWorld) -> None:
    for _ in range(ROUNDS):
        buyer = world.member()
        own = [world.deal(buyer) for _ in range(2)]
        for deal in own:
            world.pay(deal, 100_000)

        together(2, lambda number, own=own: world.pay(own[number], 100_000, 100_000))

        assert world.balance(buyer) == Balance()
    assert world.verdict().is_whole


def test_a_payment_and_its_refund_at_once_end_at_the_refund(world: ShopWorld) -> None:
    for _ in range(ROUNDS):
        buyer = world.member()
        deal = world.deal(buyer)

        together(2, lambda number, deal=deal: world.pay(deal, 499_000, (0, 200_000)[number]))

        assert world.balance(buyer) == Balance(pending=299, available=300)


def test_points_that_become_due_while_they_are_returned_are_neither_lost_nor_kept(
    world: ShopWorld, clock: StandingClock
) -> None:
    buyers = [world.member() for _ in range(ROUNDS)]
    own = [world.deal(buyer) for buyer in buyers]
    for deal in own:
        world.pay(deal, 499_000)
    clock.forward(days=20)

    def work(number: int) -> None:
        if number < 2:
            activated(world.rt, now=clock())
        else:
            for deal in own[:: 1 if number == 2 else -1]:
                world.pay(deal, 499_000, 499_000)

    together(4, work)

    assert [world.balance(buyer) for buyer in buyers] == [Balance()] * ROUNDS
    assert world.verdict().is_whole


def test_two_sweeps_at_once_activate_each_lot_once(world: ShopWorld, clock: StandingClock) -> None:
    buyers = [world.member() for _ in range(ROUNDS)]
    for buyer in buyers:
        world.pay(world.deal(buyer), 499_000)
    clock.forward(days=20)

    changed = together(3, lambda _: activated(world.rt, now=clock()))

    assert sum(changed) == ROUNDS
    assert [world.balance(buyer) for buyer in buyers] == [Balance(available=799)] * ROUNDS


def test_buyers_locked_in_opposite_orders_deadlock_and_nobody_notices(world: ShopWorld) -> None:
    buyers = [world.member(), world.member()]
    both_hold_one = threading.Barrier(2, timeout=10)
    runs: list[int] = []

    def work(number: int) -> None:
        is_first_run = True

        def lock_both(tx: sa.Connection) -> None:
            nonlocal is_first_run
            runs.append(number)
            tx.execute(sa.text("SET LOCAL deadlock_timeout = '50ms'"))
            members.lock(tx, buyers[number])
            if is_first_run:
                is_first_run = False
                both_hold_one.wait()
            members.lock(tx, buyers[1 - number])

        world.rt.db.run(lock_both)

    together(2, work)

    assert len(runs) > 2, "nothing was retried: the deadlock did not happen"


def test_two_deals_of_a_new_buyer_read_at_once_enrol_him_once(world: ShopWorld) -> None:
    rt = world.rt
    for round_number in range(ROUNDS):
        contact_ref = 900_000 + round_number
        refs = [800_000 + 10 * round_number + number for number in range(3)]
        found = deals.Found(
            deals={ref: _deal(ref, contact_ref) for ref in refs},
            names={contact_ref: "Анна"},
            paid=frozenset({PAID_STAGE}),
        )
        rows = _claimed(rt, refs)

        together(3, lambda number, rows=rows, found=found: deals.record(rt, rows[number], found))

        with rt.db.begin() as tx:
            member = members.by_contact(tx, contact_ref)
        assert member is not None
        assert member.balance == Balance(pending=300, available=300)
    assert world.verdict().is_whole


def _deal(deal_ref: int, contact_ref: int) -> Deal:
    return Deal(
        id=deal_ref,
        name="Заказ",
        pipeline_id=PAID_STAGE[0],
        status_id=PAID_STAGE[1],
        price_kopecks=100_000,
        main_contact_id=contact_ref,
        is_deleted=False,
        updated_at=None,
    )


def _claimed(rt: Runtime, deal_refs: list[int]) -> list[InboxRow]:
    now = rt.now()
    with rt.db.begin() as tx:
        for deal_ref in deal_refs:
            inbox.add(tx, source=deals.DEAL_SOURCE, external_id=str(deal_ref), body=b"", is_hint=True, now=now)
    with rt.db.begin() as tx:
        return list(inbox.claim(tx, now=now, lease=rt.lease, limit=len(deal_refs)))
