"""Worked examples of the specification (section 5.5) through the flows and the real database."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flow_points_world import activated
from flow_shop_world import ShopWorld, opened, shipped_rules
from kopilka_testing import Shop, StandingClock, hook_body, posted, settle, tbank_body, yookassa_body

from flows import inbox, lookup
from flows.runtime import Runtime
from loyalty.ledger import Balance
from loyalty.programme import WelcomeRules

JANUARY_10 = datetime(2026, 1, 10, 9, 0, tzinfo=UTC)


@pytest.fixture
def world(database_url: str, clock: StandingClock, tmp_path: Path) -> Iterator[ShopWorld]:
    with opened(database_url, clock, tmp_path, shipped_rules()) as made:
        yield made


@pytest.mark.parametrize(("with_base", "expected"), [(True, 799), (False, 300)])
def test_v01_the_first_payment_of_4990_brings_799_or_300_by_the_preset(
    world: ShopWorld, with_base: bool, expected: int
) -> None:
    world.change_rules(rate_bps=1_000, welcome=WelcomeRules(points=300, with_base=with_base))
    buyer = world.member()

    world.pay(world.deal(buyer), 499_000)

    assert world.balance(buyer).net == expected


def test_v12_a_refund_after_the_rules_changed_takes_back_what_was_given(world: ShopWorld) -> None:
    buyer = world.member()
    deal = world.deal(buyer)
    world.pay(deal, 499_000)
    pinned = world.order(deal).rules_version

    for rate_bps in (2_000, 0):
        world.change_rules(rate_bps=rate_bps)
        assert world.pay(deal, 499_000) == "ничего не изменилось"
    world.pay(deal, 499_000, 99_000)
    assert world.balance(buyer).pending == 400
    world.pay(deal, 499_000, 499_000)

    assert world.balance(buyer) == Balance()
    assert world.order(deal).rules_version == pinned
    assert {transfer.rules_version for transfer in world.transfers(buyer)} == {pinned}
    assert world.verdict().is_whole


def test_v12_the_next_order_follows_the_new_rules_and_is_returned_by_them(world: ShopWorld) -> None:
    buyer = world.member()
    first, second = world.deal(buyer), world.deal(buyer)
    world.pay(first, 100_000)
    world.change_rules(rate_bps=2_000)

    world.pay(second, 100_000)
    assert world.balance(buyer).pending == 100 + 200
    world.change_rules(rate_bps=1)
    world.pay(second, 100_000, 50_000)

    assert world.balance(buyer).pending == 100 + 100


def test_v12_a_fresh_process_reads_the_old_rules_from_the_database(world: ShopWorld) -> None:
    buyer = world.member()
    deal = world.deal(buyer)
    world.pay(deal, 499_000)
    world.change_rules(rate_bps=2_000)
    world.rt._programmes.clear()

    world.pay(deal, 499_000, 499_000)

    assert world.balance(buyer) == Balance()


@pytest.mark.parametrize("kopecks", [900, 0])
def test_an_order_that_earned_nothing_is_not_paid_for_by_later_rules(world: ShopWorld, kopecks: int) -> None:
    buyer = world.member()
    world.pay(world.deal(buyer), 100_000)
    deal = world.deal(buyer)
    if kopecks:
        world.pay(deal, kopecks)
    else:
        world.change_rules(rate_bps=0)
        world.pay(deal, 100_000)
    before = world.balance(buyer)

    world.change_rules(rate_bps=10_000)
    world.pay(deal, kopecks or 100_000)

    assert world.balance(buyer) == before


def test_v14_points_become_available_on_24_january_and_28_february(world: ShopWorld) -> None:
    buyer, first, second = _v14(world)
    assert world.balance(buyer) == Balance(pending=220)
    assert (world.order(second).redeemed, world.order(second).accrued) == (799, 220)

    world.clock.at = datetime(2026, 2, 16, 9, 0, tzinfo=UTC)
    world.pay(first, 499_000, 499_000)
    assert world.balance(buyer) == Balance(pending=220, debt=799)
    world.clock.at = datetime(2026, 2, 27, 21, 0, tzinfo=UTC)
    activated(world.rt, now=world.clock())
    assert world.balance(buyer) == Balance(debt=579)

    world.clock.at = datetime(2026, 3, 5, 9, 0, tzinfo=UTC)
    world.pay(second, 220_100, 220_100)
    assert world.balance(buyer) == Balance()
    assert world.verdict().is_whole


def test_v14_with_the_returns_in_the_other_order_ends_at_nothing_too(world: ShopWorld) -> None:
    buyer, first, second = _v14(world)

    world.clock.at = datetime(2026, 2, 16, 9, 0, tzinfo=UTC)
    world.pay(second, 220_100, 220_100)
    assert world.balance(buyer) == Balance(available=799)
    world.clock.at = datetime(2026, 3, 5, 9, 0, tzinfo=UTC)
    world.pay(first, 499_000, 499_000)

    assert world.balance(buyer) == Balance()
    assert world.verdict().is_whole


def test_v15_within_balance_what_is_missing_is_written_off_and_never_owed(world: ShopWorld) -> None:
    within = replace(world.rt.programme.refund, debt="within_balance")
    world.change_rules(rate_bps=1_000, refund=within)
    buyer, first, second = _v14(world)

    world.clock.at = datetime(2026, 2, 16, 9, 0, tzinfo=UTC)
    world.pay(first, 499_000, 499_000)
    assert world.balance(buyer) == Balance(pending=220)
    assert world.verdict().accounts["shortfall"] == -799
    world.pay(second, 220_100, 220_100)

    assert world.balance(buyer) == Balance(available=799), "the shop gave up what it wrote off"
    assert world.verdict().is_whole


def _v14(world: ShopWorld) -> tuple[int, int, int]:
    """O1 of 10 January earns 499 and 300; the manager spends them all on O2 of 14 February. Buyer and both deals."""
    world.clock.at = JANUARY_10
    buyer = world.member()
    first, second = world.deal(buyer), world.deal(buyer)
    world.pay(first, 499_000)
    assert world.balance(buyer) == Balance(pending=499, available=300)
    world.clock.at = datetime(2026, 1, 23, 20, 59, 59, tzinfo=UTC)  # one second before midnight in Moscow
    assert activated(world.rt, now=world.clock()) == 0
    world.clock.at = datetime(2026, 1, 23, 21, 0, tzinfo=UTC)
    assert activated(world.rt, now=world.clock()) == 1
    assert activated(world.rt, now=world.clock()) == 0
    assert world.balance(buyer) == Balance(available=799)
    world.clock.at = datetime(2026, 2, 14, 9, 0, tzinfo=UTC)
    world.wish(second, 799, price=300_000)
    world.pay(second, 220_100)
    return buyer, first, second


def test_v16_what_burnt_is_not_taken_back_with_the_order(world: ShopWorld) -> None:
    world.change_rules(rate_bps=1_000, welcome=None)
    buyer = world.member()
    deal, other = world.deal(buyer), world.deal(buyer)
    world.pay(deal, 499_000)
    world.clock.forward(days=14)
    world.wish(other, 100)
    world.pay(other, 489_000)
    with world.rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE lot SET notified_at = :now"), {"now": world.clock()})
    world.clock.forward(days=200)
    activated(world.rt, now=world.clock())
    world.pay(other, 489_000)

    world.pay(deal, 499_000, 499_000)

    taken = [one.points for one in world.transfers(buyer) if one.move == "reverse"]
    assert ("expire", 399) in world.moves(buyer)
    assert sum(taken) == 100
    assert world.verdict().is_whole


@pytest.mark.parametrize("seed", range(3))
def test_v20_five_callbacks_and_three_hooks_in_any_order_are_one_accrual_one_card_one_note(
    rt: Runtime, shop: Shop, clock: StandingClock, seed: int
) -> None:
    world = ShopWorld(rt, clock)
    chance = random.Random(seed)
    deal_id, contact_id = shop.deal(4_990)
    acquirer = chance.choice(["tbank", "yookassa"])
    body = tbank_body(deal_id) if acquirer == "tbank" else yookassa_body(shop.pay(deal_id, 499_000))
    shop.move(deal_id, "Оплачен")
    arrivals = ["callback"] * 5 + ["hook"] * 3
    chance.shuffle(arrivals)

    for arrival in arrivals:
        if arrival == "callback":
            inbox.accept_payment(rt, acquirer, posted(body))
        else:
            inbox.accept_hook(rt, hook_body(deal_id, action=chance.choice(["status", "update"])))
        if chance.random() < 0.4:
            settle(rt)
    settle(rt)

    account = lookup.by_contact(rt, contact_id)
    assert account is not None
    transfers = world.transfers(account.member.id)
    assert [transfer.points for transfer in transfers if transfer.move == "accrue"] == [499]
    assert [transfer.points for transfer in transfers if transfer.move == "welcome"] == [300]
    assert account.member.balance == Balance(pending=499, available=300)
    state = shop.state(deal_id)
    assert len(state["notes"]) == 1
    assert _rows(rt, "SELECT count(*) FROM member") == 1
    assert _rows(rt, "SELECT count(*) FROM inbox WHERE state <> 'done'") == 0
    assert world.verdict().is_whole


def _rows(rt: Runtime, statement: str) -> Any:
    with rt.db.begin() as tx:
        return tx.execute(sa.text(statement)).scalar_one()
