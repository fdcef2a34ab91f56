"""YooKassa: /v3 behind Basic auth with Idempotence-Key, unsigned notifications.

Implements the acquirers reference section 2. Objects are `yookassa_objects`, lists `yookassa_lists`, receipts
`yookassa_receipt`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from flask import Blueprint, Response, g, request

from simulator import bank as payments
from simulator import yookassa_lists as lists
from simulator import yookassa_receipt
from simulator.answers import Json, plain
from simulator.bank_world import Bank, PaymentError, Provider, the_bank, uuid_id
from simulator.deliveries import Policy
from simulator.store import Record
from simulator.wire import is_address
from simulator.yookassa_objects import NAME, Refusal, kopecks, payment_object, refund_object, wrong

POLICY = NAME
SENDER_IP = "77.75.156.11"
CALLBACK_TIMEOUT_S = 10.0
# The real spacing is not published, only that it lasts a day.
GAPS_S = (60.0, 300.0, 900.0, 3600.0, *([3600.0] * 22))
KEEP_KEYS_S = 24 * 3600
KEY_CHARS_MAX = 64
DESCRIPTION_CHARS_MAX = 128
METADATA_KEYS_MAX, METADATA_KEY_CHARS_MAX, METADATA_VALUE_CHARS_MAX = 16, 32, 512
EVENTS = {
    "authorized": "payment.waiting_for_capture",
    "captured": "payment.succeeded",
    "canceled": "payment.canceled",
    "rejected": "payment.canceled",
    "refunded": "refund.succeeded",
}

bp = Blueprint(NAME, __name__, url_prefix="/v3")
bp.add_url_rule("/payments", "list_payments", lists.payments)
bp.add_url_rule("/refunds", "list_refunds", lists.refunds)
bp.add_url_rule("/refunds/<refund_id>", "get_refund", lists.refund)


def policy() -> Policy:
    """200 whatever the body says; for a day."""
    return Policy(
        timeout_s=CALLBACK_TIMEOUT_S,
        accepts=lambda status, _reply: status == 200,
        gap_s=lambda tries, _status: GAPS_S[tries - 1] if tries <= len(GAPS_S) else None,
    )


def notifications(bank: Bank, payment: Record, events: list[str]) -> list[Record]:
    """Deliveries of the events that YooKassa notifies; a one-stage payment has no hold."""
    one_stage = "captured" in events
    return [_notification(bank, payment, event) for event in events if not (one_stage and event == "authorized")]


@bp.errorhandler(Refusal)
def refused(refusal: Refusal) -> Response:
    return plain(refusal.body, refusal.status)


@bp.errorhandler(PaymentError)
def impossible(problem: PaymentError) -> Response:
    return refused(Refusal(400, "invalid_request", str(problem)))


@bp.before_request
def authenticate() -> Response | None:
    """Basic auth, and for POST the answer that the same Idempotence-Key got within the day.

    The key with another body is refused (an assumption; the documentation asks for the same parameters).
    """
    bank, auth = the_bank(), request.authorization
    right = (bank.settings.bank.shop_id, bank.settings.bank.secret)
    given = (auth.username or "", auth.password or "") if auth is not None else ("", "")
    if not all(hmac.compare_digest(a.encode(), b.encode()) for a, b in zip(given, right, strict=True)):
        raise Refusal(401, "invalid_credentials", "Authentication by given credentials failed")
    if request.method != "POST":
        return None
    key = request.headers.get("Idempotence-Key", "")
    if not 0 < len(key) <= KEY_CHARS_MAX:
        raise wrong("Idempotence key is missing or too long", "Idempotence-Key")
    kept = bank.store.table("idempotence").get(f"{request.path}:{key}")
    digest = hashlib.sha256(request.get_data()).hexdigest()
    if kept and kept["at"] > bank.clock.now() - KEEP_KEYS_S:
        if kept["digest"] != digest:
            raise wrong("Idempotence key duplicated", "Idempotence-Key")
        return plain(kept["body"], kept["status"])
    g.idempotence = (f"{request.path}:{key}", digest)
    return None


@bp.after_request
def remember(response: Response) -> Response:
    key, digest = g.pop("idempotence", ("", ""))
    if key and response.status_code < 500:
        bank = the_bank()
        answer = {"status": response.status_code, "body": response.get_json()}
        with bank.store.lock:
            bank.store.put("idempotence", key, {**answer, "digest": digest, "at": bank.clock.now()})
    return response


@bp.post("/payments")
def create_payment() -> Response:
    """Without `capture: true` the money is only held, as the documentation has it."""
    bank, asked = the_bank(), _asked()
    amount, metadata = kopecks(asked.get("amount")), _metadata(asked.get("metadata") or {})
    description, lead = asked.get("description") or "", metadata.get("lead_id", "")
    if not isinstance(description, str) or len(description) > DESCRIPTION_CHARS_MAX:
        raise wrong(f"Description is longer than {DESCRIPTION_CHARS_MAX} characters", "description")
    return_url = _return_url(asked.get("confirmation"))
    receipt = yookassa_receipt.read(asked.get("receipt"), amount)
    with bank.store.lock:
        payment = payments.create(
            bank,
            NAME,
            amount,
            metadata=metadata,
            lead_id=int(lead) if lead.isdecimal() else None,
            attempt=metadata.get("attempt"),
            description=description,
            two_stage=asked.get("capture") is not True,
            payer=dict(receipt["customer"]) if receipt else {},
            receipt=receipt,
            return_url=return_url,
            fail_url=return_url,
        )
        return plain(_with_confirmation(bank, payment))


@bp.get("/payments/<payment_id>")
def get_payment(payment_id: str) -> Response:
    bank = the_bank()
    with bank.store.lock:
        return plain(_with_confirmation(bank, _found(bank, payment_id)))


@bp.post("/payments/<payment_id>/capture")
def capture_payment(payment_id: str) -> Response:
    bank, asked = the_bank(), _asked()
    with bank.store.lock:
        payment = _found(bank, payment_id)
        payments.capture(bank, payment, kopecks(asked["amount"]) if "amount" in asked else None)
        return plain(payment_object(bank, payment))


@bp.post("/payments/<payment_id>/cancel")
def cancel_payment(payment_id: str) -> Response:
    """Only a hold can be dropped; a link that nobody has paid cannot."""
    bank = the_bank()
    with bank.store.lock:
        payment = _found(bank, payment_id)
        if payment["status"] != "authorized":
            raise Refusal(400, "invalid_request", "Only waiting_for_capture can be canceled", "payment_id")
        payments.cancel(bank, payment)
        return plain(payment_object(bank, payment))


@bp.post("/refunds")
def create_refund() -> Response:
    bank, asked = the_bank(), _asked()
    with bank.store.lock:
        payment = _found(bank, str(asked.get("payment_id", "")))
        return plain(refund_object(payment, payments.refund(bank, payment, kopecks(asked.get("amount")))))


def _asked() -> Json:
    asked: Any = request.get_json(silent=True, force=True)
    if not isinstance(asked, dict):
        raise Refusal(400, "invalid_request", "Invalid JSON")
    return asked


def _metadata(told: Any) -> dict[str, str]:
    if not isinstance(told, dict) or len(told) > METADATA_KEYS_MAX:
        raise wrong(f"Metadata must be an object of {METADATA_KEYS_MAX} keys or less", "metadata")
    found = {str(key): str(value) for key, value in told.items()}
    if any(len(key) > METADATA_KEY_CHARS_MAX or len(found[key]) > METADATA_VALUE_CHARS_MAX for key in found):
        raise wrong("A key or a value of metadata is too long", "metadata")
    return found


def _return_url(confirmation: Any) -> str:
    """Where the payer goes after a redirect; a payment without `confirmation` sends him nowhere."""
    if confirmation is None:
        return ""
    if not isinstance(confirmation, dict) or confirmation.get("type") != "redirect":
        raise wrong("Only confirmation by redirect is simulated", "confirmation.type")
    return_url = confirmation.get("return_url")
    if not is_address(return_url):
        raise wrong("Invalid return URL", "confirmation.return_url")
    return str(return_url)


def _with_confirmation(bank: Bank, payment: Record) -> Json:
    """While it waits for the payer, the payment tells where he can pay."""
    shown = payment_object(bank, payment)
    if payment["status"] == "new":
        back = {"return_url": payment["return_url"]} if payment.get("return_url") else {}
        shown["confirmation"] = {
            "type": "redirect",
            **back,
            "confirmation_url": f"{request.host_url}pay/{payment['id']}",
        }
    return shown


def _found(bank: Bank, payment_id: str) -> Record:
    payment = bank.payments().get(payment_id)
    if payment is None or payment["acquirer"] != NAME:
        raise Refusal(404, "not_found", "Payment doesn't exist or access denied", "payment_id")
    return payment


def _notification(bank: Bank, payment: Record, event: str) -> Record:
    is_refund = event == "refunded"
    shown = refund_object(payment, payment["refunds"][-1]) if is_refund else payment_object(bank, payment)
    body = {"type": "notification", "event": EVENTS[event], "object": shown}
    return {
        "policy": POLICY,
        "url": payment["notify_url"] or bank.callback_url(NAME),
        "content_type": "application/json",
        "headers": {"X-Forwarded-For": SENDER_IP},
        "body": json.dumps(body, ensure_ascii=False),
        "event": EVENTS[event],
    }


PROVIDER = Provider(
    name=NAME,
    title="ЮKassa",
    notify=notifications,
    policies=lambda _bank: {POLICY: policy()},
    new_id=uuid_id,
    blueprint=bp,
    api=("/v3/",),
    keeps_metadata=True,
)
