"""Orders of the shop's own programs: site, till, bot. Paid and returned, once each, whatever is repeated.

The same order through any channel ends in the same ledger entries; the channel stands on the order alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from flows import book, points
from flows.refusals import (
    BadOrder,
    BadReturn,
    HoldUnconfirmed,
    OrderDiffers,
    OrderNotFound,
    OrderNotPaid,
    OrderOfAnother,
)
from loyalty import checkout
from loyalty.basket import Basket
from loyalty.orders import returned_kopecks, unit_counts
from storage import holds, ledger, members, orders

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from flows.runtime import Runtime
    from loyalty.checkout import CheckoutLine
    from storage.ledger import StatementLine
    from storage.members import Member
    from storage.orders import Order

    Seal = Callable[[sa.Connection, "OrderResult"], None]
    """Keeps the answer to the request in the transaction that does it."""


PAID_AT_AGE_MAX = timedelta(days=31)
"""A till that was offline tells its orders late; older ones would pass by the limits of their day."""


@dataclass(frozen=True)
class OrderResult:
    """An order after a request. `is_repeat`: the request changed nothing because it had been done before; `moved` are
    the transfers this request made, oldest first; `money_back_kopecks` what the shop owes the buyer for this return."""

    order: Order
    member: Member
    is_repeat: bool
    moved: Sequence[StatementLine] = ()
    money_back_kopecks: int = 0


def pay(
    rt: Runtime,
    order_ref: str,
    *,
    member_id: int,
    basket: Basket | None,
    paid_kopecks: int | None,
    channel: str,
    paid_at: datetime | None = None,
) -> OrderResult:
    """The shop says the order is paid with so much money in all: an open hold is captured, points are earned. A part
    payment may be followed by a greater sum; less is not believed, that is a return. Without a basket that of the hold
    is meant, without a sum the whole of what was due. Raises OrderNotFound, OrderOfAnother, OrderDiffers, BadOrder,
    HoldUnconfirmed."""
    now = rt.now()
    at = min(paid_at or now, now)
    if at < now - PAID_AT_AGE_MAX:
        raise BadOrder(f"Оплата старше {PAID_AT_AGE_MAX.days} дней", hint="такие заказы вносят правкой баллов")

    def work(tx: sa.Connection) -> OrderResult:
        order = orders.open_shop_order(tx, order_ref, channel=channel, now=now)
        if order.member_id not in (None, member_id):
            raise OrderOfAnother
        goods = _goods(tx, order, basket)
        due = _due_kopecks(tx, rt, order, goods)
        kopecks = due if paid_kopecks is None else paid_kopecks
        if order.shop_paid_kopecks is not None:
            if kopecks < order.shop_paid_kopecks:
                raise OrderDiffers("Раньше называли большую сумму")
            if kopecks == order.shop_paid_kopecks:
                return OrderResult(order, members.by_ids(tx, [member_id])[member_id], is_repeat=True)
        if kopecks == 0 < due:
            raise BadOrder("Оплачено 0 копеек", hint="сообщите об оплате, когда деньги придут")
        orders.save_shop_sale(tx, order.id, member_id=member_id, basket=goods, channel=order.channel)
        orders.save_shop_paid(tx, order.id, kopecks=kopecks, paid_channel=channel, at=at)
        return _converged(tx, rt, order.id, occurred_at=at, now=now)

    return book.run(rt, work)


def give_back(
    rt: Runtime,
    order_ref: str,
    *,
    units: Mapping[int, int],
    amount_kopecks: int,
    everything: bool = False,
    seal: Seal | None = None,
) -> OrderResult:
    """A return: `units` by line number (from 1), or a sum of money that names no line, or `everything` that is left.
    Said twice, it is two returns: `seal` may refuse the second in this very transaction. Raises OrderNotFound,
    OrderNotPaid, BadReturn; then nothing is changed."""
    now = rt.now()

    def work(tx: sa.Connection) -> OrderResult:
        order = orders.find_shop_order(tx, order_ref)
        if order is None:
            raise OrderNotFound
        if order.basket is None or order.counted_at is None:
            raise OrderNotPaid
        basket = Basket.from_data(order.basket)
        before = unit_counts(basket, order.returned)
        after = [line.qty for line in basket.lines] if everything else _added(basket, before, units)
        lines = _priced_lines(tx, rt, order, basket)
        paid = order.shop_paid_kopecks if order.shop_paid_kopecks is not None else _due(lines, basket)
        by_lines = returned_kopecks(basket, lines, after)
        amounts = order.shop_returned_kopecks + amount_kopecks
        if everything:
            amounts = max(order.shop_returned_kopecks, paid - by_lines)
        elif amount_kopecks and amounts + by_lines > paid:
            raise BadReturn(f"За заказ получено {paid} копеек, вернуть просят больше")
        back = min(paid, amounts + by_lines) - min(
            paid, order.shop_returned_kopecks + returned_kopecks(basket, lines, before)
        )
        orders.save_returns(tx, order.id, returned=after, returned_kopecks=amounts)
        result = _converged(tx, rt, order.id, occurred_at=now, now=now)
        done = OrderResult(result.order, result.member, back == 0 and not result.moved, result.moved, back)
        if seal is not None:
            seal(tx, done)
        return done

    return book.run(rt, work)


def look(rt: Runtime, order_ref: str) -> OrderResult:
    """The order as it is. Raises OrderNotFound."""
    with rt.db.begin() as tx:
        order = orders.read_shop_order(tx, order_ref)
        if order is None or order.member_id is None:
            raise OrderNotFound
        member = members.by_ids(tx, [order.member_id])[order.member_id]
        return OrderResult(order, member, is_repeat=True, moved=ledger.of_order(tx, order.id))


def _converged(tx: sa.Connection, rt: Runtime, order_id: int, *, occurred_at: datetime, now: datetime) -> OrderResult:
    known = ledger.last_id(tx, order_id)
    points.converge_order(tx, rt, orders.lock(tx, order_id), occurred_at=occurred_at, now=now)
    order = orders.lock(tx, order_id)
    member = members.lock(tx, order.member_id or 0)
    return OrderResult(order, member, is_repeat=False, moved=ledger.of_order(tx, order_id, after=known))


def _goods(tx: sa.Connection, order: Order, basket: Basket | None) -> Basket:
    known = None if order.basket is None else Basket.from_data(order.basket)
    if known is not None and order.shop_paid_kopecks is not None:
        if basket not in (None, known):
            raise OrderDiffers
        return known
    hold = None if order.hold_id is None else holds.by_id(tx, order.hold_id)
    if hold is not None and hold.state == "unconfirmed":
        raise HoldUnconfirmed
    if basket is None:
        if known is None:
            raise OrderNotFound("Состав заказа неизвестен: передайте строки")
        return known
    if hold is not None and hold.state in ("active", "expired") and known != basket:
        raise OrderDiffers("Состав заказа изменился после резерва", hint="создайте резерв заново: POST /api/v1/holds")
    return basket


def _due_kopecks(tx: sa.Connection, rt: Runtime, order: Order, basket: Basket) -> int:
    """The price less the points that are reserved for it."""
    hold = None if order.hold_id is None else holds.by_id(tx, order.hold_id)
    if hold is None or hold.state == "released":
        return basket.total_kopecks
    value = rt.programme_of(tx, hold.rules_version).point_value_kopecks
    return basket.total_kopecks - hold.points * value


def _priced_lines(tx: sa.Connection, rt: Runtime, order: Order, basket: Basket) -> Sequence[CheckoutLine]:
    """The lines of a counted order as they were sold."""
    programme = rt.programme_of(tx, order.rules_version or rt.rules_version)
    hold = None if order.hold_id is None else holds.by_id(tx, order.hold_id)
    spread = hold.spread if hold is not None and hold.state == "captured" else (0,) * len(basket.lines)
    sold_at = order.counted_at or rt.now()
    return checkout.priced(programme, basket, checkout.given(spread), segment_code=order.segment_code, at=sold_at).lines


def _due(lines: Sequence[CheckoutLine], basket: Basket) -> int:
    return sum(line.due_kopecks for line in lines) + basket.delivery_kopecks


def _added(basket: Basket, before: Sequence[int], units: Mapping[int, int]) -> list[int]:
    after = list(before)
    for number, count in units.items():
        if not 1 <= number <= len(basket.lines) or count < 1:
            raise BadReturn(f"В заказе нет строки {number}")
        after[number - 1] += count
        if after[number - 1] > basket.lines[number - 1].qty:
            left = basket.lines[number - 1].qty - before[number - 1]
            raise BadReturn(f"В строке {number} осталось {left}, вернуть просят {count}")
    return after
