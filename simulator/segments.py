"""Segments of customers. Implements the amoCRM reference section 5.4: a write takes one object, never an array."""

from __future__ import annotations

from flask import Blueprint, Response

from simulator import fields
from simulator.answers import Json, body_object, empty, error, hal, invalid, paged, refuse, self_link
from simulator.customers import guard, mode
from simulator.store import Record
from simulator.world import Crm, the_crm

DEFAULT_COLOR = "10599d"
COLORS = frozenset(
    [
        "10599d",
        "2176ff",
        "006acc",
        "07a0c3",
        "247ba0",
        "177e89",
        "046e8f",
        "598381",
        "0c7c59",
        "495f41",
        "00a44b",
        "08605f",
        "bf2600",
        "06d6a0",
        "e14945",
        "79b473",
        "ae003f",
        "a2ad59",
        "cd0f53",
        "8e936d",
        "832161",
        "2e5339",
        "bf126f",
        "6f7c12",
        "ff5376",
        "dd1c1a",
        "bb304e",
        "631d76",
        "9d2b32",
        "4a001f",
        "b118c8",
        "6a0f49",
        "6610f2",
        "b38a58",
        "8963ba",
        "4b3666",
        "932f6d",
        "6b2d5c",
        "6461a0",
        "4f517d",
    ]
)
bp = Blueprint("segments", __name__, url_prefix="/api/v4/customers/segments")


@bp.get("")
def segments() -> Response:
    crm = _in_segments_mode()
    return paged("segments", list(crm.rows("segments").values()), lambda row: _segment(crm, row), totals=True)


@bp.get("/<int:segment_id>")
def segment(segment_id: int) -> Response:
    crm = _in_segments_mode()
    row = crm.rows("segments").get(segment_id)
    return empty() if row is None else hal(_segment(crm, row))


@bp.post("")
def create_segment() -> Response:
    crm = _in_segments_mode()
    asked = body_object()
    _check_segment(asked, creating=True)
    now_s = crm.clock.now_s()
    row: Record = {
        "id": crm.next_id("segments"),
        "created_at": now_s,
        "updated_at": now_s,
        "account_id": crm.settings.crm.account_id,
        "name": asked["name"],
        "color": asked.get("color") or DEFAULT_COLOR,
        "available_products_price_types": asked.get("available_products_price_types", []),
        "cf": {},
    }
    crm.store.put("segments", row["id"], row)
    return hal(_segment(crm, row))


@bp.patch("/<int:segment_id>")
def change_segment(segment_id: int) -> Response:
    crm = _in_segments_mode()
    asked = body_object()
    _check_segment(asked, creating=False)
    row = crm.rows("segments").get(segment_id)
    if row is None:
        raise refuse(404, "Segment not found")
    row.update({key: asked[key] for key in ("name", "color", "available_products_price_types") if key in asked})
    row["updated_at"] = crm.clock.now_s()
    crm.store.touch("segments", segment_id)
    return hal(_segment(crm, row))


@bp.delete("/<int:segment_id>")
def delete_segment(segment_id: int) -> Response:
    crm = _in_segments_mode()
    if segment_id not in crm.rows("segments"):
        raise refuse(404, "Segment not found")
    crm.store.remove("segments", segment_id)
    for customer in crm.rows("customers").values():
        if segment_id in customer["segments"]:
            customer["segments"].remove(segment_id)
            crm.store.touch("customers", customer["id"])
    return empty()


def _in_segments_mode() -> Crm:
    crm = the_crm()
    guard(crm)
    if mode(crm) != "segments":
        raise refuse(422, "Не включен функционал сегментов")
    return crm


def _check_segment(asked: Json, *, creating: bool) -> None:
    found = []
    if (creating or "name" in asked) and not (isinstance(asked.get("name"), str) and asked["name"].strip()):
        found.append(error("NotBlank", "name", "This value should not be blank."))
    if asked.get("color") is not None and asked["color"] not in COLORS:
        found.append(error("NotSupportedChoice", "color", "The value you selected is not a valid choice."))
    if found:
        raise invalid({"0": found})


def _segment(crm: Crm, row: Record) -> Json:
    own = {key: value for key, value in row.items() if key != "cf"}
    count = sum(row["id"] in customer["segments"] for customer in crm.rows("customers").values())
    links_ = self_link(f"customers/segments/{row['id']}")
    return {**own, "customers_count": count, "custom_fields_values": fields.shown(crm, row), "_links": links_}
