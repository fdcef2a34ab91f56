"""One order of the book in memory: what is known of it and what was decided about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from loyalty.accrual import Terms
from loyalty.basket import Basket
from loyalty.orders import OrderFacts, PaymentTotals


@dataclass
class BookOrder:
    """`held` points wait for the payment; `spread` is how spent points lie on the lines."""

    payments: dict[str, PaymentTotals] = field(default_factory=dict)
    is_stage_paid: bool = False
    price_kopecks: int = 0
    basket: Basket | None = None
    shop_paid_kopecks: int | None = None
    shop_returned_kopecks: int = 0
    returned: tuple[int, ...] = ()
    kept_kopecks: int = 0
    is_kept: bool = False
    revision: int = 0
    terms: Terms | None = None
    paid_at: datetime | None = None
    accrued: int = 0
    welcomed: int = 0
    reversed: int = 0
    forgiven: int = 0
    due_kopecks: int | None = None
    full_kopecks: int | None = None
    redeemed: int = 0
    restored: int = 0
    spread: tuple[int, ...] = ()
    held: int = 0
    hold_id: int = 0
    limit: str | None = None

    @property
    def facts(self) -> OrderFacts:
        return OrderFacts(
            tuple(self.payments.values()),
            self.is_stage_paid,
            self.price_kopecks,
            self.shop_paid_kopecks,
            self.shop_returned_kopecks,
            self.returned,
            self.due_kopecks,
            self.full_kopecks,
        )
