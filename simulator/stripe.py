"""Stripe: events signed anew at every try, and the part of /v1 that reads payments and gives money back.

Implements the acquirers reference section 9. What the objects look like is `stripe_objects`, reading `stripe_lists`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import string
from typing import Any

from flask import Blueprint, Response, g, request

from simulator import bank as payments
from simulator import stripe_lists as lists
from simulator import stripe_objects as objects
from simulator.answers import Json, plain
from simulator.bank_world import Bank, PaymentError, Provider, number_id, the_bank
from simulator.deliveries import Policy
from simulator.shops import StripeShop
from simulator.store import Record
from simulator.stripe_objects import NAME, Refusal
from simulator.wire import same

TIMEOUT_S = 20.0
API_VERSION = "2026-09-30.preview"
# Exponential over three days.
GAPS_S = (300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, *([43_200.0] * 4))
PREFIXES = {"payment": "pi", "refund": "re", "dispute": "du", "event": "evt"}
ID_CHARS = string.ascii_letters + string.digits
EVENTS = {
    "authorized": ("payment_intent.amount_capturable_updated",),
    "captured": ("payment_intent.succeeded",),
    "canceled": ("payment_intent.canceled",),
    "rejected": ("payment_intent.payment_failed",),
    "refunded": ("refund.created", "charge.refunded"),
    "disputed": ("charge.dispute.created", "charge.dispute.funds_withdrawn"),
    "dispute_won": ("charge.dispute.funds_reinstated", "charge.dispute.closed"),
    "dispute_lost": ("charge.dispute.closed",),
}

bp = Blueprint(NAME, __name__, url_prefix="/v1")
bp.add_url_rule("/payment_intents", "list_intents", lists.intents)
bp.add_url_rule("/payment_intents/<payment_id>", "get_intent", lists.intent)
bp.add_url_rule("/charges", "list_charges", lists.charges)
bp.add_url_rule("/refunds", "list_refunds", lists.refunds)
bp.add_url_rule("/refunds/<refund_id>", "get_refund", lists.refund)
bp.add_url_rule("/disputes", "list_disputes", lists.disputes)
bp.add_url_rule("/disputes/<dispute_id>", "get_dispute", lists.dispute)


def signature(body: str, secrets: list[str], at_s: int) -> str:
    """The header: the time, one v1 for every secret in force, and a v0 that means nothing."""
    told = [hmac.new(secret.encode(), f"{at_s}.{body}".encode(), hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={at_s}", *(f"v1={digest}" for digest in told), f"v0={'0' * 64}"])


def policies(bank: Bank) -> dict[str, Policy]:
    """Any 2xx; every try has its own time and signature."""

    def sign(delivery: Record, now: float) -> dict[str, str]:
        shop: StripeShop = bank.shop(NAME)
        secrets = [shop.old_webhook_secret, shop.webhook_secret]
        return {"Stripe-Signature": signature(delivery["body"], [one for one in secrets if one], int(now))}

    return {
        NAME: Policy(
            timeout_s=TIMEOUT_S,
            accepts=lambda status, _reply: 200 <= status < 300,
            gap_s=lambda tries, _status: GAPS_S[tries - 1] if tries <= len(GAPS_S) else None,
            sign=sign,
        )
    }


def notifications(bank: Bank, payment: Record, events: list[str]) -> list[Record]:
    """The events of one step; one-stage payments are never capturable."""
    shop: StripeShop = bank.shop(NAME)
    event = events[-1]
    kinds = list(EVENTS.get(event, ()))
    if event == "captured" and shop.checkout:
        kinds.insert(0, "checkout.session.completed")
    return [_event(bank, payment, kind) for kind in kinds]


@bp.errorhandler(Refusal)
def refused(refusal: Refusal) -> Response:
    return plain(refusal.body, refusal.status)


@bp.errorhandler(PaymentError)
def impossible(problem: PaymentError) -> Response:
    return refused(Refusal(400, str(problem)))


@bp.before_request
def authenticate() -> Response | None:
    """The key as a bearer or as Basic's user; for POST the answer that the same Idempotency-Key already got."""
    bank, auth = the_bank(), request.authorization
    shop: StripeShop = bank.shop(NAME)
    given = (auth.token if auth.type == "bearer" else auth.username) if auth is not None else ""
    if not same(given or "", shop.secret_key):
        raise Refusal(401, "Invalid API Key provided")
    key = request.headers.get("Idempotency-Key")
    if request.method != "POST" or not key:
        return None
    g.stripe_key = f"{request.path}:{key}"
    kept = bank.store.table("stripe answers").get(g.stripe_key)
    return plain(kept["body"], kept["status"]) if kept else None


