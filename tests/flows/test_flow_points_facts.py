"""Facts in any order, number and state of health end in the points they are worth."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from flow_points_world import World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kopilka_testing import Shop, StandingClock, settle, tbank_body

from flows import inbox, lookup, sweep
from flows.runtime import Runtime
from loyalty.ledger import Balance


@pytest.fixture
def world(rt: Runtime) -> World:
    return World(rt)


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
