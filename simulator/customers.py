"""Customers («Покупатели») of amoCRM and their mode. Implements the amoCRM reference sections 5.1 and 5.2.

A customer's bonus balance is hidden, as in the real API. Segments and purchases live in modules of their own.
"""

from __future__ import annotations

from flask import Blueprint, Response

from simulator import links
from simulator.answers import Error, Json, body_object, error, hal, invalid, refuse, self_link
from simulator.entities import Kind, routes
from simulator.store import Record
from simulator.world import Crm, the_crm

MODES = ("segments", "periodicity")
SCALARS = {
    "next_price": (int, type(None)),
    "next_date": (int, type(None)),
    "status_id": (int, type(None)),
    "periodicity": (int, type(None)),
}

modes = Blueprint("customer_mode", __name__, url_prefix="/api/v4/customers/mode")


def mode(crm: Crm) -> str:
    """unavailable, disabled, segments or periodicity."""
    row = crm.rows("account").get("mode")
    return str(row["mode"]) if row else crm.settings.crm.customers_mode


def guard(crm: Crm) -> None:
    """Refuses every call while customers are off: 402 without the tariff, 422 when disabled (an assumption)."""
    if mode(crm) == "unavailable":
        raise refuse(402, "Функционал покупателей недоступен на вашем тарифе")
    if mode(crm) == "disabled":
        raise refuse(422, "Не включен функционал покупателей")


def _start(_crm: Crm) -> Record:
    return {
        **dict.fromkeys(SCALARS),
        "next_price": 0,
        "periodicity": 0,
        "segments": [],
        "contacts": [],
        "company_id": None,
        "ltv": 0,
        "purchases_count": 0,
        "bonus_points": 0,
    }


def _check(crm: Crm, item: Json, record: Record | None) -> list[Error]:
    found = links.embed_errors(crm, item.get("_embedded"))
    required = ["name"] + (["next_date"] if mode(crm) == "periodicity" else [])
    if record is None:
        found += [error("FieldMissing", key, "This field is missing.") for key in required if not item.get(key)]
    for index, segment in enumerate((item.get("_embedded") or {}).get("segments") or []):
        if segment.get("id") not in crm.rows("segments"):
            path = f"_embedded.segments.{index}.id"
            found.append(error("NotSupportedChoice", path, "The value you selected is not a valid choice."))
    return found


def _apply(_crm: Crm, record: Record, item: Json) -> None:
    embedded = item.get("_embedded") or {}
    if "segments" in embedded:
        record["segments"] = [segment["id"] for segment in embedded["segments"] or []]


def _show(_crm: Crm, record: Record, including: set[str]) -> Json:
    segments = [{"id": key, "_links": self_link(f"customers/segments/{key}")} for key in record["segments"]]
    embedded: Json = {"segments": segments}
    if "contacts" in including:
        embedded["contacts"] = [{**row, "_links": self_link(f"contacts/{row['id']}")} for row in record["contacts"]]
    count = record["purchases_count"]
    return {
        **{key: record[key] for key in SCALARS},
        "ltv": record["ltv"],
        "purchases_count": count,
        "average_check": round(record["ltv"] / count) if count else 0,
        "_embedded": embedded,
    }


CUSTOMERS = Kind(
    name="customers",
    scalars=SCALARS,
    start=_start,
    check=_check,
    apply=_apply,
    show=_show,
    keep=lambda: lambda _record: True,
    guard=guard,
)
bp = routes(CUSTOMERS)


@modes.patch("")
def change_mode() -> Response:
    crm = the_crm()
    asked = body_object()
    if asked.get("mode") not in MODES or not isinstance(asked.get("is_enabled"), bool):
        raise invalid({"0": [error("NotSupportedChoice", "mode", "The value you selected is not a valid choice.")]})
    if mode(crm) == "unavailable":
        raise refuse(402, "Функционал покупателей недоступен на вашем тарифе")
    crm.store.put("account", "mode", {"mode": asked["mode"] if asked["is_enabled"] else "disabled"})
    return hal({"mode": asked["mode"], "is_enabled": asked["is_enabled"]})
