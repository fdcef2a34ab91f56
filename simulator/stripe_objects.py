"""Stripe's objects: how a payment, its charge, refunds and disputes look in events and in the API.

Implements the acquirers reference section 9. Sums are minor units of the shop's currency.
"""

from __future__ import annotations

from simulator import bank as payments
from simulator.answers import Json
from simulator.bank_world import Bank
from simulator.shops import StripeShop
from simulator.store import Record

NAME = "stripe"
STATUSES = {
    "new": "requires_payment_method",
    "authorized": "requires_capture",
    "captured": "succeeded",
    "canceled": "canceled",
    "rejected": "requires_payment_method",
}
DISPUTE_STATUSES = {"open": "needs_response", "won": "won", "lost": "lost"}
DECLINED: Json = {"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"}


class Refusal(Exception):
    """Stripe's `{"error": {type, message, code?, param?}}`."""

    def __init__(self, status: int, message: str, **more: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"type": "invalid_request_error", "message": message, **more}}


def intent(bank: Bank, payment: Record) -> Json:
    shop: StripeShop = bank.shop(NAME)
    is_held = payment["status"] == "authorized"
    return {
        "id": payment["id"],
        "object": "payment_intent",
        "amount": payment["amount"],
        "amount_capturable": payment["amount"] if is_held else 0,
        "amount_received": payment["captured"],
        "canceled_at": None,
        "capture_method": "manual" if payment["two_stage"] else "automatic",
        "created": int(payment["created_at"]),
        "currency": shop.currency,
        "customer": None,
        "description": payment["description"],
        "last_payment_error": DECLINED if payment["status"] == "rejected" else None,
        "latest_charge": charge_id(payment) if is_charged(payment) else None,
        "livemode": shop.livemode,
        "metadata": payment["metadata"],
        "payment_method_types": ["card"],
        "receipt_email": payment["payer"].get("email"),
        "status": STATUSES[payment["status"]],
    }


def is_charged(payment: Record) -> bool:
    """Whether a card has said yes to it."""
    return payment["status"] in ("authorized", "captured") or bool(payment.get("held"))


def charge(bank: Bank, payment: Record, *, with_refunds: bool = False) -> Json:
    """A charge has its intent's metadata. Its refunds are told only to who asks for them."""
    shop: StripeShop = bank.shop(NAME)
    payer = payment["payer"]
    shown: Json = {
        "id": charge_id(payment),
        "object": "charge",
        "amount": payment["amount"],
        "amount_captured": payment["captured"],
        "amount_refunded": payment["refunded"],
        "billing_details": {key: payer.get(key) for key in ("name", "phone", "email")},
        "captured": payment["captured"] > 0,
        "created": int(_charged_at(payment)),
        "currency": shop.currency,
        "disputed": payments.disputed(payment) > 0,
        "livemode": shop.livemode,
        "metadata": payment["metadata"],
        "paid": True,
        "payment_intent": payment["id"],
        "receipt_email": payer.get("email"),
        "refunded": payment["captured"] > 0 and payment["refunded"] == payment["captured"],
        "status": "succeeded",
    }
    if with_refunds:
        rows = [refund(bank, payment, row) for row in reversed(payment["refunds"])]
        shown["refunds"] = listed(rows, f"/v1/charges/{shown['id']}/refunds")
    return shown


def refund(bank: Bank, payment: Record, row: Record) -> Json:
    """A refund does not inherit metadata."""
    shop: StripeShop = bank.shop(NAME)
    return {
        "id": row["id"],
        "object": "refund",
        "amount": row["amount"],
        "charge": charge_id(payment),
        "created": int(row["created_at"]),
        "currency": shop.currency,
        "metadata": row.get("metadata") or {},
        "payment_intent": payment["id"],
        "reason": None,
        "status": "succeeded",
    }


def dispute(bank: Bank, payment: Record, row: Record) -> Json:
    shop: StripeShop = bank.shop(NAME)
    return {
        "id": row["id"],
        "object": "dispute",
        "amount": row["amount"],
        "charge": charge_id(payment),
        "created": int(row["created_at"]),
        "currency": shop.currency,
        "livemode": shop.livemode,
        "metadata": {},
        "payment_intent": payment["id"],
        "reason": "fraudulent",
        "status": DISPUTE_STATUSES[row["state"]],
    }


def session(bank: Bank, payment: Record) -> Json:
    """The Checkout session in which the payment was made; it has the same metadata."""
    shop: StripeShop = bank.shop(NAME)
    payer = payment["payer"]
    return {
        "id": f"cs_live_{payment['id'].removeprefix('pi_')}",
        "object": "checkout.session",
        "amount_total": payment["amount"],
        "created": int(payment["created_at"]),
        "currency": shop.currency,
        "customer_details": {key: payer.get(key) for key in ("name", "phone", "email")},
        "livemode": shop.livemode,
        "metadata": payment["metadata"],
        "mode": "payment",
        "payment_intent": payment["id"],
        "payment_status": "paid",
        "status": "complete",
    }


def listed(rows: list[Json], url: str, *, has_more: bool = False) -> Json:
    return {"object": "list", "data": rows, "has_more": has_more, "url": url}


def charge_id(payment: Record) -> str:
    return f"ch_{payment['id'].removeprefix('pi_')}"


def _charged_at(payment: Record) -> float:
    """An intent waits for its payer; the charge is made when he pays. A hold is taken later than it was charged."""
    return float(payment["created_at"] if payment["two_stage"] else payment["captured_at"] or payment["created_at"])
