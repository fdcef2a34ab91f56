"""A Salesbot writes to a buyer who has come into a segment: once, and after his fields say so. Over HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flow_desk import Desk, make_desk
from kopilka_testing import Shop, StandingClock, settle

from flows import lookup, segmenting
from flows.runtime import Runtime

pytestmark = pytest.mark.slow

VIP_BOT, WAKE_BOT, NO_BOT = 501, 502, 999


@pytest.fixture
def desk(rt: Runtime, shop: Shop, clock: StandingClock) -> Desk:
    made = make_desk(rt, shop, clock)
    bots = {"vip": VIP_BOT, "regular": WAKE_BOT}
    made.rt.file = replace(made.rt.file, amocrm=replace(made.rt.crm_names, segment_bots=bots))
    return made


def comes(desk: Desk, clock: StandingClock, code: str | None) -> None:
    segmenting.put_by_hand(desk.rt, desk.buyer, code)
    works(desk, clock)


def works(desk: Desk, clock: StandingClock) -> None:
    for _ in range(3):
        settle(desk.rt)
        clock.forward(minutes=1)


def runs(desk: Desk) -> list[dict[str, Any]]:
    return list(desk.shop.crm("GET", "/sim/bots")["runs"])


def test_a_bot_runs_once_per_coming_and_reads_the_new_fields(desk: Desk, clock: StandingClock) -> None:
    desk.opens()
    comes(desk, clock, "vip")
    [first] = runs(desk)
    assert (first["bot_id"], first["entity_id"]) == (VIP_BOT, desk.contact_id)
    assert first["fields"]["Сегмент карты"] == "VIP", "the fields came first"
    assert first["fields"]["Ссылка на карту"]

    comes(desk, clock, "vip")
    desk.bank_says()
    works(desk, clock)
    assert len(runs(desk)) == 1
    comes(desk, clock, "regular")
    comes(desk, clock, "vip")

    assert [one["bot_id"] for one in runs(desk)] == [VIP_BOT, WAKE_BOT, VIP_BOT]


def test_a_bot_whose_answer_was_lost_is_not_run_again(desk: Desk, clock: StandingClock) -> None:
    desk.opens()
    works(desk, clock)
    segmenting.put_by_hand(desk.rt, desk.buyer, "vip")
    settle(desk.rt)  # the fields
    desk.shop.faults(apply_then_drop=1.0)
    clock.forward(minutes=1)
    settle(desk.rt)
    desk.shop.faults(apply_then_drop=0.0)
    for _ in range(4):
        clock.forward(minutes=20)
        works(desk, clock)

    assert len(runs(desk)) == 1


def test_while_the_crm_is_away_the_bot_waits_and_runs_once(desk: Desk, clock: StandingClock) -> None:
    desk.opens()
    works(desk, clock)
    desk.shop.faults(error_429=1.0)
    comes(desk, clock, "vip")
    assert runs(desk) == []
    desk.shop.faults(error_429=0.0)
    for _ in range(3):
        clock.forward(minutes=20)
        works(desk, clock)

    assert len(runs(desk)) == 1


def test_a_bot_that_does_not_exist_is_named_to_the_owner(desk: Desk, clock: StandingClock) -> None:
    bots = {"vip": NO_BOT}
    desk.rt.file = replace(desk.rt.file, amocrm=replace(desk.rt.crm_names, segment_bots=bots))
    desk.opens()

    comes(desk, clock, "vip")

    waiting = lookup.events(desk.rt, states=["waiting", "parked"], limit=5)[1]
    assert any("segment_bots" in str(row.outcome) for row in waiting)
