"""One line of a reconciliation, as the job, the command and the file show it. Owns its shape only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import datetime

    from storage.orders import Order

Verdict = Literal["agrees", "repaired", "person", "unasked", "away", "elsewhere"]
"""`unasked`: this acquirer cannot be asked. `away`: it did not answer. `elsewhere`: paid past all acquirers."""


@dataclass(frozen=True)
class Line:
    """One payment as acquirer, books and CRM have it. Sums are None where nothing is known; `notes` tell a person what
    was found and done. Lines about a whole acquirer or a deal without a payment have no `payment_ref`."""

    acquirer: str
    payment_ref: str
    verdict: Verdict
    at: datetime | None = None
    order: Order | None = None
    bank_captured_kopecks: int | None = None
    bank_refunded_kopecks: int | None = None
    our_captured_kopecks: int | None = None
    our_refunded_kopecks: int | None = None
    notes: tuple[str, ...] = ()
