"""The simulated amoCRM API: amoCRM reference sections 2.2 to 2.5, 4 and 5."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

Api = Callable[..., requests.Response]


def text_field(api: Api, kind: str = "text", code: str = "X", entity: str = "contacts") -> int:
    body = [{"name": f"Поле {code}", "type": kind, "code": code, "is_api_only": True}]
    field_id: int = api("POST", f"/{entity}/custom_fields", body).json()["_embedded"]["custom_fields"][0]["id"]
    return field_id


def test_an_empty_list_is_204_without_a_body(api: Api) -> None:
    answers = [api("GET", "/companies"), api("GET", "/customers"), api("GET", "/leads?filter[id][]=1")]

    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b"")] * 3


def test_pages_are_linked_by_absolute_addresses_until_the_last(api: Api, crm: Any) -> None:
    page = api("GET", "/leads?limit=2")

    following = requests.get(
        page.json()["_links"]["next"]["href"], headers={"Authorization": "Bearer ll-token"}, timeout=5
    )

    assert page.headers["Content-Type"] == "application/hal+json"
    assert page.json()["_links"]["next"]["href"].startswith(f"{crm.url}/api/v4/leads?")
    assert [len(answer.json()["_embedded"]["leads"]) for answer in (page, following)] == [2, 1]
    assert "next" not in following.json()["_links"]


def test_a_limit_over_250_is_refused_as_a_problem(api: Api) -> None:
    answer = api("GET", "/leads?limit=251")

    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/leads", {"name": "x"}),
        ("PATCH", "/contacts", {"id": 20_000_001}),
        ("PATCH", "/leads/10000001", [{"name": "x"}]),
        ("POST", "/customers/segments", [{"name": "x"}]),
        ("POST", "/leads", []),
    ],
)
def test_arrays_and_objects_are_not_interchangeable(api: Api, method: str, path: str, body: Any) -> None:
    answer = api(method, path, body)

    assert answer.status_code == 400
    assert answer.json()["validation-errors"][0]["errors"][0]["code"] == "InvalidType"


def test_one_bad_item_refuses_the_whole_batch_and_names_its_path(api: Api) -> None:
    field_id = text_field(api)
    good = {"id": 20_000_001, "name": "Новое имя", "request_id": "a"}
    values = [{"field_id": field_id, "values": [{"value": 12}]}, {"field_id": 1, "values": [{"value": "x"}]}]
    bad = {"id": 20_000_002, "custom_fields_values": values, "request_id": "b"}

    answer = api("PATCH", "/contacts", [good, bad])

    assert answer.status_code == 400
    listed = answer.json()["validation-errors"]
    assert [item["request_id"] for item in listed] == ["b"]
    assert [(found["code"], found["path"]) for found in listed[0]["errors"]] == [
        ("InvalidType", "custom_fields_values.0.values.0.value"),
        ("NotSupportedChoice", "custom_fields_values.1.field_id"),
    ]
    assert api("GET", "/contacts/20000001").json()["name"] == "Анна Смирнова"


def test_request_ids_are_echoed_and_values_are_not(api: Api) -> None:
    answer = api("POST", "/contacts", [{"name": "Один", "request_id": "mine"}, {"name": "Два"}])

    rows = answer.json()["_embedded"]["contacts"]
    assert [row["request_id"] for row in rows] == ["mine", "1"]
    assert set(rows[0]) == {"id", "request_id", "_links"}


@pytest.mark.parametrize(
    ("kind", "written", "read"),
    [
        ("numeric", 12, "12"),
        ("numeric", "12.50", "12.50"),
        ("text", "слово", "слово"),
        ("url", "https://example.ru/c/1", "https://example.ru/c/1"),
        ("checkbox", True, True),
        ("date", "2026-03-01T00:00:00+03:00", 1772312400),
        ("date", 1772312400, 1772312400),
    ],
)
def test_values_are_read_back_in_the_type_of_their_field(api: Api, kind: str, written: Any, read: Any) -> None:
    field_id = text_field(api, kind)
    body = {"custom_fields_values": [{"field_code": "X", "values": [{"value": written}]}]}
    api("PATCH", "/contacts/20000001", body)

    values = api("GET", "/contacts/20000001").json()["custom_fields_values"]

    item = next(item for item in values if item["field_id"] == field_id)
    assert (item["field_code"], item["field_type"], item["values"]) == ("X", kind, [{"value": read}])


def test_an_omitted_field_stays_and_null_clears_it(api: Api, crm: Any) -> None:
    text_field(api)
    api("PATCH", "/contacts/20000001", {"custom_fields_values": [{"field_code": "X", "values": [{"value": "1"}]}]})

    api("PATCH", "/contacts/20000001", {"name": "Анна"})
    kept = crm.get("/sim/state")["contacts"][0]["fields"]
    api("PATCH", "/contacts/20000001", {"custom_fields_values": [{"field_code": "X", "values": None}]})
    cleared = crm.get("/sim/state")["contacts"][0]["fields"]

    assert kept == {"Телефон": "+79161234567", "Поле X": "1"}
    assert cleared == {"Телефон": "+79161234567"}


def test_a_deal_shows_its_contacts_only_when_asked(api: Api) -> None:
    plain = api("GET", "/leads/10000001").json()["_embedded"]
    asked = api("GET", "/leads/10000001?with=contacts").json()["_embedded"]

    assert "contacts" not in plain
    assert [(row["id"], row["is_main"]) for row in asked["contacts"]] == [(20_000_001, True)]


def test_deals_are_filtered_by_id_pipeline_status_and_time(api: Api, crm: Any) -> None:
    pipeline = api("GET", "/leads/pipelines").json()["_embedded"]["pipelines"][0]
    paid = next(row["id"] for row in pipeline["_embedded"]["statuses"] if row["name"] == "Оплачен")
    api("PATCH", "/leads/10000002", {"status_id": paid})
    crm.post("/sim/clock", {"skip_s": 1000})
    api("PATCH", "/leads/10000003", {"name": "позже"})
    later = api("GET", "/leads/10000003").json()["updated_at"]
    status = f"filter[statuses][0][pipeline_id]={pipeline['id']}&filter[statuses][0][status_id]={paid}"

    def found(query: str) -> list[int]:
        answer = api("GET", f"/leads?{query}")
        return [row["id"] for row in answer.json()["_embedded"]["leads"]] if answer.status_code == 200 else []

    assert found("filter[id][]=10000001&filter[id][]=10000003&filter[id][]=5") == [10_000_001, 10_000_003]
    assert found(f"filter[pipeline_id][]={pipeline['id']}") == [10_000_001, 10_000_002, 10_000_003]
    assert found(status) == [10_000_002]
    assert found(f"filter[updated_at][from]={later}") == [10_000_003]


def test_won_and_lost_have_the_same_numbers_in_every_pipeline(api: Api) -> None:
    pipelines = api("GET", "/leads/pipelines").json()["_embedded"]["pipelines"]

    for pipeline in pipelines:
        statuses = pipeline["_embedded"]["statuses"]
        assert [row["id"] for row in statuses[-2:]] == [142, 143]
        assert statuses[0]["type"] == 1
    assert len(pipelines) == 2


def test_a_contact_is_found_by_a_part_of_its_phone(api: Api) -> None:
    rows = api("GET", "/contacts?query=9161234567").json()["_embedded"]["contacts"]

    assert [row["id"] for row in rows] == [20_000_001]


def test_a_customer_gets_a_segment_a_contact_and_the_way_back(api: Api) -> None:
    segment = api("POST", "/customers/segments", {"name": "Стартовый"}).json()
    body = [{"name": "Анна", "_embedded": {"segments": [{"id": segment["id"]}]}}]
    customer_id = api("POST", "/customers", body).json()["_embedded"]["customers"][0]["id"]
    link = [{"to_entity_id": 20_000_001, "to_entity_type": "contacts", "metadata": {"is_main": True}}]
    for _ in range(2):
        linked = api("POST", f"/customers/{customer_id}/link", link)

    customer = api("GET", f"/customers/{customer_id}?with=contacts").json()
    contact = api("GET", "/contacts/20000001?with=customers").json()

    assert segment["color"] == "10599d"
    assert linked.json()["_embedded"]["links"][0]["metadata"] == {"main_contact": True}
    assert [row["id"] for row in customer["_embedded"]["segments"]] == [segment["id"]]
    assert [row["id"] for row in customer["_embedded"]["contacts"]] == [20_000_001]
    assert [row["id"] for row in contact["_embedded"]["customers"]] == [customer_id]
    assert api("GET", "/customers/segments").json()["_embedded"]["segments"][0]["customers_count"] == 1


def test_segments_answer_422_in_the_wrong_mode(api: Api) -> None:
    answer = api("PATCH", "/customers/mode", {"mode": "periodicity", "is_enabled": True})

    assert answer.status_code == 200
    assert api("GET", "/customers/segments").status_code == 422
    assert api("GET", "/account").json()["customers_mode"] == "periodicity"


def test_bonus_points_take_one_operation_and_never_show_the_balance(api: Api) -> None:
    customer_id = api("POST", "/customers", [{"name": "Анна"}]).json()["_embedded"]["customers"][0]["id"]
    path = f"/customers/{customer_id}/bonus_points"

    earned = api("POST", path, {"earn": 500}).json()
    redeemed = api("POST", path, {"redeem": 100}).json()

    assert (earned, redeemed) == ({"bonus_points": 500}, {"bonus_points": 400})
    assert api("POST", path, {"earn": 1, "redeem": 1}).status_code == 400
    assert api("POST", path, {"redeem": 401}).status_code == 400
    assert "bonus_points" not in api("GET", f"/customers/{customer_id}").json()


def test_purchases_count_and_can_be_taken_back(api: Api) -> None:
    customer_id = api("POST", "/customers", [{"name": "Анна"}]).json()["_embedded"]["customers"][0]["id"]
    path = f"/customers/{customer_id}/transactions?accrue_bonus=false"
    rows = api("POST", path, [{"price": 1000}, {"price": 501}]).json()["_embedded"]["transactions"]
    before = api("GET", f"/customers/{customer_id}").json()

    deleted = api("DELETE", f"/customers/transactions/{rows[0]['id']}")
    after = api("GET", f"/customers/{customer_id}").json()

    keys = ("ltv", "purchases_count", "average_check")
    assert [before[key] for key in keys] == [1501, 2, 750]
    assert deleted.status_code == 204
    assert [after[key] for key in keys] == [501, 1, 501]


def test_notes_and_tasks_are_kept_in_the_feed(api: Api, crm: Any) -> None:
    note = [{"note_type": "extended_service_message", "params": {"service": "Лояльность", "text": "+300"}}]
    written = api("POST", "/leads/10000001/notes", note)
    refused = api("POST", "/leads/10000001/notes", [{"note_type": "common", "params": {"text": 5}}])
    task = [{"text": "Позвонить", "complete_till": 1_800_000_000, "entity_id": 10_000_001, "entity_type": "leads"}]
    api("POST", "/tasks", task)

    state = crm.get("/sim/state?deal=10000001")

    assert written.json()["_embedded"]["notes"][0]["entity_id"] == 10_000_001
    assert refused.status_code == 400
    assert [(row["service"], row["text"]) for row in state["notes"]] == [("Лояльность", "+300")]
    assert [row["text"] for row in state["tasks"]] == ["Позвонить"]


def test_tags_are_replaced_or_edited(api: Api) -> None:
    api("PATCH", "/leads/10000001", {"_embedded": {"tags": [{"name": "один"}, {"name": "два"}]}})
    api("PATCH", "/leads/10000001", {"tags_to_add": [{"name": "три"}], "tags_to_delete": [{"name": "один"}]})

    tags = api("GET", "/leads/10000001").json()["_embedded"]["tags"]

    assert [tag["name"] for tag in tags] == ["два", "три"]


def test_a_call_without_a_live_token_gets_the_real_401(crm: Any) -> None:
    answer = requests.get(f"{crm.url}/api/v4/account", headers={"Authorization": "Bearer no"}, timeout=5)

    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json() == {
        "title": "Unauthorized",
        "type": "https://httpstatus.es/401",
        "status": 401,
        "detail": "Неверный логин или пароль",
    }


def test_an_unknown_path_and_garbage_are_problems_not_crashes(api: Api, crm: Any) -> None:
    unknown = api("GET", "/nothing")
    garbage = requests.post(
        f"{crm.url}/api/v4/leads", data=b"{", headers={"Authorization": "Bearer ll-token"}, timeout=5
    )
    strange = api("GET", "/leads?filter[updated_at][from]=x&page=2")

    assert [answer.status_code for answer in (unknown, garbage, strange)] == [404, 400, 400]
    assert unknown.json()["status"] == 404
