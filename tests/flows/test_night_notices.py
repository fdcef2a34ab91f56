"""Notices are planned once, told truly and in time, and never sent twice; only a told buyer's points burn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from kopilka_testing import StandingClock
from night_world import Night, Postman, mail_server

from flows import book, messages, notices, people
from flows.runtime import Runtime
from loyalty import redemption
from loyalty.account import Cause
from loyalty.rules import BurnRules
from storage import lots, members, outgoing
from storage import messages as rows

pytestmark = pytest.mark.slow

ENDS = datetime(2026, 3, 28, 21, 0, tzinfo=UTC)
"""28 March is the last valid day in Moscow."""


def noon(day: int, month: int = 3) -> datetime:
    return datetime(2026, month, day, 9, 0, tzinfo=UTC)


@pytest.fixture
def night(rt: Runtime, clock: StandingClock) -> Night:
    made = Night(rt, clock)
    made.apply(burn=replace(BurnRules(), notify_from_points=1))
    return made


@pytest.fixture
def postman() -> Postman:
    return Postman()


@pytest.fixture
def mail(night: Night, postman: Postman) -> Iterator[Postman]:
    with mail_server(night.rt, postman):
        yield postman


def spend(night: Night, member_id: int, points: int) -> None:
    now = night.clock()
    with night.rt.db.begin() as tx:
        more = lots.open_lots(tx, member_id, enough=points, now=now)
        account = book.open_account(tx, night.rt, members.lock(tx, member_id), now=now, more=more)
        redemption.take(account, points, cause=Cause(rule="redeem"), now=now)
        taken = [redemption.Allocation(one.lot_key or "", one.points) for one in account.decision.transfers]
        redemption.capture(account, taken, cause=Cause(rule="redeem"))
        book.save(tx, night.rt, member_id, account, occurred_at=now)


def states(night: Night) -> list[tuple[object, ...]]:
    return [(row.step_days, row.state, row.reason) for row in night.messages()]


def test_a_buyer_is_told_30_7_and_1_days_before_and_then_his_points_burn(night: Night, mail: Postman) -> None:
    anna = night.buyer(email="anna@mail.test")
    key = night.lot(anna, 340, ENDS)

    for day in (datetime(2026, 2, 26, tzinfo=UTC).date() + timedelta(days=days) for days in range(33)):
        night.clock.at = datetime(day.year, day.month, day.day, 9, 0, tzinfo=UTC)
        night.run("notices")
        night.deliver()
        night.clock.forward(hours=12, minutes=5)
        night.run("burn")

    assert [str(letter["Subject"]) for letter in mail.letters()] == ["340 баллов сгорят 28 марта"] * 3
    assert [letter["To"] for letter in mail.letters()] == ["anna@mail.test"] * 3
    assert states(night) == [(30, "sent", None), (7, "sent", None), (1, "sent", None)]
    token = night.one("SELECT card_token FROM member WHERE id = :id", id=anna).card_token
    assert f"https://bonus.sportgory.ru/c/{token}" in mail.letters()[0].get_content()
    row = night.lot_row(key)
    assert (row.expired, row.notified_at, row.postponed_from) == (340, noon(26, 2), None)


def test_run_many_times_a_day_a_notice_is_planned_once(night: Night) -> None:
    night.lot(night.buyer(), 340, ENDS)
    night.clock.at = noon(22)

    planned = [night.run("notices").text for _ in range(3)]

    assert planned == ["предупреждений: 1", "предупреждений: 0", "предупреждений: 0"]
    assert night.one("SELECT count(*) AS n FROM outbox WHERE kind = 'message'").n == 1


def test_three_weeks_late_only_the_closest_step_goes_out(night: Night, mail: Postman) -> None:
    night.lot(night.buyer(email="a@mail.test"), 340, ENDS)
    night.clock.at = noon(27)

    night.run("notices")
    night.deliver()

    assert states(night) == [(1, "sent", None)]
    assert len(mail.letters()) == 1


def test_notices_that_waited_for_the_mail_server_do_not_all_come_at_once(night: Night, postman: Postman) -> None:
    night.lot(night.buyer(email="a@mail.test"), 340, ENDS)
    for day in (1, 21, 27):
        night.clock.at = noon(day)
        night.run("notices")

    with mail_server(night.rt, postman):
        night.clock.forward(minutes=5)
        night.deliver()

    assert states(night) == [(30, "skipped", "outdated"), (7, "skipped", "outdated"), (1, "sent", None)]


def test_a_run_that_was_stopped_and_goes_on_another_day_begins_with_the_first_member_again(
    night: Night, mail: Postman, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "CHUNK_MEMBERS", 2)
    buyers = [night.buyer(email=f"{number}@mail.test") for number in range(4)]
    for member_id in buyers:
        night.lot(member_id, 100, ENDS)
    night.clock.at = noon(26)
    stopped = night.run("notices", work_for=timedelta(0))
    assert (stopped.is_over, stopped.done) == (False, 2)

    night.clock.at = noon(27) + timedelta(minutes=3)  # the day of the last step
    went_on = night.run("notices", at_once=False)
    night.deliver()

    assert (went_on.is_over, went_on.done) == (True, 4)
    told = [row.member_id for row in night.messages() if (row.step_days, row.state) == (1, "sent")]
    assert told == buyers


def test_a_run_that_was_stopped_before_the_owners_hour_begins_again_after_it(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "CHUNK_MEMBERS", 2)
    buyers = [night.buyer() for _ in range(4)]
    for member_id in buyers:
        night.lot(member_id, 100, ENDS)
    night.clock.at = noon(27) - timedelta(minutes=1)
    night.run("notices", work_for=timedelta(0))

    night.clock.at = noon(27)
    night.run("notices", at_once=False)

    assert [row.member_id for row in night.messages() if row.step_days == 1] == buyers


def test_a_run_that_goes_on_the_same_day_does_not_begin_again(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "CHUNK_MEMBERS", 2)
    for _ in range(4):
        night.lot(night.buyer(), 100, ENDS)
    night.clock.at = noon(27)
    night.run("notices", work_for=timedelta(0))
    seen: list[int] = []
    night.clock.forward(hours=11)

    night.run("notices", at_once=False, on_progress=lambda _name, progress: seen.append(progress.done))

    assert seen == [4]


def test_without_an_address_or_a_channel_nothing_is_told_and_nothing_burns(night: Night, postman: Postman) -> None:
    key = night.lot(night.buyer(), 340, ENDS)
    night.clock.at = noon(21)
    night.run("notices")
    night.deliver()
    night.clock.at = noon(27)
    night.run("notices")
    with mail_server(night.rt, postman):
        night.deliver()
    night.clock.at = ENDS + timedelta(minutes=5)

    night.run("burn")

    assert states(night) == [(7, "skipped", "no_channel"), (1, "skipped", "no_address")]
    row = night.lot_row(key)
    assert (row.expired, row.available, row.postponed_from) == (0, 340, ENDS)


def test_what_the_letter_says_is_what_is_left_when_it_leaves(night: Night, mail: Postman) -> None:
    anna = night.buyer(email="a@mail.test")
    night.lot(anna, 340, ENDS)
    night.clock.at = noon(21)
    night.run("notices")
    spend(night, anna, 300)

    night.deliver()

    assert "40 баллов сгорят 28 марта. Хватит на скидку 40 ₽." in mail.letters()[0].get_content().replace("\u00a0", " ")
    assert [(row.points, row.state) for row in night.messages()] == [(40, "sent")]


def test_of_spent_points_nobody_is_told(night: Night, mail: Postman) -> None:
    anna = night.buyer(email="a@mail.test")
    night.lot(anna, 340, ENDS)
    night.clock.at = noon(21)
    night.run("notices")
    spend(night, anna, 340)

    night.deliver()

    assert (states(night), mail.letters()) == ([(7, "skipped", "outdated")], [])


def test_points_that_came_after_the_letter_are_not_told_of_and_live_on(night: Night, mail: Postman) -> None:
    anna = night.buyer(email="a@mail.test")
    told = night.lot(anna, 340, ENDS)
    night.clock.at = noon(27)
    night.run("notices")
    night.deliver()
    fresh = night.lot(anna, 50, ENDS)
    night.clock.at = ENDS + timedelta(minutes=5)

    night.run("burn")

    assert (night.lot_row(told).expired, night.lot_row(fresh).expired) == (340, 0)
    assert len(mail.letters()) == 1


def test_a_letter_in_the_last_hours_does_not_count(night: Night, mail: Postman) -> None:
    key = night.lot(night.buyer(email="a@mail.test"), 340, ENDS)
    night.clock.at = ENDS - timedelta(hours=11)
    night.run("notices")
    night.deliver()
    night.clock.at = ENDS + timedelta(minutes=5)

    night.run("burn")

    assert states(night) == [(1, "sent", "too_late_to_count")]
    assert night.lot_row(key).expired == 0


@pytest.mark.parametrize("stage", ["RCPT", "DATA"])
def test_a_temporary_refusal_is_tried_again_later_with_the_same_message_id(
    night: Night, mail: Postman, stage: str
) -> None:
    night.lot(night.buyer(email="a@mail.test"), 340, ENDS)
    mail.mood = lambda step: "451 later" if step == stage else "250 OK"
    night.clock.at = noon(21)
    night.run("notices")

    assert night.deliver() == 1
    assert states(night) == [(7, "planned", "mail_deferred")]
    assert night.deliver() == 0  # not at once
    mail.mood = lambda _step: "250 OK"
    night.clock.forward(seconds=15)
    night.deliver()

    assert states(night) == [(7, "sent", None)]
    message_id = night.messages()[0].id
    assert [letter["Message-ID"] for letter in mail.letters()] == [f"<kopilka-message-{message_id}@shop.test>"]


def test_a_refused_letter_has_failed_and_the_next_step_is_tried_all_the_same(night: Night, mail: Postman) -> None:
    night.lot(night.buyer(email="a@mail.test"), 340, ENDS)
    mail.mood = lambda step: "550 no such user" if step == "RCPT" else "250 OK"
    night.clock.at = noon(21)
    night.run("notices")
    night.deliver()
    mail.mood = lambda _step: "250 OK"
    night.clock.at = noon(27)
    night.run("notices")
    night.deliver()

    assert states(night) == [(7, "failed", "refused 550"), (1, "sent", None)]


def test_a_letter_whose_fate_is_unknown_is_not_sent_again_and_lets_nothing_burn(night: Night, mail: Postman) -> None:
    key = night.lot(night.buyer(email="a@mail.test"), 340, ENDS)
    mail.mood = lambda step: "drop" if step == "DATA" else "250 OK"
    night.clock.at = noon(27)
    night.run("notices")

    for _ in range(3):
        night.deliver()
        night.clock.forward(hours=2)
    night.clock.at = ENDS + timedelta(minutes=5)
    night.run("burn")

    assert states(night) == [(1, "failed", "unknown_outcome")]
    assert len(mail.letters()) == 1
    assert night.lot_row(key).expired == 0


def test_a_worker_that_died_with_the_letter_in_its_hands_sends_no_second_one(night: Night, mail: Postman) -> None:
    night.lot(night.buyer(email="a@mail.test"), 340, ENDS)
    night.clock.at = noon(21)
    night.run("notices")
    with night.rt.db.begin() as tx:
        assert rows.begin(tx, night.messages()[0].id)

    night.deliver()

    assert (states(night), mail.letters()) == ([(7, "failed", "unknown_outcome")], [])


def test_when_the_mail_server_is_away_the_rest_of_the_batch_waits_with_it(night: Night) -> None:
    for number in range(5):
        night.lot(night.buyer(email=f"{number}@mail.test"), 340, ENDS)
    night.clock.at = noon(21)
    night.run("notices")
    with mail_server(night.rt, Postman()):
        settings = night.rt.file.mail
    night.rt.file = replace(night.rt.file, mail=settings)  # nobody listens there any more

    night.deliver()

    assert [row.state for row in night.messages()] == ["planned"] * 5
    assert [row.reason for row in night.messages()] == ["unreachable", None, None, None, None]
    waiting = "SELECT count(*) AS n FROM outbox WHERE kind = 'message' AND state = 'waiting' AND due_at > :now"
    assert night.one(waiting, now=night.clock()).n == 5


def test_two_members_who_turn_out_to_be_one_are_told_once(night: Night, mail: Postman) -> None:
    anna, double = night.buyer(email="a@mail.test"), night.buyer(email="a@mail.test")
    keys = [night.lot(anna, 300, ENDS), night.lot(double, 40, ENDS)]
    night.clock.at = noon(27)
    night.run("notices")
    people.merge(night.rt, from_id=double, into_id=anna)

    night.deliver()
    night.run("notices")
    night.deliver()
    night.clock.at = ENDS + timedelta(minutes=5)
    night.run("burn")

    assert [str(letter["Subject"]) for letter in mail.letters()] == ["340 баллов сгорят 28 марта"]
    assert sorted(states(night)) == [(1, "sent", None), (1, "skipped", "merged")]
    assert [night.lot_row(key).expired for key in keys] == [300, 40]


def test_a_late_job_does_not_write_to_people_at_night(night: Night) -> None:
    night.lot(night.buyer(), 340, ENDS)
    night.clock.at = datetime(2026, 3, 22, 0, 30, tzinfo=UTC)  # half past three in Moscow

    night.run("notices")

    assert night.one("SELECT due_at FROM outbox WHERE kind = 'message'").due_at == noon(22)


def test_the_shops_own_programs_hear_of_points_that_burn_soon_once(night: Night) -> None:
    with night.rt.db.begin() as tx:
        outgoing.add_endpoint(
            tx, 1, url="https://shop.test/", sealed_secret=b"", events=["points.burn_soon"], now=night.clock()
        )
    anna = night.buyer()
    night.lot(anna, 340, ENDS)
    night.clock.at = noon(22)

    night.run("notices")
    night.run("notices")

    found = night.rows("SELECT event_id, event_type, payload FROM webhook_delivery")
    assert [(row.event_id, row.event_type) for row in found] == [(f"evt_burn:{anna}:2026-03-28:7", "points.burn_soon")]
    assert '"points":340' in found[0].payload
    assert '"burn_on":"2026-03-28"' in found[0].payload


def queue(night: Night, member_id: int) -> bool:
    with night.rt.db.begin() as tx:
        return messages.queue_code(tx, night.rt, member_id, "4821", 120, now=night.clock())


def test_a_code_goes_to_the_buyer_and_is_forgotten(night: Night, mail: Postman) -> None:
    anna = night.buyer(email="a@mail.test")

    assert queue(night, anna)
    assert "4821" in night.messages()[0].body
    night.deliver()

    letter = mail.letters()[0]
    assert "4821" in letter.get_content()
    assert "4821" not in str(letter["Subject"])
    assert [(row.state, row.body, row.channel) for row in night.messages()] == [("sent", None, "email")]


def test_a_code_that_nobody_can_get_is_refused_at_once(night: Night, postman: Postman) -> None:
    without_address, without_channel = night.buyer(), night.buyer(email="a@mail.test")

    assert not queue(night, without_channel)
    with mail_server(night.rt, postman):
        assert not queue(night, without_address)
    assert night.messages() == []


def test_a_code_that_comes_too_late_is_not_sent(night: Night, mail: Postman) -> None:
    queue(night, night.buyer(email="a@mail.test"))
    night.clock.forward(minutes=31)

    night.deliver()

    assert [(row.state, row.reason, row.body) for row in night.messages()] == [("skipped", "too_late", None)]
    assert mail.letters() == []


def test_a_slow_worker_that_did_send_it_corrects_the_record(night: Night) -> None:
    night.lot(night.buyer(), 340, ENDS)
    night.clock.at = noon(21)
    night.run("notices")
    message_id = night.messages()[0].id
    with night.rt.db.begin() as tx:
        rows.begin(tx, message_id)
        rows.close(tx, message_id, "failed", reason=rows.UNKNOWN_OUTCOME, channel=None, now=night.clock())
        assert rows.close(tx, message_id, "sent", reason=None, channel="email", now=night.clock())
        assert not rows.close(tx, message_id, "failed", reason="refused 550", channel="email", now=night.clock())

    assert states(night) == [(7, "sent", None)]


@pytest.fixture(autouse=True)
def _whole_book(night: Night) -> Iterator[None]:
    yield
    assert night.verdict().faults == ()
    assert night.one("SELECT count(*) AS n FROM lot WHERE expired > 0 AND notified_at IS NULL").n == 0
    with night.rt.db.begin() as tx:
        assert tx.execute(sa.text("SELECT count(*) FROM member WHERE available < 0")).scalar_one() == 0
