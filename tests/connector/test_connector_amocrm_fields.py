from __future__ import annotations

from typing import Any

import pytest

from connector.amocrm.client import AmoCrm
from connector.amocrm.fields import DIRECTORY_NAME, LEAD_DIRECTORY_NAME, FieldSpec
from connector.errors import (
    BadReply,
    FieldAmbiguous,
    FieldTypeMismatch,
    Refused,
)

BALANCE = FieldSpec("Баланс баллов", "numeric", "KOPILKA_BALANCE")
CARD = FieldSpec("Карта", "url", "KOPILKA_CARD")
WANTED = {"balance": BALANCE, "card": CARD}


def _field(field_id: int, spec: FieldSpec, **more: object) -> dict[str, object]:
    return {"id": field_id, "name": spec.name, "type": spec.type, "code": spec.code, "is_api_only": True, **more}


def test_fields_are_found_by_code_even_when_renamed_and_by_name_when_not_ours(
    crm: AmoCrm, amo: Any, directory: Any
) -> None:
    namesake = _field(3, BALANCE, code=None)
    renamed = _field(1, BALANCE, name="Бонусы")
    amo.hal("GET", "/contacts/custom_fields", amo.rows("custom_fields", namesake, renamed, _field(2, CARD, code=None)))

    assert crm.ensure_contact_fields(directory, WANTED, create=False) == {"balance": 1, "card": 2}


def test_known_fields_are_not_looked_up_again_until_forgotten(crm: AmoCrm, amo: Any, gate: Any, directory: Any) -> None:
    listing = amo.rows("custom_fields", _field(1, BALANCE), _field(2, CARD))
    amo.hal("GET", "/contacts/custom_fields", listing)
    crm.ensure_contact_fields(directory, WANTED, create=False)

    crm.ensure_contact_fields(directory, WANTED, create=False)
    assert gate.turns == 1
    crm.ensure_contact_fields(directory, {"balance": FieldSpec("Баллы", "numeric", "KOPILKA_BALANCE")}, create=False)
    assert gate.turns == 2
    directory.put(DIRECTORY_NAME, {})
    crm.ensure_contact_fields(directory, WANTED, create=False)
    assert gate.turns == 3


def test_missing_fields_are_created_read_only_with_our_codes(crm: AmoCrm, amo: Any, directory: Any) -> None:
    amo.web.add("GET", amo.api + "/contacts/custom_fields", status=204)
    created = [{"id": 12, "request_id": CARD.code}, {"id": 11, "request_id": BALANCE.code}]
    amo.hal("POST", "/contacts/custom_fields", amo.rows("custom_fields", *created))

    ids = crm.ensure_contact_fields(directory, WANTED, create=True)

    assert ids == {"balance": 11, "card": 12}
    assert [(one["name"], one["type"], one["code"], one["is_api_only"]) for one in amo.sent()] == [
        ("Баланс баллов", "numeric", "KOPILKA_BALANCE", True),
        ("Карта", "url", "KOPILKA_CARD", True),
    ]


def test_fields_of_deals_are_kept_apart_and_may_be_open_to_the_manager(crm: AmoCrm, amo: Any, directory: Any) -> None:
    redeem = FieldSpec("Списать бонусов", "numeric", "KOPILKA_REDEEM", is_api_only=False)
    amo.web.add("GET", amo.api + "/leads/custom_fields", status=204)
    amo.hal("POST", "/leads/custom_fields", amo.rows("custom_fields", {"id": 31, "request_id": "KOPILKA_REDEEM"}))

    ids = crm.ensure_lead_fields(directory, {"redeem": redeem}, create=True)

    assert ids == crm.ensure_lead_fields(directory, {"redeem": redeem}, create=True) == {"redeem": 31}
    assert list(directory.content) == [LEAD_DIRECTORY_NAME]
    assert amo.sent() == [
        {
            "name": "Списать бонусов",
            "type": "numeric",
            "code": "KOPILKA_REDEEM",
            "is_api_only": False,
            "request_id": "KOPILKA_REDEEM",
        }
    ]


