"""Lists and invoices of the simulated amoCRM: reference sections 3.3, 3.4, 4.3 and 6."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import pytest
import requests

Api = Callable[..., requests.Response]
HOOK = "/hook"
DEAL = 10_000_001
PAID_AT = 1_760_976_072


def listed(api: Api, kind: str) -> int:
    """The id of the list of a type."""
    [row] = api("GET", f"/catalogs?filter[type]={kind}").json()["_embedded"]["catalogs"]
    catalog_id: int = row["id"]
    return catalog_id


def values(element: dict[str, Any]) -> dict[str, Any]:
    return {row["field_code"]: row["values"] for row in element["custom_fields_values"] or []}


def field(code: str, *written: dict[str, Any]) -> dict[str, Any]:
    return {"field_code": code, "values": list(written)}


def invoice(api: Api, *more: dict[str, Any], name: str = "Счёт") -> dict[str, Any]:
    item = {"name": name, "custom_fields_values": [field("BILL_STATUS", {"enum_code": "created"}), *more]}
    answer = api("POST", f"/catalogs/{listed(api, 'invoices')}/elements", [item])
    made: dict[str, Any] = answer.json()["_embedded"]["elements"][0]
    return made


def told(body: bytes) -> dict[str, str]:
    return dict(parse_qsl(body.decode(), strict_parsing=True, keep_blank_values=True))


def codes(answer: requests.Response) -> list[tuple[str, str]]:
    return [(row["code"], row["path"]) for row in answer.json()["validation-errors"][0]["errors"]]


def test_the_account_names_its_list_of_invoices(api: Api) -> None:
    rows = api("GET", "/catalogs").json()["_embedded"]["catalogs"]
    account = api("GET", "/account?with=invoices_settings").json()

    assert {row["type"] for row in rows} == {"invoices", "products", "regular"}
    assert account["invoices_settings"] == {"lang": "ru", "invoices_catalog_id": listed(api, "invoices")}
    assert "invoices_settings" not in api("GET", "/account").json()
    assert api("GET", f"/catalogs/{listed(api, 'invoices')}").json()["can_be_deleted"] is False
    goods = api("GET", f"/catalogs/{listed(api, 'products')}/elements").json()["_embedded"]["elements"]
    assert values(goods[0])["PRICE"] == [{"value": "2990"}]


def test_the_fields_of_invoices_have_their_codes(api: Api) -> None:
    rows = api("GET", f"/catalogs/{listed(api, 'invoices')}/custom_fields").json()["_embedded"]["custom_fields"]
    by_code = {row["code"]: row for row in rows}

    wanted = {"BILL_STATUS", "BILL_PRICE", "ITEMS", "PAYER", "BILL_PAYMENT_DATE", "BILL_COMMENT"}
    assert wanted <= set(by_code)
    statuses = [(row["code"], row["value"]) for row in by_code["BILL_STATUS"]["enums"]]
    assert statuses == [
        ("created", "Создан"),
        ("paid", "Оплачен"),
        ("paid_in_advance", "Оплачен в аванс"),
        ("partially_paid", "Частично оплачен"),
    ]
    assert {(row["entity_type"], row["catalog_id"]) for row in rows} == {("catalogs", listed(api, "invoices"))}


def test_an_acquirer_marks_an_invoice_paid(api: Api) -> None:
    made = invoice(api, field("BILL_PRICE", {"value": 2490.5}))
    path = f"/catalogs/{made['catalog_id']}/elements"
    paid = [field("BILL_STATUS", {"enum_code": "paid"}), field("BILL_PAYMENT_DATE", {"value": PAID_AT})]

    answer = api("PATCH", path, [{"id": made["id"], "custom_fields_values": paid, "request_id": "r7"}])

    assert answer.json()["_embedded"]["elements"][0]["request_id"] == "r7"
    element = api("GET", f"{path}/{made['id']}?with=invoice_link").json()
    found = values(element)
    assert (found["BILL_STATUS"][0]["enum_code"], found["BILL_STATUS"][0]["value"]) == ("paid", "Оплачен")
    assert (found["BILL_PAYMENT_DATE"], found["BILL_PRICE"]) == ([{"value": PAID_AT}], [{"value": "2490.5"}])
    assert element["invoice_link"].startswith("https://testshop.amocrm.ru/")
    assert "invoice_link" not in api("GET", f"{path}/{made['id']}").json()
    one = api("PATCH", f"{path}/{made['id']}", {"name": "Другой"}).json()
    assert (one["name"], values(one)["BILL_STATUS"][0]["enum_code"]) == ("Другой", "paid")


def test_positions_of_an_invoice_are_objects_whose_sums_are_reckoned(api: Api) -> None:
    position = {"description": "Кроссовки", "unit_price": 1500, "quantity": 2, "unit_type": "шт"}
    cheaper = {**position, "discount": {"type": "percentage", "value": 10}}

    made = invoice(api, field("ITEMS", {"value": position}, {"value": cheaper}))

    assert [row["value"]["total_sum"] for row in values(made)["ITEMS"]] == [3000, 2700]
    assert "BILL_PRICE" not in values(made)


@pytest.mark.parametrize(
    ("item", "found"),
    [
        ({"custom_fields_values": [field("BILL_STATUS", {"enum_code": "paid"})]}, ("FieldMissing", "name")),
        ({"name": "Счёт"}, ("FieldMissing", "custom_fields_values")),
        (
            {"name": "Счёт", "custom_fields_values": [field("BILL_STATUS", {"enum_code": "refunded"})]},
            ("NotSupportedChoice", "custom_fields_values.0.values.0.value"),
        ),
        (
            {"name": "Счёт", "custom_fields_values": [field("NO_SUCH", {"value": 1})]},
            ("NotSupportedChoice", "custom_fields_values.0.field_code"),
        ),
        (
            {"name": "Счёт", "custom_fields_values": [field("ITEMS", {"value": {"description": "x"}})]},
            ("InvalidType", "custom_fields_values.0.values.0.value"),
        ),
        ({"name": " "}, ("NotBlank", "name")),
    ],
)
def test_an_invoice_that_makes_no_sense_is_refused(api: Api, item: dict[str, Any], found: tuple[str, str]) -> None:
    answer = api("POST", f"/catalogs/{listed(api, 'invoices')}/elements", [item])

    assert answer.status_code == 400
    assert found in codes(answer)


def test_a_refused_batch_leaves_no_invoice(api: Api) -> None:
    path = f"/catalogs/{listed(api, 'invoices')}/elements"
    good = {"name": "Счёт", "custom_fields_values": [field("BILL_STATUS", {"enum_code": "created"})]}

    assert api("POST", path, [good, {"name": "Счёт"}]).status_code == 400
    assert api("GET", path).status_code == 204
    assert api("PATCH", path, [{"id": 1, "name": "x"}]).status_code == 400
    assert (api("GET", f"{path}/1").status_code, api("PATCH", f"{path}/1", {"name": "x"}).status_code) == (204, 404)
    assert api("GET", "/catalogs/1/elements").status_code == 404
    assert api("GET", "/catalogs/1/custom_fields").status_code == 404


def test_elements_are_found_by_id_and_by_words(api: Api) -> None:
    first, second = invoice(api, name="Счёт на кроссовки"), invoice(api, name="Счёт на рюкзак")
    path = f"/catalogs/{first['catalog_id']}/elements"

    def found(query: str) -> list[int]:
        return [row["id"] for row in api("GET", f"{path}?{query}").json()["_embedded"]["elements"]]

    assert found(f"filter[id][]={first['id']}") == [first["id"]]
    assert found(f"id[]={second['id']}") == [second["id"]]
    assert found("query=РЮКЗАК") == [second["id"]]
    assert found("limit=1&page=2") == [second["id"]]


def test_an_invoice_is_linked_to_a_deal_and_found_from_there(api: Api) -> None:
    made = invoice(api)
    to = {"to_entity_id": made["id"], "to_entity_type": "catalog_elements"}
    metadata = {"catalog_id": made["catalog_id"], "quantity": 1}

    nameless = api("POST", f"/leads/{DEAL}/link", [to])
    api("POST", f"/leads/{DEAL}/link", [{**to, "metadata": metadata}])

    assert codes(nameless) == [("FieldMissing", "metadata.catalog_id")]
    only = "filter[to_entity_type]=catalog_elements"
    for path in (f"/leads/{DEAL}/links?{only}", f"/leads/links?filter[entity_id][]={DEAL}&{only}"):
        [link] = api("GET", path).json()["_embedded"]["links"]
        assert (link["to_entity_id"], link["entity_id"]) == (made["id"], DEAL)
        assert link["metadata"] == {**metadata, "price_id": None}
    lead = api("GET", f"/leads/{DEAL}?with=catalog_elements").json()
    assert [row["id"] for row in lead["_embedded"]["catalog_elements"]] == [made["id"]]
    assert "catalog_elements" not in api("GET", f"/leads/{DEAL}").json()["_embedded"]
    element = api("GET", f"/catalogs/{made['catalog_id']}/elements/{made['id']}").json()
    assert values(element)["LINK_TO_LEAD"] == [{"value": f"https://testshop.amocrm.ru/leads/detail/{DEAL}"}]
    assert api("POST", f"/leads/{DEAL}/unlink", [{**to, "metadata": metadata}]).status_code == 204
    assert api("GET", f"/leads/{DEAL}/links?{only}").json()["_embedded"]["links"] == []


def test_people_tick_the_hooks_of_lists_and_the_api_cannot(crm: Any, api: Api, receiver: Any) -> None:
    refused = api("POST", "/webhooks", {"destination": receiver.url + HOOK, "settings": ["add_catalog"]})
    api("POST", "/webhooks", {"destination": receiver.url + HOOK, "settings": ["status_lead"]})
    crm.post("/sim/hook/lists", {})
    again = api("POST", "/webhooks", {"destination": receiver.url + HOOK, "settings": ["status_lead"]})

    made = invoice(api, field("ITEMS", {"value": {"description": "Кроссовки", "unit_price": 10, "quantity": 1}}))
    paid = [field("BILL_STATUS", {"enum_code": "paid"}), field("BILL_PAYMENT_DATE", {"value": PAID_AT})]
    api("PATCH", f"/catalogs/{made['catalog_id']}/elements", [{"id": made["id"], "custom_fields_values": paid}])
    crm.post(f"/sim/invoices/{made['id']}/delete")

    assert codes(refused) == [("NotSupportedChoice", "settings.0")]
    assert again.json()["settings"] == ["status_lead", "add_catalog", "update_catalog", "delete_catalog"]
    bodies = sorted((told(body) for body in receiver.wait_for(HOOK, 3)), key=lambda body: next(iter(body)))
    added, deleted, updated = bodies
    assert added["catalogs[add][0][id]"] == str(made["id"])
    assert added["catalogs[add][0][catalog_id]"] == str(made["catalog_id"])
    assert added["catalogs[add][0][custom_fields][0][code]"] == "BILL_STATUS"
    assert added["catalogs[add][0][custom_fields][0][values][0][value]"] == "Создан"
    assert added["catalogs[add][0][custom_fields][0][values][0][enum]"].isdecimal()
    assert added["catalogs[add][0][custom_fields][1][values][0][value][description]"] == "Кроссовки"
    assert updated["catalogs[update][0][custom_fields][0][values][0][value]"] == "Оплачен"
    assert updated["catalogs[update][0][custom_fields][2][values][0]"] == str(PAID_AT)
    assert {key for key in deleted if key.startswith("catalogs")} == {
        "catalogs[delete][0][id]",
        "catalogs[delete][0][catalog_id]",
    }
    assert deleted["account[subdomain]"] == "testshop"


def test_a_manager_bills_a_deal_and_sees_it_paid_on_its_page(crm: Any, api: Api) -> None:
    made = crm.post(f"/sim/deals/{DEAL}/invoice", {})
    items = [{"name": "Рюкзак", "price_roubles": 5490, "quantity": 2}, {"name": "Доставка", "price_roubles": 300.5}]
    second = crm.post(f"/sim/deals/{DEAL}/invoice", {"items": items, "comment": "до пятницы"})

    crm.post(f"/sim/invoices/{second['id']}", {"status": "paid"})

    deal = crm.get(f"/sim/state?deal={DEAL}")["deals"][0]
    assert [(row["id"], row["status"]) for row in deal["invoices"]] == [(made["id"], "created"), (second["id"], "paid")]
    assert (made["price_roubles"], made["items"][0]["description"]) == (deal["price_roubles"], deal["name"])
    assert (second["price_roubles"], second["comment"], second["name"]) == (11_280.5, "до пятницы", "Счёт № 2")
    assert crm.get(f"/sim/invoices/{second['id']}")["paid_at"] > PAID_AT
    element = api("GET", f"/catalogs/{made['catalog_id']}/elements/{made['id']}").json()
    assert values(element)["PAYER"][0]["value"]["entity_id"] == deal["contact_id"]
    page = requests.get(f"{crm.url}/deals/{DEAL}", timeout=5).text
    for words in ("Счета", "Счёт № 1", "11\u00a0280,50\u00a0₽", "Создан", "Оплачен"):
        assert words in page


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (f"/sim/deals/{DEAL}/invoice", {"status": "refunded"}, 400),
        (f"/sim/deals/{DEAL}/invoice", {"items": [{"name": "x", "price_roubles": "many"}]}, 400),
        ("/sim/deals/1/invoice", {}, 404),
        ("/sim/invoices/1", {"status": "paid"}, 404),
        ("/sim/lists", {}, 400),
    ],
)
def test_a_control_that_makes_no_sense_is_refused_in_words(crm: Any, path: str, body: Any, status: int) -> None:
    answer = requests.post(crm.url + path, json=body, timeout=5)

    assert (answer.status_code, bool(answer.json()["error"])) == (status, True)


def test_a_tariff_without_lists_answers_402_everywhere(crm: Any, api: Api) -> None:
    catalog_id = listed(api, "invoices")
    crm.post("/sim/lists", {"available": False})

    paths = ("/catalogs", f"/catalogs/{catalog_id}", f"/catalogs/{catalog_id}/elements")
    answers = [api("GET", path) for path in (*paths, f"/catalogs/{catalog_id}/custom_fields")]

    assert {answer.status_code for answer in answers} == {402}
    assert answers[0].headers["Content-Type"] == "application/problem+json"
    assert api("GET", "/account?with=invoices_settings").json()["invoices_settings"] is None
    assert requests.post(f"{crm.url}/sim/deals/{DEAL}/invoice", json={}, timeout=5).status_code == 400
    assert "Выставить счёт" not in requests.get(f"{crm.url}/deals/{DEAL}", timeout=5).text
    assert "Выставить счёт" in _page_after_reset(crm)


def _page_after_reset(crm: Any) -> str:
    crm.post("/sim/reset")
    return requests.get(f"{crm.url}/deals/{DEAL}", timeout=5).text


def test_the_file_says_whether_the_tariff_has_lists(start_server: Callable[..., Any]) -> None:
    server = start_server("crm", crm={"lists": False})

    answer = requests.get(f"{server.url}/api/v4/catalogs", headers={"Authorization": "Bearer ll-token"}, timeout=5)

    assert answer.status_code == 402


def test_lists_are_made_and_renamed_but_keep_their_type(api: Api) -> None:
    made = api("POST", "/catalogs", [{"name": "Склады", "type": "regular", "request_id": "a"}])
    row = made.json()["_embedded"]["catalogs"][0]

    renamed = api("PATCH", f"/catalogs/{row['id']}", {"name": "Магазины", "type": "invoices"}).json()
    field_made = api(
        "POST", f"/catalogs/{row['id']}/custom_fields", [{"name": "Город", "type": "text", "code": "CITY"}]
    )
    element = api(
        "POST",
        f"/catalogs/{row['id']}/elements",
        [{"name": "На Тверской", "custom_fields_values": [field("CITY", {"value": "Москва"})]}],
    ).json()["_embedded"]["elements"][0]

    assert (row["request_id"], renamed["name"], renamed["type"]) == ("a", "Магазины", "regular")
    assert field_made.status_code == 200
    assert values(element)["CITY"] == [{"value": "Москва"}]
    assert codes(api("POST", "/catalogs", [{"type": "weird"}])) == [
        ("FieldMissing", "name"),
        ("NotSupportedChoice", "type"),
    ]
