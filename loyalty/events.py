"""Facts that reach the rules from outside, in our own words.

Owns their shape only. Knows no acquirer and no CRM: `connector/` translates into these values, `flows/` stores them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

PaymentStatus = Literal["authorised", "captured", "voided", "failed", "refunded"]
RefundKind = Literal["refund", "chargeback"]


@dataclass(frozen=True)
class RefundFacts:
    """One return of money that has a name of its own (`ref`), so that two equal ones are two.

    `is_undone`: the money did not go back after all: a failed refund, a dispute that the shop won.
    """

    ref: str
    kopecks: int
    kind: RefundKind = "refund"
    is_undone: bool = False


@dataclass(frozen=True)
class Payer:
    """Who paid, as the acquirer was told; "" if it was not. Nothing is believed of it but a way to find the deal."""

    phone: str = ""
    email: str = ""


@dataclass(frozen=True)
class PaymentFacts:
    """The cumulative state of ONE payment, as far as this message tells it.

    Totals only grow: whoever stores them merges with `max()`, field by field, so a late, repeated or reordered message
    can never take anything back. Zero means "not told here", never "it is zero now".
    `refunds`: those with names that this message tells of; what is refunded is the greater of their sum and
    `refunded_kopecks`. `refund_is_total`: everything captured was refunded, whatever that sum was or will be.
    `payment_ref` is the acquirer's name of the payment, `deal_ref` the CRM deal it pays for, if the payment says so;
    `order_ref` the order's number as the acquirer was told it, `invoice_ref` the CRM's invoice.
    `occurred_at` is the acquirer's own clock in UTC, None when it does not tell.
    """

    acquirer: str
    payment_ref: str
    deal_ref: int | None
    captured_kopecks: int
    refunded_kopecks: int
    status: PaymentStatus
    occurred_at: datetime | None
    is_test: bool
    refund_is_total: bool = False
    refunds: tuple[RefundFacts, ...] = ()
    order_ref: str = ""
    invoice_ref: int | None = None
    payer: Payer = Payer()
