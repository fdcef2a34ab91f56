"""PayKeeper's list of payments by the days they began on, Moscow's days.

Owns its query. Refunds show in the payment's own row, so a refund of an older payment is found by asking for that
payment. How a row is read is `paykeeper.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial

from connector.acquiring.base import Fetched
from connector.acquiring.listing import PAGE_ITEMS, Item, Listed, row, walked
from connector.acquiring.paykeeper_payments import MOSCOW
from loyalty.events import PaymentFacts

BEGUN_BEFORE = timedelta(days=1)
PATH = "/info/payments/bydate/"
Get = Callable[[list[tuple[str, str]]], object]


def listed(get: Get, read: Callable[[Item], Fetched], since: datetime, until: datetime) -> Iterator[Listed]:
    """The list knows when a payment began; what counts is when it was paid. A buyer may begin before midnight, so the
    list is asked from the day before, and what was paid outside the span is left out."""
    first, last = since - BEGUN_BEFORE, until - timedelta(microseconds=1)
    days = [("start", f"{first.astimezone(MOSCOW):%Y-%m-%d}"), ("end", f"{last.astimezone(MOSCOW):%Y-%m-%d}")]

    def page(cursor: str) -> tuple[object, str]:
        begin = int(cursor or "0")
        items = get([*days, ("limit", str(PAGE_ITEMS)), ("from", str(begin))])
        is_full = isinstance(items, list) and len(items) >= PAGE_ITEMS
        return items, str(begin + PAGE_ITEMS) if is_full else ""

    for item in walked(page):
        found = row(partial(read, item), item.get("id"))
        at = found.occurred_at if isinstance(found, PaymentFacts) else None
        yield found if at is None or since <= at < until else None
