"""PayKeeper's list of payments by the days they began on, Moscow's days.

Owns its query. Refunds show in the payment's own row, so a refund of an older payment is found by asking for that
payment. How a row is read is `paykeeper.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from connector.acquiring.base import Fetched
from connector.acquiring.listing import PAGE_ITEMS, Item, walked
from loyalty.events import PaymentFacts

MOSCOW = ZoneInfo("Europe/Moscow")
PATH = "/info/payments/bydate/"
Get = Callable[[list[tuple[str, str]]], object]


def listed(get: Get, read: Callable[[Item], Fetched], since: datetime, until: datetime) -> Iterator[PaymentFacts]:
    days = [("start", f"{since.astimezone(MOSCOW):%Y-%m-%d}"), ("end", f"{until.astimezone(MOSCOW):%Y-%m-%d}")]

    def page(cursor: str) -> tuple[object, str]:
        begin = int(cursor or "0")
        items = get([*days, ("limit", str(PAGE_ITEMS)), ("from", str(begin))])
        is_full = isinstance(items, list) and len(items) >= PAGE_ITEMS
        return items, str(begin + PAGE_ITEMS) if is_full else ""

    for row in walked(page):
        facts = read(row)
        if isinstance(facts, PaymentFacts):
            yield facts
