"""One line of a reconciliation, as the job, the command and the file show it. Owns its shape only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import datetime

    from storage.orders import Order

Verdict = Literal["agrees", "repaired", "would_repair", "person", "unasked", "away", "unchecked", "elsewhere"]
"""`would_repair`: a dry run repairs nothing. `unasked`: this acquirer cannot be asked. `away`: it did not answer.
`unchecked`: left out of this run. `elsewhere`: paid past all acquirers."""


@dataclass(frozen=True)
class Line:
    """One payment as acquirer, books and CRM have it. Sums are None where nothing is known; `notes` tell a person what
    was found and done. Lines about a whole acquirer or a deal without a payment have no `payment_ref`; `payments` is
    how many the line speaks of."""

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
    payments: int = 1

    @property
    def bank_left_kopecks(self) -> int:
        return (self.bank_captured_kopecks or 0) - (self.bank_refunded_kopecks or 0)

    @property
    def our_left_kopecks(self) -> int:
        """What our books say was kept, of that which the acquirer told too: what it does not tell differs from
        nothing."""
        captured = 0 if self.bank_captured_kopecks is None else self.our_captured_kopecks or 0
        return captured - (0 if self.bank_refunded_kopecks is None else self.our_refunded_kopecks or 0)
