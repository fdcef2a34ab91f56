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

    @property
    def moved_money(self) -> bool:
        """A hold alone moves none; a refund we heard of does, even if its capture has not reached us."""
        return self.captured_kopecks > 0 or self.refunded_kopecks > 0 or self.is_refund_total


@dataclass(frozen=True)
class OrderFacts:
    """`is_stage_paid`: the CRM says the deal stands in a paid stage; `price_kopecks`: the deal's price there."""

    payments: tuple[PaymentTotals, ...]
    is_stage_paid: bool
    price_kopecks: int


def kept_kopecks(facts: OrderFacts, rules: AccrualRules) -> int:
    """Money the shop kept. Where payments earn, they decide as soon as one has moved money; until then, or where only
    the stage earns, a paid stage stands for the deal's price less what is known to be returned."""
    moved = [payment for payment in facts.payments if payment.moved_money]
    if moved and "payment" in rules.earn_on:
        return sum(payment.kept_kopecks for payment in moved)
    if "stage" in rules.earn_on and facts.is_stage_paid:
        return _price_less_refunds(facts.price_kopecks, moved)
    return 0


def _price_less_refunds(price_kopecks: int, payments: list[PaymentTotals]) -> int:
    if any(payment.is_refund_total and payment.captured_kopecks == 0 for payment in payments):
        return 0
    returned = sum(
        payment.captured_kopecks if payment.is_refund_total else payment.refunded_kopecks for payment in payments
    )
    return max(0, price_kopecks - returned)
