"""Stripe: signed events, one family of them per fact about money, and the payment by API.

Owns its wire format: acquirers reference, sections 9 and 13. Money is told by payment_intent.* (never by
checkout.session.* or charge.*, which tell it a second time), by refund.* and by charge.dispute.*. A refund counts from
its creation and a dispute from the withdrawal, because the shop's money is gone then; what comes back is undone.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from connector.acquiring import stripe_lists
from connector.acquiring.account import Account
from connector.acquiring.base import Ack, Callback, Check, Fetched, Ignored, NeedsPerson, NotOurs, Parsed, credential
from connector.acquiring.base import json_notification as _read
from connector.acquiring.forms import fresh, is_same, not_in_roubles, unix_instant
from connector.acquiring.listing import Listed, Lists
from connector.acquiring.reading import with_metadata
from connector.acquiring.stripe_refunds import as_object, ref_of, refund_facts
from connector.errors import BadReply, NotFound
from connector.money import kopecks_from_int
from loyalty.events import PaymentFacts, PaymentStatus

WINDOW_S = 300
API_VERSION = "2024-06-20"
_STATUSES: dict[str, PaymentStatus] = {
    "payment_intent.amount_capturable_updated": "authorised",
    "payment_intent.succeeded": "captured",
    "payment_intent.canceled": "voided",
    "payment_intent.payment_failed": "failed",
    "requires_capture": "authorised",
    "succeeded": "captured",
    "canceled": "voided",
}
_Told = PaymentFacts | Ignored | NeedsPerson


class Stripe(Account, Lists):
    name = "stripe"
    title_ru = "Stripe"
    api_url = "https://api.stripe.com"
    credentials = ("webhook_secret",)
    optional_credentials = ("secret_key",)

    def checks(self, callback: Callback) -> Sequence[Check]:
        """One good v1 is enough: while a secret is being changed Stripe signs with both."""
        parts = [part.strip().partition("=") for part in callback.header("Stripe-Signature").split(",")]
        stamps = [value for name, _, value in parts if name == "t"]
        given = [value for name, _, value in parts if name == "v1"]
        signed = ",".join(stamps).encode("utf-8", "surrogatepass") + b"." + callback.body
        expected = hmac.new(self._secrets["webhook_secret"].encode(), signed, "sha256").hexdigest()
        is_good = any([is_same(one, expected) for one in given])
        return [
            fresh(",".join(stamps), callback.received_at, max_age_s=WINDOW_S),
            Check("подпись v1 (HMAC-SHA256)", is_good, signed.decode("utf-8", "replace"), expected, ", ".join(given)),
        ]

    def event_id(self, raw: bytes) -> str:
        return ref_of(_read(raw).get("id"))

    def is_hint(self, raw: bytes) -> bool:  # noqa: ARG002
        return False

    def ack(self, raw: bytes) -> Ack:  # noqa: ARG002
        return Ack(200, "application/json", b"{}")

    def refusal(self) -> Ack:
        return Ack(400, "application/json", b'{"error":"bad signature"}')

    def parse(self, raw: bytes) -> Parsed:
        event = _read(raw)
        kind, thing = str(event.get("type")), as_object(as_object(event.get("data")).get("object"))
        if kind.startswith(("refund.", "charge.dispute.")):
            return _returned(thing, event)
        return _paid(thing, _STATUSES[kind], event) if kind in _STATUSES else Ignored("not an event about money")

    def fetch(self, payment_ref: str) -> Fetched:
        """The payment with its refunds; its disputes are told by their own events only."""
        path = f"/v1/payment_intents/{ref_of(payment_ref)}?expand%5B%5D=latest_charge.refunds"
        try:
            intent = self._got(path, "/v1/payment_intents/{id}")
        except NotFound:
            return NotOurs(payment_ref)
        if intent.get("id") != payment_ref:
            raise BadReply("Stripe GET /v1/payment_intents/{id}: another payment came back")
        return _intent(intent)

    def listed(self, since: datetime, until: datetime) -> Iterator[Listed]:
        return stripe_lists.listed(self._got, self.fetch, _intent, _dispute, since, until)

    def _got(self, path: str, route: str) -> dict[str, Any]:
        key = credential(self._secrets, self.name, "secret_key")
        headers = {"Authorization": f"Bearer {key}", "Stripe-Version": API_VERSION}
        return dict(self._ask("GET", path, route=route, what=f"Stripe GET {route}", headers=headers).json())


def _intent(intent: Mapping[str, Any]) -> _Told:
    """An intent as the API tells it."""
    status = _STATUSES.get(str(intent.get("status")))
    return _paid(intent, status, as_object(intent.get("latest_charge")) or intent) if status else Ignored("under way")


def _dispute(dispute: Mapping[str, Any]) -> _Told:
    """A dispute has no word of its own on whether it is a test: its payment has."""
    return _returned(dispute, {**dispute, "livemode": True})


def _paid(intent: Mapping[str, Any], status: PaymentStatus, source: Mapping[str, Any]) -> _Told:
    """`source` is the event or the charge: each tells when, and whether in earnest. A charge lists its refunds."""
    if intent.get("currency") != "rub":
        return not_in_roubles(Stripe.title_ru) if status == "captured" else Ignored("no roubles, and none moved")
    listed, buyer = as_object(source.get("refunds")), as_object(source.get("billing_details"))
    refunds = (
        [refund_facts(as_object(one)) for one in listed.get("data", [])] if isinstance(listed.get("data"), list) else []
    )
    facts = PaymentFacts(
        acquirer=Stripe.name,
        payment_ref=ref_of(intent.get("id")),
        deal_ref=None,
        captured_kopecks=kopecks_from_int(intent.get("amount_received")) if status == "captured" else 0,
        refunded_kopecks=kopecks_from_int(source.get("amount_refunded")) if listed.get("has_more") is True else 0,
        status="refunded" if source.get("refunded") is True else status,
        occurred_at=unix_instant(source.get("created")),
        is_test=source.get("livemode") is not True,
        refunds=tuple(refund for refund in refunds if refund is not None),
    )
    told = {"email": intent.get("receipt_email") or buyer.get("email"), "phone": buyer.get("phone")}
    return with_metadata(facts, {**told, **as_object(intent.get("metadata"))})


def _returned(thing: Mapping[str, Any], event: Mapping[str, Any]) -> _Told:
    refund, payment = refund_facts(thing), thing.get("payment_intent")
    if refund is None or payment is None:
        return Ignored("no money moved, or not that of a payment intent")
    if thing.get("currency") != "rub":
        return not_in_roubles(Stripe.title_ru)
    at, is_test = unix_instant(event.get("created")), event.get("livemode") is not True
    facts = PaymentFacts(Stripe.name, ref_of(payment), None, 0, 0, "refunded", at, is_test, refunds=(refund,))
    return with_metadata(facts, thing.get("metadata"))
