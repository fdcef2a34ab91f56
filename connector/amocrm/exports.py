"""Everything of one kind that the account holds, page by page: for whoever takes over a shop that has run for years.

Owns the way through a list that others change meanwhile. Pages are numbered by nobody: each begins at the second in
which the last row before it was made, so a row that leaves the list moves no other one out of sight, and a row made
meanwhile comes last. Of a page's last second nothing is handed over, it is whole in the next page; a second with more
rows than a page is read through by numbers. Reads only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from connector.amocrm.api import PAGE_ROWS, Api
from connector.amocrm.contacts import Contact, read_contact
from connector.amocrm.reading import QueryValue, Row, embedded, instant, linked_ids, optional_whole, whole
from connector.errors import BadMoney, BadReply
from connector.money import kopecks_from_roubles

BURST_PAGES_MAX = 10_000

One = TypeVar("One")


@dataclass(frozen=True)
class Place:
    """Where the next page begins: a second, and the page within it if that second fills more than one."""

    second: int = 0
    page: int = 0


@dataclass(frozen=True)
class Page(Generic[One]):
    """`next` is None after the last page. `last_id`: of the rows handed over, to guess how far we are."""

    rows: tuple[One, ...]
    next: Place | None
    last_id: int | None


@dataclass(frozen=True)
class SoldDeal:
    """A deal as history needs it. `price_kopecks` is None where the CRM's price cannot be read; `sold_at`: when it was
    closed, or changed last if it is not closed yet; `made_at` and `is_closed` say how much that is worth."""

    id: int
    pipeline_id: int
    status_id: int
    price_kopecks: int | None
    contact_id: int | None
    is_deleted: bool
    sold_at: datetime
    made_at: datetime
    is_closed: bool


@dataclass(frozen=True)
class KnownCustomer:
    """A customer and his main contact."""

    id: int
    contact_id: int | None


@dataclass(frozen=True)
class Span:
    """The ids between which a list's rows lie; None: it is empty."""

    first_id: int
    last_id: int


@dataclass(frozen=True)
class _List:
    """One list of the API: where it is and which of its rows are wanted."""

    path: str
    name: str
    linked: str
    filters: Mapping[str, QueryValue] = field(default_factory=dict)


class ExportsApi(Api):
    def sold_deals(self, stages: Collection[tuple[int, int]], place: Place) -> Page[SoldDeal]:
        """Deals that stand in one of these (pipeline, stage) pairs, in the order in which they were made."""
        page = self._page(_deals(stages), place)
        return Page(tuple(_sold(row) for row in page.rows), page.next, page.last_id)

    def sold_span(self, stages: Collection[tuple[int, int]]) -> Span | None:
        """Two requests: the oldest of those deals and the newest."""
        return self._span(_deals(stages))

    def all_customers(self, place: Place) -> Page[KnownCustomer]:
        """AccountUnpaid or WrongMode where the account has none."""
        page = self._page(_CUSTOMERS, place)
        return Page(tuple(_customer(row) for row in page.rows), page.next, page.last_id)

    def customers_span(self) -> Span | None:
        return self._span(_CUSTOMERS)

    def all_contacts(self, place: Place) -> Page[Contact]:
        """Every contact of the account."""
        page = self._page(_CONTACTS, place)
        return Page(tuple(read_contact(row) for row in page.rows), page.next, page.last_id)

    def contacts_span(self) -> Span | None:
        return self._span(_CONTACTS)

    def _page(self, of: _List, place: Place) -> Page[Row]:
        if place.page:
            return self._within_second(of, place)
        rows, is_more = self._read(of, {"from": place.second}, {"created_at": "asc"}, 1)
        seconds = [whole(row, "created_at") for row in rows]
        if seconds != sorted(seconds) or any(second < place.second for second in seconds):
            raise BadReply(f"amoCRM: {of.path} is not filtered and ordered as asked: is the API's filter switched off?")
        if not is_more:
            return Page(tuple(rows), None, _last_id(rows))
        last = seconds[-1]
        if last == seconds[0]:
            return Page((), Place(last, 1), None)
        whole_seconds = tuple(row for row, second in zip(rows, seconds, strict=True) if second < last)
        return Page(whole_seconds, Place(last), _last_id(whole_seconds))

    def _within_second(self, of: _List, place: Place) -> Page[Row]:
        only = {"from": place.second, "to": place.second}
        rows, is_more = self._read(of, only, {"id": "asc"}, place.page)
        if is_more and place.page >= BURST_PAGES_MAX:
            raise BadReply(f"amoCRM: {of.path} has more than {BURST_PAGES_MAX} pages of one second")
        following = Place(place.second, place.page + 1) if is_more else Place(place.second + 1)
        return Page(tuple(rows), following, _last_id(rows))

    def _read(
        self, of: _List, made: Mapping[str, QueryValue], order: Mapping[str, QueryValue], page: int
    ) -> tuple[list[Row], bool]:
        answer = self.request(
            "GET",
            of.path,
            query={
                "filter": {**of.filters, "created_at": made},
                "order": order,
                "with": of.linked,
                "page": page,
                "limit": PAGE_ROWS,
            },
        )
        rows = embedded(answer, of.name)
        links = (answer or {}).get("_links")
        return rows, bool(rows) and isinstance(links, dict) and bool(links.get("next"))

    def _span(self, of: _List) -> Span | None:
        ends = []
        for direction in ("asc", "desc"):
            query: dict[str, QueryValue] = {"order": {"id": direction}, "limit": 1}
            if of.filters:
                query["filter"] = of.filters
            ends += [whole(row, "id") for row in embedded(self.request("GET", of.path, query=query), of.name)[:1]]
        return Span(min(ends), max(ends)) if ends else None


_CUSTOMERS = _List("/customers", "customers", "contacts")
_CONTACTS = _List("/contacts", "contacts", "customers")


def _deals(stages: Collection[tuple[int, int]]) -> _List:
    pairs: list[QueryValue] = [{"pipeline_id": one, "status_id": other} for one, other in sorted(stages)]
    return _List("/leads", "leads", "contacts", {"statuses": pairs})


def _sold(row: Row) -> SoldDeal:
    told = (instant(row, name) for name in ("closed_at", "updated_at", "created_at") if row.get(name))
    sold_at = next((at for at in told if at is not None), None)
    if sold_at is None:
        raise BadReply("amoCRM: a deal came without any date")
    return SoldDeal(
        id=whole(row, "id"),
        pipeline_id=whole(row, "pipeline_id"),
        status_id=whole(row, "status_id"),
        price_kopecks=_price_kopecks(row),
        contact_id=_main_contact(row),
        is_deleted=row.get("is_deleted") is True,
        sold_at=sold_at,
        made_at=instant(row, "created_at") or sold_at,
        is_closed=bool(row.get("closed_at")),
    )


def _customer(row: Row) -> KnownCustomer:
    return KnownCustomer(whole(row, "id"), _main_contact(row))


def _price_kopecks(row: Row) -> int | None:
    price = row.get("price_with_minor_units")
    price = row.get("price") if price is None else price
    try:
        return 0 if price is None else kopecks_from_roubles(price)
    except BadMoney:
        return None


def _main_contact(row: Row) -> int | None:
    main = (optional_whole(one, "id") for one in embedded(row, "contacts") if one.get("is_main") is True)
    return next(main, None) or next(iter(linked_ids(row, "contacts")), None)


def _last_id(rows: Collection[Row]) -> int | None:
    return max((whole(row, "id") for row in rows), default=None)
