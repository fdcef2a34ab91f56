"""CloudPayments' links: orders/create and orders/cancel, and the receipt that may lie in JsonData.

Implements «Создание счета для отправки по почте» and «Условия успешного создания чека» of CloudPayments' documentation.
The real service takes the money even if the receipt is wrong and fails to print it; here the order is refused, so that
it is seen.
"""

from __future__ import annotations

import json
import random
import string
from decimal import Decimal
from typing import Any

from flask import Response, request

from simulator import bank as payments
from simulator.answers import Json, plain
from simulator.bank_world import Bank, PaymentError
from simulator.cloudpayments_lists import date
from simulator.cloudpayments_notices import NAME
from simulator.receipts import NAME_CHARS_MAX, decimal, digits_after_point, kept, line
from simulator.store import Record
from simulator.wire import in_utc, is_address, kopecks, lead_of

FIRST_NUMBER = 2130
ID_CHARS, ID_LENGTH = string.ascii_letters + string.digits, 16
VATS = (None, 0, 5, 7, 10, 20, 22, 105, 107, 110, 120, 122)
METHODS, OBJECTS, TAXATIONS = range(8), range(34), range(6)
AMOUNTS = ("electronic", "advancePayment", "credit", "provision")
ECHOED = ("Email", "Phone", "Description", "RequireConfirmation")


def create(bank: Bank, asked: Json) -> Response:
    """A link; the payer pays on the bank's own page."""
    amount, own = _sum(asked), _json_data(asked)
    if not str(asked.get("Description") or "").strip():
        raise PaymentError("Description is required")
    if asked.get("Currency", "RUB") != "RUB":
        raise PaymentError("Currency is invalid")
    for key in ("SuccessRedirectUrl", "FailRedirectUrl"):
        if asked.get(key) and not is_address(asked[key]):
            raise PaymentError(f"{key} is invalid")
    order_id = str(asked.get("InvoiceId") or "")
    number = bank.store.next_id("orders", FIRST_NUMBER)
    link_id = "".join(random.Random(f"{bank.settings.seed}:order {number}").choices(ID_CHARS, k=ID_LENGTH))
    payment = payments.create(
        bank,
        NAME,
        amount,
        order_id=order_id,
        lead_id=lead_of(order_id),
        two_stage=bool(asked.get("RequireConfirmation")),
        description=str(asked["Description"]),
        metadata=own,
        payer={"email": asked.get("Email"), "phone": asked.get("Phone"), "account": asked.get("AccountId")},
        receipt=_receipt(own, amount),
        return_url=asked.get("SuccessRedirectUrl") or "",
        fail_url=asked.get("FailRedirectUrl") or "",
        link_id=link_id,
        number=number,
    )
    model = {key: asked.get(key) for key in ECHOED} | _model(payment)
    return plain({"Model": model, "Success": True, "Message": None})


def cancel(bank: Bank, asked: Json) -> Response:
    """Nobody can pay the link any more. What is paid stays paid."""
    link = bank.store.table("links").get(str(asked.get("Id", "")))
    payment = bank.payments().get(link["payment_id"]) if link else None
    if payment is None or payment["acquirer"] != NAME:
        raise PaymentError("Order not found")
    if payment["status"] != "new":
        raise PaymentError("Order cannot be cancelled")
    payments.cancel(bank, payment)
    return plain({"Success": True, "Message": None})


def _model(payment: Record) -> Json:
    return {
        "Id": payment["link_id"],
        "Number": payment["number"],
        "Amount": payment["amount"] / 100,
        "Currency": "RUB",
        "CurrencyCode": 0,
        "Url": f"{request.host_url}pay/{payment['link_id']}",
        "CreatedDate": date(payment["created_at"]),
        "CreatedDateIso": f"{in_utc(payment['created_at']):%Y-%m-%dT%H:%M:%S}",
        "PaymentDate": None,
        "StatusCode": 0,
        "Status": "Created",
    }


def _sum(asked: Json) -> int:
    try:
        return kopecks(asked.get("Amount"))
    except ValueError as wrong:
        raise PaymentError("Amount is invalid") from wrong


def _json_data(asked: Json) -> Json:
    own: Any = asked.get("JsonData") or {}
    if isinstance(own, str):
        try:
            own = json.loads(own)
        except ValueError as wrong:
            raise PaymentError("JsonData is invalid") from wrong
    if not isinstance(own, dict):
        raise PaymentError("JsonData is invalid")
    return own


def _key(told: Any, name: str) -> Any:
    """The value of a key that may begin with a small letter or a capital one, as .NET reads it."""
    found = (value for key, value in told.items() if str(key).casefold() == name) if isinstance(told, dict) else ()
    return next(iter(found), None)


def _receipt(own: Json, amount: int) -> Record | None:
    receipt = _key(_key(own, "cloudpayments"), "customerreceipt")
    if receipt is None:
        return None
    items = _key(receipt, "items")
    if not isinstance(items, list) or not items:
        raise PaymentError("CustomerReceipt: Items is empty")
    email, phone = str(_key(receipt, "email") or ""), str(_key(receipt, "phone") or "")
    if not (email or phone):
        raise PaymentError("CustomerReceipt: email or phone is required")
    taxation = _key(receipt, "taxationsystem")
    if taxation is not None and taxation not in TAXATIONS:
        raise PaymentError("CustomerReceipt: taxationSystem is invalid")
    lines = [_line(item) for item in items]
    paid = _amounts(_key(receipt, "amounts"), amount)
    found = kept(lines, email, phone, paid)
    if found["total"] != sum(paid.values()) or paid.get("electronic") != amount:
        raise PaymentError("CustomerReceipt: the sum of Items is not the amount")
    return found


def _line(item: Any) -> Record:
    label, quantity = _key(item, "label"), decimal(_key(item, "quantity"))
    price, total = _kopecks(_key(item, "price")), _kopecks(_key(item, "amount"))
    if not isinstance(label, str) or not label.strip():
        raise PaymentError("CustomerReceipt: label is required")
    if quantity is None or quantity <= 0 or price is None or total is None:
        raise PaymentError("CustomerReceipt: price, quantity or amount is invalid")
    marks = {"vat": _key(item, "vat"), "mode": _key(item, "method"), "subject": _key(item, "object")}
    if marks["vat"] not in VATS or isinstance(marks["vat"], bool):
        raise PaymentError("CustomerReceipt: vat is invalid")
    if marks["mode"] not in (None, *METHODS) or marks["subject"] not in (None, *OBJECTS):
        raise PaymentError("CustomerReceipt: method or object is invalid")
    return line(label[:NAME_CHARS_MAX], price, quantity, total, **marks)


def _amounts(told: Any, amount: int) -> dict[str, int]:
    """What is paid how; without the word everything is electronic."""
    if told is None:
        return {"electronic": amount}
    sums = {name: _kopecks(_key(told, name.casefold()) or 0) for name in AMOUNTS}
    if any(value is None for value in sums.values()):
        raise PaymentError("CustomerReceipt: amounts is invalid")
    return {name: value for name, value in sums.items() if value}


def _kopecks(told: object) -> int | None:
    """Roubles with two digits after the point at most, not negative."""
    number = decimal(told)
    if number is None or number < 0 or digits_after_point(number) > 2:
        return None
    return int(number * Decimal(100))
