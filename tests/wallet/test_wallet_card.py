"""The card as a value and its Russian words."""

from __future__ import annotations

from datetime import date

import pytest

from loyalty.wording import count_text, full_date, plural, short_date, thousands
from wallet.card import CardDesign, spaced_number
from wallet.errors import ColourError, DesignError

WORDS = ("балл", "балла", "баллов")


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        *[(n, "балл") for n in (1, 21, 101, 1001, -1)],
        *[(n, "балла") for n in (2, 3, 4, 22, 104, -3)],
        *[(n, "баллов") for n in (0, 5, 9, 10, 11, 12, 14, 19, 20, 111, 112, 214, 1000, -11)],
    ],
)
def test_points_take_the_russian_plural(count: int, expected: str) -> None:
    assert plural(count, WORDS) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0"), (999, "999"), (1240, "1\u00a0240"), (-1234567, "\u22121\u00a0234\u00a0567")],
)
def test_thousands_are_kept_together_by_a_no_break_space(number: int, expected: str) -> None:
    assert thousands(number) == expected


def test_a_count_reads_with_its_word() -> None:
    assert count_text(1241, WORDS) == "1\u00a0241\u00a0балл"


def test_dates_are_russian() -> None:
    day = date(2026, 3, 8)

    assert (full_date(day), short_date(day)) == ("8\u00a0марта\u00a02026", "08.03.2026")


@pytest.mark.parametrize(
    ("number", "expected"), [("7700012345", "77 0001 2345"), ("12345678", "1234 5678"), ("123", "123"), ("", "")]
)
def test_a_card_number_is_grouped_by_four_from_the_right(number: str, expected: str) -> None:
    assert spaced_number(number) == expected


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"background": "green"}, ColourError),
        ({"label": "#12345"}, ColourError),
        ({"text": "rgb(1, 2, 256)"}, ColourError),
        ({"notify_text": "Баланс изменился"}, DesignError),
        ({"barcode": "ean13"}, DesignError),
        ({"programme_name": "  "}, DesignError),
    ],
)
def test_a_wrong_design_is_refused(change: dict[str, str], error: type[Exception]) -> None:
    values = {"programme_name": "Клуб", "organization_name": "Магазин", "description": "Карта"}

    with pytest.raises(error):
        CardDesign(**{**values, **change})  # type: ignore[arg-type]


def test_a_design_does_not_change_when_the_callers_pictures_do() -> None:
    images = {"icon.png": b"1"}
    design = CardDesign("Клуб", "Магазин", "Карта", images=images)

    images["icon.png"] = b"2"

    assert design.images["icon.png"] == b"1"
