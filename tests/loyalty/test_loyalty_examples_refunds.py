"""Worked examples of the specification of points (section 5.5) about returns: V07, V08, V12-V15."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from itertools import permutations
from zoneinfo import ZoneInfo

import pytest
from loyalty_book import PAID_AT, RULES, Book, days

from loyalty.basket import Basket, Line, whole_sum
from loyalty.ledger import Transfer
from loyalty.orders import returned_kopecks
from loyalty.programme import Duration, Programme, WelcomeRules
from loyalty.rules import Exclusions, Multiplier, RedeemRules, RefundRules

NO_WELCOME = replace(RULES, welcome=None)
NOT_ON_SALE = Exclusions(on_sale="yes")
SALES_OUT = replace(
    NO_WELCOME,
    accrual=replace(RULES.accrual, exclude=NOT_ON_SALE),
    redeem=RedeemRules(max_share_bps=3_000, exclude=NOT_ON_SALE),
)
V05 = Basket(
    (
        Line(300_000, sku="A"),
        Line(200_000, sku="B"),
        Line(150_000, sku="C", discount_kopecks=50_000, is_on_sale=True),
    ),
    promo_kopecks=60_000,
    delivery_kopecks=35_000,
)
V14 = replace(
    RULES,
    accrual=replace(RULES.accrual, expire_after=None),
    welcome=WelcomeRules(points=300, activate_after=Duration(14, "days")),
)


def moscow(month: int, day: int, hour: int = 12) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=ZoneInfo("Europe/Moscow"))


def sums(transfers: tuple[Transfer, ...]) -> dict[str, int]:
    """Points of each kind of move."""
    return {move: sum(one.points for one in transfers if one.move == move) for move in {one.move for one in transfers}}


def v06() -> Book:
    book = Book(SALES_OUT)
    book.open_lot("own", 1_234, expires_at=None)
    book.buy(1, V05, at=PAID_AT, spend=2_000)
    return book


def test_v07_b_is_returned_with_its_money_its_points_and_what_it_earned_then_a() -> None:
    book = v06()

    first = book.give_back(1, (0, 1), PAID_AT + days(1))
    assert book.orders[1].kept_kopecks == 451_600 - 130_600
    assert sums(first.transfers) == {"restore": 494, "reverse": 130}

    second = book.give_back(1, (1, 1), PAID_AT + days(2))
    assert book.orders[1].kept_kopecks == 451_600 - 130_600 - 196_000
    assert sums(second.transfers) == {"restore": 740, "reverse": 196}
    assert book.balances == {"available": 1_234}


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_v07_in_any_order_of_the_lines_the_totals_are_those_of_v06(order: tuple[int, ...]) -> None:
    book, returned = v06(), [0, 0, 0]

    for place in order:
        returned[place] = 1
        book.give_back(1, tuple(returned), PAID_AT + days(1))

    moved = sums(tuple(book.transfers.values()))
    assert (moved["restore"], moved["reverse"]) == (1_234, 326)
    assert (book.balances, book.orders[1].is_kept) == ({"available": 1_234}, False)


def test_v08_three_units_that_earned_100_are_returned_one_by_one() -> None:
    book = Book(NO_WELCOME)
    answer = book.buy(1, Basket((Line(100_000, qty=3),)), at=PAID_AT)
    assert answer.earned.total == 100

    taken = [sums(book.give_back(1, (count,), PAID_AT + days(1)).transfers)["reverse"] for count in (1, 2, 3)]

    assert taken == [33, 33, 34]


def test_v08_money_of_the_units_is_shared_the_same_way() -> None:
    book = Book(NO_WELCOME)
    basket = Basket((Line(100_000, qty=3),))
    lines = book.buy(1, basket, at=PAID_AT).lines

    assert [returned_kopecks(basket, lines, (count,)) for count in (0, 1, 2, 3)] == [0, 33_333, 66_666, 100_000]


@pytest.mark.parametrize("new_rate_bps", [0, 1, 2_000])
def test_v12_a_full_refund_takes_back_what_the_old_rules_gave(new_rate_bps: int) -> None:
    one_per_rouble = replace(NO_WELCOME, accrual=replace(RULES.accrual, rate_bps=10_000))
    book = Book(one_per_rouble)
    book.pay(1, 5_000)
    book.converge(1)
    assert book.net == 50

    book.rules = replace(one_per_rouble, accrual=replace(RULES.accrual, rate_bps=new_rate_bps))
    book.pay(1, 5_000, 5_000)
    decision = book.converge(1)

    assert [(transfer.move, transfer.points) for transfer in decision.transfers] == [("reverse", 50)]
    assert decision.transfers[0].rules_version == "v10000"
    assert book.net == 0


def test_v12_a_partial_refund_is_counted_by_the_old_rules() -> None:
    book = Book(NO_WELCOME)
    book.pay(1, 499_000)
    book.converge(1)

    book.rules = replace(NO_WELCOME, accrual=replace(RULES.accrual, rate_bps=2_000))
    book.pay(1, 499_000, 99_000)
    book.converge(1)

    assert book.net == 400


def test_v13_a_line_without_product_points_takes_only_its_own_share_with_it() -> None:
    """Open Loyalty takes 35 of the 70: the whole order's points in proportion to the money."""
    rules = replace(
        NO_WELCOME,
        accrual=replace(
            RULES.accrual,
            rate_bps=10_000,
            multipliers=(
                Multiplier("A: ещё 10 баллов", 20_000, categories=("A",)),
                Multiplier("B: ещё 20 баллов", 30_000, categories=("B",)),
            ),
        ),
    )
    book = Book(rules)
    basket = Basket((Line(1_000, category="A"), Line(1_000, category="B"), Line(2_000, category="C")))
    answer = book.buy(1, basket, at=PAID_AT)
    assert (answer.earned.total, answer.earned.points) == (70, (20, 30, 20))

    decision = book.give_back(1, (0, 0, 1), PAID_AT + days(1))

    assert sums(decision.transfers) == {"reverse": 20}
    assert book.net == 50


