"""YooKassa: /v3 payments and refunds behind Basic auth, unsigned notifications.

Implements the acquirers reference section 2. Money is a decimal string of roubles.
"""

from __future__ import annotations

import hmac
import json
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from flask import Blueprint, Response, g, request

from simulator import bank as payments
from simulator.answers import Json, plain
from simulator.bank_world import Bank, PaymentError, Provider, the_bank, uuid_id
from simulator.deliveries import Policy
from simulator.store import Record

POLICY = "yookassa"
SENDER_IP = "77.75.156.11"
CALLBACK_TIMEOUT_S = 10.0
# The real spacing is not published, only that it lasts a day.
GAPS_S = (60.0, 300.0, 900.0, 3600.0, *([3600.0] * 22))
FEE_BPS = 350
EVENTS = {
    "authorized": "payment.waiting_for_capture",
    "captured": "payment.succeeded",
    "canceled": "payment.canceled",
    "rejected": "payment.canceled",
    "refunded": "refund.succeeded",
}
STATUSES = {
    "new": "pending",
    "authorized": "waiting_for_capture",
    "captured": "succeeded",
    "canceled": "canceled",
    "rejected": "canceled",
}

bp = Blueprint("yookassa", __name__, url_prefix="/v3")


class Refusal(Exception):
    """An error object of YooKassa."""

    def __init__(self, status: int, code: str, description: str, parameter: str = "") -> None:
        super().__init__(description)
        self.status = status
        self.body = {"type": "error", "id": "ab5a11cd-13cc-4e33-af8b-75a74e18dd09", "code": code}
        self.body |= {"description": description, **({"parameter": parameter} if parameter else {})}


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
    """Basic auth, and for POST the answer that the same Idempotence-Key already got."""
    bank, auth = the_bank(), request.authorization
    right = (bank.settings.bank.shop_id, bank.settings.bank.secret)
    given = (auth.username or "", auth.password or "") if auth is not None else ("", "")
    if not all(hmac.compare_digest(a.encode(), b.encode()) for a, b in zip(given, right, strict=True)):
        raise Refusal(401, "invalid_credentials", "Authentication by given credentials failed")
    if request.method != "POST":
        return None
    key = request.headers.get("Idempotence-Key", "")
    if not 0 < len(key) <= 64:
        raise Refusal(400, "invalid_request", "Idempotence key is missing or too long", "Idempotence-Key")
    g.idempotence = f"{request.path}:{key}"
    kept = bank.store.table("idempotence").get(g.idempotence)
    return plain(kept["body"], kept["status"]) if kept else None


@bp.after_request
def remember(response: Response) -> Response:
    key = g.pop("idempotence", None)
    if key and response.status_code < 500:
        bank = the_bank()
        with bank.store.lock:
            bank.store.put("idempotence", key, {"status": response.status_code, "body": response.get_json()})
    return response


@bp.post("/payments")
def create_payment() -> Response:
    bank, asked = the_bank(), _asked()
    amount = _kopecks(asked)
    metadata = asked.get("metadata") or {}
    lead = str(metadata.get("lead_id", ""))
    with bank.store.lock:
        payment = payments.create(
            bank,
            "yookassa",
            amount,
            metadata={str(key): str(value) for key, value in metadata.items()},
            lead_id=int(lead) if lead.isdecimal() else None,
            attempt=metadata.get("attempt"),
            description=asked.get("description", ""),
            two_stage=asked.get("capture") is False,
        )
        shown = _payment(bank, payment)
    return plain({**shown, "confirmation": {"type": "redirect", "confirmation_url": _pay_url(payment)}})


@bp.get("/payments/<payment_id>")
def get_payment(payment_id: str) -> Response:
    bank = the_bank()
    with bank.store.lock:
        return plain(_payment(bank, _found(bank, payment_id)))


@bp.post("/payments/<payment_id>/capture")
def capture_payment(payment_id: str) -> Response:
    bank, asked = the_bank(), _asked()
    with bank.store.lock:
        payment = _found(bank, payment_id)
        payments.capture(bank, payment, _kopecks(asked) if "amount" in asked else None)
        return plain(_payment(bank, payment))


@bp.post("/payments/<payment_id>/cancel")
def cancel_payment(payment_id: str) -> Response:
    bank = the_bank()
    with bank.store.lock:
        payment = _found(bank, payment_id)
        payments.cancel(bank, payment)
        return plain(_payment(bank, payment))


@bp.post("/refunds")
def create_refund() -> Response:
    bank, asked = the_bank(), _asked()
    with bank.store.lock:
        payment = _found(bank, str(asked.get("payment_id", "")))
        return plain(_refund(payment, payments.refund(bank, payment, _kopecks(asked))))


