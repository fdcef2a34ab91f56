"""What a manager does in cards: fills in fields, deletes deals. amoCRM reference 3.3, 4.1, 4.2, 4.4."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import requests

Api = Callable[..., requests.Response]
HOOK = "/hook"
GOLDEN = Path(__file__).parent / "golden"
DEAL, ANNA = 10_000_001, 20_000_001
REDEEM = "Списать бонусов"


@pytest.fixture
def redeem(api: Api) -> int:
    """The field that the manager types into, as the product makes it."""
    body = [{"name": REDEEM, "type": "numeric", "code": "KOPILKA_REDEEM", "is_api_only": False}]
    field_id: int = api("POST", "/leads/custom_fields", body).json()["_embedded"]["custom_fields"][0]["id"]
    return field_id


def subscribe(crm: Any, receiver: Any, *settings: str) -> None:
    crm.post("/sim/hook", {"destination": receiver.url + HOOK, "settings": list(settings)})


def told(body: bytes) -> str:
    """A hook's body line by line; times are NOW."""
    lines = "".join(f"{key}={value}\n" for key, value in parse_qsl(body.decode(), strict_parsing=True))
    return re.sub(r"=17723664\d\d\n", "=NOW\n", lines)


def of_deal(crm: Any, deal_id: int = DEAL) -> dict[str, Any]:
    return dict(crm.get(f"/sim/state?deal={deal_id}")["deals"][0]["fields"])


def refusal(crm: Any, path: str, body: Any) -> tuple[int, str]:
    answer = requests.post(crm.url + path, json=body, timeout=5)
    return answer.status_code, answer.json()["error"]


def test_fields_of_deals_are_defined_over_the_api_once_per_code(api: Api, redeem: int) -> None:
    listed = api("GET", "/leads/custom_fields?limit=250").json()["_embedded"]["custom_fields"]
    twin = api("POST", "/leads/custom_fields", [{"name": "Другое", "type": "text", "code": "KOPILKA_REDEEM"}])
    strange = api("POST", "/leads/custom_fields", [{"name": "Другое", "type": "thought"}])

    mine = next(row for row in listed if row["id"] == redeem)
    assert (mine["name"], mine["type"], mine["entity_type"], mine["is_api_only"]) == (REDEEM, "numeric", "leads", False)
    assert (twin.status_code, strange.status_code) == (400, 400)
    assert api("GET", f"/contacts/custom_fields/{redeem}").status_code == 204


def test_a_deals_fields_are_written_and_read_back(api: Api, crm: Any, redeem: int) -> None:
    body = [{"id": DEAL, "custom_fields_values": [{"field_id": redeem, "values": [{"value": 500}]}]}]

    written = api("PATCH", "/leads", body)

    assert written.status_code == 200
    assert set(written.json()["_embedded"]["leads"][0]) == {"id", "updated_at", "request_id", "_links"}
    assert api("GET", f"/leads/{DEAL}").json()["custom_fields_values"] == [
        {
            "field_id": redeem,
            "field_name": REDEEM,
            "field_code": "KOPILKA_REDEEM",
            "field_type": "numeric",
            "values": [{"value": "500"}],
        }
    ]
    assert of_deal(crm) == {REDEEM: "500"}


def test_a_deal_with_a_wrong_field_or_value_refuses_the_whole_batch(api: Api, crm: Any, redeem: int) -> None:
    good = {"id": DEAL, "custom_fields_values": [{"field_id": redeem, "values": [{"value": 500}]}]}
    of_contacts = api("GET", "/contacts/custom_fields").json()["_embedded"]["custom_fields"][0]["id"]
    wrong = [
        {"field_id": redeem, "values": [{"value": "много"}]},
        {"field_id": of_contacts, "values": [{"value": "x"}]},
        {"field_code": "KOPILKA_REDEEM", "values": 5},
    ]

    answer = api("PATCH", "/leads", [good, {"id": DEAL + 1, "custom_fields_values": wrong}])

    assert answer.status_code == 400
    [listed] = answer.json()["validation-errors"]
    assert [(found["code"], found["path"]) for found in listed["errors"]] == [
        ("InvalidType", "custom_fields_values.0.values.0.value"),
        ("NotSupportedChoice", "custom_fields_values.1.field_id"),
        ("InvalidType", "custom_fields_values.2.values"),
    ]
    assert of_deal(crm) == {}


