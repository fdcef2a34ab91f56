"""Another program's client of amoCRM, taken from the package index, speaks with our simulator; and both clients see the
same account. It was written by people who know the real service and not us: where it fails, the simulator lies.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from amocrm.v2 import exceptions, filters
from amocrm.v2.interaction import GenericInteraction
from kopilka_testing import CRM_TOKEN, SUBDOMAIN, Shop
from requests.adapters import HTTPAdapter

from connector.amocrm.client import AmoCrm
from connector.amocrm.contacts import ContactChange
from connector.amocrm.notes import NoteDraft
from flows.runtime import Runtime

pytestmark = pytest.mark.slow


class ToSimulator(HTTPAdapter):
    """The client knows the account by its public name only: its requests end up at the simulator."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        parts = urlsplit(request.url)
        request.url = f"{self._url}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        return super().send(request, *args, **kwargs)


class Tokens:
    subdomain = SUBDOMAIN

    def get_access_token(self) -> str:
        return CRM_TOKEN


class Stranger(Tokens):
    def get_access_token(self) -> str:
        return "wrong"


@pytest.fixture
def peer(shop: Shop) -> Any:
    session = requests.Session()
    session.mount(f"https://{SUBDOMAIN}.amocrm.ru", ToSimulator(shop.crm_url))
    return lambda path, field=None: GenericInteraction(token_manager=Tokens(), session=session, path=path, field=field)


@pytest.fixture
def crm(rt: Runtime) -> AmoCrm:
    assert rt.crm is not None
    return rt.crm


def test_what_the_peer_makes_our_client_reads(peer: Any, crm: AmoCrm) -> None:
    phone = {"field_code": "PHONE", "values": [{"value": "+79161234567", "enum_code": "MOB"}]}
    contact = peer("contacts").create({"name": "Анна Петрова", "custom_fields_values": [phone]})
    deal = peer("leads").create(
        {"name": "Заказ", "price": 4990, "_embedded": {"contacts": [{"id": contact["id"], "is_main": True}]}}
    )

    ours = crm.deals([deal["id"]])[deal["id"]]

    assert (ours.name, ours.price_kopecks, ours.main_contact_id) == ("Заказ", 499_000, contact["id"])
    read = crm.contacts([contact["id"]])[contact["id"]]
    assert (read.name, read.phones) == ("Анна Петрова", ("+79161234567",))


def test_what_our_client_writes_the_peer_reads(peer: Any, crm: AmoCrm) -> None:
    field = peer("contacts/custom_fields", "custom_fields").create({"name": "Баланс соседа", "type": "numeric"})
    contact = peer("contacts").create({"name": "Борис"})
    deal = peer("leads").create({"name": "Заказ", "price": 100})

    crm.update_contacts([ContactChange(contact["id"], {field["id"]: 1_240})])
    crm.add_notes([NoteDraft(deal["id"], "Начислено 10 баллов")])

    values = {one["field_id"]: one["values"] for one in peer("contacts").get(contact["id"])["custom_fields_values"]}
    assert str(values[field["id"]][0]["value"]) == "1240"
    notes = list(peer(f"leads/{deal['id']}/notes", "notes").get_all())
    assert [one["params"]["text"] for one in notes] == ["Начислено 10 баллов"]


def test_the_peer_walks_all_pages_filters_and_orders(peer: Any) -> None:
    made = [peer("companies").create({"name": f"Магазин {number}"})["id"] for number in range(3)]

    pages = peer("companies")._all("companies", limit=2)
    walked = [row["id"] for page in pages for row in page["companies"]]
    newest = peer("companies").get_list(1, limit=3, filters=(), order={"id": "desc"})
    wanted = peer("companies").get_list(1, filters=(filters.SingleListFilter("id")(made[:2]),))

    assert set(made) <= set(walked)
    assert len(walked) == len(set(walked))
    assert [row["id"] for row in newest] == made[::-1]
    assert {row["id"] for row in wanted} == set(made[:2])


def test_the_peer_meets_the_refusals_it_knows(peer: Any) -> None:
    with pytest.raises(exceptions.ValidationError):
        peer("leads").create({"name": 7, "price": "дорого"})
    with pytest.raises(exceptions.NotFound):
        peer("contacts").get(999_999_999)
    stranger = peer("leads")
    stranger._token_manager = Stranger()
    with pytest.raises(exceptions.UnAuthorizedException):
        stranger.get_list(1, filters=())