@bp.after_request
def remember(response: Response) -> Response:
    key = g.pop("stripe_key", None)
    if key and response.status_code < 500:
        bank = the_bank()
        with bank.store.lock:
            bank.store.put("stripe answers", key, {"status": response.status_code, "body": response.get_json()})
    return response


@bp.post("/payment_intents/<payment_id>/<any(capture,cancel):step>")
def finish_hold(payment_id: str, step: str) -> Response:
    bank = the_bank()
    with bank.store.lock:
        payment = lists.found(bank, payment_id)
        if step == "capture":
            payments.capture(bank, payment, _amount("amount_to_capture"))
        else:
            payments.cancel(bank, payment)
        return plain(objects.intent(bank, payment))


@bp.post("/refunds")
def create_refund() -> Response:
    bank, form = the_bank(), request.form
    payment_id = form.get("payment_intent") or form.get("charge", "").replace("ch_", "pi_", 1)
    metadata = {name[9:-1]: value for name, value in form.items() if name.startswith("metadata[")}
    with bank.store.lock:
        payment = lists.found(bank, payment_id)
        return plain(
            objects.refund(bank, payment, payments.refund(bank, payment, _amount("amount"), metadata=metadata))
        )


def _event(bank: Bank, payment: Record, kind: str) -> Record:
    shop: StripeShop = bank.shop(NAME)
    event_id = _new_id(bank, "event")
    body = {
        "id": event_id,
        "object": "event",
        "api_version": API_VERSION,
        "created": bank.clock.now_s(),
        "data": {"object": _subject(bank, payment, kind)},
        "livemode": shop.livemode,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }
    return {
        "policy": NAME,
        "url": bank.callback_url(NAME),
        "content_type": "application/json",
        "headers": {},
        "body": json.dumps(body, ensure_ascii=False, indent=2),
        "event": kind,
    }


def _subject(bank: Bank, payment: Record, kind: str) -> Json:
    if kind == "checkout.session.completed":
        return objects.session(bank, payment)
    if kind == "charge.refunded":
        return objects.charge(bank, payment)
    if kind.startswith("refund."):
        return objects.refund(bank, payment, payment["refunds"][-1])
    if kind.startswith("charge.dispute."):
        last: Any = max(payment["disputes"], key=lambda row: row["closed_at"] or row["created_at"])
        return objects.dispute(bank, payment, last)
    return objects.intent(bank, payment)


def _amount(name: str) -> int | None:
    text = request.form.get(name)
    if text is not None and not (text.isascii() and text.isdecimal() and int(text)):
        raise Refusal(400, f"Invalid integer: {text}", param=name)
    return None if text is None else int(text)


def _new_id(bank: Bank, kind: str) -> str:
    number = number_id(bank, kind)
    return f"{PREFIXES[kind]}_{''.join(random.Random(f'{bank.settings.seed}:{number}').choices(ID_CHARS, k=24))}"


PROVIDER = Provider(
    name=NAME,
    title="Stripe",
    notify=notifications,
    policies=policies,
    new_id=_new_id,
    blueprint=bp,
    api=("/v1/",),
    disputes=True,
    keeps_metadata=True,
)
