"""The simulated CloudPayments: acquirers reference section 4, checked by the test's own arithmetic."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import pytest
import requests
from bank_testing import DEAL, PAYER, Call, calls, genuine, log, pay, wait_for

from simulator.cloudpayments_notices import signature
from simulator.wire import dotnet_form

NAME = "cloudpayments"
BASIC = ("pk_test", "cp-secret")
Eventually = Callable[..., None]


def hmac_of(message: bytes, secret: str = "cp-secret") -> str:
    return base64.b64encode(hmac.new(secret.encode(), message, hashlib.sha256).digest()).decode()


def api(bank: Any, path: str, body: Any, auth: Any = BASIC, **headers: str) -> Any:
    answer = requests.post(bank.url + path, json=body, auth=auth, headers=headers, timeout=5)
    return answer.json() if answer.status_code == 200 else answer.status_code


@pytest.fixture
def took(receiver: Any, eventually: Eventually) -> Callable[[int], dict[str, list[Call]]]:
    """The callbacks by their `type`, once there are so many; the shop accepts them all."""
    receiver.answer = lambda _path, _body: b'{"code":0}'

    def by_type(count: int) -> dict[str, list[Call]]:
        found: dict[str, list[Call]] = {}
        for call in wait_for(eventually, receiver, NAME, count):
            found.setdefault(dict(parse_qsl(call.query))["type"], []).append(call)
        return found

    return by_type


@pytest.mark.parametrize("vector", genuine(NAME), ids=lambda vector: str(vector["name"]))
def test_known_examples_are_written_and_signed_just_so(vector: dict[str, Any]) -> None:
    body = vector["body"]
    pairs = parse_qsl(body, keep_blank_values=True)

    if "Content-HMAC" in vector["headers"]:
        assert dotnet_form(pairs) == body
        assert signature(body, vector["secret"]) == vector["expected"]
    else:
        assert signature(unquote_plus(body), vector["secret"]) == vector["expected"]


def test_a_one_stage_payment_sends_one_pay_that_is_completed(bank: Any, took: Any) -> None:
    payment = pay(bank, NAME, metadata={"invoice_id": "77"})

    [call] = took(1)["pay"]

    assert call.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert call.headers["Content-HMAC"] == hmac_of(call.body)
    assert call.headers["X-Content-HMAC"] == hmac_of(unquote_plus(call.body.decode()).encode())
    told = call.fields
    assert (told["TransactionId"], told["Status"], told["Amount"]) == (payment["id"], "Completed", "2990.00")
    assert (told["InvoiceId"], told["Email"], told["TestMode"]) == (f"L{DEAL}-1", PAYER["email"], "0")
    assert json.loads(told["Data"]) == {"invoice_id": "77"}
    assert b"%d0" in call.body
    assert b"%D0" not in call.body


def test_a_get_notification_signs_the_query_as_it_is_sent(bank: Any, took: Any) -> None:
    bank.post(f"/sim/cabinet/{NAME}", {"method": "GET"})
    pay(bank, NAME)

    [call] = took(1)["pay"]

    assert call.body == b""
    assert "%3a" in call.query
    assert call.headers["Content-HMAC"] == hmac_of(call.query.encode())
    assert log(bank)[0]["method"] == "GET"


def test_a_hold_is_authorized_then_confirmed_in_part(bank: Any, took: Any) -> None:
    held = pay(bank, NAME, two_stage=True)

    assert api(bank, "/payments/confirm", {"TransactionId": int(held["id"]), "Amount": 2000})["Success"] is True

    told = took(2)
    assert told["pay"][0].fields["Status"] == "Authorized"
    assert (told["confirm"][0].fields["Status"], told["confirm"][0].fields["Amount"]) == ("Completed", "2000.00")


def test_a_hold_is_voided_and_a_refusal_fails(bank: Any, took: Any) -> None:
    held = pay(bank, NAME, two_stage=True)
    assert api(bank, "/payments/void", {"TransactionId": held["id"]})["Success"] is True
    pay(bank, NAME, reject=True)

    told = took(3)

    assert told["cancel"][0].fields["TransactionId"] == held["id"]
    assert (told["fail"][0].fields["ReasonCode"], "Status" in told["fail"][0].fields) == ("5051", False)


def test_two_equal_refunds_have_numbers_of_their_own(bank: Any, took: Any) -> None:
    payment = pay(bank, NAME)
    order = {"TransactionId": int(payment["id"]), "Amount": 490}

    first, again = (api(bank, "/payments/refund", order, **{"X-Request-ID": "r1"}) for _ in range(2))
    second = api(bank, "/payments/refund", order, **{"X-Request-ID": "r2"})
    too_much = api(bank, "/payments/refund", {**order, "Amount": 2010.01})

    assert first == again
    numbers = [str(answer["Model"]["TransactionId"]) for answer in (first, second)]
    assert too_much["Success"] is False
    refunds = took(3)["refund"]
    assert sorted(call.fields["TransactionId"] for call in refunds) == sorted(numbers)
    assert {call.fields["PaymentTransactionId"] for call in refunds} == {payment["id"]}
    assert {call.fields["Amount"] for call in refunds} == {"490.00"}


def test_the_api_reads_payments_and_finds_the_last_operation(bank: Any) -> None:
    payment = pay(bank, NAME)
    number = int(payment["id"])
    refund = api(bank, "/payments/refund", {"TransactionId": number, "Amount": 490})["Model"]["TransactionId"]

    read = api(bank, "/payments/get", {"TransactionId": number})["Model"]
    found = api(bank, "/v2/payments/find", {"InvoiceId": f"L{DEAL}-1"})["Model"]
    period = {"CreatedDateGte": "2020-01-01", "CreatedDateLte": "2100-01-01T00:00:00+03:00", "PageNumber": 1}
    listed = api(bank, "/v2/payments/list", period)["Model"]

    assert (read["Amount"], read["Status"], read["Refunded"], read["Type"]) == (2990.0, "Completed", True, 0)
    assert (found["TransactionId"], found["OriginalTransactionId"], found["Amount"]) == (refund, number, 490.0)
    assert [row["TransactionId"] for row in listed] == [number, refund]
    assert api(bank, "/v2/payments/find", {"InvoiceId": "L1-1"}) == {"Success": False, "Message": "Not found"}


def test_a_declined_payment_is_found_without_success(bank: Any) -> None:
    payment = pay(bank, NAME, reject=True)

    found = api(bank, "/payments/get", {"TransactionId": payment["id"]})

    assert (found["Success"], found["Model"]["Status"]) == (False, "Declined")


@pytest.mark.parametrize("auth", [None, ("pk_test", "no"), ("no", "cp-secret")])
def test_strangers_read_nothing(bank: Any, auth: Any) -> None:
    assert api(bank, "/payments/get", {"TransactionId": 1}, auth) == 401


def test_a_chargeback_is_listed_and_withdrawn(bank: Any, receiver: Any) -> None:
    payment = pay(bank, NAME)
    bank.post(f"/sim/payments/{payment['id']}/chargeback", {"amount_kopecks": 100_000})
    bank.post(f"/sim/payments/{payment['id']}/chargeback_won")

    now = datetime.now(UTC)
    ends = [(now + timedelta(days=days)).isoformat() for days in (-300, 1, 90)]
    period = {"CreatedDateGte": ends[0], "CreatedDateLte": ends[1], "PageNumber": 1}
    claims = api(bank, "/chargebacks/list", period)["Model"]

    assert [row["Operation"] for row in claims] == ["Presentment", "Representment"]
    assert {(row["TransactionId"], row["Amount"]) for row in claims} == {(int(payment["id"]), 1000.0)}
    assert len({row["ChargeBackId"] for row in claims}) == 1
    assert api(bank, "/chargebacks/list", {**period, "CreatedDateLte": ends[2]})["Success"] is False


@pytest.mark.parametrize("reply", [b"", b"OK", b'{"code":13}', b'{"code":false}', b"[0]"])
def test_anything_but_code_0_is_repeated_after_a_minute(
    bank: Any, receiver: Any, eventually: Eventually, reply: bytes
) -> None:
    receiver.answer = lambda _path, _body: reply
    pay(bank, NAME)
    eventually(lambda: log(bank)[0]["tries"] == 1)

    refused = log(bank)[0]
    receiver.answer = lambda _path, _body: b'{"code":0}'
    bank.post("/sim/clock", {"skip_s": 61})

    assert (refused["state"], refused["reply"]) == ("waiting", reply.decode())
    eventually(lambda: log(bank)[0]["state"] == "accepted")
    assert len({call.body for call in calls(receiver, NAME)}) == 1


@pytest.mark.parametrize(("reply", "status"), [(b'{"code":0}', "captured"), (b'{"code":13}', "rejected")])
def test_a_check_decides_about_the_payment(
    bank: Any, receiver: Any, eventually: Eventually, reply: bytes, status: str
) -> None:
    bank.post(f"/sim/cabinet/{NAME}", {"check": True})
    receiver.answer = lambda path, _body: reply if path.endswith("check") else b'{"code":0}'

    begun = pay(bank, NAME)

    assert begun["status"] == "new"
    eventually(lambda: bank.get("/sim/state")["payments"][0]["status"] == status)
    kinds = [dict(parse_qsl(call.query))["type"] for call in wait_for(eventually, receiver, NAME, 2)]
    assert kinds == ["check", "pay" if status == "captured" else "fail"]


def test_an_order_begun_over_the_api_is_paid_on_the_banks_page(bank: Any, took: Any) -> None:
    order = {"Amount": 100.5, "Description": "Заказ", "InvoiceId": f"L{DEAL}-2", "Email": "a@b.ru"}
    made = api(bank, "/orders/create", order)["Model"]

    assert "Оплатить" in requests.get(made["Url"], timeout=5).text
    bank.post(f"/sim/payments/{made['Id']}/authorize")

    [call] = took(1)["pay"]
    assert (call.fields["Amount"], call.fields["InvoiceId"]) == ("100.50", f"L{DEAL}-2")
