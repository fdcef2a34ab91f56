"""What a manager does with contacts by hand: finds the buyer of a new deal, merges two contacts, deletes one.

Every change is announced as the real account would. Does not speak HTTP.
"""

from __future__ import annotations

from simulator import fields, hooks, links, world
from simulator.answers import Json
from simulator.hooks import USUAL, Spread
from simulator.store import Record
from simulator.world import Crm

MERGED_CODES = ("PHONE", "EMAIL")


def buyer(crm: Crm, asked: Json) -> Record | None:
    """A deal's contact: by id, else found by phone, else a new one. E-mail and birthday are filled in if given."""
    if asked.get("contact_id"):
        return contact_of(crm, int(asked["contact_id"]))
    person = asked.get("contact")
    if not isinstance(person, dict):
        return None
    digits = world.digits(person.get("phone", ""))
    known = crm.phones.get(digits) if digits else None
    if known is not None:
        contact = contact_of(crm, known)
        if _filled_in(crm, contact, person):
            crm.stamp("contacts", contact)
            hooks.announce(crm, "contacts", "update", [contact])
        return contact
    contact = world.add_contact(crm, str(person.get("name") or "Без имени"), str(person.get("phone") or ""))
    _filled_in(crm, contact, person)
    hooks.announce(crm, "contacts", "add", [contact])
    return contact


def payer(crm: Crm, lead: Record) -> Json:
    """Who pays for a deal, as the shop would tell a bank: its main contact."""
    main = next((row["id"] for row in lead["contacts"] if row["is_main"]), None)
    contact = crm.rows("contacts").get(main)
    if contact is None:
        return {}
    named = fields.by_name(crm, contact)
    return {"name": contact["name"], "phone": named.get("Телефон"), "email": named.get("Email")}


def contact_of(crm: Crm, contact_id: int) -> Record:
    """Raises LookupError."""
    found: Record | None = crm.rows("contacts").get(contact_id)
    if found is None:
        raise LookupError(f"нет контакта {contact_id}")
    return found


def merge(crm: Crm, source: Record, target: Record, spread: Spread = USUAL) -> list[int]:
    """Two contacts become one: deals, customers, notes, phones and addresses of `source` go over to `target`, and
    `source` is deleted. Returns the ids of the deals that moved."""
    if source is target:
        raise ValueError("контакт нельзя объединить с самим собой")
    leads = [crm.rows("leads")[lead_id] for lead_id in source["leads"]]
    for kind in links.REVERSE:
        for record_id in list(source[kind]):
            _hand_over(crm, kind, crm.rows(kind)[record_id], source, target)
    for table in ("notes", "tasks"):
        for row in crm.rows(table).values():
            if row["entity_type"] == "contacts" and row["entity_id"] == source["id"]:
                row["entity_id"] = target["id"]
                crm.store.touch(table, row["id"])
    for code in MERGED_CODES:
        _add_values(crm, source, target, code)
    for lead in leads:
        crm.stamp("leads", lead)
    crm.stamp("contacts", target)
    _remove(crm, source)
    hooks.announce(crm, "contacts", "update", [target], spread=spread)
    hooks.announce(crm, "leads", "update", leads, spread=spread)
    hooks.announce(crm, "contacts", "delete", [source], spread=spread)
    return [lead["id"] for lead in leads]


def delete(crm: Crm, contact: Record, spread: Spread = USUAL) -> None:
    """The contact's deals and customers stay, without it."""
    for kind in links.REVERSE:
        for record_id in list(contact[kind]):
            links.disconnect(crm, kind, crm.rows(kind)[record_id], "contacts", contact)
    _remove(crm, contact)
    hooks.announce(crm, "contacts", "delete", [contact], spread=spread)


def delete_deal(crm: Crm, lead: Record, spread: Spread = USUAL) -> None:
    """The contacts of a deleted deal stay, without it. There is no bin to restore it from."""
    for row in list(lead["contacts"]):
        links.disconnect(crm, "leads", lead, "contacts", crm.rows("contacts")[row["id"]])
    crm.store.remove("leads", lead["id"])
    hooks.announce(crm, "leads", "delete", [lead], spread=spread)


def _hand_over(crm: Crm, kind: str, record: Record, source: Record, target: Record) -> None:
    mine = (source["id"], target["id"])
    is_main = any(row["is_main"] for row in record["contacts"] if row["id"] in mine)
    links.connect(crm, kind, record, "contacts", target, is_main=is_main)
    links.disconnect(crm, kind, record, "contacts", source)


def _add_values(crm: Crm, source: Record, target: Record, code: str) -> None:
    key = str(fields.by_code(crm, "contacts", code)["id"])
    own = target["cf"].get(key, [])
    known = {value["value"] for value in own}
    brought = [value for value in source["cf"].get(key, []) if value["value"] not in known]
    if brought:
        target["cf"][key] = [*own, *brought]


def _remove(crm: Crm, contact: Record) -> None:
    crm.store.remove("contacts", contact["id"])
    crm.index_all_phones()


def _filled_in(crm: Crm, contact: Record, person: Json) -> bool:
    """Puts the e-mail and the birthday (2026-03-01) into the contact's fields. Whether that changed anything."""
    written = []
    if person.get("email"):
        written.append({"field_code": "EMAIL", "values": [{"value": str(person["email"])}]})
    if person.get("birthday"):
        field_id = fields.named(crm, "contacts", world.BIRTHDAY)["id"]
        written.append({"field_id": field_id, "values": [{"value": str(person["birthday"])}]})
    values, errors = fields.check(crm, "contacts", written)
    if errors:
        raise ValueError(f"контакт: {errors[0]['detail']}")
    changed = {key: value for key, value in values.items() if contact["cf"].get(key) != value}
    contact["cf"].update(changed)
    crm.store.touch("contacts", contact["id"])
    return bool(changed)
