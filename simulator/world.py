"""The simulated amoCRM account: who is in it at the start, and the state that every endpoint shares.

Owns seeding and look-ups by name or phone. Does not speak HTTP.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from flask import current_app, g, has_request_context

from simulator import catalog_seed, fields
from simulator.clock import VirtualClock
from simulator.deliveries import Mailer
from simulator.faults import Faults
from simulator.listing import Index
from simulator.settings import Settings
from simulator.store import Record, Store

WON, LOST = 142, 143
ADMIN_ID, MANAGER_ID = 9000001, 9000002
USERS = (
    {"id": ADMIN_ID, "name": "Интеграция Копилка", "email": "integration@example.ru", "lang": "ru"},
    {"id": MANAGER_ID, "name": "Ольга, менеджер", "email": "olga@example.ru", "lang": "ru"},
)
SYSTEM_STATUSES = (("Успешно реализовано", "#CCFF66"), ("Закрыто и не реализовано", "#D5D8DB"))
SHOP_STATUSES = ("Новый заказ", "Ждёт оплаты", "Оплачен", "Отправлен", "Возврат")
STATUS_COLORS = ("#99ccff", "#ffff99", "#ccff66", "#ffcc66", "#ff8f92", "#e6e8ea")
WHOLESALE_STATUSES = ("Заявка", "Счёт выставлен")
ID_STARTS = {
    "leads": 10_000_001,
    "contacts": 20_000_001,
    "companies": 30_000_001,
    "customers": 1_000_001,
    "notes": 50_000_001,
    "tasks": 60_000_001,
    "fields": 700_001,
    "enums": 900_001,
    "list_fields": 880_001,
    "list_enums": 990_001,
    "segments": 41,
    "statuses": 64_000_001,
    "pipelines": 8_000_001,
    "webhooks": 839_656,
    "transactions": 134_643,
    "tags": 80_147,
    "catalogs": 5001,
    "elements": 1_500_001,
}
BIRTHDAY = "День рождения"
BUYERS = (("Анна Смирнова", "+79161234567"), ("Пётр Кузнецов", "+79037654321"), ("Мария Орлова", "+79261112233"))
GOODS = (("Кроссовки трейловые", 2990), ("Рюкзак 35 л", 5490), ("Термос 1 л", 1890))


@dataclass
class Crm:
    """Everything the CRM's endpoints need; `store.lock` guards all of it."""

    settings: Settings
    store: Store
    clock: VirtualClock
    faults: Faults
    mailer: Mailer
    phones: dict[str, int] = field(default_factory=dict)
    by_creation: dict[str, Index] = field(default_factory=dict)
    limiter: Any = None

    def next_id(self, kind: str) -> int:
        return self.store.next_id(kind, ID_STARTS[kind])

    def rows(self, table: str) -> dict[Any, Record]:
        return self.store.table(table)

    def actor(self) -> int:
        """The user on whose behalf the current call runs."""
        return int(g.get("user_id", MANAGER_ID)) if has_request_context() else MANAGER_ID

    def stamp(self, table: str, record: Record) -> None:
        """Marks a record as changed now by the actor."""
        record["updated_at"] = self.clock.now_s()
        record["updated_by"] = self.actor()
        self.store.touch(table, record["id"])

    def pipeline(self) -> Record:
        """The shop's pipeline."""
        name = self.settings.shop.pipeline
        return next(row for row in self.rows("pipelines").values() if row["name"] == name)

    def status_id(self, pipeline: Record, name: str) -> int:
        """A stage by its name. Raises LookupError."""
        for status in pipeline["statuses"]:
            if status["name"].casefold() == name.strip().casefold():
                return int(status["id"])
        raise LookupError(f"нет этапа «{name}»")

    def status_name(self, lead: Record) -> str:
        statuses = self.rows("pipelines")[lead["pipeline_id"]]["statuses"]
        return next((str(row["name"]) for row in statuses if row["id"] == lead["status_id"]), "?")

    def index_all_phones(self) -> None:
        """Builds the look-up anew; of several contacts with one phone the oldest is found."""
        self.phones.clear()
        for contact in self.rows("contacts").values():
            self.index_phones(contact)

    def index_phones(self, contact: Record) -> None:
        """Keeps the look-up of contacts by the last ten digits of a phone."""
        field_id = str(fields.by_code(self, "contacts", "PHONE")["id"])
        for value in contact["cf"].get(field_id, []):
            self.phones.setdefault(digits(value["value"]), contact["id"])


def the_crm() -> Crm:
    """The CRM that the running Flask application serves."""
    crm: Crm = current_app.extensions["crm"]
    return crm


def digits(text: object) -> str:
    """The last ten digits, the part of a Russian number that everybody writes the same way."""
    return "".join(char for char in str(text) if char.isdecimal())[-10:]


def blank(kind: str, record_id: int, now_s: int, user_id: int) -> Record:
    """The keys that leads, contacts, companies and customers have in common."""
    return {
        "id": record_id,
        "kind": kind,
        "name": "",
        "responsible_user_id": MANAGER_ID,
        "group_id": 0,
        "created_by": user_id,
        "updated_by": user_id,
        "created_at": now_s,
        "updated_at": now_s,
        "is_deleted": False,
        "cf": {},
        "tags": [],
    }


