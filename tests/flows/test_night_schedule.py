"""The clock of the night: when each job is due, one catching up for many missed, one failure that harms no other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest
from kopilka_testing import StandingClock
from night_world import SMALL, Night, counts_of

from flows import jobs, nightly
from flows.jobs import Run
from flows.nightly import JOBS
from flows.runtime import Runtime
from flows.schedule import Scheduled
from loyalty.rules import BurnRules
from storage.db import DatabaseAway


@pytest.fixture
def night(rt: Runtime, clock: StandingClock) -> Night:
    return Night(rt, clock)


def job(name: str) -> Scheduled:
    return next(one for one in JOBS if one.name == name)


def moscow(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC) - timedelta(hours=3)


@pytest.mark.parametrize(
    ("name", "now", "due"),
    [
        ("holds", moscow(1, 12, 0) + timedelta(seconds=7), moscow(1, 12, 1)),
        ("activate", moscow(1, 12, 0), moscow(1, 12, 1)),
        ("activate", moscow(1, 23, 59), moscow(2, 0, 0)),
        ("burn", moscow(1, 0, 4), moscow(1, 0, 5)),
        ("burn", moscow(1, 0, 5), moscow(2, 0, 5)),
        ("gifts", moscow(1, 12), moscow(2, 0, 10)),
        ("segments", moscow(1, 3, 59), moscow(1, 4)),
        ("notices", moscow(1, 11), moscow(1, 12)),
        ("notices", moscow(1, 20), moscow(2, 12)),
    ],
)
def test_a_job_is_next_due_at_its_hour_in_the_programmes_zone(
    night: Night, name: str, now: datetime, due: datetime
) -> None:
    assert nightly.next_due(job(name), night.rt.programme, now) == due


def test_notices_go_out_at_the_owners_hour(night: Night) -> None:
    programme = replace(night.rt.programme, burn=BurnRules(notify_at="18:30"))

    assert nightly.next_due(job("notices"), programme, moscow(1, 12)) == moscow(1, 18, 30)


def test_in_a_zone_that_changes_its_clocks_the_hour_is_the_local_one(night: Night) -> None:
    berlin = replace(night.rt.programme, timezone="Europe/Berlin")
    before_summer_time = datetime(2026, 3, 28, 12, tzinfo=UTC)

    assert nightly.next_due(job("segments"), berlin, before_summer_time) == datetime(2026, 3, 29, 2, 0, tzinfo=UTC)
    assert nightly.next_due(job("burn"), berlin, before_summer_time) == datetime(2026, 3, 28, 23, 5, tzinfo=UTC)


def test_a_new_installation_begins_with_what_is_urgent_and_waits_for_the_rest(night: Night) -> None:
    night.clock.at = moscow(1, 15)

    first = nightly.run_due(night.rt, now=night.clock())
    again = nightly.run_due(night.rt, now=night.clock())

    assert list(counts_of(first)) == ["holds", "activate", "catch_up", "apple_design", "google", "held", "links"]
    assert again == []
    due = {state.name: state.due_at for state in nightly.states(night.rt)}
    assert due == {
        "holds": moscow(1, 15, 1),
        "activate": moscow(1, 15, 1),
        "catch_up": moscow(1, 15, 10),
        "apple_design": moscow(1, 15, 1),
        "google": moscow(1, 15, 5),
        "burn": moscow(2, 0, 5),
        "gifts": moscow(2, 0, 10),
        "held": moscow(1, 16),
        "links": moscow(1, 15, 1),
        "reconcile": moscow(2, 3, 30),
        "drift": moscow(2, 2, 30),
        "segments": moscow(2, 4),
        "certificates": moscow(2, 9),
        "notices": moscow(2, 12),
    }


def test_three_days_late_each_job_catches_up_once(night: Night) -> None:
    nightly.run_due(night.rt, now=night.clock())
    night.clock.at = moscow(5, 15)

    first = nightly.run_due(night.rt, now=night.clock())
    again = nightly.run_due(night.rt, now=night.clock())

    assert list(counts_of(first)) == [
        "holds",
        "activate",
        "catch_up",
        "apple_design",
        "google",
        "burn",
        "gifts",
        "held",
        "links",
        "reconcile",
        "drift",
        "segments",
        "certificates",
        "notices",
    ]
    assert again == []
    assert next(state.due_at for state in nightly.states(night.rt) if state.name == "burn") == moscow(6, 0, 5)


def test_pending_points_become_available_and_old_holds_are_released_by_the_night(night: Night) -> None:
    member_id = night.buyer()
    night.pay(night.deal(member_id), 499_000)
    night.clock.forward(days=15)

    results = nightly.run_due(night.rt, now=night.clock())

    assert counts_of(results)["activate"] == "участников: 1"
    assert night.balance(member_id).available == 799


def test_one_job_that_fails_does_not_keep_the_others_from_their_work(night: Night) -> None:
    def broken(_run: Run) -> Iterator[None]:
        raise ValueError("сломано")
        yield

    schedule = [replace(one, work=broken) if one.name == "burn" else one for one in SMALL]
    night.clock.at = moscow(2, 0, 5)

    results = nightly.run_due(night.rt, now=night.clock(), at_once=True, schedule=schedule)

    assert [result.name for result in results] == [one.name for one in JOBS]
    assert [result.error for result in results if result.error] == ["ValueError: сломано"]
    burn = next(state for state in nightly.states(night.rt) if state.name == "burn")
    assert (burn.last_error, burn.due_at) == ("ValueError: сломано", moscow(2, 0, 15))

    night.clock.at = moscow(2, 0, 15)
    assert "burn" in counts_of(nightly.run_due(night.rt, now=night.clock()))
    assert next(state.last_error for state in nightly.states(night.rt) if state.name == "burn") is None


def test_a_database_that_is_away_is_for_the_caller(night: Night) -> None:
    def away(_run: Run) -> Iterator[None]:
        raise DatabaseAway("gone")
        yield

    with pytest.raises(DatabaseAway):
        nightly.run_due(
            night.rt, now=night.clock(), only="burn", at_once=True, schedule=[replace(job("burn"), work=away)]
        )


def test_a_run_that_was_taken_over_saves_nothing_more(night: Night) -> None:
    seen = []

    def slow(run: Run) -> Iterator[None]:
        run.begin(2)
        yield
        night.clock.forward(minutes=3)  # it slept longer than its lease
        seen.append(nightly.run_due(night.rt, now=night.clock(), only="burn", schedule=[quick])[0].text)
        run.piece(lambda _tx: run.progress.plus(done=1, lots=1))
        yield

    def rest(run: Run) -> Iterator[None]:
        run.piece(lambda _tx: run.progress.plus(done=2, lots=2))
        yield

    quick = replace(job("burn"), work=rest)

    results = nightly.run_due(
        night.rt, now=night.clock(), only="burn", at_once=True, schedule=[replace(quick, work=slow)]
    )

    assert results == []
    assert seen == ["сгорело: 2 партии, 0 баллов; продлено: 0 партий, 0 баллов"]
    assert night.one("SELECT done FROM job WHERE name = 'burn'").done == 2


def test_who_presses_ctrl_c_leaves_the_job_free_for_the_next(night: Night) -> None:
    for _ in range(7):
        night.lot(night.buyer(), 10, night.clock(), told=True)

    def interrupt(_name: str, _progress: jobs.Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        night.run("burn", on_progress=interrupt)

    assert [result.done for result in nightly.run_due(night.rt, now=night.clock(), only="burn")] == [7]


@pytest.mark.chaos
def test_a_month_of_nights_leaves_every_day_done_once(night: Night) -> None:
    night.clock.at = moscow(1, 0, 1)
    nightly.run_due(night.rt, now=night.clock())
    finished: dict[str, int] = {}
    for _ in range(30 * 4):
        night.clock.forward(hours=6)
        for result in nightly.run_due(night.rt, now=night.clock()):
            finished[result.name] = finished.get(result.name, 0) + 1

    assert night.one("SELECT count(*) AS n FROM job WHERE leased_until IS NOT NULL").n == 0
    assert finished == {
        "holds": 120,
        "activate": 120,
        "catch_up": 120,
        "apple_design": 120,
        "google": 120,
        "burn": 30,
        "gifts": 30,
        "held": 120,
        "links": 120,
        "reconcile": 30,
        "drift": 30,
        "segments": 30,
        "certificates": 30,
        "notices": 30,
    }


def test_every_job_is_shown_with_what_it_did(night: Night) -> None:
    night.lot(night.buyer(), 10, night.clock(), told=True)
    night.run("burn")

    burn = next(state for state in nightly.states(night.rt) if state.name == "burn")

    assert (burn.title, burn.done, burn.total, burn.is_running) == ("Сгорание", 1, 1, False)
    assert (burn.last_finished_at, burn.last_result) == (
        night.clock(),
        "сгорело: 1 партия, 10 баллов; продлено: 0 партий, 0 баллов",
    )


def test_the_hours_of_the_night_are_those_of_the_contract() -> None:
    hours = {one.name: one.at for one in JOBS if one.at is not None}
    programme: object = None

    assert hours["burn"](programme) == time(0, 5)  # type: ignore[arg-type]
    assert hours["gifts"](programme) == time(0, 10)  # type: ignore[arg-type]
    assert hours["segments"](programme) == time(4, 0)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _whole_book(night: Night) -> Iterator[None]:
    yield
    assert night.verdict().faults == ()
