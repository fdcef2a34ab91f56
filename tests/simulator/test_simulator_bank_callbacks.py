"""What all acquirers of the simulated bank have in common: faults of callbacks, cabinets, the board, the pages."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests
from bank_testing import DEAL, KOPECKS, calls, log, pay, polite, wait_for

pytestmark = pytest.mark.slow

NINE = (
    "tbank",
    "yookassa",
    "cloudpayments",
    "robokassa",
    "sber",
    "alfabank",
    "prodamus",
    "paykeeper",
    "stripe",
)
HOLDING = tuple(name for name in NINE if name != "prodamus")
DISPUTING = ("cloudpayments", "sber", "alfabank", "stripe")
Eventually = Callable[..., None]
any_of_nine = pytest.mark.parametrize("name", NINE)


def telling(bank: Any, name: str) -> dict[str, Any]:
    """A payment whose money is told; ResultUrl2 is off, so that all tell it the same number of times."""
    if name == "robokassa":
        bank.post("/sim/cabinet/robokassa", {"result2": False})
    return pay(bank, name)


@any_of_nine
def test_a_deal_is_paid_through_any_bank_and_refunded_twice_in_equal_parts(
    crm: Any, bank: Any, receiver: Any, eventually: Eventually, name: str
) -> None:
    receiver.answer = polite
    paid = crm.post(f"/sim/deals/{DEAL}/pay", {"acquirer": name, "amount_kopecks": KOPECKS})["payment"]

    for _ in range(2):
        bank.post(f"/sim/payments/{paid['id']}/refund", {"amount_kopecks": 49_000})
    eventually(lambda: crm.get(f"/sim/state?deal={DEAL}")["deals"][0]["payments"][0]["refunded"] == 98_000)
    back = crm.post(f"/sim/deals/{DEAL}/refund")["payments"]

    assert (paid["acquirer"], paid["captured"], paid["lead_id"]) == (name, KOPECKS, DEAL)
    assert [row["refunded"] for row in back] == [KOPECKS]
    assert bank.get("/sim/state")["payments"][0]["payer"]["phone"] == "+79161234567"
    eventually(lambda: bank.get("/sim/state")["callbacks_waiting"] == 0)
    assert {row["state"] for row in log(bank)} == {"accepted"}


@pytest.mark.parametrize("name", HOLDING)
def test_holds_are_captured_in_part_or_dropped(bank: Any, name: str) -> None:
    held, dropped = pay(bank, name, two_stage=True), pay(bank, name, two_stage=True)

    captured = bank.post(f"/sim/payments/{held['id']}/capture", {"amount_kopecks": 200_000})
    void = bank.post(f"/sim/payments/{dropped['id']}/void")

    assert (captured["status"], captured["captured"]) == ("captured", 200_000)
    assert (void["status"], void["captured"]) == ("canceled", 0)


@pytest.mark.parametrize("name", [name for name in NINE if name not in DISPUTING])
def test_who_cannot_tell_of_chargebacks_has_none(bank: Any, name: str) -> None:
    payment = pay(bank, name)

    answer = requests.post(f"{bank.url}/sim/payments/{payment['id']}/chargeback", timeout=5)

    assert (answer.status_code, "узнать нельзя" in answer.json()["error"]) == (400, True)


@any_of_nine
def test_a_lost_callback_is_only_noted_and_can_be_sent_after_all(
    bank: Any, receiver: Any, eventually: Eventually, name: str
) -> None:
    bank.post("/sim/faults", {"callback_lost": 1.0})
    payment = telling(bank, name)

    assert {row["state"] for row in log(bank)} == {"lost"}
    assert calls(receiver, name) == []
    sent = bank.post(f"/sim/payments/{payment['id']}/resend")["sent"]
    assert sent == len(wait_for(eventually, receiver, name, sent)) > 0


@any_of_nine
def test_copies_of_a_callback_say_the_same(bank: Any, receiver: Any, eventually: Eventually, name: str) -> None:
    bank.post("/sim/faults", {"duplicates": [3, 3], "disorder": True})
    telling(bank, name)

    events = 2 if name == "tbank" else 1
    came = wait_for(eventually, receiver, name, 3 * events)

    assert len(came) == 3 * events
    assert len({(call.query, call.body) for call in came}) == events


@any_of_nine
def test_a_late_callback_waits_for_its_time(bank: Any, receiver: Any, eventually: Eventually, name: str) -> None:
    bank.post("/sim/faults", {"callback_delay_s": 3600})
    telling(bank, name)

    assert {row["state"] for row in log(bank)} == {"waiting"}
    assert calls(receiver, name) == []
    bank.post("/sim/clock", {"skip_s": 3601})
    wait_for(eventually, receiver, name, 1)


def test_one_payment_may_lose_its_callbacks_alone(crm: Any, bank: Any) -> None:
    crm.post(f"/sim/deals/{DEAL}/pay", {"acquirer": "paykeeper", "lost": True})
    crm.post(f"/sim/deals/{DEAL}/pay", {"acquirer": "paykeeper"})

    assert sorted(row["state"] == "lost" for row in log(bank)) == [False, True]


def test_a_payment_made_elsewhere_has_a_foreign_order_number(bank: Any, receiver: Any, eventually: Eventually) -> None:
    order = {"acquirer": "paykeeper", "amount_kopecks": 100, "order_id": "Заказ 7/8", "payer": {"phone": "+7916"}}
    payment = bank.post("/sim/pay", order)

    [call] = wait_for(eventually, receiver, "paykeeper", 1)

    assert (payment["lead_id"], call.fields["orderid"]) == (None, "Заказ 7/8")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/sim/cabinet/robokassa", {"algorithm": "crc32"}, 400),
        ("/sim/cabinet/sber", {"nonsense": 1}, 400),
        ("/sim/cabinet/tbank", {}, 404),
        ("/sim/pay", {"acquirer": "unknown", "deal_id": 1, "amount_kopecks": 1}, 400),
    ],
)
def test_nonsense_is_refused_in_words(bank: Any, path: str, body: Any, status: int) -> None:
    answer = requests.post(bank.url + path, json=body, timeout=5)

    assert answer.status_code == status
    assert answer.json()["error"]


def test_a_cabinet_is_as_before_after_a_reset(bank: Any) -> None:
    bank.post("/sim/cabinet/sber", {"fields": ["amount"], "method": "POST"})
    changed = bank.get("/sim/cabinet/sber")
    bank.post("/sim/reset")

    assert (changed["method"], changed["fields"]) == ("POST", ["amount"])
    assert (bank.get("/sim/cabinet/sber")["method"], bank.get("/sim/cabinet/sber")["fields"]) == ("GET", [])


def test_a_reset_waits_for_the_word_that_is_on_its_way_to_the_board(bank: Any, receiver: Any) -> None:
    """Otherwise the board, reset after the bank, hears of a payment of the former world."""
    on_its_way = threading.Event()

    def slowly(path: str, body: bytes) -> bytes:
        if path == "/sim/payments":
            on_its_way.set()
            time.sleep(0.3)
        return polite(path, body)

    receiver.answer = slowly
    bank.post("/sim/peers", {"crm_url": receiver.url})
    pay(bank, "tbank")
    assert on_its_way.wait(5)

    bank.post("/sim/reset")

    assert len(receiver.bodies("/sim/payments")) == 1


def test_the_pages_show_every_bank_and_what_the_shop_answered(
    crm: Any, bank: Any, receiver: Any, eventually: Eventually
) -> None:
    receiver.answer = lambda _path, _body: "нет такого".encode()
    for name in NINE:
        pay(bank, name)
    eventually(lambda: all(row["tries"] for row in log(bank)))

    page, board = requests.get(bank.url, timeout=5).text, requests.get(crm.url, timeout=5).text

    for title in ("CloudPayments", "Robokassa", "Сбер", "Альфа-Банк", "Prodamus", "PayKeeper", "Stripe"):
        assert f"<b>{title}</b>" in page
        assert f">{title}</option>" in board
    assert "нет такого" in page
    assert "Content-HMAC" in page
    assert "GET http://" in page


@pytest.mark.parametrize("path", ["/payments/get", "/v1/refunds", "/payment/rest/refund.do", "/info/settings/token/"])
def test_faults_reach_every_api(bank: Any, path: str) -> None:
    bank.post("/sim/faults", {"error_500": 1})

    assert requests.post(bank.url + path, timeout=5).status_code == 500


def test_certificates_outlive_a_reset_and_a_restart(start_server: Callable[..., Any]) -> None:
    first = start_server("bank")
    before = requests.get(f"{first.url}/media/files/jwtsign.cer", timeout=5).text
    first.post("/sim/reset")
    first.stop()

    again = start_server("bank")

    assert "BEGIN CERTIFICATE" in before
    assert requests.get(f"{again.url}/media/files/jwtsign.cer", timeout=5).text == before
