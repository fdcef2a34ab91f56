"""«Списать бонусов»: the manager types a number into the deal, and points are reserved for it.

A level, not an event: the field's present number is what should be reserved. Another number replaces the hold, an empty
field or a lost deal gives the points back, an equal one changes nothing. The answer goes into the deal's fields and
feed (`deal_fields.py`); capture follows from the payment (`points.py`).
Runs in the transaction of the deal's inbox row, which holds the order's lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connector.amocrm.leads import LOST_STATUS_ID
from flows import book, codes, holds
from flows.refusals import CodeNotDeliverable, Denied, RedemptionLimit, TooManyCodes
from loyalty.basket import KOPECKS_MAX, whole_sum
from loyalty.explain import what_binds
from loyalty.wording import count_text, thousands
from storage import holds as holds_storage
from storage import members, orders, outbox

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import sqlalchemy as sa

    from connector.amocrm.leads import Deal
    from flows.holds import Quote
    from flows.runtime import Runtime
    from storage.holds import Hold
    from storage.orders import Order

POINTS_MAX = 1_000_000_000
CHANNEL = "crm"
_REFUSALS = {
    "redeem_off": "Списание баллов не включено в правилах",
    "nothing_eligible": "Списать нельзя: у сделки нет бюджета или её товары не участвуют",
    "no_points": "У покупателя нет доступных баллов",
    "below_minimum": "Списать нельзя: меньше разрешённого минимума",
}


@dataclass(frozen=True)
class Wish:
    """What the deal asks for: `points` typed by the manager (None: nothing), the `code` the buyer told."""

    points: int | None
    code: str
    is_lost: bool


def wish_of(deal: Deal | None, lead_ids: Mapping[str, int]) -> Wish:
    """Reads the manager's fields. A deal that is gone or lost asks for nothing."""
    if deal is None or deal.is_deleted or deal.status_id == LOST_STATUS_ID:
        return Wish(None, "", is_lost=True)
    code = deal.field_values.get(lead_ids.get("redeem_code", 0))
    return Wish(_points(deal.field_values.get(lead_ids.get("redeem", 0))), str(code or "").strip(), is_lost=False)


def follow(tx: sa.Connection, rt: Runtime, order: Order, wish: Wish, *, now: datetime) -> None:
    """Makes what is reserved for the unpaid deal equal to what it asks for."""
    hold = None if order.hold_id is None else holds_storage.by_id(tx, order.hold_id)
    if wish.is_lost or not wish.points:
        if hold is not None and hold.is_open:
            holds.close(tx, rt, order, hold, state="released", now=now)
            _answer(tx, rt, order, wish.points, "Резерв снят: баллы вернулись покупателю", now=now)
            return
        if hold is not None:
            holds.close(tx, rt, order, hold, state="released", now=now)
        if order.redeem_asked is not None:
            _answer(tx, rt, order, wish.points, None, now=now)
        elif not wish.is_lost:
            outbox.add(tx, "deal", [order.id], now=now)
        return
    if hold is not None and order.redeem_asked == wish.points and _is_for_this_price(tx, rt, hold, order):
        if hold.is_open:
            _confirm(tx, rt, order, hold, wish, now=now)
        return
    if hold is None and order.redeem_asked == wish.points and order.redeem_answer in _REFUSALS.values():
        outbox.add(tx, "deal", [order.id], now=now)  # refused before; the price or the balance may have changed since
    _hold_again(tx, rt, order, wish.points, now=now)


def give_up(tx: sa.Connection, rt: Runtime, order: Order, *, now: datetime) -> None:
    """Nothing is reserved for the deal any longer, whoever it was reserved from; what it asks for is looked at anew."""
    if order.hold_id is not None:
        holds.close(tx, rt, order, holds_storage.by_id(tx, order.hold_id), state="released", now=now)
    _answer(tx, rt, order, None, None, now=now)


