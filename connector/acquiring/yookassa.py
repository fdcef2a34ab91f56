"""YooKassa (ЮKassa): notifications without a signature, and the payment by API.

Owns its wire format: acquirers reference, sections 2 and 13. A notification proves nothing, so `parse` never returns
facts: it names the payment, and only the payment fetched with our own credentials counts.
Credentials: `shop_id`, `secret`.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Self

from connector.acquiring.base import (
    Ack,
    Acquirer,
    Fetched,
    Ignored,
    NeedsFetch,
    NeedsPerson,
    NotOurs,
    Parsed,
    credential,
    deal_id,
    deal_of_order,
    json_notification,
)
from connector.errors import BadReply, BadSignature
from connector.http import HttpClient
from connector.money import kopecks_from_roubles
from connector.replies import json_object, raise_for_status
from loyalty.events import PaymentFacts, PaymentStatus

SENDERS = tuple(
    ip_network(network)
    for network in (
        "77.75.153.0/25",
        "77.75.154.128/25",
        "77.75.156.11/32",
        "77.75.156.35/32",
        "185.71.76.0/27",
        "185.71.77.0/27",
        "2a02:5180:0:1509::/64",
        "2a02:5180:0:1533::/64",
        "2a02:5180:0:2655::/64",
        "2a02:5180:0:2669::/64",
    )
)
_REF = re.compile(r"[0-9a-zA-Z-]{1,64}")
_WORDS = re.compile(r"[a-z_]{1,32}(\.[a-z_]{1,32})?")
_WHAT = "YooKassa GET /v3/payments/{id}"
# Reasons that only a held payment can be cancelled for; the rest never held money.
_HOLD_ENDED = frozenset({"canceled_by_merchant", "expired_on_capture"})


class YooKassa(Acquirer):
    name = "yookassa"

    def __init__(self, shop_id: str, secret_key: str, *, api_url: str, http: HttpClient, check_ip: bool) -> None:
        self._authorization = "Basic " + b64encode(f"{shop_id}:{secret_key}".encode()).decode()
        self._api_url = api_url.rstrip("/")
        self._http = http
        self._check_ip = check_ip

    @classmethod
    def from_credentials(
        cls, credentials: Mapping[str, str], *, api_url: str, http: HttpClient, check_ip: bool
    ) -> Self:
        shop_id = credential(credentials, cls.name, "shop_id")
        secret_key = credential(credentials, cls.name, "secret")
        return cls(shop_id, secret_key, api_url=api_url, http=http, check_ip=check_ip)

    def verify(self, headers: Mapping[str, str], raw: bytes, remote_ip: str | None) -> None:  # noqa: ARG002
        """The sender's address, when checked, and the shape: there is nothing else to verify."""
        if self._check_ip and not is_sender(remote_ip):
            raise BadSignature("yookassa: the sender's address is not in YooKassa's list")
        try:
            _hint(raw)
        except BadReply as failure:
            raise BadSignature(f"yookassa: {failure}") from None

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
        url = f"{self._api_url}/v3/payments/{_ref(payment_ref)}"
        headers = {"Authorization": self._authorization, "Accept": "application/json"}
        reply = self._http.send("GET", url, route="/v3/payments/{id}", headers=headers)
        if reply.status == 404:
            return NotOurs(payment_ref)
        raise_for_status(reply, _WHAT, is_write=False)
        payment = json_object(reply, _WHAT, is_write=False)
        if payment.get("id") != payment_ref:
            raise BadReply(f"{_WHAT}: another payment came back")
        return _fetched(payment)


def is_sender(remote_ip: str | None) -> bool:
    """Whether the address is YooKassa's. A dual-stack socket shows IPv4 senders as ::ffff:…"""
    try:
        address = ip_address(remote_ip or "")
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in SENDERS)


def _hint(raw: bytes) -> tuple[str, dict[str, Any]]:
    """Event and object, if the notification has YooKassa's shape."""
    content = json_notification(raw)
    event, thing = content.get("event"), content.get("object")
    if content.get("type") != "notification" or not isinstance(thing, dict):
        raise BadReply("not a notification of YooKassa")
    if not (_is_word(event) and _is_word(thing.get("status"))):
        raise BadReply("not an event of YooKassa")
    _ref(thing.get("id"))
    return str(event), thing


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
    return PaymentFacts(
        acquirer=YooKassa.name,
        payment_ref=payment["id"],
        deal_ref=_deal_ref(payment.get("metadata")),
        captured_kopecks=captured,
        refunded_kopecks=refunded,
        status=_status(payment, status, is_refunded=0 < captured <= refunded),
        occurred_at=_instant(payment.get("captured_at")) or _instant(payment.get("created_at")),
        is_test=payment.get("test") is True,
    )


def _status(payment: dict[str, Any], status: str, *, is_refunded: bool) -> PaymentStatus:
    if status == "waiting_for_capture":
        return "authorised"
    if status == "succeeded":
        return "refunded" if is_refunded else "captured"
    details = payment.get("cancellation_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    return "voided" if reason in _HOLD_ENDED else "failed"


def _roubles(payment: dict[str, Any], name: str) -> int | None:
    """Kopecks; None for another currency."""
    amount = payment.get(name)
    if not isinstance(amount, dict):
        raise BadReply(f"{_WHAT}: {name} is missing")
    return kopecks_from_roubles(amount.get("value")) if amount.get("currency") == "RUB" else None


def _deal_ref(metadata: object) -> int | None:
    if not isinstance(metadata, dict):
        return None
    return deal_id(metadata.get("lead_id")) or deal_of_order(metadata.get("order"))


def _instant(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        return None
    return instant if instant.tzinfo is not None else None


def _ref(value: object) -> str:
    if not isinstance(value, str) or _REF.fullmatch(value) is None:
        raise BadReply("not an id of YooKassa")
    return value


def _is_word(value: object) -> bool:
    return isinstance(value, str) and _WORDS.fullmatch(value) is not None
