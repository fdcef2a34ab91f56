"""The notations of single values."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import calendar_fields, fields
from config.contrast import contrast
from loyalty.programme import Duration


@given(st.integers(0, 10_000))
def test_percents_are_exact_basis_points(bps: int) -> None:
    text = f"{Decimal(bps) / 100}"

    assert fields.percent_bps(f"{text}%") == bps
    assert fields.percent_bps(f"{text.replace('.', ',')} %") == bps


@pytest.mark.parametrize("text", ["", "%", "-1%", "1e2%", "десять%", "١٠%", "10%%", "10.005%", "100.01%", "10", "nan%"])
def test_what_is_not_a_percent_is_refused(text: str) -> None:
    with pytest.raises(fields.FieldError):
        fields.percent_bps(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("14 days", Duration(14, "days")),
        ("14 дней", Duration(14, "days")),
        ("1 day", Duration(1, "days")),
        ("2 дня", Duration(2, "days")),
        ("300 minutes", Duration(300, "minutes")),
        ("30 мин.", Duration(30, "minutes")),
        ("6 months", Duration(6, "months")),
        ("1 час", Duration(1, "hours")),
    ],
)
def test_durations_have_units_in_both_languages(text: str, expected: Duration) -> None:
    assert fields.duration(text) == expected


@pytest.mark.parametrize(
    "text", ["14", "days", "-1 day", "1.5 days", "2 weeks", "99999999999 days", "4000 days", "1 d a"]
)
def test_what_is_not_a_duration_is_refused(text: str) -> None:
    with pytest.raises(fields.FieldError):
        fields.duration(text)


def test_never_means_that_points_do_not_burn() -> None:
    assert fields.lifetime("never") is None
    assert fields.lifetime("6 months") == Duration(6, "months")


@pytest.mark.parametrize(("text", "kopecks"), [("1 RUB", 100), ("0.5 руб.", 50), ("0,01 ₽", 1), ("10RUB", 1000)])
def test_money_becomes_kopecks(text: str, kopecks: int) -> None:
    assert fields.money_kopecks(text) == kopecks


@pytest.mark.parametrize("text", ["0 RUB", "1 USD", "1", "-1 RUB", "1.005 RUB", "99999999 RUB", ""])
def test_what_is_not_money_is_refused(text: str) -> None:
    with pytest.raises(fields.FieldError):
        fields.money_kopecks(text)


def test_a_large_sum_is_read_where_it_makes_sense() -> None:
    assert fields.money(10**11)("1000000000 RUB") == 10**11
    with pytest.raises(fields.FieldError):
        fields.money_kopecks("1000001 RUB")


@given(st.integers(101, 2_000))
def test_multipliers_are_exact_basis_points(hundredths: int) -> None:
    assert fields.times_bps(f"{Decimal(hundredths) / 100}") == hundredths * 100


@pytest.mark.parametrize("text", ["", "x", "1", "0", "-2", "20.01", "1.001", "2%", "два", "1e1", "٢", "2 раза"])
def test_what_does_not_multiply_is_refused(text: str) -> None:
    with pytest.raises(fields.FieldError):
        fields.times_bps(text)


@pytest.mark.parametrize("text", ["0 days", "1 month", "24 hours", "367 days", "7"])
def test_what_is_not_whole_days_is_refused(text: str) -> None:
    with pytest.raises(fields.FieldError):
        fields.whole_days(1, 366)(text)


def test_days_and_times_are_iso_text() -> None:
    assert calendar_fields.day("2026-03-08") == "2026-03-08"
    assert calendar_fields.yearly_or_day("02-29") == "02-29"
    assert calendar_fields.yearly_or_day("2028-02-29") == "2028-02-29"
    assert calendar_fields.clock_time("9:05") == "09:05"
    assert [calendar_fields.weekday(text) for text in ("mon", "Пн", "SUN", "вс")] == [0, 0, 6, 6]


@pytest.mark.parametrize(
    "text",
    ["", "02-30", "13-01", "2027-02-29", "8 марта", "08.03", "3-8", "20260308", "1999-01-01", "0000-01-01", "٠٣-٠٨"],
)
def test_what_is_not_a_day_is_refused(text: str) -> None:
    with pytest.raises(fields.FieldError):
        calendar_fields.yearly_or_day(text)
    with pytest.raises(fields.FieldError):
        calendar_fields.day(text)


@pytest.mark.parametrize("text", ["", "24:00", "12:60", "12", "1200", "12:0", "12:00:00", "-1:00", "١٢:٠٠"])
def test_what_is_not_a_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(fields.FieldError):
        calendar_fields.clock_time(text)


@pytest.mark.parametrize(
    "text", ["", "MSK", "Moscow", "UTC+3", "../../etc/passwd", "/etc/passwd", "Europe", "a" * 5000]
)
def test_what_is_not_a_time_zone_is_refused(text: str) -> None:
    with pytest.raises(fields.FieldError):
        fields.time_zone(text)


def test_contrast_is_that_of_the_web_guidelines() -> None:
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#16382C", "#FFFFFF") == pytest.approx(12.8, abs=0.05)
    assert contrast("#BFE3D0", "#16382C") == pytest.approx(9.2, abs=0.05)
