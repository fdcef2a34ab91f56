"""Each acquirer from the buyer's payment to the deal's points and back, over HTTP in both directions.

The simulated banks sign, ask and answer from their documentation and share no code with the product: two independent
readings of the same pages meet here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kopilka_testing import Shop, StandingClock, settle
from nine_banks import EVERY_BANK, open_door, with_every_bank

from flows import lookup
from flows.runtime import Runtime
from storage import orders, payments, verify

pytestmark = pytest.mark.slow

PUSHED_REFUNDS = ("yookassa", "cloudpayments", "sber", "alfabank", "stripe")
"""Those who tell of part refunds by themselves; of the others' a person or the reconciliation learns."""

PATIENCE_S = 20.0


@pytest.fixture
def clock() -> StandingClock:
    """The banks' own: Stripe dates what it signs."""
    return StandingClock(datetime.now(UTC))


@pytest.fixture
def environment(environment: dict[str, str], simulator: Shop, tmp_path: Path) -> dict[str, str]:
    return with_every_bank(environment, simulator.bank_url, tmp_path)


@pytest.fixture
def door(rt: Runtime, shop: Shop) -> Iterator[Runtime]:
    """The product's web side, where the banks' callbacks go."""
    with open_door(rt) as url:
        shop.bank("POST", "/sim/peers", {"payments_url": url})
        yield rt
        shop.bank("POST", "/sim/peers", {"payments_url": ""})


def paid(rt: Runtime, shop: Shop, bank: str, **order: Any) -> tuple[int, str]:
    """A deal whose buyer pays through this bank, and the bank's name of the payment."""
    deal_id, _ = shop.deal(4_990)
    made = shop.crm("POST", f"/sim/deals/{deal_id}/pay", {"acquirer": bank, **order})
    return deal_id, str(made["payment"]["id"])


def until(rt: Runtime, is_so: Callable[[], bool]) -> None:
    """Works what comes until it is so; the banks send from threads of their own."""
    begin = time.monotonic()
    while not is_so():
        assert time.monotonic() - begin < PATIENCE_S, lookup.events(rt, states=["parked", "waiting"], limit=5)[0]
        time.sleep(0.05)
        settle(rt)


def kept(rt: Runtime, deal_id: int) -> int:
    with rt.db.begin() as tx:
        found = orders.find(tx, deal_id)
        return -1 if found is None else found.kept_kopecks


def has_payment(rt: Runtime, deal_id: int) -> bool:
    """Not the stage alone: the bank's word has arrived."""
    with rt.db.begin() as tx:
        found = orders.find(tx, deal_id)
        return found is not None and any(one.totals.kept_kopecks for one in payments.of_order(tx, found.id))


def is_whole(rt: Runtime) -> bool:
    with rt.db.begin() as tx:
        verdict = verify.verify(tx)
    assert verdict.is_whole, verdict.faults
    return True


@pytest.mark.parametrize("bank", EVERY_BANK)
def test_a_payment_becomes_points(door: Runtime, shop: Shop, bank: str) -> None:
    deal_id, _ = paid(door, shop, bank)

    until(door, lambda: has_payment(door, deal_id))

    assert kept(door, deal_id) == 499_000
    assert is_whole(door)


@pytest.mark.parametrize("bank", PUSHED_REFUNDS)
def test_two_equal_part_refunds_are_two_and_the_rest_leaves_nothing(door: Runtime, shop: Shop, bank: str) -> None:
    deal_id, payment_id = paid(door, shop, bank)
    until(door, lambda: has_payment(door, deal_id))

    for left in (399_000, 299_000):
        shop.bank("POST", f"/sim/payments/{payment_id}/refund", {"amount_kopecks": 100_000})
        until(door, lambda left=left: kept(door, deal_id) == left)  # type: ignore[misc]
    shop.bank("POST", f"/sim/payments/{payment_id}/refund", {"amount_kopecks": 299_000})
    until(door, lambda: kept(door, deal_id) == 0)

    assert is_whole(door)


@pytest.mark.parametrize("bank", ["cloudpayments", "stripe"])
def test_a_refund_heard_of_before_its_payment_asks_for_the_payment(door: Runtime, shop: Shop, bank: str) -> None:
    shop.bank("POST", "/sim/faults", {"callback_lost": 1.0})
    deal_id, payment_id = paid(door, shop, bank)
    shop.bank("POST", "/sim/faults", {"callback_lost": 0.0})

    shop.bank("POST", f"/sim/payments/{payment_id}/refund", {"amount_kopecks": 100_000})

    until(door, lambda: has_payment(door, deal_id))
    assert kept(door, deal_id) == 399_000
    assert is_whole(door)


@pytest.mark.parametrize("bank", EVERY_BANK)
def test_callbacks_said_again_in_any_order_change_nothing(door: Runtime, shop: Shop, bank: str) -> None:
    deal_id, payment_id = paid(door, shop, bank)
    until(door, lambda: has_payment(door, deal_id))

    shop.bank("POST", f"/sim/payments/{payment_id}/resend", {"copies": 3, "shuffle": True})
    time.sleep(0.5)
    settle(door)

    assert kept(door, deal_id) == 499_000
    assert is_whole(door)
