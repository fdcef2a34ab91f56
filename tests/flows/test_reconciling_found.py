"""What is found when books and banks differ, and how it is told: findings refused, less money, what is not told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from kopilka_testing import Shop, StandingClock
from nine_banks import open_door, with_every_bank
from reconciling_town import Town, answer, change, only, with_lost_callbacks

from cli.reconcile_file import totals
from flows import points
from flows.runtime import Runtime
from storage import orders

pytestmark = pytest.mark.slow

POINTS = "SELECT pending + available FROM member"


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


def test_what_could_not_be_taken_over_is_put_before_a_person_and_not_called_repaired(town: Town) -> None:
    _, payment_id = town.pay("yookassa")
    other, _ = town.pay("yookassa")
    change(
        town,
        f"UPDATE payment SET captured_kopecks = 100, order_id = (SELECT id FROM orders WHERE deal_ref = {other})"
        f" WHERE payment_ref = '{payment_id}'",
    )
    first = only(town.compare(only=("yookassa",)), payment_id)
    again = only(town.compare(only=("yookassa",)), payment_id)

    assert first.notes[0] == "сообщили не всё: учитывается"
    assert again.verdict == "person"
    assert "уже отнесён к другой сделке" in again.notes[0]


def test_what_was_taken_over_once_and_is_lacking_again_is_worked_again(town: Town) -> None:
    deal_id, payment_id = town.pay("yookassa", is_told=False)
    town.compare(only=("yookassa",))
    change(town, "UPDATE payment SET captured_kopecks = 0")
    change(town, "UPDATE payment SET status = 'authorised'")

    town.compare(only=("yookassa",))

    assert town.kept(deal_id) == 499_000
    assert only(town.compare(only=("yookassa",)), payment_id).verdict == "agrees"


def test_a_second_part_refund_at_tbank_is_asked_too_and_the_question_names_the_payment(town: Town) -> None:
    _, payment_id = town.pay("tbank")
    town.refund_in_the_cabinet(payment_id, 100_000)
    town.compare(only=("tbank",))
    assert len(town.parked()) == 1
    assert f"tbank:{payment_id}" in town.parked()[0]

    town.refund_in_the_cabinet(payment_id, 100_000)
    for _ in range(2):
        assert only(town.compare(only=("tbank",)), payment_id).verdict == "person"

    assert len(town.parked()) == 2


@pytest.mark.parametrize("change_to", ["captured_kopecks = 500000", "refunded_kopecks = 100000"])
@pytest.mark.parametrize("bank", ["yookassa", "sber", "paykeeper"])
def test_a_bank_that_tells_all_and_says_less_than_the_book_is_a_question(town: Town, bank: str, change_to: str) -> None:
    _, payment_id = town.pay(bank)
    change(town, f"UPDATE payment SET {change_to}")

    told = only(town.compare(only=(bank,)), payment_id)

    assert told.verdict == "person", told
    assert f"{bank}:{payment_id}" in town.parked()[0]


def test_a_payment_undone_on_its_own_day_shows_no_sum_and_is_given_back_whole(town: Town) -> None:
    deal_id, payment_id = town.pay("sber")
    with_lost_callbacks(town, f"/sim/payments/{payment_id}/void")

    told = only(town.compare(only=("sber",)), payment_id)

    assert (told.verdict, town.kept(deal_id)) == ("repaired", 0)
    assert only(town.compare(only=("sber",)), payment_id).verdict == "agrees"
    town.check()


def test_money_in_the_book_of_a_payment_that_the_bank_has_declined_is_a_question(town: Town) -> None:
    made = town.shop.bank("POST", "/sim/pay", {"acquirer": "tbank", "amount_kopecks": 100_000, "two_stage": True})
    payment_id = str(made.get("payment_id") or made["id"])
    town.until(lambda: bool(answer(town, "SELECT count(*) FROM payment")))
    with_lost_callbacks(town, f"/sim/payments/{payment_id}/void")
    change(town, "UPDATE payment SET captured_kopecks = 100000, status = 'captured'")

    told = only(town.compare(only=("tbank",)), payment_id)

    assert (told.verdict, told.bank_captured_kopecks, told.our_captured_kopecks) == ("person", 0, 100_000)


def test_what_the_bank_does_not_tell_is_no_difference(town: Town) -> None:
    """A dispute's own day: what was captured stands in another list."""
    _, payment_id = town.pay("stripe")
    town.shop.bank("POST", f"/sim/payments/{payment_id}/chargeback", {"amount_kopecks": 100_000})
    town.until(lambda: bool(answer(town, "SELECT count(*) FROM payment_refund")))

    lines = town.compare(only=("stripe",))
    [row] = totals(lines)

    assert len(lines) == 1
    assert row["bank_kopecks"] == row["our_kopecks"]
    assert (row["bank_kopecks"], row["uncompared_kopecks"]) == (399_000, 0)


def test_what_nobody_can_ask_for_stands_beside_and_is_no_difference(town: Town) -> None:
    town.pay("prodamus")

    [row] = totals(town.compare(only=("prodamus",)))

    assert (row["bank_kopecks"], row["our_kopecks"], row["uncompared_kopecks"]) == (0, 0, 499_000)


def test_points_that_a_damaged_order_lacks_are_put_right_and_a_dry_run_moves_none(town: Town) -> None:
    deal_id, payment_id = town.pay("yookassa")
    order_id = answer(town, f"SELECT id FROM orders WHERE deal_ref = {deal_id}")
    earned = answer(town, POINTS)
    change(town, "UPDATE payment SET captured_kopecks = 100000")

    def converge(tx: sa.Connection) -> None:
        order = orders.lock(tx, int(str(order_id)))
        points.converge_order(tx, town.rt, order, occurred_at=town.rt.now(), now=town.rt.now())

    town.rt.db.run(converge)
    change(town, "UPDATE payment SET captured_kopecks = 499000")  # the book knows of it, the points do not
    left = answer(town, POINTS)
    assert left != earned

    tried = only(town.compare(repair=False), payment_id)
    assert (tried.verdict, tried.notes[0]) == ("would_repair", "баллы будут исправлены")
    assert answer(town, POINTS) == left
    told = only(town.compare(), payment_id)

    assert (told.verdict, told.notes[0]) == ("repaired", "баллы исправлены")
    assert answer(town, POINTS) == earned
    town.check()