def open_account(crm: Crm) -> None:
    """Seeds an empty store, and rebuilds the indexes of one that was read back."""
    if not crm.rows("pipelines"):
        dice = random.Random(crm.settings.seed)
        _seed_pipelines(crm)
        _seed_fields(crm)
        _seed_shop(crm, dice)
    if not crm.rows("catalogs"):
        catalog_seed.seed(crm, crm.clock.now_s(), GOODS)
    crm.index_all_phones()


def _seed_pipelines(crm: Crm) -> None:
    shop = list(SHOP_STATUSES)
    if crm.settings.shop.paid_status not in (*shop, *(name for name, _color in SYSTEM_STATUSES)):
        shop.insert(2, crm.settings.shop.paid_status)
    for sort, (name, stages) in enumerate(((crm.settings.shop.pipeline, shop), ("Опт", WHOLESALE_STATUSES)), 1):
        pipeline_id = crm.next_id("pipelines")
        unsorted = _status(crm, pipeline_id, "Неразобранное", 10, "#c1c1c1", kind=1)
        own = [
            _status(crm, pipeline_id, stage, 10 * (index + 2), STATUS_COLORS[index % len(STATUS_COLORS)])
            for index, stage in enumerate(stages)
        ]
        final = [
            {**_status(crm, pipeline_id, text, 10000 + index * 1000, color, editable=False), "id": WON + index}
            for index, (text, color) in enumerate(SYSTEM_STATUSES)
        ]
        crm.store.put(
            "pipelines",
            pipeline_id,
            {
                "id": pipeline_id,
                "name": name,
                "sort": sort,
                "is_main": sort == 1,
                "is_unsorted_on": True,
                "is_archive": False,
                "account_id": crm.settings.crm.account_id,
                "statuses": [unsorted, *own, *final],
            },
        )


def _status(
    crm: Crm, pipeline_id: int, name: str, sort: int, color: str, *, kind: int = 0, editable: bool = True
) -> Record:
    return {
        "id": crm.next_id("statuses"),
        "name": name,
        "sort": sort,
        "is_editable": editable and kind == 0,
        "pipeline_id": pipeline_id,
        "color": color,
        "type": kind,
        "account_id": crm.settings.crm.account_id,
    }


def _seed_fields(crm: Crm) -> None:
    phone = [{"value": code, "code": code} for code in ("WORK", "WORKDD", "MOB", "FAX", "HOME", "OTHER")]
    email = [{"value": code, "code": code} for code in ("WORK", "PRIV", "OTHER")]
    for entity in ("contacts", "companies"):
        fields.define(crm, entity, {"name": "Телефон", "type": "multitext", "code": "PHONE", "enums": phone})
        fields.define(crm, entity, {"name": "Email", "type": "multitext", "code": "EMAIL", "enums": email})
    fields.define(crm, "contacts", {"name": "Должность", "type": "text", "code": "POSITION"})
    sources = [{"value": text} for text in ("Сайт", "Магазин", "Телеграм")]
    fields.define(crm, "leads", {"name": "Источник", "type": "select", "enums": sources})
    fields.define(crm, "leads", {"name": "Дата доставки", "type": "date"})
    fields.define(crm, "contacts", {"name": BIRTHDAY, "type": "birthday"})


def _seed_shop(crm: Crm, dice: random.Random) -> None:
    pipeline = crm.pipeline()
    for name, phone in BUYERS:
        contact = add_contact(crm, name, phone)
        goods, price = dice.choice(GOODS)
        add_lead(crm, f"Заказ: {goods}", price, contact, crm.status_id(pipeline, SHOP_STATUSES[0]))


def add_contact(crm: Crm, name: str, phone: str) -> Record:
    """A new contact with one mobile number, without any notification."""
    contact = blank("contacts", crm.next_id("contacts"), crm.clock.now_s(), crm.actor())
    first, _space, last = name.partition(" ")
    contact.update(name=name, first_name=first, last_name=last, leads=[], customers=[], company_id=None)
    if phone:
        field_row = fields.by_code(crm, "contacts", "PHONE")
        work = next(enum for enum in field_row["enums"] if enum["code"] == "MOB")
        contact["cf"][str(field_row["id"])] = [{"value": phone, "enum_id": work["id"], "enum_code": "MOB"}]
    crm.store.put("contacts", contact["id"], contact)
    crm.index_phones(contact)
    return contact


def add_lead(crm: Crm, name: str, price: float, contact: Record | None, status_id: int) -> Record:
    """A new deal of the shop's pipeline, without any notification. `price` is in roubles, as amoCRM keeps it."""
    lead = blank("leads", crm.next_id("leads"), crm.clock.now_s(), crm.actor())
    lead.update(
        name=name,
        price=price,
        status_id=status_id,
        pipeline_id=crm.pipeline()["id"],
        loss_reason_id=None,
        closed_at=crm.clock.now_s() if status_id in (WON, LOST) else None,
        contacts=[],
        company_id=None,
    )
    if contact is not None:
        lead["contacts"].append({"id": contact["id"], "is_main": True})
        contact["leads"].append(lead["id"])
        crm.store.touch("contacts", contact["id"])
    return crm.store.put("leads", lead["id"], lead)
