"""Members who were here before the CRM spoke: an import recognises them by phone, or says whom it does not."""

from __future__ import annotations

import itertools

import pytest
from crm_import_world import facts, import_all, one_value, real_time, rows
from kopilka_testing import CRM_TOKEN, Shop, StandingClock, settle

from flows import crm_import, health, importing, people
from flows.crm_import import Asked
from flows.people import Person
from flows.runtime import Runtime
from loyalty.importing_columns import columns

pytestmark = pytest.mark.slow

PHONE, OTHER = "+79000000001", "+79161112233"
_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def today(clock: StandingClock) -> None:
    real_time(clock)


def bought(shop: Shop, name: str, *phones: str) -> int:
    """A contact of this name who has bought; made with a phone of its own, or the simulator would find it again."""
    contact = {"name": name, "phone": f"+7495{next(_numbers):07}"}
    asked = {"price_roubles": 4990, "status": "Успешно реализовано", "contact": contact}
    contact_id = int(shop.crm("POST", "/sim/deals", asked)["contact_id"])
    values = [{"value": phone, "enum_code": "WORK"} for phone in phones]
    body = [{"id": contact_id, "custom_fields_values": [{"field_code": "PHONE", "values": values}]}]
    headers = {"Authorization": f"Bearer {CRM_TOKEN}"}
    shop.session.patch(f"{shop.crm_url}/api/v4/contacts", json=body, headers=headers, timeout=10).raise_for_status()
    return contact_id


def balances(rt: Runtime, *lines: list[str]) -> None:
    """Old balances of people whom the CRM has not spoken of."""
    *_, spool = importing.read(rt, enumerate(lines, start=2), columns(("Телефон", "Баланс", "Имя")))
    assert not isinstance(spool, importing.Step)
    list(importing.run(rt, spool, importing.Asked("Остатки", "tests", None), lambda *_: None))
    spool.close()


def test_whose_balance_was_brought_first_is_no_second_member_and_has_points_and_history(
    rt: Runtime, shop: Shop
) -> None:
    balances(rt, [PHONE, "500", ""])
    contact_id = bought(shop, "Анна Петрова", PHONE)

    done = import_all(rt)
    settle(rt)

    assert (done.preview.recognised, done.preview.new_members, done.preview.totals.elsewhere) == (1, 0, 0)
    assert done.counts["recognised"] == 1
    assert rows(rt, "SELECT contact_ref, name, available FROM member") == [(contact_id, "Анна Петрова", 500)]
    assert one_value(rt, "SELECT count(*) FROM orders WHERE is_kept AND member_id IS NOT NULL") == 1
    standing = dict(rows(rt, "SELECT segment_code, count(*) FROM member GROUP BY segment_code"))
    assert {line.code: line.after for line in done.preview.segments if line.after} == standing
    assert [one for one in done.rejects if one.kind == "contact"] == []
    assert one_value(rt, "SELECT count(*) FROM crm_state WHERE pushed_fields IS NOT NULL") == 1, "the CRM shows them"
    assert health.verify_ledger(rt).is_whole


@pytest.mark.parametrize(
    ("known", "contacts"),
    [
        ("Анна Смирнова", [("Пётр Иванов", PHONE)]),
        ("Анна Петрова", [("Анна Петрова", PHONE, OTHER)]),
        ("Анна Петрова", [("Анна Петрова", PHONE), ("Анна Петрова", PHONE)]),
    ],
    ids=["another name", "another phone too", "two contacts"],
)
def test_who_is_not_surely_the_member_stays_apart_and_is_told(
    rt: Runtime, shop: Shop, known: str, contacts: list[tuple[str, ...]]
) -> None:
    member = people.create(rt, Person(known, phone=PHONE))
    refs = [bought(shop, *one) for one in contacts]

    done = import_all(rt)

    assert done.preview.recognised == 0
    assert rows(rt, "SELECT name, contact_ref FROM member WHERE id = :id", id=member.id) == [(known, None)]
    assert one_value(rt, "SELECT count(*) FROM member") == 1 + len(refs)
    told = {one.ref for one in done.rejects if f"у участника {member.id}" in one.reason}
    assert told == set(refs)


def test_recognised_members_are_recognised_once_whatever_is_killed(
    rt: Runtime, shop: Shop, clock: StandingClock
) -> None:
    phones = [f"+7916{number:07}" for number in range(20)]
    balances(rt, *([phone, "10", ""] for phone in phones))
    for phone in phones:
        bought(shop, "Иван", phone)
    one = crm_import.begin(rt, Asked())
    list(one.read())
    next(one.write())  # the process is gone
    clock.forward(minutes=3)

    import_all(rt)
    before = facts(rt)
    import_all(rt)

    assert facts(rt) == before
    assert one_value(rt, "SELECT count(*) FROM member WHERE contact_ref IS NOT NULL AND available = 10") == 20
    assert one_value(rt, "SELECT count(*) FROM member") == 20
