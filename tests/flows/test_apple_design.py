"""A new design reaches every installed card, so many a minute, and payments do not wait behind it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from kopilka_testing import StandingClock, settle

from flows import apple_cards, apple_design, card_plan, nightly, people
from flows.people import Person
from flows.runtime import Runtime
from storage.members import Member


@pytest.fixture
def members(rt: Runtime, clock: StandingClock) -> list[Member]:
    """Five people with cards; the present design is carried out."""
    made = [people.create(rt, Person(name=f"Участник {number}", phone=f"+7900400000{number}")) for number in range(5)]
    for member in made:
        apple_cards.give_out(rt, member.id)
    look(rt, clock)
    settle(rt)
    return made


def look(rt: Runtime, clock: StandingClock) -> str:
    results = nightly.run_due(rt, now=clock(), only="apple_design", at_once=True)
    assert [result.error for result in results] == [None]
    return results[0].text


def rows(rt: Runtime, query: str) -> list[tuple[object, ...]]:
    with rt.db.begin() as tx:
        return [tuple(row) for row in tx.execute(sa.text(query))]


def test_an_unchanged_design_marks_nobody(rt: Runtime, clock: StandingClock, members: list[Member]) -> None:
    assert look(rt, clock) == "обновляем карт: 0"
    assert rows(rt, "SELECT FROM outbox WHERE kind = 'apple' AND state <> 'done'") == []


def test_a_new_design_gives_every_card_a_new_tag_at_its_time(
    rt: Runtime, clock: StandingClock, members: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apple_design, "CHUNK_PEOPLE", 2)
    monkeypatch.setattr(apple_design, "CARDS_PER_MINUTE", 2)
    before = dict(rows(rt, "SELECT member_id, tag FROM apple_card"))
    clock.forward(hours=1)
    rt.design = replace(rt.design, background="#123456", segments={})

    text = look(rt, clock)
    again = look(rt, clock)
    due = [
        row[0] for row in rows(rt, "SELECT due_at FROM outbox WHERE kind = 'apple' AND state = 'waiting' ORDER BY 1")
    ]
    settle(rt)
    first = dict(rows(rt, "SELECT member_id, tag FROM apple_card"))
    clock.forward(minutes=10)
    settle(rt)
    last = dict(rows(rt, "SELECT member_id, tag FROM apple_card"))

    assert (text, again) == ("обновляем карт: 5", "обновляем карт: 0")
    assert due == [clock() - timedelta(minutes=10) + timedelta(minutes=minute) for minute in (0, 0, 1, 1, 2)]
    assert sum(first[one] != before[one] for one in before) == 2
    assert all(last[one] > before[one] for one in before)


def test_a_payment_does_not_wait_behind_a_new_design(rt: Runtime, clock: StandingClock, members: list[Member]) -> None:
    from flows.adjusting import Adjustment, adjust

    clock.forward(hours=1)
    rt.design = replace(rt.design, background="#123456", segments={})
    look(rt, clock)
    with rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE outbox SET due_at = due_at + interval '1 day' WHERE kind = 'apple'"))

    adjust(rt, members[4].id, Adjustment(points=5, reason="gift", comment="т", actor="т", key="k"))
    settle(rt)

    assert rows(rt, "SELECT target_id FROM outbox WHERE kind = 'apple' AND state = 'done'") == [(members[4].id,)]


def test_new_words_and_thresholds_of_segments_are_a_new_look(
    rt: Runtime, clock: StandingClock, members: list[Member]
) -> None:
    clock.forward(hours=1)
    renamed = tuple(replace(one, title=f"{one.title}!") for one in rt.programme.segments)
    rt.active = replace(rt.active, programme=replace(rt.programme, segments=renamed))

    assert card_plan.standing(rt).is_new_look
    assert (look(rt, clock), look(rt, clock)) == ("обновляем карт: 5", "обновляем карт: 0")


def test_without_apple_there_is_nothing_to_do(rt: Runtime, clock: StandingClock) -> None:
    rt.apple = None

    assert look(rt, clock) == "обновляем карт: 0"


def test_people_are_told_before_a_new_design_and_while_it_is_carried_out(
    rt: Runtime, clock: StandingClock, members: list[Member]
) -> None:
    calm = card_plan.standing(rt)
    clock.forward(hours=1)
    rt.design = replace(rt.design, background="#123456", segments={})
    before = card_plan.standing(rt)
    look(rt, clock)
    with rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE outbox SET due_at = due_at + interval '5 minutes' WHERE kind = 'apple'"))
    during = card_plan.standing(rt)
    clock.forward(minutes=6)
    settle(rt)
    after = card_plan.standing(rt)

    assert calm.apple is not None
    assert during.apple is not None
    assert after.apple is not None
    assert (calm.is_new_look, before.is_new_look, during.is_new_look) == (False, True, False)
    assert (calm.apple.given_out, calm.apple.waiting, before.minutes_for_all) == (5, 0, 1)
    assert (during.apple.waiting, during.apple.left_s) == (5, 300.0)
    assert (after.apple.waiting, after.apple.left_s) == (0, 0.0)
