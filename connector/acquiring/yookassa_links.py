"""YooKassa's payment links: a one-stage payment that is confirmed on YooKassa's own page.

Owns the request, its receipt and the cancelling. The Idempotence-Key is remembered there for a day. A link dies of
itself; no time can be set for it. Source: YooKassa API, «Создание платежа», and its tables of receipt values.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any

from connector.acquiring.link_account import LinkAccount, address, agreed, basic, known, own_words, shown
from connector.acquiring.links import Link, NewPayment, Receipt
from connector.acquiring.reading import matching
from connector.errors import BadReply, Problem, Refused
from connector.http import Reply
from loyalty.receipts import Kind, PaymentMethod, TaxSystem, Vat

TAX_SYSTEMS: dict[TaxSystem, int] = {"osn": 1, "usn_income": 2, "usn_income_outcome": 3, "esn": 5, "patent": 6}
VAT_CODES: dict[Vat, int] = {"none": 1, "vat0": 2, "vat10": 3, "vat20": 4, "vat5": 7, "vat7": 8, "vat22": 11}
_REF = re.compile(r"[0-9a-zA-Z-]{1,64}")
_PAYMENTS, _A_PAYMENT = "/v3/payments", "/v3/payments/{id}"
_WHAT = f"YooKassa POST {_PAYMENTS}"
_SUBJECTS: dict[Kind, str] = {"goods": "commodity", "service": "service", "delivery": "service"}
_MODES: dict[PaymentMethod, str] = {
    "full_prepayment": "full_prepayment",
    "full_payment": "full_payment",
    "prepayment": "partial_prepayment",
    "advance": "advance",
}


class YooKassaLinks(LinkAccount):
    ends_by_itself = True

    def create_link(self, payment: NewPayment) -> Link:
        headers = {**self._login(), "Idempotence-Key": payment.key}
        made = self._write(_PAYMENTS, _asked(payment), route=_PAYMENTS, what=_WHAT, headers=headers, problems=_problems)
        if made.get("status") == "canceled":
            reason = shown(made.get("cancellation_details"))
            why = own_words(reason.get("reason"), "", reason.get("party"))
            raise Refused(f"{_WHAT}: canceled at once", status=200, problems=(why,))
        ref = known(_REF, made.get("id"), "an id of YooKassa")
        agreed(shown(made.get("amount")).get("value"), payment.amount_kopecks, _WHAT)
        url = shown(made.get("confirmation")).get("confirmation_url")
        return Link(address(url, "a payment page of YooKassa"), ref, ref)

    def cancel_link(self, link: Link) -> bool:
        """A held payment is left alone: somebody has paid. Documented is the cancelling of held ones only, so a pending
        one may be refused, and then waits for its own end."""
        ref = matching(_REF, link.payment_ref, "an id of YooKassa")
        path, what = f"{_PAYMENTS}/{ref}", f"YooKassa GET {_A_PAYMENT}"
        status = self._ask("GET", path, route=_A_PAYMENT, what=what, headers=self._login()).json().get("status")
        if status != "pending":
            return bool(status == "canceled")
        headers = {**self._login(), "Idempotence-Key": sha256(f"cancel {ref}".encode()).hexdigest()}
        route = f"{_A_PAYMENT}/cancel"
        try:
            left = self._write(f"{path}/cancel", {}, route=route, what=f"YooKassa POST {route}", headers=headers)
        except Refused:
            return False
        return bool(left.get("status") == "canceled")

    def _login(self) -> dict[str, str]:
        return basic(self._secrets["shop_id"], self._secrets["secret"])


def _asked(payment: NewPayment) -> dict[str, Any]:
    told = {"lead_id": str(payment.deal_ref or ""), "order_id": payment.order, "attempt": str(payment.attempt)}
    return {
        "amount": _money(payment.amount_kopecks),
        "capture": True,
        "confirmation": {"type": "redirect", "return_url": payment.return_url},
        "description": payment.description,
        "metadata": {name: value for name, value in told.items() if value},
        **({} if payment.receipt is None else {"receipt": _receipt(payment.receipt)}),
    }


def _receipt(receipt: Receipt) -> dict[str, Any]:
    customer = {"email": receipt.email, "phone": receipt.phone.removeprefix("+")}
    is_advance = receipt.method == "advance"
    items = [
        {
            "description": line.name,
            "quantity": f"{line.quantity}.000",
            "amount": _money(line.unit_kopecks),
            "vat_code": VAT_CODES[receipt.vat],
            "payment_mode": _MODES[receipt.method],
            # The law has no goods yet when an advance is taken.
            "payment_subject": "payment" if is_advance else _SUBJECTS[line.kind],
            **({"measure": "piece"} if receipt.ffd == "1.2" else {}),
        }
        for line in receipt.lines
    ]
    return {
        "customer": {name: value for name, value in customer.items() if value},
        "items": items,
        "tax_system_code": TAX_SYSTEMS[receipt.tax_system],
    }


def _money(kopecks: int) -> dict[str, str]:
    return {"value": f"{kopecks // 100}.{kopecks % 100:02d}", "currency": "RUB"}


def _problems(reply: Reply) -> tuple[Problem, ...]:
    try:
        told = shown(reply.json())
    except BadReply:
        return ()
    return (own_words(told.get("code"), told.get("parameter"), told.get("description")),)
