"""YooKassa's lists: payments by the day they were captured on, refunds by the day they were made on.

Owns their queries. How a payment is read is `yookassa.py`. Source: YooKassa API, «Работа со списками объектов».
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode

from connector.acquiring.base import Fetched
from connector.acquiring.listing import PAGE_ITEMS, Item, Listed, Unread, row, walked

Get = Callable[[str, str], Mapping[str, Any]]
"""`get(path with query, route)`: one answer."""


def listed(
    get: Get, fetch: Callable[[str], Fetched], read: Callable[[Item], Fetched], since: datetime, until: datetime
) -> Iterator[Listed]:
    """A captured payment stands in the list whole; of a refund only the payment's id is used, the payment is asked."""
    told: set[str] = set()
    for payment in _items(get, "/v3/payments", "captured_at", since, until):
        found = row(partial(read, payment), payment.get("id"))
        yield found if _is_news(found, told) else None
    for refund in _items(get, "/v3/refunds", "created_at", since, until):
        payment_ref = refund.get("payment_id")
        if not isinstance(payment_ref, str):
            yield Unread("", "YooKassa GET /v3/refunds: a refund of no payment")
            continue
        found = None if payment_ref in told else row(partial(fetch, payment_ref), payment_ref)
        yield found if _is_news(found, told) else None


def _is_news(found: Listed, told: set[str]) -> bool:
    """Whether this payment was not told yet; from now on it is."""
    if found is None or found.payment_ref in told:
        return False
    if found.payment_ref:
        told.add(found.payment_ref)
    return True


def _items(get: Get, path: str, field: str, since: datetime, until: datetime) -> Iterator[Item]:
    span = {f"{field}.gte": _stamp(since), f"{field}.lt": _stamp(until), "limit": str(PAGE_ITEMS)}

    def page(cursor: str) -> tuple[object, str]:
        query = span | ({"cursor": cursor} if cursor else {})
        answer = get(f"{path}?{urlencode(query)}", path)
        return answer.get("items"), str(answer.get("next_cursor") or "")

    return walked(page)


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
