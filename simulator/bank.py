"""The simulated bank: payments of two acquirers, and the notices that every change of one sends out.

Owns a payment's life: new, authorized, captured (and refunded in parts), canceled, rejected. How a payment looks to
a caller and in a notification is the business of `tbank` and `yookassa`.
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flask import current_app

from simulator.clock import VirtualClock
from simulator.deliveries import Mailer, Policy
from simulator.faults import Faults
from simulator.settings import Settings
from simulator.store import Record, Store

ACQUIRERS = ("tbank", "yookassa")
FIRST_PAYMENT_ID = 8_742_591
NOTICE = "notice"
NOTICE_TIMEOUT_S = 2.0


class PaymentError(ValueError):
    """A step that the payment's state does not allow."""


@dataclass
class Bank:
    """`notify[acquirer]` builds the notification bodies of an event."""

    settings: Settings
    store: Store
    clock: VirtualClock
    faults: Faults
    mailer: Mailer
    notify: dict[str, Callable[[Bank, Record, list[str]], list[Record]]] = field(default_factory=dict)
    public_url: str = ""

    def payments(self) -> dict[Any, Record]:
        return self.store.table("payments")

    def payment(self, payment_id: str) -> Record:
        """Raises LookupError."""
        payment = self.payments().get(payment_id)
        if payment is None:
            raise LookupError(f"нет платежа {payment_id}")
        return payment


def the_bank() -> Bank:
    """The bank that the running Flask application serves."""
    bank: Bank = current_app.extensions["bank"]
    return bank


def notice_policy() -> Policy:
    """The bank tells the CRM's board about a payment once; a lost notice harms nobody."""
    return Policy(timeout_s=NOTICE_TIMEOUT_S, accepts=lambda status, _reply: status < 300, gap_s=lambda _n, _s: None)


def create(bank: Bank, acquirer: str, amount_kopecks: int, **own: Any) -> Record:
    """A payment nobody has paid yet. `own`: order_id, lead_id, attempt, metadata, description, two_stage, ..."""
    number = bank.store.next_id("payments", FIRST_PAYMENT_ID)
    payment_id = str(number) if acquirer == "tbank" else _uuid(bank, number)
    payment: Record = {
        "id": payment_id,
        "acquirer": acquirer,
        "order_id": "",
        "lead_id": None,
        "attempt": None,
        "metadata": {},
        "description": "",
        "notify_url": "",
        "two_stage": False,
        "copies": 0,
        "shuffle": None,
        **own,
        "amount": amount_kopecks,
        "captured": 0,
        "refunded": 0,
        "refunds": [],
        "status": "new",
        "created_at": bank.clock.now(),
        "captured_at": None,
    }
    return bank.store.put("payments", payment_id, payment)


def authorize(bank: Bank, payment: Record) -> None:
    """The payer's card said yes; a one-stage payment is captured in the same moment."""
    _expect(payment, "new")
    payment["status"] = "authorized"
    if payment["two_stage"]:
        _changed(bank, payment, ["authorized"])
        return
    _capture(bank, payment, payment["amount"])
    _changed(bank, payment, ["authorized", "captured"])


def capture(bank: Bank, payment: Record, amount_kopecks: int | None = None) -> None:
    """Takes a held amount or less; the rest is released."""
    _expect(payment, "authorized")
    amount = amount_kopecks or payment["amount"]
    if not 0 < amount <= payment["amount"]:
        raise PaymentError("сумма больше удержанной")
    _capture(bank, payment, amount)
    _changed(bank, payment, ["captured"])


def cancel(bank: Bank, payment: Record) -> None:
    """Drops a payment that was not captured."""
    if payment["status"] not in ("new", "authorized"):
        raise PaymentError("платёж уже проведён")
    payment["held"] = payment["status"] == "authorized"
    payment["status"] = "canceled"
    _changed(bank, payment, ["canceled"])


def reject(bank: Bank, payment: Record) -> None:
    """The payer's card said no."""
    _expect(payment, "new")
    payment["status"] = "rejected"
    _changed(bank, payment, ["rejected"])


def refund(bank: Bank, payment: Record, amount_kopecks: int | None = None, **own: Any) -> Record:
    """Gives back a part, or all that is left. Returns the refund."""
    _expect(payment, "captured")
    left = payment["captured"] - payment["refunded"]
    amount = left if amount_kopecks is None else amount_kopecks
    if not 0 < amount <= left:
        raise PaymentError(f"вернуть можно не больше {left / 100:.2f} ₽")
    number = bank.store.next_id("refunds", 1)
    row: Record = {"id": _uuid(bank, number), "amount": amount, "created_at": bank.clock.now(), **own}
    payment["refunds"].append(row)
    payment["refunded"] += amount
    _changed(bank, payment, ["refunded"])
    return row


def resend(bank: Bank, payment: Record, *, copies: int, shuffle: bool) -> int:
    """Sends all former notifications of a payment again. Returns how many."""
    former: dict[str, Record] = {}
    for row in bank.store.table("deliveries").values():
        if row.get("payment_id") == payment["id"] and row["policy"] != NOTICE:
            former.setdefault(row["body"], row)
    for row in former.values():
        again = {key: row[key] for key in ("policy", "url", "content_type", "headers", "body", "payment_id", "event")}
        _post(bank, again, copies=copies, shuffle=shuffle)
    return len(former) * copies


def outline(payment: Record) -> Record:
    """What the board of the CRM and the control API show."""
    keys = ("id", "acquirer", "order_id", "lead_id", "attempt", "status", "amount", "captured", "refunded")
    return {key: payment[key] for key in keys}


def _capture(bank: Bank, payment: Record, amount: int) -> None:
    payment.update(status="captured", captured=amount, captured_at=bank.clock.now())


def _changed(bank: Bank, payment: Record, events: list[str]) -> None:
    bank.store.touch("payments", payment["id"])
    for delivery in bank.notify[payment["acquirer"]](bank, payment, events):
        if delivery["url"]:
            delivery["payment_id"] = payment["id"]
            _post(bank, delivery, copies=payment["copies"] or bank.faults.copies(), shuffle=payment["shuffle"])
    if bank.settings.peers.crm_url:
        notice: Record = {
            "policy": NOTICE,
            "url": f"{bank.settings.peers.crm_url}/sim/payments",
            "content_type": "application/json",
            "body": json.dumps(outline(payment)),
        }
        bank.mailer.send(notice, lag_s=0.0, quick=False)


def _post(bank: Bank, delivery: Record, *, copies: int, shuffle: bool | None) -> None:
    for copy in range(copies):
        lag_s = bank.faults.lag_s(shuffle=shuffle)
        bank.mailer.send({**delivery, "copy": copy + 1}, lag_s=lag_s, quick=bank.faults.naughty)


def _expect(payment: Record, status: str) -> None:
    if payment["status"] != status:
        raise PaymentError(f"платёж в состоянии {payment['status']}, а нужно {status}")


def _uuid(bank: Bank, number: int) -> str:
    """An id in the form of YooKassa's, the same in every run with the same seed."""
    return str(uuid.UUID(int=random.Random(f"{bank.settings.seed}:{number}").getrandbits(128), version=4))
