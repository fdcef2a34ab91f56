"""Native bonus points follow the ledger whatever amoCRM, the network and its managers do; over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from bonus_world import BonusWorld, bonus_world, switch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kopilka_testing import Shop, SilentBell, StandingClock, posted, programme_with_token, settle, tbank_body

from config.settings import load_settings
from connector.amocrm.client import AmoCrm
from flows import crm_bonus, failpoints, inbox, people, sweep
from flows import settle as settling
from flows.people import Person
from flows.runtime import Runtime, build_runtime, prepare

pytestmark = pytest.mark.slow

WELCOME = 300
Run = Callable[..., int]


@pytest.fixture
def world(rt: Runtime, shop: Shop, clock: StandingClock) -> Iterator[BonusWorld]:
    with bonus_world(rt, shop, clock) as made:
        yield made


def nothing_held() -> None:
    """Nobody else is at work."""


def test_a_customer_shows_what_can_be_spent_with_few_writes(world: BonusWorld) -> None:
    anna = world.buyer()
    assert world.native(anna) == WELCOME
    assert world.moves(anna) == [1, WELCOME - 1], "one point to see what is there, then the difference"

    world.gives(anna, 200)
    world.gives(anna, 50)
    world.works()
    world.takes(anna, 120)
    world.works()

    assert world.moves(anna) == [1, WELCOME - 1, 250, -120], "changes that came together are one write"
    assert world.native(anna) == world.ledger(anna) == 430
    assert world.drifts() == []
    world.night()
    world.works()
    assert len(world.moves(anna)) == 4, "what agrees is not written"


def test_without_the_key_nothing_is_written_and_nothing_waits(rt: Runtime, shop: Shop, clock: StandingClock) -> None:
    with bonus_world(rt, shop, clock, is_on=False) as world:
        anna = world.buyer()
        assert "бонус" not in world.night()
        with rt.db.begin() as tx:
            assert tx.execute(sa.text("SELECT count(*) FROM outbox WHERE kind = 'bonus'")).scalar_one() == 0

        assert world.moves(anna) == []


def test_rows_that_are_left_when_the_key_is_switched_off_do_nothing(world: BonusWorld) -> None:
    anna = world.buyer()
    world.gives(anna, 100)
    switch(world.rt, is_on=False)
    world.works()

    assert world.native(anna) == WELCOME
    assert world.row(anna).state == "done"


def test_points_that_never_were_are_never_written(world: BonusWorld) -> None:
    world.rt.file = replace(world.rt.file, amocrm=replace(world.rt.crm_names, bonus_points=False))
    anna = world.buyer()
    assert world.manager_moves(anna, 70)
    world.takes(anna, WELCOME)
    switch(world.rt, is_on=True)
    world.night()
    world.works()

    assert (world.ledger(anna), world.native(anna), world.moves(anna)) == (0, 70, [70])


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_lost_answer_doubles_nothing(world: BonusWorld, lost: int) -> None:
    anna = world.buyer()
    world.gives(anna, 500)
    world.shop.faults(drop_bonus_answer=lost)
    highest = 0
    for _ in range(8):
        settle(world.rt)
        highest = max(highest, world.native(anna))
        world.clock.forward(minutes=15)

    assert world.native(anna) == world.ledger(anna) == WELCOME + 500
    assert highest <= WELCOME + 500 + lost - 1, "never more than what a look adds"
    assert world.drifts() == [], "our own writes are nobody else's moves"


def test_a_write_that_never_arrived_is_made_once(world: BonusWorld) -> None:
    anna = world.buyer()
    world.gives(anna, 500)
    world.shop.faults(bonus_status=500)
    world.works()
    assert world.native(anna) == WELCOME

    world.calms_down()

    assert world.native(anna) == world.ledger(anna)
    assert world.drifts() == []


def test_a_lost_first_look_is_no_drift(world: BonusWorld) -> None:
    world.shop.faults(drop_bonus_answer=2)
    anna = world.buyer()
    world.calms_down()

    assert world.native(anna) == WELCOME
    assert world.drifts() == []


def test_after_a_lost_answer_nothing_is_written_while_it_could_still_land(world: BonusWorld) -> None:
    anna = world.buyer()
    world.gives(anna, 500)
    world.shop.faults(drop_bonus_answer=1)
    settle(world.rt)
    before = len(world.moves(anna))
    with world.rt.db.begin() as tx:  # a person says «again» at once
        tx.execute(sa.text("UPDATE outbox SET due_at = :now, failures = 0"), {"now": world.clock()})
    settle(world.rt)

    assert len(world.moves(anna)) == before
    assert world.row(anna).outcome == crm_bonus.BUSY
    world.calms_down()
    assert world.agrees()


def test_a_manager_who_moves_points_is_found_and_put_right(world: BonusWorld) -> None:
    anna = world.buyer()
    assert world.manager_moves(anna, -50)
    assert world.manager_moves(anna, 20)
    world.gives(anna, 100)
    world.works()

    assert world.native(anna) == world.ledger(anna) == WELCOME + 100
    assert world.drifts() == [(WELCOME, WELCOME - 30)]


def test_a_redemption_of_more_than_is_left_looks_first(world: BonusWorld) -> None:
    anna = world.buyer()
    assert world.manager_moves(anna, -WELCOME)
    world.takes(anna, 250)
    world.works()

    assert world.native(anna) == world.ledger(anna) == 50
    assert world.moves(anna)[-2:] == [1, 49]
    assert world.drifts() == [(WELCOME, 0)]


def test_in_one_visit_there_are_at_most_three_writes(world: BonusWorld) -> None:
    anna = world.buyer()
    crm = world.rt.crm
    assert crm is not None
    rival = Rival(crm, lambda: world.manager_moves(anna, 5))
    world.gives(anna, 100)
    world.rt.crm = rival  # type: ignore[assignment]
    outcome = crm_bonus.refresh(world.rt, [anna], nothing_held)
    world.rt.crm = crm

    assert rival.writes == crm_bonus.WRITES_MAX
    assert outcome == {anna: crm_bonus.LEFT}
    assert len(world.drifts()) == 3
    assert "отправляем 0" in world.night(), "its own row is still waiting"
    world.works()
    assert world.agrees()


def test_who_was_left_is_found_by_the_night(world: BonusWorld) -> None:
    anna = world.buyer()
    crm = world.rt.crm
    assert crm is not None
    world.gives(anna, 100)
    world.rt.crm = Rival(crm, lambda: world.manager_moves(anna, 5))  # type: ignore[assignment]
    settle(world.rt)
    world.rt.crm = crm
    assert world.native(anna) != world.ledger(anna)

    assert "отправляем 1, чужих движений за сутки 3" in world.night()
    world.works()

    assert world.agrees()


@dataclass
class Rival:
    """amoCRM with somebody who acts right before each of our moves."""

    crm: AmoCrm
    acts: Callable[[], Any]
    writes: int = 0

    def move_bonus(self, customer_id: int, points: int) -> int:
        self.writes += 1
        self.acts()
        return self.crm.move_bonus(customer_id, points)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.crm, name)


def test_a_worker_that_was_too_slow_overwrites_nothing(world: BonusWorld) -> None:
    """It writes when its time is long over and another has written already."""
    anna = world.buyer()
    crm = world.rt.crm
    assert crm is not None
    world.gives(anna, 100)

    def overtaken() -> None:
        if isinstance(world.rt.crm, Rival):
            world.rt.crm = crm
            world.clock.forward(seconds=settling.UNSURE_FOR.total_seconds() + 1)
            crm_bonus.refresh(world.rt, [anna], nothing_held)

    world.rt.crm = Rival(crm, overtaken)  # type: ignore[assignment]
    crm_bonus.refresh(world.rt, [anna], nothing_held)
    world.works(2)

    assert world.agrees()
    assert world.drifts() == []


def test_two_workers_at_one_customer_write_in_turn(world: BonusWorld) -> None:
    anna, boris = world.buyer(), world.buyer()
    shared = world.customer(anna)
    with world.rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE crm_state SET customer_ref = :ref"), {"ref": shared})
    for _ in range(5):
        world.gives(anna, 100)
        world.gives(boris, 10)
        workers = [threading.Thread(target=settle, args=(world.rt,)) for _ in range(2)]
        for one in workers:
            one.start()
        for one in workers:
            one.join()
    world.calms_down()

    assert world.native(anna) == world.ledger(anna) + world.ledger(boris) == 2 * WELCOME + 550
    assert world.drifts() == []


def test_of_two_who_are_merged_one_customer_shows_all_and_the_other_none(world: BonusWorld) -> None:
    anna, double = world.buyer(), world.buyer()
    people.merge(world.rt, from_id=double, into_id=anna)
    world.works()

    assert (world.native(anna), world.native(double)) == (2 * WELCOME, 0)
    assert world.drifts() == []


def test_who_takes_over_the_contact_of_another_takes_over_his_customer(world: BonusWorld) -> None:
    anna = world.buyer()
    on_site = people.create(world.rt, Person("Анна", phone="+79990000001")).id
    world.gives(on_site, 40)
    people.merge(world.rt, from_id=anna, into_id=on_site)
    world.works()

    assert world.customer(on_site) == world.customer(anna)
    assert world.native(on_site) == world.ledger(on_site) == WELCOME + 40
    assert world.drifts() == []


def test_a_customer_who_is_gone_stops_nobody(world: BonusWorld) -> None:
    anna, boris = world.buyer(), world.buyer()
    with world.rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE crm_state SET customer_ref = 987654321 WHERE member_id = :id"), {"id": anna})
    world.gives(anna, 10)
    world.gives(boris, 10)
    world.works()

    assert (world.row(anna).state, world.row(anna).outcome) == ("done", crm_bonus.GONE)
    assert world.native(boris) == WELCOME + 10


def test_a_buyer_whose_customer_is_still_to_come_is_told_when_it_is_there(world: BonusWorld) -> None:
    deal_id, _ = world.shop.deal(1_000)
    inbox.accept_payment(world.rt, "tbank", posted(tbank_body(deal_id, kopecks=100_000)))
    inbox.drain(world.rt)
    with world.rt.db.begin() as tx:
        [anna] = tx.execute(sa.text("SELECT id FROM member")).scalars()
    assert crm_bonus.refresh(world.rt, [anna], nothing_held) == {anna: crm_bonus.NO_CUSTOMER}
    world.works()

    assert world.native(anna) == WELCOME


@pytest.mark.parametrize("status", [402, 422, 400, 403])
def test_while_amocrm_refuses_the_points_wait_and_nothing_else_stops(world: BonusWorld, status: int) -> None:
    anna = world.buyer()
    world.shop.faults(bonus_status=status)
    world.gives(anna, 100)
    world.works()
    row = world.row(anna)

    assert row.state == "waiting"
    assert {402: "AccountUnpaid", 422: "bonus_points: no", 400: "не принимает", 403: "403"}[status] in row.outcome
    with world.rt.db.begin() as tx:
        left = tx.execute(sa.text("SELECT kind FROM outbox WHERE state <> 'done'")).scalars().all()
    assert left == ["bonus"]

    world.shop.faults(bonus_status=0)
    for _ in range(6):
        world.clock.forward(minutes=30)
        world.works()
    assert world.agrees()
    assert world.drifts() == []


def test_one_refused_customer_does_not_send_his_neighbours_back(world: BonusWorld) -> None:
    buyers = [world.buyer() for _ in range(3)]
    crm = world.rt.crm
    assert crm is not None
    unlucky = world.customer(buyers[1])

    class Choosy(Rival):
        def move_bonus(self, customer_id: int, points: int) -> int:
            if customer_id == unlucky:
                world.shop.faults(bonus_status=400)
            try:
                return self.crm.move_bonus(customer_id, points)
            finally:
                world.shop.faults(bonus_status=0)

    for one in buyers:
        world.gives(one, 10)
    world.rt.crm = Choosy(crm, bool)  # type: ignore[assignment]
    settle(world.rt)

    assert [world.native(one) for one in buyers] == [WELCOME + 10, WELCOME, WELCOME + 10]
    assert [world.row(one).state for one in buyers] == ["done", "waiting", "done"]


def test_switched_on_later_the_night_tells_those_who_were_there_before(
    rt: Runtime, shop: Shop, clock: StandingClock
) -> None:
    with bonus_world(rt, shop, clock, is_on=False) as world:
        anna, boris = world.buyer(), world.buyer()
        assert world.manager_moves(boris, 200)
        switch(rt, is_on=True)

        assert world.night().endswith("бонусные баллы: отправляем 2, чужих движений за сутки 0")
        world.works()

        assert (world.native(anna), world.native(boris)) == (WELCOME, WELCOME)
        assert world.drifts() == [(None, 200)], "what was there before us is not lost from sight"
        assert "отправляем 0, чужих движений за сутки 1" in world.night()


@pytest.fixture
def mirrored(environment: dict[str, str], shop: Shop, clock: StandingClock, tmp_path: Path) -> Iterator[BonusWorld]:
    """The rules file itself says so, for processes that read it."""
    path = programme_with_token(tmp_path)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("customers: yes", "customers: yes\n  bonus_points: yes"), encoding="utf-8")
    runtime = build_runtime(load_settings(environment, dotenv=None), bell=SilentBell(), clock=clock)
    prepare(runtime)
    assert crm_bonus.is_on(runtime)
    with bonus_world(runtime, shop, clock) as made:
        yield made
    runtime.db.close()


@pytest.mark.parametrize("points_back", [0, 500])
def test_a_process_that_dies_after_a_write_doubles_nothing(mirrored: BonusWorld, run: Run, points_back: int) -> None:
    world = mirrored
    anna = world.buyer()
    world.gives(anna, 500)

    died = run("outbox", failpoint="bonus.after_write")
    assert died == failpoints.EXIT_CODE
    assert world.native(anna) == WELCOME + 500, "it was written, and nobody knows"
    if points_back:
        world.takes(anna, points_back)
    world.clock.forward(seconds=world.rt.settings.lease_s + 1)
    sweep.sweep_once(world.rt)
    world.works(2)

    assert world.native(anna) == world.ledger(anna) == WELCOME + 500 - points_back
    assert world.drifts() == []


POINTS = st.integers(1, 90)
OURS = st.tuples(st.sampled_from(["gives", "takes"]), POINTS)
THEIRS = st.tuples(st.sampled_from(["earns there", "redeems there"]), POINTS)
WORK = st.tuples(st.sampled_from(["works", "loses answers", "fails", "refuses", "night"]), st.integers(1, 3))
ANY_FIXTURE = [HealthCheck.function_scoped_fixture]


@settings(max_examples=20, deadline=None, suppress_health_check=ANY_FIXTURE)
@given(st.lists(st.one_of(OURS, WORK), max_size=12))
def test_whatever_is_lost_nothing_of_our_own_is_doubled_or_called_foreign(
    world: BonusWorld, steps: list[tuple[str, int]]
) -> None:
    anna = world.buyer()
    for what, number in steps:
        _step(world, anna, what, number)
    world.calms_down()

    assert world.native(anna) == world.ledger(anna)
    assert world.drifts() == []


@settings(max_examples=20, deadline=None, suppress_health_check=ANY_FIXTURE)
@given(st.lists(st.one_of(OURS, WORK, THEIRS), max_size=12))
def test_whatever_others_move_amocrm_ends_with_what_the_ledger_has(
    world: BonusWorld, steps: list[tuple[str, int]]
) -> None:
    anna = world.buyer()
    known_drifts = len(world.drifts())
    foreign = [moved for what, number in steps if (moved := _step(world, anna, what, number))]
    world.calms_down()
    world.gives(anna, 1)  # one more write finds what was moved since the last
    world.works()
    drifts = world.drifts()[known_drifts:]

    assert world.native(anna) == world.ledger(anna)
    assert len(drifts) <= len(foreign)
    if not any(what in ("loses answers", "fails") for what, _ in steps):
        assert sum(found - (expected or 0) for expected, found in drifts) == sum(foreign), "each move is told once"


def _step(world: BonusWorld, anna: int, what: str, number: int) -> int:
    """Returns what somebody else moved."""
    if what == "gives":
        world.gives(anna, number)
    elif what == "takes":
        taken = min(number, world.ledger(anna))
        if taken:
            world.takes(anna, taken)
    elif what in ("earns there", "redeems there"):
        points = number if what == "earns there" else -number
        return points if world.manager_moves(anna, points) else 0
    else:
        _work(world, what, number)
    return 0


def _work(world: BonusWorld, what: str, number: int) -> None:
    if what == "loses answers":
        world.shop.faults(drop_bonus_answer=number)
    elif what in ("fails", "refuses"):
        world.shop.faults(bonus_status={"fails": 500, "refuses": (400, 402, 422)[number - 1]}[what])
    elif what == "night":
        world.night()
    world.works()
    world.shop.faults(drop_bonus_answer=0, bonus_status=0)


def test_while_the_crm_is_away_new_buyers_points_wait_quietly_and_come_with_their_customer(world: BonusWorld) -> None:
    world.shop.faults(error_500=1.0)
    contact = {"name": "Анна", "phone": "+79160000001"}
    made = world.shop.crm("POST", "/sim/deals", {"price_roubles": 1, "contact": contact})
    anna = people.create(world.rt, Person("Анна", contact_ref=made["contact_id"])).id
    world.gives(anna, 100)
    for _ in range(3 * 60):
        settle(world.rt)
        world.clock.forward(seconds=20)
    with world.rt.db.begin() as tx:
        tries = tx.execute(sa.text("SELECT claims FROM outbox WHERE kind = 'bonus'")).scalar_one()
    world.shop.faults(error_500=0.0)
    world.clock.forward(minutes=30)
    settle(world.rt)
    world.pays(made["deal_id"], 1)

    assert tries <= 7, "an hour"
    assert world.native(anna) == world.ledger(anna) >= 100, "with the customer, not ten minutes later"
