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
    """The log is longer than we read: the way to what was deleted is a person's."""


class ChangesApi(Api):
    def changed_deals(self, since: datetime) -> Iterator[list[Changed]]:
        """Deals changed since then, those that changed first first; at most PAGES_MAX pages."""
        for rows in self._changed("/leads", "leads", since):
            yield [Changed(whole(row, "id"), at) for row in rows if (at := instant(row, "updated_at")) is not None]

    def changed_contacts(self, since: datetime) -> Iterator[list[Contact]]:
        """The same of contacts, as they are now."""
        for rows in self._changed("/contacts", "contacts", since):
            yield [read_contact(row) for row in rows]

    def events(self, since: datetime) -> list[Event]:
        """Deletions and restorations since then, newest first; at most PAGES_MAX pages."""
        found: list[Event] = []
        for page in range(1, PAGES_MAX + 1):
            query: dict[str, QueryValue] = {
                "filter": {"type": ",".join(EVENT_TYPES), "created_at": {"from": int(since.timestamp())}},
                "page": page,
                "limit": EVENT_ROWS,
            }
            rows = embedded(self.request("GET", "/events", query=query), "events")
            found += [event for row in rows if (event := _event(row)) is not None]
            if len(rows) < EVENT_ROWS:
                return found
        raise TooManyEvents(f"amoCRM: more than {PAGES_MAX * EVENT_ROWS} deletions since then")

    def _changed(self, path: str, name: str, since: datetime) -> Iterator[list[Row]]:
        """Never by page numbers: a row that changes while the list is read moves to its end, and another would slip
        through between two pages. Each request begins at the second of the last row; where more than a page changed
        within one second, that second alone is read by pages."""
        second, page = int(since.timestamp()), 1
        seen: set[tuple[int, int]] = set()
        for _ in range(PAGES_MAX):
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
            if fresh:
                yield fresh
            if len(rows) < PAGE_ROWS:
                return
            last = max(at for _, at in keys)
            second, page = (last, 1) if last > second else (second, page + 1)


def _event(row: Row) -> Event | None:
    kind, entity_id, at = text(row, "type"), optional_whole(row, "entity_id"), instant(row, "created_at")
    return None if kind not in EVENT_TYPES or entity_id is None or at is None else Event(kind, entity_id, at)
