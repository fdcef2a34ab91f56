"""Orders of the site, the till and the bot: quoted, held, paid, returned."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from flows import holds, payment_links, quoting, sheets, shop
from flows.refusals import PaidInFuture
from webhooks.api import told

if TYPE_CHECKING:
    from flows.holds import Held
    from webhooks.api import answers, asked, sales
    from webhooks.api.calls import Call

CLOCKS_DIFFER_MAX = timedelta(minutes=5)
"""A till whose clock is a little fast is not told that it sells in the future."""


def quote(call: Call, body: sales.AskQuote) -> answers.Quote:
    found = quoting.quote(call.rt, body.names(), body.basket(), redeem=body.redeem, order_ref=body.order)
    return told.quote(found)


def hold(call: Call, body: sales.NewHold) -> answers.Hold:
    basket = body.basket()

    def tell(made: Held) -> answers.Hold:
        return told.hold(sheets.held(call.rt, made, body.order))

    held = holds.make(
        call.rt,
        sheets.member_id(call.rt, body.names()),
        order_ref=body.order,
        basket=basket,
        points=body.points,
        channel=call.caller.channel,
        seal=call.sealing(tell),
    )
    return tell(held)


def show_hold(call: Call, hold_id: str) -> answers.Hold:
    return told.hold(sheets.hold(call.rt, hold_id))


def confirm(call: Call, hold_id: str, body: sales.Confirm) -> answers.Hold:
    holds.confirm(call.rt, hold_id, body.code)
    return told.hold(sheets.hold(call.rt, hold_id))


def release(call: Call, hold_id: str, body: asked.Nothing) -> answers.Hold:
    del body
    holds.release(call.rt, hold_id)
    return told.hold(sheets.hold(call.rt, hold_id))


def cancel(call: Call, hold_id: str, body: asked.Nothing) -> answers.Hold:
    """What tills call a release."""
    return release(call, hold_id, body)


def link(call: Call, order: str, body: sales.AskLink) -> answers.PaymentLink:
    return told.link(order, payment_links.for_shop_order(call.rt, order, body.wish()))


def pay(call: Call, order: str, body: sales.PayOrder) -> answers.Paid:
    if body.paid_at is not None and body.paid_at > call.rt.now() + CLOCKS_DIFFER_MAX:
        raise PaidInFuture
    basket = body.basket()
    result = shop.pay(
        call.rt,
        order,
        member_id=sheets.member_id(call.rt, body.names()),
        basket=basket,
        paid_kopecks=body.paid_kopecks,
        channel=call.caller.channel,
        paid_at=body.paid_at,
    )
    first = sheets.first_event(shop.look(call.rt, order)) if result.is_repeat else None
    return told.paid(result, duplicate_of=first)


def show(call: Call, order: str) -> answers.Order:
    return told.order(sheets.order(call.rt, order))


def refund(call: Call, order: str, body: sales.Refund) -> answers.Refunded:
    result = shop.give_back(
        call.rt,
        order,
        units=body.units(),
        amount_kopecks=body.amount_kopecks or 0,
        everything=bool(body.everything),
        seal=call.sealing(told.refunded),
    )
    return told.refunded(result)
