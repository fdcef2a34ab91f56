"""What an acquirer knows of a span of time: the contract of those that can be asked for it, and the walk over pages.

Owns the limits of a walk. Knows no acquirer. Implements the acquirers reference, section 13.8.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connector.errors import BadReply
from loyalty.events import PaymentFacts, together

PAGE_ITEMS = 100
PAGES_MAX = 1000
Item = dict[str, Any]
_NAME = re.compile(r"[0-9A-Za-z_-]{1,64}")


@dataclass(frozen=True)
class Unread:
    """A row of a list that cannot be read. `payment_ref` is "" if it does not even name its payment."""

    payment_ref: str
    reason: str


Listed = PaymentFacts | Unread | None
"""One row. None: it tells nothing, or is told with another one; whoever reads sees that the walk goes on."""


class Lists(ABC):
    """An acquirer that can list what happened in a time."""

    @abstractmethod
    def listed(self, since: datetime, until: datetime) -> Iterator[Listed]:
        """Every payment that moved money in [since, until), once each; refunds and disputes of older payments too.
        Asks page by page while it is read. Raises ConnectorError."""


def row(read: Callable[[], object], payment_ref: object) -> Listed:
    """What one row says. One that cannot be read hides no other."""
    try:
        found = read()
    except BadReply as failure:
        name = "" if payment_ref is None else str(payment_ref)
        return Unread(name if _NAME.fullmatch(name) else "", str(failure))
    return found if isinstance(found, PaymentFacts) else None


def put(found: dict[str, PaymentFacts], told: Listed) -> Unread | None:
    """What was told joins what is known of the payment; what cannot be read is handed on."""
    if isinstance(told, PaymentFacts):
        before = found.get(told.payment_ref)
        found[told.payment_ref] = told if before is None else together(before, told)
        return None
    return told


def walked(page: Callable[[str], tuple[object, str]]) -> Iterator[Item]:
    """The items of all pages. `page(cursor)` gives the items and the next page's cursor; both first and last are "".
    Raises BadReply for a walk that goes in circles or has no end."""
    cursor, passed = "", {""}
    for _ in range(PAGES_MAX):
        items, cursor = page(cursor)
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise BadReply("the answer is not a list of objects")
        yield from items
        if cursor == "":
            return
        if cursor in passed:
            raise BadReply("the list goes in circles")
        passed.add(cursor)
    raise BadReply(f"the list has more than {PAGES_MAX} pages")


def next_number(cursor: str, items: object) -> str:
    """The cursor of a list whose pages are numbered from 1: full pages have a next one."""
    is_full = isinstance(items, list) and len(items) >= PAGE_ITEMS
    return str(int(cursor or "1") + 1) if is_full else ""
