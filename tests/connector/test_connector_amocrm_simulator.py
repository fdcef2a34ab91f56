"""The client and the hook parser against the simulated amoCRM, over HTTP: fields of deals, echoes, merged contacts."""

from __future__ import annotations

import time
from datetime import date
from typing import Any

import pytest
from kopilka_testing import ACCOUNT_ID, CRM_TOKEN, SUBDOMAIN, Shop

from connector.amocrm.api import base_url_for
from connector.amocrm.auth import LongLivedToken
from connector.amocrm.client import AmoCrm
from connector.amocrm.fields import FieldSpec
from connector.amocrm.hooks import HookBody, HookEntity, parse_hook
from connector.amocrm.leads import DealChange, deal_diff
from connector.amocrm.reading import date_value
from connector.errors import FieldTypeMismatch, Refused
from connector.http import HttpClient

REDEEM = FieldSpec("Списать бонусов", "numeric", "KOPILKA_REDEEM", is_api_only=False)
ANSWER = FieldSpec("Бонусы: к оплате", "text", "KOPILKA_DUE")
LINK = FieldSpec("Бонусы: ссылка", "url", "KOPILKA_LINK")
BURNS = FieldSpec("Бонусы: сгорят", "date", "KOPILKA_BURNS")
BIRTHDAY = FieldSpec("День рождения", "birthday", "KOPILKA_BIRTHDAY", is_api_only=False, other_types=("date",))
WANTED = {"redeem": REDEEM, "due": ANSWER, "link": LINK, "burns": BURNS}


@pytest.fixture
def amo_shop(shop: Shop, gate: Any, http: HttpClient) -> AmoCrm:
    """The client, connected to the simulated account."""
    return AmoCrm(base_url_for(SUBDOMAIN, override=shop.crm_url), LongLivedToken(CRM_TOKEN), gate, http)


class Ear:
    """Hears the hooks of the simulated account, from the moment when it starts to listen."""

    def __init__(self, shop: Shop, server: Any) -> None:
        self._shop = shop
        self._server = server

    def listen(self) -> None:
        self._shop.crm("POST", "/sim/hook", {"destination": f"{self._server.url}/hook"})

    def heard(self, count: int) -> list[HookBody]:
        """The hooks that came, read, once there are so many; their order is not certain."""
        deadline = time.monotonic() + 5
        while len(self._server.seen) < count:
            assert time.monotonic() < deadline, f"{len(self._server.seen)} hooks of {count}"
            time.sleep(0.01)
        return [parse_hook(body) for _method, _path, _headers, body in self._server.seen]


@pytest.fixture
def ear(shop: Shop, local_server: Any) -> Ear:
    return Ear(shop, local_server)


def test_the_fields_of_deals_are_made_once_and_the_manager_may_type_into_his(
    amo_shop: AmoCrm, shop: Shop, directory: Any
) -> None:
    deal_id, _ = shop.deal()
    with pytest.raises(AssertionError, match="нет поля"):
        shop.crm("POST", f"/sim/deals/{deal_id}/fields", {REDEEM.name: 500})

    ids = amo_shop.ensure_lead_fields(directory, WANTED, create=True)
    directory.content.clear()
    again = amo_shop.ensure_lead_fields(directory, WANTED, create=False)

    assert ids == again
    shop.crm("POST", f"/sim/deals/{deal_id}/fields", {REDEEM.name: 500})
    assert amo_shop.deals([deal_id])[deal_id].field_values == {ids["redeem"]: "500"}
    with pytest.raises(AssertionError, match="только интеграция"):
        shop.crm("POST", f"/sim/deals/{deal_id}/fields", {ANSWER.name: "x"})


def test_what_we_write_into_a_deal_comes_back_as_a_hook_that_finds_nothing_to_do(
    amo_shop: AmoCrm, shop: Shop, directory: Any, ear: Ear
) -> None:
    deal_id, contact_id = shop.deal(4_990)
    ids = amo_shop.ensure_lead_fields(directory, WANTED, create=True)
    wanted = {ids["redeem"]: 300, ids["due"]: "4 690 ₽", ids["link"]: "https://bonus.example.ru/c/1"}
    before = amo_shop.deals([deal_id])[deal_id]
    change = deal_diff(before, wanted)
    assert change is not None

    ear.listen()

    amo_shop.update_deals([change])

    [echo] = ear.heard(1)
    after = amo_shop.deals([deal_id])[deal_id]
    assert (echo.account_id, echo.problems) == (ACCOUNT_ID, ())
    assert echo.entities == (HookEntity("deal", "update", deal_id, after.status_id, after.pipeline_id),)
    assert deal_diff(after, wanted) is None
    assert (after.price_kopecks, after.status_id, after.name) == (before.price_kopecks, before.status_id, before.name)
    assert after.contact_ids == (contact_id,)
    assert shop.state(deal_id)["deals"][0]["fields"] == {
        REDEEM.name: "300",
        ANSWER.name: "4 690 ₽",
        LINK.name: "https://bonus.example.ru/c/1",
    }