@pytest.mark.parametrize("hand", ["manager", "api"])
def test_a_changed_field_is_told_in_the_golden_words(crm: Any, receiver: Any, api: Api, redeem: int, hand: str) -> None:
    crm.post("/sim/clock", {"at": "2026-03-01T12:00:00+00:00"})
    crm.post("/sim/reset")
    field = {"name": REDEEM, "type": "numeric", "code": "KOPILKA_REDEEM"}
    api("POST", "/leads/custom_fields", [field])
    subscribe(crm, receiver, "update_lead", "status_lead")

    if hand == "manager":
        crm.post(f"/sim/deals/{DEAL}/fields", {REDEEM: 500})
    else:
        values = [{"field_code": "KOPILKA_REDEEM", "values": [{"value": 500}]}]
        api("PATCH", f"/leads/{DEAL}", {"custom_fields_values": values})

    [body] = receiver.wait_for(HOOK, 1)
    assert told(body) == (GOLDEN / f"leads_update_field_{hand}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("typed", "kept"), [(500, "500"), ("1 500", "1500"), ("12,50", "12.50"), (0, "0"), ("-5", "-5")]
)
def test_the_manager_types_a_number_as_people_do(crm: Any, redeem: int, typed: object, kept: str) -> None:
    deal = crm.post(f"/sim/deals/{DEAL}/fields", {"  списать   бонусов ": typed})

    assert deal["fields"] == of_deal(crm) == {REDEEM: kept}


@pytest.mark.parametrize("nothing", [None, ""])
def test_an_emptied_field_is_empty_and_an_equal_one_is_not_told(
    crm: Any, receiver: Any, redeem: int, nothing: object
) -> None:
    crm.post(f"/sim/deals/{DEAL}/fields", {REDEEM: 500})
    subscribe(crm, receiver, "update_lead")

    crm.post(f"/sim/deals/{DEAL}/fields", {REDEEM: "500"})
    crm.post(f"/sim/deals/{DEAL}/fields", {REDEEM: nothing})

    [body] = receiver.wait_for(HOOK, 1)
    assert b"custom_fields" not in body
    assert of_deal(crm) == {}
    assert crm.get("/sim/hooks")["waiting"] == 0
    assert len(crm.get("/sim/hooks")["deliveries"]) == 1


def test_what_a_manager_cannot_type_is_explained(crm: Any, api: Api, redeem: int) -> None:
    api("POST", "/leads/custom_fields", [{"name": "Бонусы: ответ", "type": "text", "is_api_only": True}])
    path = f"/sim/deals/{DEAL}/fields"

    assert refusal(crm, path, {"Нет такого": 1}) == (404, "нет поля «Нет такого»")
    assert refusal(crm, path, {REDEEM: "много"}) == (400, f"поле «{REDEEM}» не принимает «много»")
    assert refusal(crm, path, {"Бонусы: ответ": "x"}) == (400, "поле «Бонусы: ответ» заполняет только интеграция")
    assert refusal(crm, "/sim/deals/1/fields", {REDEEM: 1}) == (404, "нет сделки 1")
    assert of_deal(crm) == {}


