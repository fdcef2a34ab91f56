"""What an order is worth now, as a function of its facts alone.

Owns the answers to «how much money of this order has the shop kept» and «which part of it came back», whatever the
order or number of the messages that told us. Converging to this answer, instead of adding up messages, is what makes
duplicates and disorder harmless (design, section 2; acquirers reference, section 13.5; specification, section 5.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loyalty.spreading import part_returned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loyalty.basket import Basket
    from loyalty.checkout import CheckoutLine
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
    """`is_stage_paid`: the CRM says the deal stands in a paid stage; `price_kopecks`: the deal's price there, less what
    points have paid. `shop_paid_kopecks`: the shop's own program says the order is paid with this much money;
    `shop_returned_kopecks` how much of it went back, `returned` how many units of each line did. `due_kopecks`: what
    had to be paid, None if nobody knows; `full_kopecks`: what it would have been without points, None if none were
    meant to pay."""

    payments: tuple[PaymentTotals, ...]
    is_stage_paid: bool
    price_kopecks: int
    shop_paid_kopecks: int | None = None
    shop_returned_kopecks: int = 0
    returned: tuple[int, ...] = ()
    due_kopecks: int | None = None
    full_kopecks: int | None = None


@dataclass(frozen=True)
class Money:
    """`paid_kopecks`: what the order was paid with, a sum that was refunded and paid anew counted once; `kept_kopecks`:
    what the shop has of it now."""

    is_paid: bool
    paid_kopecks: int
    kept_kopecks: int


@dataclass(frozen=True)
class Remains:
    """What is left of an order after its returns: shares of the points it earned and of the points spent on it."""

    earned: int
    returned_points: int
    is_kept: bool
    kept_kopecks: int = 0


def money_of(facts: OrderFacts, rules: AccrualRules) -> Money:
    """Where payments earn, they decide as soon as one has moved money; until then the shop's own word, then a paid
    stage, which stands for the deal's price. What is known to be returned is taken off once."""
    moved = [payment for payment in facts.payments if payment.moved_money]
    if moved and "payment" in rules.earn_on:
        captured = sum(payment.captured_kopecks for payment in moved)
        kept = min(sum(payment.kept_kopecks for payment in moved), _less(captured, facts.shop_returned_kopecks))
        return Money(is_paid=True, paid_kopecks=max(kept, _paid_once(moved, captured, facts)), kept_kopecks=kept)
    if facts.shop_paid_kopecks is not None:
        kept = _less(facts.shop_paid_kopecks, max(facts.shop_returned_kopecks, _refunded(moved)))
        return Money(is_paid=True, paid_kopecks=facts.shop_paid_kopecks, kept_kopecks=kept)
    if "stage" in rules.earn_on and facts.is_stage_paid:
        return Money(True, facts.price_kopecks, _price_less_refunds(facts.price_kopecks, moved))
    return Money(is_paid=False, paid_kopecks=0, kept_kopecks=0)


def is_paid_without_points(facts: OrderFacts, money: Money) -> bool:
    """The whole price was paid in money, whatever of it went back since: the points that were meant to pay a part of it
    did not."""
    return facts.full_kopecks is not None and money.paid_kopecks >= facts.full_kopecks > 0


def remains(basket: Basket, lines: Sequence[CheckoutLine], money: Money, facts: OrderFacts) -> Remains:
    """What is left of a basket with known lines. Units returned take their line's share of everything. Money that went
    back beyond them, or has not come yet, is missing from the goods before it is missing from the delivery, and takes
    the same share of what the lines have left. Money not paid yet earns nothing, but the points spent stay spent; goods
    that points paid for entirely stay bought whatever money goes back."""
    counts = unit_counts(basket, facts.returned)
    shares = [(line, goods.qty, count) for line, goods, count in zip(lines, basket.lines, counts, strict=True)]
    earned = sum(line.earned - part_returned(line.earned, count, qty) for line, qty, count in shares)
    points_back = sum(part_returned(line.points_spent, count, qty) for line, qty, count in shares)
    points_left = sum(line.points_spent for line in lines) - points_back
    lines_back = returned_kopecks(basket, lines, facts.returned)
    goods_left = sum(line.due_kopecks for line in lines) - lines_back
    kept = min(money.kept_kopecks, _less(money.paid_kopecks, facts.shop_returned_kopecks + lines_back))
    missing = max(0, goods_left + basket.delivery_kopecks - kept)
    goods_missing = min(missing, goods_left)
    goods_went_back = min(goods_missing, _less(money.paid_kopecks, kept + lines_back))
    is_all_back = all(count >= qty for _, qty, count in shares)
    if is_all_back or (goods_left > 0 and (kept == 0 or goods_went_back == goods_left)):
        return Remains(0, points_back + points_left, is_kept=False)
    if goods_missing > 0:
        earned = earned * (goods_left - goods_missing) // goods_left
        points_back += part_returned(points_left, goods_went_back, goods_left)
    return Remains(earned, points_back, is_kept=True, kept_kopecks=kept)


def unit_counts(basket: Basket, returned: Sequence[int]) -> list[int]:
    """Units returned of each line; lines not told of have none back."""
    return [*returned, *([0] * (len(basket.lines) - len(returned)))][: len(basket.lines)]


def returned_kopecks(basket: Basket, lines: Sequence[CheckoutLine], returned: Sequence[int]) -> int:
    """Money of the units that came back: each line's share, its last unit takes the rest (V07, V08)."""
    counts = unit_counts(basket, returned)
    return sum(
        part_returned(line.due_kopecks, count, goods.qty)
        for line, goods, count in zip(lines, basket.lines, counts, strict=True)
    )


def points_back_by_sum(points: int, money: Money) -> int:
    """Points that come back when only sums are known: the share of the money that went back, all with the last."""
    if money.kept_kopecks == 0:
        return points
    return part_returned(points, max(0, money.paid_kopecks - money.kept_kopecks), money.paid_kopecks)


def _paid_once(payments: Sequence[PaymentTotals], captured_kopecks: int, facts: OrderFacts) -> int:
    """A buyer who was refunded and paid again has not bought twice."""
    if len(payments) == 1:
        return captured_kopecks
    if facts.due_kopecks:
        return min(captured_kopecks, facts.due_kopecks)
    keeping = [payment.captured_kopecks for payment in payments if payment.kept_kopecks > 0]
    return sum(keeping) if keeping else captured_kopecks


def _less(paid: int, returned: int) -> int:
    return max(0, paid - returned)


def _refunded(payments: Sequence[PaymentTotals]) -> int:
    return sum(
        payment.captured_kopecks if payment.is_refund_total else payment.refunded_kopecks for payment in payments
    )


def _price_less_refunds(price_kopecks: int, payments: Sequence[PaymentTotals]) -> int:
    if any(payment.is_refund_total and payment.captured_kopecks == 0 for payment in payments):
        return 0
    return _less(price_kopecks, _refunded(payments))
