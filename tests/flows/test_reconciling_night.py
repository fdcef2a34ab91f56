"""The night's reconciliation where things go wrong: banks away, slices, damaged accounts, outages, refused findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from kopilka_testing import Shop, StandingClock, settle
from nine_banks import open_door, with_every_bank
from reconciling_town import Town, answer, change, due_in, held, only, sliced, with_lost_callbacks
from structlog.testing import capture_logs

from flows import nightly
from flows.reconciling import MARK
from flows.reconciling_walk import KNOWN_MAX
from flows.runtime import Runtime

pytestmark = pytest.mark.slow


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


def test_a_bank_that_is_away_is_asked_again_in_an_hour_however_the_job_was_sliced(
    town: Town, clock: StandingClock
) -> None:
    deal_id, _ = town.pay("stripe", is_told=False)
    clock.forward(days=1)
    town.shop.bank("POST", "/sim/faults", {"error_500": 1.0})
    broken, slices = sliced(town, clock)
    town.shop.bank("POST", "/sim/faults", {"error_500": 0.0})

    assert slices > 5
    assert broken.text == "банк не ответил: 4"
    assert timedelta(0) < due_in(town, clock) <= timedelta(hours=1)
    clock.forward(hours=1)
    sliced(town, clock)
    assert town.kept(deal_id) == 499_000
    assert due_in(town, clock) > timedelta(hours=1)


def test_banks_that_go_away_between_two_slices_hide_nothing_of_the_others(town: Town, clock: StandingClock) -> None:
    before, _ = town.pay("cloudpayments", is_told=False)
    after, _ = town.pay("yookassa", is_told=False)
    clock.forward(days=1)
    while town.kept(before) < 0:
        nightly.run_due(town.rt, now=clock(), only="reconcile", at_once=True, work_for=timedelta(0))
        settle(town.rt)
    town.shop.bank("POST", "/sim/faults", {"error_500": 1.0})
    nightly.run_due(town.rt, now=clock(), only="reconcile", at_once=True, work_for=timedelta(0))
    town.shop.bank("POST", "/sim/faults", {"error_500": 0.0})

    sliced(town, clock)

    assert (town.kept(before), town.kept(after)) == (499_000, 499_000)


def test_a_run_in_slices_does_what_a_run_in_one_go_does_and_asks_no_more(town: Town, clock: StandingClock) -> None:
    for bank in ("yookassa", "cloudpayments", "tbank", "tbank", "tbank", "sber"):
        town.pay(bank)
    clock.forward(days=1)

    [whole] = nightly.run_due(town.rt, now=clock(), only="reconcile", at_once=True)
    with capture_logs() as in_one_go:
        [again] = nightly.run_due(town.rt, now=clock(), only="reconcile", at_once=True)
    with capture_logs() as sliced_up:
        in_slices, slices = sliced(town, clock)

    assert whole.text == again.text == in_slices.text == "сошлось: 6"
    assert slices > 10
    asked_in_slices, asked_in_one_go = (
        Counter(one["route"] for one in logs if one["event"] == "http_call" and one["host"] == "127.0.0.1")
        for logs in (sliced_up, in_one_go)
    )
    assert asked_in_slices == asked_in_one_go
    assert asked_in_one_go["/v3/payments"] == 3


def test_one_damaged_account_stops_no_other_payment(town: Town, clock: StandingClock) -> None:
    damaged, payment_id = town.pay("cloudpayments")
    good, _ = town.pay("yookassa", is_told=False)
    change(town, f"UPDATE orders SET accrued = accrued + 100 WHERE deal_ref = {damaged}")
    change(town, "UPDATE member SET available = 0, pending = 0")
    told = only(town.compare(repair=False, only=("cloudpayments",)), payment_id)
    assert (told.verdict, told.our_captured_kopecks) == ("person", 499_000)
    assert "kopilka verify-ledger" in told.notes[-1]
    clock.forward(days=1)

    result, _ = sliced(town, clock)

    assert town.kept(good) == 499_000
    assert "нужен человек: 1" in result.text


def test_slow_answers_do_not_outlive_the_lease(
    town: Town, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every answer takes nine seconds of the clock; thirty of them are more than two leases."""
    town.pay("tbank")
    change(
        town,
        "INSERT INTO payment (acquirer, payment_ref, order_id, captured_kopecks, refunded_kopecks, is_refund_total,"
        " status, created_at) SELECT 'tbank', (900000 + n)::text, order_id, 0, 0, false, 'failed', created_at"
        " FROM payment, generate_series(1, 30) n",
    )
    clock.forward(days=1)
    left: list[timedelta] = []
    send = requests.Session.send

    def slowly(session: requests.Session, request: requests.PreparedRequest, **named: Any) -> requests.Response:
        clock.forward(seconds=9)
        until = answer(town, "SELECT leased_until FROM job WHERE name = 'reconcile'")
        assert isinstance(until, datetime)
        left.append(until - clock())
        return send(session, request, **named)

    monkeypatch.setattr(requests.Session, "send", slowly)
    nightly.run_due(town.rt, now=clock(), only="reconcile", at_once=True)

    assert len(left) > 25
    assert min(left) > timedelta(minutes=1)


