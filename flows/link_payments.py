"""The money that comes by a payment link: which link it was, which points it was lowered by, what a person must decide.

Runs inside the transaction that records the payment; the caller holds the order's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows import found_facts, holds
from flows.found_facts import Found
from flows.link_ending import DIED
from flows.link_terms import price_kopecks
from loyalty.phrases import roubles
from storage import holds as holds_storage
from storage import orders, payment_links, payments

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from flows.runtime import Runtime
    from loyalty.events import PaymentFacts
    from storage.orders import Order
    from storage.payment_links import PaymentLink


def heard(
    tx: sa.Connection, rt: Runtime, order: Order, facts: PaymentFacts, *, now: datetime
) -> tuple[Order, PaymentLink | None]:
    """A payment of the order was saved. Returns the order as it stands now, with the hold that this payment was made
    for, and the link that money came by, or came by earlier."""
    known = payment_links.of_order(tx, order.id)
    link = _of(known, facts)
    if link is None:
        return order, next((one for one in known if one.state == "paid"), None)
    if facts.captured_kopecks or facts.refunded_kopecks or facts.refund_is_total:
        payment_links.paid(tx, link.id, payment_ref=facts.payment_ref, now=now)
        return (_with_its_points(tx, rt, order, link, now=now) if facts.captured_kopecks else order), link
    if facts.status in ("failed", "voided") and facts.payment_ref == link.payment_ref:
        payment_links.move(tx, link.id, "closed", was=("open", "closing"), reason=DIED, now=now)
    return order, None


def ask(tx: sa.Connection, rt: Runtime, order_id: int, link: PaymentLink | None, *, now: datetime) -> None:
    """After the order was brought to its target: what no program can put right is put before a person, once."""
    if link is None:
        return
    order = orders.lock(tx, order_id)
    for question in (_paid_twice(tx, rt, order), _points_missing(tx, order, link)):
        if question is not None:
            found_facts.keep(tx, question, now=now)


def _of(known: Sequence[PaymentLink], facts: PaymentFacts) -> PaymentLink | None:
    """By the payment's name, else by the order's number as the acquirer was told it."""
    ours = [one for one in known if one.acquirer == facts.acquirer]
    named = next((one for one in ours if one.payment_ref == facts.payment_ref), None)
    return named or next((one for one in ours if one.order_number and one.order_number == facts.order_ref), None)


def _with_its_points(tx: sa.Connection, rt: Runtime, order: Order, link: PaymentLink, *, now: datetime) -> Order:
    """An earlier link was paid after the points had been changed: the buyer has got the discount of that link, and
    gives the points of that one. His later hold goes back; the earlier is taken again, like one that ran out and whose
    lower price was paid after all."""
    if order.counted_at is not None or order.member_id is None or link.hold_id == order.hold_id:
        return order
    present = None if order.hold_id is None else holds_storage.by_id(tx, order.hold_id)
    if present is not None:
        if present.state == "captured":
            return order
        holds.close(tx, rt, order, present, state="released", now=now)
    earlier = None if link.hold_id is None else holds_storage.by_id(tx, link.hold_id)
    if earlier is not None and earlier.member_id == order.member_id and not earlier.is_open:
        holds_storage.close(tx, earlier.id, state="expired", now=now)
        orders.save_hold(tx, order.id, earlier.id)
    return orders.lock(tx, order.id)


def _paid_twice(tx: sa.Connection, rt: Runtime, order: Order) -> Found | None:
    """Several payments brought more than the order costs."""
    price = price_kopecks(tx, rt, order)
    kept = [one for one in payments.of_order(tx, order.id) if one.totals.kept_kopecks > 0]
    surplus = sum(one.totals.kept_kopecks for one in kept) - price
    if len(kept) < 2 or price <= 0 or surplus <= 0:
        return None
    names = ", ".join(f"{one.acquirer}:{one.payment_ref} на {roubles(one.totals.kept_kopecks)}" for one in kept)
    question = (
        f"{_name(order)} оплачен дважды: верните покупателю {roubles(surplus)} в кабинете банка. Платежи: {names}"
    )
    return Found(kept[-1].acquirer, kept[-1].payment_ref, question=question)


def _points_missing(tx: sa.Connection, order: Order, link: PaymentLink) -> Found | None:
    """The buyer got the discount of a hold whose points he has no more."""
    if link.hold_id is None or order.hold_id != link.hold_id or order.redeemed:
        return None
    hold = holds_storage.by_id(tx, link.hold_id)
    if hold.state != "expired" or order.counted_at is None:
        return None
    question = (
        f"{_name(order)} оплачен по ссылке со скидкой за {hold.points} баллов, но этих баллов у покупателя уже нет: "
        "они не списаны. Решите, просить ли доплату"
    )
    return Found(link.acquirer, link.public_id, question=question)


def _name(order: Order) -> str:
    return f"Заказ {order.shop_ref}" if order.deal_ref is None else f"Заказ сделки {order.deal_ref}"
