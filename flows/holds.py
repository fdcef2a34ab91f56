"""Spending points: hold, confirm, release, and holds that have grown too old.

A hold belongs to an order; capture is the order's own business (`points.py`), because it follows from the payment.
Each function is one transaction; lock order: order row, then member row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from flows import book, codes
from flows.refusals import (
    HoldClosed,
    HoldNotFound,
    OrderDiffers,
    OrderOfAnother,
    RedeemRefused,
    RedemptionLimit,
    WrongCode,
)
from loyalty import calendar, checkout, limits, redemption
from loyalty.account import Cause, PointsMissing
from storage import holds, lots, members, orders, outbox
from storage.db import refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from flows.runtime import Runtime
    from loyalty.account import Account
    from loyalty.basket import Basket
    from loyalty.checkout import Checkout
    from loyalty.programme import Programme
    from storage.holds import Hold
    from storage.members import Member
    from storage.orders import Order

    Seal = Callable[[sa.Connection, "Held"], None]
    """Keeps the answer to the request in the transaction that does it."""

EXPIRY_BATCH = 200
EXPIRED_ANSWER = "Резерв истёк: баллы вернулись покупателю. Чтобы списать их снова, очистите поле и впишите число"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Quote:
    """What an order would cost, spend and earn now. Reserves nothing."""

    member: Member
    basket: Basket
    checkout: Checkout
    programme: Programme
    rules_version: str
    at: datetime


@dataclass(frozen=True)
class Held:
    """A hold that was made, and the calculation it rests on."""

    hold: Hold
    quote: Quote


def quoted(rt: Runtime, member: Member, basket: Basket, *, balance: int, redeem: int, at: datetime) -> Quote:
    active = rt.active  # once: another thread may take new rules over meanwhile
    found = checkout.checkout(
        active.programme, basket, segment_code=member.segment_code, balance=balance, requested=redeem, at=at
    )
    return Quote(member, basket, found, active.programme, active.version, at)


def make(
    rt: Runtime,
    member_id: int,
    *,
    order_ref: str,
    basket: Basket,
    points: int,
    channel: str,
    seal: Seal | None = None,
) -> Held:
    """Reserves exactly `points` for the shop's order, in place of an earlier hold on it; `seal` is called in this very
    transaction. Raises OrderOfAnother, OrderDiffers, RedeemRefused, RedemptionLimit, TooManyCodes, CodeNotDeliverable;
    then nothing is changed."""
    now = rt.now()

    def work(tx: sa.Connection) -> Held:
        order = orders.open_shop_order(tx, order_ref, channel=channel, now=now)
        if order.member_id not in (None, member_id):
            raise OrderOfAnother
        if order.shop_paid_kopecks is not None or order.is_kept:
            raise OrderDiffers("Заказ уже оплачен")
        orders.save_shop_sale(tx, order.id, member_id=member_id, basket=basket, channel=channel)
        member = book.lock(tx, member_id, now=now)
        account = free_account(tx, rt, order, member, now=now)
        found = quoted(rt, member, basket, balance=account.balances["available"], redeem=points, at=now)
        _refuse(found.checkout, points)
        held = reserve(tx, rt, order, found, account, channel=channel, now=now)
        book.save(tx, rt, member_id, account, occurred_at=now)
        if seal is not None:
            seal(tx, held)
        return held

    return book.run(rt, work)


def reserve(
    tx: sa.Connection, rt: Runtime, order: Order, found: Quote, account: Account, *, channel: str, now: datetime
) -> Held:
    """Puts what was quoted aside for the order; the caller holds both locks and saves the account."""
    rules = found.programme.redeem
    if rules is None:
        raise RedeemRefused("redeem_off")
    zone = found.programme.timezone
    today = holds.made_between(tx, found.member.id, *calendar.day_bounds(now, zone))
    if not limits.may_redeem(found.programme.limits, redemptions_today=today):
        raise RedemptionLimit
    spending = found.checkout.spending
    rt.programme_of(tx, found.rules_version)
    public_id = rt.new_id("hold")
    delay = rules.crm_hold if order.deal_ref is not None else rules.hold
    hold = holds.add(
        tx,
        holds.NewHold(
            public_id=public_id,
            member_id=found.member.id,
            order_id=order.id,
            points=spending.points,
            total_kopecks=found.basket.total_kopecks,
            spread=spending.spread,
            channel=channel,
            rules_version=found.rules_version,
            expires_at=calendar.activation_at(now, delay, zone),
            code_digest=codes.ask(tx, rt, rules, found.member, public_id, spending.points, now=now),
        ),
        now=now,
    )
    orders.save_hold(tx, order.id, hold.id)
    account.know(lots.open_lots(tx, found.member.id, enough=spending.points, now=now))
    cause = Cause(order_id=order.id, hold_id=hold.id, rule=spending.cap_rule)
    redemption.take(account, spending.points, cause=cause, now=now)
    return Held(hold, found)


def confirm(rt: Runtime, public_id: str, code: str) -> Hold:
    """The buyer told the code (or a senior the PIN). Raises HoldNotFound, HoldClosed, WrongCode; after too many wrong
    codes the points go back."""
    now = rt.now()

    def work(tx: sa.Connection) -> tuple[Hold, int | None]:
        hold, order = _locked(tx, public_id)
        if not hold.is_open or hold.expires_at <= now:
            raise HoldClosed
        if hold.state == "active":
            return hold, None
        if codes.is_right(rt, hold, code):
            holds.confirm(tx, hold.id)
            return holds.by_id(tx, hold.id), None
        tries = holds.count_try(tx, hold.id, tried=codes.digest(rt, hold.public_id, code))
        if tries >= codes.TRIES_MAX:
            close(tx, rt, order, hold, state="released", now=now)
        return hold, codes.TRIES_MAX - tries

    hold, tries_left = book.run(rt, work)
    if tries_left is not None:
        raise WrongCode(f"Осталось попыток: {max(0, tries_left)}", tries_left=max(0, tries_left))
    return hold


def release(rt: Runtime, public_id: str) -> Hold:
    """The order will not be paid with these points; said twice, the same. Raises HoldNotFound, HoldClosed."""
    now = rt.now()

    def work(tx: sa.Connection) -> Hold:
        hold, order = _locked(tx, public_id)
        if hold.state == "released":
            return hold
        if hold.state == "captured":
            raise HoldClosed("Баллы уже списаны: заказ оплачен")
        close(tx, rt, order, hold, state="released", now=now)
        return holds.by_id(tx, hold.id)

    return book.run(rt, work)


def release_expired(rt: Runtime, *, now: datetime) -> int:
    """Gives back the points of holds that are too old, one short transaction each. Returns how many; one that cannot be
    given back is left for the next round."""
    released, after = 0, 0
    while True:
        with rt.db.begin() as tx:
            due = holds.expired(tx, now=now, after=after, limit=EXPIRY_BATCH)
        released += sum(_expire(rt, order_id, now=now) for order_id in due)
        if len(due) < EXPIRY_BATCH:
            return released
        after = due[-1]


def close(tx: sa.Connection, rt: Runtime, order: Order, hold: Hold, *, state: str, now: datetime) -> None:
    """Gives the reserved points back and closes the hold; the caller holds the order's lock. An expired hold stays the
    order's: if the buyer pays the lower price after all, it is taken again, unless it is given up."""
    if hold.is_open:
        member = members.lock(tx, hold.member_id)
        account = free_account(tx, rt, order, member, now=now, state=state)
        book.save(tx, rt, member.id, account, occurred_at=now)
    elif hold.state == "expired" and state == "released":
        holds.close(tx, hold.id, state=state, now=now)
        orders.save_hold(tx, order.id, None)


