"""How the bank tells of a payment: callbacks of its acquirer, and a notice for the CRM's board.

Owns copies, disorder, delay and loss of callbacks; their words come from the acquirer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from simulator.bank_world import Bank
from simulator.deliveries import Policy
from simulator.store import Record

NOTICE = "notice"
NOTICE_TIMEOUT_S = 2.0
SENT_AGAIN = ("policy", "method", "url", "content_type", "headers", "body", "ack", "payment_id", "event")


def notice_policy() -> Policy:
    """The bank tells the CRM's board about a payment once; a lost notice harms nobody."""
    return Policy(timeout_s=NOTICE_TIMEOUT_S, accepts=lambda status, _reply: status < 300, gap_s=lambda _n, _s: None)


def outline(payment: Record) -> Record:
    """What the board of the CRM and the control API show."""
    keys = ("id", "acquirer", "order_id", "lead_id", "attempt", "status", "amount", "captured", "refunded")
    return {key: payment[key] for key in keys}


@contextmanager
def silently(payment: Record, *, wanted: bool = True) -> Iterator[None]:
    """What is done to a payment meanwhile is told to no shop; the CRM's board still sees it."""
    before = bool(payment.get("silent"))
    payment["silent"] = before or wanted
    try:
        yield
    finally:
        payment["silent"] = before


def tell(bank: Bank, payment: Record, events: list[str]) -> None:
    """Sends the callbacks of the events, and the board its notice."""
    bank.store.touch("payments", payment["id"])
    send(bank, payment, bank.provider_of(payment).notify(bank, payment, events))
    if bank.settings.peers.crm_url:
        notice: Record = {
            "policy": NOTICE,
            "url": f"{bank.settings.peers.crm_url}/sim/payments",
            "content_type": "application/json",
            "body": json.dumps(outline(payment)),
        }
        bank.mailer.send(notice, lag_s=0.0, quick=False)


def send(bank: Bank, payment: Record, deliveries: list[Record]) -> bool:
    """Posts callbacks, with the disorder that the payment or the faults ask for. False if nobody is to be told."""
    if payment.get("silent"):
        return False
    wanted = [delivery for delivery in deliveries if delivery["url"]]
    for delivery in wanted:
        delivery["payment_id"] = payment["id"]
        if delivery.get("once"):
            bank.mailer.send({**delivery, "copy": 1}, lag_s=0.0, quick=False)
            continue
        copies = payment["copies"] or bank.faults.copies()
        _post(bank, delivery, copies=copies, shuffle=payment["shuffle"], lost=payment.get("lost"))
    return bool(wanted)


def hear(bank: Bank, delivery: Record) -> None:
    """Tells the acquirer what came of a try of its callback."""
    payment = bank.payments().get(delivery.get("payment_id"))
    answered = bank.provider_of(payment).answered if payment is not None else None
    if payment is not None and answered is not None:
        answered(bank, payment, delivery)
        bank.store.touch("payments", payment["id"])


def resend(bank: Bank, payment: Record, *, copies: int, shuffle: bool) -> int:
    """Sends all former callbacks of a payment again, the lost ones too. Returns how many."""
    former: dict[tuple[str, str], Record] = {}
    for row in bank.store.table("deliveries").values():
        if row.get("payment_id") == payment["id"] and row["policy"] != NOTICE and not row.get("once"):
            former.setdefault((row["url"], row["body"]), row)
    for row in former.values():
        again = {key: row[key] for key in SENT_AGAIN if key in row}
        _post(bank, again, copies=copies, shuffle=shuffle, lost=False)
    return len(former) * copies


def _post(bank: Bank, delivery: Record, *, copies: int, shuffle: bool | None, lost: bool | None) -> None:
    for copy in range(copies):
        lag_s = bank.faults.lag_s(shuffle=shuffle)
        is_lost = bank.faults.loses() if lost is None else lost
        bank.mailer.send({**delivery, "copy": copy + 1}, lag_s=lag_s, quick=bank.faults.naughty, lost=is_lost)
