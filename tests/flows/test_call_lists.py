"""Call lists: tasks appear once, managers close them with a code, who asked for it is left in peace. Over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flow_desk import Desk, make_desk
from kopilka_testing import ACCOUNT_ID, CRM_TOKEN, Shop, StandingClock, settle

from flows import (
    call_lists,
    call_reports,
    consents,
    failpoints,
    inbox,
    lookup,
    nightly,
    outbox,
    people,
    personal_data,
    segmenting,
)
from flows.call_lists import Choice, ListRefused, Wish
from flows.people import Person
from flows.runtime import Runtime

pytestmark = pytest.mark.slow

CALLS = "Не звонить"
MANAGER = 9000002


@pytest.fixture
def clock() -> StandingClock:
    """The CRM's own: what it says of times is compared with ours."""
    return StandingClock(datetime.now(UTC))


@pytest.fixture
def desk(rt: Runtime, shop: Shop, clock: StandingClock) -> Desk:
    made = make_desk(rt, shop, clock)
    fields = {**made.rt.crm_names.contact_fields, "no_calls": CALLS}
    made.rt.file = replace(made.rt.file, amocrm=replace(made.rt.crm_names, contact_fields=fields))
    made.opens()
    segmenting.put_by_hand(made.rt, made.buyer, "vip")
    return made


def friend(desk: Desk, number: int = 1, *, points: int = 100, has_contact: bool = True, phone: bool = True) -> int:
    """Another member of the segment."""
    told = f"+7916000{number:04}"
    contact_ref = None
    if has_contact:
        contact = {"name": f"Друг {number}", "phone": told}
        contact_ref = desk.shop.crm("POST", "/sim/deals", {"price_roubles": 1, "contact": contact})["contact_id"]
    person = Person(f"Друг {number}", phone=told if phone else None, contact_ref=contact_ref)
    made = people.create(desk.rt, person).id
    if points:
        desk.world.give(made, points)
    segmenting.put_by_hand(desk.rt, made, "vip")
    return made


def later(desk: Desk, **by: float) -> None:
    clock = desk.world.clock
    clock.at = max(clock.at, datetime.now(UTC))
    clock.forward(**(by or {"seconds": 3}))


def wish(desk: Desk, **changed: Any) -> Wish:
    due = desk.rt.now().date() + timedelta(days=3)
    text = "{имя}, у вас {баланс}, сгорает: {сгорает}. {сегмент}"
    return replace(Wish("vip", "Весна", text, due), **changed)


def planned(desk: Desk, **changed: Any) -> Choice:
    made = call_lists.make(desk.rt, wish(desk, **changed))
    settle(desk.rt)
    return made


def tasks(desk: Desk) -> list[dict[str, Any]]:
    return list(desk.shop.crm("GET", "/sim/tasks")["tasks"])


def closes(desk: Desk, result: str, *, task: int = -1, listens: bool = True, **spread: Any) -> None:
    task_id = tasks(desk)[task]["id"]
    desk.shop.crm("POST", f"/sim/tasks/{task_id}/close", {"result": result, **spread})
    if listens:
        later(desk)
        desk.listen()


def report(desk: Desk, list_id: int | None = None) -> call_reports.ListReport:
    return call_reports.summed(call_reports.lines(desk.rt, list_id))[0]


def left_out(choice: Choice) -> dict[str, list[int]]:
    return {reason: [one.member_id for one in some] for reason, some in choice.left_out.items()}


def test_from_the_plan_to_a_buyer_who_is_left_in_peace(desk: Desk) -> None:
    choice = planned(desk)
    [task] = tasks(desk)
    assert (task["entity_id"], task["entity_type"], task["task_type_id"]) == (desk.contact_id, "contacts", 1)
    text = task["text"].replace("\xa0", " ")
    assert text.startswith("Весна: Анна Петрова\nАнна Петрова, у вас 2 000 баллов, сгорает: ничего. VIP\n")
    assert "5 не звонить больше" in text
    assert text.endswith(f"[обзвон {choice.list_id}/{lines(desk)[0].call_id}]")

    closes(desk, "5 не звонить")

    with desk.rt.db.begin() as tx:
        assert consents.is_withdrawn(consents.standing(tx, desk.buyer), "call")
        proof = tx.execute(sa.text("SELECT evidence FROM consent")).scalar_one()
    assert proof == f"задача {task['id']}, обзвон {choice.list_id}/{lines(desk)[0].call_id}: 5 не звонить"
    contact = next(one for one in desk.shop.crm("GET", "/sim/state")["contacts"] if one["id"] == desk.contact_id)
    assert contact["fields"][CALLS]
    later(desk, days=60)
    assert left_out(call_lists.make(desk.rt, wish(desk))) == {"withdrew": [desk.buyer]}
    assert report(desk).results == {5: 1}
    desk.check()


