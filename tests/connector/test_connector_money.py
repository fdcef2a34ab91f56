from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.errors import BadMoney
from connector.money import MAX_KOPECKS, kopecks_from_int, kopecks_from_roubles


@pytest.mark.parametrize(
    ("value", "kopecks"),
    [
        ("990.000000", 99000),
        ("10.5", 1050),
        ("250.0", 25000),
        ("0.00", 0),
        ("0", 0),
        (250, 25000),
        (Decimal("2490.00"), 249000),
        (Decimal("250.0"), 25000),
        ("10000000000.00", MAX_KOPECKS),
    ],
)
def test_roubles_become_exact_kopecks(value: object, kopecks: int) -> None:
    assert kopecks_from_roubles(value) == kopecks


@pytest.mark.parametrize(
    "value",
    [
        *[
            "1.005",
            "-1",
            "+1",
            "1e3",
            "1,50",
            "",
            ".5",
            "5.",
            " 1",
            "1\n",
            "NaN",
            "Infinity",
            "٣",
            "²",
            "0x10",
            "1_000",
        ],
        *[True, False, None, 1.5, b"1", ["1"], -1, 10**13, pytest.param(10**5000, id="huge")],
        *[Decimal("1E+3"), Decimal("1.005"), Decimal("NaN"), Decimal("-Infinity"), Decimal("1e999999")],
        *["10000000000.01", "99999999999"],
    ],
)
def test_anything_else_is_no_amount_in_roubles(value: object) -> None:
    with pytest.raises(BadMoney):
        kopecks_from_roubles(value)


@pytest.mark.parametrize(("value", "kopecks"), [(9855, 9855), ("9855", 9855), (0, 0), (MAX_KOPECKS, MAX_KOPECKS)])
def test_whole_kopecks_are_taken_as_they_are(value: object, kopecks: int) -> None:
    assert kopecks_from_int(value) == kopecks


@pytest.mark.parametrize(
    "value",
    [
        True,
        None,
        1.0,
        "1.0",
        "100.5",
        "1e3",
        "-1",
        -1,
        "",
        "²",
        "1\n",
        Decimal(5),
        10**12 + 1,
        pytest.param("9" * 5000, id="huge"),
        [1],
    ],
)
def test_anything_else_is_no_amount_in_kopecks(value: object) -> None:
    with pytest.raises(BadMoney):
        kopecks_from_int(value)


@given(st.integers(0, MAX_KOPECKS))
def test_every_amount_survives_the_way_through_roubles(kopecks: int) -> None:
    text = f"{kopecks // 100}.{kopecks % 100:02d}"

    assert kopecks_from_roubles(text) == kopecks
    assert kopecks_from_roubles(Decimal(text)) == kopecks
