"""The night burns what its owner was told of, prolongs the rest, and does it once however often it is run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest
import sqlalchemy as sa
from flow_points_world import at_once
from kopilka_testing import ROOT, StandingClock
from night_world import Night

from flows import book, holds, nightly
from flows.runtime import Runtime
from loyalty import redemption
from loyalty.account import Cause
from loyalty.basket import Basket, Line
from loyalty.redemption import Allocation
from loyalty.rules import BurnRules, Duration
from storage import lots, members

MOSCOW_MIDNIGHT = datetime(2026, 3, 28, 21, 0, tzinfo=UTC)
"""The end of 28 March in Moscow."""


@pytest.fixture
def night(rt: Runtime, clock: StandingClock) -> Night:
    return Night(rt, clock)


def after_midnight(night: Night, **more: float) -> None:
    night.clock.at = MOSCOW_MIDNIGHT + timedelta(minutes=5, **more)


def whole(night: Night) -> bool:
    verdict = night.verdict()
    assert verdict.faults == ()
    return verdict.is_whole


def test_v10_what_was_spent_does_not_burn_again(night: Night) -> None:
    member_id = night.buyer()
    night.lot(member_id, 100, MOSCOW_MIDNIGHT, told=True)
    with night.rt.db.begin() as tx:  # 80 of them are spent
        account = book.open_account(
            tx,
            night.rt,
            members.lock(tx, member_id),
            now=night.clock(),
            more=lots.open_lots(tx, member_id, enough=80, now=night.clock()),
        )
        redemption.take(account, 80, cause=Cause(rule="redeem"), now=night.clock())
        taken = [Allocation(one.lot_key or "", one.points) for one in account.decision.transfers]
        redemption.capture(account, taken, cause=Cause(rule="redeem"))
        book.save(tx, night.rt, member_id, account, occurred_at=night.clock())
    night.lot(member_id, 50, None)
    after_midnight(night)

    night.run("burn")

    assert (night.balance(member_id).available, night.schedule(member_id)) == (50, 50)
    burnt = [row for row in night.transfers(member_id) if row.move == "expire"]
    assert [(row.points, row.debit, row.credit) for row in burnt] == [(20, "available", "expired")]


def test_v18_points_held_at_23_50_do_not_burn_at_midnight_but_when_the_hold_runs_out(night: Night) -> None:
    member_id = night.buyer()
    key = night.lot(member_id, 500, MOSCOW_MIDNIGHT, told=True)
    night.clock.at = MOSCOW_MIDNIGHT - timedelta(minutes=10)
    basket = Basket((Line(200_000),))
    holds.make(night.rt, member_id, order_ref="site-1", basket=basket, points=500, channel="site")  # for 30 minutes
    after_midnight(night)

    night.run("burn")
    held = night.lot_row(key)
    night.clock.at = MOSCOW_MIDNIGHT + timedelta(minutes=20)
    night.run("holds")

    assert (held.reserved, held.expired) == (500, 0)
    assert (night.balance(member_id).available, night.lot_row(key).expired) == (0, 500)
    assert whole(night)


def test_only_the_free_part_of_a_lot_burns(night: Night) -> None:
    member_id = night.buyer()
    key = night.lot(member_id, 500, MOSCOW_MIDNIGHT, told=True)
    with night.rt.db.begin() as tx:
        account = book.open_account(
            tx, night.rt, members.lock(tx, member_id), now=night.clock(), more=lots.by_keys(tx, [key])
        )
        redemption.take(account, 120, cause=Cause(rule="redeem"), now=night.clock())
        book.save(tx, night.rt, member_id, account, occurred_at=night.clock())
    after_midnight(night)

    night.run("burn")

    row = night.lot_row(key)
    assert (row.available, row.reserved, row.expired) == (0, 120, 380)


def test_the_night_writes_what_a_decision_about_the_member_would_have_written(night: Night) -> None:
    sources = ("accrual", "welcome", "gift", "action", "manual", "opening", "restored")
    by_night, by_decision = night.buyer(), night.buyer()
    for source in sources:
        for member_id in (by_night, by_decision):
            night.lot(member_id, 10, MOSCOW_MIDNIGHT, told=True, source=source)
    after_midnight(night)
    with night.rt.db.begin() as tx:
        account = book.open_account(tx, night.rt, members.lock(tx, by_decision), now=night.clock())
        book.save(tx, night.rt, by_decision, account, occurred_at=night.clock())

    night.run("burn")

    def burnt(member_id: int) -> list[tuple[object, ...]]:
        names = "move, debit, credit, points, order_id, rules_version, occurred_at, recorded_at, hold_id, rule, actor"
        columns = ", ".join(f"t.{name}" for name in names.split(", "))
        return [
            tuple(row)
            for row in night.rows(
                f"SELECT {columns}, replace(t.key, l.key, '…'), l.source FROM transfer t JOIN lot l ON l.id = t.lot_id"
                " WHERE t.member_id = :id AND move = 'expire' ORDER BY l.source",
                id=member_id,
            )
        ]

    assert len(burnt(by_night)) == len(sources)
    assert burnt(by_night) == burnt(by_decision)
    assert whole(night)


def test_untold_points_live_on_for_a_whole_ladder_of_notices_and_remember_their_first_end(night: Night) -> None:
    member_id = night.buyer()
    key = night.lot(member_id, 340, MOSCOW_MIDNIGHT)
    after_midnight(night)

    first = night.run("burn")
    prolonged = night.lot_row(key)
    night.clock.at = prolonged.expires_at + timedelta(minutes=5)
    night.run("burn")
    again = night.lot_row(key)

    assert first.text == "сгорело: 0 партий, 0 баллов; продлено: 1 партия, 340 баллов"
    assert prolonged.expires_at == datetime(2026, 4, 28, 21, 0, tzinfo=UTC)  # 29 March + 30 days is the last day
    assert again.expires_at == datetime(2026, 5, 29, 21, 0, tzinfo=UTC)
    assert again.postponed_from == prolonged.postponed_from == MOSCOW_MIDNIGHT
    assert night.balance(member_id).available == night.schedule(member_id) == 340


def test_the_owner_may_let_points_burn_without_a_notice(night: Night) -> None:
    night.apply(burn=BurnRules(without_notice="burn"))
    member_id = night.buyer()
    night.lot(member_id, 340, MOSCOW_MIDNIGHT)
    after_midnight(night)

    night.run("burn")

    assert night.balance(member_id).available == 0


def test_points_do_not_end_before_their_last_day_is_over(night: Night) -> None:
    member_id = night.buyer()
    night.lot(member_id, 340, MOSCOW_MIDNIGHT, told=True)
    night.clock.at = MOSCOW_MIDNIGHT - timedelta(seconds=1)

    night.run("burn")

    assert night.balance(member_id).available == 340


def test_run_twice_and_three_days_late_the_night_burns_once(night: Night) -> None:
    buyers = [night.buyer() for _ in range(9)]
    for number, member_id in enumerate(buyers):
        for _ in range(1 + number % 4):
            night.lot(member_id, 10 + number, MOSCOW_MIDNIGHT + timedelta(hours=number), told=number % 3 != 0)
        night.lot(member_id, 5, None)
    total = sum(night.balance(member_id).available for member_id in buyers)
    assert all(night.balance(member_id).available == night.schedule(member_id) for member_id in buyers)
    after_midnight(night, days=3)

    first, second = night.run("burn"), night.run("burn")

    assert (first.done, first.total, second.done) == (21, 21, 0)
    assert sum(night.balance(member_id).available for member_id in buyers) < total
    assert all(night.balance(member_id).available == night.schedule(member_id) for member_id in buyers)
    assert (
        night.one("SELECT count(*) AS n FROM lot WHERE expires_at <= :now AND available > 0", now=night.clock()).n == 0
    )
    assert whole(night)


def test_a_run_killed_in_the_middle_goes_on_after_its_lease(night: Night, environment: dict[str, str]) -> None:
    for _ in range(10):
        night.lot(night.buyer(), 10, MOSCOW_MIDNIGHT, told=True)
    after_midnight(night)
    killed_at = 2

    code = subprocess.run(
        [sys.executable, "-c", KILLED.format(at=night.clock().isoformat(), pieces=killed_at)],
        cwd=ROOT,
        env={**os.environ, **environment, "PYTHONPATH": f"{ROOT}:{ROOT}/tests:{Path(__file__).parent}"},
        check=False,
    ).returncode
    left_by_the_dead = night.one("SELECT * FROM job WHERE name = 'burn'")
    night.clock.forward(seconds=30)
    too_early = nightly.run_due(night.rt, now=night.clock(), only="burn")
    night.clock.forward(minutes=3)
    rest = nightly.run_due(night.rt, now=night.clock(), only="burn")

    assert code == 9
    assert (left_by_the_dead.done, left_by_the_dead.total) == (3 * killed_at, 10)
    assert too_early == []
    assert [(result.done, result.text) for result in rest] == [
        (10, "сгорело: 10 партий, 100 баллов; продлено: 0 партий, 0 баллов")
    ]
    assert night.one("SELECT count(*) AS n, sum(points) AS points FROM transfer WHERE move = 'expire'") == (10, 100)
    assert whole(night)


KILLED = """
import os
from datetime import datetime
from config.settings import load_settings
from flows import nightly
from flows.runtime import build_runtime, prepare
from night_world import SMALL
at, pieces = datetime.fromisoformat("{at}"), 0
rt = build_runtime(load_settings(dict(os.environ), dotenv=None), clock=lambda: at)
prepare(rt)
def die(name, progress):
    global pieces
    pieces += 1
    if pieces == {pieces}:
        os._exit(9)