def lines(desk: Desk) -> list[Any]:
    return list(call_reports.lines(desk.rt, None))


def test_the_task_ends_with_the_day_of_the_programmes_zone(desk: Desk) -> None:
    due = desk.rt.now().date() + timedelta(days=2)
    planned(desk, due_on=due, responsible_ref=MANAGER)

    [task] = tasks(desk)
    assert task["complete_till"] == datetime(due.year, due.month, due.day, 20, 59, tzinfo=UTC).timestamp()
    assert task["responsible_user_id"] == MANAGER


def test_who_is_left_out_is_told_with_the_reason(desk: Desk) -> None:
    no_contact = friend(desk, 1, has_contact=False)
    no_phone = friend(desk, 2, phone=False)
    poor = friend(desk, 3, points=0)
    last = friend(desk, 4, points=50)
    withdrawn = friend(desk, 5)
    with desk.rt.db.begin() as tx:
        consents.withdraw(tx, desk.rt, withdrawn, consents.CALL, source="api", evidence="")
    gone = friend(desk, 6)
    people.merge(desk.rt, from_id=gone, into_id=desk.buyer)

    choice = call_lists.look(desk.rt, wish(desk, min_points=1, limit=1))

    assert [one.member_id for one in choice.chosen] == [desk.buyer]
    assert left_out(choice) == {
        "no_contact": [no_contact],
        "no_phone": [no_phone],
        "withdrew": [withdrawn],
        "over_limit": [last],
    }
    assert poor not in {one.member_id for one in choice.chosen}
    assert choice.list_id is None
    assert lines(desk) == []
    planned(desk, min_points=1000)
    assert left_out(call_lists.look(desk.rt, wish(desk, min_points=1000))) == {"listed": [desk.buyer]}
    assert not call_lists.look(desk.rt, wish(desk, min_points=1000, rest_days=0)).left_out


def test_only_those_whose_points_burn_soon(desk: Desk) -> None:
    later(desk)
    with desk.rt.db.begin() as tx:
        tx.execute(
            sa.text("UPDATE lot SET expires_at = :at WHERE member_id = :id"),
            {"at": desk.rt.now() + timedelta(days=10), "id": desk.buyer},
        )
    assert not call_lists.look(desk.rt, wish(desk, burning_within_days=8)).chosen
    assert len(call_lists.look(desk.rt, wish(desk, burning_within_days=11)).chosen) == 1


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"segment_code": "нет"}, "выберите из"),
        ({"template": "{балланс}"}, "{баланс}"),
        ({"template": "{x}"}, "подставить можно"),
        ({"template": " "}, "знаков"),
        ({"template": "x" * 1001}, "знаков"),
        ({"title": "x" * 121}, "знаков"),
        ({"title": "\x00"}, "знаков"),
        ({"due_on": date(2020, 1, 1)}, "сегодняшнего"),
        ({"due_on": date(9999, 1, 1)}, "сегодняшнего"),
        ({"responsible_ref": 12345}, "карточки"),
    ],
)
def test_a_wish_that_cannot_be_fulfilled_is_refused_with_the_mend(
    desk: Desk, changed: dict[str, Any], word: str
) -> None:
    with pytest.raises(ListRefused) as refused:
        call_lists.make(desk.rt, wish(desk, **changed))
    assert word in refused.value.mend
    assert lines(desk) == []


def test_many_tasks_go_in_batches(desk: Desk) -> None:
    for number in range(1, 53):
        friend(desk, number, points=0)
    planned(desk)

    assert len(tasks(desk)) == 53
    assert len({task["entity_id"] for task in tasks(desk)}) == 53


