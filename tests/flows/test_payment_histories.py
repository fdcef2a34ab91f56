"""Whole histories of an order's payments, told in any order and with repeats, end in the same points and money."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from flow_shop_world import ShopWorld, opened
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kopilka_testing import StandingClock

from flows import points
from loyalty.events import PaymentFacts, RefundFacts
from storage import orders, payments

pytestmark = pytest.mark.slow

PRICE = 499_000


@pytest.fixture
def world(database_url: str, clock: StandingClock, tmp_path: Path) -> Iterator[ShopWorld]:
    with opened(database_url, clock, tmp_path) as found:
        yield found


def told(
    ref: str, captured: int = 0, refunded: int = 0, *refunds: RefundFacts, status: str = "captured"
) -> PaymentFacts:
    return PaymentFacts("bank", ref, None, captured, refunded, status, None, False, refunds=refunds)  # type: ignore[arg-type]


HISTORIES = {
    "paid": [told("a", PRICE)],
    "held and paid": [told("a", status="authorised"), told("a", PRICE)],
    "two equal part refunds with names": [
        told("a", PRICE),
        told("a", 0, 0, RefundFacts("1", 100_000)),
        told("a", 0, 0, RefundFacts("2", 100_000)),
    ],
    "a total and names of the same refunds": [
        told("a", PRICE, 200_000),
        told("a", 0, 0, RefundFacts("1", 100_000)),
        told("a", 0, 0, RefundFacts("2", 100_000)),
    ],
    "refunded and paid anew": [told("a", PRICE), told("a", PRICE, PRICE), told("b", PRICE)],
    "two attempts, one failed": [told("a", status="failed"), told("b", PRICE)],
    "paid in two parts, one of them back": [told("a", 300_000), told("b", 199_000), told("b", 199_000, 199_000)],
    "a dispute that was won": [
        told("a", PRICE),
        told("a", 0, 0, RefundFacts("d", PRICE, "chargeback")),
        told("a", 0, 0, RefundFacts("d", PRICE, "chargeback", is_undone=True)),
    ],
    "a refund that failed": [
        told("a", PRICE),
        told("a", 0, 0, RefundFacts("1", 100_000)),
        told("a", 0, 0, RefundFacts("1", 100_000, is_undone=True)),
    ],
}
"""What banks may tell of one order."""


def end_of(world: ShopWorld, history: list[PaymentFacts]) -> tuple[int, int, int, int]:
    """Money kept, points accrued and spent for the order, and all the member has, after these messages."""
    buyer = world.rich(500)
    deal = world.deal(buyer)
    world.wish(deal, 500)
    for facts in history:
        world.rt.db.run(partial(_hear, world, deal, replace(facts, payment_ref=f"{deal}-{facts.payment_ref}")))
    order = world.order(deal)
    assert world.is_whole()
    balance = world.balance(buyer)
    return order.kept_kopecks, order.accrued, order.redeemed - order.restored, balance.net


def _hear(world: ShopWorld, deal: int, facts: PaymentFacts, tx: sa.Connection) -> str:
    now = world.clock()
    order = orders.open_order(tx, deal, now=now)
    payments.save(tx, order.id, facts, now=now)
    return points.converge_order(tx, world.rt, order, occurred_at=now, now=now)


@pytest.mark.parametrize("name", HISTORIES)
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_order_and_number_of_the_messages_never_matter(world: ShopWorld, name: str, data: st.DataObject) -> None:
    history = HISTORIES[name]
    repeated = history + data.draw(st.lists(st.sampled_from(history), max_size=3))
    shuffled = data.draw(st.permutations(repeated))

    assert end_of(world, shuffled) == end_of(world, history)
