"""What users of other programmes complain of (the loyalty reference, section 3) cannot happen here."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from loyalty_book import PAID_AT, RULES, Book, days, with_points

from loyalty import burning
from loyalty.basket import Basket, Line, whole_sum
from loyalty.checkout import checkout
from loyalty.ledger import LotSource
from loyalty.programme import Duration, Programme, SegmentRule
from loyalty.rules import MethodRate, RateStep, RedeemRules
from loyalty.segments import Purchases, segment_for

NO_WELCOME = replace(RULES, welcome=None)
ALL_BY_POINTS = replace(NO_WELCOME, redeem=RedeemRules(max_share_bps=10_000))
SHARE_OUT = replace(NO_WELCOME, accrual=replace(RULES.accrual, activate_after=Duration(0, "days")))


def test_rewards_applied_many_times_when_the_status_changes_opencart_2349(book: Book) -> None:
    for is_paid in (True, False, True, True, False, True):
        book.stage(1, is_paid=is_paid, price=100_000)
        book.converge(1)
        assert book.net == (400 if is_paid else 0)


def test_an_event_told_again_doubles_nothing_compressor_1476(book: Book) -> None:
    for _ in range(5):
        book.pay(1, 500_000)
        book.converge(1)

    assert (book.points_of(1, "accrual"), book.points_of(1, "welcome")) == (500, 300)


def test_buying_refunding_and_buying_again_keeps_no_points_odoo_257854(book: Book) -> None:
    for order_id in range(1, 6):
        book.pay(order_id, 100_000)
        book.converge(order_id, PAID_AT)
        book.pay(order_id, 100_000, 100_000)
        book.converge(order_id, PAID_AT + days(1))

    assert book.balances == {}


def test_spent_points_come_back_with_a_refund_instead_of_being_taken_again_odoo_212922() -> None:
    book = with_points(NO_WELCOME, 300)
    book.buy(1, whole_sum(100_000), at=PAID_AT, spend=300)
    assert book.balances == {"pending": 70}

    book.give_back(1, (1,), PAID_AT + days(1))

    assert book.balances == {"available": 300}


def test_two_messages_about_one_refund_take_points_once_odoo_211342(book: Book) -> None:
    book.pay(1, 100_000)
    book.converge(1)
    for _ in range(2):
        book.pay(1, 100_000, 40_000)
        book.converge(1)

    assert book.points_of(1, "accrual") == 60


def test_after_cancel_and_return_the_balance_is_what_it_was_nopcommerce_5595() -> None:
    book = with_points(NO_WELCOME, 500)
    book.hold(1, 120, at=PAID_AT)
    book.release(1, PAID_AT)
    book.buy(2, whole_sum(100_000), at=PAID_AT, spend=50)
    book.give_back(2, (1,), PAID_AT + days(1))

    assert book.balances == {"available": 500}


@pytest.mark.parametrize("rate_bps", [0, 2_000])
def test_a_refund_asks_the_rules_of_the_order_not_todays_smile_4036183(rate_bps: int) -> None:
    book = Book(NO_WELCOME)
    book.pay(1, 50_000)
    book.converge(1)

    book.rules = replace(NO_WELCOME, accrual=replace(RULES.accrual, rate_bps=rate_bps))
    book.pay(1, 50_000, 50_000)
    book.converge(1)

    assert (book.balances, book.balance("reversed")) == ({}, 50)


def test_a_returned_line_takes_what_it_earned_not_a_share_of_all_open_loyalty() -> None:
    """Gift cards earn nothing: returning one takes no points, whatever its part of the money."""
    book = Book(NO_WELCOME)
    book.buy(1, Basket((Line(100_000), Line(300_000, is_gift_card=True))), at=PAID_AT)

    assert not book.give_back(1, (0, 1), PAID_AT + days(1))
    assert book.balances == {"pending": 100}


def test_all_goods_returned_is_a_full_return_though_the_delivery_was_kept_loyaltylion() -> None:
    book = with_points(NO_WELCOME, 300)
    book.buy(1, Basket((Line(100_000, qty=2), Line(50_000)), delivery_kopecks=35_000), at=PAID_AT, spend=300)

    book.give_back(1, (2, 1), PAID_AT + days(1))

    assert (book.balances, book.orders[1].is_kept) == ({"available": 300}, False)


def test_a_refund_finds_the_first_lot_many_lots_and_takes_a_part_cloudcommerce() -> None:
    """Its code skipped the lot with index 0, stopped after one lot and took a partial refund for a full one."""
    book = Book(NO_WELCOME)
    for number, captured in enumerate((100_000, 250_000, 300_000)):
        book.pay(1, captured)
        book.converge(1, PAID_AT + days(number))
    assert [lot.pending for lot in book.lots.values()] == [100, 150, 50]

    book.pay(1, 300_000, 60_000)
    book.converge(1, PAID_AT + days(3))
    assert book.balances == {"pending": 240}
    book.pay(1, 300_000, 300_000)
    book.converge(1, PAID_AT + days(4))

    assert [lot.net for lot in book.lots.values()] == [0, 0, 0]
    assert book.balances == {}


def test_points_spent_from_many_lots_all_come_back_cloudcommerce() -> None:
    book = Book(NO_WELCOME)
    for number in range(5):
        book.open_lot(f"lot-{number}", 10, expires_at=PAID_AT + days(100 + number))
    book.buy(1, whole_sum(100_000), at=PAID_AT, spend=45)

    book.give_back(1, (1,), PAID_AT + days(1))

    by_root = {lot.root: lot.available for lot in book.lots.values() if lot.source == "restored"}
    assert by_root == {"lot-0": 10, "lot-1": 10, "lot-2": 10, "lot-3": 10, "lot-4": 5}


def test_the_balance_does_not_collapse_when_a_spent_lot_ends_flocafe_78() -> None:
    book = with_points(NO_WELCOME, 100, ends_on=10)
    book.buy(1, whole_sum(100_000), at=PAID_AT, spend=80)
    book.open_lot("new", 50, expires_at=None)
    book.notify()

    book.bring_up_to_date(PAID_AT + days(10))

    assert book.balances == {"pending": 92, "available": 50}
    assert book.balance("expired") == 20


def test_every_lot_has_its_own_end_not_the_earliest_of_all_flocafe_62() -> None:
    book = with_points(NO_WELCOME, 100, ends_on=10)
    book.open_lot("later", 70, expires_at=PAID_AT + days(20))
    book.notify()

    book.bring_up_to_date(PAID_AT + days(10))
    assert book.balance("available") == 70
    book.bring_up_to_date(PAID_AT + days(20))
    assert book.balance("available") == 0


@pytest.mark.parametrize("source", get_args(LotSource))
def test_no_label_keeps_a_lot_from_burning_liberusoftware_1056(source: LotSource) -> None:
    book = with_points(NO_WELCOME, 100, ends_on=10)
    book.lots["own"] = replace(book.lots["own"], source=source)
    book.notify()

    decision = book.bring_up_to_date(PAID_AT + days(10))

    assert [(one.move, one.points) for one in decision.transfers] == [("expire", 100)]
    assert decision.transfers[0].rule


def test_nothing_burns_of_which_its_owner_was_not_told_mvideo() -> None:
    book = with_points(NO_WELCOME, 100, ends_on=10)

    assert not book.bring_up_to_date(PAID_AT + days(365))

    assert [burn.points for burn in burning.schedule(book.lots.values(), RULES.timezone)] == [100]


def test_money_covered_by_points_earns_nothing_erpnext_14847() -> None:
    book = with_points(ALL_BY_POINTS, 1_000)

    book.buy(1, whole_sum(100_000), at=PAID_AT, spend=400)
    assert book.balances == {"available": 600, "pending": 60}
    book.buy(2, whole_sum(60_000), at=PAID_AT, spend=600)

    assert (book.balances, book.orders[2].is_kept) == ({"pending": 60}, True)


def test_a_gift_card_earns_neither_when_it_is_sold_nor_when_it_pays_repairdesk_1050() -> None:
    rules = replace(
        NO_WELCOME, accrual=replace(RULES.accrual, by_method=(MethodRate("gift_card", 0),)), redeem=ALL_BY_POINTS.redeem
    )
    sale = Basket((Line(100_000, is_gift_card=True),))
    payment = Basket((Line(100_000),), method="gift_card")

    sold = checkout(rules, sale, segment_code=None, balance=500, requested=500, at=PAID_AT)
    paid = checkout(rules, payment, segment_code=None, balance=0, requested=0, at=PAID_AT)

    assert (sold.earned.total, sold.spending.points, sold.spending.refusal) == (0, 0, "nothing_eligible")
    assert (paid.earned.total, paid.earned.rate.rule) == (0, "accrual.by_method")


@pytest.mark.parametrize(("spent", "code"), [(499_999, "regular"), (500_000, "vip"), (500_001, "vip")])
def test_the_tier_changes_exactly_at_its_boundary_erpnext_22167(spent: int, code: str) -> None:
    tiers = (
        SegmentRule("regular", "Постоянный"),
        SegmentRule("vip", "VIP", min_orders=None, min_spent_kopecks=500_000),
    )

    reached = segment_for(Purchases(2, spent), tiers)

    assert reached is not None
    assert reached.code == code


@pytest.mark.parametrize(("price", "points"), [(499_999, 249), (500_000, 500)])
def test_the_rate_of_an_order_jumps_exactly_at_the_step_erpnext_33550(price: int, points: int) -> None:
    steps = replace(NO_WELCOME, accrual=replace(RULES.accrual, rate_bps=500, steps=(RateStep(500_000, 1_000),)))

    assert quoted(steps, whole_sum(price)) == points


def test_a_deal_partly_paid_with_points_earns_at_the_rate_it_was_quoted_erpnext_33550() -> None:
    """The price decides about the step, not the money that is left to pay."""
    steps = replace(NO_WELCOME, accrual=replace(RULES.accrual, rate_bps=500, steps=(RateStep(500_000, 1_000),)))
    book = with_points(steps, 1_000)

    book.hold(1, 1_000, at=PAID_AT)
    book.stage(1, is_paid=True, price=400_000)
    book.converge(1)

    assert book.points_of(1, "accrual") == 400
    assert quoted(steps, whole_sum(500_000), balance=1_000) == 400


def test_where_points_earn_on_the_price_before_points_a_deal_does_so_too_odoo_114004() -> None:
    before_points = replace(NO_WELCOME, accrual=replace(RULES.accrual, base="order_total"))
    book = with_points(before_points, 300)

    book.hold(1, 300, at=PAID_AT)
    book.pay(1, 70_000)
    book.converge(1)
    assert book.points_of(1, "accrual") == quoted(before_points, whole_sum(100_000), balance=300) == 100

    book.pay(1, 70_000, 35_000)
    book.converge(1)
    assert (book.points_of(1, "accrual"), book.balance("redeemed")) == (50, 150)


def test_points_of_an_order_that_is_only_authorised_are_not_given_loyaltylion(book: Book) -> None:
    book.pay(1, 0)

    assert not book.converge(1)


def test_goods_bought_with_points_bring_back_the_money_and_the_points_news_ivanovo() -> None:
    """85 000 roubles of which 79 000 were points: the buyers got 6 000 back."""
    book = with_points(ALL_BY_POINTS, 79_000)
    answer = book.buy(1, whole_sum(8_500_000), at=PAID_AT, spend=79_000)
    assert answer.due_kopecks == 600_000

    book.give_back(1, (1,), PAID_AT + days(5))

    assert (book.balances, book.orders[1].kept_kopecks) == ({"available": 79_000}, 0)


def test_points_of_an_order_wait_as_long_as_it_can_be_returned_loyaltylion() -> None:
    book = Book(NO_WELCOME)
    book.buy(1, whole_sum(100_000), at=PAID_AT)
    book.bring_up_to_date(PAID_AT + days(13))
    assert book.balances == {"pending": 100}

    book.give_back(1, (1,), PAID_AT + days(13))

    assert (book.balances, book.moves(1)) == ({}, [("accrue", 100), ("reverse", 100)])


def quoted(rules: Programme, basket: Basket, *, balance: int = 0) -> int:
    """Points that the checkout promises to one who spends all he has."""
    answer = checkout(rules, basket, segment_code=None, balance=balance, requested=balance, at=PAID_AT)
    return answer.earned.total
