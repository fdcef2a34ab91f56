"""What a Google card says of points that end soon: once, within the day's allowance, leaving others' words alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from kopilka_testing import Shop, StandingClock, posted, settle, tbank_body

from flows import failpoints, google, google_messages, inbox, lookup, nightly, sweep
from flows.runtime import Runtime
from storage import google as google_storage
from storage.members import Member

pytestmark = pytest.mark.slow

Run = Callable[..., int]
Json = dict[str, Any]


@pytest.fixture
def member(rt: Runtime, shop: Shop, clock: StandingClock) -> Member:
    """A buyer whose card is on a phone; some points of his end in a few days."""
    deal_id, contact_id = shop.deal()
    inbox.accept_payment(rt, "tbank", posted(tbank_body(deal_id)))
    settle(rt)
    account = lookup.by_contact(rt, contact_id)
    assert account is not None
    with rt.db.begin() as tx:
        google_storage.note_event(tx, account.member.id, is_saved=True, at_ms=1)
        tx.execute(
            sa.text("UPDATE lot SET expires_at = :at WHERE available > 0"),
            {"at": clock() + timedelta(days=5, hours=12)},
        )
    return account.member


def messages(shop: Shop) -> list[Json]:
    return list(shop.bank("GET", "/sim/state")["google"]["loyaltyObject"][0].get("messages", []))


def warn(rt: Runtime, clock: StandingClock) -> None:
    nightly.run_due(rt, now=clock(), only="notices", at_once=True)
    settle(rt)


def test_points_that_end_soon_are_said_once_and_aloud(
    rt: Runtime, shop: Shop, clock: StandingClock, member: Member
) -> None:
    warn(rt, clock)
    warn(rt, clock)
    google.refresh(rt, [member.id])

    (said,) = messages(shop)
    assert said["messageType"] == "TEXT_AND_NOTIFY"
    assert said["header"] == "Баллы скоро сгорят"
    assert said["body"].replace("\xa0", " ") == "300 баллов действуют по 6 марта 2026"
    assert said["id"].startswith(google_messages.OWN_PREFIX)


def test_over_the_days_allowance_it_is_said_silently(
    rt: Runtime, shop: Shop, clock: StandingClock, member: Member
) -> None:
    with rt.db.begin() as tx:
        for _ in range(3):
            tx.execute(
                sa.text("INSERT INTO google_notice (member_id, is_loud, sent_at) VALUES (:id, true, :now)"),
                {"id": member.id, "now": clock()},
            )
    warn(rt, clock)

    assert [one["messageType"] for one in messages(shop)] == ["TEXT"]


def test_an_allowance_that_somebody_else_has_spent_holds_up_nobody(
    rt: Runtime, shop: Shop, clock: StandingClock, member: Member
) -> None:
    """By hand in Google's console, or by another program of the shop."""
    assert rt.google is not None
    for number in range(3):
        theirs = {"id": f"theirs-{number}", "header": "x", "body": "y", "messageType": "TEXT_AND_NOTIFY"}
        rt.google.api.add_message(rt.google.object_id(member.card_serial), theirs)
    warn(rt, clock)

    (said,) = [one for one in messages(shop) if one["id"].startswith(google_messages.OWN_PREFIX)]
    assert said["messageType"] == "TEXT"
    with rt.db.begin() as tx:
        waiting = tx.execute(sa.text("SELECT count(*) FROM outbox WHERE kind = 'google' AND state <> 'done'"))
        assert waiting.scalar_one() == 0


def test_a_card_that_nobody_has_saved_says_nothing(
    rt: Runtime, shop: Shop, clock: StandingClock, member: Member
) -> None:
    with rt.db.begin() as tx:
        google_storage.note_event(tx, member.id, is_saved=False, at_ms=2)
    warn(rt, clock)
    google.refresh(rt, [member.id])

    assert messages(shop) == []


def test_our_old_messages_make_room_and_nobody_elses_do(
    rt: Runtime, shop: Shop, clock: StandingClock, member: Member
) -> None:
    assert rt.google is not None
    object_id = rt.google.object_id(member.card_serial)
    theirs = [{"id": f"theirs-{number}", "header": "х"} for number in range(4)]
    ours = [{"id": f"kopilka-old-{number}", "header": "х"} for number in range(6)]
    rt.google.api.keep_messages(object_id, [*ours[:3], *theirs, *ours[3:]])

    warn(rt, clock)

    kept = [one["id"] for one in messages(shop)]
    assert [one for one in kept if one.startswith("theirs")] == [one["id"] for one in theirs]
    assert [one for one in kept if one.startswith("kopilka-old")] == [f"kopilka-old-{number}" for number in (3, 4, 5)]
    assert len(kept) == 4 + google_messages.OWN_KEPT


def test_a_card_full_of_others_words_costs_the_message_and_nothing_else(
    rt: Runtime, shop: Shop, clock: StandingClock, member: Member
) -> None:
    assert rt.google is not None
    theirs = [{"id": f"theirs-{number}", "header": "х"} for number in range(10)]
    rt.google.api.keep_messages(rt.google.object_id(member.card_serial), theirs)

    warn(rt, clock)

    assert len(messages(shop)) == 10
    with rt.db.begin() as tx:
        statement = sa.text("SELECT DISTINCT state FROM outbox WHERE kind = 'google'")
        assert tx.execute(statement).scalars().all() == ["done"]


def test_a_process_that_dies_before_the_message_says_it_never_rather_than_twice(
    rt: Runtime, shop: Shop, clock: StandingClock, member: Member, run: Run
) -> None:
    nightly.run_due(rt, now=clock(), only="notices", at_once=True)

    assert run("outbox", failpoint="google.before_message") == failpoints.EXIT_CODE
    clock.forward(seconds=rt.settings.lease_s + 1)
    sweep.sweep_once(rt)
    settle(rt)

    assert messages(shop) == []
    with rt.db.begin() as tx:
        statement = sa.text("SELECT DISTINCT state FROM outbox WHERE kind = 'google'")
        assert tx.execute(statement).scalars().all() == ["done"]


def test_a_message_that_google_refuses_for_a_while_comes_later(
    rt: Runtime, shop: Shop, clock: StandingClock, member: Member
) -> None:
    google.refresh(rt, [member.id])
    with rt.db.begin() as tx:
        tx.execute(sa.text("DELETE FROM google_notice"))
    assert rt.google is not None
    rt.google.api.keep_messages(rt.google.object_id(member.card_serial), [])
    shop.bank("POST", "/sim/google/faults", {"quota_403": 1})
    warn(rt, clock)
    assert messages(shop) == []
    clock.forward(minutes=20)
    settle(rt)

    assert len(messages(shop)) == 1
