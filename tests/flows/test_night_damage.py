"""One damaged or locked account stops nobody else's night, and what the log says of it names no buyer."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
import structlog
from flow_points_world import at_once
from kopilka_testing import StandingClock, until
from night_world import SMALL, Night

from config.logs import configure_logging
from flows import burning, nightly, sweep
from flows.jobs import Progress, Run
from flows.runtime import Runtime
from loyalty.rules import BurnRules, Duration, GiftRules, HolidayGift, SegmentPolicy, SegmentRule
from storage import boxes, jobs, members, outbox

pytestmark = pytest.mark.slow

ENDS = datetime(2026, 3, 28, 21, 0, tzinfo=UTC)
TODAY = HolidayGift("Праздник", "03-01", 100, Duration(10, "days"))


@pytest.fixture
def night(rt: Runtime, clock: StandingClock) -> Night:
    made = Night(rt, clock)
    made.apply(burn=replace(BurnRules(), notify_from_points=1), welcome=None, segments=())
    return made


@pytest.fixture
def log() -> Iterator[Callable[[], str]]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging("info", human=False, stream=stream)
    yield stream.getvalue
    structlog.reset_defaults()
    root.handlers[:], level = before
    root.setLevel(level)


def damage(night: Night, member_id: int, *, available: int) -> None:
    with night.rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE member SET available = :n WHERE id = :id"), {"n": available, "id": member_id})


def burnt(night: Night, keys: list[str]) -> list[int]:
    return [night.lot_row(key).expired for key in keys]


def test_one_damaged_account_does_not_stop_the_burning_of_all_others(night: Night) -> None:
    buyers = [night.buyer() for _ in range(30)]
    keys = [night.lot(member_id, 100, ENDS, told=True) for member_id in buyers]
    damage(night, buyers[13], available=0)
    night.clock.at = ENDS + timedelta(minutes=5)

    results = nightly.run_due(night.rt, now=night.clock(), only="burn", at_once=True)

    assert burnt(night, keys) == [100] * 13 + [0] + [100] * 16
    assert [(one.done, one.error) for one in results] == [(29, None)]
    assert results[0].text == (
        "сгорело: 29 партий, 2900 баллов; продлено: 0 партий, 0 баллов;"
        " не тронуто участников с повреждённой книгой: 1, их покажет kopilka verify-ledger"
    )
    assert night.one("SELECT due_at FROM job WHERE name = 'burn'").due_at == ENDS + timedelta(days=1, minutes=5)
    damage(night, buyers[13], available=100)


def test_a_damaged_account_costs_one_pass_only(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    buyers = [night.buyer() for _ in range(4)]
    for member_id in buyers:
        night.lot(member_id, 100, ENDS, told=True)
    damage(night, buyers[0], available=0)
    night.clock.at = ENDS + timedelta(minutes=5)
    seen: list[object] = []
    watched = burning.burn

    def watch(run: Run) -> Iterator[None]:
        for _ in watched(run, chunk_lots=2):
            seen.append(run.progress.place.get("after"))
            yield

    schedule = [replace(one, work=watch) if one.name == "burn" else one for one in SMALL]
    nightly.run_due(night.rt, now=night.clock(), only="burn", at_once=True, schedule=schedule)

    assert seen == [buyers[1], buyers[3]]
    damage(night, buyers[0], available=100)


def test_the_lots_of_a_damaged_member_stay_together_and_those_of_his_neighbours_burn(night: Night) -> None:
    first, many, last = night.buyer(), night.buyer(), night.buyer()
    keys = [
        night.lot(member_id, 10, ENDS, told=True)
        for member_id, count in ((first, 1), (many, 5), (last, 2))
        for _ in range(count)
    ]
    damage(night, many, available=49)
    night.clock.at = ENDS + timedelta(minutes=5)

    night.run("burn")

    assert burnt(night, keys) == [10] + [0] * 5 + [10] * 2
    damage(night, many, available=50)


def test_who_was_only_locked_burns_with_the_next_look(night: Night) -> None:
    buyers = [night.buyer() for _ in range(6)]
    keys = [night.lot(member_id, 100, ENDS, told=True) for member_id in buyers]
    night.clock.at = ENDS + timedelta(minutes=5)
    with night.rt.db.begin() as other:  # somebody's session, on what burning must mark
        other.execute(sa.text("SELECT id FROM outbox WHERE target_id = :id FOR UPDATE"), {"id": buyers[2]})
        night.run("burn")
        due_at = night.one("SELECT due_at FROM job WHERE name = 'burn'").due_at

    while_locked = burnt(night, keys)
    night.clock.at = due_at
    nightly.run_due(night.rt, now=night.clock(), only="burn")

    assert while_locked == [100, 100, 0, 100, 100, 100]
    assert due_at == ENDS + timedelta(minutes=15)
    assert burnt(night, keys) == [100] * 6


def test_an_account_that_would_overflow_does_not_keep_the_others_from_their_gifts(night: Night) -> None:
    night.apply(gifts=GiftRules(holidays=(TODAY,)))
    buyers = [night.buyer() for _ in range(5)]
    damage(night, buyers[0], available=2**31 - 50)

    result = night.run("gifts")

    assert (result.done, result.text) == (5, "подарков: 4, баллов: 400")
    damage(night, buyers[0], available=0)


def test_who_is_locked_gets_his_gift_in_ten_minutes(night: Night) -> None:
    night.apply(gifts=GiftRules(holidays=(TODAY,)))
    buyers = [night.buyer() for _ in range(5)]
    with night.rt.db.begin() as other:
        members.lock(other, buyers[3])
        first = night.run("gifts")
    night.clock.forward(minutes=10)
    second = night.run("gifts", at_once=False)
    due_at = night.one("SELECT due_at FROM job WHERE name = 'gifts'").due_at

    assert (first.text, second.text) == ("подарков: 4, баллов: 400", "подарков: 1, баллов: 100")
    assert due_at - night.clock() > timedelta(hours=1)


def test_who_is_locked_does_not_keep_the_others_in_their_old_segment(night: Night) -> None:
    buyers = [night.buyer() for _ in range(4)]
    for member_id in buyers:
        night.pay(night.deal(member_id), 100_000)
    night.apply(segments=(SegmentRule("start", "Старт", min_orders=1),), segment_policy=SegmentPolicy())
    with night.rt.db.begin() as other:
        members.lock(other, buyers[1])
        first = night.run("segments")
    second = night.run("segments")

    assert (first.text, second.text) == ("сменили сегмент: 3", "сменили сегмент: 1")


def test_one_whose_points_do_not_fit_does_not_keep_the_others_from_their_notices(night: Night) -> None:
    rich, anna = night.buyer(), night.buyer()
    keys = [night.lot(rich, 100, ENDS), night.lot(rich, 100, ENDS)]
    night.lot(anna, 100, ENDS)
    huge = "UPDATE lot SET available = :n, earned = :n WHERE key = ANY(:keys)"
    with night.rt.db.begin() as tx:
        tx.execute(sa.text(huge), {"n": 2**31 - 1, "keys": keys})
    night.clock.at = ENDS - timedelta(days=1, hours=11)

    result = night.run("notices")

    assert (result.done, [row.member_id for row in night.messages()]) == (2, [anna])
    with night.rt.db.begin() as tx:
        tx.execute(sa.text(huge), {"n": 100, "keys": keys})


def test_pending_points_of_others_become_available_beside_one_that_is_locked(night: Night) -> None:
    night.apply(accrual=replace(night.rt.programme.accrual, activate_after=Duration(1, "hours")))
    buyers = [night.buyer() for _ in range(3)]
    for member_id in buyers:
        night.pay(night.deal(member_id), 500_000)
    night.clock.forward(hours=2)
    with night.rt.db.begin() as other:
        members.lock(other, buyers[0])
        found = sweep.sweep_once(night.rt)

    assert found.activated == 2
    assert [night.balance(member_id).pending > 0 for member_id in buyers] == [True, False, False]
    assert night.one("SELECT count(*) AS n FROM heartbeat WHERE name = 'sweep'").n == 1


def test_a_batch_of_gifts_and_a_worker_that_finishes_do_not_wait_for_each_other_in_a_circle(night: Night) -> None:
    """The members' rows of the outbox lie in the other order than their ids."""
    night.apply(gifts=GiftRules(holidays=(TODAY,)))
    anna, boris = night.buyer(), night.buyer()
    now = night.clock()
    for member_id in (boris, anna):
        with night.rt.db.begin() as tx:
            outbox.add(tx, "crm", [member_id], now=now)
    with night.rt.db.begin() as tx:
        rows = outbox.claim(tx, "crm", now=now, lease=night.rt.lease, limit=50)
    assert [row.target_id for row in rows] == [boris, anna]
    has_first = threading.Event()

    def finish() -> list[bool]:
        with night.rt.db.begin() as tx:
            done = [boxes.finish(tx, "outbox", rows[0].claim, now=now, outcome="готово")]
            has_first.set()
            until(lambda: night.one("SELECT count(*) AS n FROM pg_locks WHERE NOT granted").n, "the batch waits")
            tx.execute(sa.text("SET LOCAL lock_timeout = '50ms'"))  # what waits for the first row holds no other
            return [*done, boxes.finish(tx, "outbox", rows[1].claim, now=now, outcome="готово")]

    def give() -> str:
        assert has_first.wait(10)
        return night.run("gifts").text

    assert at_once([finish, give]) == [[True, True], "подарков: 2, баллов: 200"]


