"""The money that comes by links, over HTTP with the simulated banks: whose points it takes, what a person is asked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flow_desk import Desk
from kopilka_testing import Shop, StandingClock
from link_world import (
    BANKS,
    TENT,
    gives_points_back,
    held,
    kept,
    link_of,
    link_of_deal,
    links,
    links_desk,
    links_environment,
    night,
    payment_at,
    pays,
    questions,
    reserve,
    status_at,
    through,
    until_settled,
)

from config.model import LinkProvider
from flows import payment_links, sweep
from flows.link_terms import Wish
from flows.refusals import OrderIsPaid
from flows.runtime import Runtime

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


@pytest.mark.parametrize(("first", "then"), [(500, 1_000), (1_000, 500)])
def test_an_earlier_link_takes_the_points_that_lowered_its_price(desk: Desk, first: int, then: int) -> None:
    through(desk.rt, "yookassa")
    buyer = held(desk, points=first)
    earlier = link_of(desk)
    reserve(desk, buyer, then)
    link_of(desk)
    assert status_at(desk.shop, earlier) == "new", "this bank cancels no unpaid link"

    pays(desk, earlier)
    until_settled(desk, lambda: kept(desk) > 0)

    assert kept(desk) == TENT.total_kopecks - first * 100
    assert [one for one in desk.world.holds_of(buyer) if one[0] == "captured"] == [("captured", first)]
    assert desk.world.balance(buyer).reserved == 0
    assert [one.state for one in links(desk)][:1] == ["paid"]
    assert questions(desk) == []
    assert desk.world.is_whole()


def test_an_earlier_link_for_the_full_price_takes_no_points(desk: Desk) -> None:
    through(desk.rt, "yookassa")
    buyer = held(desk)
    gives_points_back(desk)
    earlier = link_of(desk)
    reserve(desk, buyer, 500)

    pays(desk, earlier)
    until_settled(desk, lambda: kept(desk) > 0)

    assert not [one for one in desk.world.holds_of(buyer) if one[0] != "released"]
    assert desk.world.is_whole()


def test_a_discount_whose_points_are_spent_elsewhere_is_put_before_a_person(desk: Desk) -> None:
    through(desk.rt, "yookassa")
    buyer = held(desk, points=1_900)
    earlier = link_of(desk)
    gives_points_back(desk)
    reserve(desk, buyer, 1_900, order="A-2")

    pays(desk, earlier)
    until_settled(desk, lambda: kept(desk) > 0 and bool(questions(desk)))

    assert kept(desk) == TENT.total_kopecks - 190_000
    [asked] = questions(desk)
    assert "скидкой за 1900 баллов" in asked
    assert desk.world.is_whole()


def test_an_order_paid_twice_is_put_before_a_person_once(desk: Desk) -> None:
    through(desk.rt, "yookassa")
    buyer = held(desk, points=500)
    earlier = link_of(desk)
    reserve(desk, buyer, 1_000)
    later = link_of(desk)
    pays(desk, later)
    until_settled(desk, lambda: kept(desk) > 0)

    pays(desk, earlier)
    until_settled(desk, lambda: bool(questions(desk)))

    [asked] = questions(desk)
    surplus = f"{earlier.amount_kopecks // 100:,}".replace(",", " ")
    assert "оплачен дважды" in asked
    assert surplus in asked
    assert earlier.payment_ref in asked
    desk.notice(earlier.payment_ref)
    assert questions(desk) == [asked]
    assert [one for one in desk.world.holds_of(buyer) if one[0] == "captured"] == [("captured", 1_000)]
    assert desk.world.is_whole()


@pytest.mark.parametrize("kopecks", [100_000, None])
def test_nobody_is_billed_again_for_what_went_back(desk: Desk, kopecks: int | None) -> None:
    through(desk.rt, "yookassa")
    held(desk)
    link = link_of(desk)
    pays(desk, link)
    until_settled(desk, lambda: kept(desk) == link.amount_kopecks)
    desk.shop.refund(link.payment_ref, kopecks)
    until_settled(desk, lambda: kept(desk) < link.amount_kopecks)

    with pytest.raises(OrderIsPaid):
        link_of(desk)


def test_the_rest_of_an_order_paid_in_part_gets_a_link_that_lasts(desk: Desk, clock: StandingClock) -> None:
    through(desk.rt, "tbank", None)
    desk.opens()
    desk.types(500)
    whole = link_of_deal(desk)
    desk.bank_says(kopecks=100_000, payment_id=77)
    night(desk, clock, "links")
    assert status_at(desk.shop, whole) == "canceled", "its sum is too great now"

    rest = payment_links.make(desk.rt, whole.order_id, Wish())
    night(desk, clock, "links")

    assert (rest.amount_kopecks, status_at(desk.shop, rest)) == (349_000, "new")
    pays(desk, rest)
    until_settled(desk, lambda: desk.world.order(desk.deal_id).kept_kopecks == 449_000)
    assert desk.holds == [("captured", 500)]
    desk.check()


@pytest.mark.parametrize("bank", BANKS)
def test_a_payment_marks_its_link_as_paid_at_once(desk: Desk, clock: StandingClock, bank: LinkProvider) -> None:
    through(desk.rt, bank)
    held(desk)

    pays(desk, link_of(desk))
    until_settled(desk, lambda: kept(desk) > 0)

    assert [one.state for one in links(desk)] == ["paid"]
    assert links(desk)[0].payment_ref == payment_at(desk.shop, links(desk)[0])["id"]
    assert night(desk, clock, "links") == ["закрыто ссылок на оплату: 0"]


def test_who_paid_by_a_link_is_forgotten_with_the_bodies(desk: Desk, clock: StandingClock) -> None:
    through(desk.rt, "yookassa")
    held(desk)
    pays(desk, link_of(desk))
    until_settled(desk, lambda: kept(desk) > 0)
    clock.forward(days=89)
    sweep.sweep_once(desk.rt)
    assert "anna@example.ru" in str(links(desk)[0].asked)

    clock.forward(days=2)
    sweep.sweep_once(desk.rt)

    assert dict(links(desk)[0].asked) == {}
