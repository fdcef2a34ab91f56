"""Deals (amoCRM's leads) and pipelines: reading them and writing our fields back.

Owns their wire format. Of a deal only custom fields are written, as differences, and its stage if the owner asked for
it: price and name belong to the shop. Implements sections 4.1 and 4.8 of the amoCRM reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from connector.amocrm.api import Api, in_write_batch
from connector.amocrm.reading import Row, embedded, field_values, instant, linked_ids, optional_whole, text, whole
from connector.amocrm.values import FieldValue, changed_values, patch_row
from connector.errors import BadMoney
from connector.money import kopecks_from_roubles

WON_STATUS_ID = 142
LOST_STATUS_ID = 143

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Pipeline:
    """A funnel; `statuses` are (id, name) in the order of the funnel."""

    id: int
    name: str
    statuses: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Deal:
    """`price_kopecks` is 0 when the CRM gives no readable price: no price earns nothing.

    `contact_ids` are all that are linked, the main one among them. `field_values` as those of a Contact.
    """

    id: int
    name: str
    pipeline_id: int
    status_id: int
    price_kopecks: int
    main_contact_id: int | None
    is_deleted: bool
    updated_at: datetime | None
    contact_ids: tuple[int, ...] = ()
    field_values: Mapping[int, object] = field(default_factory=dict, repr=False)
    closed_at: datetime | None = None


@dataclass(frozen=True)
class DealChange:
    """Fields to write; None clears one. Fields that are not named stay as they are. `stage`: the funnel
    and the stage to put the deal into."""

    deal_id: int
    values: Mapping[int, FieldValue] = field(repr=False)
    stage: tuple[int, int] | None = None


def deal_diff(deal: Deal, wanted: Mapping[int, FieldValue]) -> DealChange | None:
    """The smallest change that makes the deal's fields equal to `wanted`; None when they are equal already."""
    values = changed_values(wanted, deal.field_values)
    return DealChange(deal.id, values) if values else None


class LeadsApi(Api):
    def pipelines(self) -> list[Pipeline]:
        rows = embedded(self.request("GET", "/leads/pipelines"), "pipelines")
        return [_pipeline(row) for row in rows]

    def deals(self, ids: Sequence[int]) -> dict[int, Deal]:
        """Deals by id, one request per READ_BATCH of them. A deal that the CRM does not return is absent."""
        deals = [_deal(row) for row in self.rows_by_ids("/leads", "leads", ids, linked="contacts")]
        return {deal.id: deal for deal in deals}

    def update_deals(self, changes: Sequence[DealChange]) -> None:
        """One PATCH of at most WRITE_BATCH deals with nothing but what changes. It fires hooks back at us."""
        in_write_batch(len(changes))
        rows = [_patch(change) for change in changes if change.values or change.stage]
        if rows:
            self.request("PATCH", "/leads", body=rows)


def _patch(change: DealChange) -> dict[str, object]:
    row: dict[str, object] = {"id": change.deal_id}
    if change.values:
        row = patch_row(change.deal_id, change.values)
    if change.stage is not None:
        row["pipeline_id"], row["status_id"] = change.stage
    return row


def _pipeline(row: Row) -> Pipeline:
    in_order = sorted(embedded(row, "statuses"), key=lambda status: optional_whole(status, "sort") or 0)
    statuses = tuple((whole(status, "id"), text(status, "name")) for status in in_order)
    return Pipeline(id=whole(row, "id"), name=text(row, "name"), statuses=statuses)


def _deal(row: Row) -> Deal:
    return Deal(
        id=whole(row, "id"),
        name=text(row, "name"),
        pipeline_id=whole(row, "pipeline_id"),
        status_id=whole(row, "status_id"),
        price_kopecks=_price_kopecks(row),
        main_contact_id=_main_contact_id(row),
        is_deleted=row.get("is_deleted") is True,
        updated_at=instant(row, "updated_at"),
        contact_ids=linked_ids(row, "contacts"),
        field_values=field_values(row),
        closed_at=instant(row, "closed_at"),
    )


def _price_kopecks(row: Row) -> int:
    price = row.get("price_with_minor_units")
    price = row.get("price") if price is None else price
    if price is None:
        return 0
    try:
        return kopecks_from_roubles(price)
    except BadMoney:
        # One odd deal must not make the whole batch unreadable.
        _log.warning("deal_price_unreadable", deal_id=optional_whole(row, "id"))
        return 0


def _main_contact_id(row: Row) -> int | None:
    main = [contact for contact in embedded(row, "contacts") if contact.get("is_main") is True]
    if main:
        return optional_whole(main[0], "id")
    return next(iter(linked_ids(row, "contacts")), None)
