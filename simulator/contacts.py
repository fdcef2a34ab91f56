"""Contacts and companies of amoCRM. Implements the amoCRM reference section 4.2."""

from __future__ import annotations

from simulator import links
from simulator.answers import Error, Json, self_link
from simulator.entities import Kind, routes
from simulator.store import Record
from simulator.world import Crm

SCALARS = {"first_name": (str,), "last_name": (str,)}


def _start_contact(_crm: Crm) -> Record:
    return {"first_name": "", "last_name": "", "leads": [], "customers": [], "company_id": None}


def _check(crm: Crm, item: Json, _record: Record | None) -> list[Error]:
    return links.embed_errors(crm, item.get("_embedded"))


def _apply_contact(crm: Crm, record: Record, item: Json) -> None:
    if "name" not in item and ({"first_name", "last_name"} & set(item)):
        record["name"] = f"{record['first_name']} {record['last_name']}".strip()
    elif "name" in item and not record["first_name"]:
        record["first_name"], _space, record["last_name"] = record["name"].partition(" ")
    crm.index_phones(record)


def _show_contact(_crm: Crm, record: Record, including: set[str]) -> Json:
    company_id = record["company_id"]
    companies = [{"id": company_id, "_links": self_link(f"companies/{company_id}")}] if company_id else []
    embedded: Json = {"companies": companies}
    for kind in ("leads", "customers"):
        if kind in including:
            embedded[kind] = [{"id": other, "_links": self_link(f"{kind}/{other}")} for other in record[kind]]
    return {"first_name": record["first_name"], "last_name": record["last_name"], "_embedded": embedded}


def _nothing(_crm: Crm, _record: Record, _item: Json) -> None:
    return None


CONTACTS = Kind(
    name="contacts",
    scalars=SCALARS,
    start=_start_contact,
    check=_check,
    apply=_apply_contact,
    show=_show_contact,
    keep=lambda: lambda _record: True,
    guard=lambda _crm: None,
)
COMPANIES = Kind(
    name="companies",
    scalars={},
    start=lambda _crm: {"company_id": None},
    check=lambda _crm, _item, _record: [],
    apply=_nothing,
    show=lambda _crm, _record, _including: {"_embedded": {}},
    keep=lambda: lambda _record: True,
    guard=lambda _crm: None,
)
bp = routes(CONTACTS)
companies = routes(COMPANIES)
