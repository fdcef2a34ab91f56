"""Who gets no payment link, and what he is told; over HTTP with the simulated banks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from flow_desk import Desk
from kopilka_testing import Shop, StandingClock, posted, settle, tbank_body
from link_world import (
    ORDER,
    bank_is_away,
    held,
    link_of,
    link_of_deal,
    links,
    links_desk,
    links_environment,
    reserve,
    through,
)

from cli.payment_words import link_data, link_lines
from flows import deal_fields, inbox, lookup, payment_links
from flows.link_terms import Wish
from flows.refusals import BankAway, HoldUnconfirmed, LinkRefused
from flows.runtime import Runtime
from flows.settle import SetupIncomplete
from loyalty.phrases import roubles
from storage import outbox

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


def test_nobody_gets_the_lower_price_before_the_buyer_has_agreed(desk: Desk) -> None:
    through(desk.rt, "yookassa")
    held(desk)
    with desk.rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE hold SET state = 'unconfirmed', code_digest = '\\x01', is_code_asked = true"))

    with pytest.raises(HoldUnconfirmed):
        link_of(desk)

    assert desk.shop.bank("GET", "/sim/state")["payments"] == []


def test_a_deal_gets_no_link_before_the_buyer_has_agreed(desk: Desk) -> None:
    desk.opens()
    desk.types(500)
    with desk.rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE hold SET state = 'unconfirmed', code_digest = '\\x01', is_code_asked = true"))
    through(desk.rt, "yookassa", None)

    with desk.rt.db.begin() as tx:
        outbox.add(tx, "deal", [desk.world.order(desk.deal_id).id], now=desk.rt.now())
    settle(desk.rt)

    assert not desk.fields.get("Ссылка на оплату")
    assert links(desk) == []


def test_the_banks_own_words_reach_whoever_asked(desk: Desk) -> None:
    through(desk.rt, "tbank")
    held(desk)

    with pytest.raises(LinkRefused, match=r"224: Неверные параметры\. Неверный формат email"):
        payment_links.for_shop_order(desk.rt, ORDER, Wish(email="нет"))

    assert links(desk)[0].state == "refused"
    assert "Неверный формат email" in str(links(desk)[0].reason)


def test_a_hanging_bank_leaves_threads_for_everybody_else(desk: Desk) -> None:
    through(desk.rt, "yookassa")
    buyer = held(desk)
    for number in range(2, 5):
        reserve(desk, buyer, 10, order=f"A-{number}")
    desk.shop.bank("POST", "/sim/faults", {"slow_s": [2.0, 2.0]})
    answers: dict[str, str] = {}

    def asks(order: str) -> None:
        try:
            link_of(desk, order)
            answers[order] = "made"
        except BankAway as away:
            answers[order] = away.detail

    waiting = [threading.Thread(target=asks, args=[f"A-{number}"]) for number in range(2, 4)]
    for one in waiting:
        one.start()
    begin = datetime.now(UTC)
    while len(links(desk)) < 2 or min(one.tries for one in links(desk)) == 0:
        assert (datetime.now(UTC) - begin).total_seconds() < 2
    asks("A-4")
    assert "ждут" in answers.pop("A-4")
    assert answers == {}, "it did not wait for them"
    for one in waiting:
        one.join(30)
    desk.shop.bank("POST", "/sim/faults", {"slow_s": [0.0, 0.0]})
    assert answers == {"A-2": "made", "A-3": "made"}


def test_the_owner_sees_links_that_are_open_and_why_others_are_not(desk: Desk) -> None:
    through(desk.rt, "tbank")
    buyer = held(desk)
    with pytest.raises(LinkRefused):
        payment_links.for_shop_order(desk.rt, ORDER, Wish(email="нет"))
    reserve(desk, buyer, 300, order="A-2")
    given = link_of(desk, "A-2")

    found = payment_links.shown(desk.rt)
    lines = "\n".join(line for one in found for line in link_lines(one))

    assert f"заказ A-2  tbank  {roubles(given.amount_kopecks)}  можно оплатить" in lines
    assert given.url in lines
    assert f"заказ {ORDER}" in lines
    assert "банк не создал" in lines
    assert "Неверный формат email" in lines
    assert [link_data(one)["state"] for one in found] == ["open", "refused"]


def test_invoices_that_cannot_be_marked_keep_back_no_link_of_another_deal(desk: Desk) -> None:
    desk.rt.file = replace(desk.rt.file, amocrm=replace(desk.rt.crm_names, mark_invoices=True))
    paid, _ = desk.shop.deal(4_990)
    desk.opens()
    desk.types(500)
    desk.shop.crm("POST", "/sim/lists", {"available": False})
    try:
        inbox.accept_payment(desk.rt, "tbank", posted(tbank_body(paid)))
        settle(desk.rt)
        through(desk.rt, "yookassa", None)
        both = [desk.world.order(paid).id, desk.world.order(desk.deal_id).id]

        with pytest.raises(SetupIncomplete, match="mark_invoices"):
            deal_fields.refresh(desk.rt, both, lambda: None)

        assert desk.fields["Ссылка на оплату"] == link_of_deal(desk).url
    finally:
        desk.shop.crm("POST", "/sim/lists", {"available": True})


def test_a_bank_that_is_away_delays_the_link_and_nothing_else_of_the_deal(desk: Desk) -> None:
    through(desk.rt, "yookassa", None)
    desk.opens()
    with bank_is_away(desk.shop):
        desk.types(500)
    [waiting] = lookup.events(desk.rt, states=["waiting"], limit=5)[1]
    assert "Ссылка на оплату не создана: Банк не ответил" in waiting.outcome
    assert desk.fields["К оплате с бонусами"] == "4490"

    desk.world.clock.forward(seconds=10)
    desk.listen()

    assert desk.fields["Ссылка на оплату"] == link_of_deal(desk).url
