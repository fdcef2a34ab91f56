from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from connector.amocrm.api import PAGE_ROWS
from connector.amocrm.changes import EVENT_PAGES_MAX, EVENT_ROWS, PAGES_MAX, ListIsLonger, TooManyEvents
from connector.amocrm.client import AmoCrm
from connector.amocrm.contacts import ContactChange, contact_diff
from connector.amocrm.leads import Deal, DealChange, Pipeline, deal_diff
from connector.amocrm.reading import date_value
from connector.amocrm.values import same_value
from connector.errors import (
    BadReply,
)


def _lead(lead_id: int = 7, **more: object) -> dict[str, object]:
    known = {"id": lead_id, "name": "Заказ", "pipeline_id": 77, "status_id": 142, "price": 3000, "is_deleted": False}
    contacts = [{"id": 5, "is_main": False}, {"id": 6, "is_main": True}]
    return {**known, "updated_at": 1760976072, "_embedded": {"contacts": contacts}, **more}


def test_deals_are_read_in_one_request_and_an_unknown_one_is_absent(crm: AmoCrm, gate: Any, amo: Any) -> None:
    amo.hal("GET", "/leads", amo.rows("leads", _lead()))

    deals = crm.deals([8, 7, 7])

    instant = datetime(2025, 10, 20, 16, 1, 12, tzinfo=UTC)
    assert deals == {7: Deal(7, "Заказ", 77, 142, 300_000, 6, is_deleted=False, updated_at=instant, contact_ids=(5, 6))}
    assert gate.turns == 1
    assert amo.query() == [
        ("filter[id][0]", "7"),
        ("filter[id][1]", "8"),
        ("with", "contacts"),
        ("limit", "250"),
    ]


def test_many_deals_are_read_in_addresses_of_bounded_length(crm: AmoCrm, gate: Any, amo: Any) -> None:
    amo.web.add("GET", amo.api + "/leads", status=204)

    assert crm.deals(range(10**9, 10**9 + 400)) == {}

    assert gate.turns == 3
    assert max(len(call.request.url) for call in amo.web.calls) < 8000


