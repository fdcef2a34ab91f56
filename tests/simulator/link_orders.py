"""Orders of links to pay by, one for each bank that makes them, and calls of their APIs."""

from __future__ import annotations

import copy
import hashlib
from typing import Any

import requests
from bank_testing import DEAL

SHOP = "https://shop.example/thanks"
PASSWORD = "Dfsfh56dgKl"
YOOKASSA: dict[str, Any] = {
    "amount": {"value": "2490.50", "currency": "RUB"},
    "capture": True,
    "confirmation": {"type": "redirect", "return_url": SHOP},
    "description": "Заказ 1234",
    "metadata": {"lead_id": str(DEAL), "attempt": "1"},
    "receipt": {
        "customer": {"email": "anna@example.ru"},
        "items": [
            {
                "description": "Кроссовки трейловые",
                "quantity": "2",
                "amount": {"value": "1200.25", "currency": "RUB"},
                "vat_code": 1,
                "payment_mode": "full_prepayment",
                "payment_subject": "commodity",
            },
            {"description": "Доставка", "quantity": 1, "amount": {"value": "90.00", "currency": "RUB"}, "vat_code": 4},
        ],
    },
}
TBANK: dict[str, Any] = {
    "Amount": 249_050,
    "OrderId": f"L{DEAL}-1",
    "Description": "Заказ 1234",
    "SuccessURL": SHOP,
    "FailURL": f"{SHOP}/fail",
    "DATA": {"source": "crm", "deal": "1234"},
    "Receipt": {
        "Email": "anna@example.ru",
        "Taxation": "usn_income",
        "Items": [
            {"Name": "Кроссовки", "Price": 120_025, "Quantity": 2, "Amount": 240_050, "Tax": "none"},
            {"Name": "Доставка", "Price": 9_000, "Quantity": 1, "Amount": 9_000, "Tax": "vat20"},
        ],
    },
}
CLOUDPAYMENTS: dict[str, Any] = {
    "Amount": 2490.5,
    "Currency": "RUB",
    "Description": "Заказ 1234",
    "InvoiceId": f"L{DEAL}-1",
    "Email": "anna@example.ru",
    "SuccessRedirectUrl": SHOP,
    "JsonData": {
        "deal": "1234",
        "CloudPayments": {
            "CustomerReceipt": {
                "Items": [
                    {"label": "Кроссовки", "price": 1400, "quantity": 2, "amount": 2400.5, "vat": None},
                    {"label": "Доставка", "price": 90, "quantity": 1, "amount": 90, "vat": 20, "method": 1},
                ],
                "taxationSystem": 1,
                "email": "anna@example.ru",
                "amounts": {"electronic": 2490.5, "advancePayment": 0, "credit": 0, "provision": 0},
            }
        },
    },
}


def yookassa(bank: Any, path: str, body: Any, key: str = "k") -> requests.Response:
    headers = {"Idempotence-Key": key}
    return requests.post(f"{bank.url}/v3/{path}", json=body, auth=("100500", "shop-secret"), headers=headers, timeout=5)


def tbank(bank: Any, method: str, **params: Any) -> dict[str, Any]:
    body = {"TerminalKey": "1321054611234DEMO", **params}
    plain = {key: value for key, value in body.items() if not isinstance(value, dict | list)}
    joined = "".join(str(value) for _key, value in sorted({**plain, "Password": PASSWORD}.items()))
    body["Token"] = hashlib.sha256(joined.encode()).hexdigest()
    answer: dict[str, Any] = requests.post(f"{bank.url}/v2/{method}", json=body, timeout=5).json()
    return answer


def cloudpayments(bank: Any, path: str, body: Any, **headers: str) -> dict[str, Any]:
    auth = ("pk_test", "cp-secret")
    answer: dict[str, Any] = requests.post(bank.url + path, json=body, auth=auth, headers=headers, timeout=5).json()
    return answer


def begun(bank: Any, name: str) -> tuple[str, str]:
    """A link of each: the payment's id and where to pay."""
    if name == "yookassa":
        made = yookassa(bank, "payments", YOOKASSA).json()
        return made["id"], made["confirmation"]["confirmation_url"]
    if name == "tbank":
        told = tbank(bank, "Init", **TBANK)
        return told["PaymentId"], told["PaymentURL"]
    model = cloudpayments(bank, "/orders/create", CLOUDPAYMENTS)["Model"]
    return bank.get(f"/sim/payments/{model['Id']}")["id"], model["Url"]


def changed(order: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The order with one value replaced, or taken out for `...`."""
    told = copy.deepcopy(order)
    *way, last = [int(word) if word.isdecimal() else word for word in path.split("/")]
    place: Any = told
    for word in way:
        place = place[word]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return told