@bp.get("/refunds")
def list_refunds() -> Response:
    bank, wanted = the_bank(), request.args.get("payment_id")
    with bank.store.lock:
        rows = [row for row in bank.payments().values() if row["acquirer"] == "yookassa"]
        items = [_refund(row, refund) for row in rows if wanted in (None, row["id"]) for refund in row["refunds"]]
    return plain({"type": "list", "items": items})


@bp.get("/refunds/<refund_id>")
def get_refund(refund_id: str) -> Response:
    bank = the_bank()
    with bank.store.lock:
        for payment in bank.payments().values():
            for row in payment["refunds"] if payment["acquirer"] == "yookassa" else []:
                if row["id"] == refund_id:
                    return plain(_refund(payment, row))
    raise Refusal(404, "not_found", "Refund doesn't exist or access denied", "refund_id")


def _asked() -> Json:
    asked: Any = request.get_json(silent=True, force=True)
    if not isinstance(asked, dict):
        raise Refusal(400, "invalid_request", "Invalid JSON")
    return asked


def _kopecks(asked: Json) -> int:
    amount = asked.get("amount")
    refusal = Refusal(400, "invalid_request", "Invalid amount value", "amount.value")
    if not isinstance(amount, dict) or amount.get("currency") != "RUB":
        raise refusal
    try:
        kopecks = Decimal(str(amount.get("value"))) * 100
    except InvalidOperation as wrong:
        raise refusal from wrong
    if not kopecks.is_finite() or kopecks <= 0 or kopecks != int(kopecks):
        raise refusal
    return int(kopecks)


def _found(bank: Bank, payment_id: str) -> Record:
    payment = bank.payments().get(payment_id)
    if payment is None or payment["acquirer"] != "yookassa":
        raise Refusal(404, "not_found", "Payment doesn't exist or access denied", "payment_id")
    return payment


def _payment(bank: Bank, payment: Record) -> Json:
    captured = payment["status"] == "captured"
    amount = payment["captured"] if captured else payment["amount"]
    shown: Json = {
        "id": payment["id"],
        "status": STATUSES[payment["status"]],
        "paid": payment["status"] in ("authorized", "captured"),
        "amount": _money(amount),
        "description": payment["description"],
        "recipient": {"account_id": bank.settings.bank.shop_id, "gateway_id": "1000001"},
        "created_at": _instant(payment["created_at"]),
        "metadata": payment["metadata"],
        "payment_method": _method(payment),
        "refundable": captured and payment["refunded"] < amount,
        "test": False,
    }
    if captured:
        shown["income_amount"] = _money(amount - amount * FEE_BPS // 10_000)
        shown["captured_at"] = _instant(payment["captured_at"])
        shown["refunded_amount"] = _money(payment["refunded"])
    if payment["status"] in ("canceled", "rejected"):
        shown["cancellation_details"] = _why_canceled(payment)
    return shown


def _why_canceled(payment: Record) -> Json:
    if payment["status"] == "rejected":
        return {"party": "payment_network", "reason": "insufficient_funds"}
    if payment.get("held"):
        return {"party": "merchant", "reason": "canceled_by_merchant"}
    return {"party": "yoo_money", "reason": "expired_on_confirmation"}


def _method(payment: Record) -> Json:
    card = {"first6": "555555", "last4": "4444", "expiry_month": "07", "expiry_year": "2029", "card_type": "MasterCard"}
    return {"type": "bank_card", "id": payment["id"], "saved": False, "title": "Bank card *4444", "card": card}


def _refund(payment: Record, row: Record) -> Json:
    return {
        "id": row["id"],
        "payment_id": payment["id"],
        "status": "succeeded",
        "created_at": _instant(row["created_at"]),
        "amount": _money(row["amount"]),
    }


def _notification(bank: Bank, payment: Record, event: str) -> Record:
    shown = _refund(payment, payment["refunds"][-1]) if event == "refunded" else _payment(bank, payment)
    body = {"type": "notification", "event": EVENTS[event], "object": shown}
    base = bank.settings.peers.payments_url
    return {
        "policy": POLICY,
        "url": payment["notify_url"] or (f"{base}/yookassa" if base else ""),
        "content_type": "application/json",
        "headers": {"X-Forwarded-For": SENDER_IP},
        "body": json.dumps(body, ensure_ascii=False),
        "event": EVENTS[event],
    }


def _pay_url(payment: Record) -> str:
    return f"{request.host_url}pay/{payment['id']}"


def _money(kopecks: int) -> Json:
    return {"value": f"{kopecks // 100}.{kopecks % 100:02d}", "currency": "RUB"}


def _instant(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


PROVIDER = Provider(
    name="yookassa",
    title="ЮKassa",
    notify=notifications,
    policies=lambda _bank: {POLICY: policy()},
    new_id=uuid_id,
    blueprint=bp,
    api=("/v3/",),
    keeps_metadata=True,
)
