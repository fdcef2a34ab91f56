"""What changed in the account lately: for a product whose hooks were lost, or that was down itself.

Owns the queries by time. Implements sections 2.3 and 4.8 of the amoCRM reference: lists narrow by `updated_at`, which
counts whole seconds; what was deleted is in no list, only in the event log.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from connector.amocrm.api import PAGE_ROWS, Api
from connector.amocrm.contacts import Contact, read_contact
from connector.amocrm.reading import QueryValue, Row, embedded, instant, optional_whole, text, whole
from connector.errors import BadReply

EVENT_TYPES = ("lead_deleted", "lead_restored", "contact_deleted")
EVENT_ROWS = 100
PAGES_MAX = 40
EVENT_PAGES_MAX = 400


@dataclass(frozen=True)
class Changed:
    """`updated_at` is the CRM's own clock, whole seconds."""

    id: int
    updated_at: datetime


@dataclass(frozen=True)
class Event:
    """Something that no list shows any more. `kind`: one of EVENT_TYPES."""

    kind: str
    entity_id: int
    at: datetime


class TooManyEvents(BadReply):
    """The log is longer than we read: the oldest of what was deleted is a person's to look up."""


class ListIsLonger(Exception):
    """What was yielded is whole up to its last second; the rest is for another time."""


class ChangesApi(Api):
    def changed_deals(self, since: datetime) -> Iterator[list[Changed]]:
        """Deals changed since then, those that changed first first. Raises ListIsLonger after PAGES_MAX pages."""
        for rows in self._changed("/leads", "leads", since):
            yield [Changed(whole(row, "id"), at) for row in rows if (at := instant(row, "updated_at")) is not None]

    def changed_contacts(self, since: datetime) -> Iterator[list[Contact]]:
        """The same of contacts, as they are now."""
        for rows in self._changed("/contacts", "contacts", since):
            yield [read_contact(row) for row in rows]

    def events(self, since: datetime) -> Iterator[list[Event]]:
        """Deletions and restorations since then, the newest first, by pages: what is deleted meanwhile pushes rows to
        later pages, so some come twice and none is missed. Raises TooManyEvents after EVENT_PAGES_MAX pages."""
        for page in range(1, EVENT_PAGES_MAX + 1):
            query: dict[str, QueryValue] = {
                "filter": {"type": ",".join(EVENT_TYPES), "created_at": {"from": int(since.timestamp())}},
                "page": page,
                "limit": EVENT_ROWS,
            }
            rows = embedded(self.request("GET", "/events", query=query), "events")
            yield [event for row in rows if (event := _event(row)) is not None]
            if len(rows) < EVENT_ROWS:
                return
        raise TooManyEvents(f"amoCRM: more than {EVENT_PAGES_MAX * EVENT_ROWS} deletions since then")

    def _changed(self, path: str, name: str, since: datetime) -> Iterator[list[Row]]:
        """Never by page numbers alone: a row that changes while the list is read moves to its end, and another would
        slip through between two pages. Each request begins at the second of the last row. Where more than a page
        changed within one second, that second is read by pages, and then once more backwards: rows only leave it, so
        those that are left only come nearer to its first page."""
        second, asked = int(since.timestamp()), 0
        seen: set[tuple[int, int]] = set()
        while asked < PAGES_MAX:
            page, last, count = 0, second, PAGE_ROWS
            while asked < PAGES_MAX and last == second and count == PAGE_ROWS:
                page, asked = page + 1, asked + 1
                fresh, last, count = self._changed_page(path, name, second, page, seen)
                yield fresh
            for earlier in range(page - 1, 0, -1):
                asked += 1
                yield self._changed_page(path, name, second, earlier, seen)[0]
            if count < PAGE_ROWS:
                return
            second = last
        raise ListIsLonger(f"amoCRM {path}: more than {PAGES_MAX} pages")

    def _changed_page(
        self, path: str, name: str, second: int, page: int, seen: set[tuple[int, int]]
    ) -> tuple[list[Row], int, int]:
        """The rows of a page that were not `seen`, the second of its last row, how many rows it has."""
        query: dict[str, QueryValue] = {
            "filter": {"updated_at": {"from": second}},
            "order": {"updated_at": "asc"},
            "page": page,
            "limit": PAGE_ROWS,
        }
        rows = embedded(self.request("GET", path, query=query), name)
        keys = [(whole(row, "id"), optional_whole(row, "updated_at") or 0) for row in rows]
        fresh = [row for row, key in zip(rows, keys, strict=True) if key not in seen]
        seen.update(keys)
        return fresh, max((at for _, at in keys), default=second), len(rows)


def _event(row: Row) -> Event | None:
    kind, entity_id, at = text(row, "type"), optional_whole(row, "entity_id"), instant(row, "created_at")
    return None if kind not in EVENT_TYPES or entity_id is None or at is None else Event(kind, entity_id, at)
