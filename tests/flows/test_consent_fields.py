"""«Не звонить» and «Не присылать предложения»: managers tick them, we too, and the newer word stands. Over HTTP."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from flow_desk import Desk, make_desk
from kopilka_testing import CRM_TOKEN, Shop, StandingClock, settle

from flows import card_visits, connect, consents, failpoints, inbox, nightly, people, personal_data
from flows.people import Person
from flows.runtime import Runtime
from storage import boxes, members, merging

pytestmark = pytest.mark.slow

CALLS, OFFERS = "Не звонить", "Не присылать предложения"


@pytest.fixture
def clock() -> StandingClock:
    """The CRM's own: what it says of times is compared with ours."""
    return StandingClock(datetime.now(UTC))


@pytest.fixture
def desk(rt: Runtime, shop: Shop, clock: StandingClock) -> Desk:
    made = make_desk(rt, shop, clock)
    fields = {**made.rt.crm_names.contact_fields, "no_calls": CALLS, "no_offers": OFFERS}
    made.rt.file = replace(made.rt.file, amocrm=replace(made.rt.crm_names, contact_fields=fields))
    made.opens()
    return made


def ticks(desk: Desk, *, listens: bool = True, **named: bool) -> None:
    words = {CALLS if name == "calls" else OFFERS: value for name, value in named.items()}
    desk.shop.crm("POST", f"/sim/contacts/{desk.contact_id}/fields", words)
    if listens:
        later(desk)
        desk.listen()


def later(desk: Desk, **by: float) -> None:
    """Time goes on: never behind the CRM's."""
    clock = desk.world.clock
    clock.at = max(clock.at, datetime.now(UTC))
    clock.forward(**(by or {"seconds": 3}))


def withdraws(desk: Desk, evidence: str = "задача 1") -> None:
    with desk.rt.db.begin() as tx:
        consents.withdraw(tx, desk.rt, desk.buyer, consents.CALL, source="call", evidence=evidence)


def gives(desk: Desk, evidence: str = "сайт") -> None:
    with desk.rt.db.begin() as tx:
        consents.give(tx, desk.rt, desk.buyer, consents.CALL, source="api", evidence=evidence)


def words(desk: Desk) -> list[tuple[str, bool, str]]:
    with desk.rt.db.begin() as tx:
        rows = tx.execute(sa.text("SELECT channel, is_given, source FROM consent ORDER BY id")).all()
    return [(row.channel, row.is_given, row.source) for row in rows]


def shown(desk: Desk, contact_id: int | None = None) -> dict[str, bool]:
    state = desk.shop.crm("GET", "/sim/state")
    found = next(one["fields"] for one in state["contacts"] if one["id"] == (contact_id or desk.contact_id))
    return {name: bool(found.get(name)) for name in (CALLS, OFFERS)}


def is_withdrawn(desk: Desk) -> bool:
    with desk.rt.db.begin() as tx:
        return consents.is_withdrawn(consents.standing(tx, desk.buyer), "call")


def test_the_fields_are_made_so_that_people_may_tick_them(desk: Desk) -> None:
    headers = {"Authorization": f"Bearer {CRM_TOKEN}"}
    url = f"{desk.shop.crm_url}/api/v4/contacts/custom_fields?limit=250"
    rows = desk.shop.session.get(url, headers=headers, timeout=10).json()["_embedded"]["custom_fields"]
    made = {row["name"]: (row["type"], row["is_api_only"]) for row in rows}

    assert made[CALLS] == made[OFFERS] == ("checkbox", False)
    assert made["Сегмент карты"][1] is True
    assert "update_contact" in connect.hook_events(desk.rt)


def test_a_manager_ticks_and_unticks_and_repeated_hooks_say_nothing_more(desk: Desk) -> None:
    ticks(desk, calls=True)
    assert words(desk) == [("call", False, "crm")]
    desk.heard.clear()
    desk.listen()
    assert words(desk) == [("call", False, "crm")]
    assert shown(desk) == {CALLS: True, OFFERS: False}

    ticks(desk, calls=False)
    assert words(desk)[1:] == [("call", True, "crm")]
    assert not shown(desk)[CALLS]

    ticks(desk, offers=True)
    assert sorted(words(desk)[2:]) == [("email", False, "crm"), ("messenger", False, "crm"), ("sms", False, "crm")]
    desk.check()


def test_the_proof_names_the_field_and_the_contact(desk: Desk) -> None:
    ticks(desk, calls=True)
    with desk.rt.db.begin() as tx:
        proof = tx.execute(sa.text("SELECT evidence FROM consent")).scalar_one()
    assert proof == f"поле «Не звонить» контакта {desk.contact_id} отмечено"


