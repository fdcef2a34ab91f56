"""Links that must not be paid any more: cancelled at the simulated bank over HTTP, and never for somebody else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flow_desk import Desk
from kopilka_testing import Shop, StandingClock, settle
from link_world import (
    BANKS,
    ORDER,
    TENT,
    bank_is_away,
    gives_points_back,
    held,
    kept,
    link_of,
    link_of_deal,
    links,
    links_desk,
    links_environment,
    night,
    reserve,
    status_at,
    through,
    tries_to_pay,
    until_settled,
)
from pydantic import TypeAdapter

from config.model import LinkProvider
from connector.acquiring.links import NewPayment
from connector.acquiring.tbank import TBank
from flows import shop as shop_flow
from flows.refusals import BankAway, LinkRefused
from flows.runtime import Runtime
from loyalty.basket import Basket, Line
from loyalty.events import Payer

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


def tbank(desk: Desk) -> TBank:
    found = desk.rt.acquirers["tbank"]
    assert isinstance(found, TBank)
    return found


@pytest.mark.parametrize("bank", ["tbank", "cloudpayments"])
def test_a_link_that_one_failed_request_left_open_is_cancelled_by_the_next_round(
    desk: Desk, clock: StandingClock, bank: LinkProvider
) -> None:
    through(desk.rt, bank)
    held(desk)
    link = link_of(desk)
    clock.forward(minutes=31)
    night(desk, clock, "holds")
    with bank_is_away(desk.shop):
        assert night(desk, clock, "links") == ["закрыто ссылок на оплату: 0"]
    assert (links(desk)[0].state, status_at(desk.shop, link)) == ("closing", "new")

    assert night(desk, clock, "links") == ["закрыто ссылок на оплату: 1"]

    assert links(desk)[0].state == "closed"
    assert tries_to_pay(desk, link) == "canceled"


def test_no_other_link_is_made_while_the_bank_does_not_say_that_the_first_is_over(
    desk: Desk, clock: StandingClock
) -> None:
    through(desk.rt, "cloudpayments")
    buyer = held(desk)
    first = link_of(desk)
    reserve(desk, buyer, 1_000)
    with bank_is_away(desk.shop), pytest.raises(BankAway):
        link_of(desk)
    assert [one.state for one in links(desk)] == ["closing"]

    second = link_of(desk)

    assert (status_at(desk.shop, first), status_at(desk.shop, second)) == ("canceled", "new")


@pytest.mark.parametrize("bank", ["tbank", "cloudpayments"])
def test_an_order_paid_in_cash_leaves_no_link_that_can_be_paid(
    desk: Desk, clock: StandingClock, bank: LinkProvider
) -> None:
    through(desk.rt, bank)
    buyer = held(desk)
    link = link_of(desk)

    shop_flow.pay(desk.rt, ORDER, member_id=buyer, basket=None, paid_kopecks=None, channel="till")
    night(desk, clock, "links")

    assert tries_to_pay(desk, link) == "canceled"
    assert links(desk)[0].state == "closed"


@pytest.mark.parametrize("bank", BANKS)
def test_two_processes_at_once_give_out_nothing_that_cannot_be_paid(desk: Desk, bank: LinkProvider) -> None:
    through(desk.rt, bank)
    held(desk)
    desk.shop.bank("POST", "/sim/faults", {"slow_s": [0.0, 0.3]})
    given: list[str] = []

    def asks() -> None:
        try:
            given.append(link_of(desk).url)
        except BankAway:
            return

    both = [threading.Thread(target=asks) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(60)
    desk.shop.bank("POST", "/sim/faults", {"slow_s": [0.0, 0.0]})

    opened = [one for one in links(desk) if one.state == "open"]
    assert len(opened) == 1
    assert set(given) == {opened[0].url}
    payable = [one for one in desk.shop.bank("GET", "/sim/state")["payments"] if one["status"] == "new"]
    assert len(payable) == 1
    assert status_at(desk.shop, opened[0]) == "new"


def test_a_payment_whose_address_was_lost_is_cancelled_and_the_next_one_made(desk: Desk) -> None:
    through(desk.rt, "tbank")
    held(desk)
    with bank_is_away(desk.shop), pytest.raises(BankAway):
        link_of(desk)
    [wanted] = links(desk)
    tbank(desk).create_link(TypeAdapter(NewPayment).validate_python(dict(wanted.asked)))  # made; then we were killed

    link = link_of(desk)

    assert (status_at(desk.shop, wanted), status_at(desk.shop, link)) == ("canceled", "new")
    assert [one.state for one in links(desk)] == ["closed", "open"]


def test_a_payment_that_is_paid_already_is_counted_and_no_second_one_is_made(desk: Desk) -> None:
    through(desk.rt, "tbank")
    held(desk)
    with bank_is_away(desk.shop), pytest.raises(BankAway):
        link_of(desk)
    [wanted] = links(desk)
    made = tbank(desk).create_link(TypeAdapter(NewPayment).validate_python(dict(wanted.asked)))
    desk.shop.bank("POST", f"/sim/payments/{made.payment_ref}/authorize", {"silent": True})

    with pytest.raises(LinkRefused, match="платят или уже заплатили"):
        link_of(desk)

    until_settled(desk, lambda: kept(desk) > 0)
    assert kept(desk) == wanted.amount_kopecks
    assert len(desk.shop.bank("GET", "/sim/state")["payments"]) == 1


def test_a_payment_of_the_shop_with_our_number_is_left_alone(desk: Desk) -> None:
    through(desk.rt, "tbank", None)
    desk.opens()
    number = f"L{desk.deal_id}-101"
    own = NewPayment(499_000, number, desk.deal_id, 1, "Заказ", "https://shop.ru/", "", None, "own", Payer(), None)
    theirs = tbank(desk).create_link(own)

    desk.types(500)

    state = {one["order_id"]: one["status"] for one in desk.shop.bank("GET", "/sim/state")["payments"]}
    assert state == {number: "new", f"L{desk.deal_id}-102": "new"}
    assert desk.fields["Ссылка на оплату"] not in ("", theirs.url)


def test_numbers_of_our_payments_are_not_those_of_the_shop(desk: Desk) -> None:
    through(desk.rt, "tbank", None)
    desk.opens()
    own = desk.shop.bank("POST", "/sim/pay", {"acquirer": "tbank", "deal_id": desk.deal_id, "amount_kopecks": 100_000})
    assert own["order_id"] == f"L{desk.deal_id}-1"
    settle(desk.rt)

    desk.types(500)

    assert [one.order_number for one in links(desk)] in ([], [f"L{desk.deal_id}-101"])
    assert desk.shop.bank("GET", f"/sim/payments/{own['id']}")["status"] == "captured"


@pytest.mark.parametrize(("bank", "step"), [("yookassa", "reject"), ("tbank", "reject"), ("tbank", "expire")])
def test_a_link_that_died_at_the_bank_is_not_given_out_again(desk: Desk, bank: LinkProvider, step: str) -> None:
    through(desk.rt, bank)
    held(desk)
    dead = link_of(desk)
    desk.shop.bank("POST", f"/sim/payments/{dead.payment_ref}/{step}", {"silent": False})
    until_settled(desk, lambda: links(desk)[0].state == "closed")

    link = link_of(desk)

    assert link.url != dead.url
    assert status_at(desk.shop, link) == "new"


def test_a_deal_whose_link_died_gets_a_new_one(desk: Desk) -> None:
    through(desk.rt, "yookassa", None)
    desk.opens()
    desk.types(500)
    dead = link_of_deal(desk)
    desk.shop.bank("POST", f"/sim/payments/{dead.payment_ref}/reject", {"silent": False})

    until_settled(desk, lambda: bool(links(desk)[1:]) and links(desk)[1].state == "open")

    settle(desk.rt)
    assert desk.fields["Ссылка на оплату"] == links(desk)[1].url != dead.url


@pytest.mark.parametrize("bank", ["yookassa", "tbank"])
def test_after_an_hour_the_bank_is_asked_whether_a_link_still_lives(
    desk: Desk, clock: StandingClock, bank: LinkProvider
) -> None:
    through(desk.rt, bank)
    held(desk)
    gives_points_back(desk)
    link = link_of(desk)
    clock.forward(minutes=61)
    assert link_of(desk).url == link.url, "it lives"
    desk.shop.bank("POST", f"/sim/payments/{link.payment_ref}/reject", {"silent": True})
    assert link_of(desk).url == link.url, "nobody has told"

    clock.forward(minutes=61)
    assert night(desk, clock, "links") == ["закрыто ссылок на оплату: 1"]

    assert link_of(desk).url != link.url


@pytest.mark.parametrize("bank", ["tbank", "cloudpayments"])
def test_a_link_for_the_full_price_goes_with_that_price(desk: Desk, clock: StandingClock, bank: LinkProvider) -> None:
    through(desk.rt, bank)
    buyer = held(desk)
    gives_points_back(desk)
    full = link_of(desk)
    assert (full.hold_id, full.amount_kopecks) == (None, TENT.total_kopecks)
    night(desk, clock, "links")
    assert status_at(desk.shop, full) == "new", "nothing has changed"

    bigger = Basket((Line(5_400_000, qty=3, sku="TENT-2", name="Палатка"),))
    reserve(desk, buyer, 10, basket=bigger)
    gives_points_back(desk)
    night(desk, clock, "links")

    assert tries_to_pay(desk, full) == "canceled"


def test_every_link_ends_one_day(desk: Desk, clock: StandingClock) -> None:
    through(desk.rt, "cloudpayments")
    held(desk)
    gives_points_back(desk)
    link = link_of(desk)
    clock.forward(days=4)

    night(desk, clock, "links")

    assert tries_to_pay(desk, link) == "canceled"
    assert links(desk)[0].reason == "срок ссылки вышел"
