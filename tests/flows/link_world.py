"""A shop that makes payment links, the simulated banks that make them, and a buyer who pays or does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flow_desk import Desk, make_desk
from kopilka_testing import Shop, StandingClock, settle
from nine_banks import open_door, with_every_bank

from config.model import LinkProvider, PaymentLinksConfig, ReceiptConfig
from flows import holds, lookup, nightly, payment_links, people
from flows.link_terms import Wish
from flows.people import Person
from flows.runtime import Runtime
from loyalty.basket import Basket, Line
from storage import holds as hold_rows
from storage import orders
from storage import payment_links as rows

BANKS: tuple[LinkProvider, ...] = ("yookassa", "tbank", "cloudpayments")
RECEIPT = ReceiptConfig("usn_income", "none", "full_prepayment", "1.2", "Заказ")
TENT = Basket(
    (Line(540_000, qty=3, sku="TENT-2", name="Палатка «Хибины-2»"), Line(99_900, sku="LAMP")), delivery_kopecks=50_000
)
ORDER = "A-1001"


def links_environment(environment: dict[str, str], bank_url: str, folder: Path) -> dict[str, str]:
    """All nine banks, and a field of the deal for the link."""
    given = with_every_bank(environment, bank_url, folder)
    path = Path(given["PROGRAMME"])
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace("      paid_on:", "      payment_link: Ссылка на оплату\n      paid_on:"), encoding="utf-8"
    )
    return given


@contextmanager
def links_desk(rt: Runtime, shop: Shop, clock: StandingClock) -> Iterator[Desk]:
    """The banks' callbacks come in by the product's own door."""
    made = make_desk(rt, shop, clock)
    with open_door(rt) as url:
        shop.bank("POST", "/sim/peers", {"payments_url": url})
        rt.settings = replace(rt.settings, public_url=url.removesuffix("/webhooks/payments"))
        yield made
        shop.bank("POST", "/sim/peers", {"payments_url": ""})


def through(rt: Runtime, bank: LinkProvider, receipt: ReceiptConfig | None = RECEIPT) -> None:
    rt.file = replace(rt.file, payment_links=PaymentLinksConfig(bank, "https://sportgory.ru/spasibo", receipt))


def held(desk: Desk, order: str = ORDER, points: int = 500) -> int:
    buyer = people.create(desk.rt, Person("Анна Петрова", phone="+79000000001", email="anna@example.ru")).id
    desk.world.give(buyer, 2_000)
    reserve(desk, buyer, points, order=order)
    return buyer


def reserve(desk: Desk, buyer: int, points: int, *, order: str = ORDER, basket: Basket = TENT) -> None:
    holds.make(desk.rt, buyer, order_ref=order, basket=basket, points=points, channel="site")


def gives_points_back(desk: Desk, order: str = ORDER) -> None:
    with desk.rt.db.begin() as tx:
        found = orders.read_shop_order(tx, order)
        assert found is not None
        assert found.hold_id is not None
        public_id = hold_rows.by_id(tx, found.hold_id).public_id
    holds.release(desk.rt, public_id)


def link_of(desk: Desk, order: str = ORDER) -> rows.PaymentLink:
    return payment_links.for_shop_order(desk.rt, order, Wish())


def links(desk: Desk) -> list[rows.PaymentLink]:
    """All that were ever made, oldest first."""
    with desk.rt.db.begin() as tx:
        ids = tx.execute(sa.text("SELECT id FROM payment_link ORDER BY id")).scalars().all()
        return [rows.by_id(tx, one) for one in ids]


def link_of_deal(desk: Desk) -> rows.PaymentLink:
    with desk.rt.db.begin() as tx:
        found = rows.live(tx, desk.world.order(desk.deal_id).id)
    assert found is not None
    return found


def payment_at(shop: Shop, link: rows.PaymentLink) -> dict[str, Any]:
    """The bank's own record of the payment that a link leads to. T-Bank may have two of one order number."""
    kept = shop.bank("GET", "/sim/state")["payments"]
    named = [one for one in kept if one["id"] == link.payment_ref]
    return dict((named or [one for one in kept if one["order_id"] == link.order_number])[-1])


def status_at(shop: Shop, link: rows.PaymentLink) -> str:
    """In the bank's words: «new» can be paid."""
    return str(payment_at(shop, link)["status"])


def pays(desk: Desk, link: rows.PaymentLink) -> None:
    """The buyer opens the link, pays on the bank's page and is sent back to the shop."""
    assert desk.shop.session.get(link.url, timeout=10).status_code == 200
    done = desk.shop.session.post(link.url, data={"step": "authorize"}, allow_redirects=False, timeout=10)
    assert (done.status_code, done.headers["Location"]) == (303, "https://sportgory.ru/spasibo")


def tries_to_pay(desk: Desk, link: rows.PaymentLink) -> str:
    """What the bank says of the payment after the buyer has tried."""
    desk.shop.session.post(link.url, data={"step": "authorize"}, allow_redirects=False, timeout=10)
    return status_at(desk.shop, link)


def kept(desk: Desk, order: str = ORDER) -> int:
    with desk.rt.db.begin() as tx:
        found = orders.read_shop_order(tx, order)
    assert found is not None
    return found.kept_kopecks


def questions(desk: Desk) -> list[str]:
    """What a person is asked, newest first."""
    inbox, _ = lookup.events(desk.rt, states=["parked"], limit=9)
    return [str(row.outcome).replace("\xa0", " ") for row in inbox]


def night(desk: Desk, clock: StandingClock, *jobs: str) -> list[str]:
    """These jobs now; what each says of itself."""
    return [done.text for job in jobs for done in nightly.run_due(desk.rt, now=clock(), only=job, at_once=True)]


@contextmanager
def bank_is_away(shop: Shop) -> Iterator[None]:
    shop.bank("POST", "/sim/faults", {"error_500": 1.0})
    try:
        yield
    finally:
        shop.bank("POST", "/sim/faults", {"error_500": 0.0})


def until_settled(desk: Desk, is_so: Callable[[], bool]) -> None:
    begin = datetime.now(UTC)
    while not is_so():
        assert datetime.now(UTC) - begin < timedelta(seconds=20), lookup.events(
            desk.rt, states=["parked", "waiting"], limit=5
        )
        settle(desk.rt)
