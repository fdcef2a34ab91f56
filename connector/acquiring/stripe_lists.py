"""Stripe's lists: payment intents, refunds and disputes by the time they were created at.

Owns their queries. How an object is read is `stripe.py`. Source: acquirers reference, section 9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from connector.acquiring.base import Fetched
from connector.acquiring.listing import PAGE_ITEMS, Item, walked
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
) -> Iterator[PaymentFacts]:
    """`read` an intent, `disputed`: facts of a dispute. Of a refund only its payment's id is used."""
    told: set[str] = set()
    for intent in _items(get, "/v1/payment_intents", since, until, expand="data.latest_charge.refunds"):
        facts = read(intent)
        if isinstance(facts, PaymentFacts):
            told.add(facts.payment_ref)
            yield facts
    for refund in _items(get, "/v1/refunds", since, until):
        payment_ref = refund.get("payment_intent")
        if not isinstance(payment_ref, str) or payment_ref in told:
            continue
        told.add(payment_ref)
        found = fetch(payment_ref)
        if isinstance(found, PaymentFacts):
            yield found
    for dispute in _items(get, "/v1/disputes", since, until):
        facts = disputed(dispute)
        if isinstance(facts, PaymentFacts):
            yield facts


def _items(get: Get, path: str, since: datetime, until: datetime, *, expand: str = "") -> Iterator[Item]:
    span = {"created[gte]": str(int(since.timestamp())), "created[lt]": str(int(until.timestamp()))}
    query = span | {"limit": str(PAGE_ITEMS)} | ({"expand[]": expand} if expand else {})

    def page(cursor: str) -> tuple[object, str]:
        asked = query | ({"starting_after": cursor} if cursor else {})
        answer = get(f"{path}?{urlencode(asked)}", path)
        items = answer.get("data")
        if answer.get("has_more") is not True or not items:
            return items, ""
        last = items[-1].get("id") if isinstance(items[-1], dict) else None
        if not isinstance(last, str):
            raise BadReply(f"Stripe GET {path}: an object without an id")
        return items, last

    return walked(page)
