"""What the pages and the control API show of a record: names instead of numbers, Russian words, money with kopecks."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus, urlsplit

from simulator import fields, invoices
from simulator.acquirers import PROVIDERS
from simulator.answers import Json
from simulator.field_values import MOSCOW
from simulator.store import Record
from simulator.world import Crm

MONTHS = [
    "января",
    "февраля",
    "марта",
    "апреля",
    "мая",
    "июня",
    "июля",
    "августа",
    "сентября",
    "октября",
    "ноября",
    "декабря",
]
PAYMENT_WORDS = {
    "new": "ждёт оплаты",
    "authorized": "деньги заблокированы",
    "captured": "оплачено",
    "canceled": "отменён",
    "rejected": "отказ банка",
}
DELIVERY_WORDS = {
    "waiting": "ждёт",
    "accepted": "принято",
    "gave_up": "брошено",
    "cancelled": "снято",
    "lost": "потеряно",
}
DISPUTE_WORDS = {"open": "оспаривается", "won": "оспаривание отбито", "lost": "оспорено"}


def roubles(kopecks: int) -> str:
    """2 990 ₽, with kopecks only when there are any."""
    whole, part = divmod(abs(kopecks), 100)
    text = f"{whole:,}".replace(",", "\u00a0") + (f",{part:02d}" if part else "")
    return f"{'−' if kopecks < 0 else ''}{text}\u00a0₽"


def moscow(at: float | datetime) -> str:
    """21 ноября 2026, 23:04 in Moscow."""
    instant = at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)
    local = instant.astimezone(MOSCOW)
    return f"{local.day} {MONTHS[local.month - 1]} {local.year}, {local:%H:%M}"


def clock_time(at: float) -> str:
    """23:04:05 in Moscow."""
    return f"{datetime.fromtimestamp(at, UTC).astimezone(MOSCOW):%H:%M:%S}"


def payment_view(payment: Record) -> Json:
    """A payment with its state in words."""
    back = payment["refunded"]
    words = "срок ссылки вышел" if payment.get("expired") else PAYMENT_WORDS[payment["status"]]
    if back:
        words = "возвращён полностью" if back == payment["captured"] else f"возвращено {roubles(back)}"
    tone = "good" if payment["status"] == "captured" and not back else "bad" if payment["status"] == "rejected" else ""
    provider, claims = PROVIDERS[payment["acquirer"]], payment.get("disputes", ())
    disputes = [f"{DISPUTE_WORDS[row['state']]} {roubles(row['amount'])}" for row in claims]
    words = ", ".join([words, *disputes])
    is_taken = payment["status"] == "captured"
    return {
        **payment,
        "state": words,
        "tone": "warn" if back or disputes else tone,
        "left": payment["captured"] - back,
        "bank_name": provider.title,
        "reversible": provider.reverses_captured and is_taken and not back,
        "disputable": provider.disputes and is_taken and not claims and not back,
        "disputed": any(row["state"] == "open" for row in claims),
    }


def callback_view(delivery: Record) -> Json:
    """A delivery with the latest reply on top, the body read back."""
    attempts = delivery["attempts"]
    last = attempts[-1] if attempts else {"status": None, "reply": "", "took_ms": None}
    is_json = delivery["content_type"] == "application/json"
    form = urlsplit(delivery["url"]).query if delivery.get("method") == "GET" else delivery["body"]
    keys = ("id", "url", "state", "created_at", "due_at", "copy")
    own = ("event", "payment_id", "policy", "hook_id", "entity", "entity_ids")
    headers = delivery.get("headers", {})
    return {
        "method": delivery.get("method", "POST"),
        "headers": headers,
        "header_lines": [f"{name}: {value}" for name, value in headers.items()],
        **{key: delivery[key] for key in keys},
        **{key: delivery[key] for key in own if key in delivery},
        "accepted": delivery["state"] == "accepted",
        "state_words": DELIVERY_WORDS[delivery["state"]],
        "status": last["status"],
        "reply": last["reply"],
        "took_ms": last["took_ms"],
        "attempts": attempts,
        "tries": len(attempts),
        "body": json.loads(delivery["body"]) if is_json else delivery["body"],
        "body_text": _readable(delivery["content_type"], form),
    }


def _readable(content_type: str, text: str) -> str:
    """JSON and plain forms with a line for each field; anything else as it is."""
    if content_type == "application/json":
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    if content_type == "application/x-www-form-urlencoded":
        return "\n".join(unquote_plus(part) for part in text.split("&"))
    return text


def payments_by_lead(crm: Crm) -> dict[int, list[Json]]:
    """Payments of every deal, oldest first."""
    grouped: dict[int, list[Json]] = {}
    for row in crm.rows("payments").values():
        grouped.setdefault(row["lead_id"], []).append(payment_view(row))
    return grouped


def deal_view(crm: Crm, lead: Record, grouped: dict[int, list[Json]] | None = None) -> Json:
    """A deal as people see it: stage and contact by name, payments of the bank (`grouped` saves looking for them)."""
    main = next((row["id"] for row in lead["contacts"] if row["is_main"]), None)
    contact = crm.rows("contacts").get(main)
    payments = (payments_by_lead(crm) if grouped is None else grouped).get(lead["id"], [])
    return {
        "id": lead["id"],
        "name": lead["name"],
        "price_roubles": lead["price"],
        "price_text": roubles(round(lead["price"] * 100)),
        "status": crm.status_name(lead),
        "status_id": lead["status_id"],
        "pipeline_id": lead["pipeline_id"],
        "pipeline": crm.rows("pipelines")[lead["pipeline_id"]]["name"],
        "contact_id": main,
        "contact_name": contact["name"] if contact else None,
        "fields": fields.by_name(crm, lead),
        "payments": payments,
        "invoices": invoices.of_lead(crm, lead),
        "paid": any(row["status"] == "captured" for row in payments),
        "refundable": any(row["status"] == "captured" and row["left"] > 0 for row in payments),
        "updated_at": lead["updated_at"],
    }


def contact_view(crm: Crm, contact: Record) -> Json:
    """A contact with its fields by name."""
    named = fields.by_name(crm, contact)
    return {
        "id": contact["id"],
        "name": contact["name"],
        "phone": named.get("Телефон"),
        "fields": named,
        "deals": contact["leads"],
        "customers": contact["customers"],
        "updated_at": contact["updated_at"],
    }


def customer_view(crm: Crm, customer: Record) -> Json:
    """A customer with its segments by name."""
    segments = [crm.rows("segments")[key]["name"] for key in customer["segments"] if key in crm.rows("segments")]
    return {
        "id": customer["id"],
        "name": customer["name"],
        "segments": segments,
        "contacts": [row["id"] for row in customer["contacts"]],
        "ltv": customer["ltv"],
        "purchases_count": customer["purchases_count"],
        "bonus_points": customer["bonus_points"],
        "bonus_moves": customer.get("bonus_moves", []),
        "fields": fields.by_name(crm, customer),
    }


def feed_view(crm: Crm, kind: str, record_id: int) -> list[Json]:
    """Notes of a record, newest first."""
    rows = [row for row in crm.rows("notes").values() if row["entity_type"] == kind and row["entity_id"] == record_id]
    return [note_view(row) for row in rows[::-1]]


def note_view(row: Record) -> Json:
    params: dict[str, Any] = row["params"]
    return {
        "id": row["id"],
        "entity_type": row["entity_type"],
        "entity_id": row["entity_id"],
        "note_type": row["note_type"],
        "service": params.get("service"),
        "text": params.get("text", ""),
        "created_at": row["created_at"],
    }
