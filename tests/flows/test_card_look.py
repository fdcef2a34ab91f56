"""The card of a real member: its segment's look, what is left to the next one, no name."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kopilka_testing import StandingClock
from night_world import Night

from flows import cards, previewing
from flows.refusals import MemberNotFound, SegmentUnknown
from flows.runtime import Runtime
from flows.wallets import design_digest, design_of
from loyalty.rules import Duration, SegmentPolicy, SegmentRule
from storage import members
from wallet.card import Card, spaced_number

SEGMENTS = (
    SegmentRule("start", "Стартовый", min_orders=1),
    SegmentRule("regular", "Постоянный", min_orders=3, min_spent_kopecks=1_000_000),
)
POLICY = SegmentPolicy(window=Duration(90, "days"))


@pytest.fixture
def night(rt: Runtime, clock: StandingClock) -> Night:
    made = Night(rt, clock)
    made.apply(segments=SEGMENTS, segment_policy=POLICY)
    return made


def card_of(night: Night, member_id: int) -> Card:
    with night.rt.db.begin() as tx:
        return cards.card_of(tx, night.rt, members.shown(tx, [member_id])[member_id].person)


def left(night: Night, member_id: int) -> tuple[str, int | None, int | None] | None:
    goal = card_of(night, member_id).next_segment
    return None if goal is None else (goal.title, goal.orders, goal.kopecks)


def test_the_card_says_what_is_left_to_the_next_segment(night: Night) -> None:
    buyer = night.buyer()
    before = left(night, buyer)
    night.pay(night.deal(buyer), 100_000)
    after_one = left(night, buyer)
    for _ in range(2):
        night.pay(night.deal(buyer), 100_000)

    assert before == ("Стартовый", 1, None)
    assert after_one == ("Постоянный", 2, 900_000)
    assert (card_of(night, buyer).segment_code, left(night, buyer)) == ("regular", None)


def test_orders_that_left_the_window_lead_nowhere(night: Night) -> None:
    buyer = night.buyer()
    night.pay(night.deal(buyer), 100_000)
    night.clock.forward(days=91)

    assert left(night, buyer) == ("Постоянный", 3, 1_000_000)


def test_without_segments_there_is_nothing_to_reach(night: Night) -> None:
    buyer = night.buyer()
    night.apply(segments=())

    card = card_of(night, buyer)
    assert (card.segment_code, card.next_segment) == (None, None)


def test_a_members_preview_is_his_card_without_his_name(night: Night) -> None:
    buyer = night.buyer()
    with night.rt.db.begin() as tx:
        member = members.shown(tx, [buyer])[buyer].person

    html = previewing.of_member(night.rt, str(buyer)).html()

    assert spaced_number(card_of(night, buyer).number) in html
    assert not member.name or member.name not in html
    with pytest.raises(MemberNotFound):
        previewing.of_member(night.rt, "+79990000000")


def test_a_sample_of_a_segment_nobody_wrote_is_refused(night: Night) -> None:
    with pytest.raises(SegmentUnknown):
        previewing.of_sample(night.rt.file, today=night.rt.now().date(), segment_code="nobody")


def test_a_change_of_the_look_is_seen_in_the_digest_of_the_design(rt: Runtime) -> None:
    file = rt.file
    other = replace(file, card=replace(file.card, look=replace(file.card.look, background="#000000")))
    offers = replace(file, card=replace(file.card, look=replace(file.card.look, offers=(("Акция", "Скидка"),))))

    digests = {design_digest(design_of(one)) for one in (file, other, offers)}
    assert len(digests) == 3
    assert design_digest(design_of(file)) == design_digest(rt.design)
