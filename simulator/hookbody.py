"""What an account webhook of amoCRM says: PHP-bracket form bodies in which every value is a string.

Implements the amoCRM reference sections 3.1 to 3.3. Sends nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

from simulator import fields
from simulator.field_values import DATES
from simulator.store import Record
from simulator.world import Crm

ELEMENTS = "catalog_elements"
MOSCOW = timezone(timedelta(hours=3))
HOOK_KEYS = {
    **{"leads": "leads", "contacts": "contacts", "companies": "contacts", "customers": "customers"},
    ELEMENTS: "catalogs",
}
SINGULAR = {
    **{"leads": "lead", "contacts": "contact", "companies": "company", "customers": "customer", "tasks": "task"},
    ELEMENTS: "catalog",
}


def encode(tree: Record) -> str:
    """A nested dict as `a[b][0][c]=1&...`."""
    return urlencode(list(_pairs("", tree)))


def account_block(crm: Crm, *, with_id: bool) -> Record:
    subdomain = crm.settings.crm.subdomain
    block: Record = {"subdomain": subdomain}
    if with_id:
        block["id"] = crm.settings.crm.account_id
        block["_links"] = {"self": f"https://{subdomain}.amocrm.ru"}
    return block


def entity(crm: Crm, kind: str, record: Record, action: str, was: Record) -> Record:
    """One item of `{kind}[{action}][n]`. `was` has the old status_id, pipeline_id and responsible_user_id."""
    if kind == ELEMENTS:
        return _element(crm, record, action)
    if action == "delete":
        keys = ("id", "status_id", "pipeline_id") if kind == "leads" else ("id",)
        return {key: record[key] for key in keys}
    item: Record = {"id": record["id"], "name": record["name"]}
    if kind == "leads":
        item.update(_lead(record, action, was))
    item["responsible_user_id"] = record["responsible_user_id"]
    if action == "responsible":
        item["old_responsible_user_id"] = was["responsible_user_id"]
    item.update(
        last_modified=record["updated_at"],
        modified_user_id=record["updated_by"],
        created_user_id=record["created_by"],
        date_create=record["created_at"],
        tags=[{"id": tag["id"], "name": tag["name"]} for tag in record["tags"]],
        account_id=crm.settings.crm.account_id,
        custom_fields=_fields(crm, record),
        created_at=record["created_at"],
        updated_at=record["updated_at"],
    )
    item.update(_extra(crm, kind, record))
    return item


def note(crm: Crm, kind: str, record: Record) -> Record:
    """The body of `{kind}[note][0][note]`."""
    codes = {"leads": "2", "contacts": "1", "companies": "3", "customers": "12"}
    return {
        "note": {
            "text": record["params"].get("text", ""),
            "attachement": "",
            "note_type": "4" if record["note_type"] == "common" else "25",
            "element_type": codes[kind],
            "element_id": record["entity_id"],
            "account_id": crm.settings.crm.account_id,
            "id": record["id"],
            "created_at": record["created_at"],
            "updated_at": record["updated_at"],
        }
    }


def task(crm: Crm, record: Record, action: str, *, was_text: str | None, is_closing: bool) -> Record:
    """One item of `task[{action}][n]`: times of the day as the account's people see them, and whole seconds."""
    if action == "delete":
        return {"id": record["id"]}
    codes = {"contacts": "1", "leads": "2", "companies": "3", "customers": "12"}
    till = datetime.fromtimestamp(record["complete_till"], MOSCOW)
    item: Record = {
        "id": record["id"],
        "element_id": record["entity_id"],
        "element_type": codes.get(record["entity_type"], "0"),
        "task_type": record["task_type_id"],
        "date_create": f"{datetime.fromtimestamp(record['created_at'], MOSCOW):%Y-%m-%d %H:%M:%S}",
        "text": record["text"],
        "status": "1" if record["is_completed"] else "0",
        "account_id": crm.settings.crm.account_id,
        "created_user_id": record["created_by"],
        "last_modified": record["updated_at"],
        "responsible_user_id": record["responsible_user_id"],
        "complete_till": f"{till:%Y-%m-%d %H:%M:%S}",
        "complete_before": record["complete_till"],
        "created_at": record["created_at"],
        "updated_at": record["updated_at"],
    }
    if was_text is not None:
        item["old_text"] = was_text
    if is_closing:
        item["action_close"] = "1"
    return item


def _element(crm: Crm, record: Record, action: str) -> Record:
    """An element of a list says less than other records."""
    item: Record = {"id": record["id"], "catalog_id": record["catalog_id"]}
    if action != "delete":
        item |= {"name": record["name"], "custom_fields": _fields(crm, record)}
    return item


def _lead(record: Record, action: str, was: Record) -> Record:
    item: Record = {"status_id": record["status_id"]}
    if action == "status":
        item["old_status_id"] = was["status_id"]
    item["price"] = int(record["price"])
    item["pipeline_id"] = record["pipeline_id"]
    if action == "status" and was["pipeline_id"] != record["pipeline_id"]:
        item["old_pipeline_id"] = was["pipeline_id"]
    return item


def _extra(crm: Crm, kind: str, record: Record) -> Record:
    if kind == "contacts":
        company = crm.rows("companies").get(record["company_id"])
        item: Record = {"linked_leads_id": {str(lead_id): {"ID": lead_id} for lead_id in record["leads"]}}
        if company is not None:
            item |= {"company_name": company["name"], "linked_company_id": company["id"]}
        return {**item, "type": "contact"}
    if kind == "companies":
        return {"type": "company"}
    if kind == "customers":
        keys = ("next_price", "next_date", "status_id", "periodicity")
        return {key: record[key] for key in keys if record.get(key) is not None}
    return {}


def _fields(crm: Crm, record: Record) -> list[Record]:
    items = []
    for shown in fields.shown(crm, record) or []:
        item: Record = {"id": shown["field_id"], "name": shown["field_name"]}
        if shown["field_code"]:
            item["code"] = shown["field_code"]
        # Dates come bare, without the [value] level: an oddity of the real bodies.
        item["values"] = [
            value["value"] if shown["field_type"] in DATES else _value(value) for value in shown["values"]
        ]
        items.append(item)
    return items


def _value(value: Record) -> Record:
    return {"value": value["value"], "enum": value["enum_id"]} if "enum_id" in value else {"value": value["value"]}


def _pairs(prefix: str, tree: Any) -> Iterator[tuple[str, str]]:
    if isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _pairs(f"{prefix}[{key}]" if prefix else str(key), value)
    elif isinstance(tree, bool):
        yield prefix, "1" if tree else "0"
    else:
        yield prefix, "" if tree is None else str(tree)
