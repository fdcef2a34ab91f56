"""What an acquirer knows of a span of time: the contract of those that can be asked for it, and the walk over pages.

Owns the limits of a walk. Knows no acquirer. Implements the acquirers reference, section 13.8.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from connector.errors import BadReply
from loyalty.events import PaymentFacts

PAGE_ITEMS = 100
PAGES_MAX = 1000
Item = dict[str, Any]


class Lists(ABC):
    """An acquirer that can list what happened in a time."""

    @abstractmethod
    def listed(self, since: datetime, until: datetime) -> Iterator[PaymentFacts]:
        """Every payment that moved money in [since, until), once each; refunds and disputes of older payments too.
        Asks page by page while it is read. Raises ConnectorError."""


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
