"""Merged and deleted contacts of the simulated amoCRM; how a merge is told is our assumption."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import requests

Api = Callable[..., requests.Response]
HOOK = "/hook"
GOLDEN = Path(__file__).parent / "golden"
DEAL, ANNA, PETR = 10_000_001, 20_000_001, 20_000_002
SETTINGS = ["update_contact", "delete_contact", "update_lead"]


def merge(crm: Any, source: int, target: int, **more: Any) -> Any:
    return crm.post("/sim/contacts/merge", {"from": source, "into": target, **more})


def values(api: Api, contact_id: int, code: str) -> list[str]:
    rows = api("GET", f"/contacts/{contact_id}").json()["custom_fields_values"]
    return [value["value"] for row in rows if row["field_code"] == code for value in row["values"]]


def fill(api: Api, contact_id: int, code: str, *texts: str) -> None:
    written = [{"field_code": code, "values": [{"value": text} for text in texts]}]
    assert api("PATCH", f"/contacts/{contact_id}", {"custom_fields_values": written}).status_code == 200


def test_a_merge_is_told_in_the_golden_words(crm: Any, receiver: Any) -> None:
    crm.post("/sim/clock", {"at": "2026-03-01T12:00:00+00:00"})
    crm.post("/sim/reset")
    crm.post("/sim/hook", {"destination": receiver.url + HOOK, "settings": SETTINGS})

    merge(crm, ANNA, PETR)

    bodies = {body.decode().split("%5B0")[0]: body for body in receiver.wait_for(HOOK, 3)}
    for name, key in (
        ("merge_contacts_update", "contacts%5Bupdate%5D"),
        ("merge_leads_update", "leads%5Bupdate%5D"),
        ("merge_contacts_delete", "contacts%5Bdelete%5D"),
    ):
        lines = "".join(f"{key}={value}\n" for key, value in parse_qsl(bodies[key].decode(), strict_parsing=True))
        told = re.sub(r"=17723664\d\d\n", "=NOW\n", lines)
        assert told == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


def test_the_merged_contact_has_the_deals_phones_and_addresses_of_both(crm: Any, api: Api) -> None:
    fill(api, ANNA, "EMAIL", "anna@example.ru", "both@example.ru")
    fill(api, PETR, "EMAIL", "both@example.ru")
    both = api("POST", "/leads", [{"name": "Общая", "_embedded": {"contacts": [{"id": PETR}, {"id": ANNA}]}}])
    shared = both.json()["_embedded"]["leads"][0]["id"]

    answer = merge(crm, ANNA, PETR)

    assert sorted(answer["deal_ids"]) == [DEAL, shared]
    assert values(api, PETR, "PHONE") == ["+79037654321", "+79161234567"]
    assert values(api, PETR, "EMAIL") == ["both@example.ru", "anna@example.ru"]
    assert api("GET", f"/contacts/{ANNA}").status_code == 204
    for deal_id in (DEAL, shared):
        linked = api("GET", f"/leads/{deal_id}?with=contacts").json()["_embedded"]["contacts"]
        assert [(row["id"], row["is_main"]) for row in linked] == [(PETR, True)]


def test_customers_and_notes_go_over_and_the_phone_finds_the_one_who_is_left(crm: Any, api: Api) -> None:
    customer_id = api("POST", "/customers", [{"name": "Анна"}]).json()["_embedded"]["customers"][0]["id"]
    api("POST", f"/customers/{customer_id}/link", [{"to_entity_id": ANNA, "to_entity_type": "contacts"}])
    api("POST", f"/contacts/{ANNA}/notes", [{"note_type": "common", "params": {"text": "любит синее"}}])

    merge(crm, ANNA, PETR)
    found = crm.post("/sim/deals", {"name": "Новая", "contact": {"name": "Кто-то", "phone": "8 916 123 45 67"}})

    contact = api("GET", f"/contacts/{PETR}?with=customers").json()
    notes = api("GET", f"/contacts/{PETR}/notes").json()["_embedded"]["notes"]
    assert [row["id"] for row in contact["_embedded"]["customers"]] == [customer_id]
    assert [row["params"]["text"] for row in notes] == ["любит синее"]
    assert found["contact_id"] == PETR


def test_a_merge_that_makes_no_sense_is_explained(crm: Any) -> None:
    def answer(body: Any) -> tuple[int, str]:
        got = requests.post(f"{crm.url}/sim/contacts/merge", json=body, timeout=5)
        return got.status_code, got.json()["error"]

    assert answer({"from": ANNA, "into": ANNA}) == (400, "контакт нельзя объединить с самим собой")
    assert answer({"from": 5, "into": ANNA}) == (404, "нет контакта 5")
    assert answer({"from": ANNA}) == (404, "нет контакта 0")


def test_a_deleted_contact_leaves_its_deals_and_the_next_one_becomes_main(crm: Any, api: Api, receiver: Any) -> None:
    api("POST", f"/leads/{DEAL}/link", [{"to_entity_id": PETR, "to_entity_type": "contacts"}])
    crm.post("/sim/hook", {"destination": receiver.url + HOOK, "settings": SETTINGS})

    crm.post(f"/sim/contacts/{ANNA}/delete")

    [body] = receiver.wait_for(HOOK, 1)
    assert parse_qsl(body.decode())[0] == ("contacts[delete][0][id]", str(ANNA))
    linked = api("GET", f"/leads/{DEAL}?with=contacts").json()["_embedded"]["contacts"]
    assert [(row["id"], row["is_main"]) for row in linked] == [(PETR, True)]
    assert api("GET", f"/contacts?filter[id][]={ANNA}").status_code == 204


def test_a_manager_gives_a_contact_several_phones(crm: Any, api: Api) -> None:
    crm.post(f"/sim/contacts/{ANNA}/fields", {"Телефон": ["+79161234567", "8 (800) 555-35-35"], "Должность": "швея"})

    assert values(api, ANNA, "PHONE") == ["+79161234567", "8 (800) 555-35-35"]
    assert values(api, ANNA, "POSITION") == ["швея"]
