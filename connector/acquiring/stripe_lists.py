"""Stripe's lists: charges, refunds and disputes by the time they were created at.

An intent may be older than its payment by days; a charge is made when it is paid, and brings its intent along. Owns
their queries. How an object is read is `stripe.py`. Source: acquirers reference, section 9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode

from connector.acquiring.base import Fetched
from connector.acquiring.listing import PAGE_ITEMS, Item, Listed, put, row, walked
from connector.errors import BadReply
from loyalty.events import PaymentFacts

Get = Callable[[str, str], Mapping[str, Any]]
"""`get(path with query, route)`: one answer."""


def listed(
    get: Get,
    fetch: Callable[[str], Fetched],
    read: Callable[[Item], object],
    disputed: Callable[[Item], object],
    since: datetime,
    until: datetime,
) -> Iterator[Listed]:
    """`read` an intent, `disputed`: facts of a dispute. Of a refund only its payment's id is used. A payment is told
    once, with its disputes: at the end."""
    found: dict[str, PaymentFacts] = {}
    for charge in _items(get, "/v1/charges", since, until, expand=("data.payment_intent", "data.refunds")):
        intent = charge.get("payment_intent")
        if charge.get("status") == "succeeded" and isinstance(intent, dict):
            yield put(found, row(partial(read, {**intent, "latest_charge": charge}), intent.get("id")))
        else:
            yield None
    for refund in _items(get, "/v1/refunds", since, until):
        payment_ref = refund.get("payment_intent")
        if isinstance(payment_ref, str) and payment_ref not in found:
            yield put(found, row(partial(fetch, payment_ref), payment_ref))
    for dispute in _items(get, "/v1/disputes", since, until):
        yield put(found, row(partial(disputed, dispute), dispute.get("payment_intent")))
    yield from found.values()


def _items(get: Get, path: str, since: datetime, until: datetime, *, expand: Sequence[str] = ()) -> Iterator[Item]:
    span = {"created[gte]": str(int(since.timestamp())), "created[lt]": str(int(until.timestamp()))}
    query = [*span.items(), ("limit", str(PAGE_ITEMS)), *(("expand[]", one) for one in expand)]

    def page(cursor: str) -> tuple[object, str]:
        asked = [*query, ("starting_after", cursor)] if cursor else query
        answer = get(f"{path}?{urlencode(asked)}", path)
        items = answer.get("data")
        if answer.get("has_more") is not True or not items:
            return items, ""
        last = items[-1].get("id") if isinstance(items[-1], dict) else None
        if not isinstance(last, str):
            raise BadReply(f"Stripe GET {path}: an object without an id")
        return items, last

    return walked(page)
