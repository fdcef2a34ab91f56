"""Lists («Списки») of amoCRM: which there are. Implements the amoCRM reference section 6.

What is in them is `elements`, the fields they have are `definitions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response

from simulator import catalog_seed
from simulator.answers import (
    Error,
    Json,
    body_list,
    body_object,
    bracket,
    error,
    hal,
    invalid,
    paged,
    refuse,
    request_ids,
    self_link,
)
from simulator.catalog_seed import INVOICES, PRODUCTS, TYPES
from simulator.store import Record
from simulator.world import Crm, the_crm

CHANGEABLE: Mapping[str, type] = {
    "name": str,
    "sort": int,
    "can_add_elements": bool,
    "can_show_in_cards": bool,
    "can_link_multiple": bool,
}

bp = Blueprint("catalogs", __name__, url_prefix="/api/v4/catalogs")
bp.before_request(lambda: guard(the_crm()))


def available(crm: Crm) -> bool:
    """Whether the account's tariff has lists."""
    row = crm.rows("account").get("lists")
    return bool(row["available"] if row else crm.settings.crm.lists)


def guard(crm: Crm) -> None:
    """Refuses every call with 402 where there are no lists."""
    if not available(crm):
        raise refuse(402, "Функционал списков недоступен на вашем тарифе")


def catalog(crm: Crm, catalog_id: int) -> Record:
    """Raises Refused with 404."""
    row = crm.rows("catalogs").get(catalog_id)
    if row is None:
        raise refuse(404, "Catalog not found")
    return row


def of_type(crm: Crm, kind: str) -> Record | None:
    """The oldest list of a type."""
    return next((row for row in crm.rows("catalogs").values() if row["type"] == kind), None)


def invoices_settings(crm: Crm) -> Json | None:
    """What `account?with=invoices_settings` says; nothing where there are no invoices."""
    row = of_type(crm, INVOICES) if available(crm) else None
    return {"lang": "ru", "invoices_catalog_id": row["id"]} if row else None


@bp.get("")
def listed() -> Response:
    types = bracket("filter[type]")
    rows = [row for row in the_crm().rows("catalogs").values() if not types or row["type"] in types]
    return paged("catalogs", rows, _shown)


@bp.get("/<int:catalog_id>")
def one(catalog_id: int) -> Response:
    return hal(_shown(catalog(the_crm(), catalog_id)))


@bp.post("")
def create() -> Response:
    crm = the_crm()
    items = body_list()
    ids = request_ids(items)
    _raise_errors({key: _errors(item, is_new=True) for key, item in zip(ids, items, strict=True)})
    rows = [catalog_seed.add(crm, item, crm.clock.now_s(), user_id=crm.actor()) for item in items]
    shown = [{**_shown(row), "request_id": key} for key, row in zip(ids, rows, strict=True)]
    return hal({"_links": self_link("catalogs"), "_embedded": {"catalogs": shown}})


@bp.patch("")
def change_many() -> Response:
    crm = the_crm()
    items = body_list()
    ids = request_ids(items)
    missing = error("FieldMissing", "id", "This field is missing.")
    known = crm.rows("catalogs")
    _raise_errors(
        {
            key: _errors(item, is_new=False) if item.get("id") in known else [missing]
            for key, item in zip(ids, items, strict=True)
        }
    )
    shown = [
        {**_shown(_change(crm, known[item["id"]], item)), "request_id": key}
        for key, item in zip(ids, items, strict=True)
    ]
    return hal({"_links": self_link("catalogs"), "_embedded": {"catalogs": shown}})


@bp.patch("/<int:catalog_id>")
def change_one(catalog_id: int) -> Response:
    crm = the_crm()
    item, row = body_object(), catalog(crm, catalog_id)
    _raise_errors({"0": _errors(item, is_new=False)})
    return hal(_shown(_change(crm, row, item)))


@bp.get("/products/settings")
def products_settings() -> Response:
    row = of_type(the_crm(), PRODUCTS)
    return hal({"is_enabled": row is not None, "catalog_id": row["id"] if row else None})


def _errors(item: Json, *, is_new: bool) -> list[Error]:
    found = []
    if is_new and "name" not in item:
        found.append(error("FieldMissing", "name", "This field is missing."))
    if is_new and item.get("type", TYPES[0]) not in TYPES:
        found.append(error("NotSupportedChoice", "type", "The value you selected is not a valid choice."))
    for key, kind in CHANGEABLE.items():
        if key in item and type(item[key]) is not kind:
            found.append(error("InvalidType", key, f"This value should be of type {_named(kind)}."))
        elif key == "name" and key in item and not item[key].strip():
            found.append(error("NotBlank", key, "This value should not be blank."))
    return found


def _named(kind: type[Any]) -> str:
    return "string" if kind is str else kind.__name__


def _raise_errors(errors: dict[str, list[Error]]) -> None:
    if any(errors.values()):
        raise invalid({key: found for key, found in errors.items() if found})


def _change(crm: Crm, row: Record, item: Json) -> Record:
    """The type of a list never changes."""
    row.update({key: item[key] for key in CHANGEABLE if key in item})
    crm.stamp("catalogs", row)
    return row


def _shown(row: Record) -> Json:
    return {**row, "_links": self_link(f"catalogs/{row['id']}")}
