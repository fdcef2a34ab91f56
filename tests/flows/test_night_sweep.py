"""A round of the sweep: what everybody waits for first, every job its turn, what is old forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from kopilka_testing import StandingClock, hook_body
from night_world import SMALL, Night

from flows import inbox, nightly, sweep
from flows.jobs import Run
from flows.runtime import Runtime
from loyalty.rules import Duration, GiftRules, HolidayGift
from storage import installation, messages
from storage import outbox as rows

YEAR = timedelta(days=365)


@pytest.fixture
def night(rt: Runtime, clock: StandingClock) -> Night:
    made = Night(rt, clock)
    made.apply(welcome=None, segments=())
    return made


def pending(night: Night, count: int) -> list[int]:
    """Members whose points become available in an hour."""
    night.apply(accrual=replace(night.rt.programme.accrual, activate_after=Duration(1, "hours")))
    buyers = [night.buyer() for _ in range(count)]
    for member_id in buyers:
        night.pay(night.deal(member_id), 500_000)
    return buyers


def test_points_become_available_within_a_minute_of_their_time(night: Night) -> None:
    [anna] = pending(night, 1)
    sweep.sweep_once(night.rt)
    night.clock.forward(minutes=60, seconds=30)

    rounds = []
    for _ in range(3):
        rounds.append(sweep.sweep_once(night.rt).activated)
        night.clock.forward(seconds=20)

    assert sum(rounds) == 1
    assert night.balance(anna).available == 500


def test_activation_is_stopped_between_two_pieces_and_goes_on(night: Night) -> None:
    buyers = pending(night, 45)
    night.clock.forward(hours=2)

    first = night.run("activate", work_for=timedelta(0))
    rest = night.run("activate", at_once=False)

    assert (first.is_over, first.done) == (False, 20)
    assert (rest.is_over, rest.done, rest.text) == (True, 45, "участников: 45")
    assert all(night.balance(member_id).pending == 0 for member_id in buyers)


def test_a_long_job_does_not_keep_the_next_ones_waiting(night: Night) -> None:
    seen: list[str] = []

    def endless(run: Run) -> Iterator[None]:
        while True:
            seen.append(run.name)
            run.piece(lambda _tx: run.progress.plus(done=1))
            yield

    schedule = [replace(one, work=endless) for one in SMALL if one.name in ("holds", "activate", "burn")]
    night.clock.forward(days=1)

    results = nightly.run_due(
        night.rt, now=night.clock(), at_once=True, schedule=schedule, work_for=timedelta(seconds=0.2)
    )

    assert [(one.name, one.is_over) for one in results] == [("holds", False), ("activate", False), ("burn", False)]
    assert set(seen) == {"holds", "activate", "burn"}


def test_what_came_in_is_worked_and_the_sweep_shows_its_life_whatever_becomes_of_the_jobs(night: Night) -> None:
    inbox.accept_hook(night.rt, hook_body(7))

    with night.rt.db.begin() as other:
        other.execute(sa.text("LOCK TABLE job"))
        with pytest.raises(sa.exc.OperationalError):
            sweep.sweep_once(night.rt)

    assert night.one("SELECT state FROM inbox WHERE source = 'amocrm'").state == "done"
    assert night.one("SELECT beat_at FROM heartbeat WHERE name = 'sweep'").beat_at == night.clock()


def test_after_a_clock_that_was_a_year_ahead_every_job_is_done_at_its_next_time(night: Night) -> None:
    anna = night.buyer()
    at = night.clock()
    night.clock.at = at + YEAR
    sweep.sweep_once(night.rt)
    night.clock.at = at
    sweep.sweep_once(night.rt)
    night.apply(gifts=GiftRules(holidays=(HolidayGift("Праздник", "03-02", 100, Duration(10, "days")),)))

    night.clock.forward(days=1)
    sweep.sweep_once(night.rt)

    assert night.balance(anna).available == 100
    assert {state.due_at - night.clock() <= timedelta(days=1) for state in nightly.states(night.rt)} == {True}


def test_a_run_that_was_killed_under_a_clock_a_year_ahead_is_taken_over_in_minutes(night: Night) -> None:
    night.lot(night.buyer(), 10, night.clock(), told=True)
    nightly.states(night.rt)
    with night.rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE job SET leased_until = :until WHERE name = 'burn'"), {"until": night.clock() + YEAR})

    blocked = nightly.run_due(night.rt, now=night.clock(), only="burn", at_once=True)
    night.clock.forward(minutes=5)
    taken = nightly.run_due(night.rt, now=night.clock(), only="burn", at_once=True)

    assert (blocked, [one.done for one in taken]) == ([], [1])


def old_letter(night: Night) -> None:
    now = night.clock()
    with night.rt.db.begin() as tx:
        messages.add_code(
            tx, key="old", member_id=night.buyer(), points=10, subject="Код для списания", body="Код: 4821", now=now
        )
        tx.execute(sa.text("UPDATE message SET kind = 'burn_notice', burn_on = now(), burns_at = now(), step_days = 1"))
        message_id = tx.execute(sa.text("SELECT id FROM message")).scalar_one()
        messages.close(tx, message_id, "sent", reason=None, channel="email", now=now)
        claim = rows.claim(tx, "code", now=now, lease=night.rt.lease, limit=1)[0].claim
        tx.execute(
            sa.text("UPDATE outbox SET state = 'done', leased_until = NULL, finished_at = :now WHERE id = :id"),
            {"now": now, "id": claim.id},
        )


def test_old_letters_and_their_rows_are_forgotten_beside_old_bodies(night: Night) -> None:
    old_letter(night)
    inbox.accept_hook(night.rt, hook_body(7))
    sweep.sweep_once(night.rt)
    assert night.one("SELECT body FROM message").body is not None

    night.clock.forward(days=91)
    sweep.sweep_once(night.rt)

    assert night.one("SELECT body, state FROM message") == (None, "sent")
    assert night.rows("SELECT id FROM outbox WHERE kind = 'code'") == []
    assert bytes(night.one("SELECT body FROM inbox WHERE source = 'amocrm'").body) == b""


def test_forgetting_goes_on_after_a_clock_that_was_a_year_ahead(night: Night) -> None:
    old_letter(night)
    night.clock.forward(days=91)
    with night.rt.db.begin() as tx:
        installation.beat(tx, sweep.RETENTION, now=night.clock() + YEAR)

    sweep.sweep_once(night.rt)

    assert night.one("SELECT body FROM message").body is None


@pytest.fixture
def stubborn(night: Night) -> Iterator[None]:
    """A database that refuses to forget letters."""
    with night.rt.db.begin() as tx:
        tx.execute(sa.text("ALTER TABLE message ADD CONSTRAINT stubborn CHECK (body IS NOT NULL) NOT VALID"))
    yield
    with night.rt.db.begin() as tx:
        tx.execute(sa.text("ALTER TABLE message DROP CONSTRAINT stubborn"))


def test_a_round_that_fails_is_told_without_the_rows_it_failed_on(
    night: Night, stubborn: None, capsys: pytest.CaptureFixture[str]
) -> None:
    old_letter(night)
    night.clock.forward(days=91)
    is_stopped = iter((False, True, True))

    sweep.sweep_forever(night.rt, is_stopped=lambda: next(is_stopped))

    told = "".join(capsys.readouterr())
    assert "sweep_failed" in told
    assert "база отказала: 23514 stubborn" in told
    assert "Код для списания" not in told


@pytest.fixture(autouse=True)
def _whole_book(night: Night) -> Iterator[None]:
    yield
    assert night.verdict().faults == ()
