"""What the simulated bank consists of: books, clock, acquirers, and what shops set up in their cabinets.

Owns the shape of an acquirer (`Provider`) and where callbacks go. The life of a payment is `bank`'s.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from flask import Blueprint, current_app

from simulator.clock import VirtualClock
from simulator.deliveries import Mailer, Policy
from simulator.faults import Faults
from simulator.google_faults import GoogleFaults
from simulator.settings import Settings
from simulator.signing_keys import Keys
from simulator.store import Record, Store

FIRST_PAYMENT_ID = 8_742_591
CABINET = "cabinet"


class PaymentError(ValueError):
    """A step that the payment's state or its acquirer does not allow."""


@dataclass(frozen=True)
class Provider:
    """One acquirer.

    `notify` words the callbacks of events; `new_id` names a "payment", "refund" or "dispute"; `api` are the paths
    whose answers faults may spoil. Where the acquirer `keeps_metadata`, the deal is named there. `ask` words the
    callback that must be accepted before a payment is taken; `answered` hears what came of every try of a callback.
    """

    name: str
    title: str
    notify: Callable[[Bank, Record, list[str]], list[Record]]
    policies: Callable[[Bank], dict[str, Policy]]
    new_id: Callable[[Bank, str], str]
    blueprint: Blueprint | None = None
    api: tuple[str, ...] = ()
    two_stage: bool = True
    disputes: bool = False
    reverses_captured: bool = False
    keeps_metadata: bool = False
    ask: Callable[[Bank, Record], list[Record]] | None = None
    answered: Callable[[Bank, Record, Record], None] | None = None


@dataclass
class Bank:
    """Everything the bank's endpoints need; `store.lock` guards all of it."""

    settings: Settings
    store: Store
    clock: VirtualClock
    faults: Faults
    mailer: Mailer
    keys: Keys
    providers: dict[str, Provider] = field(default_factory=dict)
    google: GoogleFaults = field(default_factory=GoogleFaults)

    def payments(self) -> dict[Any, Record]:
        return self.store.table("payments")

    def payments_of(self, acquirer: str) -> list[Record]:
        return [row for row in self.payments().values() if row["acquirer"] == acquirer]

    def payment(self, payment_id: str) -> Record:
        """By its id or the name of its link. Raises LookupError."""
        link = self.store.table("links").get(payment_id)
        payment = self.payments().get(link["payment_id"] if link else payment_id)
        if payment is None:
            raise LookupError(f"нет платежа {payment_id}")
        return payment

    def provider_of(self, payment: Record) -> Provider:
        return self.providers[payment["acquirer"]]

    def shop(self, acquirer: str) -> Any:
        """The shop's cabinet at an acquirer as it stands now. Raises LookupError."""
        if acquirer not in self.settings.bank.shops:
            raise LookupError(f"нет кабинета {acquirer}")
        changed = self.store.table(CABINET).get(acquirer, {})
        shop: Any = self.settings.bank.shops[acquirer]
        return replace(shop, **changed)

    def change_shop(self, acquirer: str, values: Record) -> Any:
        """Changes the cabinet until the next reset. Raises LookupError, TypeError (unknown key), ValueError."""
        changed = {**self.store.table(CABINET).get(acquirer, {}), **values}
        shop = replace(self.shop(acquirer), **values)
        self.store.put(CABINET, acquirer, changed)
        return shop

    def callback_url(self, acquirer: str) -> str:
        """Where the acquirer's notifications go, "" if nobody said."""
        base = self.settings.peers.payments_url
        return f"{base}/{acquirer}" if base else ""


def the_bank() -> Bank:
    """The bank that the running Flask application serves."""
    bank: Bank = current_app.extensions["bank"]
    return bank


def number_id(bank: Bank, _kind: str) -> str:
    """The next number of all payments."""
    return str(bank.store.next_id("payments", FIRST_PAYMENT_ID))


def number_or_uuid(bank: Bank, kind: str) -> str:
    """Payments have numbers; what happens to them is not named in public."""
    return number_id(bank, kind) if kind == "payment" else uuid_id(bank, kind)


def uuid_id(bank: Bank, kind: str) -> str:
    """A UUID, the same in every run with the same seed."""
    number = int(number_id(bank, kind)) if kind == "payment" else bank.store.next_id("refunds", 1)
    return str(uuid.UUID(int=random.Random(f"{bank.settings.seed}:{number}").getrandbits(128), version=4))