def _is_for_this_price(tx: sa.Connection, rt: Runtime, hold: Hold, order: Order) -> bool:
    """The price is the one the points were reserved for; or the manager has typed in the one he was told."""
    value = rt.programme_of(tx, hold.rules_version).point_value_kopecks
    return order.price_kopecks in (hold.total_kopecks, hold.total_kopecks - hold.points * value)


def _hold_again(tx: sa.Connection, rt: Runtime, order: Order, asked: int, *, now: datetime) -> None:
    if order.member_id is None:
        raise ValueError("a deal that spends points has a member")
    member = members.lock(tx, order.member_id, now=now)
    account = holds.free_account(tx, rt, order, member, now=now)
    basket = whole_sum(min(order.price_kopecks, KOPECKS_MAX))
    found = holds.quoted(rt, member, basket, balance=account.balances["available"], redeem=asked, at=now)
    refusal = found.checkout.spending.refusal
    if refusal is not None:
        text = _REFUSALS[refusal]
    else:
        try:
            held = holds.reserve(tx, rt, order, found, account, channel=CHANNEL, now=now)
            text = held_text(rt, held.hold, found, asked)
        except (RedemptionLimit, CodeNotDeliverable, TooManyCodes) as denied:
            text = _denied_text(denied)
    book.save(tx, rt, member.id, account, occurred_at=now)
    _answer(tx, rt, order, asked, text, now=now)


def _confirm(tx: sa.Connection, rt: Runtime, order: Order, hold: Hold, wish: Wish, *, now: datetime) -> None:
    """The buyer's code was typed into the deal."""
    if hold.state != "unconfirmed" or not wish.code or hold.code_tries >= codes.TRIES_MAX:
        return
    if codes.is_right(rt, hold, wish.code):
        holds_storage.confirm(tx, hold.id)
        _answer(tx, rt, order, wish.points, "Код подошёл: списание подтверждено", now=now)
        return
    tried = codes.digest(rt, hold.public_id, wish.code)
    if tried == hold.tried_digest:  # the deal is read at every hook; a code that still stands there is told once
        return
    left = codes.TRIES_MAX - holds_storage.count_try(tx, hold.id, tried=tried)
    _answer(tx, rt, order, wish.points, f"Код не подошёл, осталось попыток: {left}", now=now)


def held_text(rt: Runtime, hold: Hold, found: Quote, asked: int) -> str:
    """What the manager reads: how much is reserved, why not more, what is left to pay."""
    words = rt.point_forms
    spending = found.checkout.spending
    less = ""
    if hold.points < asked:
        less = f" из {thousands(asked)} (больше нельзя: {what_binds(spending, found.programme)[0]})"
    code = " Ждём код покупателя." if hold.state == "unconfirmed" else ""
    due = _roubles(found.checkout.due_kopecks)
    return f"Зарезервировано {count_text(hold.points, words)}{less}. К оплате {due} ₽.{code}"


def _answer(
    tx: sa.Connection, rt: Runtime, order: Order, asked: int | None, answer: str | None, *, now: datetime
) -> None:
    orders.save_asked(tx, order.id, asked=asked, answer=answer)
    if rt.crm is not None:
        outbox.add(tx, "deal", [order.id], now=now)


def _denied_text(denied: Denied) -> str:
    return f"{denied.title}: {denied.hint}"


def _points(stored: object) -> int | None:
    """What people type into a number field: «500», «500.0»; anything else asks for nothing."""
    text = str(stored if stored is not None else "").strip().replace(" ", "").replace("\u00a0", "")
    whole, _, rest = text.replace(",", ".").partition(".")
    if not (whole.isascii() and whole.isdigit()) or len(whole) > len(str(POINTS_MAX)):
        return None
    del rest  # a fraction of a point cannot be spent
    return min(int(whole), POINTS_MAX)


def _roubles(kopecks: int) -> str:
    whole, rest = divmod(kopecks, 100)
    return thousands(whole) + (f",{rest:02}" if rest else "")
