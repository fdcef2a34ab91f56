"""Definitions of custom fields over HTTP. Implements the amoCRM reference section 4.4 (definitions)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from simulator import catalogs, fields
from simulator.answers import (
    Error,
    Json,
    body_list,
    body_object,
    bracket,
    empty,
    error,
    hal,
    invalid,
    paged,
    refuse,
    request_ids,
    self_link,
)
from simulator.field_values import TYPES
from simulator.store import Record
from simulator.world import Crm, the_crm

ENTITIES = "any(leads,contacts,companies,customers)"
OF_SEGMENTS = {"entity": "customers/segments"}
CHANGEABLE = ("name", "code", "sort", "group_id", "is_api_only", "required_statuses", "remind")

bp = Blueprint("definitions", __name__, url_prefix="/api/v4")


@bp.url_value_preprocessor
def name_the_list(_endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Fields of a list belong to the entity «catalogs/5001»."""
    if values and "catalog_id" in values:
        values["entity"] = f"catalogs/{values.pop('catalog_id')}"


@bp.before_request
def guard() -> None:
    """The tariff, and whether there is such a list."""
    entity = (request.view_args or {}).get("entity", "")
    if entity.startswith("catalogs/"):
        catalogs.guard(the_crm())
        catalogs.catalog(the_crm(), int(entity.partition("/")[2]))


@bp.get(f"/<{ENTITIES}:entity>/custom_fields")
@bp.get("/catalogs/<int:catalog_id>/custom_fields")
@bp.get("/customers/segments/custom_fields", defaults=OF_SEGMENTS)
def listed(entity: str) -> Response:
    types = bracket("filter[type]")
    rows = [row for row in fields.of_entity(the_crm(), entity) if not types or row["type"] in types]
    return paged("custom_fields", rows, _shown, totals=True)


@bp.get(f"/<{ENTITIES}:entity>/custom_fields/<int:field_id>")
@bp.get("/catalogs/<int:catalog_id>/custom_fields/<int:field_id>")
@bp.get("/customers/segments/custom_fields/<int:field_id>", defaults=OF_SEGMENTS)
def one(entity: str, field_id: int) -> Response:
    row = the_crm().rows("fields").get(field_id)
    return empty() if row is None or row["entity_type"] != entity else hal(_shown(row))


@bp.post(f"/<{ENTITIES}:entity>/custom_fields")
@bp.post("/catalogs/<int:catalog_id>/custom_fields")
@bp.post("/customers/segments/custom_fields", defaults=OF_SEGMENTS)
def create(entity: str) -> Response:
    crm = the_crm()
    items = body_list()
    ids = request_ids(items)
    errors = {key: _errors(crm, entity, item, None) for key, item in zip(ids, items, strict=True)}
    if any(errors.values()):
        raise invalid({key: found for key, found in errors.items() if found})
    rows = [
        {**_shown(fields.define(crm, entity, item)), "request_id": key} for key, item in zip(ids, items, strict=True)
    ]
    path = f"{entity}/custom_fields"
    return hal({"_total_items": len(rows), "_links": self_link(path), "_embedded": {"custom_fields": rows}})


@bp.patch(f"/<{ENTITIES}:entity>/custom_fields/<int:field_id>")
@bp.patch("/catalogs/<int:catalog_id>/custom_fields/<int:field_id>")
@bp.patch("/customers/segments/custom_fields/<int:field_id>", defaults=OF_SEGMENTS)
def change(entity: str, field_id: int) -> Response:
    crm = the_crm()
    row = _row(crm, entity, field_id)
    asked = body_object()
    found = _errors(crm, entity, asked, row)
    if found:
        raise invalid({"0": found})
    row.update({key: asked[key] for key in CHANGEABLE if key in asked})
    crm.store.touch("fields", field_id)
    return hal(_shown(row))


@bp.delete(f"/<{ENTITIES}:entity>/custom_fields/<int:field_id>")
@bp.delete("/catalogs/<int:catalog_id>/custom_fields/<int:field_id>")
@bp.delete("/customers/segments/custom_fields/<int:field_id>", defaults=OF_SEGMENTS)
def delete(entity: str, field_id: int) -> Response:
    crm = the_crm()
    row = _row(crm, entity, field_id)
    if row["is_predefined"]:
        raise refuse(403, "Field can not be deleted")
    crm.store.remove("fields", field_id)
    return empty()


def _errors(crm: Crm, entity: str, item: Json, record: Record | None) -> list[Error]:
    found = []
    if record is None:
        found += [error("FieldMissing", key, "This field is missing.") for key in ("name", "type") if key not in item]
    if "name" in item and not (isinstance(item["name"], str) and item["name"].strip()):
        found.append(error("NotBlank", "name", "This value should not be blank."))
    if "type" in item and item["type"] not in TYPES:
        found.append(error("NotSupportedChoice", "type", "The value you selected is not a valid choice."))
    code = item.get("code")
    for row in fields.of_entity(crm, entity) if code else []:
        if row["code"] == code and row is not record:
            found.append(error("NotUnique", "code", "This value is already used."))
    return found


def _row(crm: Crm, entity: str, field_id: int) -> Record:
    row = crm.rows("fields").get(field_id)
    if row is None or row["entity_type"] != entity:
        raise refuse(404, "Field not found")
    return row


def _shown(row: Record) -> Json:
    entity, _slash, part = row["entity_type"].partition("/")
    of_list = entity == "catalogs"
    own: Json = {**row, "entity_type": entity if of_list else part or entity}
    if of_list:
        own["catalog_id"] = int(part)
    return {**own, "_links": self_link(f"{row['entity_type']}/custom_fields/{row['id']}")}
