"""Worked examples of the specification (section 5.5) through the flows and the real database."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from flow_points_world import World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kopilka_testing import Shop, StandingClock, hook_body, settle, tbank_body, yookassa_body

from flows import inbox, lookup, points, sweep
from flows.runtime import Runtime
from loyalty.ledger import Balance
from loyalty.programme import WelcomeRules

JANUARY_10 = datetime(2026, 1, 10, 9, 0, tzinfo=UTC)


@pytest.fixture
def world(rt: Runtime) -> World:
    return World(rt)


@pytest.mark.parametrize(("with_base", "expected"), [(True, 799), (False, 300)])
def test_v01_the_first_payment_of_4990_brings_799_or_300_by_the_preset(
    world: World, with_base: bool, expected: int
) -> None:
    world.change_rules(rate_bps=1_000, welcome=WelcomeRules(points=300, with_base=with_base))
    buyer = world.member()

    world.pay(world.deal(buyer), 499_000)

    assert world.balance(buyer).net == expected


def test_v12_a_refund_after_the_rules_changed_takes_back_what_was_given(world: World) -> None:
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


def test_v12_the_next_order_follows_the_new_rules_and_is_returned_by_them(world: World) -> None:
    buyer = world.member()
    first, second = world.deal(buyer), world.deal(buyer)
    world.pay(first, 100_000)
    world.change_rules(rate_bps=2_000)

    world.pay(second, 100_000)
    assert world.balance(buyer).pending == 100 + 200
    world.change_rules(rate_bps=1)
    world.pay(second, 100_000, 50_000)

    assert world.balance(buyer).pending == 100 + 100


def test_v12_a_fresh_process_reads_the_old_rules_from_the_database(world: World) -> None:
    buyer = world.member()
    deal = world.deal(buyer)
    world.pay(deal, 499_000)
    world.change_rules(rate_bps=2_000)
    world.rt._programmes.clear()

    world.pay(deal, 499_000, 499_000)

    assert world.balance(buyer) == Balance()


@pytest.mark.parametrize("kopecks", [900, 0])
def test_an_order_that_earned_nothing_is_not_paid_for_by_later_rules(world: World, kopecks: int) -> None:
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


def test_v14_points_become_available_on_24_january_and_28_february(world: World, clock: StandingClock) -> None:
    clock.at = JANUARY_10
    buyer = world.member()
    first, second = world.deal(buyer), world.deal(buyer)
    world.pay(first, 499_000)
    assert world.balance(buyer) == Balance(pending=499, available=300)

    clock.at = datetime(2026, 1, 23, 20, 59, 59, tzinfo=UTC)  # one second before midnight in Moscow
    assert points.activate_members(world.rt, now=clock()) == 0
    clock.at = datetime(2026, 1, 23, 21, 0, tzinfo=UTC)
    assert points.activate_members(world.rt, now=clock()) == 1
    assert points.activate_members(world.rt, now=clock()) == 0
    assert world.balance(buyer) == Balance(available=799)

    clock.at = datetime(2026, 2, 14, 9, 0, tzinfo=UTC)
    world.pay(second, 220_100)
    clock.at = datetime(2026, 2, 16, 9, 0, tzinfo=UTC)
    world.pay(first, 499_000, 499_000)
    assert world.balance(buyer) == Balance(pending=220, available=300)

    clock.at = datetime(2026, 2, 27, 21, 0, tzinfo=UTC)
    points.activate_members(world.rt, now=clock())
    clock.at = datetime(2026, 3, 5, 9, 0, tzinfo=UTC)
    world.pay(second, 220_100, 220_100)
    assert world.balance(buyer) == Balance()
    assert world.verdict().is_whole


@pytest.mark.parametrize("seed", range(4))
def test_v20_five_callbacks_and_three_hooks_in_any_order_are_one_accrual_one_card_one_note(
    rt: Runtime, shop: Shop, world: World, seed: int
) -> None:
    chance = random.Random(seed)
    deal_id, contact_id = shop.deal(4_990)
    acquirer = chance.choice(["tbank", "yookassa"])
    body = tbank_body(deal_id) if acquirer == "tbank" else yookassa_body(shop.pay(deal_id, 499_000))
    shop.move(deal_id, "Оплачен")
    arrivals = ["callback"] * 5 + ["hook"] * 3
    chance.shuffle(arrivals)

    for arrival in arrivals:
        if arrival == "callback":
            inbox.accept_payment(rt, acquirer, {}, body, None)
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


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_facts_told_in_any_order_with_repeats_end_in_the_same_points(world: World, data: st.DataObject) -> None:
    """The same payments of three orders for two buyers: one hears them in order, the other at random."""
    messages = data.draw(
        st.lists(
            st.tuples(
                st.integers(0, 2),
                st.sampled_from("ab"),
                st.sampled_from([499_000, 100_000, 99_999, 0]),
                st.sampled_from([0, 0, 50_000, 499_000]),
                st.sampled_from([False, False, False, True]),
            ),
            min_size=1,
            max_size=6,
        )
    )
    shuffled = data.draw(st.permutations(messages + data.draw(st.lists(st.sampled_from(messages), max_size=4))))
    results = []

    for told in (messages, shuffled):
        buyer = world.member()
        deals = [world.deal(buyer) for _ in range(3)]
        for number, ref, captured, refunded, is_total in told:
            world.pay(deals[number], captured, refunded, ref=ref, is_total=is_total)
        by_order = {
            number: sum(
                transfer.points * (1 if transfer.debit == "issued" else -1 if transfer.credit == "reversed" else 0)
                for transfer in world.transfers(buyer)
                if transfer.order_id == world.order(deal).id and transfer.source == "accrual"
            )
            for number, deal in enumerate(deals)
        }
        results.append((world.balance(buyer).net, by_order))

    assert results[0] == results[1]
    assert world.verdict().is_whole


def test_won_lost_and_won_again_ends_as_if_it_was_won_once(world: World) -> None:
    buyer = world.member()
    deal = world.deal(buyer)

    for is_paid in (True, False, True, True, False, True):
        world.stage(deal, is_paid=is_paid, price=499_000)

    assert world.balance(buyer).net == 799
    assert world.verdict().is_whole


def test_a_payment_takes_over_from_the_stage_with_the_sum_that_was_really_paid(world: World) -> None:
    buyer = world.member()
    deal = world.deal(buyer)
    world.stage(deal, is_paid=True, price=499_000)
    assert world.balance(buyer).pending == 499

    world.pay(deal, 449_000)

    assert world.balance(buyer).pending == 449


def test_a_refund_that_comes_before_its_payment_is_remembered(world: World) -> None:
    buyer = world.member()
    deal = world.deal(buyer)

    world.pay(deal, 0, 200_000)
    assert world.balance(buyer) == Balance()
    world.pay(deal, 499_000)

    assert world.balance(buyer).pending == 299


def test_a_refund_larger_than_the_payment_takes_back_no_more_than_was_given(world: World) -> None:
    buyer = world.member()
    deal = world.deal(buyer)
    world.pay(deal, 499_000)

    world.pay(deal, 499_000, 999_000)

    assert world.balance(buyer) == Balance()


def test_the_segment_follows_the_orders_that_are_kept(world: World) -> None:
    buyer = world.member()
    deals = [world.deal(buyer) for _ in range(3)]
    seen = []
    for deal in deals:
        world.pay(deal, 100_000)
        seen.append(_segment(world, buyer))
    for deal in deals:
        world.pay(deal, 100_000, 100_000)
        seen.append(_segment(world, buyer))

    assert seen == ["start", "start", "regular", "start", "start", None]


def test_one_damaged_account_does_not_stop_the_points_of_all_others(world: World, clock: StandingClock) -> None:
    damaged, healthy = world.member(), world.member()
    for buyer in (damaged, healthy):
        world.pay(world.deal(buyer), 499_000)
    with world.rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE member SET pending = 0 WHERE id = :id"), {"id": damaged})

    clock.forward(days=15)
    sweep.sweep_once(world.rt)

    assert world.balance(healthy).available == 799


def test_a_refusal_of_the_database_brings_no_name_and_no_card_address_into_the_outcome(
    rt: Runtime, shop: Shop, world: World
) -> None:
    deal_id, contact_id = shop.deal(4_990, buyer="Анна Петрова")
    inbox.accept_payment(rt, "tbank", {}, tbank_body(deal_id), None)
    settle(rt)
    account = lookup.by_contact(rt, contact_id)
    assert account is not None
    with rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE member SET pending = 0"))

    inbox.accept_payment(rt, "tbank", {}, tbank_body(deal_id, "REFUNDED"), None)
    settle(rt)

    outcome = _rows(rt, "SELECT outcome FROM inbox WHERE state <> 'done'")
    assert "member_pending_check" in outcome
    assert "Петрова" not in outcome
    assert account.member.card_token not in outcome


def test_nothing_is_delivered_when_nothing_changed(world: World) -> None:
    buyer = world.member()
    deal = world.deal(buyer)
    world.pay(deal, 499_000)
    before = _rows(world.rt, "SELECT sum(wanted) FROM outbox")

    for _ in range(3):
        world.pay(deal, 499_000)
        world.stage(deal, is_paid=True, price=499_000)

    assert before >= 2, "a refresh of the buyer and a note of the deal"
    assert _rows(world.rt, "SELECT sum(wanted) FROM outbox") == before


def _rows(rt: Runtime, statement: str) -> Any:
    with rt.db.begin() as tx:
        return tx.execute(sa.text(statement)).scalar_one()


def _segment(world: World, member_id: int) -> str | None:
    with world.rt.db.begin() as tx:
        code: str | None = tx.execute(
            sa.text("SELECT segment_code FROM member WHERE id = :id"), {"id": member_id}
        ).scalar_one()
    return code
