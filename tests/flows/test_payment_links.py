"""Points become a lower price that the buyer really pays: links over HTTP with the simulated banks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from flow_desk import Desk
from kopilka_testing import Shop, StandingClock
from link_world import (
    BANKS,
    TENT,
    held,
    kept,
    link_of_deal,
    links_desk,
    links_environment,
    night,
    pays,
    status_at,
    through,
    tries_to_pay,
    until_settled,
)

from config.model import LinkProvider
from flows import holds, payment_links
from flows.link_terms import Wish
from flows.refusals import BankAway, LinkRefused, LinksOff, OrderIsPaid, OrderNotFound
from flows.runtime import Runtime
from storage import payment_links as rows

pytestmark = pytest.mark.slow


@pytest.fixture
def clock() -> StandingClock:
    """The banks' own."""
    return StandingClock(datetime.now(UTC))


@pytest.fixture
def environment(environment: dict[str, str], simulator: Shop, tmp_path: Path) -> dict[str, str]:
    return links_environment(environment, simulator.bank_url, tmp_path)


@pytest.fixture
def desk(rt: Runtime, shop: Shop, clock: StandingClock) -> Iterator[Desk]:
    with links_desk(rt, shop, clock) as made:
        yield made


@pytest.mark.parametrize("bank", BANKS)
def test_a_hold_becomes_a_lower_price_that_the_buyer_pays(desk: Desk, bank: LinkProvider) -> None:
    through(desk.rt, bank)
    buyer = held(desk)

    link = payment_links.for_shop_order(desk.rt, "A-1001", Wish())

    assert link.amount_kopecks == TENT.total_kopecks - 50_000
    assert payment_links.for_shop_order(desk.rt, "A-1001", Wish()).url == link.url, "asked twice, one payment"
    pays(desk, link)
    until_settled(desk, lambda: kept(desk, "A-1001") > 0)
    assert kept(desk, "A-1001") == link.amount_kopecks
    assert desk.world.holds_of(buyer) == [("captured", 500)]
    with pytest.raises(OrderIsPaid):
        payment_links.for_shop_order(desk.rt, "A-1001", Wish())
    assert desk.world.is_whole()


@pytest.mark.parametrize("bank", BANKS)
def test_the_receipt_adds_up_to_what_is_paid(desk: Desk, bank: LinkProvider) -> None:
    through(desk.rt, bank)
    held(desk, points=1_777)

    link = payment_links.for_shop_order(desk.rt, "A-1001", Wish())

    lines = link.asked["receipt"]["lines"]
    assert sum(one["quantity"] * one["unit_kopecks"] for one in lines) == link.amount_kopecks
    assert {one["name"] for one in lines} == {"Палатка «Хибины-2»", "LAMP", "Доставка"}
    assert [one["unit_kopecks"] for one in lines if one["kind"] == "delivery"] == [50_000]


def test_another_number_of_points_makes_another_link_and_the_old_one_is_given_up(desk: Desk) -> None:
    through(desk.rt, "cloudpayments")
    buyer = held(desk, points=500)
    first = payment_links.for_shop_order(desk.rt, "A-1001", Wish())

    holds.make(desk.rt, buyer, order_ref="A-1001", basket=TENT, points=1_000, channel="site")
    second = payment_links.for_shop_order(desk.rt, "A-1001", Wish())

    assert (second.attempt, second.amount_kopecks) == (102, first.amount_kopecks - 50_000)
    assert tries_to_pay(desk, first) == "canceled"
    assert status_at(desk.shop, second) == "new"


def test_a_link_whose_answer_was_lost_is_asked_for_again_with_the_same_key(desk: Desk) -> None:
    through(desk.rt, "yookassa")
    held(desk)
    desk.shop.bank("POST", "/sim/faults", {"apply_then_drop": 1.0})
    with pytest.raises(BankAway):
        payment_links.for_shop_order(desk.rt, "A-1001", Wish())
    desk.shop.bank("POST", "/sim/faults", {"apply_then_drop": 0.0})

    payment_links.for_shop_order(desk.rt, "A-1001", Wish())

    assert len(desk.shop.bank("GET", "/sim/state")["payments"]) == 1


@pytest.mark.parametrize("bank", ["tbank", "cloudpayments"])
def test_a_link_dies_with_its_hold(desk: Desk, clock: StandingClock, bank: LinkProvider) -> None:
    through(desk.rt, bank)
    held(desk)
    link = payment_links.for_shop_order(desk.rt, "A-1001", Wish())
    assert status_at(desk.shop, link) == "new"
    clock.forward(minutes=31)
    night(desk, clock, "holds")

    assert night(desk, clock, "links") == ["закрыто ссылок на оплату: 1"]

    assert tries_to_pay(desk, link) == "canceled"
    with desk.rt.db.begin() as tx:
        assert rows.live(tx, link.order_id) is None


def test_a_manager_types_points_and_the_deal_gets_a_link_for_the_lower_price(desk: Desk) -> None:
    through(desk.rt, "yookassa")
    desk.opens()
    with desk.rt.db.begin() as tx:
        tx.execute(sa.text("INSERT INTO member_address SELECT id, 'email', 'anna@example.ru', now() FROM member"))

    desk.types(500)

    url = desk.fields["Ссылка на оплату"]
    assert url
    link = link_of_deal(desk)
    assert (link.url, link.amount_kopecks, link.asked["order"]) == (url, 449_000, f"L{desk.deal_id}-101")
    pays(desk, link)
    until_settled(desk, lambda: desk.world.order(desk.deal_id).kept_kopecks == 449_000)
    assert desk.holds == [("captured", 500)]
    desk.listen()
    assert not desk.fields.get("Ссылка на оплату")
    desk.check()


def test_what_cannot_be_made_is_refused_in_words(desk: Desk) -> None:
    held(desk)
    with pytest.raises(LinksOff):
        payment_links.for_shop_order(desk.rt, "A-1001", Wish())
    through(desk.rt, "yookassa")
    with pytest.raises(OrderNotFound):
        payment_links.for_shop_order(desk.rt, "нет такого", Wish())
    with desk.rt.db.begin() as tx:
        tx.execute(sa.text("DELETE FROM member_address"))
    with pytest.raises(LinkRefused, match="почта или телефон"):
        payment_links.for_shop_order(desk.rt, "A-1001", Wish())
    assert payment_links.for_shop_order(desk.rt, "A-1001", Wish(email="x@example.ru")).url
