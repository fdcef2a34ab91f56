"""The simulated bank: acquirers reference sections 2 and 3, checked by the test's own arithmetic."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from simulator.tbank import token as simulated_token

PASSWORD = "Dfsfh56dgKl"
BASIC = ("100500", "shop-secret")
# T-Bank's documentation, "Уведомления об операциях", the worked example.
OFFICIAL = json.loads(
    '{"TerminalKey":"1321054611234DEMO","OrderId":"201709","Success":true,"Status":"AUTHORIZED","PaymentId":8742591,'
    '"ErrorCode":"0","Amount":9855,"CardId":322264,"Pan":"430000******0777","ExpDate":"1122","RebillId":101709,'
    '"Token":"b906d28e76c6428e37b25fcf86c0adc52c63d503013fdd632e300593d165766b"}'
)
# T-Bank's documentation, token section: Receipt and DATA are not signed.
OFFICIAL_REQUEST = json.loads(
    '{"TerminalKey":"MerchantTerminalKey","Amount":19200,"OrderId":"21090",'
    '"Description":"Подарочная карта на 1000 рублей","DATA":{"Phone":"+71234567890","Email":"a@test.com"},'
    '"Receipt":{"Email":"a@test.ru","Phone":"+79031234567","Taxation":"osn"},'
    '"Token":"0024a00af7c350a3a67ca168ce06502aa72772456662e38696d48b56ee9c97d9"}'
)


def token_of(body: dict[str, Any], password: str = PASSWORD) -> str:
    """The rule as the documentation tells it, written once more here."""
    pairs = {key: value for key, value in body.items() if not isinstance(value, dict | list) and key != "Token"}
    pairs["Password"] = password
    words = [json.dumps(value) if isinstance(value, bool) else str(value) for _key, value in sorted(pairs.items())]
    return hashlib.sha256("".join(words).encode()).hexdigest()


def pay(bank: Any, acquirer: str = "tbank", **more: Any) -> dict[str, Any]:
    order = {"acquirer": acquirer, "deal_id": 10_000_001, "amount_kopecks": 299_000, **more}
    payment: dict[str, Any] = bank.post("/sim/pay", order)
    return payment


def tbank(bank: Any, method: str, **params: Any) -> dict[str, Any]:
    body = {"TerminalKey": "1321054611234DEMO", **params}
    body["Token"] = token_of(body)
    answer: dict[str, Any] = requests.post(f"{bank.url}/v2/{method}", json=body, timeout=5).json()
    return answer


def yookassa(bank: Any, method: str, path: str, body: Any = None, key: str = "k1") -> requests.Response:
    headers = {"Idempotence-Key": key}
    return requests.request(method, f"{bank.url}/v3{path}", json=body, auth=BASIC, headers=headers, timeout=5)


@pytest.mark.parametrize(("body", "password"), [(OFFICIAL, PASSWORD), (OFFICIAL_REQUEST, "usaf8fw8fsw21g")])
def test_tokens_are_those_of_the_official_examples(body: dict[str, Any], password: str) -> None:
    assert token_of(body, password) == body["Token"]
    assert simulated_token(body, password) == body["Token"]


def test_a_one_stage_payment_sends_authorized_and_confirmed_with_real_tokens(bank: Any, receiver: Any) -> None:
    payment = pay(bank)

    bodies = [json.loads(raw) for raw in receiver.wait_for("/pay/tbank", 2)]

    assert sorted(body["Status"] for body in bodies) == ["AUTHORIZED", "CONFIRMED"]
    for body in bodies:
        assert body["Token"] == token_of(body)
        assert body["Success"] is True
        assert (body["OrderId"], body["Amount"]) == ("L10000001-1", 299_000)
        assert body["PaymentId"] == int(payment["id"])
        assert isinstance(body["Data"], dict)


@pytest.mark.parametrize("reply", [b"ok", b"OK\n", b"<b>OK</b>", b""])
def test_only_the_exact_ok_stops_tbank(bank: Any, receiver: Any, eventually: Callable[..., None], reply: bytes) -> None:
    receiver.reply = lambda _path: reply
    pay(bank)
    receiver.wait_for("/pay/tbank", 2)

    eventually(lambda: all(row["tries"] == 1 for row in bank.get("/sim/callbacks")["callbacks"]))
    states = {row["state"] for row in bank.get("/sim/callbacks")["callbacks"]}
    receiver.reply = lambda _path: b"OK"
    bank.post("/sim/clock", {"skip_s": 3601})

    assert states == {"waiting"}
    eventually(lambda: bank.get("/sim/callbacks")["waiting"] == 0)
    assert {row["reply"] for row in bank.get("/sim/callbacks")["callbacks"]} == {"OK"}


def test_copies_are_byte_for_byte_the_same(bank: Any, receiver: Any) -> None:
    pay(bank, callbacks=5, shuffle=True)

    bodies = receiver.wait_for("/pay/tbank", 10)

    assert len(set(bodies)) == 2


def test_tbank_requests_need_their_token(bank: Any) -> None:
    payment = pay(bank)
    params = {"TerminalKey": "1321054611234DEMO", "PaymentId": payment["id"], "Token": "0" * 64}

    refused = requests.post(f"{bank.url}/v2/GetState", json=params, timeout=5).json()
    answered = tbank(bank, "GetState", PaymentId=payment["id"])

    assert (refused["Success"], refused["ErrorCode"]) == (False, "204")
    assert (answered["Status"], answered["Amount"], answered["PaymentId"]) == ("CONFIRMED", 299_000, payment["id"])


def test_an_order_begun_by_init_is_paid_on_the_banks_page(bank: Any, receiver: Any) -> None:
    begun = tbank(bank, "Init", Amount=100_00, OrderId="L10000002-1", NotificationURL=f"{receiver.url}/own")

    page = requests.get(begun["PaymentURL"], timeout=5)
    bank.post(f"/sim/payments/{begun['PaymentId']}/authorize")

    assert begun["Status"] == "NEW"
    assert "Оплатить" in page.text
    receiver.wait_for("/own", 2)
    [row] = tbank(bank, "CheckOrder", OrderId="L10000002-1")["Payments"]
    assert (row["Status"], row["Success"]) == ("CONFIRMED", "true")


def test_cancel_gives_back_a_part_once_per_request_id(bank: Any, receiver: Any) -> None:
    payment = pay(bank)
    order = {"PaymentId": payment["id"], "Amount": 100_000, "ExternalRequestId": "r1"}

    first, again = tbank(bank, "Cancel", **order), tbank(bank, "Cancel", **order)
    too_much = tbank(bank, "Cancel", PaymentId=payment["id"], Amount=200_000)
    rest = tbank(bank, "Cancel", PaymentId=payment["id"])

    assert (first["Status"], first["OriginalAmount"], first["NewAmount"]) == ("PARTIAL_REFUNDED", 299_000, 199_000)
    assert again["NewAmount"] == 199_000
    assert too_much["Success"] is False
    assert (rest["Status"], rest["NewAmount"]) == ("REFUNDED", 0)
    told = [json.loads(raw)["Status"] for raw in receiver.wait_for("/pay/tbank", 4)]
    assert sorted(told) == ["AUTHORIZED", "CONFIRMED", "PARTIAL_REFUNDED", "REFUNDED"]


def test_a_two_stage_payment_is_held_then_captured_or_reversed(bank: Any) -> None:
    held, dropped = pay(bank, two_stage=True), pay(bank, two_stage=True)

    captured = tbank(bank, "Confirm", PaymentId=held["id"], Amount=200_000)
    reversed_ = tbank(bank, "Cancel", PaymentId=dropped["id"])

    assert (held["status"], captured["Status"], captured["Amount"]) == ("authorized", "CONFIRMED", 200_000)
    assert reversed_["Status"] == "REVERSED"


def test_a_rejected_payment_says_success_false(bank: Any, receiver: Any) -> None:
    pay(bank, reject=True)

    [raw] = receiver.wait_for("/pay/tbank", 1)

    body = json.loads(raw)
    assert (body["Status"], body["Success"], body["Token"]) == ("REJECTED", False, token_of(body))


def test_yookassa_notifies_and_shows_the_same_object(bank: Any, receiver: Any) -> None:
    payment = pay(bank, "yookassa")

    [raw] = receiver.wait_for("/pay/yookassa", 1)

    told = json.loads(raw)
    assert (told["type"], told["event"]) == ("notification", "payment.succeeded")
    assert told["object"] == yookassa(bank, "GET", f"/payments/{payment['id']}").json()
    assert told["object"]["metadata"] == {"lead_id": "10000001", "attempt": "1"}
    assert told["object"]["amount"] == {"value": "2990.00", "currency": "RUB"}


def test_yookassa_counts_partial_refunds_with_ids_of_their_own(bank: Any, receiver: Any) -> None:
    payment = pay(bank, "yookassa")

    def refund(value: str, key: str) -> requests.Response:
        body = {"payment_id": payment["id"], "amount": {"value": value, "currency": "RUB"}}
        return yookassa(bank, "POST", "/refunds", body, key)

    first, repeated, second = refund("490.00", "a"), refund("490.00", "a"), refund("490.00", "b")
    too_much = refund("2010.01", "c")

    assert first.json() == repeated.json()
    assert first.json()["id"] != second.json()["id"]
    assert (too_much.status_code, too_much.json()["code"]) == (400, "invalid_request")
    shown = yookassa(bank, "GET", f"/payments/{payment['id']}").json()
    assert shown["refunded_amount"]["value"] == "980.00"
    listed = yookassa(bank, "GET", f"/refunds?payment_id={payment['id']}").json()["items"]
    assert [row["id"] for row in listed] == [second.json()["id"], first.json()["id"]]
    events = [json.loads(raw)["event"] for raw in receiver.wait_for("/pay/yookassa", 3)]
    assert sorted(events) == ["payment.succeeded", "refund.succeeded", "refund.succeeded"]


def test_a_yookassa_payment_is_created_held_captured_in_part(bank: Any, receiver: Any) -> None:
    body = {
        "amount": {"value": "100.00", "currency": "RUB"},
        "capture": False,
        "metadata": {"lead_id": "10000002", "attempt": "1"},
    }
    created = yookassa(bank, "POST", "/payments", body, "p1").json()
    bank.post(f"/sim/payments/{created['id']}/authorize")

    amount = {"amount": {"value": "60.50", "currency": "RUB"}}
    captured = yookassa(bank, "POST", f"/payments/{created['id']}/capture", amount, "p2").json()

    assert (created["status"], captured["status"]) == ("pending", "succeeded")
    assert captured["amount"]["value"] == "60.50"
    events = [json.loads(raw)["event"] for raw in receiver.wait_for("/pay/yookassa", 2)]
    assert sorted(events) == ["payment.succeeded", "payment.waiting_for_capture"]


def test_yookassa_wants_basic_auth_a_key_and_knows_its_own_payments(bank: Any) -> None:
    stranger = requests.get(f"{bank.url}/v3/payments/x", auth=("100500", "no"), timeout=5)
    keyless = requests.post(f"{bank.url}/v3/refunds", json={}, auth=BASIC, timeout=5)
    foreign = yookassa(bank, "GET", "/payments/22d6d597-000f-5000-9000-145f6df21d6f")

    assert [answer.status_code for answer in (stranger, keyless, foreign)] == [401, 400, 404]
    assert (foreign.json()["type"], foreign.json()["code"]) == ("error", "not_found")


def test_a_notification_can_be_sent_again_by_hand(bank: Any, receiver: Any) -> None:
    payment = pay(bank, "yookassa")
    receiver.wait_for("/pay/yookassa", 1)

    sent = bank.post(f"/sim/payments/{payment['id']}/resend", {"copies": 2, "shuffle": True})

    assert sent == {"sent": 2}
    assert len(set(receiver.wait_for("/pay/yookassa", 3))) == 1


def test_a_shop_that_is_down_gets_its_callback_later(bank: Any, receiver: Any, eventually: Callable[..., None]) -> None:
    bank.post("/sim/peers", {"payments_url": "http://127.0.0.1:9/pay"})
    pay(bank, "yookassa")
    eventually(lambda: bank.get("/sim/callbacks")["callbacks"][0]["tries"] == 1)

    first = bank.get("/sim/callbacks")["callbacks"][0]

    assert (first["status"], first["accepted"]) == (0, False)
    assert first["due_at"] - first["attempts"][0]["at"] == pytest.approx(60, abs=1)


def test_a_refusing_api_is_a_fault_of_the_bank_too(bank: Any) -> None:
    payment = pay(bank, "yookassa")
    bank.post("/sim/faults", {"error_500": 1})

    assert yookassa(bank, "GET", f"/payments/{payment['id']}").status_code == 500
