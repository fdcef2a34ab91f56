"""Customers («Покупатели») and their segments.

Owns their wire format. A customer's segments are always written as the whole set. Implements sections 4.3, 5.1, 5.2
and 5.4 of the amoCRM reference. Native bonus points are `bonus.py`, purchases `purchases.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from connector.amocrm.api import PAGE_ROWS, Api, in_write_batch
from connector.amocrm.reading import Row, embedded, ids_in_order, linked_ids, optional_whole, text, whole
from connector.errors import BadReply
from connector.protocols import Directory

SEGMENTS_DIRECTORY_NAME = "segments"
DEFAULT_SEGMENT_COLOR = "10599d"


@dataclass(frozen=True)
class Segment:
    id: int
    name: str


@dataclass(frozen=True)
class Customer:
    id: int
    name: str = field(repr=False)
    segment_ids: tuple[int, ...]
    contact_ids: tuple[int, ...]


@dataclass(frozen=True)
class CustomerDraft:
    """`request_id` is the caller's own mark within one request; amoCRM echoes it and forgets it. `next_at`: when the
    next purchase is expected, which the mode «periodicity» demands."""

    name: str = field(repr=False)
    segment_ids: tuple[int, ...]
    request_id: str
    next_at: datetime | None = None


@dataclass(frozen=True)
class CustomerChange:
    """None leaves as it is; `segment_ids` replaces the whole set."""

    customer_id: int
    segment_ids: tuple[int, ...] | None = None
    name: str | None = field(default=None, repr=False)
    next_at: datetime | None = None
    next_price_roubles: int | None = None


class CustomersApi(Api):
    def set_customers_mode(self, mode: Literal["segments", "periodicity"]) -> None:
        """Needs admin rights; AccountUnpaid when the tariff lacks customers."""
        self.request("PATCH", "/customers/mode", body={"mode": mode, "is_enabled": True})

    def segments(self) -> list[Segment]:
        rows = self.all_rows("/customers/segments", "segments")
        return [Segment(whole(row, "id"), text(row, "name")) for row in rows]

    def create_segment(self, name: str) -> int:
        """The new segment's id. This endpoint takes one object, not a list."""
        body = {"name": name, "color": DEFAULT_SEGMENT_COLOR}
        answer = self.request("POST", "/customers/segments", body=body)
        row: Row = next(iter(embedded(answer, "segments")), answer or {})
        segment_id = optional_whole(row, "id")
        if segment_id is None:
            raise BadReply("amoCRM: a created segment came back without an id", ambiguous=True)
        return segment_id

    def ensure_segments(self, directory: Directory, titles: Iterable[str]) -> dict[str, int]:
        """Segment ids by title; missing ones are created. Of several equal names the oldest counts."""
        wanted = list(dict.fromkeys(titles))
        cached = directory.get(SEGMENTS_DIRECTORY_NAME) or {}
        if all(isinstance(cached.get(title), int) for title in wanted):
            return {title: cached[title] for title in wanted}
        by_name: dict[str, int] = {}
        for segment in sorted(self.segments(), key=lambda one: one.id):
            by_name.setdefault(segment.name.strip().casefold(), segment.id)
        found: dict[str, int] = {}
        for title in wanted:
            known = by_name.get(title.strip().casefold())
            found[title] = self.create_segment(title) if known is None else known
        directory.put(SEGMENTS_DIRECTORY_NAME, found)
        return found

    def customers(self, ids: Sequence[int]) -> dict[int, Customer]:
        """Customers by id with segments and contacts, one request per READ_BATCH. An unknown one is absent."""
        customers = [_customer(row) for row in self.rows_by_ids("/customers", "customers", ids, linked="contacts")]
        return {customer.id: customer for customer in customers}

    def find_customers(self, query: str) -> list[Customer]:
        """Substring search over all filled fields: check the result yourself. First page only."""
        answer = self.request("GET", "/customers", query={"query": query, "with": "contacts", "limit": PAGE_ROWS})
        return [_customer(row) for row in embedded(answer, "customers")]

    def create_customers(self, drafts: Sequence[CustomerDraft]) -> list[int]:
        """Ids in the order of `drafts`. Not idempotent: after an ambiguous failure look before creating again."""
        in_write_batch(len(drafts))
        if not drafts:
            return []
        body = [
            {
                "name": draft.name,
                "request_id": draft.request_id,
                **({} if draft.next_at is None else {"next_date": int(draft.next_at.timestamp())}),
                **_with_segments(draft.segment_ids),
            }
            for draft in drafts
        ]
        answer = self.request("POST", "/customers", body=body)
        return ids_in_order(answer, [draft.request_id for draft in drafts], "customers", "leads")

    def update_customers(self, changes: Sequence[CustomerChange]) -> None:
        in_write_batch(len(changes))
        if changes:
            self.request("PATCH", "/customers", body=[_patch(change) for change in changes])

    def link_contacts_to_customers(self, contacts: Mapping[int, int]) -> None:
        """Contacts by their customers, at most WRITE_BATCH in one request. Repeating a link is harmless."""
        in_write_batch(len(contacts))
        body = [
            {"entity_id": customer_id, "to_entity_id": contact_id, "to_entity_type": "contacts"}
            for customer_id, contact_id in contacts.items()
        ]
        if body:
            self.request("POST", "/customers/link", body=body)


def _customer(row: Row) -> Customer:
    return Customer(
        id=whole(row, "id"),
        name=text(row, "name"),
        segment_ids=linked_ids(row, "segments"),
        contact_ids=linked_ids(row, "contacts"),
    )


def _patch(change: CustomerChange) -> dict[str, object]:
    row: dict[str, object] = {"id": change.customer_id}
    if change.name is not None:
        row["name"] = change.name
    if change.next_at is not None:
        row["next_date"] = int(change.next_at.timestamp())
    if change.next_price_roubles is not None:
        row["next_price"] = change.next_price_roubles
    if change.segment_ids is not None:
        row["_embedded"] = {"segments": [{"id": segment_id} for segment_id in change.segment_ids]}
    return row


def _with_segments(segment_ids: Sequence[int]) -> dict[str, object]:
    """Where segments are switched off, naming none must not name the key."""
    return {"_embedded": {"segments": [{"id": one} for one in segment_ids]}} if segment_ids else {}
