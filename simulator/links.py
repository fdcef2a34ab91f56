"""Links between records: deals, contacts, companies, customers. Implements the amoCRM reference section 4.3."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from simulator.answers import Error, Json, body_list, empty, error, hal, invalid, refuse, self_link
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
        other = crm.rows(item["to_entity_type"])[item["to_entity_id"]]
        is_main = bool((item.get("metadata") or {}).get("is_main", False))
        connect(crm, kind, record, item["to_entity_type"], other, is_main=is_main)
    return _links(crm, kind, record)


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
    return _links(crm, kind, _record(crm, kind, record_id))


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
    if other_kind == "companies":
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
    kinds = allowed.get(kind, ("leads", "customers", "companies"))
    errors: dict[str, list[Error]] = {}
    for index, item in enumerate(items):
        if item.get("to_entity_type") not in kinds:
            wrong = error("NotSupportedChoice", "to_entity_type", "The value you selected is not a valid choice.")
            errors[str(index)] = [wrong]
        elif item.get("to_entity_id") not in crm.rows(item["to_entity_type"]):
            errors[str(index)] = [error("NotSupportedChoice", "to_entity_id", "Entity not found.")]
    if errors:
        raise invalid(errors)


def _links(crm: Crm, kind: str, record: Record) -> Response:
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
    rows = [
        {
            "entity_id": record["id"],
            "entity_type": kind,
            "to_entity_id": target_id,
            "to_entity_type": target,
            "metadata": metadata,
        }
        for target, target_id, metadata in targets
    ]
    path = f"{kind}/{record['id']}/links"
    return hal({"_total_items": len(rows), "_links": self_link(path), "_embedded": {"links": rows}})