@pytest.mark.parametrize(("days", "is_forgotten"), [(5, False), (20, True)])
def test_after_days_of_standing_still_nothing_is_lost(
    town: Town,
    clock: StandingClock,
    days: int,
    is_forgotten: bool,
) -> None:
    """What was remembered of each bank may be gone with the CRM's account: the job's own last end is known still."""
    sliced(town, clock)
    if is_forgotten:
        town.rt.directory.put(MARK, {})
    deal_id, _ = town.pay("yookassa", is_told=False)
    clock.forward(days=days)

    result, _ = sliced(town, clock)

    assert town.kept(deal_id) == 499_000
    assert result.text.endswith(f"за {days + 1} дн.")
    again, _ = sliced(town, clock)
    assert "дн." not in again.text


def test_a_bank_that_was_away_for_days_is_caught_up_though_the_job_has_run(town: Town, clock: StandingClock) -> None:
    sliced(town, clock)
    deal_id, _ = town.pay("yookassa", is_told=False)
    town.shop.bank("POST", "/sim/faults", {"error_500": 1.0})
    for _ in range(5):
        clock.forward(days=1)
        sliced(town, clock)
    town.shop.bank("POST", "/sim/faults", {"error_500": 0.0})

    sliced(town, clock)

    assert town.kept(deal_id) == 499_000


def test_a_payment_of_three_days_ago_is_still_listed(town: Town, clock: StandingClock) -> None:
    deal_id, _ = town.pay("yookassa", is_told=False)
    clock.forward(days=3)

    sliced(town, clock)

    assert town.kept(deal_id) == 499_000


def test_a_hold_that_ended_untold_is_frozen_no_more_and_is_asked_for_no_more(town: Town, clock: StandingClock) -> None:
    _, payment_id = held(town)
    with_lost_callbacks(town, f"/sim/payments/{payment_id}/void")
    clock.forward(minutes=20)

    first, _ = sliced(town, clock, "held")
    second, _ = sliced(town, clock, "held")

    assert answer(town, "SELECT status FROM payment") == "voided"
    assert (first.text, second.text) == ("исправлено: 1", "платежей нет")


def test_money_frozen_a_moment_ago_is_left_alone(town: Town, clock: StandingClock) -> None:
    held(town)
    clock.forward(minutes=10)
    early, _ = sliced(town, clock, "held")
    clock.forward(minutes=10)
    later, _ = sliced(town, clock, "held")

    assert (early.text, later.text) == ("платежей нет", "сошлось: 1")


def test_paykeepers_payment_is_dated_by_the_day_it_was_paid_on(town: Town, clock: StandingClock) -> None:
    _, payment_id = town.pay("paykeeper", is_told=False)
    paid_at = clock()
    clock.forward(days=2)

    sliced(town, clock)

    captured_at = answer(town, "SELECT captured_at FROM payment")
    assert isinstance(captured_at, datetime)
    assert abs(captured_at - paid_at) < timedelta(minutes=5), payment_id


def test_what_is_left_out_is_told_with_its_number(town: Town, clock: StandingClock) -> None:
    change(
        town,
        "INSERT INTO payment (acquirer, payment_ref, captured_kopecks, refunded_kopecks, is_refund_total, status,"
        " captured_at, created_at) SELECT 'prodamus', n::text, 100, 0, false, 'captured', t.at, t.at"
        f" FROM generate_series(1, {KNOWN_MAX + 3}) n, (SELECT CAST('{clock().isoformat()}' AS timestamptz) AS at) t",
    )
    clock.forward(days=1)

    [result] = nightly.run_due(town.rt, now=clock(), only="reconcile", at_once=True)

    assert result.text == f"нельзя спросить: {KNOWN_MAX}, не проверено: 3"


def test_every_cash_deal_is_named_once_by_a_job_in_slices(town: Town, clock: StandingClock) -> None:
    change(
        town,
        "INSERT INTO orders (deal_ref, created_at, counted_at, is_stage_paid, is_kept) SELECT n, t.at, t.at, true, true"
        f" FROM generate_series(1, 45) n, (SELECT CAST('{clock().isoformat()}' AS timestamptz) AS at) t",
    )
    clock.forward(days=1)

    result, _ = sliced(town, clock)

    assert result.text == "мимо банков: 45"
