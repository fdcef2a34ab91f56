"""A person known by his phone is recognised when the CRM first speaks of him: no second member, no second welcome."""

from __future__ import annotations

import pytest
from flow_desk import Desk, make_desk
from kopilka_testing import CRM_TOKEN, Shop, StandingClock

from flows import people
from flows.people import Names, Person
from flows.runtime import Runtime

pytestmark = pytest.mark.slow
PHONE = "+79000000001"


@pytest.fixture
def desk(rt: Runtime, shop: Shop, clock: StandingClock) -> Desk:
    return make_desk(rt, shop, clock)


def members(desk: Desk) -> int:
    import sqlalchemy as sa

    with desk.rt.db.begin() as tx:
        return int(tx.execute(sa.text("SELECT count(*) FROM member")).scalar_one())


def test_who_was_known_by_his_phone_alone_is_the_buyer_of_his_first_deal(desk: Desk) -> None:
    known = people.create(desk.rt, Person("Анна", phone=PHONE)).id
    desk.world.give(known, 700)
    desk.opens(points=None)

    desk.bank_says()

    with desk.rt.db.begin() as tx:
        found = people.find(tx, Names(contact=desk.contact_id))
    assert (found.id, members(desk)) == (known, 1)
    assert found.balance.available >= 700
    assert desk.world.is_whole()


def test_a_phone_of_two_people_recognises_neither(desk: Desk) -> None:
    first = people.create(desk.rt, Person("Анна", phone=PHONE)).id
    second = people.create(desk.rt, Person("Борис")).id
    from storage import addresses

    with desk.rt.db.begin() as tx:
        addresses.add(tx, second, "phone", [PHONE], now=desk.rt.now())
    desk.opens(points=None)

    desk.bank_says()

    with desk.rt.db.begin() as tx:
        assert people.find(tx, Names(contact=desk.contact_id)).id not in (first, second)


def test_a_member_with_a_contact_of_his_own_keeps_it(desk: Desk) -> None:
    other = people.create(desk.rt, Person("Анна", phone=PHONE, contact_ref=777)).id
    desk.opens(points=None)

    desk.bank_says()

    with desk.rt.db.begin() as tx:
        assert people.find(tx, Names(contact=777)).id == other
        assert people.find(tx, Names(contact=desk.contact_id)).id != other


def test_a_stranger_with_the_same_phone_does_not_get_the_points(desk: Desk) -> None:
    """A lead with somebody's number and another name: a form filled in wrongly, a courier, spam."""
    known = people.create(desk.rt, Person("Борис Иванов", phone=PHONE)).id
    desk.world.give(known, 5_000)
    desk.opens(points=None)

    desk.bank_says()

    with desk.rt.db.begin() as tx:
        found = people.find(tx, Names(contact=desk.contact_id))
        kept = people.find(tx, Names(member_id=known))
    assert (found.id != known, kept.name, kept.balance.available) == (True, "Борис Иванов", 5_000)


def test_a_contact_with_a_phone_that_is_not_his_is_not_recognised(desk: Desk) -> None:
    known = people.create(desk.rt, Person("Анна", phone="+79161112233")).id
    contact = {"name": "Анна Петрова", "phone": "+79161112233"}
    made = desk.shop.crm("POST", "/sim/deals", {"name": "Заказ", "price_roubles": 4_990, "contact": contact})
    desk.deal_id, desk.contact_id = made["deal_id"], made["contact_id"]
    phones = [{"value": one, "enum_code": "WORK"} for one in ("+79161112233", "+79169998877")]
    body = [{"id": desk.contact_id, "custom_fields_values": [{"field_code": "PHONE", "values": phones}]}]
    headers = {"Authorization": f"Bearer {CRM_TOKEN}"}
    url = f"{desk.shop.crm_url}/api/v4/contacts"
    assert desk.shop.session.patch(url, json=body, headers=headers, timeout=10).status_code == 200

    desk.bank_says()

    with desk.rt.db.begin() as tx:
        assert people.find(tx, Names(contact=desk.contact_id)).id != known