def free_account(
    tx: sa.Connection, rt: Runtime, order: Order, member: Member, *, now: datetime, state: str = "released"
) -> Account:
    """The member's book with the points reserved on this order put back: what the order may spend now."""
    hold = None if order.hold_id is None else holds.by_id(tx, order.hold_id)
    if hold is None or not hold.is_open:
        return book.open_account(tx, rt, member, now=now)
    allocations = holds.allocations(tx, hold.id)
    account = book.open_account(tx, rt, member, now=now, more=lots.by_keys(tx, [one.lot_key for one in allocations]))
    cause = Cause(order_id=order.id, hold_id=hold.id, rule="redeem.hold")
    redemption.release(account, allocations, cause=cause)
    book.bring_up_to_date(account, rt, now=now)
    holds.close(tx, hold.id, state=state, now=now)
    if state == "released":
        orders.save_hold(tx, order.id, None)
    return account


def _expire(rt: Runtime, order_id: int, *, now: datetime) -> bool:
    def work(tx: sa.Connection) -> bool:
        order = orders.lock(tx, order_id)
        hold = None if order.hold_id is None else holds.by_id(tx, order.hold_id)
        if hold is None or not hold.is_open or hold.expires_at > now:
            return False
        # Only what was agreed to outlives its time: the price of a hold nobody confirmed does not stand.
        close(tx, rt, order, hold, state="expired" if hold.state == "active" else "released", now=now)
        if order.deal_ref is not None and rt.crm is not None:
            orders.save_asked(tx, order.id, asked=order.redeem_asked, answer=EXPIRED_ANSWER)
            outbox.add(tx, "deal", [order.id], now=now)
        _log.info("hold_expired", hold_id=hold.id, points=hold.points)
        return True

    try:
        return book.run(rt, work)
    except (sa.exc.DBAPIError, PointsMissing) as failure:  # one damaged or locked account must not stop all others
        _log.error("hold_expiry_refused", order_id=order_id, error=refusal(failure) or str(failure))
        return False


def _locked(tx: sa.Connection, public_id: str) -> tuple[Hold, Order]:
    hold = holds.by_public_id(tx, public_id)
    if hold is None:
        raise HoldNotFound
    order = orders.lock(tx, hold.order_id)
    return holds.by_id(tx, hold.id), order


def _refuse(found: Checkout, points: int) -> None:
    spending = found.spending
    if spending.refusal is not None:
        raise RedeemRefused(spending.refusal, max_redeem=spending.max_points)
    if points and spending.points != points <= spending.max_points:
        detail = f"По строкам заказа можно списать {spending.points}"
        raise RedeemRefused("over_maximum", detail, max_redeem=spending.points)
    if points > spending.max_points:
        detail = f"Можно списать не больше {spending.max_points}"
        raise RedeemRefused("over_maximum", detail, max_redeem=spending.max_points)
