"""Links between records: deals, contacts, companies, customers, elements of lists.

Implements the amoCRM reference section 4.3, its mass calls for reading included.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from simulator import elements
from simulator.answers import (
    Error,
    Json,
    body_list,
    bracket,
    bracket_ids,
    empty,
    error,
    hal,
    invalid,
    refuse,
    self_link,
)
from simulator.hookbody import ELEMENTS
from simulator.store import Record
from simulator.world import Crm, the_crm

KINDS = "any(leads,contacts,companies,customers)"
REVERSE = {"leads": "leads", "customers": "customers"}

bp = Blueprint("links", __name__, url_prefix="/api/v4")


@bp.post(f"/<{KINDS}:kind>/<int:record_id>/link")
def link(kind: str, record_id: int) -> Response:
    crm = the_crm()
    record = _record(crm, kind, record_id)
    items = body_list()
    _check(crm, kind, items)
    for item in items:
        _join(crm, kind, record, item)
    return _links(crm, kind, [record], f"{kind}/{record_id}/links")


@bp.post(f"/<{KINDS}:kind>/link")
def link_many(kind: str) -> Response:
    """The mass call: every item names its own `entity_id`. All are linked or none."""
    crm = the_crm()
    items = body_list()
    records = [_record(crm, kind, int(item.get("entity_id") or 0)) for item in items]
    _check(crm, kind, items)
    for record, item in zip(records, items, strict=True):
        _join(crm, kind, record, item)
    return _links(crm, kind, records, f"{kind}/links")


@bp.post(f"/<{KINDS}:kind>/<int:record_id>/unlink")
def unlink(kind: str, record_id: int) -> Response:
    crm = the_crm()
    record = _record(crm, kind, record_id)
    items = body_list()
    _check(crm, kind, items)
    for item in items:
        other_kind, other = item["to_entity_type"], crm.rows(item["to_entity_type"])[item["to_entity_id"]]
        disconnect(crm, kind, record, other_kind, other)
    return empty()


@bp.get(f"/<{KINDS}:kind>/<int:record_id>/links")
def links(kind: str, record_id: int) -> Response:
    crm = the_crm()
    return _links(crm, kind, [_record(crm, kind, record_id)], f"{kind}/{record_id}/links")


@bp.get(f"/<{KINDS}:kind>/links")
def links_of_many(kind: str) -> Response:
    """Of the records that filter[entity_id] names."""
    crm = the_crm()
    rows = crm.rows(kind)
    records = [rows[key] for key in sorted(bracket_ids("filter[entity_id]")) if key in rows]
    return _links(crm, kind, records, f"{kind}/links")


def _join(crm: Crm, kind: str, record: Record, item: Json) -> None:
    other = crm.rows(item["to_entity_type"])[item["to_entity_id"]]
    if item["to_entity_type"] == ELEMENTS:
        connect_element(crm, kind, record, other, item["metadata"])
        return
    is_main = bool((item.get("metadata") or {}).get("is_main", False))
    connect(crm, kind, record, item["to_entity_type"], other, is_main=is_main)


def connect_element(crm: Crm, kind: str, record: Record, element: Record, metadata: Json) -> None:
    """Puts an element of a list on a record; linked again, only its quantity changes."""
    row = {
        "id": element["id"],
        "catalog_id": element["catalog_id"],
        "quantity": metadata.get("quantity", 1),
        "price_id": metadata.get("price_id"),
    }
    record["elements"] = [old for old in record.get("elements", ()) if old["id"] != element["id"]] + [row]
    crm.store.touch(kind, record["id"])
    if kind == "leads":
        elements.linked(crm, element, record)


def elements_of(record: Record) -> list[Json]:
    """`_embedded.catalog_elements` of a record."""
    return [
        {"id": row["id"], "metadata": {key: row[key] for key in ("quantity", "catalog_id", "price_id")}}
        for row in record.get("elements", ())
    ]


def embed(crm: Crm, kind: str, record: Record, embedded: Json) -> None:
    """Links that a write brings along: contacts and companies of a deal or customer."""
    if kind in REVERSE:
        for item in embedded.get("contacts") or []:
            other = crm.rows("contacts")[item["id"]]
            connect(crm, kind, record, "contacts", other, is_main=bool(item.get("is_main", False)))
    for item in embedded.get("companies") or []:
        record["company_id"] = item["id"]


def embed_errors(crm: Crm, embedded: Any) -> list[Error]:
    """What is wrong with the contacts and companies of a write."""
    if not isinstance(embedded or {}, dict):
        return [error("InvalidType", "_embedded", "This value should be of type object.")]
    found = []
    for kind in ("contacts", "companies"):
        for index, item in enumerate((embedded or {}).get(kind) or []):
            if not isinstance(item, dict) or item.get("id") not in crm.rows(kind):
                path = f"_embedded.{kind}.{index}.id"
                found.append(error("NotSupportedChoice", path, "Entity with this id not found."))
    return found


def connect(crm: Crm, kind: str, record: Record, other_kind: str, other: Record, *, is_main: bool = False) -> None:
    """Links two records; a repeated link changes nothing but who is the main contact."""
    if kind == "contacts" and other_kind in REVERSE:
        kind, record, other_kind, other = other_kind, other, kind, record
    if other_kind == "companies":
        record["company_id"] = other["id"]
    elif kind in REVERSE:
        others = [row for row in record["contacts"] if row["id"] != other["id"]]
        is_main = is_main or not others
        for row in others:
            row["is_main"] = row["is_main"] and not is_main
        record["contacts"] = [*others, {"id": other["id"], "is_main": is_main}]
        if record["id"] not in other[kind]:
            other[kind].append(record["id"])
        crm.store.touch(other_kind, other["id"])
    crm.store.touch(kind, record["id"])


def disconnect(crm: Crm, kind: str, record: Record, other_kind: str, other: Record) -> None:
    if kind == "contacts" and other_kind in REVERSE:
        kind, record, other_kind, other = other_kind, other, kind, record
    if other_kind == ELEMENTS:
        record["elements"] = [row for row in record.get("elements", ()) if row["id"] != other["id"]]
    elif other_kind == "companies":
        record["company_id"] = None
    elif kind in REVERSE:
        record["contacts"] = [row for row in record["contacts"] if row["id"] != other["id"]]
        if record["contacts"] and not any(row["is_main"] for row in record["contacts"]):
            record["contacts"][0]["is_main"] = True
        other[kind] = [row for row in other[kind] if row != record["id"]]
        crm.store.touch(other_kind, other["id"])
    crm.store.touch(kind, record["id"])


def _record(crm: Crm, kind: str, record_id: int) -> Record:
    record = crm.rows(kind).get(record_id)
    if record is None:
        raise refuse(404, "Entity not found")
    return record


def _check(crm: Crm, kind: str, items: list[Json]) -> None:
    allowed = {"leads": ("contacts", "companies"), "customers": ("contacts", "companies")}
    kinds = (*allowed.get(kind, ("leads", "customers", "companies")), ELEMENTS)
    errors = {str(index): found for index, item in enumerate(items) if (found := _errors(crm, kinds, item))}
    if errors:
        raise invalid(errors)


def _errors(crm: Crm, kinds: tuple[str, ...], item: Json) -> list[Error]:
    if item.get("to_entity_type") not in kinds:
        return [error("NotSupportedChoice", "to_entity_type", "The value you selected is not a valid choice.")]
    if item.get("to_entity_id") not in crm.rows(item["to_entity_type"]):
        return [error("NotSupportedChoice", "to_entity_id", "Entity not found.")]
    wrong = _element_error(crm, item) if item["to_entity_type"] == ELEMENTS else None
    return [] if wrong is None else [wrong]


def _element_error(crm: Crm, item: Json) -> Error | None:
    """`metadata` must name the element's list; a quantity is a number."""
    metadata = item.get("metadata")
    if not isinstance(metadata, dict) or "catalog_id" not in metadata:
        return error("FieldMissing", "metadata.catalog_id", "This field is missing.")
    if metadata["catalog_id"] != crm.rows(ELEMENTS)[item["to_entity_id"]]["catalog_id"]:
        return error("NotSupportedChoice", "metadata.catalog_id", "The value you selected is not a valid choice.")
    quantity = metadata.get("quantity", 1)
    if isinstance(quantity, bool) or not isinstance(quantity, int | float) or quantity < 0:
        return error("InvalidType", "metadata.quantity", "This value should be of type numeric.")
    return None


