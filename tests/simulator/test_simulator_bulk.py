"""A shop with years behind it at one stroke, and lists that are read in the order of their creation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

Api = Callable[..., requests.Response]
WALK = "/leads?limit=250&order[created_at]=asc"


def _bulk(crm: Any, **asked: int) -> dict[str, Any]:
    reply = requests.post(f"{crm.url}/sim/bulk", json=asked, timeout=30)
    assert reply.status_code == 201, reply.text
    return dict(reply.json())


def _leads(answer: requests.Response) -> list[dict[str, Any]]:
    return list(answer.json()["_embedded"]["leads"]) if answer.content else []


def test_a_bulk_makes_what_was_asked_for(api: Api, crm: Any) -> None:
    made = _bulk(crm, contacts=30, deals=90, customers=4, without_phone=20)

    first, last = made["deal_ids"]
    assert last - first == 89
    assert len(api("GET", "/customers?limit=250").json()["_embedded"]["customers"]) == 4
    contacts = api("GET", "/contacts?limit=250").json()["_embedded"]["contacts"]
    assert any(not one["custom_fields_values"] for one in contacts)
    deals = [one for one in _leads(api("GET", "/leads?limit=250&with=contacts")) if one["id"] >= first]
    assert all(one["closed_at"] and one["status_id"] == 142 and one["_embedded"]["contacts"] for one in deals)


@pytest.mark.parametrize("asked", [{"contacts": -1}, {"contacts": 0, "deals": 5}, {"contacts": 10**9}])
def test_a_bulk_that_makes_no_sense_is_refused(crm: Any, asked: dict[str, int]) -> None:
    assert requests.post(f"{crm.url}/sim/bulk", json=asked, timeout=5).status_code == 400


def test_the_order_of_creation_follows_what_is_made_and_changed(api: Api, crm: Any) -> None:
    _bulk(crm, contacts=5, deals=20)
    before = [one["id"] for one in _leads(api("GET", WALK))]
    oldest = api("POST", "/leads", [{"name": "Старая", "created_at": 1_000}]).json()["_embedded"]["leads"][0]["id"]
    api("PATCH", "/leads", [{"id": before[0], "created_at": 2_000_000_000}])

    after = [one["id"] for one in _leads(api("GET", WALK))]

    assert after == [oldest, *before[1:], before[0]]
    assert [one["id"] for one in _leads(api("GET", f"{WALK}&filter[created_at][to]=1000"))] == [oldest]


def test_every_way_through_a_list_sees_the_same_rows(api: Api, crm: Any) -> None:
    _bulk(crm, contacts=5, deals=30, lost_share=50)
    won = "filter[statuses][0][pipeline_id]=8000001&filter[statuses][0][status_id]=142"
    pages = [_leads(api("GET", f"/leads?limit=7&page={page}&order[id]=asc")) for page in range(1, 6)]
    by_id = [one["id"] for page in pages for one in page]

    assert by_id == [one["id"] for one in _leads(api("GET", "/leads?limit=250"))]
    assert by_id[::-1] == [one["id"] for one in _leads(api("GET", "/leads?limit=250&order[id]=desc"))]
    assert sorted(by_id) == sorted(one["id"] for one in _leads(api("GET", WALK)))
    chosen = {one["id"] for one in _leads(api("GET", f"/leads?limit=250&{won}"))}
    walked = [_leads(api("GET", f"{WALK.replace('250', '4')}&{won}&page={page}")) for page in range(1, 10)]
    assert {one["id"] for page in walked for one in page} == chosen
    assert 0 < len(chosen) < 30
