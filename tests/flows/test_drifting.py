"""A field that somebody emptied in the CRM is found by the night and put right; what agrees is left alone."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flow_desk import Desk, make_desk
from kopilka_testing import CRM_TOKEN, Shop, StandingClock, settle

from flows import nightly
from flows.runtime import Runtime

pytestmark = pytest.mark.slow


@pytest.fixture
def desk(rt: Runtime, shop: Shop, clock: StandingClock) -> Desk:
    return make_desk(rt, shop, clock)


def night(desk: Desk) -> str:
    [done] = nightly.run_due(desk.rt, now=desk.rt.now(), only="drift", at_once=True)
    assert done.error is None
    settle(desk.rt)
    return done.text


def test_a_field_emptied_in_the_crm_is_filled_again(desk: Desk) -> None:
    desk.opens()
    desk.bank_says()
    before = desk.shop.fields(desk.deal_id)
    assert night(desk) == "сверено контактов: 1, исправляем: 0"

    url, headers = f"{desk.shop.crm_url}/api/v4/contacts", {"Authorization": f"Bearer {CRM_TOKEN}"}
    fields = desk.shop.session.get(f"{url}/custom_fields", headers=headers, timeout=10).json()["_embedded"]
    balance = next(one["id"] for one in fields["custom_fields"] if one["name"] == "Бонусы: баланс")
    body = [{"id": desk.contact_id, "custom_fields_values": [{"field_id": balance, "values": None}]}]
    assert desk.shop.session.patch(url, json=body, headers=headers, timeout=10).status_code == 200
    assert desk.shop.fields(desk.deal_id) != before

    assert night(desk) == "сверено контактов: 1, исправляем: 1"

    assert desk.shop.fields(desk.deal_id) == before
    assert night(desk) == "сверено контактов: 1, исправляем: 0"


def test_a_night_goes_on_where_the_last_one_stopped(desk: Desk) -> None:
    desk.opens()
    desk.bank_says()
    desk.rt.directory.put("drift", {"after": desk.buyer})

    assert night(desk) == "сверено контактов: 0, исправляем: 0"
    assert night(desk) == "сверено контактов: 1, исправляем: 0", "round again"


def test_a_contact_that_is_gone_is_counted(desk: Desk) -> None:
    desk.opens()
    desk.bank_says()
    with desk.rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE member SET contact_ref = 999999999"))

    assert night(desk) == "сверено контактов: 1, исправляем: 0, контакта нет: 1"
