"""An invoice of the deal follows its money; over HTTP with the simulated CRM's list of invoices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flow_desk import Desk, make_desk
from kopilka_testing import Shop, StandingClock

from flows import lookup
from flows.runtime import Runtime

pytestmark = pytest.mark.slow


@pytest.fixture
def desk(rt: Runtime, shop: Shop, clock: StandingClock) -> Desk:
    made = make_desk(rt, shop, clock)
    made.rt.file = replace(made.rt.file, amocrm=replace(made.rt.crm_names, mark_invoices=True))
    return made


def invoice(desk: Desk, **given: Any) -> int:
    made = desk.shop.crm("POST", f"/sim/deals/{desk.deal_id}/invoice", given)
    return int(made.get("invoice_id") or made["id"])


def status(desk: Desk, invoice_id: int) -> str:
    return str(desk.shop.crm("GET", f"/sim/invoices/{invoice_id}")["status"])


def test_an_invoice_is_partly_paid_then_paid_then_open_again(desk: Desk) -> None:
    desk.opens()
    one = invoice(desk)

    desk.bank_says(kopecks=100_000, payment_id=1)
    assert status(desk, one) == "partially_paid"
    desk.bank_says(kopecks=399_000, payment_id=2)
    assert status(desk, one) == "paid"
    desk.bank_says("REFUNDED", kopecks=399_000, payment_id=2)
    assert status(desk, one) == "partially_paid"
    desk.bank_says("REFUNDED", kopecks=100_000, payment_id=1)
    assert status(desk, one) == "created"
    desk.check()


def test_an_invoice_paid_with_points_in_part_is_paid(desk: Desk) -> None:
    desk.opens()
    one = invoice(desk)
    desk.types(500)

    desk.bank_says(kopecks=449_000)

    assert status(desk, one) == "paid"


def test_of_several_invoices_none_is_guessed_and_a_person_may_mark_one(desk: Desk) -> None:
    desk.opens()
    several = [invoice(desk), invoice(desk)]

    desk.bank_says()

    assert [status(desk, one) for one in several] == ["created", "created"]
    assert desk.fields["Оплата"] == "оплачено"


def names(desk: Desk, invoice_id: int, kopecks: int) -> None:
    """A payment made from the CRM's invoice."""
    desk.shop.bank(
        "POST",
        "/sim/pay",
        {
            "acquirer": "yookassa",
            "amount_kopecks": kopecks,
            "metadata": {"lead_id": str(desk.deal_id), "invoice_id": str(invoice_id)},
        },
    )
    made = desk.shop.bank("GET", "/sim/state")["payments"][-1]
    desk.notice(str(made["id"]))


def test_each_payment_marks_the_invoice_that_it_names(desk: Desk) -> None:
    desk.opens()
    first, second, third = invoice(desk), invoice(desk), invoice(desk)

    names(desk, first, 200_000)
    assert [status(desk, one) for one in (first, second, third)] == ["partially_paid", "created", "created"]
    names(desk, second, 299_000)

    assert [status(desk, one) for one in (first, second, third)] == ["paid", "paid", "created"]


def test_a_payment_that_names_another_deals_invoice_marks_none_of_this_one(desk: Desk) -> None:
    desk.opens()
    one = invoice(desk)

    names(desk, one + 1_000_000, 499_000)

    assert status(desk, one) == "created"
    assert desk.fields["Оплата"] == "оплачено"


def test_an_invoice_that_somebody_marked_is_not_written_twice(desk: Desk) -> None:
    desk.opens()
    one = invoice(desk, status="paid")

    desk.bank_says()

    assert status(desk, one) == "paid"
    desk.check()


def test_without_lists_in_the_tariff_the_owner_is_told_and_everything_else_goes_on(desk: Desk) -> None:
    desk.opens()
    desk.shop.crm("POST", "/sim/lists", {"available": False})
    try:
        from kopilka_testing import posted, settle, tbank_body

        from flows import inbox

        inbox.accept_payment(desk.rt, "tbank", posted(tbank_body(desk.deal_id)))
        settle(desk.rt)
        [waiting] = lookup.events(desk.rt, states=["waiting"], limit=5)[1]
        assert "mark_invoices" in waiting.outcome
        assert desk.fields["Оплачено"] == "4990"
        assert desk.balance.available == 2_300
    finally:
        desk.shop.crm("POST", "/sim/lists", {"available": True})