def test_a_field_that_people_made_may_have_another_welcome_type(crm: AmoCrm, amo: Any, directory: Any) -> None:
    birthday = FieldSpec("День рождения", "birthday", "KOPILKA_BIRTHDAY", other_types=("date", "text"))
    listing = amo.rows("custom_fields", {"id": 5, "name": "День рождения", "type": "date", "code": None})
    amo.hal("GET", "/contacts/custom_fields", listing)

    assert crm.ensure_contact_fields(directory, {"birthday": birthday}, create=False) == {"birthday": 5}


def test_without_permission_to_create_a_missing_field_is_left_out_and_nothing_is_remembered(
    crm: AmoCrm, amo: Any, directory: Any
) -> None:
    amo.hal("GET", "/contacts/custom_fields", amo.rows("custom_fields", _field(1, BALANCE)))

    assert crm.ensure_contact_fields(directory, WANTED, create=False) == {"balance": 1}
    assert directory.content == {}


def test_two_creators_at_once_end_with_the_same_fields(crm: AmoCrm, amo: Any, directory: Any) -> None:
    amo.web.add("GET", amo.api + "/contacts/custom_fields", status=204)
    amo.web.add("POST", amo.api + "/contacts/custom_fields", status=400, json={"detail": "code is taken"})
    amo.hal("GET", "/contacts/custom_fields", amo.rows("custom_fields", _field(1, BALANCE), _field(2, CARD)))

    assert crm.ensure_contact_fields(directory, WANTED, create=True) == {"balance": 1, "card": 2}


def test_a_refused_creation_is_reported_when_nobody_else_created_the_field(
    crm: AmoCrm, amo: Any, directory: Any
) -> None:
    amo.web.add("GET", amo.api + "/contacts/custom_fields", status=204)
    amo.web.add("POST", amo.api + "/contacts/custom_fields", status=403, json={"detail": "no rights"})

    with pytest.raises(Refused):
        crm.ensure_contact_fields(directory, WANTED, create=True)


def test_a_field_of_another_type_is_named_with_its_id(crm: AmoCrm, amo: Any, directory: Any) -> None:
    amo.hal("GET", "/contacts/custom_fields", amo.rows("custom_fields", _field(1, BALANCE, type="text", code=None)))

    with pytest.raises(FieldTypeMismatch) as caught:
        crm.ensure_contact_fields(directory, WANTED, create=True)

    assert (caught.value.name, caught.value.field_id, caught.value.actual_type) == ("Баланс баллов", 1, "text")


def test_two_fields_of_one_name_are_a_question_for_a_person(crm: AmoCrm, amo: Any, directory: Any) -> None:
    twins = [_field(1, BALANCE, code=None), _field(2, BALANCE, code=None, name="баланс  Баллов ")]
    amo.hal("GET", "/contacts/custom_fields", amo.rows("custom_fields", *twins))

    with pytest.raises(FieldAmbiguous) as caught:
        crm.ensure_contact_fields(directory, WANTED, create=True)

    assert caught.value.field_ids == (1, 2)


def test_all_pages_are_read_without_following_links(crm: AmoCrm, amo: Any) -> None:
    next_link = {"next": {"href": "https://evil.example/steal"}}
    amo.hal("GET", "/contacts/custom_fields", amo.rows("custom_fields", _field(1, BALANCE), _links=next_link))
    amo.hal("GET", "/contacts/custom_fields", amo.rows("custom_fields", _field(2, CARD)))

    assert [field.id for field in crm.fields("contacts")] == [1, 2]
    assert [dict(amo.query(index))["page"] for index in (0, 1)] == ["1", "2"]


def test_endless_pages_end(crm: AmoCrm, amo: Any) -> None:
    amo.hal("GET", "/contacts/custom_fields", amo.rows("custom_fields", _links={"next": {"href": "x"}}))

    with pytest.raises(BadReply):
        crm.fields("contacts")
