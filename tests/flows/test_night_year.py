"""A year of a shop whose mail server has moods: nobody is told twice, and nothing burns that nobody was told of.

The advantage «no silent burn», proved with a real SMTP server that defers, refuses and drops the line at random.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

import pytest
from kopilka_testing import StandingClock
from night_world import Night, Postman, mail_server

from flows import nightly
from flows.runtime import Runtime
from loyalty import notices
from loyalty.burning import last_valid_day
from loyalty.rules import BurnRules, Duration

MEMBERS = 10
DAYS = 365
SEED = 1
START = datetime(2026, 1, 1, 21, 0, tzinfo=UTC)  # midnight in Moscow


class Moods:
    """Whole weeks without mail, greylisting, full boxes, lines cut after the letter was taken."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.is_down = False

    def __call__(self, step: str) -> str:
        if self.is_down:
            return "421 down"
        roll = self._chance.random()
        if roll < 0.12:
            return "451 later"
        if roll < 0.18:
            return "550 no"
        if step == "DATA" and roll < 0.26:
            return "drop"
        return "250 OK"


@pytest.mark.chaos
def test_through_a_year_of_mail_failures_every_burnt_lot_was_told_of_and_nobody_was_told_twice(
    rt: Runtime, clock: StandingClock
) -> None:
    chance = random.Random(SEED)
    clock.at = START
    rt.crm = rt.google = None  # what they are told is proved elsewhere
    night = Night(rt, clock)
    night.apply(burn=BurnRules(notify_from_points=20))
    moods = Moods(chance)
    postman = Postman(mood=moods)

    with mail_server(rt, postman):
        buyers = [night.buyer(email=f"{number}@mail.test" if number else None) for number in range(MEMBERS)]
        for day in range(DAYS):
            _a_day(night, buyers, chance, moods, START + timedelta(days=day))

    _nobody_was_told_twice(night, postman.letters())
    burnt = _nothing_burnt_untold(night)
    assert burnt > MEMBERS * 4  # the year was not empty
    assert night.one("SELECT count(*) AS n FROM lot WHERE postponed_from IS NOT NULL").n > MEMBERS
    assert night.verdict().faults == ()
    for member_id in buyers:
        assert night.schedule(member_id) == night.balance(member_id).available
    assert night.balance(buyers[0]).available == _ever_given(night, buyers[0])  # without an address nothing burns


def _a_day(night: Night, buyers: list[int], chance: random.Random, moods: Moods, midnight: datetime) -> None:
    """Points come in the morning, jobs run at night and at noon, some days only late, on some not at all."""
    moods.is_down = chance.random() < 0.05 or (moods.is_down and chance.random() < 0.7)
    night.clock.at = midnight + timedelta(minutes=5)
    if chance.random() < 0.9:
        nightly.run_due(night.rt, now=night.clock(), only="burn")
    night.clock.at = midnight + timedelta(hours=9)
    if chance.random() < 0.5:
        member_id = buyers[chance.randrange(len(buyers))]
        life = chance.choice((2, 8, 20, 45, 90))
        ends_at = midnight + timedelta(days=life, hours=chance.choice((0, 0, 0, 15)))
        night.lot(member_id, chance.randrange(5, 400), ends_at)
    night.clock.at = midnight + timedelta(hours=12 if chance.random() < 0.8 else 20)
    if chance.random() < 0.9:
        nightly.run_due(night.rt, now=night.clock(), only="notices")
        for _ in range(2):
            night.deliver()
            night.clock.forward(minutes=chance.randrange(1, 60))


def _nobody_was_told_twice(night: Night, letters: list[EmailMessage]) -> None:
    """Neither did one message leave twice, nor were there two messages for one person, day and step."""
    ids = Counter(str(letter["Message-ID"]) for letter in letters)
    assert set(ids.values()) == {1}
    told = Counter((row.member_id, row.burn_on, row.step_days) for row in night.messages())
    assert set(told.values()) == {1}
    assert {row.state for row in night.messages()} >= {"sent", "failed", "skipped"}


def _nothing_burnt_untold(night: Night) -> int:
    """Each burnt lot has a letter about its last day that was taken in time. Returns how many burnt."""
    zone = night.rt.programme.timezone
    sent: dict[tuple[int, Any], list[Any]] = {}
    for row in night.messages():
        if row.state == "sent":
            sent.setdefault((row.member_id, row.burn_on), []).append(row.closed_at)
    burnt = night.rows(
        "SELECT l.member_id, l.expires_at, l.notified_at, t.recorded_at FROM transfer t JOIN lot l ON l.id = t.lot_id"
        " WHERE t.move = 'expire'"
    )
    for row in burnt:
        letters = sent.get((row.member_id, last_valid_day(row.expires_at, zone)), [])
        assert row.notified_at in letters
        assert notices.is_told(row.expires_at, sent_at=row.notified_at)
        assert row.recorded_at >= row.expires_at
    return len(burnt)


def _ever_given(night: Night, member_id: int) -> int:
    return int(
        night.one(
            "SELECT COALESCE(sum(points), 0) AS n FROM transfer WHERE member_id = :id AND move = 'opening'",
            id=member_id,
        ).n
    )


def test_each_burnt_lot_of_a_quiet_year_has_its_three_notices_exactly_once(rt: Runtime, clock: StandingClock) -> None:
    clock.at = START
    rt.crm = rt.google = None
    night = Night(rt, clock)
    night.apply(
        burn=replace(BurnRules(), notify_before=(Duration(30, "days"), Duration(7, "days"), Duration(1, "days")))
    )
    postman = Postman()

    with mail_server(rt, postman):
        buyers = [night.buyer(email=f"{number}@mail.test") for number in range(6)]
        for number, member_id in enumerate(buyers):
            night.lot(member_id, 100 + number, START + timedelta(days=40 + 50 * number))
        for day in range(DAYS):
            clock.at = START + timedelta(days=day, minutes=5)
            if day % 10 == 0 or _is_near_an_end(day):
                nightly.run_due(rt, now=clock(), only="burn")
                clock.forward(hours=12)
                nightly.run_due(rt, now=clock(), only="notices")
                night.deliver()

    assert [night.balance(member_id).available for member_id in buyers] == [0] * len(buyers)
    steps = Counter((row.member_id, row.step_days) for row in night.messages() if row.state == "sent")
    assert steps == Counter({(member_id, step): 1 for member_id in buyers for step in (30, 7, 1)})
    assert len(postman.letters()) == 3 * len(buyers)


def _is_near_an_end(day: int) -> bool:
    """Days on which something is due: one look in ten is enough for the others."""
    return any(-1 <= 40 + 50 * number - ahead - day <= 1 for number in range(6) for ahead in (0, 1, 2, 8, 31))
