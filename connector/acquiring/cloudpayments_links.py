"""CloudPayments' payment links: an invoice on its page, which gets a payment only when somebody pays.

Owns the request, its receipt and the cancelling. X-Request-ID is remembered there for an hour. No time can be set for
a link. Source: CloudPayments API, «Создание счета», and the parameters of CloudKassir's receipts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from connector.acquiring.link_account import LinkAccount, address, agreed, basic, known, own_words, shown, succeeded
from connector.acquiring.links import Link, NewPayment, Receipt
from connector.acquiring.reading import matching
from connector.errors import Refused
from loyalty.receipts import Kind, PaymentMethod, TaxSystem, Vat

TAX_SYSTEMS: dict[TaxSystem, int] = {"osn": 0, "usn_income": 1, "usn_income_outcome": 2, "esn": 4, "patent": 5}
VATS: dict[Vat, int | None] = {
    "none": None,
    "vat0": 0,
    "vat5": 5,
    "vat7": 7,
    "vat10": 10,
    "vat20": 20,
    "vat22": 22,
}
METHODS: dict[PaymentMethod, int] = {"full_prepayment": 1, "prepayment": 2, "advance": 3, "full_payment": 4}
PIECE = "шт"
_OBJECTS: dict[Kind, int] = {"goods": 1, "service": 4, "delivery": 4}
_A_PAYMENT = 10
_REF = re.compile(r"[0-9A-Za-z_-]{1,64}")
_AN_ORDER = "an order id of CloudPayments"
_CREATE, _CANCEL = "/orders/create", "/orders/cancel"


class CloudPaymentsLinks(LinkAccount):
    def create_link(self, payment: NewPayment) -> Link:
        """The link has a `link_ref` only: each payer's attempt is a payment of its own."""
        answer = self._sent(_CREATE, _asked(payment), key=payment.key)
        if not succeeded(answer, f"CloudPayments {_CREATE}"):
            words = own_words("", "", answer.get("Message"))
            raise Refused(f"CloudPayments {_CREATE}: refused", status=200, problems=(words,))
        order = shown(answer.get("Model"))
        agreed(order.get("Amount"), payment.amount_kopecks, f"CloudPayments {_CREATE}")
        url = address(order.get("Url"), "a payment page of CloudPayments")
        return Link(url, "", known(_REF, order.get("Id"), _AN_ORDER))

    def cancel_link(self, link: Link) -> bool:
        ref = matching(_REF, link.link_ref, _AN_ORDER)
        key = sha256(f"cancel {ref}".encode()).hexdigest()
        return succeeded(self._sent(_CANCEL, {"Id": ref}, key=key), f"CloudPayments {_CANCEL}")

    def _sent(self, path: str, content: Mapping[str, Any], *, key: str) -> dict[str, Any]:
        headers = {**basic(self._secrets["public_id"], self._secrets["secret"]), "X-Request-ID": key}
        return self._write(path, content, route=path, what=f"CloudPayments {path}", headers=headers)


def _asked(payment: NewPayment) -> dict[str, Any]:
    told = {"lead_id": str(payment.deal_ref or ""), "attempt": str(payment.attempt)}
    data: dict[str, Any] = {name: value for name, value in told.items() if value}
    if payment.receipt is not None:
        data["CloudPayments"] = {"CustomerReceipt": _receipt(payment.receipt)}
    payer = {"Email": payment.payer.email, "Phone": payment.payer.phone}
    return {
        "Amount": number(payment.amount_kopecks),
        "Currency": "RUB",
        "Description": payment.description,
        "InvoiceId": payment.order,
        "RequireConfirmation": False,
        "SendEmail": False,
        "SuccessRedirectUrl": payment.return_url,
        "FailRedirectUrl": payment.return_url,
        **{name: value for name, value in payer.items() if value},
        "JsonData": data,
    }


def _receipt(receipt: Receipt) -> dict[str, Any]:
    items = [
        {
            "label": line.name,
            "price": number(line.unit_kopecks),
            "quantity": line.quantity,
            "amount": number(line.sum_kopecks),
            "vat": VATS[receipt.vat],
            "method": METHODS[receipt.method],
            # The law has no goods yet when an advance is taken.
            "object": _A_PAYMENT if receipt.method == "advance" else _OBJECTS[line.kind],
            **({"measurementUnit": PIECE} if receipt.ffd == "1.2" else {}),
        }
        for line in receipt.lines
    ]
    return {
        "Items": items,
        "taxationSystem": TAX_SYSTEMS[receipt.tax_system],
        "email": receipt.email,
        "phone": receipt.phone,
        "isBso": False,
        "amounts": {"electronic": number(receipt.total_kopecks)},
    }


def number(kopecks: int) -> float:
    """The API takes numbers only. One division at the very edge: the nearest float of a sum within bounds is printed
    with the same two digits."""
    return kopecks / 100
