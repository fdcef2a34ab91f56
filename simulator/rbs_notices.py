"""Callbacks of the RBS platform, which Sber and Alfa-Bank share, and their checksum.

Implements the acquirers reference section 6. A callback says what happened to an order; how much money there is says
the API, unless the shop has ticked more fields.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import hashes

from simulator.bank_world import Bank
from simulator.deliveries import Policy
from simulator.shops import RbsShop
from simulator.store import Record
from simulator.wire import form_callback, in_moscow, java_form, roubles

POLICY = "rbs"
TIMEOUT_S = 10.0
GAP_S, FAILURES = 30.0, 3
UNSIGNED = ("checksum", "sign_alias")
SIGN_ALIAS = "SHA-256 with RSA"


def signed_text(values: dict[str, str]) -> str:
    """`name;value;` of every parameter, sorted by name."""
    return "".join(f"{name};{values[name]};" for name in sorted(values) if name not in UNSIGNED)


def symmetric(values: dict[str, str], callback_key: str) -> str:
    return hmac.new(callback_key.encode(), signed_text(values).encode(), hashlib.sha256).hexdigest().upper()


def policies(_bank: Bank) -> dict[str, Policy]:
    """Any 200; three failures in a row are the end."""
    return {
        POLICY: Policy(
            timeout_s=TIMEOUT_S,
            accepts=lambda status, _reply: status == 200,
            gap_s=lambda tries, _status: GAP_S if tries < FAILURES else None,
        )
    }


def notifications(bank: Bank, payment: Record, events: list[str]) -> list[Record]:
    """One callback of a step. A refusal is the step it would have been, with status 0."""
    event = events[-1]
    whole = "approved" if payment["two_stage"] else "deposited"
    operations = {
        "authorized": "approved",
        "captured": "deposited",
        "canceled": "reversed" if payment.get("held") else "declinedByTimeout",
        "rejected": whole,
        "refunded": "refunded",
    }
    return [_callback(bank, payment, operations[event], event != "rejected")] if event in operations else []


def amounts(shop: RbsShop, payment: Record) -> dict[str, Any]:
    """paymentAmountInfo. After a reversal nothing is held or taken any more."""
    gone = payment["status"] == "canceled"
    refunded = 0 if gone else payment["refunded"]
    held = payment["amount"] if payment["status"] in ("authorized", "captured") else 0
    deposited = 0 if gone else payment["captured"] - (refunded if shop.deposited_shrinks else 0)
    return {
        "paymentState": _state(shop, payment),
        "approvedAmount": held,
        "depositedAmount": deposited,
        "refundedAmount": refunded,
    }


def _state(shop: RbsShop, payment: Record) -> str:
    if payment["status"] == "captured" and payment["refunded"]:
        return "REFUNDED" if payment["refunded"] == payment["captured"] else shop.part_state
    if payment["status"] == "canceled":
        return "REVERSED" if payment["held"] else "DECLINED"
    return {"new": "CREATED", "authorized": "APPROVED", "captured": "DEPOSITED", "rejected": "DECLINED"}[
        str(payment["status"])
    ]


def _callback(bank: Bank, payment: Record, operation: str, is_done: bool) -> Record:
    name = payment["acquirer"]
    shop: RbsShop = bank.shop(name)
    date = in_moscow(bank.clock.now())
    values = {
        "mdOrder": payment["id"],
        "orderNumber": payment["order_id"],
        "operation": operation,
        "status": str(int(is_done)),
        "callbackCreationDate": f"{date:%a %b %d %H:%M:%S} MSK {date:%Y}",
        **_ticked(shop, payment, operation),
    }
    values |= _checksum(bank, name, shop, values)
    return {
        **_sent(shop, payment["notify_url"] or bank.callback_url(name), values),
        "policy": POLICY,
        "event": operation if is_done else f"{operation} не удалось",
    }


def _ticked(shop: RbsShop, payment: Record, operation: str) -> dict[str, str]:
    """The additional parameters that the shop has chosen and the operation has a value for."""
    money, payer = amounts(shop, payment), payment["payer"]
    known: dict[str, Callable[[], object]] = {
        "amount": lambda: payment["captured"] or payment["amount"],
        "approvedAmount": lambda: money["approvedAmount"],
        "depositedAmount": lambda: money["depositedAmount"],
        "refundedAmount": lambda: money["refundedAmount"],
        "paymentState": lambda: money["paymentState"],
        "email": lambda: payer.get("email"),
        "phone": lambda: payer.get("phone"),
        "maskedPan": lambda: "411111**1111",
    }
    if operation == "refunded":
        last = payment["refunds"][-1]
        known["operationRefundedAmount"] = lambda: last["amount"]
        known["operationRefundedAmountFormatted"] = lambda: roubles(last["amount"])
        known["externalRefundId"] = lambda: last.get("request_id")
    found = {name: known[name]() for name in shop.fields if name in known}
    return {name: str(value) for name, value in found.items() if value not in (None, "")}


def _checksum(bank: Bank, name: str, shop: RbsShop, values: dict[str, str]) -> dict[str, str]:
    if shop.checksum == "none":
        return {}
    if shop.checksum == "hmac":
        return {"checksum": symmetric(values, shop.callback_key)}
    # sign_alias says SHA-256, the digest is SHA-512: so it is in the official sample.
    signature = bank.keys.sign(name, signed_text(values).encode(), hashes.SHA512())
    return {"sign_alias": SIGN_ALIAS, "checksum": signature.hex().upper()}


def _sent(shop: RbsShop, url: str, values: dict[str, str]) -> Record:
    if shop.method == "JSON":
        body = json.dumps(values, ensure_ascii=False)
        return {"method": "POST", "url": url, "body": body, "content_type": "application/json"}
    return form_callback(shop.method, url, java_form(list(values.items())))