@pytest.mark.parametrize("fault", ["apply_then_drop", "error_500"])
def test_after_a_lost_answer_no_manager_gets_a_task_twice(desk: Desk, fault: str) -> None:
    friend(desk, 1)
    settle(desk.rt)
    desk.shop.faults(**{fault: 1.0})
    planned(desk)
    desk.shop.faults(**{fault: 0.0})
    for _ in range(4):
        later(desk, minutes=20)
        settle(desk.rt)

    assert len(tasks(desk)) == 2
    assert {one.state for one in lines(desk)} == {"written"}
    desk.check()


def test_a_worker_killed_between_the_request_and_saving_writes_nothing_twice(
    desk: Desk, run: Callable[..., int]
) -> None:
    settle(desk.rt)
    call_lists.make(desk.rt, wish(desk))
    assert run("outbox", failpoint="task.after_write") == failpoints.EXIT_CODE
    assert [one.state for one in lines(desk)] == ["planned"]
    closes(desk, "3 дорого", listens=False)  # the manager is quicker than we come back

    for _ in range(3):
        later(desk, minutes=20)
        nightly.run_due(desk.rt, now=desk.rt.now())
        with desk.rt.db.begin() as tx:
            tx.execute(sa.text("UPDATE outbox SET state = 'waiting', leased_until = NULL WHERE state = 'working'"))
        outbox.drain(desk.rt)

    assert len(tasks(desk)) == 1
    [line] = lines(desk)
    assert (line.state, line.result_code, line.result_text) == ("closed", 3, "3 дорого")


def test_consent_withdrawn_between_the_plan_and_the_writing_stops_the_task(desk: Desk) -> None:
    call_lists.make(desk.rt, wish(desk))
    with desk.rt.db.begin() as tx:
        consents.withdraw(tx, desk.rt, desk.buyer, consents.CALL, source="card_page", evidence="")
    settle(desk.rt)

    assert tasks(desk) == []
    assert report(desk).dropped == {"просил не звонить": 1}


def test_two_who_became_one_person_are_called_once(desk: Desk) -> None:
    other = friend(desk, 1)
    settle(desk.rt)
    call_lists.make(desk.rt, wish(desk))
    people.merge(desk.rt, from_id=other, into_id=desk.buyer)
    settle(desk.rt)

    assert len(tasks(desk)) == 1
    assert report(desk).dropped == {"объединён с другим участником этого списка": 1}


@pytest.mark.parametrize("code", ["2 после шести", "4"])
def test_who_was_not_reached_is_called_again_some_days_later_and_not_without_end(desk: Desk, code: str) -> None:
    planned(desk, tries=3, again_after_days=2)
    for number in (1, 2, 3):
        assert len(tasks(desk)) == number
        closes(desk, code)
        assert len(tasks(desk)) == number, "not at once"
        later(desk, days=1)
        settle(desk.rt)
        later(desk, days=2)
        settle(desk.rt)

    assert len(tasks(desk)) == 3
    assert tasks(desk)[1]["text"].startswith("Весна (звонок 2): ")
    assert [one.try_no for one in lines(desk)] == [1, 2, 3]
    assert report(desk).people == 1


def test_a_result_without_a_code_is_kept_and_shown(desk: Desk) -> None:
    planned(desk)
    closes(desk, "пять, говорит")

    found = report(desk)
    assert (found.results, found.without_code) == ({None: 1}, ["пять, говорит"])
    with desk.rt.db.begin() as tx:
        assert not consents.standing(tx, desk.buyer)


@pytest.mark.parametrize("result", ["", "x" * 10_000, "5" * 10_000, "\x00 5", "15"])
def test_garbage_in_a_result_is_kept_and_breaks_nothing(desk: Desk, result: str) -> None:
    planned(desk)
    closes(desk, result)

    [line] = lines(desk)
    assert (line.state, line.result_code) == ("closed", None)
    desk.check()


def test_repeated_shuffled_and_late_hooks_change_nothing(desk: Desk) -> None:
    planned(desk)
    closes(desk, "4", hooks=3, shuffle=True)
    desk.heard.clear()
    desk.listen()
    later(desk, days=3)
    desk.listen()
    assert len(tasks(desk)) == 2
    closes(desk, "1 берёт", task=1)
    desk.heard.clear()
    desk.listen()

    assert [(one.state, one.result_code) for one in lines(desk)] == [("closed", 4), ("closed", 1)]
    assert len(tasks(desk)) == 2
    desk.check()


