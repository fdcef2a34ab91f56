"""T-Bank internet acquiring: Token, /v2 methods, notifications.

Implements the acquirers reference section 3. What `Amount` means after a partial refund is not documented; here it
is what is left of the payment, in notifications and in GetState alike.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from flask import Blueprint, Response, request

from simulator import bank as payments
from simulator import tbank_init
from simulator.answers import Json, plain
from simulator.bank_world import Bank, PaymentError, Provider, number_or_uuid, the_bank
from simulator.deliveries import Policy
from simulator.store import Record
from simulator.tbank_errors import BAD_REQUEST, BAD_TOKEN, NOT_FOUND, WRONG_STATE, Refusal
from simulator.tbank_init import NAME

POLICY = NAME
SENDER_IP = "91.194.226.181"
CALLBACK_TIMEOUT_S = 10.0
HOUR_S, DAY_S = 3600.0, 86_400.0
HOURLY_TRIES, DAILY_TRIES = 24, 30
CARD: Json = {"CardId": 322264, "Pan": "430000******0777", "ExpDate": "1129", "RebillId": 101709}

bp = Blueprint(NAME, __name__, url_prefix="/v2")


def token(values: Json, password: str) -> str:
    """The Token of a request or notification: sorted root scalars with the Password, SHA-256."""
    scalars = {key: value for key, value in values.items() if not isinstance(value, dict | list) and value is not None}
    scalars.pop("Token", None)
    scalars["Password"] = password
    joined = "".join(_printed(scalars[key]) for key in sorted(scalars))
    return hashlib.sha256(joined.encode()).hexdigest()


def policy() -> Policy:
    """200 with the body `OK` and nothing else; hourly for a day, then daily for a month."""
    return Policy(
        timeout_s=CALLBACK_TIMEOUT_S, accepts=lambda status, reply: status == 200 and reply == "OK", gap_s=_gap_s
    )


def notifications(bank: Bank, payment: Record, events: list[str]) -> list[Record]:
    """One delivery for each event, in T-Bank's words."""
    return [_notification(bank, payment, event) for event in events]


def status_of(payment: Record) -> str:
    """The payment's state in T-Bank's words."""
    if payment["status"] == "captured" and payment["refunded"]:
        return "REFUNDED" if payment["refunded"] == payment["captured"] else "PARTIAL_REFUNDED"
    if payment.get("expired"):
        return "DEADLINE_EXPIRED"
    if payment["status"] == "canceled":
        return "REVERSED" if payment.get("held") else "CANCELED"
    return {"new": "NEW", "authorized": "AUTHORIZED", "captured": "CONFIRMED", "rejected": "REJECTED"}[
        str(payment["status"])
    ]


@bp.errorhandler(Refusal)
def refused(refusal: Refusal) -> Response:
    terminal = the_bank().settings.bank.terminal
    body = {"Success": False, "ErrorCode": refusal.code, "Message": refusal.text, "Details": refusal.details}
    return plain({**body, "TerminalKey": terminal})


@bp.errorhandler(PaymentError)
def impossible(problem: PaymentError) -> Response:
    return refused(Refusal((WRONG_STATE, str(problem), "")))


@bp.post("/Init")
def init() -> Response:
    """A link to pay by; the parameters are checked by `tbank_init`."""
    bank, asked = _asked()
    amount = tbank_init.amount_of(asked)
    with bank.store.lock:
        payment = payments.create(bank, NAME, amount, **tbank_init.own(bank, asked, amount))
    return plain({**_head(bank, payment), "PaymentURL": f"{request.host_url}pay/{payment['id']}"})


@bp.post("/GetState")
def get_state() -> Response:
    bank, asked = _asked()
    with bank.store.lock:
        return plain(_head(bank, _payment(bank, asked)))


@bp.post("/CheckOrder")
def check_order() -> Response:
    bank, asked = _asked()
    order_id = str(asked.get("OrderId", ""))
    with bank.store.lock:
        rows = [row for row in bank.payments_of(NAME) if row["order_id"] == order_id]
        for row in rows:
            payments.expire_if_due(bank, row)
        listed = [
            {
                "PaymentId": row["id"],
                "Amount": _amount(row),
                "Status": status_of(row),
                "RRN": f"{int(row['id']):012d}",
                "Success": "true",
                "ErrorCode": 0,
                "Message": "None",
            }
            for row in rows
        ]
    if not listed:
        raise Refusal(NOT_FOUND)
    terminal = bank.settings.bank.terminal
    ok = {"TerminalKey": terminal, "OrderId": order_id, "Success": True, "ErrorCode": "0", "Message": "OK"}
    return plain({**ok, "Payments": listed})


