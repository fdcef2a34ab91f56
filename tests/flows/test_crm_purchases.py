"""Orders as purchases of the CRM's customer, and when he is expected again; both modes of customers, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from kopilka_testing import CRM_TOKEN, Shop, StandingClock, posted, settle, tbank_body

from flows import inbox
from flows.runtime import Runtime
from loyalty.rhythm import Bought, Next, expected
from storage import orders


class Till:
    """Deals of one buyer, paid and refunded; what the CRM's customer shows."""

    def __init__(self, rt: Runtime, shop: Shop, clock: StandingClock) -> None:
        self.rt, self.shop, self.clock = rt, shop, clock
        self.contact_id = 0
        self.payments = 0

    def buys(self, roubles: int = 4_990) -> int:
        if not self.contact_id:
            deal_id, self.contact_id = self.shop.deal(roubles)
        else:
            body = {"name": "Заказ", "price_roubles": roubles, "contact_id": self.contact_id}
            deal_id = int(self.shop.crm("POST", "/sim/deals", body)["deal_id"])
        self.payments += 1
        self.says(deal_id, "CONFIRMED", roubles, self.payments)
        return deal_id

    def says(self, deal_id: int, status: str, roubles: int, payment_id: int) -> None:
        body = tbank_body(deal_id, status, kopecks=roubles * 100, payment_id=payment_id)
        inbox.accept_payment(self.rt, "tbank", posted(body))
        self.works()

    def works(self) -> None:
        settle(self.rt)
        self.clock.forward(minutes=1)
        settle(self.rt)

    @property
    def customer(self) -> dict[str, Any]:
        with self.rt.db.begin() as tx:
            ref = tx.execute(sa.text("SELECT customer_ref FROM crm_state WHERE customer_ref IS NOT NULL")).scalar_one()
        url, headers = f"{self.shop.crm_url}/api/v4/customers/{ref}", {"Authorization": f"Bearer {CRM_TOKEN}"}
        found = self.shop.session.get(url, headers=headers, timeout=10).json()
        state = next(one for one in self.shop.crm("GET", "/sim/state")["customers"] if one["id"] == ref)
        return {**found, "bonus_points": state["bonus_points"], "segments": state["segments"]}

    def kept(self, deal_id: int) -> int:
        with self.rt.db.begin() as tx:
            order = orders.find(tx, deal_id)
        return 0 if order is None else order.kept_kopecks


@pytest.fixture
def till(rt: Runtime, shop: Shop, clock: StandingClock) -> Iterator[Till]:
    assert rt.file.amocrm is not None
    assert rt.crm is not None
    rt.file = replace(rt.file, amocrm=replace(rt.file.amocrm, purchases=True, next_purchase=True))
    rt.google = None
    yield Till(rt, shop, clock)
    rt.crm.set_customers_mode("segments")


@pytest.mark.slow
def test_an_order_is_one_purchase_and_its_return_takes_it_away(till: Till) -> None:
    first = till.buys(4_990)
    till.buys(1_000)
    assert (till.customer["purchases_count"], till.customer["ltv"]) == (2, 5_990)
    assert till.customer["bonus_points"] == 0, "points are ours to give"

    till.says(first, "REFUNDED", 4_990, 1)

    assert (till.customer["purchases_count"], till.customer["ltv"]) == (1, 1_000)
    till.works()
    assert till.customer["purchases_count"] == 1


@pytest.mark.slow
def test_a_purchase_whose_answer_was_lost_is_not_made_twice(till: Till) -> None:
    till.buys(100)
    till.shop.faults(apply_then_drop=1.0)
    till.buys(4_990)
    till.shop.faults(apply_then_drop=0.0)
    for _ in range(6):
        till.clock.forward(minutes=20)
        till.works()

    assert (till.customer["purchases_count"], till.customer["ltv"]) == (2, 5_090)


@pytest.mark.slow
def test_the_next_purchase_follows_the_buyers_rhythm(till: Till) -> None:
    till.buys(1_000)
    till.clock.forward(days=10)
    till.buys(3_000)
    assert till.customer["next_price"] == 2_000
    due = datetime.fromtimestamp(till.customer["next_date"], UTC)
    assert 9 <= (due - till.clock()).days <= 10

    till.clock.forward(days=30)
    till.buys(5_000)

    assert till.customer["next_price"] == 3_000


@pytest.mark.slow
def test_in_the_mode_of_periods_customers_have_dates_and_no_segments(till: Till) -> None:
    assert till.rt.crm is not None
    till.rt.crm.set_customers_mode("periodicity")

    till.buys()

    assert till.customer["purchases_count"] == 1
    assert till.customer["next_date"]
    assert not till.customer.get("segments")


@pytest.mark.slow
def test_without_customers_a_purchase_asks_nobody_again_and_again(till: Till) -> None:
    till.rt.file = replace(till.rt.file, amocrm=replace(till.rt.crm_names, customers=False))
    till.buys()

    with till.rt.db.begin() as tx:
        rows = tx.execute(sa.text("SELECT count(*) FROM outbox WHERE kind = 'purchase'")).scalar_one()
    assert rows == 0


@given(st.lists(st.tuples(st.dates(date(2024, 1, 1), date(2026, 3, 1)), st.integers(1, 10**7)), max_size=20))
def test_a_guess_is_in_the_future_and_within_what_was_paid(days: list[tuple[date, int]]) -> None:
    bought = [Bought(*one) for one in days]
    today = date(2026, 3, 1)

    guess = expected(bought, today=today)

    if len(bought) <= 12:
        assert (guess is None) == (len({one.on for one in bought}) < 2)
    if guess is not None:
        assert guess.on > today
        assert min(one.kopecks for one in bought) <= guess.kopecks <= max(one.kopecks for one in bought)
        assert expected(list(reversed(bought)), today=today) is not None


def test_one_long_pause_does_not_move_the_rhythm() -> None:
    bought = [Bought(date(2026, 1, day), 100_000) for day in (1, 8, 15)] + [Bought(date(2026, 2, 26), 300_000)]

    assert expected(bought, today=date(2026, 2, 26)) == Next(date(2026, 3, 5), 100_000)
    assert expected(bought, today=date(2026, 6, 1)) == Next(date(2026, 6, 2), 100_000)
    assert expected(bought[:1], today=date(2026, 2, 26)) is None
