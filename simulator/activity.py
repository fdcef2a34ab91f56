"""Notes, events, users and the account. Implements the amoCRM reference sections 4.6 and 4.8."""

from __future__ import annotations

from flask import Blueprint, Response, request

from simulator import catalogs, customers, hooks
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
    paged,
    request_ids,
    self_link,
)
from simulator.store import Record
from simulator.world import ADMIN_ID, USERS, Crm, the_crm

KINDS = "any(leads,contacts,companies,customers)"
NOTE_TYPES = frozenset(
    {
        *("common", "service_message", "extended_service_message", "sms_in", "sms_out", "attachment"),
        *("message_cashier", "invoice_paid", "bill_paid", "geolocation", "call_in", "call_out"),
    }
)

bp = Blueprint("activity", __name__, url_prefix="/api/v4")


@bp.get("/account")
def account() -> Response:
    crm = the_crm()
    config = crm.settings.crm
    extra: Json = {}
    if "is_api_filter_enabled" in request.args.get("with", ""):
        extra["is_api_filter_enabled"] = True
    if "invoices_settings" in request.args.get("with", ""):
        extra["invoices_settings"] = catalogs.invoices_settings(crm)
    return hal(
        {
            "id": config.account_id,
            "name": "Спорт и горы",
            "subdomain": config.subdomain,
            "created_at": 1_546_848_872,
            "created_by": 0,
            "updated_at": 1_600_000_000,
            "updated_by": 0,
            "current_user_id": ADMIN_ID,
            "country": "RU",
            "currency": "RUB",
            "currency_symbol": "₽",
            "customers_mode": customers.mode(crm),
            "is_unsorted_on": True,
            "mobile_feature_version": 0,
            "is_loss_reason_enabled": True,
            "is_helpbot_enabled": False,
            "is_technical_account": False,
            "contact_name_display_order": 1,
            **extra,
            "_links": self_link("account"),
        }
    )


@bp.get("/users")
def users() -> Response:
    return paged("users", USERS, _user)


@bp.get("/users/<int:user_id>")
def user(user_id: int) -> Response:
    found = next((row for row in USERS if row["id"] == user_id), None)
    return empty() if found is None else hal(_user(found))


@bp.get("/events")
def events() -> Response:
    """Changes of stages and new records, newest first, rebuilt from what the hooks told."""
    crm = the_crm()
    types = {word for text in bracket("filter[type]") for word in text.split(",")}
    rows = [row for row in crm.rows("events").values() if not types or row["type"] in types]
    wanted = bracket_ids("filter[entity_id]")
    since = request.args.get("filter[created_at][from]", "0")
    first_s = int(since) if since.isdecimal() else 0
    rows = [row for row in rows if (not wanted or row["entity_id"] in wanted) and row["created_at"] >= first_s]
    return paged("events", rows[::-1], dict)


@bp.get(f"/<{KINDS}:kind>/notes")
def all_notes(kind: str) -> Response:
    wanted = bracket_ids("filter[entity_id]")
    rows = [row for row in the_crm().rows("notes").values() if row["entity_type"] == kind]
    return paged("notes", [row for row in rows if not wanted or row["entity_id"] in wanted], _note)


@bp.get(f"/<{KINDS}:kind>/<int:record_id>/notes")
def notes(kind: str, record_id: int) -> Response:
    rows = [
        row for row in the_crm().rows("notes").values() if row["entity_type"] == kind and row["entity_id"] == record_id
    ]
    types = bracket("filter[note_type]")
    return paged("notes", [row for row in rows if not types or row["note_type"] in types], _note)


@bp.post(f"/<{KINDS}:kind>/notes")
def create_notes(kind: str) -> Response:
    return _create_notes(kind, body_list())


@bp.post(f"/<{KINDS}:kind>/<int:record_id>/notes")
def create_notes_of(kind: str, record_id: int) -> Response:
    return _create_notes(kind, [{**item, "entity_id": record_id} for item in body_list()])


def add_note(crm: Crm, kind: str, item: Json) -> Record:
    """Puts a checked note into a record's feed and announces it."""
    now_s, note_id = crm.clock.now_s(), crm.next_id("notes")
    row: Record = {
        "id": note_id,
        "entity_id": item["entity_id"],
        "entity_type": kind,
        "created_by": crm.actor(),
        "updated_by": crm.actor(),
        "created_at": now_s,
        "updated_at": now_s,
        "responsible_user_id": crm.actor(),
        "group_id": 0,
        "note_type": item["note_type"],
        "params": item.get("params") or {},
    }
    crm.store.put("notes", note_id, row)
    hooks.announce_note(crm, kind, row)
    return row


def _create_notes(kind: str, items: list[Json]) -> Response:
    crm = the_crm()
    ids = request_ids(items)
    errors = {key: _note_errors(crm, kind, item) for key, item in zip(ids, items, strict=True)}
    if any(errors.values()):
        raise invalid({key: found for key, found in errors.items() if found})
    shown = []
    for key, item in zip(ids, items, strict=True):
        note = add_note(crm, kind, item)
        shown.append({"id": note["id"], "entity_id": note["entity_id"], "request_id": key, "_links": _link(note)})
    return hal({"_links": self_link(f"{kind}/notes"), "_embedded": {"notes": shown}})


def _note_errors(crm: Crm, kind: str, item: Json) -> list[Error]:
    found = []
    if item.get("entity_id") not in crm.rows(kind):
        found.append(error("NotSupportedChoice", "entity_id", "Entity not found."))
    if item.get("note_type") not in NOTE_TYPES:
        found.append(error("NotSupportedChoice", "note_type", "The value you selected is not a valid choice."))
    params = item.get("params")
    if not isinstance(params, dict) or not isinstance(params.get("text", ""), str):
        found.append(error("InvalidType", "params.text", "This value should be of type string."))
    elif str(item.get("note_type")).endswith("service_message") and not params.get("service"):
        found.append(error("FieldMissing", "params.service", "This field is missing."))
    return found


def _note(row: Record) -> Json:
    return {**row, "_links": _link(row)}


def _link(note: Record) -> Json:
    return self_link(f"{note['entity_type']}/{note['entity_id']}/notes/{note['id']}")


def _user(row: Json) -> Json:
    return {**row, "rights": {"is_admin": row["id"] == ADMIN_ID, "is_active": True}}
