"""What a payment link is asked with: the sum that is left to pay, the order's name, the buyer, the receipt.

Reads only; asking and remembering are `payment_links.py`. Source: acquirers reference, sections 13.6 and 13.7.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from connector.acquiring.links import BadPayment, NewPayment, Receipt
from flows.order_sheet import price_in_money
from flows.refusals import LinkRefused
from loyalty import receipts
from loyalty.basket import Basket
from loyalty.events import Payer
from storage import addresses, holds, payments

if TYPE_CHECKING:
    from datetime import datetime

    import sqlalchemy as sa

    from config.model import PaymentLinksConfig, ReceiptConfig
    from flows.runtime import Runtime
    from storage.addresses import AddressKind
    from storage.holds import Hold
    from storage.orders import Order
    from storage.payment_links import PaymentLink

DESCRIPTION_CHARS_MAX = 128
LIVES = timedelta(days=3)
"""A link for which no points are reserved; the others end with their hold."""
LIVES_MIN, LIVES_MAX = timedelta(minutes=10), timedelta(days=60)
"""No acquirer takes a shorter or a longer time."""


@dataclass(frozen=True)
class Wish:
    """What the caller wants otherwise than the rules file says; "" for what stands there or is known of the buyer."""

    return_url: str = ""
    email: str = ""
    phone: str = ""


def new_payment(
    tx: sa.Connection,
    rt: Runtime,
    names: PaymentLinksConfig,
    order: Order,
    hold: Hold | None,
    link: PaymentLink,
    wish: Wish,
) -> NewPayment:
    """Raises LinkRefused when no such payment can be asked for."""
    payer = Payer(wish.phone or _first(tx, order, "phone"), wish.email or _first(tx, order, "email"))
    receipt = None if names.receipt is None else _receipt(tx, rt, names.receipt, order, hold, link, payer)
    title = f"сделке {order.deal_ref}" if order.shop_ref is None else f"заказу {order.shop_ref}"
    try:
        return NewPayment(
            amount_kopecks=link.amount_kopecks,
            order=link.public_id if order.deal_ref is None else f"L{order.deal_ref}-{link.attempt}",
            deal_ref=order.deal_ref,
            attempt=link.attempt,
            description=f"Оплата по {title}"[:DESCRIPTION_CHARS_MAX],
            return_url=wish.return_url or names.return_url,
            notify_url=f"{rt.settings.public_url}/webhooks/payments/{link.acquirer}",
            expires_at=link.expires_at,
            key=link.public_id,
            payer=payer,
            receipt=receipt,
        )
    except BadPayment as failure:
        raise LinkRefused(str(failure)) from failure


def expires_at(hold: Hold | None, *, now: datetime) -> datetime:
    """Until when the link can be paid."""
    wanted = now + LIVES if hold is None else hold.expires_at
    return min(max(wanted, now + LIVES_MIN), now + LIVES_MAX)


def _receipt(
    tx: sa.Connection,
    rt: Runtime,
    words: ReceiptConfig,
    order: Order,
    hold: Hold | None,
    link: PaymentLink,
    payer: Payer,
) -> Receipt:
    """What is paid for. Where the order's goods are known, each line is lowered by the points that lie on it."""
    if not (payer.email or payer.phone):
        raise LinkRefused(
            "для чека нужны почта или телефон покупателя", hint="впишите их в контакт или передайте в запросе"
        )
    try:
        lines = _receipt_lines(tx, rt, words, order, hold, link.amount_kopecks)
    except receipts.BadReceipt as failure:
        raise LinkRefused(str(failure)) from failure
    return Receipt(lines, payer.email, payer.phone, words.tax_system, words.vat, words.method, words.ffd)


def _receipt_lines(
    tx: sa.Connection, rt: Runtime, words: ReceiptConfig, order: Order, hold: Hold | None, amount: int
) -> tuple[receipts.ReceiptLine, ...]:
    if order.basket is None:
        return receipts.reduced([receipts.Line(words.item, 1, amount)], amount)
    basket = Basket.from_data(order.basket)
    lines = [
        receipts.Line(line.name or line.sku or words.item, line.qty, net, may_be_reduced=not line.is_gift_card)
        for line, net in zip(basket.lines, basket.net_kopecks(), strict=True)
    ]
    value = 0 if hold is None else rt.programme_of(tx, hold.rules_version).point_value_kopecks
    spread = [points * value for points in hold.spread] if hold is not None else [0] * len(lines)
    if basket.delivery_kopecks:
        lines.append(receipts.Line("Доставка", 1, basket.delivery_kopecks, "delivery"))
        spread.append(0)
    found = receipts.with_spread(lines, spread)
    if sum(line.sum_kopecks for line in found) == amount:
        return found
    return receipts.reduced([receipts.Line(words.item, 1, amount)], amount)  # the rest of an order paid in parts


def due_kopecks(tx: sa.Connection, rt: Runtime, order: Order) -> int:
    """What is left to pay in money: the price less the points reserved or spent, and less what came already. An order
    of which something went back is settled between buyer and shop: nobody is billed for it again."""
    found = payments.of_order(tx, order.id)
    came = sum(one.captured_kopecks for one in found)
    went_back = any(one.refunded_kopecks or one.is_refund_total for one in found)
    is_returned = went_back or any(order.returned) or order.shop_returned_kopecks > 0
    is_settled = order.is_kept and came == 0  # by the shop's word, its stage or points alone
    if is_settled or is_returned or order.shop_paid_kopecks is not None:
        return 0
    return price_kopecks(tx, rt, order) - came


def price_kopecks(tx: sa.Connection, rt: Runtime, order: Order) -> int:
    """What the order costs in money: its price less the points reserved or spent."""
    hold = None if order.hold_id is None else holds.by_id(tx, order.hold_id)
    if hold is not None and not (hold.is_open or hold.state == "captured"):
        hold = None
    programme = rt.programme if hold is None else rt.programme_of(tx, hold.rules_version)
    if order.basket is None:
        return price_in_money(order, hold, programme)
    discount = 0 if hold is None else hold.points * programme.point_value_kopecks
    return Basket.from_data(order.basket).total_kopecks - discount


def open_hold(tx: sa.Connection, order: Order) -> Hold | None:
    """Confirmed or not."""
    hold = None if order.hold_id is None else holds.by_id(tx, order.hold_id)
    return hold if hold is not None and hold.is_open else None


def _first(tx: sa.Connection, order: Order, kind: AddressKind) -> str:
    if order.member_id is None:
        return ""
    found = addresses.of_member(tx, order.member_id, kind)
    return found[0] if found else ""