def test_a_job_that_the_database_refuses_says_so_without_the_row(night: Night, log: Callable[[], str]) -> None:
    member_id = night.buyer()
    token = night.one("SELECT card_token FROM member WHERE id = :id", id=member_id).card_token

    def broken(_run: Run) -> Iterator[None]:
        with night.rt.db.begin() as tx:
            try:
                tx.execute(sa.text("UPDATE member SET available = -1 WHERE id = :id"), {"id": member_id})
            except sa.exc.IntegrityError as failure:
                raise ValueError("сломано") from failure
        yield

    def refused(_run: Run) -> Iterator[None]:
        damage(night, member_id, available=-1)
        yield

    for work in (broken, refused):
        schedule = [replace(one, work=work) if one.name == "burn" else one for one in SMALL]
        nightly.run_due(night.rt, now=night.clock(), only="burn", at_once=True, schedule=schedule)

    assert "база отказала: 23514 member_available_check" in log()
    assert "ValueError: сломано" in log()
    assert "Анна" not in log()
    assert token not in log()


def test_a_statement_that_is_wrong_for_everybody_fails_the_job_and_leaves_nobody_out(night: Night) -> None:
    with night.rt.db.begin() as tx:
        jobs.plan(tx, {"burn": night.clock()}, latest={}, lease_max=night.clock() + timedelta(days=1))
        row = jobs.take(tx, "burn", now=night.clock(), until=night.clock() + timedelta(minutes=2))
    assert row is not None
    run = Run(night.rt, row, now=night.clock())

    def wrong(tx: sa.Connection, _ids: object) -> Progress:
        tx.execute(sa.text("SELECT no_such_column FROM member"))
        return run.progress

    with pytest.raises(sa.exc.ProgrammingError):
        run.members([1, 2], wrong, lambda _member_id, _failure: run.progress)


@pytest.fixture(autouse=True)
def _whole_book(night: Night) -> Iterator[None]:
    yield
    assert night.verdict().faults == ()
