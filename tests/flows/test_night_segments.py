"""Time alone moves members down: at night, after the window and the grace; orders and hands move them as ever."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from kopilka_testing import StandingClock
from night_world import Night

from flows import segment_review
from flows.runtime import Runtime
from loyalty.rules import Duration, SegmentPolicy, SegmentRule
from storage import members, outgoing

SEGMENTS = (
    SegmentRule("start", "Стартовый", min_orders=1),
    SegmentRule("regular", "Постоянный", min_orders=2),
    SegmentRule("vip", "VIP", min_orders=3),
)
POLICY = SegmentPolicy(window=Duration(90, "days"), grace=Duration(30, "days"))


@pytest.fixture
def night(rt: Runtime, clock: StandingClock) -> Night:
    made = Night(rt, clock)
    made.apply(segments=SEGMENTS, segment_policy=POLICY)
    return made


def buyer_of(night: Night, orders: int) -> int:
    member_id = night.buyer()
    for _ in range(orders):
        night.pay(night.deal(member_id), 100_000)
    return member_id


def segment(night: Night, member_id: int) -> tuple[str | None, bool]:
    row = night.one("SELECT segment_code, segment_falls_at FROM member WHERE id = :id", id=member_id)
    return row.segment_code, row.segment_falls_at is not None


def test_a_member_falls_only_after_the_window_and_the_grace(night: Night) -> None:
    vip = buyer_of(night, 3)
    assert segment(night, vip) == ("vip", False)

    night.clock.forward(days=90)
    assert night.run("segments").text == "сменили сегмент: 0"
    night.clock.forward(days=1)
    night.run("segments")
    warned = segment(night, vip)
    night.clock.forward(days=29)
    night.run("segments")
    still = segment(night, vip)
    night.clock.forward(days=1, hours=12)
    fallen = night.run("segments")

    assert (warned, still) == (("vip", True), ("vip", True))
    assert (fallen.text, segment(night, vip)) == ("сменили сегмент: 1", (None, False))


def test_who_buys_within_the_grace_stays(night: Night) -> None:
    vip = buyer_of(night, 3)
    night.clock.forward(days=91)
    night.run("segments")
    for _ in range(3):
        night.pay(night.deal(vip), 100_000)
    night.clock.forward(days=31)

    night.run("segments")

    assert segment(night, vip) == ("vip", False)


def test_late_by_months_the_review_gives_the_grace_all_the_same_and_twice_changes_nothing(night: Night) -> None:
    vip = buyer_of(night, 3)
    night.clock.forward(days=300)

    texts = [night.run("segments").text for _ in range(2)]

    assert texts == ["сменили сегмент: 0", "сменили сегмент: 0"]
    assert segment(night, vip) == ("vip", True)


def test_new_rules_reach_those_who_do_not_buy(night: Night) -> None:
    regular, start = buyer_of(night, 2), buyer_of(night, 1)
    night.apply(segments=(*SEGMENTS[:2], replace(SEGMENTS[2], min_orders=2, min_spent_kopecks=200_000)))

    night.run("segments")

    assert segment(night, regular) == ("vip", False)
    assert segment(night, start) == ("start", False)


def test_a_review_that_was_stopped_and_goes_on_another_day_begins_with_the_first_member_again(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_review, "CHUNK_MEMBERS", 1)
    first, second = buyer_of(night, 3), buyer_of(night, 3)
    night.clock.forward(days=90)
    stopped = night.run("segments", work_for=timedelta(0))
    night.clock.forward(days=1)
    went_on = night.run("segments", at_once=False)

    assert (stopped.done, went_on.done, went_on.total) == (1, 2, 2)
    assert [segment(night, member_id) for member_id in (first, second)] == [("vip", True)] * 2


def test_a_hand_stays_above_the_clock(night: Night) -> None:
    friend = buyer_of(night, 1)
    with night.rt.db.begin() as tx:
        members.set_manual_segment(tx, friend, "vip")
    night.clock.forward(days=400)

    night.run("segments")

    assert segment(night, friend) == ("vip", False)


def test_programs_and_the_crm_hear_of_those_who_moved_and_of_nobody_else(night: Night) -> None:
    vip, newcomer = buyer_of(night, 3), buyer_of(night, 0)
    with night.rt.db.begin() as tx:
        outgoing.add_endpoint(
            tx, 1, url="https://shop.test/", sealed_secret=b"", events=["segment.changed"], now=night.clock()
        )
        tx.execute(
            sa.text("UPDATE member SET segment_falls_at = :now WHERE id = :id"), {"now": night.clock(), "id": vip}
        )
    night.clock.forward(days=100)
    with night.rt.db.begin() as tx:
        tx.execute(sa.text("DELETE FROM outbox"))

    result = night.run("segments")

    assert (result.text, result.total) == ("сменили сегмент: 1", 2)
    assert [row.target_id for row in night.rows("SELECT target_id FROM outbox WHERE kind = 'crm'")] == [vip]
    payloads = [row.payload for row in night.rows("SELECT payload FROM webhook_delivery")]
    assert len(payloads) == 1
    assert '"from":"vip","to":null' in payloads[0]
    assert segment(night, newcomer) == (None, False)


@pytest.mark.chaos
def test_more_members_than_a_chunk_are_all_reviewed(night: Night) -> None:
    with night.rt.db.begin() as tx:
        tx.execute(
            sa.text(
                "INSERT INTO member (contact_ref, name, card_token, card_serial, card_number, created_at, segment_code)"
                " SELECT 5000000 + n, '', 't' || n, 's' || n, 'c' || n, :now, 'vip' FROM generate_series(1, 4500) AS n"
            ),
            {"now": night.clock()},
        )
    night.apply(segment_policy=SegmentPolicy())  # without a window nobody without orders is anywhere
    night.clock.forward(hours=1)

    result = night.run("segments")

    assert (result.done, result.total, result.text) == (4_500, 4_500, "сменили сегмент: 4500")


@pytest.fixture(autouse=True)
def _whole_book(night: Night) -> Iterator[None]:
    yield
    assert night.verdict().faults == ()


def test_the_grace_is_counted_in_days_of_the_programme(night: Night) -> None:
    vip = buyer_of(night, 3)
    night.clock.forward(days=91)
    night.run("segments")

    row = night.one("SELECT segment_falls_at FROM member WHERE id = :id", id=vip)

    assert row.segment_falls_at - night.clock() <= timedelta(days=30)
    assert row.segment_falls_at.hour == 21  # midnight in Moscow
