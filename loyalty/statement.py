"""A member's history line by line in Russian, so that the lines sum to his balance.

Owns the words of every move of the ledger (the table `_TEXTS`) and what each does to the member's accounts. One wording
for the API, the card page, `kopilka balance` and the console. What a purchase would do is told by `explain.py`.
Source: specification of points, section 4, advantages 1-2; users' expectations, section 2 (c).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loyalty.earning import Rate
from loyalty.explain import Line, rate_words, who_set
from loyalty.ledger import MEMBER_ACCOUNTS, Balance
from loyalty.phrases import available_from, ended, moment, signed, valid_until
from loyalty.segments import by_code
from loyalty.wording import count_text, thousands

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from loyalty.ledger import Lot
    from loyalty.programme import Programme
    from loyalty.wording import PluralForms


@dataclass(frozen=True)
class Entry:
    """One transfer with what is known of its lot and its order. `shop_ref` is the shop's own name of the order."""

    move: str
    debit: str
    credit: str
    points: int
    occurred_at: datetime
    rules_version: str
    rule: str | None = None
    lot_source: str | None = None
    lot_title: str | None = None
    deal_ref: int | None = None
    shop_ref: str | None = None
    channel: str | None = None
    actor: str | None = None
    reason: str | None = None
    activates_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Part:
    """Points of one lot that lie in one account: a piece of the balance. The pieces sum to it."""

    text: str
    points: int
    account: str


def of_statement(
    entries: Iterable[Entry], programmes: Mapping[str, Programme], *, timezone: str, forms: PluralForms
) -> tuple[Line, ...]:
    """One line for every transfer, in the same order. `programmes` are the rules by version; a version that is missing
    there costs the line its rate, nothing else. A line that moves points within the balance has 0 `points`."""
    return tuple(_line(entry, programmes.get(entry.rules_version), timezone, forms) for entry in entries)


def of_lots(
    lots: Iterable[Lot], orders: Mapping[int, str], debt: int, *, timezone: str, now: datetime
) -> tuple[Part, ...]:
    """What a balance is made of: open lots, those that end first first, and the debt. `orders` are names by id."""
    parts = []
    for lot in lots:
        name = orders.get(lot.order_id or 0)
        source = _source(lot.source, lot.title, _order_of(name))
        for account, points in (("available", lot.available), ("pending", lot.pending), ("reserved", lot.reserved)):
            if points > 0:
                when = _lot_dates(lot, account, timezone=timezone, now=now)
                parts.append(Part(f"{thousands(points)} — {source}, {when}", points, account))
    if debt > 0:
        parts.append(Part(f"{signed(-debt)} — долг за возвращённые заказы, его погасят новые баллы", -debt, "debt"))
    return tuple(parts)


def order_name(deal_ref: int | None, shop_ref: str | None) -> str | None:
    """How a buyer knows his order."""
    return shop_ref or (None if deal_ref is None else str(deal_ref))


def _line(entry: Entry, programme: Programme | None, timezone: str, forms: PluralForms) -> Line:
    change = _change(entry)
    return Line(
        text=_text(entry, change.net, programme, timezone, forms),
        points=change.net,
        event=_event(entry),
        rule=entry.rule or _RULES.get(entry.move, entry.move),
        rules_version=entry.rules_version,
        change=change,
    )


def _change(entry: Entry) -> Balance:
    """A debt is counted the other way round: a debit raises it."""
    changes = dict.fromkeys(MEMBER_ACCOUNTS, 0)
    for account, points in ((entry.debit, -entry.points), (entry.credit, entry.points)):
        if account in changes:
            changes[account] += -points if account == "debt" else points
    return Balance(**changes)


def _text(entry: Entry, net: int, programme: Programme | None, timezone: str, forms: PluralForms) -> str:
    order = _order_of(order_name(entry.deal_ref, entry.shop_ref))
    template = _TEXTS.get((entry.move, _side(entry))) or _TEXTS.get((entry.move, "")) or "{points}: {move}"
    return template.format(
        points=signed(net),
        count=count_text(entry.points, forms),
        order=order,
        of_order=_of_order(order),
        source=_source(entry.lot_source, entry.lot_title, order),
        rate=_rate(entry, programme),
        dates=_dates(entry, timezone),
        until=valid_until(entry.expires_at, timezone),
        ended="срок вышел" if entry.expires_at is None else ended(entry.expires_at, timezone),
        move=entry.move,
    )


def _side(entry: Entry) -> str:
    """What tells two lines of one move apart: the debt takes part, points are taken, or nobody bought anything."""
    if "debt" in (entry.debit, entry.credit):
        return "debt"
    if entry.debit in MEMBER_ACCOUNTS and entry.credit not in MEMBER_ACCOUNTS:
        return "taken"
    return "" if entry.deal_ref is not None or entry.shop_ref is not None else "no order"


def _dates(entry: Entry, timezone: str) -> str:
    begins = "" if entry.activates_at is None else available_from(entry.activates_at, entry.occurred_at, timezone)
    return ", ".join(part for part in (begins, valid_until(entry.expires_at, timezone)) if part)


