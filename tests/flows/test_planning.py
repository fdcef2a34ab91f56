"""New rules are looked at before they are applied, applied once, and never reach back to what was decided before."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flow_gifts_and_holds import give, hold
from flow_points_world import World
from kopilka_testing import SilentBell, StandingClock

from config.programme import ProgrammeInvalid
from config.settings import load_settings
from flows import active_rules, planning
from flows.planning import RulesMoved
from flows.runtime import Runtime, build_runtime, prepare
from loyalty.basket import Basket, Line
from loyalty.ledger import Balance
from loyalty.repricing import base_points
from storage import members, orders, rules
from storage import planning as stored


@pytest.fixture
def world(rt: Runtime) -> World:
    return World(rt)


@pytest.fixture
def another(rt: Runtime, environment: dict[str, str], clock: StandingClock) -> Iterator[Runtime]:
    """A worker of the same installation that started before anything was applied."""
    runtime = build_runtime(load_settings(environment, dotenv=None), bell=SilentBell(), clock=clock)
    prepare(runtime)
    yield runtime
    runtime.db.close()


def edit(rt: Runtime, old: str, new: str) -> None:
    """The owner changes a line of the rules file."""
    path: Path = rt.file.path
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new), encoding="utf-8")


def into_segment(rt: Runtime, code: str | None, *member_ids: int) -> None:
    with rt.db.begin() as tx:
        for member_id in member_ids:
            members.set_segment(tx, member_id, code)


def applied_rows(rt: Runtime) -> list[sa.Row[Any]]:
    with rt.db.begin() as tx:
        return list(tx.execute(sa.text("SELECT * FROM rules_applied ORDER BY id")))


def test_nothing_to_change_is_said_and_nothing_is_written(rt: Runtime) -> None:
    edit(rt, "# срок возврата товара: до него баллы «ожидают»", "# другой комментарий")

    found = planning.plan(rt)
    planning.apply(rt, "Иванова")

    assert found.is_empty
    assert found.cost is None
    assert len(applied_rows(rt)) == 1


def test_the_plan_names_each_change_its_line_and_how_many_it_concerns(rt: Runtime, world: World) -> None:
    into_segment(rt, "vip", world.member(), world.member())
    into_segment(rt, "regular", world.member())
    world.member()
    edit(rt, "rate: 15%, max_share: 50%", "rate: 20%, max_share: 50%")
    edit(rt, "  rate: 10%  ", "  rate: 11%  ")
    edit(rt, "points: 300\n  on: first_payment", "points: 400\n  on: first_payment")

    found = planning.plan(rt)

    assert [one.text.replace("\u00a0", " ") for one in found.changes] == [
        "Изменится базовая ставка: 10 % → 11 %, затронет 2 участника",
        "Изменится число приветственных баллов: 300 → 400, затронет тех, кто ещё не покупал: 4",
        "Изменится ставка сегмента vip: 15 % → 20 %, затронет 2 участника",
    ]
    written = rt.file.path.read_text(encoding="utf-8").splitlines()
    assert ["rate: 11%" in written[found.changes[0].line - 1], "vip" in written[found.changes[2].line - 1]] == [
        True,
        True,
    ]


def test_welcome_points_of_a_first_order_concern_all_who_have_not_bought_yet(rt: Runtime, world: World) -> None:
    buyer, returner, *rest = (world.member() for _ in range(4))
    world.pay(world.deal(buyer), 499_000)
    returned = world.deal(returner)
    world.pay(returned, 499_000)
    world.pay(returned, 499_000, 499_000)
    with rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE member SET merged_into_id = :into WHERE id = :id"), {"into": rest[0], "id": rest[1]})
    edit(rt, "points: 300\n  on: first_payment", "points: 5000\n  on: first_payment")
    [dearer] = planning.plan(rt).changes

    edit(rt, "on: first_payment", "on: signup")
    planning.apply(rt, "Иванова")
    edit(rt, "points: 5000\n  on: signup", "points: 300\n  on: signup")
    [of_joining] = planning.plan(rt).changes

    assert (dearer.members, dearer.whom) == (2, "затронет тех, кто ещё не покупал: 2")
    assert (of_joining.members, of_joining.whom) == (0, "затронет только новых участников")


def test_a_merged_member_is_not_counted(rt: Runtime, world: World) -> None:
    first, second = world.member(), world.member()
    into_segment(rt, "vip", first, second)
    with rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE member SET merged_into_id = :into WHERE id = :id"), {"into": second, "id": first})
    edit(rt, "rate: 15%, max_share: 50%", "rate: 20%, max_share: 50%")

    [change] = planning.plan(rt).changes

    assert change.members == 1


def test_past_orders_are_priced_by_both_rules(rt: Runtime, world: World, clock: StandingClock) -> None:
    member = world.member()
    world.pay(world.deal(member), 499_000)
    clock.forward(days=100)
    for paid in (100_000, 99_999):
        world.pay(world.deal(member), paid)
    returned = world.deal(member)
    world.pay(returned, 100_000)
    world.pay(returned, 100_000, 100_000)
    edit(rt, "  rate: 10%  ", "  rate: 12%  ")

    cost = planning.plan(rt).cost

    assert cost is not None
    assert (cost.orders, cost.days, cost.is_part) == (3, 90, False)
    assert (cost.before_points, cost.after_points) == (100 + 99, 120 + 119)
    assert (cost.points, cost.kopecks) == (40, 4_000)
    planning.apply(rt, "Иванова")
    edit(rt, "  rate: 12%  ", "  rate: 5%  ")
    again = planning.plan(rt).cost
    assert again is not None
    assert (again.before_points, again.after_points) == (120 + 119, 50 + 49), "old orders too, as if by today's rules"


def test_a_change_that_costs_nothing_is_not_estimated(rt: Runtime, world: World) -> None:
    world.pay(world.deal(world.member()), 100_000)
    edit(rt, "expire_after: 180 days           #", "expire_after: 90 days           #")

    assert planning.plan(rt).cost is None


def test_more_orders_than_the_limit_are_told_to_be_a_part(rt: Runtime, world: World) -> None:
    member = world.member()
    for kopecks in (100_000, 200_000, 300_000, 400_000):
        world.pay(world.deal(member), kopecks)
    edit(rt, "  rate: 10%  ", "  rate: 20%  ")
    told: list[int] = []

    part = planning.plan(rt, progress=told.append, orders_max=3).cost
    whole = planning.plan(rt, orders_max=4).cost

    assert part is not None
    assert whole is not None
    assert (part.orders, part.is_part, part.before_points) == (3, True, 900)
    assert (whole.orders, whole.is_part, whole.before_points) == (4, False, 1_000)
    assert told == [3]


@pytest.mark.parametrize("seed", range(8))
def test_every_order_priced_by_its_own_rules_is_what_was_posted(world: World, clock: StandingClock, seed: int) -> None:
    chance = random.Random(seed)
    rt = world.rt
    member = world.member()
    for _ in range(chance.randint(3, 7)):
        clock.forward(hours=chance.randint(1, 200))
        into_segment(rt, chance.choice((None, "start", "vip")), member)
        deal = world.deal(member)
        paid = chance.randint(1, 900_000)
        give(rt, member, 50, valid_days=None)
        if chance.random() < 0.4:
            hold(rt, deal, 50)
        if chance.random() < 0.3:
            world.stage(deal, is_paid=True, price=paid)
        if chance.random() < 0.5:
            line = Line(paid, qty=chance.choice((1, 3)), is_on_sale=chance.random() < 0.3)
            basket = Basket((line, Line(50_000)))
            with rt.db.begin() as tx:
                tx.execute(
                    sa.text("UPDATE orders SET basket = CAST(:basket AS jsonb) WHERE deal_ref = :deal"),
                    {"basket": json.dumps(basket.to_data()), "deal": deal},
                )
            paid = basket.total_kopecks
        world.pay(deal, paid, chance.choice((0, 0, paid // 2, paid)))

    with rt.db.begin() as tx:
        found, _ = stored.counted_since(tx, clock.at.replace(year=2020), before=None, limit=100)
        posted = list(
            tx.execute(sa.text("SELECT accrued FROM orders WHERE counted_at IS NOT NULL ORDER BY id DESC")).scalars()
        )
    assert [base_points(order, rt.programme) for order in found] == posted
    assert all(order.spent in (0, 50) for order in found)


def test_applying_stores_the_file_its_lines_and_who_did_it(rt: Runtime) -> None:
    before = rt.rules_version
    edit(rt, "  rate: 10%  ", "  rate: 12%  ")

    planning.apply(rt, "Иванова")

    with rt.db.begin() as tx:
        applied = rules.applied(tx)
    assert applied is not None
    assert applied.applied_by == "Иванова"
    assert applied.source == rt.file.path.read_text(encoding="utf-8")
    assert applied.programme.accrual.rate_bps == 1_200
    assert applied.lines["accrual.rate"] == rt.file.line_of("accrual.rate")
    assert rt.rules_version == applied.version != before
    assert rt.programme.accrual.rate_bps == 1_200
    assert planning.plan(rt).is_empty


def test_a_file_with_errors_is_refused_and_the_old_rules_stay(rt: Runtime) -> None:
    before = rt.rules_version
    edit(rt, "  rate: 10%  ", "  rate: 10   ")

    with pytest.raises(ProgrammeInvalid):
        planning.apply(rt, "Иванова")

    active_rules.look(rt, at_once=True)
    assert rt.rules_version == before
    assert len(applied_rows(rt)) == 1


def test_a_file_that_changed_after_the_plan_is_not_applied(rt: Runtime) -> None:
    edit(rt, "  rate: 10%  ", "  rate: 12%  ")
    seen = planning.plan(rt)
    edit(rt, "  rate: 12%  ", "  rate: 50%  ")

    with pytest.raises(RulesMoved):
        planning.apply(rt, "Иванова", planned=seen)

    assert len(applied_rows(rt)) == 1


def test_of_two_people_who_apply_at_once_one_wins_and_nothing_is_applied_twice(rt: Runtime, another: Runtime) -> None:
    edit(rt, "  rate: 10%  ", "  rate: 12%  ")
    plans = [planning.plan(one) for one in (rt, another)]

    with ThreadPoolExecutor(2) as pool:
        works = [
            pool.submit(planning.apply, one, name, planned=seen)
            for one, name, seen in zip((rt, another), ("Иванова", "Петров"), plans, strict=True)
        ]
        for work in works:
            work.result(timeout=60)

    assert len(applied_rows(rt)) == 2
    assert rt.rules_version == another.rules_version


def test_whoever_looked_at_older_rules_is_told_that_they_moved(rt: Runtime, another: Runtime) -> None:
    edit(rt, "  rate: 10%  ", "  rate: 12%  ")
    seen = planning.plan(another)
    edit(rt, "  rate: 12%  ", "  rate: 13%  ")
    planning.apply(rt, "Иванова")
    edit(rt, "  rate: 13%  ", "  rate: 12%  ")

    with pytest.raises(RulesMoved):
        planning.apply(another, "Петров", planned=seen)


def test_a_running_worker_takes_the_new_rules_over(rt: Runtime, another: Runtime, world: World) -> None:
    edit(rt, "  rate: 10%  ", "  rate: 20%  ")
    planning.apply(rt, "Иванова")
    assert another.programme.accrual.rate_bps == 1_000

    active_rules.look(another, at_once=True)

    worker = World(another)
    deal = worker.deal(worker.member())
    worker.pay(deal, 100_000)
    assert worker.order(deal).accrued == 200
    assert worker.order(deal).rules_version == rt.rules_version


def test_v12_an_old_order_is_returned_by_its_old_rules_after_new_ones_are_applied(rt: Runtime, world: World) -> None:
    member = world.member()
    old_deal = world.deal(member)
    world.pay(old_deal, 50_000)
    old_version = rt.rules_version
    edit(rt, "  rate: 10%  ", "  rate: 20%  ")
    edit(rt, "welcome:\n  points: 300", "welcome:\n  points: 900")
    planning.apply(rt, "Иванова")

    world.pay(old_deal, 50_000, 50_000, is_total=True)

    reversed_points = [one.points for one in world.transfers(member) if one.move == "reverse"]
    assert sorted(reversed_points) == [50, 300]
    assert world.balance(member) == Balance()
    assert {one.rules_version for one in world.transfers(member)} == {old_version}
    new_deal = world.deal(member)
    world.pay(new_deal, 50_000)
    assert (world.order(new_deal).accrued, world.order(new_deal).welcomed) == (100, 900)


def test_rules_may_go_back_to_an_earlier_version(rt: Runtime) -> None:
    first = rt.rules_version
    edit(rt, "  rate: 10%  ", "  rate: 12%  ")
    planning.apply(rt, "Иванова")
    edit(rt, "  rate: 12%  ", "  rate: 10%  ")

    planning.apply(rt, "Иванова")

    assert rt.rules_version == first
    assert [row.version == first for row in applied_rows(rt)] == [True, False, True]


def test_the_history_says_who_changed_what(rt: Runtime, clock: StandingClock) -> None:
    clock.forward(days=1)
    edit(rt, "  rate: 10%  ", "  rate: 12%  ")
    planning.apply(rt, "Иванова")

    last, first = planning.history(rt)

    assert (last.by, first.by) == ("Иванова", "first start")
    assert [change.text.replace("\u00a0", " ") for change in last.changes] == ["Изменится базовая ставка: 10 % → 12 %"]
    assert first.changes == ()
    assert last.at > first.at


def test_a_segment_that_leaves_with_members_in_it_is_warned_of(rt: Runtime, world: World) -> None:
    into_segment(rt, "regular", world.member())
    edit(rt, "  - {code: regular, title: Постоянный, when: {orders: 3}}\n", "")
    edit(rt, "segments: [regular, vip]", "segments: [vip]")

    found = planning.plan(rt)

    assert "В сегменте «Постоянный», которого больше не будет, участников: 1" in found.warnings


def test_equal_rules_under_another_name_are_nothing_to_change(rt: Runtime) -> None:
    rt.active = replace(rt.active, version="older-name")
    with rt.db.begin() as tx:
        rules.remember(tx, "older-name", rt.programme, now=rt.now())
        rules.apply(tx, "older-name", source="", lines={}, by="Иванова", now=rt.now())

    assert planning.plan(rt).is_empty
    assert not planning.differs(rt)
    planning.apply(rt, "Петров")
    assert applied_rows(rt)[-1].version == "older-name"


def test_orders_that_nobody_paid_are_not_estimated(rt: Runtime, world: World) -> None:
    deal = world.deal(world.member())
    with rt.db.begin() as tx:
        assert orders.find(tx, deal) is not None
        found, _ = stored.counted_since(tx, rt.now().replace(year=2020), before=None, limit=10)

    assert found == []
