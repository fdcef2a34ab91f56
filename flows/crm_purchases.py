"""A kept order is a purchase of the CRM's customer: added once, deleted when it is returned, never counted twice.

A level: the order's kept money against what was told. amoCRM has no idempotency keys and no change of a purchase, so
each carries a mark in its comment, and after an attempt whose end is unknown the customer's list says what is there.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from connector.amocrm.purchases import Purchase
from flows.settle import SetupIncomplete, written_once
from storage import bots, outbox, purchases

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from connector.amocrm.client import AmoCrm
    from flows.runtime import Runtime
    from storage.orders import Order
    from storage.purchases import Told

CUSTOMER_COMES_IN = timedelta(minutes=10)
"""A buyer's customer is made by another delivery, which calls for his purchases at once (`customers_came`). This is
only for one who died in between; while amoCRM is away all who wait come back so often."""
UNTOLD_MAX = 1_000
NO_CUSTOMER = "покупателя в CRM ещё нет"


def tell(tx: sa.Connection, rt: Runtime, order: Order, *, now: datetime) -> None:
    """The order's money changed: its purchase is out of date."""
    names = None if rt.crm is None else rt.crm_names
    if names is not None and names.purchases and names.customers and order.member_id is not None:
        outbox.add(tx, "purchase", [order.id], now=now)


def refresh(rt: Runtime, order_ids: Sequence[int], hold: Callable[[], None]) -> dict[int, str]:
    """Brings purchases up to date. Raises ConnectorError, SetupIncomplete, ClaimLost."""
    if rt.crm is None:
        raise SetupIncomplete("amoCRM не подключена")
    with rt.db.begin() as tx:
        found = purchases.told(tx, order_ids)
        to_come = bots.with_fields_to_come(tx, {one.member_id for one in found if one.member_id is not None})
    outcomes = dict.fromkeys(order_ids, "заказ из истории: покупка в CRM уже есть")
    nobody = [one for one in found if one.customer_ref is None and one.kept_kopecks]
    waiting = [one for one in nobody if one.member_id in to_come]
    for one in found:
        if one not in nobody:
            outcomes[one.order_id] = _refresh_one(rt, rt.crm, one, hold)
    never = {one.order_id: "покупателя в CRM нет: покупка запишется, когда он появится" for one in nobody}
    return outcomes | never | {one.order_id: NO_CUSTOMER for one in waiting}


def customers_came(rt: Runtime, member_ids: Sequence[int]) -> None:
    """These members have a customer now: what they bought before is told too."""
    if not member_ids or not rt.crm_names.purchases:
        return
    with rt.db.begin() as tx:
        outbox.add(tx, "purchase", purchases.untold(tx, member_ids, limit=UNTOLD_MAX), now=rt.now())


def plan_again(tx: sa.Connection, outcomes: Mapping[int, str], *, now: datetime) -> None:
    """Purchases whose customer is still to come, once their rows are finished."""
    waiting = [order_id for order_id, outcome in outcomes.items() if outcome == NO_CUSTOMER]
    outbox.add(tx, "purchase", waiting, now=now, due_at=now + CUSTOMER_COMES_IN)


def _refresh_one(rt: Runtime, crm: AmoCrm, one: Told, hold: Callable[[], None]) -> str:
    ref, kopecks = one.purchase_ref, one.told_kopecks
    if one.is_trying and one.customer_ref is not None:
        ref, kopecks = _look(crm, one), -1  # which sum it has is not worth a guess: it is made anew if there
    if ref is not None and kopecks != one.kept_kopecks:
        hold()
        crm.delete_purchase(ref)
        with rt.db.begin() as tx:
            purchases.save(tx, one.order_id, purchase_ref=None, kopecks=0)
        ref = None
    if ref is not None or not one.kept_kopecks or one.customer_ref is None:
        with rt.db.begin() as tx:
            purchases.save(tx, one.order_id, purchase_ref=ref, kopecks=one.kept_kopecks if ref is not None else 0)
        return "покупка записана" if ref is not None else "покупки нет"
    with rt.db.begin() as tx:
        purchases.begin(tx, one.order_id)
    hold()
    bought = Purchase(max(1, round(one.kept_kopecks / 100)), _comment(one), one.bought_at or rt.now())
    with written_once():
        made = crm.add_purchase(one.customer_ref, bought)
    with rt.db.begin() as tx:
        purchases.save(tx, one.order_id, purchase_ref=made, kopecks=one.kept_kopecks)
    return "покупка записана"


def _look(crm: AmoCrm, one: Told) -> int | None:
    """The purchase that an attempt left behind."""
    if one.customer_ref is None:
        return one.purchase_ref
    marked = [known.id for known in crm.purchases(one.customer_ref) if _mark(one) in known.comment]
    return min(marked) if marked else None


def _comment(one: Told) -> str:
    name = f"Заказ {one.shop_ref}" if one.shop_ref is not None else f"Сделка {one.deal_ref}"
    return f"{name}. {_mark(one)}"


def _mark(one: Told) -> str:
    return f"[заказ {one.order_id}]"
