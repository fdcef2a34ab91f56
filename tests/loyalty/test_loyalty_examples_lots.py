"""Worked examples of the specification of points (section 5.5) about lots, their end and holds: V09-V11, V16-V20."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from itertools import combinations
from typing import Literal
from zoneinfo import ZoneInfo

import pytest
from loyalty_book import RULES, Book, days

from loyalty import burning, calendar
from loyalty.basket import whole_sum
from loyalty.burning import Burn
from loyalty.programme import Duration
from loyalty.redemption import NotEnoughPoints
from loyalty.rules import BurnRules, RefundRules

MOSCOW = "Europe/Moscow"
NO_WELCOME = replace(RULES, welcome=None)


def moscow(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=ZoneInfo(MOSCOW))


def test_v09_points_that_end_first_are_spent_first() -> None:
    book = Book(NO_WELCOME)
    for key, points, ends in (
        ("L1", 300, moscow(2026, 2, 1)),
        ("L2", 499, moscow(2026, 7, 1)),
        ("L3", 150, moscow(2026, 3, 2)),
        ("L4", 200, None),
    ):
        book.open_lot(key, points, expires_at=ends)

    book.hold(1, 500, at=moscow(2026, 1, 20))

    assert [(one.lot_key, one.points) for one in book.allocations(1)] == [("L1", 300), ("L3", 150), ("L2", 50)]
    assert [burn.points for burn in burning.schedule(book.lots.values(), MOSCOW)] == [449, 200]


def test_v10_what_was_spent_of_a_lot_does_not_burn_with_it() -> None:
    book = Book(NO_WELCOME)
    book.open_lot("first", 100, expires_at=moscow(2026, 2, 1))
    book.hold(1, 80, at=moscow(2026, 1, 20))
    book.stage(1, is_paid=True, price=0)
    book.converge(1, moscow(2026, 1, 20))
    book.open_lot("second", 50, expires_at=None)
    book.notify()

    book.bring_up_to_date(moscow(2026, 2, 1))

    assert (book.balances, book.balance("expired")) == ({"available": 50}, 20)


@pytest.mark.parametrize(
    ("active_from", "months", "last_valid_day"),
    [
        (moscow(2026, 1, 31), 1, date(2026, 2, 28)),
        (moscow(2028, 1, 31), 1, date(2028, 2, 29)),
        (moscow(2026, 8, 31), 6, date(2027, 2, 28)),
        (moscow(2028, 2, 29), 12, date(2029, 2, 28)),
    ],
)
def test_v11_months_end_on_the_last_day_of_a_shorter_month(
    active_from: datetime, months: int, last_valid_day: date
) -> None:
    ends = calendar.expiry_at(active_from, Duration(months, "months"), MOSCOW)

    assert ends is not None
    assert burning.last_valid_day(ends, MOSCOW) == last_valid_day
    assert ends.astimezone(ZoneInfo(MOSCOW)) == datetime.combine(
        last_valid_day + days(1), datetime.min.time(), tzinfo=ZoneInfo(MOSCOW)
    )


def test_v16_burnt_points_are_not_taken_from_the_member_again() -> None:
    book = Book(NO_WELCOME)
    book.buy(1, whole_sum(499_000), at=moscow(2026, 1, 10))
    book.bring_up_to_date(moscow(2026, 1, 24))
    book.buy(2, whole_sum(90_000), at=moscow(2026, 2, 1), spend=100)
    book.notify()
    book.bring_up_to_date(moscow(2026, 7, 24))
    assert book.balance("expired") == 399

    book.give_back(1, (1,), moscow(2026, 7, 24))

    assert book.orders[1].reversed == 100
    assert book.balance("expired") == 399
    # The second order's 80 points are taken, and 20 of the 100 that were spent on it are owed.
    assert (book.balances, book.balance("shortfall")) == ({"debt": 20}, 0)


def test_v17_returned_points_live_thirty_days_more_where_their_end_was_nearer() -> None:
    book = Book(NO_WELCOME)
    book.open_lot("old", 300, expires_at=moscow(2026, 3, 25))
    book.buy(1, whole_sum(100_000), at=moscow(2026, 3, 20), spend=300)

    decision = book.give_back(1, (1,), moscow(2026, 4, 10, 15))

    (again,) = decision.openings
    assert again.expires_at is not None
    assert burning.last_valid_day(again.expires_at, MOSCOW) == date(2026, 5, 10)
    assert (again.root_key, book.lots[again.key].available) == ("old", 300)


@pytest.mark.parametrize(("ends", "again_ends"), [(moscow(2026, 12, 1), moscow(2026, 12, 1)), (None, None)])
def test_v17_points_that_end_later_or_never_keep_their_end(ends: datetime | None, again_ends: datetime | None) -> None:
    book = Book(NO_WELCOME)
    book.open_lot("old", 300, expires_at=ends)
    book.buy(1, whole_sum(100_000), at=moscow(2026, 3, 20), spend=300)

    (again,) = book.give_back(1, (1,), moscow(2026, 4, 10)).openings

    assert again.expires_at == again_ends


def test_v17_without_grace_returned_points_live_to_the_end_of_the_day() -> None:
    book = Book(replace(NO_WELCOME, refund=RefundRules(grace=Duration(0, "days"))))
    book.open_lot("old", 300, expires_at=moscow(2026, 3, 25))
    book.buy(1, whole_sum(100_000), at=moscow(2026, 3, 20), spend=300)

    (again,) = book.give_back(1, (1,), moscow(2026, 4, 10, 15)).openings

    assert again.expires_at == moscow(2026, 4, 11)


def test_v17_the_last_points_taken_come_back_first() -> None:
    book = Book(NO_WELCOME)
    for key, day in (("first", 10), ("second", 20), ("third", 30)):
        book.open_lot(key, 100, expires_at=moscow(2026, 6, day))
    book.buy(1, whole_sum(100_000), at=moscow(2026, 1, 20), spend=250)

    returned = []
    for share in (500, 800, 1_000):  # of the 750 roubles paid
        book.orders[1].shop_returned_kopecks = 75_000 * share // 1_000
        opened = book.converge(1, moscow(2026, 1, 21)).openings
        returned.append([(one.root_key, book.lots[one.key].available) for one in opened])

    assert returned == [
        [("third", 50), ("second", 75)],
        [("second", 25), ("first", 50)],
        [("first", 50)],
    ]


def test_v18_points_are_not_burnt_while_they_are_held_and_burn_on_release() -> None:
    book = Book(NO_WELCOME)
    book.open_lot("ending", 500, expires_at=moscow(2026, 2, 1))
    book.notify()
    book.hold(1, 500, at=moscow(2026, 1, 31, 23, 50))

    book.bring_up_to_date(moscow(2026, 2, 1, 0, 0))
    assert (book.balances, book.balance("expired")) == ({"reserved": 500}, 0)

    book.release(1, moscow(2026, 2, 1, 0, 20))
    assert (book.balances, book.balance("expired")) == ({}, 500)


def test_v18_a_hold_that_is_paid_after_the_last_day_is_still_good() -> None:
    book = Book(NO_WELCOME)
    book.open_lot("ending", 500, expires_at=moscow(2026, 2, 1))
    book.notify()
    book.hold(1, 500, at=moscow(2026, 1, 31, 23, 50))

    book.pay(1, 200_000)
    book.converge(1, moscow(2026, 2, 1, 0, 10))

    assert (book.balance("redeemed"), book.balance("expired")) == (500, 0)


@pytest.mark.parametrize(("without_notice", "expired"), [("postpone", 0), ("burn", 500)])
def test_v18_released_points_whose_owner_was_not_told_live_on_if_the_rules_say_so(
    without_notice: Literal["postpone", "burn"], expired: int
) -> None:
    rules = replace(NO_WELCOME, burn=BurnRules(without_notice=without_notice))
    book = Book(rules)
    book.open_lot("ending", 500, expires_at=moscow(2026, 2, 1))
    book.hold(1, 500, at=moscow(2026, 1, 31, 23, 50))

    book.release(1, moscow(2026, 2, 1, 0, 20))

    assert (book.balance("expired"), book.balance("available")) == (expired, 500 - expired)


def test_v19_of_two_spendings_of_500_from_700_one_is_refused_and_changes_nothing() -> None:
    book = Book(NO_WELCOME)
    book.open_lot("own", 700, expires_at=None)
    book.hold(1, 500, at=moscow(2026, 1, 20))

    with pytest.raises(NotEnoughPoints) as refusal:
        book.hold(2, 500, at=moscow(2026, 1, 20))

    assert (refusal.value.asked, refusal.value.available) == (500, 200)
    assert book.balances == {"available": 200, "reserved": 500}
    assert list(book.faults()) == []


def test_v20_one_payment_told_five_times_and_three_stage_hooks_in_any_order_earn_once() -> None:
    for stages in combinations(range(8), 3):
        book = Book(RULES)
        for number in range(8):
            if number in stages:
                book.stage(1, is_paid=True, price=499_000)
            else:
                book.pay(1, 499_000)
            book.converge(1)

        assert (book.points_of(1, "accrual"), book.points_of(1, "welcome")) == (499, 300), stages
        assert sorted(move for move, _ in book.moves(1)) == ["accrue", "activate", "welcome"], stages


def test_the_schedule_names_the_first_day_on_which_points_are_no_longer_valid() -> None:
    book = Book(NO_WELCOME)
    book.open_lot("may", 30, expires_at=moscow(2026, 5, 11))
    book.open_lot("may again", 20, expires_at=moscow(2026, 5, 11))
    book.open_lot("never", 5, expires_at=None)
    book.open_lot("april", 10, expires_at=moscow(2026, 4, 1))

    assert burning.schedule(book.lots.values(), MOSCOW) == [
        Burn(10, date(2026, 4, 1), moscow(2026, 4, 1)),
        Burn(50, date(2026, 5, 11), moscow(2026, 5, 11)),
        Burn(5, None, None),
    ]


def test_expiry_counts_from_the_day_of_activation() -> None:
    book = Book(RULES)
    book.pay(1, 499_000)

    base, welcome = book.converge(1, moscow(2026, 1, 10, 12)).openings

    assert (base.activates_at, base.expires_at) == (moscow(2026, 1, 24), moscow(2026, 7, 24))
    assert (welcome.activates_at, welcome.expires_at) == (moscow(2026, 1, 10, 12), moscow(2026, 3, 12))


def test_where_idle_points_end_the_end_counts_from_the_order() -> None:
    book = Book(replace(NO_WELCOME, accrual=replace(RULES.accrual, expire_idle=Duration(6, "months"))))
    book.pay(1, 499_000)

    (base,) = book.converge(1, moscow(2026, 1, 10, 12)).openings

    assert base.expires_at == moscow(2026, 7, 11)
