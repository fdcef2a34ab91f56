"""Dividing whole points over lines and over units: nothing is lost, nobody bears more than he can."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loyalty_strategies import THOROUGH

from loyalty.spreading import part_returned, spread, spread_within

weights = st.lists(st.integers(0, 1_000) | st.integers(0, 10**9), min_size=1, max_size=8)


@THOROUGH
@given(total=st.integers(0, 100_000), weights=weights)
def test_parts_sum_to_the_whole_and_differ_from_the_exact_share_by_less_than_one(
    total: int, weights: list[int]
) -> None:
    parts = spread(total, weights)

    whole = sum(weights)
    assert sum(parts) == (total if whole else 0)
    for part, weight in zip(parts, weights, strict=True):
        assert whole == 0 or abs(part - Fraction(total * weight, whole)) < 1
        assert weight > 0 or part == 0


@THOROUGH
@given(total=st.integers(0, 100_000), weights=weights)
def test_the_units_left_over_go_to_the_largest_remainders_and_of_equal_ones_to_the_lower_line(
    total: int, weights: list[int]
) -> None:
    whole = sum(weights)
    parts = spread(total, weights)

    rests = [Fraction(total * weight, whole) % 1 if whole else Fraction(0) for weight in weights]
    raised = [part - total * weight // whole if whole else 0 for part, weight in zip(parts, weights, strict=True)]
    for lower in range(len(parts)):
        for higher in range(len(parts)):
            if (rests[lower], -lower) > (rests[higher], -higher):
                assert raised[lower] >= raised[higher]


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (10, [3_333, 3_333, 3_334], [3, 3, 4]),
        (2, [1, 1, 1], [1, 1, 0]),
        (1, [0, 1, 1], [0, 1, 0]),
        (5, [0, 0], [0, 0]),
        (0, [1, 2], [0, 0]),
        (-3, [1, 2], [0, 0]),
        (7, [], []),
    ],
)
def test_known_divisions(total: int, weights: list[int], parts: list[int]) -> None:
    assert spread(total, weights) == parts


@THOROUGH
@given(total=st.integers(0, 5_000), lines=st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 800)), max_size=8))
def test_no_line_bears_more_than_its_room_and_what_fits_is_not_lost(total: int, lines: list[tuple[int, int]]) -> None:
    weights, room = [weight for weight, _ in lines], [space for _, space in lines]

    parts = spread_within(total, weights, room)

    assert all(0 <= part <= space for part, space in zip(parts, room, strict=True))
    assert all(part == 0 for part, weight in zip(parts, weights, strict=True) if weight == 0)
    assert sum(parts) == min(total, sum(space for weight, space in lines if weight > 0))


@THOROUGH
@given(total=st.integers(0, 5_000), weights=weights)
def test_with_room_enough_it_is_the_plain_division(total: int, weights: list[int]) -> None:
    assert spread_within(total, weights, [total] * len(weights)) == spread(total, weights)


def test_what_a_line_cannot_bear_is_spread_the_same_way_over_those_that_can() -> None:
    assert spread_within(100, [90, 5, 5], [40, 100, 100]) == [40, 30, 30]
    assert spread_within(100, [90, 6, 4], [40, 35, 100]) == [40, 35, 25]
    assert spread_within(100, [50, 50], [10, 20]) == [10, 20]


@THOROUGH
@given(data=st.data(), total=st.integers(0, 10_000), quantity=st.integers(1, 40))
def test_units_returned_in_any_portions_bring_back_the_whole_and_never_more(
    data: st.DataObject, total: int, quantity: int
) -> None:
    stops = sorted(data.draw(st.lists(st.integers(0, quantity), max_size=6)))

    portions = [
        part_returned(total, after, quantity) - part_returned(total, before, quantity)
        for before, after in zip([0, *stops], [*stops, quantity], strict=True)
    ]

    assert min(portions) >= 0
    assert sum(portions) == total


def test_units_beyond_the_quantity_bring_back_no_more() -> None:
    assert part_returned(100, 5, 3) == 100
