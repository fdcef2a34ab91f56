"""CloudPayments: signed forms, one address per kind of notification, refunds with names, the payment by API.

Owns its wire format: acquirers reference, sections 4 and 13. The kind stands only in our own address (`?type=pay`) and
is not signed, so it is believed only where the signed fields agree with it; otherwise the API is asked. The question
before a payment (check) is answered and means nothing: whether a sale may go on is not ours to decide.
"""

from __future__ import annotations

import hmac
import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any
from urllib.parse import unquote_to_bytes

from connector.acquiring import cloudpayments_lists
from connector.acquiring.base import Ack, Callback, Check, Fetched, Ignored, NeedsFetch, NeedsPerson, NotOurs, Parsed
from connector.acquiring.cloudpayments_kinds import KIND, sorted_out
from connector.acquiring.cloudpayments_links import CloudPaymentsLinks
from connector.acquiring.forms import json_field, not_in_roubles
from connector.acquiring.listing import Listed, Lists
from connector.acquiring.reading import compared, instant, matching, with_metadata
from connector.errors import BadReply
from connector.money import kopecks_from_roubles
from loyalty.events import PaymentFacts, PaymentStatus, RefundFacts

_REF = re.compile(r"[1-9][0-9]{0,18}")
_STATUSES: dict[str, PaymentStatus] = {
    "Authorized": "authorised",
    "Completed": "captured",
    "Cancelled": "voided",
    "Declined": "failed",
    "cancel": "voided",  # kinds whose notifications have no Status
    "fail": "failed",
    "refund": "refunded",
}
_Told = PaymentFacts | Ignored | NeedsPerson


class CloudPayments(CloudPaymentsLinks, Lists):
    name = "cloudpayments"
    title_ru = "CloudPayments"
    api_url = "https://api.cloudpayments.ru"
    credentials = ("public_id", "secret")

    def checks(self, callback: Callback) -> Sequence[Check]:
        """Content-HMAC is made of the message as sent; only without it X-Content-HMAC, of the decoded message."""
        message, header = super().keep(callback), "Content-HMAC"
        if not callback.header(header):
            message, header = unquote_to_bytes(message.replace(b"+", b" ")), "X-Content-HMAC"
        expected = b64encode(hmac.digest(self._secrets["secret"].encode(), message, "sha256")).decode()
        hashed = message.decode("utf-8", "replace")
        return [compared(f"подпись {header}", expected=expected, given=callback.header(header), hashed=hashed)]

    def keep(self, callback: Callback) -> bytes:
        """The kind that our address names, on a line of its own, then the form."""
        kind = KIND.search(callback.query)
        return (kind[1].lower() if kind else b"") + b"\n" + super().keep(callback)

    def event_id(self, raw: bytes) -> str:
        kind, fields = sorted_out(raw)
        return f"{kind}:{sha256(raw).hexdigest() if kind == 'other' else _ref(fields)}"

    def is_hint(self, raw: bytes) -> bool:
        return sorted_out(raw)[0] == "unclear"

    def ack(self, raw: bytes) -> Ack:  # noqa: ARG002
        return Ack(200, "application/json", b'{"code":0}')

    def refusal(self) -> Ack:
        return Ack(403, "application/json", b'{"code":13}')

    def parse(self, raw: bytes) -> Parsed:
        kind, fields = sorted_out(raw)
        if kind in ("check", "other") or fields.get("OperationType") == "CardPayout":
            return Ignored("not news about a payment")
        if kind == "unclear":
            return NeedsFetch(_ref(fields))
        status = _STATUSES.get(kind if kind in _STATUSES else fields.get("Status", ""))
        return _facts(fields, status, fields if kind == "refund" else None)

    def fetch(self, payment_ref: str) -> Fetched:
        """Names the last refund only: the answer about a payment says just that there was one. All were notified."""
        payment = self._asked("/payments/get", "TransactionId", int(_ref({"TransactionId": payment_ref})))
        if payment is None:
            return NotOurs(payment_ref)
        if _ref(payment) != payment_ref or payment.get("Type", 0) != 0:
            raise BadReply("CloudPayments /payments/get: something else than the payment came back")
        status, order, last = _STATUSES.get(str(payment.get("Status"))), payment.get("InvoiceId"), None
        if status == "captured" and payment.get("Refunded") is True:
            status, last = "refunded", self._asked("/v2/payments/find", "InvoiceId", order) if order else None
        known = (last or {}).get("Status"), str((last or {}).get("OriginalTransactionId"))
        return _facts(payment, status, last if known == ("Completed", payment_ref) else None)

    def listed(self, since: datetime, until: datetime) -> Iterator[Listed]:
        return cloudpayments_lists.listed(self._answer, _row_facts, since, until)

    def _asked(self, path: str, name: str, value: object) -> dict[str, Any] | None:
        """The operation; None if the shop has no such one."""
        answer = self._answer(path, {name: value})
        if answer.get("Success") is True and isinstance(answer.get("Model"), dict):
            return dict(answer["Model"])
        if answer.get("Message") == "Not found":
            return None
        raise BadReply(f"CloudPayments {path}: refused")

    def _answer(self, path: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        key = b64encode(f"{self._secrets['public_id']}:{self._secrets['secret']}".encode()).decode()
        headers = {"Authorization": f"Basic {key}", "Content-Type": "application/json"}
        body, what = json.dumps(asked).encode(), f"CloudPayments {path}"
        return dict(self._ask("POST", path, route=path, what=what, headers=headers, body=body).json())


def _facts(told: Mapping[str, Any], status: PaymentStatus | None, refund: Mapping[str, Any] | None) -> _Told:
    """A payment as a notification or the API tells of it, both by the same names; `refund` is one of this payment."""
    if status is None:
        return Ignored("the payment is under way")
    if told.get("Currency", "RUB") != "RUB":
        return not_in_roubles(CloudPayments.title_ru)
    is_captured = status == "captured" or (status == "refunded" and told.get("Refunded") is True)
    facts = PaymentFacts(
        acquirer=CloudPayments.name,
        payment_ref=_ref(told, "PaymentTransactionId" if told.get("PaymentTransactionId") else "TransactionId"),
        deal_ref=None,
        captured_kopecks=kopecks_from_roubles(told.get("Amount")) if is_captured else 0,
        refunded_kopecks=0,
        status=status,
        occurred_at=instant(f"{told.get('DateTime') or told.get('CreatedDateIso')}Z"),
        is_test=told.get("TestMode") in ("1", True),
        refunds=() if refund is None else (RefundFacts(_ref(refund), kopecks_from_roubles(refund.get("Amount"))),),
    )
    own = {"order": told.get("InvoiceId"), "email": told.get("Email")}
    return with_metadata(facts, {**json_field(told.get("Data") or told.get("JsonData")), **own}, told.get("AccountId"))


def _row_facts(row: Mapping[str, Any], refund: Mapping[str, Any] | None) -> _Told:
    """A row of the list of operations; a refund that has not gone through has moved nothing."""
    if refund is not None and refund.get("Status") != "Completed":
        return Ignored("the refund is under way")
    return _facts(row, "refunded" if refund is not None else _STATUSES.get(str(row.get("Status"))), refund)


def _ref(operation: Mapping[str, Any], name: str = "TransactionId") -> str:
    return matching(_REF, str(operation.get(name)), "the number of an operation of CloudPayments")
