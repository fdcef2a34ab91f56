"""Books, banks and CRM compared over HTTP: what nobody told is taken over, what no program may decide is asked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from kopilka_testing import Shop, StandingClock, hook_body, settle
from nine_banks import EVERY_BANK, open_door, with_every_bank
from reconciling_town import Town, only

from flows import inbox, lookup, nightly
from flows.runtime import Runtime

pytestmark = pytest.mark.slow

LISTING = ("yookassa", "cloudpayments", "paykeeper", "stripe")
ASKED = (*LISTING, "sber", "alfabank")
"""Those whose refunds can be read; the others tell states without sums, or nothing."""


@pytest.fixture
def clock() -> StandingClock:
    """The banks' own."""
    return StandingClock(datetime.now(UTC))


@pytest.fixture
def environment(environment: dict[str, str], simulator: Shop, tmp_path: Path) -> dict[str, str]:
    return with_every_bank(environment, simulator.bank_url, tmp_path)


@pytest.fixture
def town(rt: Runtime, shop: Shop) -> Iterator[Town]:
    with open_door(rt) as url:
        shop.bank("POST", "/sim/peers", {"payments_url": url})
        yield Town(rt, shop)
        shop.bank("POST", "/sim/peers", {"payments_url": ""})


@pytest.mark.parametrize("bank", LISTING)
def test_a_payment_that_nobody_told_of_is_found_in_the_banks_list(town: Town, bank: str) -> None:
    deal_id, payment_id = town.pay(bank, is_told=False)

    told = only(town.compare(only=(bank,)), payment_id)

    assert (told.verdict, told.bank_captured_kopecks, told.our_captured_kopecks) == ("repaired", 499_000, None)
    assert town.kept(deal_id) == 499_000
    again = only(town.compare(only=(bank,)), payment_id)
    assert (again.verdict, again.our_captured_kopecks) == ("agrees", 499_000), again
    assert again.order is not None
    assert again.order.deal_ref == deal_id
    town.check()


@pytest.mark.parametrize("bank", ASKED)
def test_two_equal_refunds_made_in_the_cabinet_are_found(town: Town, bank: str) -> None:
    deal_id, payment_id = town.pay(bank)
    for left in (399_000, 299_000):
        town.refund_in_the_cabinet(payment_id, 100_000)
        told = only(town.compare(only=(bank,)), payment_id)
        assert told.verdict == "repaired", told
        assert town.kept(deal_id) == left

    assert only(town.compare(only=(bank,)), payment_id).verdict == "agrees"
    town.check()


@pytest.mark.parametrize("bank", EVERY_BANK)
def test_what_agrees_is_left_alone(town: Town, bank: str) -> None:
    deal_id, payment_id = town.pay(bank)

    told = only(town.compare(only=(bank,)), payment_id)

    assert told.verdict == ("unasked" if bank == "prodamus" else "agrees"), told
    assert town.kept(deal_id) == 499_000
    assert town.parked() == []


@pytest.mark.parametrize("bank", ["cloudpayments", "stripe", "sber"])
def test_a_chargeback_takes_the_points_and_a_won_one_gives_them_back(town: Town, bank: str) -> None:
    deal_id, payment_id = town.pay(bank)
    town.shop.bank("POST", "/sim/faults", {"callback_lost": 1.0})
    town.shop.bank("POST", f"/sim/payments/{payment_id}/chargeback", {})
    town.compare(only=(bank,))
    assert town.kept(deal_id) == 0

    if bank != "sber":  # there nobody says how it ended
        town.shop.bank("POST", f"/sim/payments/{payment_id}/chargeback_won", {})
        town.compare(only=(bank,))
        assert town.kept(deal_id) == 499_000
    town.shop.bank("POST", "/sim/faults", {"callback_lost": 0.0})
    town.check()


def test_a_part_refund_at_tbank_is_put_before_a_person_once(town: Town) -> None:
    deal_id, payment_id = town.pay("tbank")
    town.refund_in_the_cabinet(payment_id, 100_000)

    for _ in range(3):
        told = only(town.compare(only=("tbank",)), payment_id)
        assert told.verdict == "person"

    assert town.kept(deal_id) == 499_000
    assert len(town.parked()) == 1


def test_less_money_at_the_bank_than_in_the_book_is_a_question_for_a_person(town: Town) -> None:
    _, payment_id = town.pay("yookassa")
    with town.rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE payment SET captured_kopecks = 500000"))

    told = only(town.compare(), payment_id)

    assert (told.verdict, told.our_captured_kopecks, told.bank_captured_kopecks) == ("person", 500_000, 499_000)
    assert "5\u00a0000" in town.parked()[0]


