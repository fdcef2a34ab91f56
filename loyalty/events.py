"""Facts that reach the rules from outside, in our own words.

Owns their shape only. Knows no acquirer and no CRM: `connector/` translates into these values, `flows/` stores them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    can never take anything back. Zero means "not told here", never "it is zero now"; only where `is_whole` the acquirer
    has told the payment's whole state, and a smaller total than ours is a contradiction.
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
    is_whole: bool = False


def together(first: PaymentFacts, second: PaymentFacts) -> PaymentFacts:
    """Two messages about one payment as one: totals are the greater ones, refunds with a name count once. What only
    one of them tells is kept; of two words on one thing the first's stands."""
    refunds = {one.ref: one for one in (*second.refunds, *first.refunds)}
    for one in second.refunds:
        is_undone = one.is_undone or refunds[one.ref].is_undone
        refunds[one.ref] = replace(refunds[one.ref], is_undone=is_undone)
    return replace(
        first,
        deal_ref=first.deal_ref or second.deal_ref,
        captured_kopecks=max(first.captured_kopecks, second.captured_kopecks),
        refunded_kopecks=max(first.refunded_kopecks, second.refunded_kopecks),
        status="refunded" if "refunded" in (first.status, second.status) else first.status,
        occurred_at=first.occurred_at or second.occurred_at,
        is_test=first.is_test or second.is_test,
        refund_is_total=first.refund_is_total or second.refund_is_total,
        refunds=tuple(refunds[ref] for ref in sorted(refunds)),
        order_ref=first.order_ref or second.order_ref,
        invoice_ref=first.invoice_ref or second.invoice_ref,
        payer=first.payer if first.payer != Payer() else second.payer,
    )
