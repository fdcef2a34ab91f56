"""The worked examples of the specification of points (section 5.5) that concern what is built."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import permutations
from zoneinfo import ZoneInfo

import pytest
from loyalty_book import PAID_AT, RULES, Book, days

from loyalty import calendar, money
from loyalty.programme import Duration, Programme, WelcomeRules

MOSCOW = "Europe/Moscow"
INSTEAD = replace(RULES, welcome=WelcomeRules(points=300, with_base=False))
NO_WELCOME = replace(RULES, welcome=None)


def moscow(year: int, month: int, day: int, hour: int = 0) -> datetime:
    return datetime(year, month, day, hour, tzinfo=ZoneInfo(MOSCOW))


@pytest.mark.parametrize(("rules", "expected"), [(NO_WELCOME, 499), (RULES, 799), (INSTEAD, 300)])
def test_v01_a_payment_of_4990_earns_by_the_preset(rules: Programme, expected: int) -> None:
    book = Book(rules)

    book.pay(1, 499_000)
    book.converge(1)

    assert book.net == expected


@pytest.mark.parametrize(("kopecks", "expected"), [(99_999, 99), (999, 0), (1_000, 1)])
def test_v02_a_share_of_a_point_is_not_given(kopecks: int, expected: int) -> None:
    book = Book(NO_WELCOME)

    book.pay(1, kopecks)
    book.converge(1)

    assert book.net == expected


def test_v03_points_are_rounded_once_for_the_whole_order_not_per_line() -> None:
    lines = (3_333, 3_333, 3_334)

    whole_order = money.earned_points(sum(lines), rate_bps=1_000, point_value_kopecks=100)
    line_by_line = sum(money.earned_points(line, rate_bps=1_000, point_value_kopecks=100) for line in lines)

    assert (whole_order, line_by_line) == (10, 9)


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
    assert ends.astimezone(ZoneInfo(MOSCOW)) == datetime.combine(
        last_valid_day + days(1), datetime.min.time(), tzinfo=ZoneInfo(MOSCOW)
    )


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


def test_v14_points_of_an_order_become_available_when_their_day_begins() -> None:
    book = Book(RULES)
    book.pay(1, 499_000)
    book.converge(1, moscow(2026, 1, 10, 15))
    book.activate(moscow(2026, 1, 10, 15))
    assert (book.balance("pending"), book.balance("available")) == (499, 300)

    book.activate(moscow(2026, 1, 24) - days(1) / 86_400)
    assert book.balance("pending") == 499

    book.activate(moscow(2026, 1, 24))
    assert (book.balance("pending"), book.balance("available")) == (0, 799)


def test_v14_the_second_order_of_14_february_becomes_available_on_the_28th() -> None:
    paid_at = moscow(2026, 2, 14, 12)

    assert calendar.activation_at(paid_at, Duration(14, "days"), MOSCOW) == moscow(2026, 2, 28)


def test_v14_an_order_returned_after_activation_gives_its_points_back_to_the_last() -> None:
    book = Book(RULES)
    book.pay(1, 499_000)
    book.converge(1, moscow(2026, 1, 10))
    book.activate(moscow(2026, 1, 24))

    book.pay(1, 499_000, 499_000)
    book.converge(1, moscow(2026, 2, 16))

    assert {name: book.balance(name) for name in ("pending", "available", "debt")} == {
        "pending": 0,
        "available": 0,
        "debt": 0,
    }
    assert book.balance("reversed") == 799


def test_v20_one_payment_told_five_times_and_three_stage_hooks_in_any_order_earn_once() -> None:
    payment, stage = "payment", "stage"
    histories = {order for order in permutations([payment] * 5 + [stage] * 3)}

    for history in histories:
        book = Book(RULES)
        for fact in history:
            if fact == payment:
                book.pay(1, 499_000)
            else:
                book.stage(1, is_paid=True, price=499_000)
            book.converge(1)

        assert (book.points_of(1, "accrual"), book.points_of(1, "welcome")) == (499, 300), history
        assert sorted(transfer.move for transfer in book.transfers.values()) == ["accrue", "welcome"], history


def test_expiry_counts_from_the_day_of_activation() -> None:
    book = Book(RULES)
    book.pay(1, 499_000)
    decision = book.converge(1, PAID_AT)

    base, welcome = decision.openings

    assert (base.activates_at, base.expires_at) == (moscow(2026, 1, 24), moscow(2026, 7, 24))
    assert (welcome.activates_at, welcome.expires_at) == (datetime(2026, 1, 10, 9, tzinfo=UTC), moscow(2026, 3, 12))
