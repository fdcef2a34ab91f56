"""Corrections by hand and rewards for actions: with a reason, within limits, once per request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from flow_points_world import refused_or_done, together
from flow_shop_world import RULES, ShopWorld, opened
from kopilka_testing import StandingClock

from flows import adjusting, shop
from flows.adjusting import Adjustment
from flows.refusals import ActionLimit, ActionUnknown, AdjustmentLimit, AdjustmentTooLarge
from loyalty.ledger import Balance
from loyalty.programme import Duration
from loyalty.rules import ActionReward, AdjustmentRules, GiftRules

OLGA = "Ольга"
ROUNDS = 4


@pytest.fixture
def world(database_url: str, clock: StandingClock, tmp_path: Path) -> Iterator[ShopWorld]:
    with opened(database_url, clock, tmp_path) as made:
        yield made


@pytest.fixture
def rewarding(world: ShopWorld) -> ShopWorld:
    actions = (
        ActionReward("review", "Отзыв о товаре", 50, per_day=2, expire_after=Duration(30, "days")),
        ActionReward("form", "Анкета", 100, once=True),
        ActionReward("visit", "Визит", 10, activate_after=Duration(1, "days")),
    )
    world.use(replace(RULES, gifts=GiftRules(actions=actions)))
    return world


def adjust(world: ShopWorld, member_id: int, points: int, key: str = "k", actor: str = OLGA) -> Balance:
    asked = Adjustment(points, "complaint", "порвался рюкзак", actor, key)
    return adjusting.adjust(world.rt, member_id, asked).balance


def test_points_given_by_hand_name_who_and_why_and_end(world: ShopWorld) -> None:
    buyer = world.member()

    assert adjust(world, buyer, 300) == Balance(available=300)

    given, made_available = world.transfers(buyer)
    assert (given.debit, given.credit, given.points) == ("adjusted", "pending", 300)
    assert (given.rule, given.actor, given.reason) == ("adjustments", OLGA, "жалоба: порвался рюкзак")
    assert made_available.move == "activate"
    [lot] = world.lots(buyer)
    assert lot.source == "manual"
    assert lot.expires_at is not None
    assert (lot.expires_at - world.clock()).days == 180
    assert world.is_whole()


def test_points_taken_by_hand_come_from_the_lots_that_end_first(world: ShopWorld) -> None:
    buyer = world.rich(200)
    soon = world.give(buyer, 100, expires_at=world.clock().replace(month=6))

    assert adjust(world, buyer, -150) == Balance(available=150)

    taken = [(one.debit, one.credit, one.points) for one in world.transfers(buyer) if one.move == "adjust"]
    assert taken == [("available", "adjusted", 100), ("available", "adjusted", 50)]
    assert soon not in {lot.key for lot in world.lots(buyer)}
    assert world.is_whole()


def test_a_repeated_request_moves_nothing_more(world: ShopWorld) -> None:
    buyer = world.member()
    adjust(world, buyer, 300, "a")
    adjust(world, buyer, -100, "b")
    before = world.everything()

    assert adjust(world, buyer, 300, "a") == Balance(available=200)
    assert adjust(world, buyer, -100, "b") == Balance(available=200)

    assert world.everything() == before


@pytest.mark.parametrize("points", [-301, -5_000])
def test_a_correction_never_makes_a_debt(world: ShopWorld, points: int) -> None:
    buyer = world.rich(300)
    world.hold(buyer, 100)
    before = world.everything()

    with pytest.raises(AdjustmentTooLarge, match="Доступно 200"):
        adjust(world, buyer, points)

    assert world.everything() == before


def test_more_at_once_or_in_a_day_than_the_owner_allows_is_refused(world: ShopWorld) -> None:
    world.use(replace(RULES, adjustments=AdjustmentRules(max_points=500, max_points_per_day=700)))
    buyer, other = world.rich(1_000), world.member()
    for points in (501, -501):
        with pytest.raises(AdjustmentLimit) as refused:
            adjust(world, buyer, points, "too many")
        assert refused.value.details == {"max_points": 500}

    adjust(world, buyer, 500, "first")
    with pytest.raises(AdjustmentLimit) as refused:
        adjust(world, other, 201, "second")
    assert refused.value.details == {"max_points": 200}
    assert adjust(world, buyer, -500, "taking is not giving") == Balance(available=1_000)
    assert adjust(world, other, 201, "another hand", actor="Пётр") == Balance(available=201)
    assert adjust(world, other, 200, "rest") == Balance(available=401)

    world.clock.forward(hours=12)  # midnight in Moscow
    assert adjust(world, other, 500, "next day") == Balance(available=901)
    assert world.is_whole()


def test_points_given_to_a_debtor_pay_his_debt_first(world: ShopWorld) -> None:
    no_delay = replace(RULES.accrual, activate_after=Duration(0, "days"))
    world.use(replace(RULES, accrual=no_delay))
    buyer = world.member()
    world.buy(buyer, ref="source")
    world.buy(buyer, redeem=499, ref="kept")
    shop.give_back(world.rt, "source", units={1: 1}, amount_kopecks=0)
    debt = world.balance(buyer).debt
    assert debt == 499 - 449

    assert adjust(world, buyer, 80) == Balance(available=80 - debt)
    assert world.is_whole()


def test_many_corrections_under_one_key_at_once_are_one(world: ShopWorld) -> None:
    buyer = world.rich(1_000)

    together(4, lambda _: adjust(world, buyer, -300, "same"))

    assert world.balance(buyer) == Balance(available=700)
    assert world.is_whole()


def test_the_daily_limit_of_a_person_is_that_of_all_his_members_together(world: ShopWorld) -> None:
    world.use(replace(RULES, adjustments=AdjustmentRules(max_points=500, max_points_per_day=500)))
    for number in range(ROUNDS):
        buyers = [world.member() for _ in range(3)]

        ends = together(
            3,
            lambda which, buyers=buyers, number=number: refused_or_done(
                lambda: adjust(world, buyers[which], 400, f"k{number}", actor=f"Ольга {number}")
            ),
        )

        assert sorted(ends) == ["adjustment_limit", "adjustment_limit", "done"]
        assert sum(world.balance(buyer).available for buyer in buyers) == 400


def test_a_reward_is_given_per_request_and_so_often_a_day(rewarding: ShopWorld) -> None:
    world, buyer = rewarding, rewarding.member()

    def review(key: str) -> Balance:
        return adjusting.reward(world.rt, buyer, "review", key=key, actor="сайт").balance

    assert review("r1") == Balance(available=50)
    assert review("r1") == Balance(available=50)
    assert review("r2") == Balance(available=100)
    with pytest.raises(ActionLimit, match="За день можно 2"):
        review("r3")
    assert review("r2") == Balance(available=100)
    world.clock.forward(hours=12)  # midnight in Moscow
    assert review("r3") == Balance(available=150)

    [first, *_] = world.lots(buyer)
    assert (first.source, first.title) == ("action", "Отзыв о товаре")
    assert {one.rule for one in world.transfers(buyer) if one.move == "gift"} == {"gifts.actions.review"}
    assert world.is_whole()


def test_what_is_given_once_is_given_once_whatever_the_request(rewarding: ShopWorld) -> None:
    buyer = rewarding.member()
    adjusting.reward(rewarding.rt, buyer, "form", key="a", actor="сайт")
    before = rewarding.everything()

    adjusting.reward(rewarding.rt, buyer, "form", key="a", actor="сайт")
    with pytest.raises(ActionLimit):
        adjusting.reward(rewarding.rt, buyer, "form", key="b", actor="сайт")

    assert rewarding.everything() == before


def test_a_reward_waits_for_its_day_and_an_unknown_one_names_the_known(rewarding: ShopWorld) -> None:
    buyer = rewarding.member()

    assert adjusting.reward(rewarding.rt, buyer, "visit", key="a", actor="сайт").balance == Balance(pending=10)
    with pytest.raises(ActionUnknown, match="review, form, visit"):
        adjusting.reward(rewarding.rt, buyer, "jump", key="b", actor="сайт")


def test_rewards_at_once_keep_the_daily_limit(rewarding: ShopWorld) -> None:
    buyer = rewarding.member()

    ends = together(
        4,
        lambda number: refused_or_done(
            lambda: adjusting.reward(rewarding.rt, buyer, "review", key=f"k{number}", actor="сайт")
        ),
    )

    assert sorted(ends) == ["action_limit", "action_limit", "done", "done"]
    assert rewarding.balance(buyer) == Balance(available=100)


def test_a_correction_survives_in_the_ledger_with_the_rules_of_its_day(world: ShopWorld) -> None:
    buyer = world.member()
    adjust(world, buyer, 10)
    version = world.rt.rules_version
    world.change_rules(rate_bps=1)

    with world.rt.db.begin() as tx:
        kept = tx.execute(sa.text("SELECT DISTINCT rules_version FROM transfer")).scalars().all()
    assert kept == [version]
