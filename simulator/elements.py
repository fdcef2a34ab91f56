"""What is in a list of amoCRM, invoices above all: read, create, change. Implements the amoCRM reference section 6.

A changed element is announced to the hooks that want lists. The API deletes nothing; people do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from flask import Blueprint, Response, request

from simulator import catalog_seed, catalogs, fields, hooks
from simulator.answers import (
    Error,
    Json,
    body_list,
    body_object,
    bracket_ids,
    empty,
    error,
    hal,
    invalid,
    paged,
    refuse,
    request_ids,
    self_link,
)
from simulator.catalog_seed import INVOICES, entity_of
from simulator.hookbody import ELEMENTS
from simulator.hooks import USUAL, Spread
from simulator.store import Record
from simulator.world import Crm, the_crm

bp = Blueprint("elements", __name__, url_prefix="/api/v4/catalogs/<int:catalog_id>/elements")
bp.before_request(lambda: catalogs.guard(the_crm()))


def add(crm: Crm, catalog: Record, item: Json) -> Record:
    """A new element from a checked request."""
    values = _values(crm, catalog, item)
    cf = {field_id: value for field_id, value in values.items() if value is not None}
    return catalog_seed.put(crm, catalog["id"], item["name"], cf, crm.clock.now_s(), user_id=crm.actor())


def change(crm: Crm, element: Record, item: Json) -> None:
    """A checked change. A field that is written replaces all its values."""
    element["name"] = item.get("name", element["name"])
    for field_id, value in _values(crm, crm.rows("catalogs")[element["catalog_id"]], item).items():
        if value is None:
            element["cf"].pop(field_id, None)
        else:
            element["cf"][field_id] = value
    crm.stamp(ELEMENTS, element)


def announce(crm: Crm, action: str, elements: list[Record], spread: Spread = USUAL) -> None:
    hooks.announce(crm, ELEMENTS, action, elements, spread=spread)


def errors_of(crm: Crm, catalog: Record, item: Json, record: Record | None) -> list[Error]:
    """What is wrong with a write; an invoice begins with a status."""
    found: list[Error] = []
    if record is None and "name" not in item:
        found.append(error("FieldMissing", "name", "This field is missing."))
    if "name" in item and not isinstance(item["name"], str):
        found.append(error("InvalidType", "name", "This value should be of type string."))
    elif "name" in item and not item["name"].strip():
        found.append(error("NotBlank", "name", "This value should not be blank."))
    values, wrong = fields.check(crm, entity_of(catalog["id"]), item.get("custom_fields_values"))
    found += wrong
    if catalog["type"] == INVOICES and not wrong:
        status = str(fields.by_code(crm, entity_of(catalog["id"]), "BILL_STATUS")["id"])
        if values.get(status) is None and (record is None or status in values):
            found.append(error("FieldMissing", "custom_fields_values", "BILL_STATUS: This field is missing."))
    return found


def linked(crm: Crm, element: Record, lead: Record) -> None:
    """An invoice remembers the deal it was last linked to, and says so."""
    catalog = crm.rows("catalogs")[element["catalog_id"]]
    if catalog["type"] != INVOICES:
        return
    address = f"https://{crm.settings.crm.subdomain}.amocrm.ru/leads/detail/{lead['id']}"
    change(crm, element, {"custom_fields_values": [{"field_code": "LINK_TO_LEAD", "values": [{"value": address}]}]})
    announce(crm, "update", [element])


@bp.get("")
def listed(catalog_id: int) -> Response:
    crm = the_crm()
    catalogs.catalog(crm, catalog_id)
    wanted, query = bracket_ids("filter[id]") | bracket_ids("id"), request.args.get("query", "").casefold()
    rows = [
        row
        for row in crm.rows(ELEMENTS).values()
        if row["catalog_id"] == catalog_id and (not wanted or row["id"] in wanted) and _mentions(row, query)
    ]
    return paged("elements", rows, _renderer(crm))


@bp.get("/<int:element_id>")
def one(catalog_id: int, element_id: int) -> Response:
    crm = the_crm()
    catalogs.catalog(crm, catalog_id)
    row = crm.rows(ELEMENTS).get(element_id)
    return empty() if row is None or row["catalog_id"] != catalog_id else hal(_renderer(crm)(row))


@bp.post("")
def create(catalog_id: int) -> Response:
    crm = the_crm()
    catalog = catalogs.catalog(crm, catalog_id)
    if not catalog["can_add_elements"]:
        raise refuse(403, "Elements can not be added to this catalog")
    items = body_list()
    ids = request_ids(items)
    _raise_errors({key: errors_of(crm, catalog, item, None) for key, item in zip(ids, items, strict=True)})
    rows = [add(crm, catalog, item) for item in items]
    announce(crm, "add", rows)
    return _written(crm, catalog_id, rows, ids)


@bp.patch("")
def change_many(catalog_id: int) -> Response:
    crm = the_crm()
    catalog = catalogs.catalog(crm, catalog_id)
    items = body_list()
    ids = request_ids(items)
    mine = {key: row for key, row in crm.rows(ELEMENTS).items() if row["catalog_id"] == catalog_id}
    errors: dict[str, list[Error]] = {}
    for key, item in zip(ids, items, strict=True):
        row = mine.get(item.get("id"))
        missing = [error("FieldMissing", "id", "This field is missing.")]
        errors[key] = missing if row is None else errors_of(crm, catalog, item, row)
    _raise_errors(errors)
    for item in items:
        change(crm, mine[item["id"]], item)
    rows = [mine[item["id"]] for item in items]
    announce(crm, "update", rows)
    return _written(crm, catalog_id, rows, ids)


@bp.patch("/<int:element_id>")
def change_one(catalog_id: int, element_id: int) -> Response:
    crm = the_crm()
    catalog, item = catalogs.catalog(crm, catalog_id), body_object()
    row = crm.rows(ELEMENTS).get(element_id)
    if row is None or row["catalog_id"] != catalog_id:
        raise refuse(404, "Element not found")
    _raise_errors({"0": errors_of(crm, catalog, item, row)})
    change(crm, row, item)
    announce(crm, "update", [row])
    return hal(_renderer(crm)(row))


def _values(crm: Crm, catalog: Record, item: Json) -> dict[str, list[Record] | None]:
    values, _wrong = fields.check(crm, entity_of(catalog["id"]), item.get("custom_fields_values"))
    return values


def _raise_errors(errors: dict[str, list[Error]]) -> None:
    if any(errors.values()):
        raise invalid({key: found for key, found in errors.items() if found})


def _written(crm: Crm, catalog_id: int, rows: list[Record], ids: list[str]) -> Response:
    render = _renderer(crm)
    shown = [{**render(row), "request_id": key} for key, row in zip(ids, rows, strict=True)]
    return hal({"_links": self_link(f"catalogs/{catalog_id}/elements"), "_embedded": {"elements": shown}})


def _renderer(crm: Crm) -> Callable[[Record], Json]:
    """Renders an element; `with=invoice_link` adds the address of its printed form."""
    with_link = "invoice_link" in request.args.get("with", "").split(",")

    def render(row: Record) -> Json:
        shown = {key: value for key, value in row.items() if key != "cf"}
        shown |= {
            "currency_id": None,
            "custom_fields_values": fields.shown(crm, row),
            "account_id": crm.settings.crm.account_id,
            "_links": self_link(f"catalogs/{row['catalog_id']}/elements/{row['id']}"),
            "_embedded": {"warning": None},
        }
        if with_link:
            shown["invoice_link"] = _invoice_link(crm, row)
        return shown

    return render


def _invoice_link(crm: Crm, row: Record) -> str | None:
    if crm.rows("catalogs")[row["catalog_id"]]["type"] != INVOICES:
        return None
    name = hashlib.sha256(f"{crm.settings.seed}:{row['id']}".encode()).hexdigest()[:32]
    return f"https://{crm.settings.crm.subdomain}.amocrm.ru/invoices/{name}"


def _mentions(row: Record, query: str) -> bool:
    if not query or query in row["name"].casefold():
        return True
    return any(query in str(value["value"]).casefold() for values in row["cf"].values() for value in values)
