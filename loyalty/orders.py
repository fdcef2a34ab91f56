"""What an order is worth now, as a function of its facts alone.

Owns the answer to «how much money of this order has the shop kept», whatever the order or number of the messages that
told us. Converging to this answer, instead of adding up messages, is what makes duplicates and disorder harmless
(design, section 2; acquirers reference, section 13.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loyalty.programme import AccrualRules


@dataclass(frozen=True)
class PaymentTotals:
    """Cumulative sums of one payment. `is_refund_total`: everything captured was returned, whatever its sum."""

    captured_kopecks: int
    refunded_kopecks: int
    is_refund_total: bool = False

    @property
    def kept_kopecks(self) -> int:
        return 0 if self.is_refund_total else max(0, self.captured_kopecks - self.refunded_kopecks)


@dataclass(frozen=True)
class OrderFacts:
    """`is_stage_paid`: the CRM says the deal stands in the paid stage; `price_kopecks`: the deal's price there."""

    payments: tuple[PaymentTotals, ...]
    is_stage_paid: bool
    price_kopecks: int


def kept_kopecks(facts: OrderFacts, rules: AccrualRules) -> int:
    """Money the shop kept. Payments decide as soon as one was captured; until then a paid stage stands for the price
    (cash, an invoice paid elsewhere)."""
    paid = [payment for payment in facts.payments if payment.captured_kopecks > 0]
    if paid:
        return sum(payment.kept_kopecks for payment in paid) if "payment" in rules.earn_on else 0
    if "stage" in rules.earn_on and facts.is_stage_paid:
        return facts.price_kopecks
    return 0