def test_the_card_shows_the_deals_fields_and_offers_only_those_for_people(crm: Any, api: Api, redeem: int) -> None:
    api("POST", "/leads/custom_fields", [{"name": "Бонусы: ответ", "type": "text", "is_api_only": True}])
    crm.post(f"/sim/deals/{DEAL}/fields", {REDEEM: 777})

    page = requests.get(f"{crm.url}/deals/{DEAL}", timeout=5).text

    assert "777" in page
    assert f"Изменить поле «{REDEEM}»" in page
    assert "<th>Бонусы: ответ</th>" in page
    assert "Изменить поле «Бонусы: ответ»" not in page


def test_a_deal_may_bring_its_buyers_address_and_birthday(crm: Any, api: Api, receiver: Any) -> None:
    subscribe(crm, receiver, "add_contact", "update_contact")
    person = {"name": "Ева", "phone": "+79990001122", "email": "eva@example.ru", "birthday": "1990-05-17"}

    made = crm.post("/sim/deals", {"name": "Заказ", "contact": person})
    known = crm.post("/sim/deals", {"name": "Ещё", "contact": {**person, "email": "e@example.ru"}})
    crm.post("/sim/deals", {"name": "И ещё", "contact": {"name": "Ева", "phone": person["phone"]}})

    values = api("GET", f"/contacts/{made['contact_id']}").json()["custom_fields_values"]
    by_code = {row["field_code"] or row["field_type"]: row["values"][0]["value"] for row in values}
    assert known["contact_id"] == made["contact_id"]
    assert by_code == {"PHONE": "+79990001122", "EMAIL": "e@example.ru", "birthday": 642_888_000}
    bodies = receiver.wait_for(HOOK, 2)
    assert sorted(body.split(b"%5D")[0] for body in bodies) == [b"contacts%5Badd", b"contacts%5Bupdate"]
    assert refusal(crm, "/sim/deals", {"contact": {**person, "birthday": "в мае"}})[0] == 400


@pytest.mark.parametrize(
    ("kind", "written", "read"),
    [
        ("date", 1_634_601_600, 1_634_590_800),
        ("birthday", "1950-04-21", -621_658_800),
        ("birthday", "1990-05-17T15:00:00+00:00", 642_888_000),
        ("date_time", 1_634_601_600, 1_634_601_600),
    ],
)
def test_a_day_is_kept_as_the_midnight_of_the_accounts_zone(api: Api, kind: str, written: object, read: int) -> None:
    api("POST", "/contacts/custom_fields", [{"name": "День", "type": kind, "code": "DAY"}])
    values = [{"field_code": "DAY", "values": [{"value": written}]}]
    api("PATCH", f"/contacts/{ANNA}", {"custom_fields_values": values})

    fields = api("GET", f"/contacts/{ANNA}").json()["custom_fields_values"]

    assert next(row["values"] for row in fields if row["field_code"] == "DAY") == [{"value": read}]


def test_a_lost_deal_is_told_as_moved_to_143_and_a_deleted_one_as_deleted(crm: Any, receiver: Any, api: Api) -> None:
    subscribe(crm, receiver, "status_lead", "delete_lead")

    crm.post(f"/sim/deals/{DEAL}/move", {"status": "Закрыто и не реализовано"})
    [lost] = receiver.wait_for(HOOK, 1)
    crm.post(f"/sim/deals/{DEAL}/delete")
    deleted = receiver.wait_for(HOOK, 2)[1]

    assert "leads[status][0][status_id]=143\n" in told(lost)
    assert told(deleted).splitlines()[:3] == [
        f"leads[delete][0][id]={DEAL}",
        "leads[delete][0][status_id]=143",
        "leads[delete][0][pipeline_id]=8000001",
    ]
    assert api("GET", f"/leads/{DEAL}").status_code == 204
    assert api("GET", f"/contacts/{ANNA}?with=leads").json()["_embedded"]["leads"] == []
    assert requests.get(f"{crm.url}/deals/{DEAL}", timeout=5).status_code == 404
    assert refusal(crm, f"/sim/deals/{DEAL}/delete", {}) == (404, f"нет сделки {DEAL}")
