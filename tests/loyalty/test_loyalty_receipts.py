"""Lines of a receipt: sums exact, no unit below a kopeck, order kept, what may not be reduced untouched."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from loyalty_strategies import THOROUGH

from loyalty.receipts import (
    LINES_MAX,
    NAME_CHARS_MAX,
    QUANTITY_MAX,
    BadReceipt,
    CannotReduce,
    Line,
    ReceiptLine,
    reduced,
    with_spread,
)

kinds = st.sampled_from(["goods", "goods", "service", "delivery"])
sums = st.integers(0, 30) | st.integers(0, 2_000_000)
some_lines = st.lists(
    st.builds(Line, st.just("Товар"), st.integers(1, 7), sums, kinds, st.booleans()), min_size=1, max_size=8
).map(
    lambda lines: [Line(f"Товар {n}", x.quantity, x.sum_kopecks, x.kind, x.may_be_reduced) for n, x in enumerate(lines)]
)


def _total(receipt: tuple[ReceiptLine, ...]) -> int:
    return sum(line.sum_kopecks for line in receipt)


def _by_name(receipt: tuple[ReceiptLine, ...]) -> dict[str, int]:
    return {
        name: sum(line.sum_kopecks for line in group) for name, group in groupby(receipt, key=lambda line: line.name)
    }


def _holds(lines: list[Line], receipt: tuple[ReceiptLine, ...], amount: int) -> None:
    """What is true of every receipt."""
    paid = _by_name(receipt)
    assert _total(receipt) == amount
    assert all(line.unit_kopecks >= 1 for line in receipt)
    assert list(paid) == [line.name for line in lines if line.sum_kopecks > 0]
    for line in lines:
        own = [one for one in receipt if one.name == line.name]
        assert sum(one.quantity for one in own) == (line.quantity if line.sum_kopecks else 0)
        assert {one.kind for one in own} <= {line.kind}
        assert len(own) <= 2
        assert paid.get(line.name, 0) <= line.sum_kopecks
        if not line.may_be_reduced:
            assert paid.get(line.name, 0) == line.sum_kopecks


def _assume_sound(lines: list[Line]) -> int:
    """The sum of lines that make a receipt by themselves."""
    assume(all(line.sum_kopecks == 0 or line.sum_kopecks >= line.quantity for line in lines))
    total = sum(line.sum_kopecks for line in lines)
    assume(total > 0)
    return total


@THOROUGH
@given(lines=some_lines, share=st.integers(0, 100))
@example(lines=[Line("Товар 0", 3, 4)], share=100)
@example(lines=[Line("Товар 0", 1, 2), Line("Товар 1", 1, 1_000_000)], share=100)
def test_a_lower_sum_is_spread_to_the_kopeck(lines: list[Line], share: int) -> None:
    total = _assume_sound(lines)
    room = sum(line.room_kopecks for line in lines)
    discount = room * share // 100

    receipt = reduced(lines, total - discount)

    _holds(lines, receipt, total - discount)


@THOROUGH
@given(lines=some_lines, beyond=st.integers(1, 1000))
def test_more_than_the_lines_can_bear_is_refused(lines: list[Line], beyond: int) -> None:
    total = _assume_sound(lines)
    room = sum(line.room_kopecks for line in lines)

    with pytest.raises(CannotReduce):
        reduced(lines, total - room - beyond)


@THOROUGH
@given(lines=some_lines, data=st.data())
def test_a_known_spread_is_kept_where_the_lines_can_bear_it(lines: list[Line], data: st.DataObject) -> None:
    total = _assume_sound(lines)
    spread = [data.draw(st.integers(0, line.room_kopecks)) for line in lines]

    receipt = with_spread(lines, spread)

    _holds(lines, receipt, total - sum(spread))
    paid = _by_name(receipt)
    for line, part in zip(lines, spread, strict=True):
        assert paid.get(line.name, 0) == line.sum_kopecks - part


@THOROUGH
@given(lines=some_lines, data=st.data())
def test_what_a_line_cannot_bear_moves_to_others_or_is_refused(lines: list[Line], data: st.DataObject) -> None:
    total = _assume_sound(lines)
    spread = [data.draw(st.integers(0, line.sum_kopecks)) if line.may_be_reduced else 0 for line in lines]
    room = sum(line.room_kopecks for line in lines)

    if sum(spread) > room:
        with pytest.raises(CannotReduce):
            with_spread(lines, spread)
    else:
        _holds(lines, with_spread(lines, spread), total - sum(spread))


@THOROUGH
@given(lines=some_lines, share=st.integers(0, 100))
def test_delivery_bears_nothing_while_others_can(lines: list[Line], share: int) -> None:
    total = _assume_sound(lines)
    discount = sum(line.room_kopecks for line in lines if line.kind != "delivery") * share // 100

    paid = _by_name(reduced(lines, total - discount))

    assert all(paid.get(line.name, 0) == line.sum_kopecks for line in lines if line.kind == "delivery")


@pytest.mark.parametrize(
    ("lines", "amount", "expected"),
    [
        ([Line("Лыжи", 1, 299_000)], 200_000, [("Лыжи", 1, 200_000)]),
        ([Line("Мазь", 3, 1_000)], 1_000, [("Мазь", 2, 333), ("Мазь", 1, 334)]),
        ([Line("Мазь", 3, 1_000)], 900, [("Мазь", 3, 300)]),
        (
            [Line("Лыжи", 1, 100_000), Line("Палки", 2, 50_000), Line("Доставка", 1, 35_000, "delivery")],
            155_000,
            [("Лыжи", 1, 80_000), ("Палки", 2, 20_000), ("Доставка", 1, 35_000)],
        ),
        (
            [Line("Доставка", 1, 100, "delivery"), Line("Лыжи", 1, 50)],
            51,
            [("Доставка", 1, 50), ("Лыжи", 1, 1)],
        ),
        (
            [Line("Карта", 1, 50_000, "goods", may_be_reduced=False), Line("Лыжи", 1, 50_000)],
            50_001,
            [("Карта", 1, 50_000), ("Лыжи", 1, 1)],
        ),
        ([Line("Подарок", 1, 0), Line("Лыжи", 1, 500)], 400, [("Лыжи", 1, 400)]),
    ],
)
def test_known_receipts(lines: list[Line], amount: int, expected: list[tuple[str, int, int]]) -> None:
    receipt = reduced(lines, amount)

    assert [(line.name, line.quantity, line.unit_kopecks) for line in receipt] == expected


def test_a_line_paid_wholly_with_points_keeps_a_kopeck_for_each_unit_and_others_bear_the_rest() -> None:
    receipt = with_spread([Line("Мазь", 2, 600), Line("Лыжи", 1, 100_000)], [600, 10_000])

    assert [(line.unit_kopecks, line.quantity) for line in receipt] == [(1, 2), (89_998, 1)]


@pytest.mark.parametrize(
    ("lines", "amount"),
    [
        ([Line("Лыжи", 1, 100)], 101),
        ([], 0),
        ([Line("Подарок", 1, 0)], 0),
        ([Line("Крошка", 5, 3)], 3),
        ([Line("Товар", 1, 100)] * (LINES_MAX + 1), 100 * (LINES_MAX + 1)),
        ([Line("Товар", 2, 101)] * (LINES_MAX // 2 + 1), 101 * (LINES_MAX // 2 + 1)),
    ],
)
def test_what_makes_no_receipt_is_refused_in_words(lines: list[Line], amount: int) -> None:
    with pytest.raises(BadReceipt, match=r"\. [А-Я]"):
        reduced(lines, amount)


@pytest.mark.parametrize("spread", [[1], [-1, 0], [0, 1], [1, 2, 3]])
def test_a_spread_that_does_not_fit_the_lines_is_refused(spread: list[int]) -> None:
    with pytest.raises(BadReceipt):
        with_spread([Line("Лыжи", 1, 100), Line("Карта", 1, 100, may_be_reduced=False)], spread)


@pytest.mark.parametrize(
    ("name", "quantity", "kopecks"), [(" ", 1, 1), ("Лыжи", 0, 1), ("Лыжи", QUANTITY_MAX + 1, 10**9), ("Лыжи", 1, -1)]
)
def test_a_line_that_cannot_be_is_refused(name: str, quantity: int, kopecks: int) -> None:
    with pytest.raises(BadReceipt):
        Line(name, quantity, kopecks)


@pytest.mark.parametrize(
    ("name", "quantity", "unit"), [("", 1, 1), ("я" * 129, 1, 1), ("Лыжи", 0, 1), ("Лыжи", 1, 0), ("Лыжи", 100_000, 1)]
)
def test_a_receipt_line_that_cannot_be_is_refused(name: str, quantity: int, unit: int) -> None:
    with pytest.raises(BadReceipt):
        ReceiptLine(name, quantity, unit, "goods")


def test_a_long_name_is_cut() -> None:
    [line] = reduced([Line("я" * 500, 1, 100)], 100)

    assert line.name == "я" * NAME_CHARS_MAX
