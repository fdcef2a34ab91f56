"""The simulated bank: the life of a payment, and the notices that every change of one sends out.

Owns the states: new, authorized, captured (and refunded in parts, and disputed), canceled (by the shop, or because the
link has expired), rejected. How a payment looks to a caller and in a notification is the business of its acquirer's
file.
"""

from __future__ import annotations

from typing import Any

from simulator.bank_world import Bank, PaymentError
from simulator.notices import send, silently, tell
from simulator.store import Record


def create(bank: Bank, acquirer: str, amount_kopecks: int, **own: Any) -> Record:
    """A payment nobody has paid yet. `own`: order_id, lead_id, attempt, metadata, description, two_stage, payer, ...

    For links: `receipt`, `return_url` and `fail_url` for the payer, `due_at` until when it can be paid, `link_id` where
    the acquirer gives the link a name of its own. Raises PaymentError.
    """
    provider = bank.providers[acquirer]
    if own.get("two_stage") and not provider.two_stage:
        raise PaymentError(f"{provider.title}: двухстадийной оплаты нет")
    payment_id = provider.new_id(bank, "payment")
    payment: Record = {
        "id": payment_id,
        "acquirer": acquirer,
        "order_id": "",
        "lead_id": None,
        "attempt": None,
        "metadata": {},
        "payer": {},
        "description": "",
        "notify_url": "",
        "two_stage": False,
        "copies": 0,
        "shuffle": None,
        "lost": None,
        "silent": False,
        "receipt": None,
        "return_url": "",
        "fail_url": "",
        "due_at": None,
        "link_id": "",
        **own,
        "amount": amount_kopecks,
        "captured": 0,
        "refunded": 0,
        "refunds": [],
        "disputes": [],
        "status": "new",
        "created_at": bank.clock.now(),
        "captured_at": None,
    }
    if payment["link_id"]:
        bank.store.put("links", payment["link_id"], {"payment_id": payment_id})
    return bank.store.put("payments", payment_id, payment)


def authorize(bank: Bank, payment: Record) -> None:
    """The payer's card said yes; a one-stage payment is captured in the same moment.

    Where the acquirer asks the shop first, this only asks; the answer calls again.
    """
    expire_if_due(bank, payment)
    _expect(payment, "new")
    ask = bank.provider_of(payment).ask
    if ask is not None and not payment.get("asked"):
        payment["asked"] = True
        if send(bank, payment, ask(bank, payment)):
            return
    payment["status"] = "authorized"
    if payment["two_stage"]:
        tell(bank, payment, ["authorized"])
        return
    _capture(bank, payment, payment["amount"])
    tell(bank, payment, ["authorized", "captured"])


def capture(bank: Bank, payment: Record, amount_kopecks: int | None = None) -> None:
    """Takes a held amount or less; the rest is released."""
    _expect(payment, "authorized")
    amount = amount_kopecks or payment["amount"]
    if not 0 < amount <= payment["amount"]:
        raise PaymentError("сумма больше удержанной")
    _capture(bank, payment, amount)
    tell(bank, payment, ["captured"])


def cancel(bank: Bank, payment: Record) -> None:
    """Drops a payment that was not captured; some acquirers let a captured one be reversed too."""
    captured = payment["status"] == "captured"
    if captured and bank.provider_of(payment).reverses_captured and not payment["refunded"]:
        payment["refunded"] = payment["captured"]
    elif payment["status"] not in ("new", "authorized"):
        raise PaymentError("срок ссылки вышел" if payment.get("expired") else "платёж уже проведён")
    payment["held"] = payment["status"] != "new"
    payment["status"] = "canceled"
    tell(bank, payment, ["canceled"])


def expire(bank: Bank, payment: Record) -> None:
    """The link may not be paid any more, because its time is over."""
    _expect(payment, "new")
    if payment.get("due_at") is None:
        raise PaymentError("у этой ссылки нет срока")
    payment.update(status="canceled", held=False, expired=True)
    tell(bank, payment, ["expired"])


def expire_if_due(bank: Bank, payment: Record) -> None:
    """Lets the clock do it; nobody is told."""
    due_at = payment.get("due_at")
    if payment["status"] == "new" and due_at is not None and bank.clock.now() >= due_at:
        with silently(payment):
            expire(bank, payment)


def reject(bank: Bank, payment: Record) -> None:
    """The payer's card said no."""
    expire_if_due(bank, payment)
    _expect(payment, "new")
    payment["status"] = "rejected"
    tell(bank, payment, ["rejected"])


def refund(bank: Bank, payment: Record, amount_kopecks: int | None = None, **own: Any) -> Record:
    """Gives back a part, or all that is left. Returns the refund."""
    _expect(payment, "captured")
    left = payment["captured"] - payment["refunded"]
    amount = left if amount_kopecks is None else amount_kopecks
    if not 0 < amount <= left:
        raise PaymentError(f"вернуть можно не больше {left / 100:.2f} ₽")
    refund_id = bank.provider_of(payment).new_id(bank, "refund")
    row: Record = {"id": refund_id, "amount": amount, "created_at": bank.clock.now(), **own}
    payment["refunds"].append(row)
    payment["refunded"] += amount
    tell(bank, payment, ["refunded"])
    return row


def dispute(bank: Bank, payment: Record, amount_kopecks: int | None = None) -> Record:
    """The payer's bank claims a sum back (all that is left, if none is named). Returns the dispute."""
    provider = bank.provider_of(payment)
    if not provider.disputes:
        raise PaymentError(f"{provider.title}: об оспаривании узнать нельзя")
    _expect(payment, "captured")
    left = payment["captured"] - payment["refunded"] - disputed(payment)
    amount = left if amount_kopecks is None else amount_kopecks
    if not 0 < amount <= left:
        raise PaymentError(f"оспорить можно не больше {left / 100:.2f} ₽")
    row: Record = {
        "id": provider.new_id(bank, "dispute"),
        "amount": amount,
        "created_at": bank.clock.now(),
        "closed_at": None,
        "state": "open",
    }
    payment["disputes"].append(row)
    tell(bank, payment, ["disputed"])
    return row


def settle(bank: Bank, payment: Record, *, won: bool) -> Record:
    """Ends the open dispute: the shop has won and keeps the money, or has lost it."""
    row: Record | None = next((row for row in payment["disputes"] if row["state"] == "open"), None)
    if row is None:
        raise PaymentError("открытого оспаривания нет")
    row.update(state="won" if won else "lost", closed_at=bank.clock.now())
    tell(bank, payment, ["dispute_won" if won else "dispute_lost"])
    return row


def disputed(payment: Record) -> int:
    """Kopecks claimed back and not won again."""
    return sum(row["amount"] for row in payment["disputes"] if row["state"] != "won")


def _capture(bank: Bank, payment: Record, amount: int) -> None:
    payment.update(status="captured", captured=amount, captured_at=bank.clock.now())


def _expect(payment: Record, status: str) -> None:
    if payment.get("expired"):
        raise PaymentError("срок ссылки вышел")
    if payment["status"] != status:
        raise PaymentError(f"платёж в состоянии {payment['status']}, а нужно {status}")
