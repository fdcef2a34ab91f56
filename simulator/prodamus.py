"""Prodamus: nested PHP forms with a Sign. There is no API to read payments.

Implements the acquirers reference section 7. What is told of a refund is not documented: nothing, unless the cabinet
names a status.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from simulator.bank_world import Bank, Provider, number_or_uuid
from simulator.deliveries import Policy
from simulator.shops import ProdamusShop
from simulator.store import Record
from simulator.wire import FORM, Pairs, in_moscow, php_form, roubles

NAME = "prodamus"
TIMEOUT_S = 30.0
MINUTE_S, HOUR_S = 60.0, 3600.0
GAPS_S = (
    *(MINUTE_S * minutes for minutes in (1, 1, 1, 5, 5, 5, 10, 10, 10, 30, 30, 30)),
    *(HOUR_S * hours for hours in (1, 1, 1, 3, 3, 3, 6, 6, 6, 12, 24)),
)
BOUNDARY = "------------------------d74496d66958873e"
COMMISSION_PERCENT = 3.5
WORDS = {
    "success": "Успешная оплата",
    "order_canceled": "Заказ отменен",
    "order_denied": "Отказ в оплате",
}


def sign(values: dict[str, Any], secret: str) -> str:
    """HMAC-SHA256 of PHP's json_encode of the sorted fields, with unescaped Unicode and escaped slashes."""
    return hmac.new(secret.encode(), _php_json(values).encode(), hashlib.sha256).hexdigest()


def policies(_bank: Bank) -> dict[str, Policy]:
    """200 whatever the body says; the schedule is published."""
    return {
        NAME: Policy(
            timeout_s=TIMEOUT_S,
            accepts=lambda status, _reply: status == 200,
            gap_s=lambda tries, _status: GAPS_S[tries - 1] if tries <= len(GAPS_S) else None,
        )
    }


def notifications(bank: Bank, payment: Record, events: list[str]) -> list[Record]:
    """Money taken, a dropped order, a refusal; a refund under the name that the cabinet gives it."""
    shop: ProdamusShop = bank.shop(NAME)
    statuses = {
        "captured": "success",
        "canceled": "order_canceled",
        "rejected": "order_denied",
        "refunded": shop.refund_status,
    }
    status = statuses.get(events[-1], "")
    return [_notification(bank, shop, payment, status)] if status else []


def _notification(bank: Bank, shop: ProdamusShop, payment: Record, status: str) -> Record:
    values = _values(shop, payment, status)
    secret = shop.secret + ("demo" if shop.demo else "")
    is_multipart = shop.form == "multipart"
    pairs = _flat(values)
    return {
        "policy": NAME,
        "url": payment["notify_url"] or bank.callback_url(NAME),
        "content_type": f"multipart/form-data; boundary={BOUNDARY}" if is_multipart else FORM,
        "headers": {"Sign": sign(values, secret)},
        "body": _multipart(pairs) if is_multipart else php_form(pairs),
        "event": status,
    }


def _values(shop: ProdamusShop, payment: Record, status: str) -> dict[str, Any]:
    """The fields as PHP's $_POST will have them: everything is text."""
    total, payer = payment["amount"], payment["payer"]
    if status == shop.refund_status and payment["refunds"]:
        total = payment["refunds"][-1]["amount"]
    fee = round(total * COMMISSION_PERCENT / 100)
    goods = {"name": payment["description"], "price": roubles(total), "quantity": "1", "sum": roubles(total)}
    return {
        "date": in_moscow(payment["created_at"]).isoformat(timespec="seconds"),
        "order_id": payment["id"],
        "order_num": payment["order_id"],
        "domain": shop.domain,
        "sum": roubles(total),
        "currency": "rub",
        "customer_phone": str(payer.get("phone") or ""),
        "customer_email": str(payer.get("email") or ""),
        "customer_extra": str(payment["metadata"].get("customer_extra") or ""),
        "payment_type": "Оплата картой Visa/MasterCard/МИР",
        "commission": str(COMMISSION_PERCENT),
        "commission_sum": roubles(fee),
        "attempt": "1",
        "products": [goods],
        "payment_init": "manual",
        "payment_status": status,
        "payment_status_description": WORDS.get(status, "Возврат"),
    }


def _flat(values: dict[str, Any]) -> Pairs:
    """The fields as PHP names them in a form: products[0][name]."""
    pairs: Pairs = []
    for name, value in values.items():
        if isinstance(value, list):
            pairs += [(f"{name}[{place}][{key}]", text) for place, row in enumerate(value) for key, text in row.items()]
        else:
            pairs.append((name, value))
    return pairs


def _multipart(pairs: Pairs) -> str:
    parts = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in pairs
    )
    return f"{''.join(parts)}--{BOUNDARY}--\r\n"


def _php_json(value: Any) -> str:
    """json_encode(…, JSON_UNESCAPED_UNICODE) after a recursive ksort; a list is in order already."""
    if isinstance(value, dict):
        pairs = (f"{_php_json(str(key))}:{_php_json(value[key])}" for key in sorted(value))
        return f"{{{','.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{','.join(_php_json(row) for row in value)}]"
    text = json.dumps(str(value), ensure_ascii=False)
    return text.replace("/", "\\/").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


PROVIDER = Provider(
    name=NAME,
    title="Prodamus",
    notify=notifications,
    policies=policies,
    new_id=number_or_uuid,
    two_stage=False,
)