def test_our_own_word_is_shown_in_the_field_and_its_echo_is_no_word(desk: Desk) -> None:
    withdraws(desk)
    later(desk)
    desk.listen()
    assert shown(desk)[CALLS]
    assert words(desk) == [("call", False, "call")]

    later(desk)
    gives(desk)
    desk.listen()
    assert not shown(desk)[CALLS]
    assert words(desk) == [("call", False, "call"), ("call", True, "api")]
    desk.check()


def test_a_tick_that_was_there_before_us_is_a_word_and_is_never_taken_away(rt: Runtime, desk: Desk) -> None:
    made = desk.shop.crm(
        "POST", "/sim/deals", {"price_roubles": 1, "contact": {"name": "Пётр", "phone": "+79160000009"}}
    )
    desk.shop.crm("POST", f"/sim/contacts/{made['contact_id']}/fields", {OFFERS: True})
    desk.buyer = people.create(rt, Person("Пётр", phone="+79160000009", contact_ref=made["contact_id"])).id
    later(desk)
    settle(rt)

    assert shown(desk, made["contact_id"])[OFFERS]
    assert len(words(desk)) == 3


def test_what_nobody_said_anything_about_is_not_written(desk: Desk) -> None:
    state = desk.shop.crm("GET", "/sim/state")
    found = next(one["fields"] for one in state["contacts"] if one["id"] == desk.contact_id)
    assert CALLS not in found
    assert OFFERS not in found


def test_a_new_withdrawal_outweighs_an_older_untick_that_is_heard_after_it(desk: Desk) -> None:
    ticks(desk, calls=True)
    later(desk)
    ticks(desk, listens=False, calls=False)  # «he may be called again», not heard yet
    later(desk, seconds=60)
    withdraws(desk)
    later(desk)
    desk.listen()

    assert words(desk) == [("call", False, "crm"), ("call", False, "call")]
    assert shown(desk)[CALLS], "the newer word is back in the field"
    ticks(desk, calls=False)
    assert not is_withdrawn(desk), "what the manager does after it is newer"
    desk.check()


def test_consent_given_after_a_tick_that_is_heard_late_stands(desk: Desk) -> None:
    ticks(desk, listens=False, calls=True)
    later(desk, seconds=60)
    gives(desk)
    later(desk)
    desk.listen()

    assert not is_withdrawn(desk)
    assert not shown(desk)[CALLS]
    desk.check()


def test_where_nobody_can_tell_which_word_was_first_the_withdrawal_stands(desk: Desk) -> None:
    later(desk, seconds=-1)
    gives(desk)
    ticks(desk, calls=True)
    assert is_withdrawn(desk)
    assert shown(desk)[CALLS]


@pytest.mark.parametrize("fault", ["apply_then_drop", "error_500"])
def test_a_tick_of_ours_whose_answer_was_lost_is_not_taken_for_the_managers(desk: Desk, fault: str) -> None:
    withdraws(desk)
    desk.shop.faults(**{fault: 1.0})
    settle(desk.rt)
    desk.shop.faults(**{fault: 0.0})
    later(desk, seconds=20)
    gives(desk)
    for _ in range(4):
        later(desk, minutes=20)
        desk.listen()

    assert not is_withdrawn(desk)
    assert not shown(desk)[CALLS]
    assert words(desk) == [("call", False, "call"), ("call", True, "api")]
    desk.check()


def test_a_manager_who_ticks_while_our_own_tick_is_on_its_way_agrees_with_it(desk: Desk) -> None:
    withdraws(desk)
    ticks(desk, listens=False, calls=True)
    later(desk)
    desk.listen()
    assert is_withdrawn(desk)
    assert shown(desk)[CALLS]
    assert words(desk)[0] == ("call", False, "call")
    desk.check()


def test_a_field_that_a_person_deleted_takes_nobodys_word_back(desk: Desk) -> None:
    ticks(desk, calls=True)
    headers = {"Authorization": f"Bearer {CRM_TOKEN}"}
    url = f"{desk.shop.crm_url}/api/v4/contacts/custom_fields"
    rows = desk.shop.session.get(f"{url}?limit=250", headers=headers, timeout=10).json()["_embedded"]["custom_fields"]
    field_id = next(row["id"] for row in rows if row["name"] == CALLS)
    assert desk.shop.session.delete(f"{url}/{field_id}", headers=headers, timeout=10).status_code == 204
    later(desk)
    desk.shop.crm("POST", f"/sim/contacts/{desk.contact_id}/fields", {"Должность": "директор"})
    desk.listen()

    assert is_withdrawn(desk)
    for _ in range(3):
        later(desk, minutes=20)
        with desk.rt.db.begin() as tx:
            people.tell_anew(tx, desk.rt, desk.buyer)
        desk.listen()
    assert shown(desk)[CALLS], "the field is made anew and says it again"