class ListThatMoves:
    """amoCRM's list of deals by the time of their change: after every answer its first row is changed anew."""

    def __init__(self, count: int, second: int) -> None:
        self.rows = [(second, number) for number in range(1, count + 1)]
        self.now = second

    def answer(self, request: Any) -> tuple[int, dict[str, str], str]:
        query = dict(parse_qsl(urlsplit(request.url).query))
        since, page = int(query["filter[updated_at][from]"]), int(query["page"])
        listed = sorted(row for row in self.rows if row[0] >= since)[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
        self.now += 1
        self.rows = [*sorted(self.rows)[1:], (self.now, min(self.rows)[1])]
        deals = [{"id": number, "updated_at": at} for at, number in listed]
        return 200, {"Content-Type": "application/hal+json"}, json.dumps({"_embedded": {"leads": deals}})


def test_a_second_of_many_pages_is_read_whole_though_its_rows_leave_it(crm: AmoCrm, amo: Any) -> None:
    moving = ListThatMoves(count=PAGE_ROWS * 3 + 7, second=1760976072)
    amo.web.add_callback("GET", amo.api + "/leads", moving.answer)

    seen = {deal.id for page in crm.changed_deals(datetime.fromtimestamp(1760976000, UTC)) for deal in page}

    assert seen == set(range(1, PAGE_ROWS * 3 + 8))


def test_a_list_longer_than_one_look_says_so_after_what_was_read(crm: AmoCrm, amo: Any) -> None:
    every_second = ListThatMoves(count=0, second=1760976072)
    every_second.rows = [(1760976072 + number, number) for number in range(1, PAGE_ROWS * PAGES_MAX + 9)]
    amo.web.add_callback("GET", amo.api + "/leads", every_second.answer)
    pages = crm.changed_deals(datetime.fromtimestamp(1760976000, UTC))
    read: list[int] = []

    with pytest.raises(ListIsLonger):
        read.extend(deal.id for page in pages for deal in page)

    assert len(amo.web.calls) == PAGES_MAX
    assert sorted(read)[: PAGE_ROWS * 30] == list(range(1, PAGE_ROWS * 30 + 1))


def _page(amo: Any, rows: int) -> dict[str, Any]:
    event = {"type": "lead_deleted", "entity_id": 7, "created_at": 1760976072}
    page: dict[str, Any] = amo.rows("events", *[event] * rows)
    return page


def test_thousands_of_deletions_are_read_page_by_page(crm: AmoCrm, gate: Any, amo: Any) -> None:
    for rows in [EVENT_ROWS] * 45 + [3]:
        amo.hal("GET", "/events", _page(amo, rows))

    found = [len(page) for page in crm.events(datetime(2025, 10, 1, tzinfo=UTC))]

    assert (sum(found), gate.turns) == (45 * EVENT_ROWS + 3, 46)


def test_a_log_without_an_end_is_left_with_what_was_read(crm: AmoCrm, amo: Any) -> None:
    amo.hal("GET", "/events", _page(amo, EVENT_ROWS))
    pages = crm.events(datetime(2025, 10, 1, tzinfo=UTC))

    read = [next(pages) for _ in range(EVENT_PAGES_MAX)]

    assert len(read) == EVENT_PAGES_MAX
    with pytest.raises(TooManyEvents):
        next(pages)


def test_no_deals_need_no_request(crm: AmoCrm, gate: Any) -> None:
    assert crm.deals([]) == {}
    assert gate.turns == 0


@pytest.mark.parametrize(
    ("price", "kopecks"),
    [
        ({"price": 3000}, 300_000),
        ({"price": 22500, "price_with_minor_units": 22500.55}, 2_250_055),
        ({"price": 22500, "price_with_minor_units": "22500.50"}, 2_250_050),
        ({"price": None}, 0),
        ({"price": -5}, 0),
        ({"price": 10.005}, 0),
        ({"price": "много"}, 0),
        ({"price": True}, 0),
    ],
)
def test_a_price_is_read_exactly_or_counts_as_none(
    crm: AmoCrm, amo: Any, price: dict[str, object], kopecks: int
) -> None:
    amo.hal("GET", "/leads", amo.rows("leads", _lead(**price)))

    assert crm.deals([7])[7].price_kopecks == kopecks


@pytest.mark.parametrize(("contacts", "main"), [([], None), ([{"id": 5}], 5), ([{"id": "x", "is_main": True}], None)])
def test_the_main_contact_is_found_or_is_none(crm: AmoCrm, amo: Any, contacts: object, main: int | None) -> None:
    amo.hal("GET", "/leads", amo.rows("leads", _lead(_embedded={"contacts": contacts})))

    assert crm.deals([7])[7].main_contact_id == main


@pytest.mark.parametrize("row", [{"id": None}, {"status_id": "142"}, {"pipeline_id": True}, {"id": 2**70}])
def test_a_deal_without_its_ids_is_a_bad_reply(crm: AmoCrm, amo: Any, row: dict[str, object]) -> None:
    amo.hal("GET", "/leads", amo.rows("leads", _lead(**row)))

    with pytest.raises(BadReply):
        crm.deals([7])


def test_pipelines_have_their_statuses(crm: AmoCrm, amo: Any) -> None:
    statuses = {"statuses": [{"id": 1, "name": "Новая"}, {"id": 142, "name": "Успешно реализовано"}]}
    amo.hal("GET", "/leads/pipelines", amo.rows("pipelines", {"id": 77, "name": "Продажи", "_embedded": statuses}))

    assert crm.pipelines() == [Pipeline(77, "Продажи", ((1, "Новая"), (142, "Успешно реализовано")))]


def test_contacts_come_with_customers_and_field_values(crm: AmoCrm, amo: Any) -> None:
    fields = [
        {"field_id": 1, "values": [{"value": "300"}]},
        {"field_id": 2, "values": [{"value": "+79990000000"}, {"value": "+79990000001"}]},
        {"field_id": 3, "values": []},
        {"field_id": 4, "values": None},
        "odd",
    ]
    row = {"id": 6, "name": "Анна", "first_name": None, "custom_fields_values": fields}
    amo.hal("GET", "/contacts", amo.rows("contacts", {**row, "_embedded": {"customers": [{"id": 9}]}}, {"id": 7}))

    contacts = crm.contacts([6, 7])

    assert contacts[6].customer_ids == (9,)
    assert contacts[6].field_values == {1: "300", 2: ("+79990000000", "+79990000001")}
    assert contacts[7].field_values == {}
    assert ("with", "customers") in amo.query()
    assert "Анна" not in repr(contacts[6])


def test_deals_come_with_all_their_contacts_and_field_values(crm: AmoCrm, amo: Any) -> None:
    fields = [
        {"field_id": 1, "field_code": "KOPILKA_REDEEM", "values": [{"value": "500"}]},
        {"field_id": 2, "field_code": None, "values": [{"value": "синий"}, {"value": "красный"}]},
        {"field_id": 3, "values": []},
    ]
    amo.hal("GET", "/leads", amo.rows("leads", _lead(custom_fields_values=fields), _lead(8, _embedded={})))

    deals = crm.deals([7, 8])

    assert (deals[7].contact_ids, deals[8].contact_ids) == ((5, 6), ())
    assert deals[7].field_values == {1: "500", 2: ("синий", "красный")}
    assert deals[8].field_values == {}


def test_all_phones_and_addresses_of_a_contact_are_read_as_typed_and_shown_to_nobody(crm: AmoCrm, amo: Any) -> None:
    fields = [
        {"field_id": 1, "field_code": "PHONE", "values": [{"value": "8 (916) 123-45-67"}, {"value": " 8-800 "}]},
        {"field_id": 2, "field_code": "EMAIL", "values": [{"value": "anna@example.ru", "enum_code": "WORK"}]},
        {"field_id": 3, "field_code": "PHONE", "values": [{"value": ""}, {"value": 7}, {"value": "8-800"}]},
        {"field_id": 4, "field_code": None, "values": [{"value": "+79990000000"}]},
    ]
    amo.hal("GET", "/contacts", amo.rows("contacts", {"id": 6, "custom_fields_values": fields}, {"id": 7}))

    contacts = crm.contacts([6, 7])

    assert contacts[6].phones == ("8 (916) 123-45-67", "8-800")
    assert contacts[6].emails == ("anna@example.ru",)
    assert (contacts[7].phones, contacts[7].emails) == ((), ())
    assert "916" not in repr(contacts[6])
    assert "anna" not in repr(contacts[6])


@pytest.mark.parametrize(
    ("stored", "day"),
    [
        (1634590800, date(2021, 10, 19)),  # the midnight of Moscow, as amoCRM gives a date back
        (1634601600, date(2021, 10, 19)),  # the midnight of UTC, as its old hooks do
        ("1634590800", date(2021, 10, 19)),
        (1634558400, date(2021, 10, 19)),  # the midnight of Kamchatka
        (1634616000, date(2021, 10, 19)),  # the midnight of Santiago
        (-621648000, date(1950, 4, 21)),
        (0, date(1970, 1, 1)),
        ("1990-05-17", date(1990, 5, 17)),
        ("1990-05-17T00:00:00+04:00", date(1990, 5, 17)),
        ("1990-05-16T20:00:00+00:00", date(1990, 5, 17)),
        ("1990-05-17 00:00:00", date(1990, 5, 17)),
        (" 17.05.1990 ", date(1990, 5, 17)),
        ("31.02.1990", None),
        ("17.05", None),
        ("в мае", None),
        ("", None),
        (None, None),
        (True, None),
        (1.5, None),
        (("1", "2"), None),
        (10**18, None),
        ("9" * 5000, None),
    ],
)
def test_a_day_is_read_from_any_zones_midnight_or_from_words(stored: object, day: date | None) -> None:
    assert date_value(stored) == day


def test_only_changed_fields_are_written(crm: AmoCrm, amo: Any) -> None:
    amo.hal("PATCH", "/contacts", amo.rows("contacts", {"id": 6}))

    crm.update_contacts([ContactChange(6, {1: 300, 2: "текст", 3: True, 4: None}), ContactChange(7, {})])

    assert amo.sent() == [
        {
            "id": 6,
            "custom_fields_values": [
                {"field_id": 1, "values": [{"value": 300}]},
                {"field_id": 2, "values": [{"value": "текст"}]},
                {"field_id": 3, "values": [{"value": True}]},
                {"field_id": 4, "values": None},
            ],
        }
    ]


def test_nothing_to_change_is_no_request(crm: AmoCrm, gate: Any) -> None:
    crm.update_contacts([])
    crm.update_contacts([ContactChange(1, {})])
    crm.update_deals([])
    crm.update_deals([DealChange(1, {})])
    crm.update_customers([])

    assert (crm.create_customers([]), crm.create_fields("leads", []), crm.add_notes([])) == ([], [], [])
    assert gate.turns == 0


def test_a_batch_over_the_limit_is_refused_before_sending(crm: AmoCrm, gate: Any) -> None:
    with pytest.raises(ValueError, match="50"):
        crm.update_contacts([ContactChange(number, {1: 1}) for number in range(51)])
    with pytest.raises(ValueError, match="50"):
        crm.update_deals([DealChange(number, {1: 1}) for number in range(51)])

    assert gate.turns == 0


@pytest.mark.parametrize(
    ("wanted", "stored", "is_same"),
    [
        (300, "300", True),
        (300, "300.0", True),
        (300, "301", False),
        (0, None, False),
        (0, "0", True),
        (300, "много", False),
        (300, True, False),
        (None, None, True),
        (None, "", True),
        ("", None, True),
        (None, "x", False),
        ("x", "x", True),
        ("x", "y", False),
        ("x", ("x", "y"), False),
        (True, "1", True),
        (True, True, True),
        (False, None, True),
        (False, "0", True),
        (True, None, False),
        (True, "yes", False),
        (False, "yes", False),
    ],
)
def test_equal_values_are_recognised_as_amocrm_returns_them(wanted: Any, stored: object, is_same: bool) -> None:
    assert same_value(wanted, stored) is is_same


def test_the_difference_of_a_contact_is_minimal_or_nothing(crm: AmoCrm, amo: Any) -> None:
    row = {"id": 6, "custom_fields_values": [{"field_id": 1, "values": [{"value": "300"}]}]}
    amo.hal("GET", "/contacts", amo.rows("contacts", row))
    contact = crm.contacts([6])[6]

    assert contact_diff(contact, {1: 300, 2: None}) is None
    assert contact_diff(contact, {1: 300, 2: "новое"}) == ContactChange(6, {2: "новое"})


def test_a_deal_is_changed_in_its_fields_alone_and_only_where_they_differ(crm: AmoCrm, amo: Any) -> None:
    row = _lead(custom_fields_values=[{"field_id": 1, "values": [{"value": "300"}]}])
    amo.hal("GET", "/leads", amo.rows("leads", row))
    amo.hal("PATCH", "/leads", amo.rows("leads", {"id": 7}))
    deal = crm.deals([7])[7]

    assert deal_diff(deal, {1: 300, 2: None, 3: ""}) is None
    change = deal_diff(deal, {1: 200, 2: "Можно списать 200", 4: None})
    assert change == DealChange(7, {1: 200, 2: "Можно списать 200"})
    crm.update_deals([change, DealChange(8, {1: None}), DealChange(9, {})])

    assert amo.sent() == [
        {
            "id": 7,
            "custom_fields_values": [
                {"field_id": 1, "values": [{"value": 200}]},
                {"field_id": 2, "values": [{"value": "Можно списать 200"}]},
            ],
        },
        {"id": 8, "custom_fields_values": [{"field_id": 1, "values": None}]},
    ]
    assert "списать" not in repr(change)
