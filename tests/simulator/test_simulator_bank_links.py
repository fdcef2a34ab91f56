"""Links to pay by, with receipts: YooKassa, T-Bank and CloudPayments, and the page on which a buyer pays."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from bank_testing import DEAL
from link_orders import CLOUDPAYMENTS, SHOP, TBANK, YOOKASSA, begun, changed, cloudpayments, tbank, yookassa

three = pytest.mark.parametrize("name", ["yookassa", "tbank", "cloudpayments"])


@three
def test_a_buyer_sees_the_receipt_pays_and_goes_back_to_the_shop(bank: Any, name: str) -> None:
    payment_id, url = begun(bank, name)

    page = requests.get(url, timeout=5).text
    paid = requests.post(url, data={"step": "authorize"}, timeout=5, allow_redirects=False)
    again = requests.post(url, data={"step": "authorize"}, timeout=5, allow_redirects=False)

    for words in ("2\u00a0490,50\u00a0₽", "Кроссовки", "Доставка", "2\u00a0400,50\u00a0₽", "anna@example.ru"):
        assert words in page
    assert (paid.status_code, paid.headers["Location"]) == (303, SHOP)
    assert again.headers["Location"].startswith("/pay/")
    shown = bank.get(f"/sim/payments/{payment_id}")
    assert (shown["status"], shown["captured"], shown["receipt"]["total"]) == ("captured", 249_050, 249_050)
    assert [(row["sum"], row["quantity"]) for row in shown["receipt"]["lines"]] == [(240_050, "2"), (9_000, "1")]
    assert shown["lead_id"] == DEAL
    assert "Оплатить" not in requests.get(url, timeout=5).text


@three
def test_a_refused_card_leads_to_the_shops_page_of_failure(bank: Any, name: str) -> None:
    payment_id, url = begun(bank, name)

    answer = requests.post(url, data={"step": "reject"}, timeout=5, allow_redirects=False)

    assert bank.get(f"/sim/payments/{payment_id}")["status"] == "rejected"
    back = {"tbank": f"{SHOP}/fail", "yookassa": SHOP}.get(name)
    assert answer.headers["Location"] == back or answer.headers["Location"].startswith("/pay/")


def test_nobody_pays_by_a_link_that_does_not_exist(bank: Any) -> None:
    assert requests.get(f"{bank.url}/pay/nothing", timeout=5).status_code == 404


@pytest.mark.parametrize(
    ("path", "value", "parameter"),
    [
        ("receipt/items/0/quantity", "3", "receipt.items"),
        ("receipt/items/0/quantity", 0, "receipt.items[0].quantity"),
        ("receipt/items/0/quantity", "1.0001", "receipt.items[0].quantity"),
        ("receipt/items/0/vat_code", 13, "receipt.items[0].vat_code"),
        ("receipt/items/0/vat_code", ..., "receipt.items[0].vat_code"),
        ("receipt/items/1/amount/value", "0.00", "receipt.items[1].amount.value"),
        ("receipt/items/1/description", "Д" * 129, "receipt.items[1].description"),
        ("receipt/items/0/payment_mode", "later", "receipt.items[0].payment_mode"),
        ("receipt/items/0/payment_subject", "thing", "receipt.items[0].payment_subject"),
        ("receipt/items", [], "receipt.items"),
        ("receipt/customer", {}, "receipt.customer"),
        ("receipt/customer", {"phone": "+7 (916) 123-45-67"}, "receipt.customer.phone"),
        ("receipt/customer/email", "anna", "receipt.customer.email"),
        ("confirmation/return_url", "javascript:alert(1)", "confirmation.return_url"),
        ("description", "Д" * 129, "description"),
        ("metadata/note", "Д" * 513, "metadata"),
        ("amount/value", "-1", "amount.value"),
    ],
)
def test_yookassa_names_the_parameter_it_refuses(bank: Any, path: str, value: Any, parameter: str) -> None:
    answer = yookassa(bank, "payments", changed(YOOKASSA, path, value))

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["parameter"] == parameter


def test_yookassa_makes_one_payment_for_one_key(bank: Any) -> None:
    first, again = (yookassa(bank, "payments", YOOKASSA, "one").json() for _ in range(2))
    other = yookassa(bank, "payments", changed(YOOKASSA, "amount/value", "1.00"), "one")
    bank.post("/sim/clock", {"skip_s": 24 * 3600 + 1})
    new = yookassa(bank, "payments", YOOKASSA, "one").json()
    bank.post("/sim/clock", {})

    assert first == again
    assert (other.status_code, other.json()["parameter"]) == (400, "Idempotence-Key")
    assert new["id"] != first["id"]
    assert first["confirmation"]["return_url"] == SHOP


def test_yookassa_holds_the_money_unless_told_to_take_it_and_drops_no_link(bank: Any) -> None:
    made = yookassa(bank, "payments", changed(YOOKASSA, "capture", ...)).json()
    refused = yookassa(bank, f"payments/{made['id']}/cancel", {}, "c")
    bank.post(f"/sim/payments/{made['id']}/authorize")

    assert refused.status_code == 400
    assert yookassa(bank, f"payments/{made['id']}/cancel", {}, "d").json()["status"] == "canceled"


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("Receipt/Items/0/Amount", 240_051, "9999"),
        ("Receipt/Items/1/Price", 9_001, "9999"),
        ("Receipt/Items/0/Tax", "vat19", "9999"),
        ("Receipt/Items/0/Quantity", 2.0001, "310"),
        ("Receipt/Items/0/PaymentMethod", "later", "9999"),
        ("Receipt/Items/1", {"Name": "Д", "Price": 1, "Quantity": 1, "Amount": 1, "Tax": "none"}, "308"),
        ("Receipt/Items", [], "309"),
        ("Receipt/Taxation", "none", "9999"),
        ("Receipt/Email", "", "206"),
        ("Receipt/Email", "anna", "224"),
        ("Receipt/FfdVersion", "1.2", "201"),
        ("Receipt/Payments", {"Electronic": 1}, "334"),
        ("Receipt", [], "309"),
        ("DATA", {str(number): "x" for number in range(21)}, "207"),
        ("DATA", {"x" * 21: "x"}, "208"),
        ("DATA", {"x": "x" * 101}, "209"),
        ("OrderId", "", "212"),
        ("Description", "x" * 141, "213"),
        ("SuccessURL", "shop.example", "9999"),
        ("RedirectDueDate", "soon", "9999"),
        ("RedirectDueDate", "2020-01-01T00:00:00+03:00", "9999"),
    ],
)
def test_tbank_refuses_with_its_codes(bank: Any, path: str, value: Any, code: str) -> None:
    order = copy.deepcopy(TBANK) if "/" in path else {**TBANK, path: value}
    told = tbank(bank, "Init", **(changed(order, path, value) if "/" in path else order))

    assert (told["Success"], told["ErrorCode"]) == (False, code)
    assert told["Details"] or code == "9999"


def test_points_may_stand_in_the_receipt_as_an_advance(bank: Any) -> None:
    order = changed(TBANK, "Amount", 200_000)
    order["Receipt"]["Payments"] = {"Electronic": 200_000, "AdvancePayment": 49_050}

    told = tbank(bank, "Init", **order)

    receipt = bank.get(f"/sim/payments/{told['PaymentId']}")["receipt"]
    assert (receipt["total"], receipt["paid"]) == (249_050, {"electronic": 200_000, "advancepayment": 49_050})


def test_a_link_past_its_time_cannot_be_paid_and_nobody_is_told(bank: Any, receiver: Any) -> None:
    due = (datetime.now(UTC) + timedelta(hours=2)).isoformat(timespec="seconds")
    told = tbank(bank, "Init", **TBANK, RedirectDueDate=due)
    before = tbank(bank, "GetState", PaymentId=told["PaymentId"])["Status"]

    bank.post("/sim/clock", {"skip_s": 2 * 3600 + 1})
    page = requests.get(told["PaymentURL"], timeout=5).text
    paid = requests.post(told["PaymentURL"], data={"step": "authorize"}, timeout=5, allow_redirects=False)
    bank.post("/sim/clock", {})

    assert (before, tbank(bank, "GetState", PaymentId=told["PaymentId"])["Status"]) == ("NEW", "DEADLINE_EXPIRED")
    assert "срок ссылки вышел" in page
    assert paid.headers["Location"].startswith("/pay/")
    assert bank.get(f"/sim/payments/{told['PaymentId']}")["captured"] == 0
    assert [row["Status"] for row in tbank(bank, "CheckOrder", OrderId=TBANK["OrderId"])["Payments"]] == [
        "DEADLINE_EXPIRED"
    ]
    assert tbank(bank, "Cancel", PaymentId=told["PaymentId"])["Success"] is False
    assert bank.get("/sim/callbacks")["callbacks"] == []


def test_an_expired_link_is_told_on_request_and_a_dropped_one_is_dropped(bank: Any, receiver: Any) -> None:
    told = tbank(bank, "Init", **TBANK)
    dropped = tbank(bank, "Init", **{**TBANK, "OrderId": "L1-2"})

    bank.post(f"/sim/payments/{told['PaymentId']}/expire", {"silent": False})
    assert tbank(bank, "Cancel", PaymentId=dropped["PaymentId"])["Status"] == "CANCELED"

    statuses = {json.loads(body)["Status"] for body in receiver.wait_for("/pay/tbank", 2)}
    assert statuses == {"DEADLINE_EXPIRED", "CANCELED"}
    refused = requests.post(f"{bank.url}/sim/payments/{dropped['PaymentId']}/authorize", timeout=5)
    assert refused.status_code == 400


def test_an_unpaid_order_may_be_begun_twice_a_paid_one_may_not(bank: Any, receiver: Any) -> None:
    first, second = (tbank(bank, "Init", **TBANK, NotificationURL=f"{receiver.url}/own") for _ in range(2))
    bank.post(f"/sim/payments/{second['PaymentId']}/authorize")

    third = tbank(bank, "Init", **TBANK)

    assert first["PaymentId"] != second["PaymentId"]
    assert (third["Success"], third["ErrorCode"]) == (False, "8")
    assert len(tbank(bank, "CheckOrder", OrderId=TBANK["OrderId"])["Payments"]) == 2
    [told, _other] = [json.loads(body) for body in receiver.wait_for("/own", 2)]
    assert told["Data"]["deal"] == "1234"


RECEIPT = "JsonData/CloudPayments/CustomerReceipt"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("Amount", 0),
        ("Amount", 10.001),
        ("Description", ""),
        ("Currency", "XXX"),
        ("SuccessRedirectUrl", "thanks"),
        ("JsonData", "{"),
        (f"{RECEIPT}/Items", []),
        (f"{RECEIPT}/Items/0/label", ""),
        (f"{RECEIPT}/Items/0/amount", 2400.51),
        (f"{RECEIPT}/Items/0/price", -1),
        (f"{RECEIPT}/Items/0/vat", 19),
        (f"{RECEIPT}/Items/1/method", 8),
        (f"{RECEIPT}/email", ""),
        (f"{RECEIPT}/taxationSystem", 9),
        (f"{RECEIPT}/amounts/electronic", 1),
    ],
)
def test_cloudpayments_refuses_an_order_it_does_not_understand(bank: Any, path: str, value: Any) -> None:
    told = cloudpayments(bank, "/orders/create", changed(CLOUDPAYMENTS, path, value))

    assert told["Success"] is False
    assert told["Message"]


def test_a_cancelled_order_cannot_be_paid_and_a_paid_one_not_cancelled(bank: Any) -> None:
    key = {"X-Request-ID": "one"}
    first, again = (cloudpayments(bank, "/orders/create", CLOUDPAYMENTS, **key)["Model"] for _ in range(2))
    other = cloudpayments(bank, "/orders/create", CLOUDPAYMENTS)["Model"]
    order = {"InvoiceId": CLOUDPAYMENTS["InvoiceId"]}

    assert cloudpayments(bank, "/v2/payments/find", order) == {"Success": False, "Message": "Not found"}
    assert cloudpayments(bank, "/orders/cancel", {"Id": first["Id"]})["Success"] is True
    requests.post(first["Url"], data={"step": "authorize"}, timeout=5)
    requests.post(other["Url"], data={"step": "authorize"}, timeout=5, allow_redirects=False)

    assert first == again
    assert first["Id"] != other["Id"]
    assert "Оплатить" not in requests.get(first["Url"], timeout=5).text
    assert cloudpayments(bank, "/orders/cancel", {"Id": other["Id"]})["Success"] is False
    assert cloudpayments(bank, "/orders/cancel", {"Id": "nothing"})["Success"] is False
    assert bank.get("/sim/payments/" + first["Id"])["status"] == "canceled"
    assert cloudpayments(bank, "/v2/payments/find", order)["Model"]["Status"] == "Completed"
