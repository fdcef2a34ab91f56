"""Holds: confirmed, released, grown too old; and what two hands may do to one hold or one balance at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from flow_points_world import refused_or_done, together
from flow_shop_world import RULES, TICKET, ShopWorld, opened
from kopilka_testing import StandingClock
from pydantic import SecretStr

from config.model import MailConfig
from flows import adjusting, codes, holds, quoting, shop
from flows.adjusting import Adjustment
from flows.people import Names
from flows.refusals import (
    CodeNotDeliverable,
    HoldClosed,
    HoldNotFound,
    HoldUnconfirmed,
    RedeemRefused,
    WrongCode,
)
from loyalty.basket import whole_sum
from loyalty.ledger import Balance
from loyalty.rules import Limits, RedeemRules

ROUNDS = 4
PIN = "2580"


@pytest.fixture
def world(database_url: str, clock: StandingClock, tmp_path: Path) -> Iterator[ShopWorld]:
    with opened(database_url, clock, tmp_path) as made:
        yield made


@pytest.fixture
def asking(world: ShopWorld) -> ShopWorld:
    """The buyer is asked for a code, sent by e-mail."""
    world.use(replace(RULES, redeem=RedeemRules(max_share_bps=3_000, confirm="code", confirm_from_points=100)))
    mail = MailConfig("localhost", 25, "none", "Клуб", "bonus@shop.ru")
    world.rt.file = replace(world.rt.file, mail=mail)
    return world


def buyer_with_mail(world: ShopWorld, points: int) -> int:
    member_id = world.person(email=f"b{world.clock().microsecond}@example.ru").id
    world.give(member_id, points)
    return member_id


def code_in_the_letter(world: ShopWorld) -> str:
    with world.rt.db.begin() as tx:
        body = tx.execute(sa.text("SELECT body FROM message ORDER BY id DESC LIMIT 1")).scalar_one()
    return str(body).partition("Код: ")[2][:4]


def other_than(code: str) -> str:
    return f"{(int(code) + 1) % 10_000:04}"


def test_a_hold_takes_the_points_that_end_first_and_gives_them_back_to_their_lots(world: ShopWorld) -> None:
    buyer = world.rich(200)
    soon = world.give(buyer, 300, expires_at=world.clock().replace(month=6))
    before = {lot.key: lot.available for lot in world.lots(buyer)}

    held = world.hold(buyer, 400)
    during = {lot.key: (lot.available, lot.reserved) for lot in world.lots(buyer)}
    holds.release(world.rt, held.hold.public_id)

    assert during[soon] == (0, 300)
    assert sorted(during.values()) == [(0, 300), (100, 100)]
    assert {lot.key: lot.available for lot in world.lots(buyer)} == before
    assert world.is_whole()


def test_a_quote_counts_the_points_that_lie_on_its_own_order_and_reserves_nothing(world: ShopWorld) -> None:
    buyer = world.rich(500)
    world.hold(buyer, 400, ref="o")
    before = world.everything()

    own = quoting.quote(world.rt, Names(member_id=buyer), TICKET, redeem=500, order_ref="o")
    other = quoting.quote(world.rt, Names(member_id=buyer), TICKET, redeem=500, order_ref="another")

    assert (own.checkout.spending.points, other.checkout.spending.points) == (500, 100)
    assert world.everything() == before


def test_a_hold_in_place_of_another_leaves_one_open(world: ShopWorld) -> None:
    buyer = world.rich(500)

    held = [world.hold(buyer, points, ref="o") for points in (300, 500, 100)]

    assert world.holds_of(buyer) == [("released", 300), ("released", 500), ("active", 100)]
    assert world.balance(buyer) == Balance(available=400, reserved=100)
    with pytest.raises(HoldClosed):
        holds.confirm(world.rt, held[0].hold.public_id, "1234")


def test_a_refused_hold_leaves_the_one_that_was_there(world: ShopWorld) -> None:
    buyer = world.rich(500)
    world.hold(buyer, 300, ref="o")
    before = world.everything()

    with pytest.raises(RedeemRefused):
        world.hold(buyer, 501, ref="o")

    assert world.everything() == before


def test_rules_that_change_after_the_hold_do_not_change_its_order(world: ShopWorld) -> None:
    buyer = world.rich(500)
    quoted = world.hold(buyer, 500, ref="o")
    world.use(replace(RULES, point_value_kopecks=300, accrual=replace(RULES.accrual, rate_bps=5_000), redeem=None))

    order = shop.pay(world.rt, "o", member_id=buyer, basket=None, paid_kopecks=None, channel="site").order

    assert (order.shop_paid_kopecks, order.accrued, order.redeemed) == (449_000, 449, 500)
    assert order.rules_version == quoted.hold.rules_version
    shop.give_back(world.rt, "o", units={1: 1}, amount_kopecks=0)
    assert world.balance(buyer) == Balance(available=500)
    assert world.is_whole()


def test_releasing_twice_changes_nothing_more_and_a_captured_hold_is_not_released(world: ShopWorld) -> None:
    buyer = world.rich(500)
    first = world.hold(buyer, 100, ref="a").hold
    holds.release(world.rt, first.public_id)
    before = world.everything()
    assert holds.release(world.rt, first.public_id).state == "released"
    assert world.everything() == before

    second = world.hold(buyer, 100, ref="b").hold
    shop.pay(world.rt, "b", member_id=buyer, basket=None, paid_kopecks=None, channel="site")
    with pytest.raises(HoldClosed, match="уже списаны"):
        holds.release(world.rt, second.public_id)
    with pytest.raises(HoldNotFound):
        holds.release(world.rt, "hold_nobody")


def test_a_released_order_is_paid_in_full(world: ShopWorld) -> None:
    buyer = world.rich(500)
    holds.release(world.rt, world.hold(buyer, 500, ref="o").hold.public_id)

    order = shop.pay(world.rt, "o", member_id=buyer, basket=None, paid_kopecks=None, channel="site").order

    assert (order.shop_paid_kopecks, order.redeemed, order.accrued) == (499_000, 0, 499)


def test_a_hold_that_ran_out_gives_its_points_back_once(world: ShopWorld) -> None:
    buyer = world.rich(500)
    world.hold(buyer, 500)
    world.clock.forward(minutes=29)
    assert holds.release_expired(world.rt, now=world.clock()) == 0

    world.clock.forward(minutes=1)
    assert holds.release_expired(world.rt, now=world.clock()) == 1
    assert holds.release_expired(world.rt, now=world.clock()) == 0

    assert world.balance(buyer) == Balance(available=500)
    assert world.holds_of(buyer) == [("expired", 500)]
    assert world.is_whole()


def test_who_paid_the_full_price_after_his_hold_ran_out_keeps_his_points(world: ShopWorld) -> None:
    buyer = world.rich(500)
    world.hold(buyer, 500, ref="o")
    world.clock.forward(minutes=31)
    holds.release_expired(world.rt, now=world.clock())

    order = shop.pay(world.rt, "o", member_id=buyer, basket=TICKET, paid_kopecks=499_000, channel="site").order

    assert (order.redeemed, order.accrued) == (0, 499)
    assert world.balance(buyer) == Balance(pending=499, available=500)
    assert world.is_whole()


def test_points_released_after_a_debt_was_made_pay_the_debt_first(world: ShopWorld) -> None:
    buyer = world.member()
    world.use(
        replace(RULES, accrual=replace(RULES.accrual, activate_after=replace(RULES.accrual.activate_after, count=0)))
    )
    world.buy(buyer, whole_sum(1_000_000), ref="source")
    world.buy(buyer, redeem=400, ref="kept")
    held = world.hold(buyer, 600)
    shop.give_back(world.rt, "source", units={1: 1}, amount_kopecks=0)
    assert world.balance(buyer) == Balance(available=0, reserved=600, debt=541)

    holds.release(world.rt, held.hold.public_id)

    assert world.balance(buyer) == Balance(available=59)
    assert world.is_whole()


def test_small_sums_are_held_without_a_code_and_larger_ones_wait_for_it(asking: ShopWorld) -> None:
    buyer = buyer_with_mail(asking, 500)

    small = asking.hold(buyer, 99, ref="small")
    large = asking.hold(buyer, 100, ref="large")

    assert (small.hold.state, large.hold.state) == ("active", "unconfirmed")
    with pytest.raises(HoldUnconfirmed):
        shop.pay(asking.rt, "large", member_id=buyer, basket=TICKET, paid_kopecks=None, channel="site")
    code = code_in_the_letter(asking)
    assert holds.confirm(asking.rt, large.hold.public_id, f" {code} ").state == "active"
    assert holds.confirm(asking.rt, large.hold.public_id, "anything").state == "active"
    shop.pay(asking.rt, "large", member_id=buyer, basket=TICKET, paid_kopecks=None, channel="site")
    assert asking.holds_of(buyer) == [("active", 99), ("captured", 100)]
    assert asking.is_whole()


def test_the_fifth_wrong_code_gives_the_points_back(asking: ShopWorld) -> None:
    buyer = buyer_with_mail(asking, 500)
    held = asking.hold(buyer, 500)
    wrong = other_than(code_in_the_letter(asking))
    left = []

    for _ in range(codes.TRIES_MAX):
        with pytest.raises(WrongCode) as refused:
            holds.confirm(asking.rt, held.hold.public_id, wrong)
        left.append(refused.value.details["tries_left"])

    assert left == [4, 3, 2, 1, 0]
    assert asking.balance(buyer) == Balance(available=500)
    with pytest.raises(HoldClosed):
        holds.confirm(asking.rt, held.hold.public_id, code_in_the_letter(asking))


def test_a_code_of_one_hold_does_not_confirm_another_and_is_not_kept_in_the_clear(asking: ShopWorld) -> None:
    buyer = buyer_with_mail(asking, 500)
    first = asking.hold(buyer, 200, ref="a").hold
    code = code_in_the_letter(asking)
    second = asking.hold(buyer, 200, ref="b").hold
    assert first.code_digest is not None
    assert code.encode() not in first.code_digest
    assert first.code_digest != second.code_digest
    if code != code_in_the_letter(asking):
        with pytest.raises(WrongCode):
            holds.confirm(asking.rt, second.public_id, code)
    assert holds.confirm(asking.rt, first.public_id, code).code_digest is None


def test_a_code_that_comes_too_late_confirms_nothing(asking: ShopWorld) -> None:
    buyer = buyer_with_mail(asking, 500)
    held = asking.hold(buyer, 500)
    asking.clock.forward(minutes=30)

    with pytest.raises(HoldClosed):
        holds.confirm(asking.rt, held.hold.public_id, code_in_the_letter(asking))


def test_points_nobody_confirmed_are_not_spent_even_after_the_hold_ran_out(asking: ShopWorld) -> None:
    buyer = buyer_with_mail(asking, 500)
    asking.hold(buyer, 500, ref="o")
    asking.clock.forward(minutes=31)
    holds.release_expired(asking.rt, now=asking.clock())

    order = shop.pay(asking.rt, "o", member_id=buyer, basket=TICKET, paid_kopecks=None, channel="site").order

    assert (order.redeemed, order.shop_paid_kopecks) == (0, 499_000)
    assert asking.balance(buyer).available == 500
    assert asking.is_whole()


def test_a_buyer_without_an_address_cannot_be_asked_and_nothing_is_held(asking: ShopWorld) -> None:
    buyer = asking.rich(500)
    before = asking.everything()

    with pytest.raises(CodeNotDeliverable):
        asking.hold(buyer, 500)

    assert asking.everything() == before
    assert asking.hold(buyer, 99).hold.state == "active"


def test_a_senior_confirms_with_the_pin_and_without_one_in_the_file_nothing_is_held(world: ShopWorld) -> None:
    world.use(replace(RULES, redeem=RedeemRules(max_share_bps=3_000, confirm="pin")))
    buyer = world.rich(500)
    with pytest.raises(CodeNotDeliverable):
        world.hold(buyer, 500)
    world.rt.file = replace(world.rt.file, redeem_pin=SecretStr(PIN))

    held = world.hold(buyer, 500).hold

    with pytest.raises(WrongCode):
        holds.confirm(world.rt, held.public_id, other_than(PIN))
    assert holds.confirm(world.rt, held.public_id, PIN).state == "active"


def test_a_deal_whose_hold_nobody_confirmed_is_counted_in_full_when_only_the_stage_says_paid(
    asking: ShopWorld,
) -> None:
    buyer = buyer_with_mail(asking, 500)
    deal = asking.deal(buyer)
    order = asking.wish(deal, 500)
    held = asking.open_hold(order)
    assert held is not None
    assert held.state == "unconfirmed"
    assert "Ждём код покупателя" in (order.redeem_answer or "")

    asking.stage(deal, is_paid=True, price=499_000)

    assert asking.balance(buyer) == Balance(pending=499, reserved=500)
    asking.clock.forward(days=4)
    holds.release_expired(asking.rt, now=asking.clock())
    asking.stage(deal, is_paid=True, price=499_000)
    assert asking.balance(buyer) == Balance(pending=499, available=500)
    assert asking.is_whole()


def test_a_buyer_who_pays_the_lower_price_to_the_bank_has_confirmed_with_his_money(asking: ShopWorld) -> None:
    buyer = buyer_with_mail(asking, 500)
    deal = asking.deal(buyer)
    asking.wish(deal, 500)

    asking.pay(deal, 449_000)

    assert asking.balance(buyer) == Balance(pending=449)
    assert asking.holds_of(buyer) == [("captured", 500)]
    assert asking.is_whole()


def test_a_code_typed_into_the_deal_confirms_its_hold(asking: ShopWorld) -> None:
    buyer = buyer_with_mail(asking, 500)
    deal = asking.deal(buyer)
    asking.wish(deal, 500)
    code = code_in_the_letter(asking)

    wrong = asking.wish(deal, 500, code=other_than(code))
    right = asking.wish(deal, 500, code=code)
    asking.stage(deal, is_paid=True, price=499_000)

    assert wrong.redeem_answer == "Код не подошёл, осталось попыток: 4"
    assert right.redeem_answer == "Код подошёл: списание подтверждено"
    assert asking.balance(buyer) == Balance(pending=449)
    assert asking.holds_of(buyer) == [("captured", 500)]


def test_a_deal_that_was_moved_back_and_forth_costs_its_points_once(world: ShopWorld) -> None:
    buyer = world.rich(500)
    deal = world.deal(buyer)
    world.wish(deal, 500)

    seen = []
    for is_paid in (True, False, True):
        world.stage(deal, is_paid=is_paid, price=499_000)
        seen.append(world.balance(buyer))

    assert seen == [Balance(pending=449), Balance(available=500), Balance(pending=449)]
    assert world.is_whole()


def test_points_spent_elsewhere_while_the_deal_was_out_of_its_stage_are_not_taken_twice(world: ShopWorld) -> None:
    buyer = world.rich(500)
    deal = world.deal(buyer)
    world.wish(deal, 500)
    for is_paid in (True, False):
        world.stage(deal, is_paid=is_paid, price=499_000)
    world.buy(buyer, redeem=400, ref="elsewhere")

    world.stage(deal, is_paid=True, price=499_000)
    order = world.order(deal)
    assert (order.redeemed - order.restored, order.accrued) == (100, 449), "what is left pays, the price stands"
    world.give(buyer, 1_000)
    before = world.everything()
    assert world.stage(deal, is_paid=True, price=499_000) == "ничего не изменилось"

    assert world.everything() == before
    world.stage(deal, is_paid=False, price=499_000)
    assert world.balance(buyer) == Balance(pending=459, available=1_100)
    assert world.is_whole()


def test_a_damaged_account_does_not_keep_the_holds_of_all_others(world: ShopWorld) -> None:
    damaged, healthy = world.rich(500), world.rich(500)
    for buyer in (damaged, healthy):
        world.hold(buyer, 500)
    with world.rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE member SET reserved = 0 WHERE id = :id"), {"id": damaged})
    world.clock.forward(hours=1)

    assert holds.release_expired(world.rt, now=world.clock()) == 1

    assert world.balance(healthy) == Balance(available=500)


# Races


def test_v19_two_spends_at_once_of_more_than_there_is_end_with_one_refused(world: ShopWorld) -> None:
    for _ in range(ROUNDS):
        buyer = world.rich(700)

        ends = together(
            2, lambda number, buyer=buyer: _outcome(lambda: world.hold(buyer, 500, ref=f"{buyer}-{number}"))
        )

        assert sorted(ends) == ["done", "over_maximum"]
        assert world.balance(buyer) == Balance(available=200, reserved=500)
    assert world.is_whole()


def test_v19_one_after_the_other_the_second_is_told_what_is_left(world: ShopWorld) -> None:
    buyer = world.rich(700)
    world.hold(buyer, 500)
    before = world.everything()

    with pytest.raises(RedeemRefused) as refused:
        world.hold(buyer, 500)

    assert refused.value.details == {"max_redeem": 200}
    assert world.everything() == before


def test_a_correction_and_a_hold_at_once_never_take_the_same_points(world: ShopWorld) -> None:
    for _ in range(ROUNDS):
        buyer = world.rich(700)
        works: list[Callable[[], object]] = [
            lambda buyer=buyer: world.hold(buyer, 500, ref=f"{buyer}-h"),  # type: ignore[misc]
            lambda buyer=buyer: adjusting.adjust(  # type: ignore[misc]
                world.rt, buyer, Adjustment(-500, "mistake", "лишние", "Ольга", "k")
            ),
        ]

        ends = together(2, lambda number, works=works: refused_or_done(works[number]))

        balance = world.balance(buyer)
        assert ends in (["done", "not_enough_points"], ["over_maximum", "done"])
        assert (balance.available, balance.reserved) == (200, 500 if ends[0] == "done" else 0)
    assert world.is_whole()


def test_paid_at_the_very_moment_its_hold_runs_out_an_order_takes_its_points_once(world: ShopWorld) -> None:
    for number in range(ROUNDS):
        buyer = world.rich(500)
        ref = f"o{number}"
        world.hold(buyer, 500, ref=ref)
        world.clock.forward(minutes=30)
        works: list[Callable[[], object]] = [
            lambda: holds.release_expired(world.rt, now=world.clock()),
            lambda buyer=buyer, ref=ref: shop.pay(  # type: ignore[misc]
                world.rt, ref, member_id=buyer, basket=TICKET, paid_kopecks=None, channel="site"
            ),
        ]

        together(2, lambda number, works=works: works[number]())

        order = world.shop_order(ref)
        assert (order.redeemed, order.shop_paid_kopecks, order.accrued) == (500, 449_000, 449)
        assert world.balance(buyer) == Balance(pending=449)
    assert world.is_whole()


def test_one_order_held_for_from_two_places_at_once_has_one_hold(world: ShopWorld) -> None:
    for number in range(ROUNDS):
        buyer = world.rich(700)

        together(2, lambda which, buyer=buyer, ref=f"o{number}": world.hold(buyer, (300, 500)[which], ref=ref))

        open_holds = [points for state, points in world.holds_of(buyer) if state == "active"]
        assert len(open_holds) == 1
        assert world.balance(buyer).reserved == open_holds[0]
    assert world.is_whole()


def test_one_order_paid_from_three_places_at_once_is_paid_once(world: ShopWorld) -> None:
    for number in range(ROUNDS):
        buyer, ref = world.rich(500), f"o{number}"
        world.hold(buyer, 500, ref=ref)

        results = together(
            3,
            lambda which, buyer=buyer, ref=ref: shop.pay(
                world.rt, ref, member_id=buyer, basket=TICKET, paid_kopecks=None, channel=f"till-{which}"
            ),
        )

        assert sorted(result.is_repeat for result in results) == [False, True, True]
        assert world.balance(buyer) == Balance(pending=449)
    assert world.is_whole()


def test_paid_and_released_at_once_the_price_and_the_points_agree(world: ShopWorld) -> None:
    for number in range(ROUNDS):
        buyer, ref = world.rich(500), f"o{number}"
        held = world.hold(buyer, 500, ref=ref).hold
        works: list[Callable[[], object]] = [
            lambda held=held: holds.release(world.rt, held.public_id),  # type: ignore[misc]
            lambda buyer=buyer, ref=ref: shop.pay(  # type: ignore[misc]
                world.rt, ref, member_id=buyer, basket=TICKET, paid_kopecks=None, channel="site"
            ),
        ]

        ends = together(2, lambda which, works=works: refused_or_done(works[which]))

        order = world.shop_order(ref)
        assert ends in (["done", "done"], ["hold_closed", "done"])
        assert (order.shop_paid_kopecks, order.redeemed) == ((499_000, 0) if ends[0] == "done" else (449_000, 500))
    assert world.is_whole()


def test_points_returned_while_they_are_held_elsewhere_never_fall_below_zero(world: ShopWorld) -> None:
    for number in range(ROUNDS):
        buyer = world.rich(500)
        world.buy(buyer, redeem=500, ref=f"a{number}")
        works: list[Callable[[], object]] = [
            lambda number=number: shop.give_back(world.rt, f"a{number}", units={1: 1}, amount_kopecks=0),  # type: ignore[misc]
            lambda buyer=buyer: world.hold(buyer, 500, ref=f"b{buyer}"),  # type: ignore[misc]
        ]

        ends = together(2, lambda which, works=works: refused_or_done(works[which]))

        assert ends[0] == "done"
        assert ends[1] in ("done", "no_points")
        assert world.balance(buyer).net == 500
    assert world.is_whole()


def test_the_daily_limit_holds_for_two_at_once(world: ShopWorld) -> None:
    world.use(replace(RULES, limits=Limits(redemptions_per_day=1)))
    for _ in range(ROUNDS):
        buyer = world.rich(700)

        ends = together(3, lambda which, buyer=buyer: _outcome(lambda: world.hold(buyer, 100, ref=f"{buyer}-{which}")))

        assert sorted(ends) == ["daily_limit", "daily_limit", "done"]


def test_many_hands_at_two_members_and_their_orders_never_wait_for_each_other_in_a_circle(world: ShopWorld) -> None:
    buyers = [world.rich(2_000), world.rich(2_000)]
    known = _deadlocks(world)

    def busy(hand: int) -> None:
        for turn in range(6):
            buyer = buyers[(hand + turn) % 2]
            ref = f"o{(hand * 5 + turn) % 4}-{buyer}"
            steps: list[Callable[[], object]] = [
                lambda buyer=buyer, ref=ref: world.hold(buyer, 100, ref=ref),  # type: ignore[misc]
                lambda: holds.release_expired(world.rt, now=world.clock()),
                lambda buyer=buyer, ref=ref: shop.pay(  # type: ignore[misc]
                    world.rt, ref, member_id=buyer, basket=TICKET, paid_kopecks=None, channel="till"
                ),
                lambda ref=ref: shop.give_back(world.rt, ref, units={1: 1}, amount_kopecks=0),  # type: ignore[misc]
                lambda buyer=buyer, turn=turn: adjusting.adjust(  # type: ignore[misc]
                    world.rt, buyer, Adjustment(-10, "other", "проба", "Ольга", f"{hand}-{turn}")
                ),
            ]
            for step in steps:
                refused_or_done(step)

    together(4, busy)

    world.rt.db.close()  # a connection that ends tells its statistics
    assert _deadlocks(world) == known
    assert world.is_whole()


def _deadlocks(world: ShopWorld) -> int:
    with world.rt.db.begin() as tx:
        statement = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        return int(tx.execute(sa.text(statement)).scalar_one())


def _outcome(work: Callable[[], object]) -> str:
    return refused_or_done(work)