def test_a_tick_whose_hook_was_lost_is_found_by_catching_up(desk: Desk) -> None:
    later(desk, seconds=1)
    nightly.run_due(desk.rt, now=desk.rt.now(), only="catch_up", at_once=True)
    ticks(desk, listens=False, calls=True)
    later(desk, minutes=20)
    [done] = nightly.run_due(desk.rt, now=desk.rt.now(), only="catch_up", at_once=True)
    assert done.error is None
    settle(desk.rt)

    assert words(desk) == [("call", False, "crm")]


def test_what_is_said_of_one_contact_is_shown_in_the_other_of_the_same_person(rt: Runtime, desk: Desk) -> None:
    made = desk.shop.crm(
        "POST", "/sim/deals", {"price_roubles": 1, "contact": {"name": "Анна", "phone": "+79160000007"}}
    )
    other = people.create(rt, Person("Анна", phone="+79160000007", contact_ref=made["contact_id"]))
    settle(rt)
    people.merge(rt, from_id=other.id, into_id=desk.buyer)
    desk.listen()

    ticks(desk, calls=True)
    assert shown(desk, made["contact_id"])[CALLS]
    later(desk)
    desk.shop.crm("POST", f"/sim/contacts/{made['contact_id']}/fields", {CALLS: False})
    later(desk)
    desk.listen()
    assert not shown(desk)[CALLS]
    assert words(desk) == [("call", False, "crm"), ("call", True, "crm")]


def test_a_forged_hook_makes_us_look_and_nothing_else(desk: Desk) -> None:
    entry = desk.rt.directory.recall("contact_fields") or {}
    field = next((one["id"] for role, one in entry.items() if role == "no_calls"), 1)
    base = f"contacts[update][0][id]={desk.contact_id}&contacts[update][0][type]=contact"
    body = f"{base}&contacts[update][0][custom_fields][0][id]={field}"
    body += "&contacts[update][0][custom_fields][0][values][0][value]=1&account[id]=28805383"
    inbox.accept_hook(desk.rt, body.encode())
    settle(desk.rt)

    assert words(desk) == []
    assert not shown(desk)[CALLS]


def test_a_worker_killed_after_it_ticked_does_not_take_its_tick_for_the_managers(
    desk: Desk, environment: dict[str, str], run: Callable[..., int]
) -> None:
    rules = Path(environment["PROGRAMME"])
    text = rules.read_text(encoding="utf-8")
    card = '      card_status: "Карта установлена"\n'
    assert card in text
    text = text.replace(card, f'{card}      no_calls: "{CALLS}"\n      no_offers: "{OFFERS}"\n')
    rules.write_text(text.replace("customers: true", "customers: false"), encoding="utf-8")
    withdraws(desk)
    assert run("outbox", failpoint="crm.after_fields") == failpoints.EXIT_CODE
    assert shown(desk)[CALLS]
    later(desk, minutes=1)
    gives(desk)
    for _ in range(3):
        later(desk, minutes=20)
        with desk.rt.db.begin() as tx:
            boxes.reclaim_expired(tx, "outbox", now=desk.rt.now())
        desk.listen()

    assert words(desk) == [("call", False, "call"), ("call", True, "api")]
    assert not shown(desk)[CALLS]


def test_a_nights_comparison_hears_ticks_that_were_there_before_the_fields_were_named(desk: Desk) -> None:
    ticks(desk, listens=False, calls=True)
    later(desk, minutes=5)
    [done] = nightly.run_due(desk.rt, now=desk.rt.now(), only="drift", at_once=True)
    assert done.error is None

    assert words(desk) == [("call", False, "crm")]


