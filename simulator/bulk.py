"""Many contacts, deals and customers at once, the same for the same seed: a shop with years behind it.

Not a part of amoCRM. Nothing is announced by hooks and nothing goes into the journal: a restart forgets them, unless
the server is stopped in order.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Blueprint, Response

from simulator import fields
from simulator.answers import Json, plain
from simulator.shared_controls import asked_object, explain_refusals
from simulator.store import Record
from simulator.world import LOST, WON, Crm, blank, digits, the_crm

CONTACTS_MAX, DEALS_MAX = 1_000_000, 3_000_000
DAY_S = 86_400
YEARS = 6
LOST_SHARE = 0.0
"""Of the deals made; told otherwise by `lost_share`."""

bp = Blueprint("bulk", __name__)
explain_refusals(bp)


@bp.post("/sim/bulk")
def bulk() -> Response:
    """`{"contacts": N, "deals": M, "customers": 0, "seed": 1, "years": 6, "lost_share": 0, "without_phone": 0,
    "same_phone": 0}`: M closed deals of N contacts, spread over the years. Shares are of one hundred. Answers the first
    and last ids."""
    crm, asked = the_crm(), asked_object()
    dice = random.Random(int(asked.get("seed", 1)))
    contacts, deals = _whole(asked, "contacts", CONTACTS_MAX), _whole(asked, "deals", DEALS_MAX)
    customers = min(_whole(asked, "customers", CONTACTS_MAX), contacts)
    if deals and not contacts:
        raise ValueError("сделкам нужен хотя бы один контакт")
    began = time.monotonic()
    with crm.store.lock, _uncollected():
        made = _contacts(crm, dice, contacts, asked)
        leads = _leads(crm, dice, made, deals, asked)
        for contact in made[:customers]:
            _customer(crm, contact)
        crm.store.version += 1
    answer: Json = {"contacts": contacts, "deals": deals, "customers": customers}
    answer |= {"contact_ids": _ends(made), "deal_ids": _ends(leads), "took_s": round(time.monotonic() - began, 2)}
    return plain(answer, 201)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Half a million records that live for ever: looking through them for garbage would take most of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _contacts(crm: Crm, dice: random.Random, count: int, asked: Json) -> list[Record]:
    definition = fields.by_code(crm, "contacts", "PHONE")
    enum = next(one for one in definition["enums"] if one["code"] == "MOB")
    without, same = int(asked.get("without_phone", 0)), int(asked.get("same_phone", 0))
    table, now_s = crm.rows("contacts"), crm.clock.now_s()
    years_s = int(asked.get("years", YEARS)) * 365 * DAY_S
    made: list[Record] = []
    phone = 0
    for number in range(count):
        contact = blank("contacts", crm.next_id("contacts"), now_s, crm.actor())
        contact["created_at"] = contact["updated_at"] = now_s - years_s + years_s * number // (count + 1)
        first, last = f"Покупатель{number % 97}", f"Номер{number}"
        contact.update(name=f"{first} {last}", first_name=first, last_name=last)
        contact.update(leads=[], customers=[], company_id=None)
        if dice.randrange(100) >= without:
            phone += int(phone == 0 or dice.randrange(100) >= same)
            value = f"+79{number_of(crm, phone):09d}"
            stored = {"value": value, "enum_id": enum["id"], "enum_code": "MOB"}
            contact["cf"][str(definition["id"])] = [stored]
            crm.phones.setdefault(digits(value), contact["id"])
        table[contact["id"]] = contact
        made.append(contact)
    return made


def number_of(crm: Crm, phone: int) -> int:
    """Nine digits of a Russian mobile number, another one for every bulk."""
    return (160_000_000 + len(crm.rows("contacts")) // 1_000_000 * 1_000_000 + phone) % 1_000_000_000


def _leads(crm: Crm, dice: random.Random, contacts: list[Record], count: int, asked: Json) -> list[Record]:
    table, now_s, pipeline = crm.rows("leads"), crm.clock.now_s(), crm.pipeline()
    years_s = int(asked.get("years", YEARS)) * 365 * DAY_S
    lost = float(asked.get("lost_share", LOST_SHARE))
    made = []
    for number in range(count):
        contact = contacts[dice.randrange(len(contacts))]
        lead = blank("leads", crm.next_id("leads"), now_s, crm.actor())
        created_s = now_s - years_s + (years_s - DAY_S) * number // (count + 1)
        closed_s = min(created_s + dice.randrange(10 * DAY_S), now_s - 60)
        lead.update(created_at=created_s, updated_at=closed_s, closed_at=closed_s, name=f"Заказ {number}")
        lead.update(price=dice.randrange(10, 300) * 100, pipeline_id=pipeline["id"], loss_reason_id=None)
        lead.update(status_id=LOST if dice.random() * 100 < lost else WON, company_id=None)
        lead["contacts"] = [{"id": contact["id"], "is_main": True}]
        contact["leads"].append(lead["id"])
        table[lead["id"]] = lead
        made.append(lead)
    return made


def _customer(crm: Crm, contact: Record) -> None:
    row = blank("customers", crm.next_id("customers"), int(contact["created_at"]), crm.actor())
    row.update(next_price=0, next_date=None, status_id=None, periodicity=0, segments=[], company_id=None)
    row.update(name=contact["name"], contacts=[{"id": contact["id"], "is_main": True}])
    row.update(ltv=0, purchases_count=0, bonus_points=0)
    contact["customers"].append(row["id"])
    crm.rows("customers")[row["id"]] = row


def _whole(asked: Json, key: str, most: int) -> int:
    count = int(asked.get(key) or 0)
    if not 0 <= count <= most:
        raise ValueError(f"{key}: от 0 до {most}")
    return count


def _ends(rows: list[Record]) -> list[int]:
    return [rows[0]["id"], rows[-1]["id"]] if rows else []
