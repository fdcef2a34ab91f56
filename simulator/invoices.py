"""Invoices («Счета») as people of the shop see them: made for a deal, paid by hand, deleted, shown in the deal's card.

Owns which fields of an invoice that touches. Every change is announced as the real account would.
"""

from __future__ import annotations

from typing import Any

from simulator import catalogs, elements, fields, links
from simulator.answers import Json
from simulator.catalog_seed import INVOICES
from simulator.hookbody import ELEMENTS
from simulator.hooks import USUAL, Spread
from simulator.store import Record
from simulator.world import Crm


def issue(crm: Crm, lead: Record, asked: Json, spread: Spread = USUAL) -> Record:
    """A new invoice on a deal: of `items` [{name, price_roubles, quantity}] or of the whole price.

    `status` is a code, `comment` and `name` are free. Raises ValueError.
    """
    catalog = _catalog(crm)
    items = asked.get("items") or [{"name": lead["name"], "price_roubles": lead["price"]}]
    positions = [
        {
            "description": str(item["name"]),
            "unit_price": item["price_roubles"],
            "quantity": item.get("quantity", 1),
            "unit_type": "шт",
        }
        for item in items
    ]
    written: Json = {
        "BILL_STATUS": [{"enum_code": str(asked.get("status") or "created")}],
        "ITEMS": [{"value": position} for position in positions],
        "BILL_PRICE": [{"value": _total(positions)}],
        "BILL_COMMENT": [{"value": str(asked.get("comment") or "")}],
        "PAYER": _payer(crm, lead),
    }
    number = sum(1 for row in crm.rows(ELEMENTS).values() if row["catalog_id"] == catalog["id"]) + 1
    item = {"name": str(asked.get("name") or f"Счёт № {number}"), "custom_fields_values": _by_code(written)}
    _check(crm, catalog, item, None)
    element = elements.add(crm, catalog, item)
    elements.announce(crm, "add", [element], spread)
    links.connect_element(crm, "leads", lead, element, {"quantity": 1})
    return element


def mark(crm: Crm, element: Record, status: str, spread: Spread = USUAL) -> None:
    """Sets the status by hand; the moment of payment goes with «paid» only. Raises ValueError."""
    paid_at = [{"value": crm.clock.now_s()}] if status == "paid" else None
    written: Json = {"BILL_STATUS": [{"enum_code": status}], "BILL_PAYMENT_DATE": paid_at}
    item = {"custom_fields_values": _by_code(written)}
    _check(crm, _catalog(crm), item, element)
    elements.change(crm, element, item)
    elements.announce(crm, "update", [element], spread)


def delete(crm: Crm, element: Record, spread: Spread = USUAL) -> None:
    """The deals lose it, too."""
    for lead in crm.rows("leads").values():
        if any(row["id"] == element["id"] for row in lead.get("elements", ())):
            links.disconnect(crm, "leads", lead, ELEMENTS, element)
    crm.store.remove(ELEMENTS, element["id"])
    elements.announce(crm, "delete", [element], spread)


def invoice(crm: Crm, element_id: int) -> Record:
    """Raises LookupError."""
    row: Record | None = crm.rows(ELEMENTS).get(element_id)
    if row is None or crm.rows("catalogs")[row["catalog_id"]]["type"] != INVOICES:
        raise LookupError(f"нет счёта {element_id}")
    return row


def of_lead(crm: Crm, lead: Record) -> list[Json]:
    """The invoices linked to a deal, oldest first."""
    found = [crm.rows(ELEMENTS).get(row["id"]) for row in lead.get("elements", ())]
    kinds = {key: row["type"] for key, row in crm.rows("catalogs").items()}
    return [view(crm, row) for row in found if row is not None and kinds[row["catalog_id"]] == INVOICES]


def view(crm: Crm, element: Record) -> Json:
    """An invoice in plain values."""
    values = {item["field_code"]: item["values"] for item in fields.shown(crm, element) or []}

    def first(code: str, key: str = "value") -> Any:
        return values[code][0].get(key) if values.get(code) else None

    price = first("BILL_PRICE")
    return {
        "id": element["id"],
        "catalog_id": element["catalog_id"],
        "name": element["name"],
        "status": first("BILL_STATUS", "enum_code"),
        "status_text": first("BILL_STATUS"),
        "price_roubles": None if price is None else float(price),
        "price_kopecks": None if price is None else round(float(price) * 100),
        "paid_at": first("BILL_PAYMENT_DATE"),
        "comment": first("BILL_COMMENT"),
        "items": [value["value"] for value in values.get("ITEMS", [])],
        "lead_link": first("LINK_TO_LEAD"),
    }


def _catalog(crm: Crm) -> Record:
    found = catalogs.of_type(crm, INVOICES) if catalogs.available(crm) else None
    if found is None:
        raise ValueError("в этом аккаунте нет списка «Счета»")
    return found


def _check(crm: Crm, catalog: Record, item: Json, record: Record | None) -> None:
    errors = elements.errors_of(crm, catalog, item, record)
    if errors:
        raise ValueError(f"счёт: {errors[0]['path']} {errors[0]['detail']}")


def _by_code(written: Json) -> list[Json]:
    """Fields without values stay empty; None empties one."""
    return [{"field_code": code, "values": values} for code, values in written.items() if values != []]


def _total(positions: list[Json]) -> float:
    total = sum(float(row["unit_price"]) * float(row["quantity"]) for row in positions)
    return int(total) if total == int(total) else round(total, 2)


def _payer(crm: Crm, lead: Record) -> list[Json]:
    main = next((row["id"] for row in lead["contacts"] if row["is_main"]), None)
    contact = crm.rows("contacts").get(main)
    if contact is None:
        return []
    named = fields.by_name(crm, contact)
    phone, email = named.get("Телефон"), named.get("Email")
    person = {"type": "individual", "name": contact["name"], "entity_type": "contacts", "entity_id": contact["id"]}
    person |= {"phone": phone if isinstance(phone, str) else None, "email": email if isinstance(email, str) else None}
    return [{"value": person}]
