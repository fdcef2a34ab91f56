"""What waits behind a flood: codes for the till go first, rows that were refused once get their turn in every round."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from kopilka_testing import StandingClock
from night_world import Night, Postman, mail_server

from flows import messages, outbox
from flows.runtime import Runtime
from loyalty.rules import BurnRules
from storage import boxes
from storage import outbox as rows

pytestmark = pytest.mark.slow

ENDS = datetime(2026, 3, 28, 21, 0, tzinfo=UTC)
FLOOD = outbox.BATCH_ROWS + 10


@pytest.fixture
def night(rt: Runtime, clock: StandingClock) -> Night:
    made = Night(rt, clock)
    made.apply(burn=replace(BurnRules(), notify_from_points=1))
    rt.crm = rt.google = None  # what they are told is proved elsewhere
    return made


@pytest.fixture
def mail(night: Night) -> Iterator[Postman]:
    postman = Postman()
    with mail_server(night.rt, postman):
        yield postman


def flood(night: Night) -> None:
    """Notices that have been due for an hour."""
    for number in range(FLOOD):
        night.lot(night.buyer(email=f"u{number}@mail.test"), 100, ENDS)
    night.clock.at = datetime(2026, 3, 27, 9, 0, tzinfo=UTC)
    night.run("notices")
    night.clock.forward(hours=1)


def ask_code(night: Night) -> None:
    anna = night.buyer(email="anna@mail.test")
    with night.rt.db.begin() as tx:
        assert messages.queue_code(tx, night.rt, anna, "4821", 120, now=night.clock())


def test_a_code_does_not_queue_behind_a_flood_of_notices(night: Night, mail: Postman) -> None:
    flood(night)
    ask_code(night)

    outbox.drain(night.rt)

    to = [str(letter["To"]) for letter in mail.letters()]
    assert (to[0], len(to)) == ("anna@mail.test", FLOOD + 1)


def test_a_code_that_was_put_off_once_does_not_queue_behind_them_either(night: Night, mail: Postman) -> None:
    ask_code(night)
    mail.mood = lambda _step: "451 later"
    outbox.drain(night.rt)
    mail.mood = lambda _step: "250 OK"
    flood(night)
    with night.rt.db.begin() as tx:  # the hold is fresh, only its code is tried again
        tx.execute(sa.text("UPDATE message SET created_at = :now WHERE kind = 'redeem_code'"), {"now": night.clock()})

    outbox.drain(night.rt)

    assert str(mail.letters()[0]["To"]) == "anna@mail.test"


def test_a_code_asked_for_in_the_middle_of_a_flood_waits_for_one_batch_at_most(night: Night, mail: Postman) -> None:
    flood(night)
    began: list[int] = []

    def mood(_step: str) -> str:
        if not began:
            began.append(1)
            ask_code(night)
        return "250 OK"

    mail.mood = mood

    outbox.drain(night.rt)

    to = [str(letter["To"]) for letter in mail.letters()]
    assert to.index("anna@mail.test") == outbox.BATCH_ROWS


def test_how_long_the_oldest_waits_is_told_truly_while_a_code_waits(night: Night, mail: Postman) -> None:
    ask_code(night)
    night.clock.forward(seconds=5)

    with night.rt.db.begin() as tx:
        assert boxes.oldest_waiting_s(tx, "outbox", now=night.clock()) == 5.0


def test_rows_that_were_refused_together_are_worked_one_by_one_beside_the_backlog(night: Night) -> None:
    """Rows whose messages are gone are done as soon as it is their turn."""
    now = night.clock()
    with night.rt.db.begin() as tx:
        rows.add(tx, "message", range(1, 11), now=now)
        claimed = rows.claim(tx, "message", now=now, lease=night.rt.lease, limit=50)
        boxes.isolate(tx, "outbox", [row.claim for row in claimed])
        rows.add(tx, "message", range(1_000, 1_000 + 4 * outbox.BATCH_ROWS), now=now - timedelta(minutes=5))

    ticks = itertools.count()
    night.rt.clock = lambda: now + timedelta(milliseconds=next(ticks))

    outbox.drain(night.rt)

    order = [row.target_id for row in night.rows("SELECT target_id FROM outbox ORDER BY finished_at, target_id")]
    turns = [order.index(target_id) for target_id in range(1, 11)]
    rounds = [(number + 1) * outbox.BATCH_ROWS + number for number in range(3)]  # one after each batch
    assert turns == [*rounds, *range(203, 210)]


def test_a_finishing_that_meets_a_lock_is_tried_again_and_what_was_sent_is_not(night: Night, mail: Postman) -> None:
    ask_code(night)
    other = night.rt.db.engine.connect()
    released = threading.Timer(3.3, other.close)  # longer than one attempt waits

    def mood(step: str) -> str:
        if step == "RCPT":
            other.execute(sa.text("SELECT id FROM outbox WHERE kind = 'code' FOR UPDATE"))
            released.start()
        return "250 OK"

    mail.mood = mood

    outbox.drain(night.rt)

    released.join()
    assert night.one("SELECT state, failures FROM outbox WHERE kind = 'code'") == ("done", 0)
    assert len(mail.letters()) == 1
