"""V24: the order in which rules stand in the file never changes a result."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st
from loyalty_book import PAID_AT, RULES, Book, days
from loyalty_strategies import QUICK, SEGMENTS, THOROUGH, baskets, instants, programmes, segment_rules, shuffled

from loyalty import segments
from loyalty.basket import Basket, Line
from loyalty.checkout import checkout
from loyalty.programme import Duration, Programme, SegmentRule
from loyalty.rules import MethodRate, Multiplier, RateStep, SegmentPolicy
from loyalty.segments import Purchases, Standing

segment_codes = st.sampled_from([None, *SEGMENTS])
policies = st.builds(
    SegmentPolicy,
    window=st.sampled_from([None, Duration(365, "days")]),
    match=st.sampled_from(["any", "all"]),
    downgrade=st.sampled_from(["never", "after_window"]),
    grace=st.sampled_from([Duration(0, "days"), Duration(30, "days")]),
)


@THOROUGH
@given(
    data=st.data(),
    programme=programmes,
    basket=baskets(),
    spend=st.integers(0, 20_000),
    segment=segment_codes,
    at=instants,
)
def test_v24_a_shuffled_rules_file_gives_the_same_checkout(
    data: st.DataObject, programme: Programme, basket: Basket, spend: int, segment: str | None, at: datetime
) -> None:
    mixed = data.draw(st.composite(shuffled)(programme))

    plain, other = (
        checkout(rules, basket, segment_code=segment, balance=15_000, requested=spend, at=at)
        for rules in (programme, mixed)
    )

    titles = [[one.title for one in answer.earned.multipliers] for answer in (plain, other)]
    assert titles[0] == titles[1]
    assert replace(other, earned=replace(other.earned, multipliers=plain.earned.multipliers)) == plain


@THOROUGH
@given(
    data=st.data(),
    rules=st.lists(segment_rules, max_size=3, unique_by=lambda rule: rule.code),
    policy=policies,
    bought=st.builds(Purchases, st.integers(0, 8), st.integers(0, 4_000_000)),
    now_in=st.builds(Standing, segment_codes, st.sampled_from([None, PAID_AT - days(1), PAID_AT + days(9)])),
    manual=segment_codes,
)
def test_v24_shuffled_segments_leave_the_member_where_he_stands(
    data: st.DataObject,
    rules: list[SegmentRule],
    policy: SegmentPolicy,
    bought: Purchases,
    now_in: Standing,
    manual: str | None,
) -> None:
    def stand(rules: list[SegmentRule]) -> Standing:
        return segments.standing(
            now_in, bought, manual_code=manual, rules=rules, policy=policy, timezone="Europe/Moscow", now=PAID_AT
        )

    assert stand(data.draw(st.permutations(rules))) == stand(rules)


@QUICK
@given(data=st.data(), programme=programmes, bought=st.lists(st.tuples(baskets(), st.integers(0, 9_000)), max_size=3))
def test_v24_a_shuffled_rules_file_posts_the_same_points(
    data: st.DataObject, programme: Programme, bought: list[tuple[Basket, int]]
) -> None:
    books = [Book(rules, segment_code="vip") for rules in (programme, data.draw(st.composite(shuffled)(programme)))]

    for book in books:
        for number, (basket, spend) in enumerate(bought, start=1):
            book.buy(number, basket, at=PAID_AT + timedelta(days=20 * number), spend=spend)
        for number, (basket, _) in enumerate(bought, start=1):
            book.give_back(number, (basket.lines[0].qty,), PAID_AT + days(100))

    assert list(books[0].transfers.values()) == list(books[1].transfers.values())
    assert books[0].lots == books[1].lots


def test_v24_every_order_of_three_multipliers_two_steps_and_two_ways_of_paying() -> None:
    raised = (
        Multiplier("Выходные", 20_000, weekdays=(5, 6)),
        Multiplier("Лыжи", 15_000, categories=("skis",)),
        Multiplier("Карта", 30_000, group="card"),
    )
    steps = (RateStep(100_000, 300), RateStep(300_000, 500))
    methods = (MethodRate("cash", 700), MethodRate("credit", 0))
    basket = Basket((Line(250_000, category="skis"), Line(150_000)))
    saturday = PAID_AT

    for some_raised in permutations(raised):
        for some_steps in permutations(steps):
            for some_methods in permutations(methods):
                accrual = replace(
                    RULES.accrual, rate_bps=100, multipliers=some_raised, steps=some_steps, by_method=some_methods
                )
                answer = checkout(
                    replace(RULES, accrual=accrual),
                    basket,
                    segment_code=None,
                    balance=0,
                    requested=0,
                    at=saturday,
                )

                # 5 % of 4 000 roubles, times 2 (the best of the first group) and times 3 (the other group).
                assert (answer.earned.total, answer.earned.points) == (1_200, (750, 450))
                assert [one.title for one in answer.earned.multipliers] == ["Выходные", "Карта"]
