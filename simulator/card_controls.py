"""Control calls that do what a manager does in a card: fill in a field, delete a deal, merge or delete contacts.

Not a part of amoCRM. JSON in, JSON out; what changes a record goes the same way as an API write, so that hooks fire.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from simulator import fields, people
from simulator.answers import Json, plain
from simulator.contacts import CONTACTS
from simulator.controls import deal, spread_of
from simulator.entities import Kind, change
from simulator.field_values import NUMBERS, TEXTS
from simulator.leads import LEADS
from simulator.shared_controls import asked_object, explain_refusals
from simulator.store import Record
from simulator.views import contact_view, deal_view
from simulator.world import Crm, the_crm

BY_HAND = TEXTS | NUMBERS

bp = Blueprint("card_controls", __name__)
explain_refusals(bp)


@bp.post("/sim/deals/<int:deal_id>/fields")
def fill_in_deal(deal_id: int) -> Response:
    """`{"Списать бонусов": 500, …}` by names of fields; null or "" empties one. Creates no field."""
    crm, asked = the_crm(), asked_object()
    with crm.store.lock:
        lead = deal(crm, deal_id)
        _fill_in(crm, LEADS, lead, asked)
        return plain(deal_view(crm, lead))


@bp.post("/sim/contacts/<int:contact_id>/fields")
def fill_in_contact(contact_id: int) -> Response:
    """The same for a contact; several phones are a list."""
    crm, asked = the_crm(), asked_object()
    with crm.store.lock:
        contact = people.contact_of(crm, contact_id)
        _fill_in(crm, CONTACTS, contact, asked)
        return plain(contact_view(crm, contact))


@bp.post("/sim/deals/<int:deal_id>/delete")
def delete_deal(deal_id: int) -> Response:
    crm, asked = the_crm(), asked_object()
    with crm.store.lock:
        people.delete_deal(crm, deal(crm, deal_id), spread_of(asked))
    return plain({"deal_id": deal_id})


@bp.post("/sim/contacts/<int:contact_id>/delete")
def delete_contact(contact_id: int) -> Response:
    crm, asked = the_crm(), asked_object()
    with crm.store.lock:
        people.delete(crm, people.contact_of(crm, contact_id), spread_of(asked))
    return plain({"contact_id": contact_id})


@bp.post("/sim/contacts/merge")
def merge_contacts() -> Response:
    """`{"from": id, "into": id}`: the first is deleted, the second gets its deals, phones and addresses."""
    crm, asked = the_crm(), asked_object()
    with crm.store.lock:
        source = people.contact_of(crm, int(asked.get("from", 0)))
        target = people.contact_of(crm, int(asked.get("into", 0)))
        deal_ids = people.merge(crm, source, target, spread_of(asked))
        return plain({"contact": contact_view(crm, target), "deal_ids": deal_ids})


def _fill_in(crm: Crm, kind: Kind, record: Record, asked: Json) -> None:
    """Writes what differs. Raises LookupError (no such field), ValueError (not by hand, or not such a value)."""
    written = []
    for name, value in asked.items():
        definition = fields.named(crm, kind.name, name)
        if definition["is_api_only"]:
            raise ValueError(f"поле «{definition['name']}» заполняет только интеграция")
        item = {"field_id": definition["id"], "values": _typed(definition, value)}
        values, errors = fields.check(crm, kind.name, [item])
        if errors:
            raise ValueError(f"поле «{definition['name']}» не принимает «{value}»")
        key = str(definition["id"])
        if values[key] != record["cf"].get(key):
            written.append(item)
    if written:
        change(crm, kind, [(record, {"custom_fields_values": written})])


def _typed(definition: Record, value: Any) -> list[Json] | None:
    """A value as the interface would send it: people write «1 500,50» and leave out the zone."""
    if value in (None, ""):
        return None
    several = value if isinstance(value, list) else [value]
    if definition["type"] in NUMBERS:
        several = [_plain_number(one) if isinstance(one, str) else one for one in several]
    elif definition["type"] in TEXTS:
        several = [str(one) for one in several]
    return [{"value": one} for one in several]


def _plain_number(text: str) -> str:
    return "".join(text.split()).replace(",", ".")
