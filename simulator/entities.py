"""What leads, contacts, companies and customers have in common: list, read, create, change.

Implements the amoCRM reference sections 2.2 to 2.5: arrays for bulk writes, objects for writes by id, a refused batch
is refused whole. Each kind brings its own checks, changes and rendering.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice

from flask import Blueprint, Response, request

from simulator import fields, hooks, links, listing, tags
from simulator.answers import (
    Error,
    Json,
    body_list,
    body_object,
    bracket,
    bracket_ids,
    empty,
    error,
    hal,
    invalid,
    page_window,
    paged,
    refuse,
    request_ids,
    self_link,
)
from simulator.store import Record
from simulator.world import Crm, blank, the_crm

COMMON: Mapping[str, tuple[type, ...]] = {
    "name": (str,),
    "responsible_user_id": (int,),
    "created_by": (int,),
    "updated_by": (int,),
    "created_at": (int,),
    "updated_at": (int,),
}
FOREVER = 1 << 40
TYPE_NAMES = {int: "int", float: "numeric", str: "string", type(None): "null"}


@dataclass(frozen=True)
class Kind:
    """One entity of the API. `check(crm, item, record or None)` lists what is wrong; `apply` changes a record;
    `start` gives the own keys of a new one; `show` renders the own keys for `with`; `keep` reads own filters."""

    name: str
    scalars: Mapping[str, tuple[type, ...]]
    start: Callable[[Crm], Record]
    check: Callable[[Crm, Json, Record | None], list[Error]]
    apply: Callable[[Crm, Record, Json], None]
    show: Callable[[Crm, Record, set[str]], Json]
    keep: Callable[[], Callable[[Record], bool]]
    guard: Callable[[Crm], None]


def routes(kind: Kind) -> Blueprint:
    """The endpoints of a kind."""
    bp = Blueprint(kind.name, __name__, url_prefix=f"/api/v4/{kind.name}")
    bp.before_request(lambda: kind.guard(the_crm()))
    bp.add_url_rule("", "listed", partial(_listed, kind), methods=["GET"])
    bp.add_url_rule("", "create", partial(_create, kind), methods=["POST"])
    bp.add_url_rule("", "change", partial(_change_many, kind), methods=["PATCH"])
    bp.add_url_rule("/<int:record_id>", "one", partial(_one, kind), methods=["GET"])
    bp.add_url_rule("/<int:record_id>", "change_one", partial(_change_one, kind), methods=["PATCH"])
    return bp


def change(crm: Crm, kind: Kind, changes: list[tuple[Record, Json]], spread: hooks.Spread = hooks.USUAL) -> None:
    """Applies checked changes and announces them, a stage change as `update` and as `status`."""
    was = {record["id"]: dict(record) for record, _item in changes}
    for record, item in changes:
        _apply(crm, kind, record, item)
    records = [record for record, _item in changes]
    hooks.announce(crm, kind.name, "update", records, spread=spread)
    for action, key in (("status", "status_id"), ("responsible", "responsible_user_id")):
        moved = [record for record in records if record.get(key) != was[record["id"]].get(key)]
        if action == "status" and kind.name != "leads":
            continue
        hooks.announce(crm, kind.name, action, moved, was=was, spread=spread)


def _listed(kind: Kind) -> Response:
    crm = the_crm()
    rows = crm.rows(kind.name)
    wanted = bracket_ids("filter[id]")
    including, before = _including(), 0
    if wanted:
        found = _ordered(list(filter(_filter(kind), (rows[key] for key in sorted(wanted) if key in rows))))
    else:
        found, before = _walked(crm, kind)
    return paged(kind.name, found, lambda row: _shown(crm, kind, row, including), before=before)


def _walked(crm: Crm, kind: Kind) -> tuple[list[Record], int]:
    """As many rows of the whole table as the page asked for needs, and how many before them were not even looked at.
    Records lie in the order of their ids, the index in that of their creation."""
    page, limit = page_window()
    rows, kept, count = crm.rows(kind.name), _filter(kind), page * limit + 1
    order = {key: value for key in ("created_at", "updated_at", "id") if (value := request.args.get(f"order[{key}]"))}
    bounds = [_bound(f"filter[created_at][{end}]", default) for end, default in (("from", 0), ("to", FOREVER))]
    if bounds != [0, FOREVER] or order == {"created_at": "asc"}:
        index = crm.by_creation.setdefault(kind.name, listing.Index())
        made = listing.created_between(crm.store, kind.name, index, bounds[0], bounds[1])
        return (
            (listing.enough(made, kept, count), 0) if order in ({}, {"created_at": "asc"}) else (_kept(made, kept), 0)
        )
    if order not in ({}, {"id": "asc"}, {"id": "desc"}):
        return _kept(iter(rows.values()), kept), 0
    walk = reversed(rows.values()) if order == {"id": "desc"} else iter(rows.values())
    if any(key.startswith(("filter", "query")) for key in request.args):
        return listing.enough(walk, kept, count), 0
    before = (page - 1) * limit
    return list(islice(walk, before, count)), before


def _kept(walk: Iterator[Record], kept: Callable[[Record], bool]) -> list[Record]:
    return _ordered(list(filter(kept, walk)))


def _one(kind: Kind, record_id: int) -> Response:
    crm = the_crm()
    record = crm.rows(kind.name).get(record_id)
    return empty() if record is None else hal(_shown(crm, kind, record, _including()))


def _create(kind: Kind) -> Response:
    crm = the_crm()
    items = body_list()
    ids = request_ids(items)
    _raise_errors({key: _errors(crm, kind, item, None) for key, item in zip(ids, items, strict=True)})
    records = []
    for item in items:
        record = blank(kind.name, crm.next_id(kind.name), crm.clock.now_s(), crm.actor())
        record.update(kind.start(crm))
        crm.store.put(kind.name, record["id"], record)
        _apply(crm, kind, record, item)
        records.append(record)
    hooks.announce(crm, kind.name, "add", records)
    return _written(kind, records, ids, with_time=False)


def _change_many(kind: Kind) -> Response:
    crm = the_crm()
    items = body_list()
    ids = request_ids(items)
    rows = crm.rows(kind.name)
    errors: dict[str, list[Error]] = {}
    for key, item in zip(ids, items, strict=True):
        record = rows.get(item.get("id"))
        missing = [error("FieldMissing", "id", "This field is missing.")]
        errors[key] = missing if record is None else _errors(crm, kind, item, record)
    _raise_errors(errors)
    changes = [(rows[item["id"]], item) for item in items]
    change(crm, kind, changes)
    return _written(kind, [record for record, _item in changes], ids, with_time=True)


def _change_one(kind: Kind, record_id: int) -> Response:
    crm = the_crm()
    item = body_object()
    record = crm.rows(kind.name).get(record_id)
    if record is None:
        raise refuse(404, "Entity not found")
    _raise_errors({"0": _errors(crm, kind, item, record)})
    change(crm, kind, [(record, item)])
    return hal({"id": record_id, "updated_at": record["updated_at"], "_links": self_link(f"{kind.name}/{record_id}")})


def _errors(crm: Crm, kind: Kind, item: Json, record: Record | None) -> list[Error]:
    found = []
    for key, types in {**COMMON, **kind.scalars}.items():
        value = item.get(key)
        wrong_type = key in item and (isinstance(value, bool) or not isinstance(value, types))
        if wrong_type:
            found.append(error("InvalidType", key, f"This value should be of type {TYPE_NAMES[types[0]]}."))
    _values, wrong = fields.check(crm, kind.name, item.get("custom_fields_values"))
    return found + wrong + kind.check(crm, item, record)


def _raise_errors(errors: dict[str, list[Error]]) -> None:
    real = {key: found for key, found in errors.items() if found}
    if real:
        raise invalid(real)


def _apply(crm: Crm, kind: Kind, record: Record, item: Json) -> None:
    for key in (*COMMON, *kind.scalars):
        if key in item and key not in ("updated_at", "updated_by"):
            record[key] = item[key]
    if "created_at" in item:
        crm.by_creation.pop(kind.name, None)
    values, _wrong = fields.check(crm, kind.name, item.get("custom_fields_values"))
    for field_id, value in values.items():
        if value is None:
            record["cf"].pop(field_id, None)
        else:
            record["cf"][field_id] = value
    record["tags"] = tags.changed(crm, record["tags"], item)
    kind.apply(crm, record, item)
    links.embed(crm, kind.name, record, item.get("_embedded") or {})
    crm.stamp(kind.name, record)


def _written(kind: Kind, records: list[Record], ids: list[str], *, with_time: bool) -> Response:
    shown = [
        {
            "id": record["id"],
            **({"updated_at": record["updated_at"]} if with_time else {}),
            "request_id": request_id,
            "_links": self_link(f"{kind.name}/{record['id']}"),
        }
        for record, request_id in zip(records, ids, strict=True)
    ]
    return hal({"_links": self_link(kind.name), "_embedded": {kind.name: shown}})


def _shown(crm: Crm, kind: Kind, record: Record, including: set[str]) -> Json:
    keys = ("id", "name", "responsible_user_id", "group_id", "created_by", "updated_by", "created_at", "updated_at")
    own = kind.show(crm, record, including)
    embedded = own.pop("_embedded")
    return {
        **{key: record[key] for key in keys},
        "closest_task_at": None,
        "is_deleted": record["is_deleted"],
        **own,
        "custom_fields_values": fields.shown(crm, record),
        "account_id": crm.settings.crm.account_id,
        "_links": self_link(f"{kind.name}/{record['id']}"),
        "_embedded": {"tags": record["tags"], **embedded},
    }


def _filter(kind: Kind) -> Callable[[Record], bool]:
    """The query's filters as one predicate, read once for the whole list."""
    names = bracket("filter[name]")
    bounds = [
        (key, _bound(f"filter[{key}][from]", 0), _bound(f"filter[{key}][to]", FOREVER))
        for key in ("updated_at", "created_at", "closed_at")
        if f"filter[{key}][from]" in request.args or f"filter[{key}][to]" in request.args
    ]
    query = request.args.get("query", "").casefold()
    own = kind.keep()

    def kept(row: Record) -> bool:
        if names and row["name"] not in names:
            return False
        if not all(low <= (row.get(key) or 0) <= high for key, low, high in bounds):
            return False
        return (not query or _mentions(row, query)) and own(row)

    return kept


def _bound(name: str, default: int) -> int:
    text = request.args.get(name) or str(default)
    if not text.isdecimal():
        raise refuse(400, f"Invalid {name}")
    return int(text)


def _mentions(row: Record, query: str) -> bool:
    if query in row["name"].casefold() or query == str(row["id"]):
        return True
    values = (value["value"] for values in row["cf"].values() for value in values)
    return any(query in str(value).casefold() for value in values)


def _ordered(rows: list[Record]) -> list[Record]:
    for key in ("created_at", "updated_at", "id"):
        direction = request.args.get(f"order[{key}]")
        if direction in ("asc", "desc"):
            return sorted(rows, key=lambda row: int(row[key]), reverse=direction == "desc")
    return rows


def _including() -> set[str]:
    return {word.strip() for word in request.args.get("with", "").split(",")}