def _targets(crm: Crm, kind: str, record: Record) -> list[tuple[str, int, Json | None]]:
    """(kind, id, metadata) of everything that a record is linked to."""
    targets: list[tuple[str, int, Json | None]] = []
    if kind in REVERSE:
        targets += [("contacts", row["id"], {"main_contact": row["is_main"]}) for row in record["contacts"]]
    if kind == "contacts":
        for other in REVERSE:
            for other_id in record[other]:
                mine = next(row for row in crm.rows(other)[other_id]["contacts"] if row["id"] == record["id"])
                targets.append((other, other_id, {"main_contact": mine["is_main"]}))
    if record.get("company_id"):
        targets.append(("companies", record["company_id"], None))
    return targets + [(ELEMENTS, row["id"], row["metadata"]) for row in elements_of(record)]


def _links(crm: Crm, kind: str, records: list[Record], path: str) -> Response:
    """With the filters to_entity_type, to_entity_id and to_catalog_id."""
    kinds, ids = bracket("filter[to_entity_type]"), bracket_ids("filter[to_entity_id]")
    lists = bracket_ids("filter[to_catalog_id]")
    rows = [
        {
            "entity_id": record["id"],
            "entity_type": kind,
            "to_entity_id": target_id,
            "to_entity_type": target,
            "metadata": metadata,
        }
        for record in records
        for target, target_id, metadata in _targets(crm, kind, record)
        if (not kinds or target in kinds)
        and (not ids or target_id in ids)
        and (not lists or (target == ELEMENTS and metadata and metadata["catalog_id"] in lists))
    ]
    return hal({"_total_items": len(rows), "_links": self_link(path), "_embedded": {"links": rows}})
