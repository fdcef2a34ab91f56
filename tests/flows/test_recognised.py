"""A person known by his phone is recognised when the CRM first speaks of him: no second member, no second welcome."""

from __future__ import annotations

import pytest
from flow_desk import Desk, make_desk
from kopilka_testing import Shop, StandingClock

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
