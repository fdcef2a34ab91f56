"""Ways in which points were lost, doubled or taken from the wrong person, until somebody read with fresh eyes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest
from flow_points_world import activated
from flow_shop_world import RULES, TICKET, ShopWorld, opened
from kopilka_testing import StandingClock
from pydantic import SecretStr

from flows import holds, shop
from flows.refusals import BadOrder, OrderDiffers
from loyalty.basket import Basket, Line
from loyalty.ledger import Balance
from loyalty.rules import Duration, RedeemRules, RefundRules, SegmentPolicy, SegmentRule
from storage import members


@pytest.fixture
def world(database_url: str, clock: StandingClock, tmp_path: Path) -> Iterator[ShopWorld]:
    with opened(database_url, clock, tmp_path) as found:
        yield found


CODE = replace(RULES, redeem=RedeemRules(max_share_bps=3_000, confirm="pin"))


def test_a_buyer_who_pays_the_whole_price_keeps_his_reserved_points(world: ShopWorld) -> None:
    buyer = world.rich(500)
    deal = world.deal(buyer)
    world.wish(deal, 500)

    world.pay(deal, 499_000)

    order = world.order(deal)
    assert (order.redeemed, order.kept_kopecks, order.hold_id) == (0, 499_000, None)
    assert world.balance(buyer) == Balance(available=500, pending=499)
    assert world.is_whole()


def test_money_that_comes_after_the_lower_price_gives_the_points_back(world: ShopWorld) -> None:
    buyer = world.rich(500)
    deal = world.deal(buyer)
    world.wish(deal, 500)
    world.pay(deal, 449_000, ref="first")
    assert world.balance(buyer) == Balance(pending=449)

    world.pay(deal, 50_000, ref="second")

    assert world.balance(buyer) == Balance(available=500, pending=499)
    assert world.is_whole()


def test_one_rouble_confirms_nothing(world: ShopWorld) -> None:
    world.use(CODE)
    world.rt.file = replace(world.rt.file, redeem_pin=SecretStr("2468"))
    buyer = world.rich(500)
    deal = world.deal(buyer)
    world.wish(deal, 500)

    world.pay(deal, 100)

    assert (world.order(deal).redeemed, world.balance(buyer).reserved) == (0, 500)


@pytest.mark.parametrize("debt", ["only_pending", "within_balance"])
def test_points_that_could_not_be_taken_are_not_given_again(
    world: ShopWorld, debt: Literal["only_pending", "within_balance"]
) -> None:
    world.use(replace(RULES, refund=RefundRules(debt=debt)))
    buyer = world.member()
    deal = world.deal(buyer)
    world.stage(deal, is_paid=True, price=499_000)
    world.clock.forward(days=20)
    activated(world.rt, now=world.clock())
    spent = world.hold(buyer, 499, ref="elsewhere") if debt == "within_balance" else None
    before = world.balance(buyer)

    for is_paid in (False, True, False, True):
        world.stage(deal, is_paid=is_paid, price=499_000)

    assert world.balance(buyer) == before
    assert world.is_whole()
    if spent is not None:
        holds.release(world.rt, spent.hold.public_id)
        assert world.balance(buyer).available == 499


def test_an_order_refunded_and_paid_again_has_not_been_bought_twice(world: ShopWorld) -> None:
    buyer = world.rich(500)
    deal = world.deal(buyer)
    world.wish(deal, 500)
    world.pay(deal, 449_000, ref="first")
    world.pay(deal, 449_000, 449_000, ref="first")
    assert world.balance(buyer) == Balance(available=500)

    world.pay(deal, 449_000, ref="second")

    order = world.order(deal)
    assert (order.redeemed - order.restored, order.accrued) == (500, 449)
    assert world.balance(buyer) == Balance(pending=449)
    assert world.is_whole()


def test_a_line_paid_by_points_stays_bought_when_the_paid_one_comes_back(world: ShopWorld) -> None:
    world.use(replace(RULES, redeem=RedeemRules(max_share_bps=10_000)))
    buyer = world.rich(1_000)
    goods = Basket((Line(100_000, sku="A"), Line(50_000, sku="B", is_gift_card=True)))
    world.buy(buyer, goods, redeem=1_000, ref="o")

    result = world.take_back("o", line_2=1)

    assert (result.money_back_kopecks, result.order.restored, result.order.is_kept) == (50_000, 0, True)
    assert world.balance(buyer).available == 0


def test_lots_that_end_in_this_very_decision_are_not_counted_on(world: ShopWorld) -> None:
    buyer = world.member()
    for number in range(20):
        world.give(buyer, 5, expires_at=world.clock() + timedelta(days=1 + number / 100), told=True)
    world.give(buyer, 500)
    world.clock.forward(days=2)

    held = world.hold(buyer, 100)

    assert (held.hold.points, world.balance(buyer)) == (100, Balance(available=400, reserved=100))
    assert world.is_whole()


def test_a_reserve_that_ran_out_can_be_given_up(world: ShopWorld) -> None:
    buyer = world.rich(500)
    held = world.hold(buyer, 500, ref="o")
    world.clock.forward(hours=5)
    holds.release_expired(world.rt, now=world.clock())

    assert holds.release(world.rt, held.hold.public_id).state == "released"
    paid = shop.pay(world.rt, "o", member_id=buyer, basket=TICKET, paid_kopecks=None, channel="site")

    assert (paid.order.shop_paid_kopecks, paid.order.redeemed) == (499_000, 0)


def test_a_part_payment_is_followed_by_the_rest(world: ShopWorld) -> None:
    buyer = world.rich(500)
    world.hold(buyer, 500, ref="o")

    def pay(kopecks: int | None) -> shop.OrderResult:
        return shop.pay(world.rt, "o", member_id=buyer, basket=TICKET, paid_kopecks=kopecks, channel="site")

    with pytest.raises(BadOrder):
        pay(0)
    assert pay(100_000).order.accrued == 100
    rest = pay(None)
    assert (rest.order.accrued, rest.is_repeat, pay(449_000).is_repeat) == (449, False, True)
    with pytest.raises(OrderDiffers):
        pay(100_000)
    assert world.is_whole()


def test_an_order_dated_long_ago_does_not_pass_by_the_limits(world: ShopWorld) -> None:
    buyer = world.member()
    with pytest.raises(BadOrder, match="31"):
        shop.pay(
            world.rt,
            "old",
            member_id=buyer,
            basket=TICKET,
            paid_kopecks=None,
            channel="site",
            paid_at=world.clock() - timedelta(days=32),
        )


def test_a_refund_of_one_rouble_makes_nobody_a_vip(world: ShopWorld) -> None:
    vip = SegmentRule("vip", "VIP", min_orders=3)
    policy = SegmentPolicy(window=Duration(12, "months"), downgrade="never")
    world.use(replace(RULES, segments=(SegmentRule("start", "Стартовый"), vip), segment_policy=policy))
    buyer = world.member()
    for number, gap in enumerate((0, 300, 100)):
        world.clock.forward(days=gap)
        world.buy(buyer, ref=f"o{number}")
    assert _segment(world, buyer) != "vip"
    world.clock.forward(days=250)

    shop.give_back(world.rt, "o1", units={}, amount_kopecks=100)

    assert _segment(world, buyer) != "vip"


def test_a_price_raised_after_the_points_were_taken_earns_the_difference(world: ShopWorld) -> None:
    buyer = world.rich(500)
    deal = world.deal(buyer)
    world.wish(deal, 500)
    world.stage(deal, is_paid=True, price=499_000)

    world.stage(deal, is_paid=True, price=699_000)

    assert world.order(deal).accrued == 649


def _segment(world: ShopWorld, member_id: int) -> str | None:
    with world.rt.db.begin() as tx:
        return members.by_ids(tx, [member_id])[member_id].segment_code