def test_a_payment_that_the_bank_does_not_know_is_a_question(town: Town) -> None:
    town.pay("yookassa")
    with town.rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE payment SET payment_ref = '00000000-000f-5000-8000-000000000000'"))

    told = only(town.compare(), "00000000-000f-5000-8000-000000000000")

    assert told.verdict == "person"
    assert "не знает платежа" in town.parked()[0]


def test_what_somebody_changed_in_the_deal_is_put_right(town: Town) -> None:
    deal_id, payment_id = town.pay("yookassa")
    town.until(lambda: town.shop.state(deal_id)["deals"][0]["fields"].get("Оплачено") == "4990")
    town.lose_field(deal_id, "Оплачено")

    told = only(town.compare(), payment_id)

    assert told.verdict == "repaired"
    assert "поля сделки" in told.notes[-1]
    assert town.shop.state(deal_id)["deals"][0]["fields"]["Оплачено"] == "4990"
    assert only(town.compare(), payment_id).verdict == "agrees"


def test_a_capture_that_was_heard_in_part_is_taken_over_and_a_dry_run_changes_nothing(town: Town) -> None:
    deal_id, payment_id = town.pay("yookassa")
    with town.rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE payment SET captured_kopecks = 100000"))
    told = only(town.compare(repair=False), payment_id)
    assert (told.verdict, town.kept(deal_id)) == ("would_repair", 499_000)
    assert town.parked() == []

    town.compare()

    assert town.kept(deal_id) == 499_000
    assert only(town.compare(), payment_id).verdict == "agrees"


def test_a_deal_paid_in_cash_is_named(town: Town) -> None:
    deal_id, _ = town.shop.deal(1_000)
    town.shop.move(deal_id, "Оплачен")
    inbox.accept_hook(town.rt, hook_body(deal_id))
    settle(town.rt)

    [told] = [line for line in town.compare() if line.verdict == "elsewhere"]

    assert told.order is not None
    assert (told.order.deal_ref, told.our_captured_kopecks) == (deal_id, 100_000)


def test_a_bank_that_is_away_is_named_and_asked_again(town: Town) -> None:
    _, payment_id = town.pay("stripe", is_told=False)
    town.shop.bank("POST", "/sim/faults", {"error_500": 1.0})
    try:
        broken = town.compare()
    finally:
        town.shop.bank("POST", "/sim/faults", {"error_500": 0.0})

    assert {line.acquirer for line in broken if line.verdict == "away"} == set(LISTING)
    assert only(town.compare(), payment_id).verdict == "repaired"


def test_the_night_does_it_by_itself_and_a_second_run_finds_nothing(town: Town, clock: StandingClock) -> None:
    deal_id, _ = town.pay("yookassa", is_told=False)
    town.pay("prodamus")
    clock.forward(days=1)

    [first] = nightly.run_due(town.rt, now=clock(), only="reconcile", at_once=True)
    settle(town.rt)
    assert (first.is_over, first.error, first.text) == (True, None, "исправлено: 1, нельзя спросить: 1")
    assert town.kept(deal_id) == 499_000
    [second] = nightly.run_due(town.rt, now=clock(), only="reconcile", at_once=True)
    assert second.text == "сошлось: 1, нельзя спросить: 1"
    town.check()


def test_frozen_money_whose_capture_was_lost_is_found_within_the_hour(town: Town, clock: StandingClock) -> None:
    deal_id, _ = town.shop.deal(4_990)
    made: dict[str, Any] = town.shop.bank(
        "POST",
        "/sim/pay",
        {"acquirer": "yookassa", "deal_id": deal_id, "amount_kopecks": 499_000, "two_stage": True},
    )
    payment_id = str(made.get("payment_id") or made["id"])
    town.until(lambda: bool(lookup.events(town.rt, states=["done"], limit=5)[0]))
    settle(town.rt)
    town.shop.bank("POST", "/sim/faults", {"callback_lost": 1.0})
    town.shop.bank("POST", f"/sim/payments/{payment_id}/capture", {})
    town.shop.bank("POST", "/sim/faults", {"callback_lost": 0.0})
    assert town.kept(deal_id) <= 0
    clock.forward(minutes=20)

    nightly.run_due(town.rt, now=clock(), only="held", at_once=True)
    settle(town.rt)

    assert town.kept(deal_id) == 499_000