def test_a_forged_hook_closes_nothing(desk: Desk) -> None:
    planned(desk)
    task_id = tasks(desk)[0]["id"]
    for forged in (task_id, 999, 2**62):
        for action in ("update", "delete"):
            body = f"task[{action}][0][id]={forged}&task[{action}][0][action_close]=1&task[{action}][0][status]=1"
            inbox.accept_hook(desk.rt, f"{body}&account[id]={ACCOUNT_ID}".encode())
    settle(desk.rt)

    assert [one.state for one in lines(desk)] == ["written"]
    known = {row.source for row in lookup.events(desk.rt, states=["done"], limit=50)[0]}
    assert "amocrm.task" in known
    desk.check()


def test_a_mended_result_is_followed(desk: Desk) -> None:
    planned(desk)
    closes(desk, "4")
    closes(desk, "1 перезвонил сам")
    later(desk, days=3)
    settle(desk.rt)
    assert len(tasks(desk)) == 1, "no second call after all"
    assert report(desk).dropped == {"итог прежнего звонка исправлен": 1}

    closes(desk, "4 всё же нет")
    later(desk, days=3)
    settle(desk.rt)
    assert len(tasks(desk)) == 2


def test_a_task_closed_or_deleted_while_hooks_were_off_is_found(desk: Desk) -> None:
    friend(desk, 1)
    planned(desk)
    closes(desk, "5 хватит", task=0, listens=False)
    deleted = tasks(desk)[1]["id"]
    desk.shop.crm("POST", f"/sim/tasks/{deleted}/delete", {})
    later(desk, minutes=20)
    [done] = nightly.run_due(desk.rt, now=desk.rt.now(), only="catch_up", at_once=True)

    assert "закрытых задач обзвона: 2" in done.text
    assert {(one.state, one.dropped_why) for one in lines(desk)} == {
        ("closed", None),
        ("dropped", "задача удалена в CRM"),
    }
    [again] = nightly.run_due(desk.rt, now=desk.rt.now() + timedelta(minutes=20), only="catch_up", at_once=True)
    assert "задач обзвона" not in again.text


def test_a_stopped_list_writes_nothing_more_and_leaves_the_open_tasks_to_people(desk: Desk) -> None:
    choice = planned(desk)
    assert choice.list_id is not None
    closes(desk, "4")
    assert call_lists.stop(desk.rt, choice.list_id) == (1, 0)
    later(desk, days=5)
    settle(desk.rt)
    assert len(tasks(desk)) == 1
    assert call_lists.stop(desk.rt, choice.list_id) == (0, 0)
    with pytest.raises(ListRefused):
        call_lists.stop(desk.rt, 999)

    second = planned(desk, rest_days=0)
    assert second.list_id is not None
    assert call_lists.stop(desk.rt, second.list_id) == (0, 1)
    closes(desk, "4")
    later(desk, days=5)
    settle(desk.rt)
    assert len(tasks(desk)) == 2, "no second call of a stopped list"


def test_a_list_stopped_after_a_lost_answer_still_hears_the_manager(desk: Desk) -> None:
    settle(desk.rt)
    desk.shop.faults(apply_then_drop=1.0)
    choice = planned(desk)
    desk.shop.faults(apply_then_drop=0.0)
    assert choice.list_id is not None
    assert call_lists.stop(desk.rt, choice.list_id) == (1, 0)
    closes(desk, "5", listens=False)
    later(desk, minutes=20)
    settle(desk.rt)

    assert [(one.state, one.result_code) for one in lines(desk)] == [("closed", 5)]


def test_what_was_bought_within_two_weeks_of_the_call_is_told(desk: Desk) -> None:
    planned(desk)
    closes(desk, "1 купит")
    later(desk, days=1)
    desk.bank_says()
    found = report(desk)

    assert (found.buyers, found.bought_kopecks) == (1, 499_000)
    assert found.closed_bps == 10_000
    with desk.rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE orders SET paid_at = paid_at + interval '15 days' WHERE kept_kopecks > 0"))
    assert report(desk).buyers == 0


def test_a_contact_that_is_gone_from_the_crm_gets_no_task(desk: Desk) -> None:
    settle(desk.rt)
    friend(desk, 1)
    call_lists.make(desk.rt, wish(desk))
    desk.shop.crm("POST", f"/sim/contacts/{desk.contact_id}/delete", {})
    settle(desk.rt)

    assert len(tasks(desk)) == 1
    assert report(desk).dropped == {"нет контакта в CRM": 1}