def v14(rules: Programme) -> Book:
    """Two orders, the second paid with all points of the first."""
    book = Book(rules)
    book.buy(1, whole_sum(499_000), at=moscow(1, 10, 15))
    assert sorted((lot.source, lot.pending) for lot in book.lots.values()) == [("accrual", 499), ("welcome", 300)]
    book.bring_up_to_date(moscow(1, 23, 23))
    assert book.balances == {"pending": 799}
    book.bring_up_to_date(moscow(1, 24, 0))
    assert book.balances == {"available": 799}

    answer = book.buy(2, whole_sum(300_000), at=moscow(2, 14), spend=1_000)
    assert (answer.spending.cap_points, answer.spending.points, answer.due_kopecks) == (900, 799, 220_100)
    assert book.balances == {"pending": 220}
    return book


def test_v14_the_first_order_is_returned_after_its_points_were_spent_then_the_second() -> None:
    book = v14(V14)

    book.give_back(1, (1,), moscow(2, 16))
    assert book.balances == {"debt": 799, "pending": 220}

    book.bring_up_to_date(moscow(2, 27, 23))
    assert book.balances == {"debt": 799, "pending": 220}
    book.bring_up_to_date(moscow(2, 28, 0))
    assert book.balances == {"debt": 579}

    decision = book.give_back(2, (1,), moscow(3, 5))
    assert sums(decision.transfers) == {"restore": 799, "settle": 579, "reverse": 220}
    assert (book.balances, book.balance("shortfall")) == ({}, 0)


def test_v14_in_the_other_order_nothing_is_left_either() -> None:
    book = v14(V14)

    book.give_back(2, (1,), moscow(2, 16))
    assert book.balances == {"available": 799}
    book.give_back(1, (1,), moscow(3, 5))

    assert (book.balances, book.balance("shortfall")) == ({}, 0)


def test_v15_within_the_balance_the_shop_bears_what_was_spent() -> None:
    book = v14(replace(V14, refund=RefundRules(debt="within_balance")))

    book.give_back(1, (1,), moscow(2, 16))
    assert (book.balances, book.balance("shortfall")) == ({"pending": 220}, -799)
    assert [one.points for one in book.transfers.values() if one.move == "write_off"] == [799]

    book.bring_up_to_date(moscow(2, 28, 0))
    assert book.balances == {"available": 220}


def test_v15_only_pending_leaves_the_available_points_too() -> None:
    book = Book(replace(V14, refund=RefundRules(debt="only_pending")))
    book.buy(1, whole_sum(499_000), at=moscow(1, 10))
    book.bring_up_to_date(moscow(1, 24, 0))
    book.buy(2, whole_sum(100_000), at=moscow(1, 25))

    book.give_back(1, (1,), moscow(1, 26))
    book.give_back(2, (1,), moscow(1, 26))

    assert (book.balances, book.balance("shortfall")) == ({"available": 799}, -799)


def test_the_fairness_bound_leaves_no_debt_where_everything_was_returned_though_points_burnt_in_between() -> None:
    rules = replace(
        NO_WELCOME,
        accrual=replace(RULES.accrual, activate_after=Duration(0, "days"), expire_after=Duration(10, "days")),
        redeem=RedeemRules(max_share_bps=10_000),
        refund=RefundRules(grace=Duration(0, "days")),
    )
    book = Book(rules)
    book.buy(1, whole_sum(50_000), at=PAID_AT)
    book.buy(2, Basket((Line(75_000, qty=2),)), at=PAID_AT, spend=50)
    assert book.balances == {"available": 70}
    book.give_back(1, (1,), PAID_AT + days(1))
    assert book.balances == {"available": 20}
    book.give_back(2, (1,), PAID_AT + days(2))  # 25 come back, 35 are taken
    assert book.balances == {"available": 10}
    book.notify()
    book.bring_up_to_date(PAID_AT + days(12))
    assert book.balances == {}

    decision = book.give_back(2, (2,), PAID_AT + days(13))

    assert sums(decision.transfers) == {"restore": 25, "reverse": 25, "write_off": 10}
    assert (book.balances, book.balance("shortfall")) == ({}, -10)
