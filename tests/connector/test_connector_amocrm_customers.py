from __future__ import annotations

from typing import Any

import pytest

from connector.amocrm.client import AmoCrm
from connector.amocrm.customers import CustomerChange, CustomerDraft
from connector.amocrm.notes import Note, NoteDraft
from connector.errors import (
    AccountUnpaid,
    BadReply,
    WrongMode,
)


def test_missing_segments_are_created_one_by_one_as_objects(crm: AmoCrm, amo: Any, gate: Any, directory: Any) -> None:
    amo.hal("GET", "/customers/segments", amo.rows("segments", {"id": 9, "name": "vip"}, {"id": 4, "name": "VIP "}))
    amo.hal("POST", "/customers/segments", {"id": 51, "name": "Стартовый"})

    found = crm.ensure_segments(directory, ["VIP", "Стартовый"])

    assert found == {"VIP": 4, "Стартовый": 51}
    assert amo.sent()["name"] == "Стартовый"
    assert crm.ensure_segments(directory, ["Стартовый"]) == {"Стартовый": 51}
    assert gate.turns == 2


def test_segments_in_the_wrong_mode_say_so(crm: AmoCrm, amo: Any, directory: Any) -> None:
    amo.web.add("GET", amo.api + "/customers/segments", status=422, json={"detail": "Не включен функционал сегментов"})

    with pytest.raises(WrongMode):
        crm.ensure_segments(directory, ["VIP"])


@pytest.mark.parametrize("box", ["customers", "leads"])
def test_created_customers_come_back_in_order_under_either_name(crm: AmoCrm, amo: Any, box: str) -> None:
    amo.hal("POST", "/customers", amo.rows(box, {"id": 2, "request_id": "b"}, {"id": 1, "request_id": "a"}))

    ids = crm.create_customers([CustomerDraft("Анна", (51,), "a"), CustomerDraft("Борис", (), "b")])

    assert ids == [1, 2]
    assert amo.sent()[0] == {"name": "Анна", "request_id": "a", "_embedded": {"segments": [{"id": 51}]}}


def test_fewer_customers_than_drafts_is_an_ambiguous_failure(crm: AmoCrm, amo: Any) -> None:
    amo.hal("POST", "/customers", amo.rows("customers"))

    with pytest.raises(BadReply) as caught:
        crm.create_customers([CustomerDraft("Анна", (), "a")])

    assert caught.value.ambiguous


def test_a_customer_is_changed_linked_and_found(crm: AmoCrm, amo: Any) -> None:
    amo.hal("PATCH", "/customers", amo.rows("leads", {"id": 1}))
    amo.hal("POST", "/customers/link", amo.rows("links"))
    box = {"segments": [{"id": 51}], "contacts": [{"id": 6}]}
    amo.hal("GET", "/customers", amo.rows("customers", {"id": 1, "name": "Анна", "_embedded": box}))

    crm.update_customers([CustomerChange(1, segment_ids=(51, 52)), CustomerChange(2, name="Борис")])
    crm.link_contacts_to_customers({1: 6})
    found = crm.find_customers("Анна")

    assert amo.sent(0) == [{"id": 1, "_embedded": {"segments": [{"id": 51}, {"id": 52}]}}, {"id": 2, "name": "Борис"}]
    assert amo.sent(1) == [{"entity_id": 1, "to_entity_id": 6, "to_entity_type": "contacts"}]
    assert [(one.id, one.segment_ids, one.contact_ids) for one in found] == [(1, (51,), (6,))]
    assert crm.customers([1])[1] == found[0]


def test_the_mode_of_customers_is_set_or_the_tariff_is_named(crm: AmoCrm, amo: Any) -> None:
    amo.web.add("PATCH", amo.api + "/customers/mode", status=402, json={"detail": "tariff"})

    with pytest.raises(AccountUnpaid):
        crm.set_customers_mode("segments")

    assert amo.sent() == {"mode": "segments", "is_enabled": True}


def test_notes_are_read_and_added_without_starting_triggers(crm: AmoCrm, amo: Any) -> None:
    amo.hal("GET", "/leads/7/notes", amo.rows("notes", {"id": 1, "params": {"text": "было"}}, {"id": 2, "params": []}))
    amo.hal("POST", "/leads/notes", amo.rows("notes", {"id": 3}, {"id": 4}))

    assert crm.deal_notes(7) == [Note(1, "было"), Note(2, "")]
    assert crm.add_notes([NoteDraft(7, "стало"), NoteDraft(8, "и тут")]) == [3, 4]

    first = amo.sent()[0]
    assert (first["entity_id"], first["note_type"], first["params"]) == (7, "common", {"text": "стало"})
    assert first["is_need_to_trigger_digital_pipeline"] is False


def test_subscriptions_are_listed_made_and_removed_without_showing_the_address(crm: AmoCrm, amo: Any) -> None:
    row = {"id": 1, "destination": "https://shop/webhooks/amocrm/secret", "disabled": True, "settings": ["status_lead"]}
    amo.hal("GET", "/webhooks", amo.rows("webhooks", row))
    amo.hal("POST", "/webhooks", row, status=201)
    amo.web.add("DELETE", amo.api + "/webhooks", status=204)

    listed = crm.webhooks()
    crm.subscribe("https://shop/hook", ["status_lead", "update_lead"])
    crm.unsubscribe("https://shop/hook")

    assert (listed[0].is_disabled, listed[0].settings) == (True, ("status_lead",))
    assert "secret" not in repr(listed)
    assert amo.sent(1) == {"destination": "https://shop/hook", "settings": ["status_lead", "update_lead"]}
    assert amo.sent(2) == {"destination": "https://shop/hook"}