@pytest.mark.parametrize("seed", [*range(8), 144])
def test_whatever_crosses_field_and_ledger_agree_in_the_end(desk: Desk, seed: int) -> None:
    dice = random.Random(seed)
    for number in range(14):
        deed = dice.choice(("tick", "untick", "withdraw", "give", "listen", "settle", "lose", "wait"))
        if deed in ("tick", "untick"):
            ticks(desk, listens=False, calls=deed == "tick")
        elif deed == "withdraw":
            withdraws(desk, f"задача {number}")
        elif deed == "give":
            gives(desk)
        elif deed == "listen":
            desk.listen()
        elif deed == "settle":
            settle(desk.rt)
        elif deed == "lose":
            desk.shop.faults(apply_then_drop=0.7)
            settle(desk.rt)
            desk.shop.faults(apply_then_drop=0.0)
        else:
            later(desk, seconds=dice.choice((1, 5, 100)))
    for _ in range(4):
        later(desk, minutes=30)
        desk.listen()

    assert shown(desk)[CALLS] == is_withdrawn(desk)
    again = words(desk)
    later(desk, minutes=30)
    desk.heard.clear()
    desk.listen()
    assert words(desk) == again, "old hooks say nothing new"
    desk.check()


def test_saying_the_same_again_adds_no_row_and_merged_members_speak_as_one(rt: Runtime, desk: Desk) -> None:
    withdraws(desk)
    withdraws(desk)
    assert len(words(desk)) == 1
    later(desk, seconds=60)
    other = people.create(rt, Person("Анна", phone="+79160000007"))
    with rt.db.begin() as tx:
        consents.give(tx, rt, other.id, consents.CALL, source="api", evidence="", at=rt.now() + timedelta(seconds=1))
    people.merge(rt, from_id=other.id, into_id=desk.buyer)
    assert not is_withdrawn(desk), "the newest word of either"


def test_a_tick_outlives_the_erasing_of_the_person_and_is_heard_when_he_comes_again(desk: Desk) -> None:
    ticks(desk, calls=True)
    personal_data.erase(desk.rt, desk.buyer)
    settle(desk.rt)

    person = Person("Анна Петрова", phone="+79000000001", contact_ref=desk.contact_id)
    desk.buyer = people.create(desk.rt, person).id
    later(desk)
    settle(desk.rt)

    assert is_withdrawn(desk)
    assert shown(desk)[CALLS]
    desk.check()


def test_a_word_that_waited_for_a_merge_is_the_living_persons(desk: Desk) -> None:
    other = people.create(desk.rt, Person("Анна", phone="+79160000008")).id
    with ThreadPoolExecutor(1) as pool:
        with desk.rt.db.begin() as tx:
            merging.lock_orders(tx, (desk.buyer, other))
            for one in sorted((desk.buyer, other)):
                members.lock(tx, one)
            said = pool.submit(say_no, desk.rt, other)
            waits_for_a_lock(desk.rt)
            merging.move(tx, from_id=other, into_id=desk.buyer)
        said.result(timeout=10)

    with desk.rt.db.begin() as tx:
        assert tx.execute(sa.text("SELECT member_id FROM consent")).scalars().all() == [desk.buyer]
    later(desk)
    desk.listen()
    assert shown(desk)[CALLS]


def say_no(rt: Runtime, member_id: int) -> None:
    with rt.db.begin() as tx:
        consents.withdraw(tx, rt, member_id, consents.CALL, source="call", evidence="задача 1")


def waits_for_a_lock(rt: Runtime) -> None:
    """Returns when somebody does."""
    for _ in range(500):
        with rt.db.begin() as tx:
            if tx.execute(sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one():
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits")


@pytest.mark.parametrize("first", ["field", "page"])
def test_who_refuses_once_more_on_his_page_outweighs_an_untick_that_nobody_has_read(desk: Desk, first: str) -> None:
    with desk.rt.db.begin() as tx:
        card = members.by_ids(tx, [desk.buyer])[desk.buyer].card_token
    if first == "field":
        ticks(desk, calls=True)
    else:
        card_visits.refuse_all(desk.rt, card, address="10.1.2.3")
        later(desk)
        desk.listen()
    later(desk, seconds=60)
    ticks(desk, listens=False, calls=False)
    later(desk, seconds=120)

    card_visits.refuse_all(desk.rt, card, address="10.1.2.3")
    later(desk)
    desk.listen()

    assert is_withdrawn(desk)
    assert shown(desk)[CALLS]
    desk.check()


def test_a_tick_by_mistake_and_its_mending_leave_what_the_buyer_refused_himself(desk: Desk) -> None:
    with desk.rt.db.begin() as tx:
        consents.withdraw(tx, desk.rt, desk.buyer, ["sms"], source="card_page", evidence="страница карты")
    later(desk)
    desk.listen()

    ticks(desk, offers=True)
    ticks(desk, offers=False)

    with desk.rt.db.begin() as tx:
        now = consents.standing(tx, desk.buyer)
    assert {one: word.is_given for one, word in now.items()} == {"email": True, "messenger": True, "sms": False}
    assert not shown(desk)[OFFERS]
    desk.check()
