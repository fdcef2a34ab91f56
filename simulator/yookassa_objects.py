"""YooKassa's objects: how payments, refunds and refusals look in the API and in notifications, and its way with money.

Implements the acquirers reference section 2. Money is a decimal string of roubles.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from simulator.answers import Json
from simulator.bank_world import Bank
from simulator.store import Record

NAME = "yookassa"
FEE_BPS = 350
STATUSES = {
    "new": "pending",
    "authorized": "waiting_for_capture",
    "captured": "succeeded",
    "canceled": "canceled",
    "rejected": "canceled",
}


class Refusal(Exception):
    """An error object of YooKassa."""

    def __init__(self, status: int, code: str, description: str, parameter: str = "") -> None:
        super().__init__(description)
        self.status = status
        self.body = {"type": "error", "id": "ab5a11cd-13cc-4e33-af8b-75a74e18dd09", "code": code}
        self.body |= {"description": description, **({"parameter": parameter} if parameter else {})}


def wrong(description: str, parameter: str) -> Refusal:
    """400 for one parameter."""
    return Refusal(400, "invalid_request", description, parameter)


def kopecks(amount: Any, parameter: str = "amount") -> int:
    """From an amount object. Raises Refusal."""
    if not isinstance(amount, dict) or amount.get("currency") != "RUB":
        raise wrong("Invalid amount value", f"{parameter}.currency")
    try:
        told = Decimal(str(amount.get("value"))) * 100
    except InvalidOperation as nonsense:
        raise wrong("Invalid amount value", f"{parameter}.value") from nonsense
    if not told.is_finite() or told <= 0 or told != int(told):
        raise wrong("Invalid amount value", f"{parameter}.value")
    return int(told)


def payment_object(bank: Bank, payment: Record) -> Json:
    """A payment as the API shows it."""
    captured = payment["status"] == "captured"
    amount = payment["captured"] if captured else payment["amount"]
    shown: Json = {
        "id": payment["id"],
        "status": STATUSES[payment["status"]],
        "paid": payment["status"] in ("authorized", "captured"),
        "amount": money(amount),
        "description": payment["description"],
        "recipient": {"account_id": bank.settings.bank.shop_id, "gateway_id": "1000001"},
        "created_at": instant(payment["created_at"]),
        "metadata": payment["metadata"],
        "refundable": captured and payment["refunded"] < amount,
        "test": False,
    }
    if payment["status"] != "new":
        shown["payment_method"] = _method(payment)
    if captured:
        shown["income_amount"] = money(amount - amount * FEE_BPS // 10_000)
        shown["captured_at"] = instant(payment["captured_at"])
        shown["refunded_amount"] = money(payment["refunded"])
    if payment.get("receipt"):
        shown["receipt_registration"] = "succeeded" if captured else "pending"
    if payment["status"] in ("canceled", "rejected"):
        shown["cancellation_details"] = _why_canceled(payment)
    return shown


def refund_object(payment: Record, row: Record) -> Json:
    return {
        "id": row["id"],
        "payment_id": payment["id"],
        "status": "succeeded",
        "created_at": instant(row["created_at"]),
        "amount": money(row["amount"]),
    }


def money(amount_kopecks: int) -> Json:
    return {"value": f"{amount_kopecks // 100}.{amount_kopecks % 100:02d}", "currency": "RUB"}


def instant(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _why_canceled(payment: Record) -> Json:
    if payment["status"] == "rejected":
        return {"party": "payment_network", "reason": "insufficient_funds"}
    if payment.get("held"):
        return {"party": "merchant", "reason": "canceled_by_merchant"}
    return {"party": "yoo_money", "reason": "expired_on_confirmation"}


def _method(payment: Record) -> Json:
    card = {"first6": "555555", "last4": "4444", "expiry_month": "07", "expiry_year": "2029", "card_type": "MasterCard"}
    return {"type": "bank_card", "id": payment["id"], "saved": False, "title": "Bank card *4444", "card": card}