def test_a_task_that_the_crm_refuses_waits_with_a_reason_and_stops_no_other(desk: Desk) -> None:
    friend(desk, 1)
    planned(desk, min_points=5_000_000)
    call_lists.make(desk.rt, wish(desk))
    with desk.rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE call_list SET responsible_ref = 12345"))
    settle(desk.rt)

    assert tasks(desk) == []
    waiting = lookup.events(desk.rt, states=["waiting", "parked"], limit=5)[1]
    assert sum("не принимает задачу" in str(row.outcome) for row in waiting) == 2


def test_a_tick_that_nobody_told_us_of_stops_the_task(desk: Desk) -> None:
    settle(desk.rt)
    desk.shop.crm("POST", f"/sim/contacts/{desk.contact_id}/fields", {CALLS: True})
    assert len(call_lists.make(desk.rt, wish(desk)).chosen) == 1
    settle(desk.rt)

    assert tasks(desk) == []
    assert report(desk).dropped == {"просил не звонить": 1}


def test_two_lists_made_at_once_share_nobody(desk: Desk) -> None:
    first = planned(desk)
    second = planned(desk)
    assert (len(first.chosen), second.list_id) == (1, None)


def test_the_simulator_answers_as_the_crm_does(desk: Desk) -> None:
    planned(desk)
    headers = {"Authorization": f"Bearer {CRM_TOKEN}"}
    task_id = tasks(desk)[0]["id"]
    url = f"{desk.shop.crm_url}/api/v4/tasks"
    patched = desk.shop.session.patch(
        f"{url}/{task_id}", json={"is_completed": True, "result": {"text": "1"}}, headers=headers, timeout=10
    )
    assert patched.status_code == 200
    told = desk.shop.crm("GET", "/sim/hooks?limit=5")["deliveries"]
    body = next(one["body"] for one in told if one["event"] == "update_task")
    assert "task%5Bupdate%5D%5B0%5D%5Baction_close%5D=1" in body
    done = desk.shop.session.get(f"{url}?filter[is_completed]=1", headers=headers, timeout=10).json()
    assert [row["result"] for row in done["_embedded"]["tasks"]] == [{"text": "1"}]
    assert desk.shop.session.get(f"{url}?filter[is_completed]=0", headers=headers, timeout=10).status_code == 204
    refused = desk.shop.session.post(
        url,
        json=[{"text": "x", "complete_till": 1, "entity_id": 1, "entity_type": "contacts"}],
        headers=headers,
        timeout=10,
    )
    assert refused.status_code == 400


def test_lists_made_by_several_at_the_same_moment_share_nobody(desk: Desk) -> None:
    friend(desk, 1)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: call_lists.make(desk.rt, wish(desk)), range(4)))
    settle(desk.rt)

    assert sorted(len(one.chosen) for one in made) == [0, 0, 0, 2]
    assert len(tasks(desk)) == 2


def test_several_workers_at_once_write_each_task_once(desk: Desk) -> None:
    for number in range(1, 8):
        friend(desk, number, points=0)
    settle(desk.rt)
    call_lists.make(desk.rt, wish(desk))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: outbox.drain(desk.rt), range(4)))
    settle(desk.rt)

    assert len(tasks(desk)) == 8


def test_what_a_manager_writes_after_the_person_was_erased_is_not_kept(desk: Desk) -> None:
    planned(desk)
    closes(desk, "4 Петрова не берёт")
    personal_data.erase(desk.rt, desk.buyer)

    closes(desk, "5 Петрова просит не звонить")
    closes(desk, "5 Петрова просит не звонить")

    with desk.rt.db.begin() as tx:
        kept = tx.execute(sa.text("SELECT result_code, result_text FROM call_task ORDER BY id")).all()
        proofs = tx.execute(sa.text("SELECT evidence FROM consent")).scalars().all()
    assert [tuple(one) for one in kept] == [(5, ""), (None, None)]
    assert len(proofs) == 1
    assert "Петрова" not in proofs[0]
    later(desk, days=3)
    settle(desk.rt)
    assert [one.state for one in lines(desk)] == ["closed", "dropped"], "nobody is called again"
    desk.check()