def _lot_dates(lot: Lot, account: str, *, timezone: str, now: datetime) -> str:
    if account == "reserved":
        return f"в резерве, {valid_until(lot.expires_at, timezone)}"
    if account == "pending":
        return f"доступны с {moment(lot.activates_at, timezone)}, {valid_until(lot.expires_at, timezone)}"
    if lot.expires_at is not None and lot.expires_at <= now:
        return f"{ended(lot.expires_at, timezone)}, сгорят после предупреждения"
    return valid_until(lot.expires_at, timezone)


def _rate(entry: Entry, programme: Programme | None) -> str:
    """« (12 %, сегмент «Постоянный»)». A rate that hung on the order's price or way of paying is named, not counted."""
    rule = entry.rule
    if programme is None or rule is None:
        return ""
    beside = f"; {entry.reason}" if entry.reason and entry.move == "accrue" else ""
    if rule == "accrual.rate":
        return f" ({rate_words(Rate(programme.accrual.rate_bps, rule), programme)}{beside})"
    segment = by_code(rule.split(".")[1], programme.segments) if rule.startswith("segments.") else None
    if segment is not None and segment.rate_bps is not None:
        return f" ({rate_words(Rate(segment.rate_bps, rule), programme)}{beside})"
    return f" ({who_set(rule, programme)}{beside})"


def _order_of(name: str | None) -> str:
    return "заказ" if name is None else f"заказ {name}"


def _of_order(order: str) -> str:
    return order.replace("заказ", "заказа", 1)


def _source(lot_source: str | None, title: str | None, order: str) -> str:
    """What the points of a lot were given for."""
    if title and lot_source in ("gift", "action"):
        return f"«{title}»"
    return {"accrual": order, "restored": f"возврат {_of_order(order)}"}.get(
        lot_source or "", _SOURCES.get(lot_source or "", order)
    )


def _event(entry: Entry) -> str:
    """What happened: the deal, the shop's order and where it was made, the gift, who corrected and why."""
    parts = []
    if entry.deal_ref is not None:
        parts.append(f"сделка {entry.deal_ref}")
    if entry.shop_ref is not None:
        parts += [f"заказ {entry.shop_ref}", _CHANNELS.get(entry.channel or "", entry.channel or "")]
    if not parts:
        parts.append(entry.lot_title or _EVENTS.get(entry.move) or _SOURCES.get(entry.lot_source or "") or entry.move)
    parts += [part for part in (entry.reason, entry.actor) if part]
    return ", ".join(part for part in parts if part)


_TEXTS: Mapping[tuple[str, str], str] = {
    ("accrue", ""): "{points} за {order}{rate}, {dates}",
    ("welcome", ""): "{points} приветственных за первый {order}, {dates}",
    ("welcome", "no order"): "{points} приветственных за вступление, {dates}",
    ("gift", ""): "{points} в подарок: {source}, {dates}",
    ("opening", ""): "{points} из прежней программы, {dates}",
    ("activate", ""): "Доступно ещё {count}: {source}",
    ("activate", "debt"): "В счёт долга {count}: {source}",
    ("settle", ""): "В счёт долга {count}: {source}",
    ("hold", ""): "В резерве {count}: оплата {of_order}",
    ("capture", ""): "{points} в оплату {of_order}",
    ("release", ""): "Снова доступно {count}: резерв {of_order} снят",
    ("expire", ""): "{points} сгорело: {source}, {ended}",
    ("reverse", ""): "{points} за возврат {of_order}",
    ("reverse", "debt"): "{points} за возврат {of_order}: баллы уже потрачены, долг погасят новые",
    ("write_off", ""): "Прощено {count}: возврат {of_order}, баллы уже потрачены",
    ("restore", ""): "{points} назад: возврат {of_order}, {until}",
    ("adjust", ""): "{points} поправка магазина, {dates}",
    ("adjust", "taken"): "{points} поправка магазина",
}
"""The words of every move; the second part of the key is what `_side` says, «» stands for anything."""

_SOURCES = {
    "welcome": "приветственные",
    "gift": "подарок",
    "action": "поощрение",
    "manual": "поправка магазина",
    "opening": "прежняя программа",
}
_EVENTS = {
    "welcome": "вступление",
    "gift": "подарок",
    "opening": "перенос остатка из прежней программы",
    "expire": "срок баллов вышел",
    "adjust": "поправка",
}
_CHANNELS = {
    "crm": "amoCRM",
    "site": "сайт",
    "till": "касса",
    "bot": "бот",
    "app": "приложение",
    "api": "API",
}
_RULES = {
    "accrue": "accrual.rate",
    "welcome": "welcome.points",
    "gift": "gifts",
    "opening": "import.balance",
    "activate": "accrual.activate_after",
    "settle": "refund.negative_balance",
    "hold": "redeem",
    "capture": "redeem",
    "release": "redeem",
    "expire": "burn",
    "reverse": "refund.take_back_accrued",
    "write_off": "refund.negative_balance",
    "restore": "refund.return_redeemed",
    "adjust": "adjustments",
}
"""The rule of a move that was written before transfers remembered theirs."""