def test_a_cleared_field_is_gone_and_the_others_stay(amo_shop: AmoCrm, shop: Shop, directory: Any) -> None:
    deal_id, _ = shop.deal()
    ids = amo_shop.ensure_lead_fields(directory, WANTED, create=True)
    amo_shop.update_deals([DealChange(deal_id, {ids["redeem"]: 300, ids["due"]: "x"})])

    amo_shop.update_deals([DealChange(deal_id, {ids["redeem"]: None})])

    assert amo_shop.deals([deal_id])[deal_id].field_values == {ids["due"]: "x"}


def test_a_field_that_is_gone_refuses_the_batch_and_changes_nothing(
    amo_shop: AmoCrm, shop: Shop, directory: Any
) -> None:
    first, _ = shop.deal()
    second, _ = shop.deal()
    ids = amo_shop.ensure_lead_fields(directory, WANTED, create=True)

    with pytest.raises(Refused) as caught:
        amo_shop.update_deals([DealChange(first, {ids["redeem"]: 1}), DealChange(second, {1: 1})])

    assert [(one.request_id, one.path) for one in caught.value.problems] == [("1", "custom_fields_values.0.field_id")]
    assert amo_shop.deals([first])[first].field_values == {}


def test_a_deal_field_of_another_type_is_not_taken(amo_shop: AmoCrm, shop: Shop, directory: Any) -> None:
    amo_shop.create_fields("leads", [FieldSpec(REDEEM.name, "text", "FOREIGN")])

    with pytest.raises(FieldTypeMismatch):
        amo_shop.ensure_lead_fields(directory, WANTED, create=True)


def test_a_contacts_phones_addresses_and_birthday_are_read(amo_shop: AmoCrm, shop: Shop, directory: Any) -> None:
    person = {"name": "Ева", "phone": "8 (999) 000-11-22", "email": "eva@example.ru", "birthday": "1990-05-17"}
    made = shop.crm("POST", "/sim/deals", {"name": "Заказ", "contact": person})
    phones = [person["phone"], "+7 999 000-11-23"]
    shop.crm("POST", f"/sim/contacts/{made['contact_id']}/fields", {"Телефон": phones})

    contact = amo_shop.contacts([made["contact_id"]])[made["contact_id"]]
    field_id = amo_shop.ensure_contact_fields(directory, {"birthday": BIRTHDAY}, create=False)["birthday"]

    assert (contact.phones, contact.emails) == (tuple(phones), ("eva@example.ru",))
    assert date_value(contact.field_values[field_id]) == date(1990, 5, 17)


def test_a_merge_names_the_contact_that_is_gone_and_the_deals_that_moved(
    amo_shop: AmoCrm, shop: Shop, ear: Ear
) -> None:
    deal_id, source = shop.deal()
    other = shop.crm("POST", "/sim/deals", {"name": "Другой", "contact": {"name": "Анна П.", "phone": "+79000000002"}})
    ear.listen()

    shop.crm("POST", "/sim/contacts/merge", {"from": source, "into": other["contact_id"]})

    named = {(one.kind, one.action, one.id) for body in ear.heard(3) for one in body.entities}
    assert named == {
        ("contact", "update", other["contact_id"]),
        ("deal", "update", deal_id),
        ("contact", "delete", source),
    }
    contacts = amo_shop.contacts([source, other["contact_id"]])
    assert set(contacts) == {other["contact_id"]}
    assert contacts[other["contact_id"]].phones == ("+79000000002", "+79000000001")
    deal = amo_shop.deals([deal_id])[deal_id]
    assert (deal.main_contact_id, deal.contact_ids) == (other["contact_id"], (other["contact_id"],))


def test_a_deleted_deal_is_named_and_no_longer_read(amo_shop: AmoCrm, shop: Shop, ear: Ear) -> None:
    deal_id, _ = shop.deal()
    ear.listen()

    shop.crm("POST", f"/sim/deals/{deal_id}/delete")

    assert [(one.kind, one.action, one.id) for one in ear.heard(1)[0].entities] == [("deal", "delete", deal_id)]
    assert amo_shop.deals([deal_id]) == {}
