"""A buyer's own data: shown whole, erased whole, and the books still add up."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
import sqlalchemy as sa

from connector.amocrm.tasks import CrmTask
from flows import (
    adjusting,
    call_results,
    card_visits,
    cards,
    consents,
    data_requests,
    health,
    holds,
    people,
    personal_data,
)
from flows.people import Person
from flows.personal_data import HasReserve
from flows.refusals import MemberNotFound
from flows.runtime import Runtime
from loyalty.basket import Basket, Line
from storage import call_lists

SECRETS = ("Канарейкина", "Зинаида", "79161112233", "zina@example.ru", "1987")
KEPT_BY_LAW = {"inbox", "consent"}
"""Bodies of webhooks live 90 days; a consent's proof outlives the person's wish."""


@pytest.fixture
def zina(rt: Runtime) -> int:
    made = people.create(
        rt,
        Person(
            "Канарейкина Зинаида",
            phone="+79161112233",
            email="zina@example.ru",
            birthday=date(1987, 4, 5),
            contact_ref=901,
        ),
    ).id
    token = card_token(rt, made)
    card_visits.choose(rt, token, ["sms"], text="отметьте", address="10.1.2.3")
    card_visits.ask_for_data(rt, token, "export")
    return made


def card_token(rt: Runtime, member_id: int) -> str:
    with rt.db.begin() as tx:
        return str(tx.execute(sa.text("SELECT card_token FROM member WHERE id = :id"), {"id": member_id}).scalar_one())


def places_of(rt: Runtime, words: tuple[str, ...]) -> list[tuple[str, str]]:
    """(table, word) wherever one of the words stands in any row of any table."""
    found = []
    with rt.db.begin() as tx:
        tables = tx.execute(sa.text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars().all()
        for table in sorted(set(tables) - KEPT_BY_LAW):
            for row in tx.execute(sa.text(f'SELECT t::text FROM "{table}" t')).scalars():
                found += [(table, word) for word in words if word in row]
    return found


def test_everything_that_is_kept_is_in_the_answer(rt: Runtime, zina: int) -> None:
    found = personal_data.collected(rt, zina)

    text = json.dumps(found, ensure_ascii=False, default=str)
    assert [word for word in SECRETS if word not in text] == []
    assert {table for table, _ in places_of(rt, SECRETS)} <= {"member", "member_address", "outbox"}
    assert found["consents"][0]["evidence"] == "отметьте; 10.1.2.3"
    assert found["requests"][0]["kind"] == "export"


def test_after_erasing_nothing_tells_who_it_was(rt: Runtime, zina: int) -> None:
    before = card_token(rt, zina)
    assert places_of(rt, SECRETS)

    number = personal_data.erase(rt, zina)

    assert places_of(rt, SECRETS) == []
    assert cards.page(rt, before) is None
    assert health.verify_ledger(rt).is_whole
    assert personal_data.collected(rt, number)["person"][0]["name"] == ""


def test_those_merged_into_the_person_are_erased_with_him(rt: Runtime, zina: int) -> None:
    other = people.create(rt, Person("Зинаида К.", phone="+79164445566")).id
    people.merge(rt, from_id=other, into_id=zina)

    personal_data.erase(rt, zina)

    assert places_of(rt, (*SECRETS, "79164445566", "Зинаида К.")) == []


def test_an_erased_person_may_come_again_and_is_new(rt: Runtime, zina: int) -> None:
    personal_data.erase(rt, zina)

    again = people.create(rt, Person("Канарейкина Зинаида", phone="+79161112233", contact_ref=901)).id

    assert again != zina


def test_points_that_are_reserved_for_an_order_keep_the_person(rt: Runtime, zina: int) -> None:
    gift = adjusting.Adjustment(points=500, reason="gift", comment="подарок", actor="тест", key="k")
    adjusting.adjust(rt, zina, gift)
    basket = Basket((Line(400_000),))
    holds.make(rt, zina, order_ref="A-1", basket=basket, points=100, channel="site")

    with pytest.raises(HasReserve):
        personal_data.erase(rt, zina)

    assert places_of(rt, ("Канарейкина",))


def test_nobody_is_nobody(rt: Runtime) -> None:
    with pytest.raises(MemberNotFound):
        personal_data.erase(rt, 999_999)
    with pytest.raises(MemberNotFound):
        personal_data.collected(rt, 999_999)


def test_what_a_payment_link_that_is_over_was_asked_with_is_erased(rt: Runtime, zina: int) -> None:
    statement = """
        WITH bought AS (INSERT INTO orders (shop_ref, member_id, created_at) VALUES ('A-2', :zina, :now) RETURNING id)
        INSERT INTO payment_link (public_id, order_id, attempt, acquirer, amount_kopecks, state, asked, created_at,
            expires_at, looked_at, closed_at)
        SELECT 'p', id, 1, 'tbank', 100, 'closed', '{"email": "zina@example.ru"}', :now, :now, :now, :now FROM bought
    """
    with rt.db.begin() as tx:
        tx.execute(sa.text(statement), {"zina": zina, "now": rt.now()})

    personal_data.erase(rt, zina)

    assert places_of(rt, SECRETS) == []


def test_the_note_of_an_answered_request_is_erased(rt: Runtime, zina: int) -> None:
    [asked] = data_requests.listed(rt)
    assert data_requests.close(rt, asked.number, by="Ирина", note="отправлено на zina@example.ru")

    personal_data.erase(rt, zina)

    assert places_of(rt, SECRETS) == []
    assert [one.done_by for one in data_requests.listed(rt, with_done=True)] == ["Ирина"]


def test_a_manager_who_closes_a_call_at_that_moment_does_not_stop_the_erasing(rt: Runtime, zina: int) -> None:
    """He holds the call and wants the member, the erasing holds the member and wants the call."""
    now = rt.now()
    with rt.db.begin() as tx:
        made = call_lists.NewList("Весна", "{имя}", "vip", now.date(), None, 3, 2)
        [call] = call_lists.add_tasks(tx, call_lists.add_list(tx, made, now=now), [zina], due_on=now.date(), now=now)
        call_lists.save_written(tx, {call: 77}, now=now)
    task = CrmTask(77, 901, "", is_completed=True, result="5 Канарейкина просила", updated_at=now)
    has_call, may_go_on = threading.Event(), threading.Event()

    def closes(tx: sa.Connection) -> None:
        call_lists.by_task(tx, 77)
        has_call.set()
        may_go_on.wait(timeout=10)
        call_results.take(tx, rt, 77, task)

    with ThreadPoolExecutor(2) as pool:
        closing = pool.submit(rt.db.run, closes)
        has_call.wait(timeout=10)
        erasing = pool.submit(personal_data.erase, rt, zina)
        waits_for_a_lock(rt)
        may_go_on.set()
        closing.result(timeout=20)
        assert erasing.result(timeout=20) == zina

    with rt.db.begin() as tx:
        assert consents.is_withdrawn(consents.standing(tx, zina), "call")
    assert members_named(rt) == [""]


def members_named(rt: Runtime) -> list[str]:
    with rt.db.begin() as tx:
        return list(tx.execute(sa.text("SELECT name FROM member")).scalars())


def waits_for_a_lock(rt: Runtime) -> None:
    """Returns when somebody does."""
    for _ in range(500):
        with rt.db.begin() as tx:
            if tx.execute(sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one():
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits")
