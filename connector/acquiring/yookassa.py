"""YooKassa (ЮKassa): notifications without a signature, and the payment by API.

Owns its wire format: acquirers reference, sections 2 and 13. A notification proves nothing, so `parse` never returns
facts: it names the payment, and only the payment fetched with our own credentials counts. What is refunded is the
payment's own cumulative sum: the names of single refunds are not asked for.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from connector.acquiring import base, yookassa_lists
from connector.acquiring.base import Ack, Callback, Check, Fetched, Ignored, NeedsFetch, NeedsPerson, NotOurs, Parsed
from connector.acquiring.listing import Listed, Lists
from connector.acquiring.reading import instant, matching, networks, sent_from, tried, with_metadata
from connector.acquiring.yookassa_links import YooKassaLinks
from connector.errors import BadReply, NotFound
from connector.money import kopecks_from_roubles
from loyalty.events import PaymentFacts, PaymentStatus

SENDERS = networks(
    "77.75.153.0/25 77.75.154.128/25 77.75.156.11 77.75.156.35 185.71.76.0/27 185.71.77.0/27 "
    "2a02:5180:0:1509::/64 2a02:5180:0:1533::/64 2a02:5180:0:2655::/64 2a02:5180:0:2669::/64"
)
_REF = re.compile(r"[0-9a-zA-Z-]{1,64}")
_WORDS = re.compile(r"[a-z_]{1,32}(\.[a-z_]{1,32})?")
_SHAPE = '{"type":"notification","event":"…","object":{"id":"…","status":"…"}}'
_WHAT = "YooKassa GET /v3/payments/{id}"
# Reasons that only a held payment can be cancelled for; the rest never held money.
_HOLD_ENDED = ("canceled_by_merchant", "expired_on_capture")


class YooKassa(YooKassaLinks, Lists):
    name = "yookassa"
    title_ru = "ЮKassa"
    api_url = "https://api.yookassa.ru"
    credentials = ("shop_id", "secret")

    def checks(self, callback: Callback) -> Sequence[Check]:
        """The sender's address, when checked, and the shape: there is nothing else to verify."""
        _, shape = tried(_hint, self.keep(callback), like=_SHAPE)
        return [sent_from(SENDERS, callback.remote_ip), shape] if self._check_ip else [shape]

    def event_id(self, raw: bytes) -> str:
        event, thing = _hint(raw)
        return f"{event}:{thing['id']}:{thing['status']}"

    def is_hint(self, raw: bytes) -> bool:  # noqa: ARG002
        return True

    def ack(self, raw: bytes) -> Ack:  # noqa: ARG002
        return Ack(200, "text/plain; charset=utf-8", b"")

    def parse(self, raw: bytes) -> Parsed:
        event, thing = _hint(raw)
        if event.startswith("payment."):
            return NeedsFetch(thing["id"])
        if event == "refund.succeeded":
            return NeedsFetch(_ref(thing.get("payment_id")))
        return Ignored(f"event {event}")

    def fetch(self, payment_ref: str) -> Fetched:
        try:
            payment = self._got(f"/v3/payments/{_ref(payment_ref)}", "/v3/payments/{id}")
        except NotFound:
            return NotOurs(payment_ref)
        if payment.get("id") != payment_ref:
            raise BadReply(f"{_WHAT}: another payment came back")
        return _fetched(payment)

    def listed(self, since: datetime, until: datetime) -> Iterator[Listed]:
        return yookassa_lists.listed(self._got, self.fetch, _fetched, since, until)

    def _got(self, path: str, route: str) -> dict[str, Any]:
        key = b64encode(f"{self._secrets['shop_id']}:{self._secrets['secret']}".encode()).decode()
        headers = {"Authorization": f"Basic {key}"}
        return dict(self._ask("GET", path, route=route, what=f"YooKassa GET {route}", headers=headers).json())


def _hint(raw: bytes) -> tuple[str, dict[str, Any]]:
    """Event and object, if the notification has YooKassa's shape."""
    content = base.json_notification(raw)
    event, thing = content.get("event"), content.get("object")
    if content.get("type") != "notification" or not isinstance(thing, dict):
        raise BadReply("not a notification of YooKassa")
    matching(_WORDS, thing.get("status"), "a status of YooKassa")
    _ref(thing.get("id"))
    return matching(_WORDS, event, "an event of YooKassa"), thing


def _fetched(payment: dict[str, Any]) -> Fetched:
    status = payment.get("status")
    if status == "pending":
        return Ignored("the payment is pending")
    if status not in ("waiting_for_capture", "succeeded", "canceled"):
        raise BadReply(f"{_WHAT}: unknown status")
    captured = _roubles(payment, "amount") if status == "succeeded" else 0
    refunded = _roubles(payment, "refunded_amount") if payment.get("refunded_amount") is not None else 0
    if captured is None or refunded is None:
        return NeedsPerson("Платёж ЮKassa не в рублях: баллы за него не начисляются автоматически.")
    facts = PaymentFacts(
        acquirer=YooKassa.name,
        payment_ref=_ref(payment.get("id")),
        deal_ref=None,
        captured_kopecks=captured,
        refunded_kopecks=refunded,
        status=_status(payment, is_refunded=0 < captured <= refunded),
        occurred_at=instant(payment.get("captured_at")) or instant(payment.get("created_at")),
        is_test=payment.get("test") is True,
        is_whole=True,
    )
    return with_metadata(facts, payment.get("metadata"), payment.get("merchant_customer_id"))


def _status(payment: dict[str, Any], *, is_refunded: bool) -> PaymentStatus:
    if payment["status"] == "waiting_for_capture":
        return "authorised"
    if payment["status"] == "succeeded":
        return "refunded" if is_refunded else "captured"
    details = payment.get("cancellation_details")
    return "voided" if isinstance(details, dict) and details.get("reason") in _HOLD_ENDED else "failed"


def _roubles(payment: dict[str, Any], name: str) -> int | None:
    """Kopecks; None for another currency."""
    amount = payment.get(name)
    if not isinstance(amount, dict):
        raise BadReply(f"{_WHAT}: {name} is missing")
    return kopecks_from_roubles(amount.get("value")) if amount.get("currency") == "RUB" else None


def _ref(value: object) -> str:
    return matching(_REF, value, "an id of YooKassa")
