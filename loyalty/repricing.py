"""What a past order would have earned under other rules: the estimate behind `kopilka plan`.

Behaviour is held fixed: the same goods, money, points spent and segment; only the rules differ. What happened to the
order since (refunds) counts as it stands. Source: users' expectations, section 2 (a) 2; specification, advantage 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from loyalty import accrual
from loyalty.accrual import OrderState, Terms
from loyalty.redemption import Allocation, Spent
from loyalty.rules import NO_DELAY

if TYPE_CHECKING:
    from datetime import datetime

    from loyalty.basket import Basket
    from loyalty.orders import OrderFacts
    from loyalty.programme import Programme


@dataclass(frozen=True)
class PastOrder:
    """A counted order that has `accrued` base points by the rules of `rules_version`. `facts.price_kopecks` is the
    deal's whole price, `quoted_kopecks` the price its points were held for; `spent` points lie on it, by line in
    `spread`; `earn_cap` is what the limits left it then."""

    facts: OrderFacts
    counted_at: datetime
    segment_code: str | None
    is_greeted: bool
    earn_cap: int | None
    basket: Basket | None = None
    spent: int = 0
    spread: tuple[int, ...] = ()
    quoted_kopecks: int | None = None
    accrued: int = 0
    rules_version: str | None = None


def base_points(order: PastOrder, programme: Programme) -> int:
    """The base points this order would have now, had these rules counted it."""
    facts = order.facts
    if order.quoted_kopecks is not None:
        in_money = max(0, order.quoted_kopecks - order.spent * programme.point_value_kopecks)
        facts = replace(facts, price_kopecks=min(facts.price_kopecks, in_money))
    state = OrderState(
        order_id=0,
        revision=0,
        basket=order.basket,
        facts=facts,
        paid_at=order.counted_at,
        counted_at=order.counted_at,
        terms=Terms(programme, "", order.segment_code, order.is_greeted, order.earn_cap),
        spent=Spent(order.spread, (Allocation("", order.spent),) if order.spent > 0 else ()),
    )
    return accrual.target_of(state).accrued


def reprices(old: Programme, new: Programme) -> bool:
    """Whether any order could earn another number of base points."""
    return _deciding(old) != _deciding(new)


def _deciding(programme: Programme) -> tuple[object, ...]:
    welcome = programme.welcome
    rates = {rule.code: rule.rate_bps for rule in programme.segments if rule.rate_bps is not None}
    without_dates = replace(programme.accrual, activate_after=NO_DELAY, expire_after=None, expire_idle=None)
    return (
        without_dates,
        programme.point_value_kopecks,
        programme.timezone,
        sorted(rates.items()),
        welcome is not None and welcome.on == "first_payment" and not welcome.with_base,
        programme.limits.points_per_order,
    )
