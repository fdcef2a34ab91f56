"""Facts that reach the rules from outside, in our own words.

Owns their shape only. Knows no acquirer and no CRM: `connector/` translates into these values, `flows/` stores them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

PaymentStatus = Literal["authorised", "captured", "voided", "failed", "refunded"]


@dataclass(frozen=True)
class PaymentFacts:
    """The cumulative state of ONE payment, as far as this message tells it.

    Totals only grow: whoever stores them merges with `max()`, field by field, so a late, repeated or reordered message
    can never take anything back. Zero means "not told here", never "it is zero now".
    `refund_is_total`: everything captured was refunded, whatever the captured sum was or will turn out to be.
    `payment_ref` is the acquirer's name of the payment, `deal_ref` the CRM deal it pays for, if the payment says so.
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