nightly.run_due(rt, now=at, only="burn", at_once=True, on_progress=die, schedule=SMALL)
"""


def test_a_member_somebody_works_with_is_left_alone_and_burns_later(night: Night) -> None:
    buyers = [night.buyer() for _ in range(5)]
    for member_id in buyers:
        night.lot(member_id, 100, MOSCOW_MIDNIGHT, told=True)
    after_midnight(night)
    with night.rt.db.begin() as other:
        members.lock(other, buyers[2])  # a till is about to take points from him

        first = night.run("burn")
        row = night.one("SELECT due_at FROM job WHERE name = 'burn'")

    night.clock.at = row.due_at
    second = nightly.run_due(night.rt, now=night.clock(), only="burn")

    assert (first.done, first.total) == (4, 5)
    assert row.due_at - MOSCOW_MIDNIGHT == timedelta(minutes=15)  # not tomorrow
    assert [result.done for result in second] == [1]
    assert [night.balance(member_id).available for member_id in buyers] == [0] * 5
    assert whole(night)


def test_the_night_and_a_spending_member_take_every_point_once(night: Night) -> None:
    buyers = [night.buyer() for _ in range(40)]
    for member_id in buyers:
        night.lot(member_id, 100, MOSCOW_MIDNIGHT)
        night.lot(member_id, 60, MOSCOW_MIDNIGHT + timedelta(days=90))
    keys = [row.key for row in night.rows("SELECT key FROM lot WHERE expires_at = :at", at=MOSCOW_MIDNIGHT)]
    night.tell(*keys)
    after_midnight(night)
    began = Event()

    def spend() -> int:
        spent = 0
        began.set()
        for member_id in buyers:
            spent += night.rt.db.run(lambda tx, member_id=member_id: _spend_30(night, tx, member_id))
        return spent

    def burn() -> int:
        began.wait(10)
        return night.run("burn").done

    spent, _ = at_once([spend, burn])
    night.run("burn")

    assert spent == 30 * len(buyers)  # of the points that do not burn
    assert [night.balance(member_id).available for member_id in buyers] == [30] * len(buyers)
    assert whole(night)


def _spend_30(night: Night, tx: sa.Connection, member_id: int) -> int:
    member = members.lock(tx, member_id)
    account = book.open_account(
        tx, night.rt, member, now=night.clock(), more=lots.open_lots(tx, member_id, enough=200, now=night.clock())
    )
    redemption.take(account, 30, cause=Cause(rule="redeem"), now=night.clock())
    taken = [Allocation(one.lot_key or "", one.points) for one in account.decision.transfers if one.move == "hold"]
    redemption.capture(account, taken, cause=Cause(rule="redeem"))
    book.save(tx, night.rt, member_id, account, occurred_at=night.clock())
    return 30


def test_who_shows_the_balance_is_told_of_every_member_that_burnt_or_lives_longer(night: Night) -> None:
    told, untold, other = night.buyer(), night.buyer(), night.buyer()
    night.lot(told, 10, MOSCOW_MIDNIGHT, told=True)
    night.lot(untold, 10, MOSCOW_MIDNIGHT)
    night.lot(other, 10, None)
    after_midnight(night)
    with night.rt.db.begin() as tx:
        tx.execute(sa.text("DELETE FROM outbox"))

    night.run("burn")

    marked = night.rows("SELECT target_id FROM outbox WHERE kind = 'crm' ORDER BY 1")
    assert [row.target_id for row in marked] == sorted([told, untold])


def test_longer_steps_prolong_longer(night: Night) -> None:
    night.apply(burn=replace(BurnRules(), notify_before=(Duration(3, "days"), Duration(60, "days"))))
    key = night.lot(night.buyer(), 10, MOSCOW_MIDNIGHT)
    after_midnight(night)

    night.run("burn")

    assert night.lot_row(key).expires_at == MOSCOW_MIDNIGHT + timedelta(days=61)


@pytest.fixture(autouse=True)
def _whole_book(night: Night) -> Iterator[None]:
    """Whatever a test of the night does, the book is whole after it, but for holds that it made by hand."""
    yield
    faults = [fault for fault in night.verdict().faults if "резерв" not in fault]
    assert faults == []
