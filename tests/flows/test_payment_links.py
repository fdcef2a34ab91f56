"""Points become a lower price that the buyer really pays: links over HTTP with the simulated banks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flow_desk import Desk, make_desk
from kopilka_testing import Shop, StandingClock, settle
from nine_banks import open_door, with_every_bank

from config.model import LinkProvider, PaymentLinksConfig, ReceiptConfig
from flows import holds, lookup, nightly, payment_links, people
from flows.link_terms import Wish
from flows.people import Person
from flows.refusals import BankAway, LinkRefused, LinksOff, OrderIsPaid, OrderNotFound
from flows.runtime import Runtime
from loyalty.basket import Basket, Line
from storage import orders
from storage import payment_links as rows

pytestmark = pytest.mark.slow

BANKS: tuple[LinkProvider, ...] = ("yookassa", "tbank", "cloudpayments")
RECEIPT = ReceiptConfig("usn_income", "none", "full_prepayment", "1.2", "Заказ")
TENT = Basket(
    (Line(540_000, qty=3, sku="TENT-2", name="Палатка «Хибины-2»"), Line(99_900, sku="LAMP")), delivery_kopecks=50_000
)


@pytest.fixture
def clock() -> StandingClock:
    """The banks' own."""
    return StandingClock(datetime.now(UTC))


@pytest.fixture
def environment(environment: dict[str, str], simulator: Shop, tmp_path: Path) -> dict[str, str]:
    given = with_every_bank(environment, simulator.bank_url, tmp_path)
    path = Path(given["PROGRAMME"])
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace("      paid_on:", "      payment_link: Ссылка на оплату\n      paid_on:"), encoding="utf-8"
    )
    return given


@pytest.fixture
def desk(rt: Runtime, shop: Shop, clock: StandingClock) -> Iterator[Desk]:
    made = make_desk(rt, shop, clock)
    with open_door(rt) as url:
        shop.bank("POST", "/sim/peers", {"payments_url": url})
        rt.settings = replace(rt.settings, public_url=url.removesuffix("/webhooks/payments"))
        yield made
        shop.bank("POST", "/sim/peers", {"payments_url": ""})


def through(rt: Runtime, bank: LinkProvider, receipt: ReceiptConfig | None = RECEIPT) -> None:
    rt.file = replace(rt.file, payment_links=PaymentLinksConfig(bank, "https://sportgory.ru/spasibo", receipt))


def held(desk: Desk, order: str = "A-1001", points: int = 500) -> int:
    buyer = people.create(desk.rt, Person("Анна Петрова", phone="+79000000001", email="anna@example.ru")).id
    desk.world.give(buyer, 2_000)
    holds.make(desk.rt, buyer, order_ref=order, basket=TENT, points=points, channel="site")
    return buyer


def payment_at(shop: Shop, link: rows.PaymentLink) -> dict[str, Any]:
    """The bank's own record of the payment that a link leads to."""
    found = [one for one in shop.bank("GET", "/sim/state")["payments"] if one["order_id"] == link.asked["order"]]
    return dict(found[-1])


def pays(desk: Desk, link: rows.PaymentLink) -> None:
    """The buyer opens the link, pays on the bank's page and is sent back to the shop."""
    assert desk.shop.session.get(link.url, timeout=10).status_code == 200
    done = desk.shop.session.post(link.url, data={"step": "authorize"}, allow_redirects=False, timeout=10)
    assert (done.status_code, done.headers["Location"]) == (303, "https://sportgory.ru/spasibo")


def kept(desk: Desk, order: str) -> int:
    with desk.rt.db.begin() as tx:
        found = orders.read_shop_order(tx, order)
    assert found is not None
    return found.kept_kopecks


def until_settled(desk: Desk, is_so: Any) -> None:
    begin = datetime.now(UTC)
    while not is_so():
        assert datetime.now(UTC) - begin < timedelta(seconds=20), lookup.events(
            desk.rt, states=["parked", "waiting"], limit=5
        )
        settle(desk.rt)


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

    assert (second.attempt, second.amount_kopecks) == (2, first.amount_kopecks - 50_000)
    desk.shop.session.post(first.url, data={"step": "authorize"}, allow_redirects=False, timeout=10)
    assert payment_at(desk.shop, first)["status"] not in ("authorized", "captured")


def test_a_link_whose_answer_was_lost_is_asked_for_again_with_the_same_key(desk: Desk) -> None:
    through(desk.rt, "yookassa")
    held(desk)
    desk.shop.bank("POST", "/sim/faults", {"apply_then_drop": 1.0})
    with pytest.raises(BankAway):
        payment_links.for_shop_order(desk.rt, "A-1001", Wish())
    desk.shop.bank("POST", "/sim/faults", {"apply_then_drop": 0.0})

    payment_links.for_shop_order(desk.rt, "A-1001", Wish())

    assert len(desk.shop.bank("GET", "/sim/state")["payments"]) == 1


def test_a_link_dies_with_its_hold(desk: Desk, clock: StandingClock) -> None:
    through(desk.rt, "tbank")
    held(desk)
    link = payment_links.for_shop_order(desk.rt, "A-1001", Wish())
    clock.forward(hours=3)
    nightly.run_due(desk.rt, now=clock(), only="holds", at_once=True)

    [done] = nightly.run_due(desk.rt, now=clock(), only="links", at_once=True)

    assert done.text == "закрыто ссылок на оплату: 1"
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
    with desk.rt.db.begin() as tx:
        link = rows.live(tx, desk.world.order(desk.deal_id).id)
    assert link is not None
    assert (link.url, link.amount_kopecks, link.asked["order"]) == (url, 449_000, f"L{desk.deal_id}-1")
    pays(desk, link)
    until_settled(desk, lambda: desk.world.order(desk.deal_id).kept_kopecks == 449_000)
    assert desk.holds == [("captured", 500)]
    nightly.run_due(desk.rt, now=desk.rt.now(), only="links", at_once=True)
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
