"""Facts in any order, number and state of health end in the points they are worth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flow_points_world import World, activated
from flow_shop_world import RULES, opened
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kopilka_testing import ROOT, Shop, StandingClock, posted, settle, tbank_body

from cli.services.postgres import RunningPostgres, create_database, drop_database
from flows import inbox, lookup, sweep
from flows.runtime import Runtime
from loyalty.ledger import Balance
from loyalty.programme import SegmentRule
from storage import schema
from storage.db import Database

BOOK_0001 = (ROOT / "tests" / "storage" / "golden" / "book_0001.sql").read_text(encoding="utf-8")


@pytest.fixture
def world(rt: Runtime) -> World:
    return World(rt)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_facts_told_in_any_order_with_repeats_end_in_the_same_points(world: World, data: st.DataObject) -> None:
    """The same payments of three orders for two buyers: one hears them in order, the other at random. Which order was
    the first may differ; if that one is returned, its welcome points go back."""
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
        by_order = {"accrual": [0] * 3, "welcome": [0] * 3}
        for number, deal in enumerate(deals):
            for transfer in world.transfers(buyer):
                if transfer.order_id == world.order(deal).id and transfer.move in ("accrue", "welcome", "reverse"):
                    by_order[transfer.source][number] += transfer.points * (-1 if transfer.move == "reverse" else 1)
        assert world.balance(buyer).net == sum(map(sum, by_order.values()))
        for number, deal in enumerate(deals):
            assert by_order["welcome"][number] == 0 or world.order(deal).is_greeted
        results.append((by_order["accrual"], sum(by_order["welcome"])))

    (told_base, told_welcome), (shuffled_base, shuffled_welcome) = results
    assert told_base == shuffled_base
    assert {told_welcome, shuffled_welcome} <= {0, 300}, "it goes back with the order that was the first"
    if not any(is_total or refunded for *_, refunded, is_total in messages):
        assert told_welcome == shuffled_welcome
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


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("UPDATE member SET pending = 0", "книга участника не сходится"),
        (
            "INSERT INTO transfer (key, member_id, lot_id, move, debit, credit, points, rules_version, occurred_at,"
            " recorded_at, rule) SELECT 'order:' || order_id || ':r2:take:pending:' || key, member_id, id, 'reverse',"
            " 'pending', 'reversed', 1, rules_version, now(), now(), 'x' FROM lot WHERE source = 'accrual'",
            "23505 one_transfer_per_key",
        ),
    ],
    ids=["by the book", "by the database"],
)
def test_a_refusal_brings_no_name_and_no_card_address_into_the_outcome(
    rt: Runtime, shop: Shop, world: World, damage: str, named: str
) -> None:
    deal_id, contact_id = shop.deal(4_990, buyer="Анна Петрова")
    inbox.accept_payment(rt, "tbank", posted(tbank_body(deal_id)))
    settle(rt)
    account = lookup.by_contact(rt, contact_id)
    assert account is not None
    with rt.db.begin() as tx:
        tx.execute(sa.text(damage))

    inbox.accept_payment(rt, "tbank", posted(tbank_body(deal_id, "REFUNDED")))
    settle(rt)

    outcome = _rows(rt, "SELECT outcome FROM inbox WHERE state <> 'done'")
    assert named in outcome
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

    assert before >= 3, "a refresh of the buyer, a note of the deal and its fields"
    assert _rows(world.rt, "SELECT sum(wanted) FROM outbox") == before


def test_a_book_of_the_first_schema_goes_on_under_the_new_programme(
    postgres_server: RunningPostgres, template_url: str, clock: StandingClock, tmp_path: Path
) -> None:
    create_database(postgres_server.url, "test_old_book")
    url = template_url.rsplit("/", 1)[0] + "/test_old_book"
    db = Database(url)
    schema.migrate(db, to="0001")
    with db.begin() as tx:
        tx.connection.driver_connection.execute(BOOK_0001)  # type: ignore[union-attr]
    schema.migrate(db)
    db.close()

    with opened(url, clock, tmp_path) as world:
        world.use(replace(RULES, segments=(SegmentRule("start", "Стартовый"),)))
        before = world.everything()
        for deal, captured, refunded in ((101, 499_000, 99_000), (102, 100_000, 100_000), (104, 499_000, 0)):
            assert world.pay(deal, captured, refunded) == "ничего не изменилось"
        assert world.everything() == before

        world.pay(101, 499_000, 499_000)
        world.pay(103, 499_000, 499_000)
        assert world.balance(1) == Balance()
        assert world.balance(3) == Balance(pending=499), "the welcome goes back with the order that carried it"
        world.buy(4, redeem=300, ref="new")
        assert world.balance(4) == Balance(pending=100 + 469)
        world.clock.forward(days=20)
        activated(world.rt, now=world.clock())
        assert world.balance(4) == Balance(available=569)
        assert world.is_whole()
    drop_database(postgres_server.url, "test_old_book")


def _rows(rt: Runtime, statement: str) -> Any:
    with rt.db.begin() as tx:
        return tx.execute(sa.text(statement)).scalar_one()


def _segment(world: World, member_id: int) -> str | None:
    with world.rt.db.begin() as tx:
        code: str | None = tx.execute(
            sa.text("SELECT segment_code FROM member WHERE id = :id"), {"id": member_id}
        ).scalar_one()
    return code
