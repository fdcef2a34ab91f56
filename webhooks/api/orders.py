"""Orders of the site, the till and the bot: quoted, held, paid, returned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows import holds, quoting, sheets, shop
from webhooks.api import told

if TYPE_CHECKING:
    from webhooks.api import answers, asked, sales
    from webhooks.api.calls import Call


def quote(call: Call, body: sales.AskQuote) -> answers.Quote:
    found = quoting.quote(call.rt, body.names(), body.basket(), redeem=body.redeem, order_ref=body.order)
    return told.quote(found)


def hold(call: Call, body: sales.NewHold) -> answers.Hold:
    basket = body.basket()
    held = holds.make(
        call.rt,
        sheets.member_id(call.rt, body.names()),
        order_ref=body.order,
        basket=basket,
        points=body.points,
        channel=call.caller.channel,
    )
    return told.hold(sheets.hold(call.rt, held.hold.public_id))


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


def pay(call: Call, order: str, body: sales.PayOrder) -> answers.Paid:
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