@bp.post("/Confirm")
def confirm() -> Response:
    bank, asked = _asked()
    with bank.store.lock:
        payment = _payment(bank, asked)
        payments.capture(bank, payment, asked.get("Amount"))
    return plain(_head(bank, payment))


@bp.post("/Cancel")
def cancel() -> Response:
    """Drops a new payment or a hold, gives back a captured one. ExternalRequestId makes a repeat harmless."""
    bank, asked = _asked()
    with bank.store.lock:
        payment = _payment(bank, asked)
        key = asked.get("ExternalRequestId")
        before = _amount(payment)
        if payment["status"] != "captured":
            payments.cancel(bank, payment)
            after = 0
        elif key and any(row.get("request_id") == key for row in payment["refunds"]):
            after = payment["captured"] - payment["refunded"]
        else:
            payments.refund(bank, payment, asked.get("Amount"), request_id=key)
            after = payment["captured"] - payment["refunded"]
    extra = {"OriginalAmount": before, "NewAmount": after, **({"ExternalRequestId": key} if key else {})}
    return plain({**_head(bank, payment), **extra})


def _asked() -> tuple[Bank, Json]:
    bank = the_bank()
    asked: Any = request.get_json(silent=True, force=True)
    if not isinstance(asked, dict):
        raise Refusal(BAD_REQUEST)
    expected = token(asked, bank.settings.bank.password)
    if asked.get("TerminalKey") != bank.settings.bank.terminal or not hmac.compare_digest(
        expected.encode(), str(asked.get("Token", "")).encode()
    ):
        raise Refusal(BAD_TOKEN)
    return bank, asked


def _payment(bank: Bank, asked: Json) -> Record:
    payment = bank.payments().get(str(asked.get("PaymentId", "")))
    if payment is None or payment["acquirer"] != NAME:
        raise Refusal(NOT_FOUND)
    payments.expire_if_due(bank, payment)
    return payment


def _head(bank: Bank, payment: Record) -> Json:
    return {
        "Success": True,
        "ErrorCode": "0",
        "Message": "OK",
        "TerminalKey": bank.settings.bank.terminal,
        "Status": status_of(payment),
        "PaymentId": payment["id"],
        "OrderId": payment["order_id"],
        "Amount": _amount(payment),
    }


def _amount(payment: Record) -> int:
    """What is left, except that a payment given back in full keeps its sum."""
    if payment["status"] != "captured":
        return int(payment["amount"])
    return int(payment["captured"] - payment["refunded"]) or int(payment["captured"])


def _notification(bank: Bank, payment: Record, event: str) -> Record:
    status = {"authorized": "AUTHORIZED", "captured": "CONFIRMED"}.get(event) or status_of(payment)
    body: Json = {
        "TerminalKey": bank.settings.bank.terminal,
        "OrderId": payment["order_id"],
        "Success": event not in ("rejected", "expired"),
        "Status": status,
        "PaymentId": int(payment["id"]),
        "ErrorCode": "1051" if event == "rejected" else "0",
        "Amount": _amount(payment),
        **(CARD if event not in ("canceled", "expired") else {}),
        "Data": {**payment["metadata"], "source": "cards"},
    }
    body["Token"] = token(body, bank.settings.bank.password)
    return {
        "policy": POLICY,
        "url": payment["notify_url"] or bank.callback_url(NAME),
        "content_type": "application/json",
        "headers": {"X-Forwarded-For": SENDER_IP},
        "body": json.dumps(body, ensure_ascii=False),
        "event": status,
    }


def _gap_s(tries: int, _status: int) -> float | None:
    if tries <= HOURLY_TRIES:
        return HOUR_S
    return DAY_S if tries <= HOURLY_TRIES + DAILY_TRIES else None


def _printed(value: object) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


PROVIDER = Provider(
    name=NAME,
    title="Т-Банк",
    notify=notifications,
    policies=lambda _bank: {POLICY: policy()},
    new_id=number_or_uuid,
    blueprint=bp,
    api=("/v2/",),
)
