"""Every balance is explained: its lines sum to it, now and at any past moment, whatever happened to the member."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from flow_gifts_and_holds import give, hold
from flow_points_world import World
from kopilka_testing import StandingClock

from flows import active_rules, explaining, people
from flows.explaining import NotYet
from flows.people import Person
from flows.refusals import MemberNotFound, SeveralMembers
from flows.runtime import Runtime
from loyalty.ledger import MEMBER_ACCOUNTS, Balance

HISTORIES = 12


@pytest.fixture
def world(rt: Runtime) -> World:
    return World(rt)


def live(world: World, clock: StandingClock, chance: random.Random) -> tuple[list[int], list[datetime]]:
    """Members with random lives, and moments between the steps."""
    people_ids = [world.member() for _ in range(3)]
    deals = [world.deal(chance.choice(people_ids)) for _ in range(6)]
    moments = [clock()]
    for _ in range(chance.randint(6, 16)):
        clock.forward(days=chance.choice((0, 0, 1, 15, 70, 200)), minutes=1)
        member_id, deal = chance.choice(people_ids), chance.choice(deals)
        paid = chance.choice((499_000, 100_000, 3_000))
        step = chance.randint(0, 5)
        if step == 0:
            give(world.rt, member_id, chance.randint(1, 900), valid_days=chance.choice((None, 10, 60)))
        elif step == 1:
            hold(world.rt, deal, chance.randint(1, 200))
        elif step == 2:
            world.pay(deal, paid, chance.choice((0, paid // 3, paid)))
        elif step == 3:
            world.pay(deal, paid, paid, is_total=True)
        elif step == 4:
            with world.rt.db.begin() as tx:
                tx.execute(sa.text("UPDATE lot SET notified_at = :now"), {"now": clock()})
        else:
            world.pay(deal, paid)
        moments.append(clock())
    return people_ids, moments


def balance_of(world: World, member_id: int) -> Balance:
    return world.balance(member_id)


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_for_every_member_of_a_random_history_the_lines_sum_to_the_balance(
    world: World, clock: StandingClock, seed: int
) -> None:
    chance = random.Random(seed)
    member_ids, moments = live(world, clock, chance)
    if chance.random() < 0.4:
        people.merge(world.rt, from_id=member_ids[0], into_id=member_ids[1])

    for member_id in member_ids[1:]:
        report = explaining.balance_at(world.rt, member_id)
        assert report.balance == balance_of(world, member_id)
        assert sum(one.line.points for one in report.lines) == report.balance.net
        for name in MEMBER_ACCOUNTS:
            assert sum(getattr(one.line.change, name) for one in report.lines) == getattr(report.balance, name)
        assert all(one.line.event and one.line.rule and one.line.rules_version for one in report.lines)
        assert sum(part.points for part in report.parts) == report.balance.net
        assert sum(burn.points for burn in report.burns) == report.balance.available
        for at in chance.sample(moments, 3):
            past = explaining.balance_at(world.rt, member_id, at)
            assert sum(one.line.points for one in past.lines) == past.balance.net
            assert past.lines == report.lines[: len(past.lines)]
            assert explaining.balance_at(world.rt, member_id, at, with_lines=False) == replace(past, lines=())
            assert all(one.at <= at for one in past.lines)


def test_the_balance_of_a_past_moment_is_what_it_was_then(world: World, clock: StandingClock) -> None:
    member_id = world.member()
    seen = {clock(): balance_of(world, member_id)}
    for paid in (499_000, 100_000):
        clock.forward(days=10)
        world.pay(world.deal(member_id), paid)
        seen[clock()] = balance_of(world, member_id)
        clock.forward(hours=1)

    for at, was in seen.items():
        assert explaining.balance_at(world.rt, member_id, at).balance == was
    with pytest.raises(NotYet):
        explaining.balance_at(world.rt, member_id, clock() + timedelta(seconds=1))


def test_each_line_cites_the_deal_the_rule_its_line_and_the_version(world: World) -> None:
    member_id = world.member()
    deal = world.deal(member_id)
    world.pay(deal, 499_000)

    lines = explaining.statement(world.rt, member_id, limit=10)

    [base] = [one for one in lines if one.move == "accrue"]
    assert base.line.text.replace("\u00a0", " ") == (
        f"+499 за заказ {deal} (10 %, базовая ставка), доступны с 15 марта 2026, действуют по 11 сентября 2026"
    )
    assert base.line.event == f"сделка {deal}"
    assert (base.line.rule, base.rule_line) == ("accrual.rate", world.rt.file.line_of("accrual.rate"))
    assert base.rule_line > 0
    assert base.line.rules_version == world.rt.rules_version


def test_a_line_of_older_rules_keeps_their_rate_and_place(world: World) -> None:
    member_id = world.member()
    world.pay(world.deal(member_id), 100_000)
    old = world.rt.rules_version
    world.change_rules(rate_bps=2_500)
    world.pay(world.deal(member_id), 100_000)

    new_line, old_line = [one for one in explaining.statement(world.rt, member_id, limit=10) if one.move == "accrue"]

    assert "25\u00a0%" in new_line.line.text
    assert "10\u00a0%" in old_line.line.text
    assert old_line.line.rules_version == old
    assert old_line.rule_line == world.rt.file.line_of("accrual.rate")


def test_a_statement_comes_in_pages_that_miss_nothing(world: World) -> None:
    member_id = world.member()
    for _ in range(3):
        world.pay(world.deal(member_id), 100_000)
    whole = explaining.statement(world.rt, member_id, limit=100)

    pages: list[explaining.Cited] = []
    while True:
        page = explaining.statement(world.rt, member_id, limit=2, before=pages[-1].id if pages else None)
        if not page:
            break
        pages += page

    assert tuple(pages) == whole
    assert [one.id for one in whole] == sorted((one.id for one in whole), reverse=True)


def test_the_pieces_of_the_present_balance_name_order_gift_and_hold(world: World) -> None:
    member_id = world.member()
    deal = world.deal(member_id)
    world.pay(deal, 499_000)
    give(world.rt, member_id, 340, valid_days=27)
    assert hold(world.rt, world.deal(member_id), 40)

    report = explaining.balance_at(world.rt, member_id)

    assert [part.text.replace("\u00a0", " ") for part in report.parts] == [
        "300 — «8 Марта», действуют по 28 марта 2026",
        "40 — «8 Марта», в резерве, действуют по 28 марта 2026",
        "300 — приветственные, действуют по 30 апреля 2026",
        f"499 — заказ {deal}, доступны с 15 марта 2026, действуют по 11 сентября 2026",
    ]
    assert [burn.points for burn in report.burns] == [300, 300]


def test_a_merged_member_is_explained_with_both_histories(world: World) -> None:
    first, second = world.member(), world.member()
    world.pay(world.deal(first), 100_000)
    world.pay(world.deal(second), 499_000)
    people.merge(world.rt, from_id=first, into_id=second)

    by_old_name = explaining.balance_at(world.rt, first)

    assert by_old_name == replace(explaining.balance_at(world.rt, second), at=by_old_name.at)
    assert by_old_name.member.id == second
    assert by_old_name.balance == balance_of(world, second)


def test_a_member_is_found_by_any_name_a_person_may_type(world: World) -> None:
    person = Person("Анна", phone="+79161234567", email="anna@shop.ru", contact_ref=555_001)
    member = people.create(world.rt, person)
    card = f"{member.card_number[:2]} {member.card_number[2:6]} {member.card_number[6:]}"

    for text in (str(member.id), card, "8 (916) 123-45-67", "79161234567", "Anna@shop.ru"):
        assert explaining.member_named(world.rt, text) == member.id
    assert explaining.member_of_contact(world.rt, 555_001) == member.id
    for text in ("Анна", "999999999", "+7 916 000-00-00", "nobody@shop.ru", "9" * 40, ""):
        with pytest.raises(MemberNotFound):
            explaining.member_named(world.rt, text)


def test_a_phone_of_two_members_is_not_guessed(world: World) -> None:
    first = people.create(world.rt, Person("Анна", phone="+79161234567"))
    second = people.create(world.rt, Person("Пётр", phone="+79161234568"))
    with world.rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE member_address SET value = '+79161234567' WHERE kind = 'phone'"))

    with pytest.raises(SeveralMembers) as refused:
        explaining.member_named(world.rt, "+79161234567")

    assert refused.value.details == {"members": [first.id, second.id]}


def test_rules_that_are_taken_over_bring_their_lines(world: World) -> None:
    active_rules.look(world.rt, at_once=True)

    assert world.rt.active.lines["accrual.rate"] == world.rt.file.line_of("accrual.rate")
