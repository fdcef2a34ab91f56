"""The simulated Sber and Alfa-Bank: acquirers reference section 6, checked by the test's own arithmetic."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import pytest
import requests
from bank_testing import DEAL, PAYER, calls, genuine, log, pay, wait_for
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from simulator.rbs_notices import signed_text, symmetric

LOGINS = {
    "sber": {"userName": "sber-api", "password": "sber-pw"},
    "alfabank": {"userName": "alfa-api", "password": "alfa-pw"},
}
TICKED = ["amount", "operationRefundedAmount", "email", "phone", "depositedAmount", "refundedAmount", "paymentState"]
Eventually = Callable[..., None]
both_banks = pytest.mark.parametrize("name", ["sber", "alfabank"])


def api(bank: Any, method: str, name: str = "sber", **params: Any) -> dict[str, Any]:
    form = {**LOGINS[name], **params}
    answer = requests.post(f"{bank.url}/payment/rest/{method}.do", data=form, timeout=5)
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    return told


def status(bank: Any, order_id: str, name: str = "sber") -> dict[str, Any]:
    return api(bank, "getOrderStatusExtended", name, orderId=order_id)


def text_of(told: dict[str, str]) -> str:
    return "".join(f"{name};{value};" for name, value in sorted(told.items()) if name not in ("checksum", "sign_alias"))


@pytest.mark.parametrize("vector", genuine("sber", "alfabank"), ids=lambda vector: str(vector["name"]))
def test_known_examples_are_signed_just_so(vector: dict[str, Any]) -> None:
    told = dict(parse_qsl(vector["body"], keep_blank_values=True))

    if vector["algo"] == "hmac-sha256":
        assert symmetric(told, vector["secret"]) == vector["expected"]
        return
    pem = vector["secret"].encode()
    is_certificate = b"CERTIFICATE" in pem
    key = x509.load_pem_x509_certificate(pem).public_key() if is_certificate else serialization.load_pem_public_key(pem)
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(bytes.fromhex(vector["expected"]), signed_text(told).encode(), padding.PKCS1v15(), hashes.SHA512())


@both_banks
def test_money_is_told_by_a_signed_get(bank: Any, receiver: Any, eventually: Eventually, name: str) -> None:
    payment = pay(bank, name)

    [call] = wait_for(eventually, receiver, name, 1)

    told = call.fields
    assert call.body == b""
    assert (told["mdOrder"], told["orderNumber"]) == (payment["id"], f"L{DEAL}-1")
    assert (told["operation"], told["status"]) == ("deposited", "1")
    assert re.fullmatch(r"\w{3} \w{3} \d\d \d\d:\d\d:\d\d MSK \d{4}", told["callbackCreationDate"])
    key = "sber-key" if name == "sber" else "alfa-key"
    assert told["checksum"] == hmac.new(key.encode(), text_of(told).encode(), hashlib.sha256).hexdigest().upper()
    assert "amount" not in told
    eventually(lambda: log(bank)[0]["state"] == "accepted")


@both_banks
def test_an_asymmetric_checksum_fits_the_banks_certificate(
    bank: Any, receiver: Any, eventually: Eventually, name: str
) -> None:
    bank.post(f"/sim/cabinet/{name}", {"checksum": "rsa", "method": "POST", "fields": TICKED})
    pay(bank, name)
    certificate = requests.get(f"{bank.url}/sim/certificates/{name}.pem", timeout=5).content

    [call] = wait_for(eventually, receiver, name, 1)

    told = call.fields
    key = x509.load_pem_x509_certificate(certificate).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(bytes.fromhex(told["checksum"]), text_of(told).encode(), padding.PKCS1v15(), hashes.SHA512())
    assert told["sign_alias"] == "SHA-256 with RSA"
    assert (told["amount"], told["phone"], told["email"]) == ("299000", PAYER["phone"], PAYER["email"])
    assert call.headers["Content-Type"] == "application/x-www-form-urlencoded"


def test_callbacks_may_be_json_and_unsigned(bank: Any, receiver: Any, eventually: Eventually) -> None:
    bank.post("/sim/cabinet/sber", {"checksum": "none", "method": "JSON"})
    payment = pay(bank, "sber")

    [call] = wait_for(eventually, receiver, "sber", 1)

    assert call.headers["Content-Type"] == "application/json"
    assert (call.json["mdOrder"], "checksum" in call.json) == (payment["id"], False)


@pytest.mark.parametrize(
    ("more", "step", "told"),
    [
        ({"two_stage": True}, None, [("approved", "1")]),
        ({"two_stage": True}, "capture", [("approved", "1"), ("deposited", "1")]),
        ({"two_stage": True}, "void", [("approved", "1"), ("reversed", "1")]),
        ({}, "void", [("deposited", "1"), ("reversed", "1")]),
        ({}, "refund", [("deposited", "1"), ("refunded", "1")]),
        ({"reject": True}, None, [("deposited", "0")]),
        ({"reject": True, "two_stage": True}, None, [("approved", "0")]),
    ],
)
def test_every_step_has_its_operation(
    bank: Any, receiver: Any, eventually: Eventually, more: Any, step: str | None, told: list[tuple[str, str]]
) -> None:
    payment = pay(bank, "sber", **more)
    wait_for(eventually, receiver, "sber", 1)
    if step:
        bank.post(f"/sim/payments/{payment['id']}/{step}")

    came = wait_for(eventually, receiver, "sber", len(told))

    assert [(call.fields["operation"], call.fields["status"]) for call in came] == told


@both_banks
def test_equal_partial_refunds_are_told_apart_by_the_api_only(
    bank: Any, receiver: Any, eventually: Eventually, name: str
) -> None:
    bank.post(f"/sim/cabinet/{name}", {"fields": ["operationRefundedAmount"]})
    payment = pay(bank, name)
    order = {"orderId": payment["id"], "amount": 49_000}

    first, again = (api(bank, "refund", name, **order, externalRefundId="r1") for _ in range(2))
    second = api(bank, "refund", name, **order)
    too_much = api(bank, "refund", name, **{**order, "amount": 201_001})

    assert first == again == second
    assert first["errorCode"] == (0 if name == "alfabank" else "0")
    assert too_much["errorCode"] == "7"
    shown = status(bank, payment["id"], name)
    assert shown["paymentAmountInfo"]["refundedAmount"] == 98_000
    assert [row["amount"] for row in shown["refunds"]] == [49_000, 49_000]
    assert shown["refunds"][0]["externalRefundId"] == "r1"
    assert len({row["referenceNumber"] for row in shown["refunds"]}) == 2
    came = wait_for(eventually, receiver, name, 3)
    assert [call.fields.get("operationRefundedAmount") for call in came if call.fields["operation"] == "refunded"] == [
        "49000",
        "49000",
    ]


def test_what_the_documentation_leaves_open_can_be_set_both_ways(bank: Any) -> None:
    payment = pay(bank, "sber")
    bank.post(f"/sim/payments/{payment['id']}/refund", {"amount_kopecks": 49_000})

    literal = status(bank, payment["id"])
    bank.post("/sim/cabinet/sber", {"part_state": "DEPOSITED", "deposited_shrinks": False})
    other = status(bank, payment["id"])

    assert (literal["orderStatus"], literal["paymentAmountInfo"]["depositedAmount"]) == (4, 250_000)
    assert (other["orderStatus"], other["paymentAmountInfo"]["depositedAmount"]) == (2, 299_000)
    assert {row["paymentAmountInfo"]["refundedAmount"] for row in (literal, other)} == {49_000}


def test_the_api_shows_every_state_in_numbers(bank: Any) -> None:
    held, taken, refused = pay(bank, "sber", two_stage=True), pay(bank, "sber"), pay(bank, "sber", reject=True)
    captured = pay(bank, "sber", two_stage=True)
    api(bank, "deposit", orderId=captured["id"], amount=200_000)
    api(bank, "reverse", orderId=held["id"])
    api(bank, "refund", orderId=taken["id"], amount=0)

    shown = {key: status(bank, row["id"]) for key, row in {"h": held, "t": taken, "r": refused, "c": captured}.items()}

    states = {key: (row["orderStatus"], row["paymentAmountInfo"]["paymentState"]) for key, row in shown.items()}
    assert states == {"h": (3, "REVERSED"), "t": (4, "REFUNDED"), "r": (6, "DECLINED"), "c": (2, "DEPOSITED")}
    assert shown["c"]["paymentAmountInfo"]["depositedAmount"] == 200_000
    assert shown["t"]["payerData"] == {"email": PAYER["email"], "phone": PAYER["phone"]}


def test_an_older_version_of_the_answer_knows_less(bank: Any) -> None:
    payment = pay(bank, "sber")
    bank.post("/sim/cabinet/sber", {"version": 2})

    shown = status(bank, payment["id"])

    assert (shown["orderStatus"], shown["amount"]) == (2, 299_000)
    assert not {"paymentAmountInfo", "chargeback", "payerData", "paymentWay"} & set(shown)


def test_a_chargeback_shows_in_the_api_and_is_told_nobody(bank: Any, receiver: Any, eventually: Eventually) -> None:
    payment = pay(bank, "sber")
    wait_for(eventually, receiver, "sber", 1)

    bank.post(f"/sim/payments/{payment['id']}/chargeback")

    assert status(bank, payment["id"])["chargeback"] is True
    bank.post(f"/sim/payments/{payment['id']}/chargeback_won")
    assert status(bank, payment["id"])["chargeback"] is False
    assert len(log(bank)) == 1


def test_each_bank_knows_its_own_shop_and_orders(bank: Any) -> None:
    payment = pay(bank, "sber")
    token = requests.post(
        f"{bank.url}/payment/rest/getOrderStatusExtended.do",
        data={"token": "sber-token", "orderId": payment["id"]},
        timeout=5,
    ).json()

    assert token["orderStatus"] == 2
    assert api(bank, "getOrderStatusExtended", orderNumber=f"L{DEAL}-1")["attributes"][0]["value"] == payment["id"]
    assert status(bank, payment["id"], "alfabank")["errorCode"] == "6"
    assert api(bank, "getOrderStatusExtended", orderId=payment["id"], password="no")["errorCode"] == "5"


def test_three_failures_in_a_row_are_the_end(bank: Any, receiver: Any, eventually: Eventually) -> None:
    receiver.status = 500
    pay(bank, "sber")
    for tries in (1, 2, 3):
        eventually(lambda tries=tries: log(bank)[0]["tries"] == tries)
        bank.post("/sim/clock", {"skip_s": 31})

    assert log(bank)[0]["state"] == "gave_up"
    assert len(calls(receiver, "sber")) == 3
