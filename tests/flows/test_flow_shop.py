"""Orders of the shop's own programs: worked examples of the specification through quote, hold, payment and return."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from flow_shop_world import RULES, TICKET, V05, ShopWorld, opened
from kopilka_testing import StandingClock

from flows import holds, quoting, shop
from flows.people import Names
from flows.refusals import (
    BadReturn,
    OrderDiffers,
    OrderNotFound,
    OrderNotPaid,
    OrderOfAnother,
    RedeemRefused,
    RedemptionLimit,
)
from loyalty.basket import Basket, Line, whole_sum
from loyalty.burning import last_valid_day
from loyalty.ledger import Balance
from loyalty.programme import Duration, SegmentRule
from loyalty.rules import Limits, RedeemRules

MOSCOW = "Europe/Moscow"


@pytest.fixture
def world(database_url: str, clock: StandingClock, tmp_path: Path) -> Iterator[ShopWorld]:
    with opened(database_url, clock, tmp_path) as made:
        yield made


def day(month: int, number: int, hour: int = 9, minute: int = 0) -> datetime:
    """Noon in Moscow, or another UTC time of that day of 2026."""
    return datetime(2026, month, number, hour, minute, tzinfo=UTC)


def test_v06_points_are_spread_over_lines_and_the_rest_earns(world: ShopWorld) -> None:
    buyer = world.rich(1_234)

    quote = quoting.quote(world.rt, Names(member_id=buyer), V05, redeem=2_000)
    paid = world.buy(buyer, V05, redeem=1_234, ref="v06")

    assert (quote.checkout.spending.base_kopecks, quote.checkout.spending.cap_points) == (450_000, 1_350)
    assert quote.checkout.spending.points == 1_234
    assert [line.points_spent for line in quote.checkout.lines] == [740, 494, 0]
    assert [line.due_kopecks for line in quote.checkout.lines] == [196_000, 130_600, 90_000]
    assert [line.earned for line in quote.checkout.lines] == [196, 130, 0]
    assert quote.checkout.due_kopecks == 451_600
    assert paid.order.shop_paid_kopecks == 451_600
    assert [(line.move, line.points) for line in paid.moved] == [("capture", 1_234), ("accrue", 326)]
    assert world.balance(buyer) == Balance(pending=326)


@pytest.mark.parametrize("first", [2, 1], ids=["B then A", "A then B"])
def test_v07_returned_in_any_order_everything_goes_back_to_the_kopeck(world: ShopWorld, first: int) -> None:
    expected = {1: (196_000, 740, 196), 2: (130_600, 494, 130)}
    buyer = world.rich(1_234)
    world.buy(buyer, V05, redeem=1_234, ref="v07")

    for number in (first, 3 - first):
        result = world.take_back("v07", **{f"line_{number}": 1})
        moved = {line.move: line.points for line in result.moved}
        assert (result.money_back_kopecks, moved["restore"], moved["reverse"]) == expected[number]

    assert world.balance(buyer) == Balance(available=1_234)
    order = world.shop_order("v07")
    assert (order.redeemed, order.restored, order.accrued, order.reversed) == (1_234, 1_234, 0, 326)
    assert order.kept_kopecks == 90_000 + 35_000
    assert world.is_whole()


def test_v08_the_last_of_three_units_takes_the_rest(world: ShopWorld) -> None:
    buyer = world.member()
    world.buy(buyer, Basket((Line(100_000, qty=3),)), ref="v08")

    taken = [world.take_back("v08", line_1=1) for _ in range(3)]

    assert [[(line.move, line.points) for line in one.moved] for one in taken] == [
        [("reverse", 33)],
        [("reverse", 33)],
        [("reverse", 34)],
    ]
    assert [one.money_back_kopecks for one in taken] == [33_333, 33_333, 33_334]
    assert world.balance(buyer) == Balance()
    assert world.is_whole()


@pytest.mark.parametrize("pieces", list(permutations(["unit", "unit", "sum", "rest"]))[::3])
def test_units_sums_and_the_rest_in_any_order_end_at_nothing(world: ShopWorld, pieces: tuple[str, ...]) -> None:
    buyer = world.rich(500)
    world.buy(buyer, Basket((Line(100_000, qty=3), Line(77_700)), delivery_kopecks=19_900), redeem=400, ref="o")
    what: dict[str, Any] = {
        "unit": {"units": {1: 1}, "amount_kopecks": 0},
        "sum": {"units": {}, "amount_kopecks": 10_000},
        "rest": {"units": {}, "amount_kopecks": 0, "everything": True},
    }
    money = 0
    for piece in pieces[: pieces.index("rest") + 1]:
        money += shop.give_back(world.rt, "o", **what[piece]).money_back_kopecks
        assert world.is_whole()

    assert world.balance(buyer) == Balance(available=500)
    assert money == world.shop_order("o").shop_paid_kopecks
    assert world.shop_order("o").kept_kopecks == 0


def test_v12_an_order_is_returned_by_the_rules_it_was_paid_under(world: ShopWorld) -> None:
    world.use(replace(RULES, accrual=replace(RULES.accrual, rate_bps=10_000)))
    buyer = world.rich(100)
    world.buy(buyer, Basket((Line(2_500), Line(2_500))), redeem=15, ref="v12")
    assert world.balance(buyer) == Balance(pending=35, available=85)

    for rate_bps, value in ((20_000, 100), (0, 300)):
        world.use(replace(RULES, accrual=replace(RULES.accrual, rate_bps=rate_bps), point_value_kopecks=value))
        result = world.take_back("v12", **{f"line_{1 if rate_bps else 2}": 1})
        moved = [(line.move, line.points) for line in result.moved]
        assert moved == ([("restore", 8), ("reverse", 17)] if rate_bps else [("restore", 7), ("reverse", 18)])

    assert world.balance(buyer) == Balance(available=100)
    assert world.is_whole()


@pytest.mark.parametrize(("returned_on", "last_day"), [(day(4, 10), (5, 10)), (day(1, 20), (3, 23))])
def test_v17_returned_points_keep_their_end_but_have_the_grace_at_least(
    world: ShopWorld, returned_on: datetime, last_day: tuple[int, int]
) -> None:
    world.clock.at = day(1, 10)
    buyer = world.rich(300, expires_at=day(3, 23, 21))  # the last valid day is 23 March, in Moscow
    world.buy(buyer, redeem=300, ref="v17")

    world.clock.at = returned_on
    shop.give_back(world.rt, "v17", units={1: 1}, amount_kopecks=0)

    [lot] = world.lots(buyer)
    assert lot.available == 300
    assert lot.expires_at is not None
    ends = last_valid_day(lot.expires_at, MOSCOW)
    assert (ends.month, ends.day) == last_day
    assert lot.root_key.startswith("opening:")


@pytest.mark.parametrize("told", [True, False])
def test_v18_held_points_do_not_burn_and_burn_when_released_if_their_owner_was_told(
    world: ShopWorld, told: bool
) -> None:
    world.clock.at = day(3, 1, 20, 50)
    buyer = world.member()
    world.give(buyer, 500, expires_at=day(3, 1, 21), told=told)
    held = world.hold(buyer, 500)

    world.clock.at = day(3, 1, 21, 5)
    assert quoting.quote(world.rt, Names(member_id=buyer), TICKET, redeem=0).checkout.spending.max_points == 0
    assert world.balance(buyer) == Balance(reserved=500)
    world.clock.at = day(3, 1, 21, 20)
    holds.release(world.rt, held.hold.public_id)

    assert world.balance(buyer) == (Balance() if told else Balance(available=500))
    assert ("expire", 500) in world.moves(buyer) or not told
    assert world.is_whole()


def test_v22_the_fourth_order_of_a_day_earns_nothing_with_a_reason_and_the_third_redemption_is_refused(
    world: ShopWorld,
) -> None:
    world.use(replace(RULES, limits=Limits(accruals_per_day=3, redemptions_per_day=2)))
    buyer = world.rich(1_000)

    orders = [world.buy(buyer, redeem=redeem, ref=f"o{redeem}").order for redeem in (100, 200, 0)]
    with pytest.raises(RedemptionLimit) as refused:
        world.hold(buyer, 100, ref="late")
    fourth = world.buy(buyer, ref="o4").order

    assert [order.accrued for order in orders] == [489, 479, 499]
    assert refused.value.code == "daily_limit"
    assert (fourth.accrued, fourth.limit_reason, fourth.earn_cap) == (0, "daily_limit", 0)
    assert world.balance(buyer) == Balance(pending=489 + 479 + 499, available=700)
    world.clock.forward(hours=12)  # midnight in Moscow
    assert world.buy(buyer, redeem=100, ref="o5").order.accrued == 489
    shop.give_back(world.rt, "o4", units={1: 1}, amount_kopecks=0)
    assert world.is_whole()


def test_v23_the_order_that_makes_a_vip_is_counted_by_the_segment_before_it(world: ShopWorld) -> None:
    vip = SegmentRule("vip", "VIP", min_orders=None, min_spent_kopecks=1_000_000, rate_bps=1_500, max_share_bps=5_000)
    world.use(replace(RULES, segments=(SegmentRule("start", "Стартовый"), vip)))
    buyer = world.member()

    first = world.buy(buyer, whole_sum(1_000_000), ref="o1")
    second = world.buy(buyer, whole_sum(1_000_000), ref="o2")

    assert (first.order.segment_code, first.order.accrued, first.member.segment_code) == (None, 1_000, "vip")
    assert (second.order.segment_code, second.order.accrued) == ("vip", 1_500)
    shop.give_back(world.rt, "o1", units={1: 1}, amount_kopecks=0)
    assert world.shop_order("o2").accrued == 1_500
    assert world.is_whole()


def test_one_order_through_site_till_and_bot_is_the_same_in_the_ledger(world: ShopWorld) -> None:
    entries, told = [], []
    for channel in ("site", "till", "bot"):
        buyer = world.rich(1_234)
        world.buy(buyer, V05, redeem=1_000, ref=channel, channel=channel)
        world.take_back(channel, line_2=1)
        entries.append(world.entries(buyer))
        order = world.shop_order(channel)
        told.append((order.channel, order.paid_channel))

    assert entries[0] == entries[1] == entries[2]
    assert len(entries[0]) > 5
    assert told == [("site", "site"), ("till", "till"), ("bot", "bot")]


def test_a_web_order_paid_in_the_shop_has_both_channels(world: ShopWorld) -> None:
    buyer = world.rich(500)

    order = world.buy(buyer, redeem=500, channel="site", paid_channel="till").order

    assert (order.channel, order.paid_channel) == ("site", "till")
    assert [line.channel for line in shop.look(world.rt, order.shop_ref or "").moved] == ["site"] * 3


def test_paid_twice_is_paid_once(world: ShopWorld) -> None:
    buyer = world.rich(500)
    world.buy(buyer, redeem=500, ref="o")
    before = world.everything()

    for basket, kopecks in ((TICKET, 449_000), (None, None), (TICKET, None)):
        again = shop.pay(world.rt, "o", member_id=buyer, basket=basket, paid_kopecks=kopecks, channel="till")
        assert again.is_repeat
        assert (again.order.paid_channel, list(again.moved)) == ("site", [])

    assert world.everything() == before


def test_paid_with_other_goods_another_sum_or_by_another_buyer_is_refused_whole(world: ShopWorld) -> None:
    buyer, other = world.rich(500), world.member()
    world.buy(buyer, redeem=500, ref="o")
    before = world.everything()

    def pay(**changes: Any) -> None:
        told = {"member_id": buyer, "basket": TICKET, "paid_kopecks": 449_000, "channel": "site", **changes}
        shop.pay(world.rt, "o", **told)

    for refusal, changes in (
        (OrderDiffers, {"basket": V05}),
        (OrderDiffers, {"paid_kopecks": 448_999}),
        (OrderOfAnother, {"member_id": other}),
    ):
        with pytest.raises(refusal):
            pay(**changes)
    with pytest.raises(OrderDiffers, match="уже оплачен"):
        world.hold(buyer, 10, ref="o")
    with pytest.raises(OrderOfAnother):
        world.hold(other, 10, ref="o")
    assert world.everything() == before


def test_an_order_nobody_knows_is_neither_paid_nor_returned(world: ShopWorld) -> None:
    buyer = world.rich(500)
    before = world.everything()

    with pytest.raises(OrderNotFound):
        shop.pay(world.rt, "x", member_id=buyer, basket=None, paid_kopecks=None, channel="site")
    with pytest.raises(OrderNotFound):
        shop.give_back(world.rt, "x", units={1: 1}, amount_kopecks=0)
    with pytest.raises(OrderNotFound):
        shop.look(world.rt, "x")
    assert world.everything() == before
    world.hold(buyer, 100, ref="unpaid")
    with pytest.raises(OrderNotPaid):
        shop.give_back(world.rt, "unpaid", units={1: 1}, amount_kopecks=0)


@pytest.mark.parametrize(("units", "kopecks"), [({1: 4}, 0), ({2: 1}, 0), ({0: 1}, 0), ({1: 0}, 0), ({}, 100_001)])
def test_more_than_was_bought_is_not_taken_back(world: ShopWorld, units: dict[int, int], kopecks: int) -> None:
    world.buy(world.member(), Basket((Line(100_000, qty=3),)), ref="o")
    before = world.everything()

    with pytest.raises(BadReturn):
        shop.give_back(world.rt, "o", units=units, amount_kopecks=kopecks)

    assert world.everything() == before


def test_goods_that_changed_after_the_hold_want_a_new_hold(world: ShopWorld) -> None:
    buyer = world.rich(500)
    world.hold(buyer, 500, ref="o")

    with pytest.raises(OrderDiffers, match="изменился после резерва"):
        shop.pay(world.rt, "o", member_id=buyer, basket=V05, paid_kopecks=None, channel="site")
    again = world.buy(buyer, V05, redeem=400, ref="o")

    assert world.holds_of(buyer) == [("released", 500), ("captured", 400)]
    assert again.order.redeemed == 400
    assert world.balance(buyer).available == 100


@pytest.mark.parametrize("is_there", [True, False], ids=["points still there", "points spent meanwhile"])
def test_paid_after_the_hold_ran_out_the_points_are_taken_if_they_are_there_and_the_price_stands(
    world: ShopWorld, is_there: bool
) -> None:
    buyer = world.rich(500)
    world.hold(buyer, 500, ref="late")
    world.clock.forward(minutes=31)
    assert holds.release_expired(world.rt, now=world.clock()) == 1
    assert world.balance(buyer) == Balance(available=500)
    if not is_there:
        world.buy(buyer, redeem=100, ref="other")

    order = shop.pay(world.rt, "late", member_id=buyer, basket=TICKET, paid_kopecks=None, channel="site").order

    assert order.shop_paid_kopecks == 449_000
    assert order.accrued == 449
    assert order.redeemed == (500 if is_there else 0)
    assert world.balance(buyer).available == (0 if is_there else 400)
    assert world.is_whole()
    shop.give_back(world.rt, "late", units={1: 1}, amount_kopecks=0)
    assert world.balance(buyer).available == (500 if is_there else 400)
    assert world.is_whole()


def test_an_order_that_points_pay_wholly_is_kept_and_returned(world: ShopWorld) -> None:
    world.use(replace(RULES, redeem=RedeemRules(max_share_bps=10_000)))
    buyer = world.rich(300)
    order = world.buy(buyer, Basket((Line(30_000, qty=3),)), redeem=300, ref="o").order
    assert (order.shop_paid_kopecks, order.redeemed, order.accrued) == (0, 300, 0)

    returned = [world.take_back("o", line_1=1) for _ in range(3)]

    assert [[(line.move, line.points) for line in one.moved] for one in returned] == [[("restore", 100)]] * 3
    assert world.balance(buyer) == Balance(available=300)
    assert world.is_whole()


@pytest.mark.parametrize("value", [100, 300])
def test_a_point_may_be_worth_three_roubles(world: ShopWorld, value: int) -> None:
    world.use(replace(RULES, point_value_kopecks=value))
    buyer = world.rich(10_000)

    quote = quoting.quote(world.rt, Names(member_id=buyer), TICKET, redeem=10_000)
    order = world.buy(buyer, redeem=quote.checkout.spending.points, ref="o").order

    most = 499_000 * 30 // 100 // value
    assert quote.checkout.spending.points == most
    assert order.shop_paid_kopecks == 499_000 - most * value
    assert order.accrued == order.shop_paid_kopecks // 10 // value


@pytest.mark.parametrize(
    ("points_asked", "balance", "code"),
    [(1_498, 5_000, "over_maximum"), (501, 500, "over_maximum"), (1, 0, "no_points")],
)
def test_a_hold_over_what_is_allowed_is_refused_and_says_how_much_is(
    world: ShopWorld, points_asked: int, balance: int, code: str
) -> None:
    buyer = world.rich(balance) if balance else world.member()
    before = world.everything()

    with pytest.raises(RedeemRefused) as refused:
        world.hold(buyer, points_asked)

    assert refused.value.code == code
    assert refused.value.details == {"max_redeem": min(balance, 1_497)}
    assert world.everything() == before


def test_points_that_come_back_live_no_longer_than_they_would_have_if_grace_is_none(world: ShopWorld) -> None:
    world.use(replace(RULES, refund=replace(RULES.refund, grace=Duration(0, "days"))))
    world.clock.at = day(3, 1)
    buyer = world.rich(300, expires_at=day(3, 31, 21))
    world.buy(buyer, redeem=300, ref="o")
    world.clock.at = day(3, 5)

    shop.give_back(world.rt, "o", units={1: 1}, amount_kopecks=0)

    assert [lot.expires_at for lot in world.lots(buyer)] == [day(3, 31, 21)]
