"""Money to points, segments, Russian words of numbers, and the lossless JSON form of a programme."""

from __future__ import annotations

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loyalty_book import RULES

from loyalty import money, segments, wording
from loyalty.programme import AccrualRules, Duration, PointWords, Programme, SegmentRule, WelcomeRules

FORMS = ("балл", "балла", "баллов")
START, REGULAR, FRIEND = (
    SegmentRule("start", "Стартовый", 1),
    SegmentRule("regular", "Постоянный", 3),
    SegmentRule("friend", "Друг", 10),
)

durations = st.builds(Duration, st.integers(0, 999), st.sampled_from(["minutes", "hours", "days", "months"]))
programmes = st.builds(
    Programme,
    name=st.text(max_size=20),
    timezone=st.sampled_from(["Europe/Moscow", "Asia/Kamchatka"]),
    accrual=st.builds(
        AccrualRules,
        rate_bps=st.integers(0, 10_000),
        earn_on=st.sampled_from([("payment",), ("stage",), ("payment", "stage")]),
        activate_after=durations,
        expire_after=st.none() | durations,
    ),
    point_value_kopecks=st.integers(1, 10_000),
    point_words=st.builds(PointWords, st.text(max_size=9), st.text(max_size=9), st.text(max_size=9)),
    welcome=st.none()
    | st.builds(
        WelcomeRules,
        points=st.integers(0, 1_000),
        with_base=st.booleans(),
        activate_after=durations,
        expire_after=st.none() | durations,
    ),
    segments=st.lists(
        st.builds(SegmentRule, st.text(max_size=9), st.text(max_size=9), st.integers(1, 9)), max_size=3
    ).map(tuple),
)


@given(programme=programmes)
def test_a_programme_survives_its_json_form(programme: Programme) -> None:
    assert Programme.from_data(json.loads(json.dumps(programme.to_data()))) == programme


def test_a_version_stored_before_a_field_existed_gets_its_default() -> None:
    data = json.loads(json.dumps(RULES.to_data()))
    for section, name in (("accrual", "activate_after"), ("accrual", "expire_after"), ("welcome", "with_base")):
        del data[section][name]
    del data["segments"]

    loaded = Programme.from_data(data)

    assert (loaded.accrual.activate_after.is_zero, loaded.accrual.expire_after) == (True, None)
    assert loaded.welcome == WelcomeRules(points=300, expire_after=Duration(60, "days"))
    assert loaded.segments == ()


@pytest.mark.parametrize("data", [{}, {"name": "x"}, {**RULES.to_data(), "point_words": {"some": "words"}}])
def test_data_that_is_no_programme_is_refused(data: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError)):
        Programme.from_data(data)


@pytest.mark.parametrize("rules", [(START, REGULAR, FRIEND), (FRIEND, START, REGULAR)])
@pytest.mark.parametrize(
    ("kept_orders", "expected"), [(0, None), (1, START), (2, START), (3, REGULAR), (9, REGULAR), (10, FRIEND)]
)
def test_a_member_is_in_the_last_segment_he_reached_whatever_their_order(
    rules: tuple[SegmentRule, ...], kept_orders: int, expected: SegmentRule | None
) -> None:
    assert segments.segment_for(kept_orders, rules) == expected


def test_a_segment_that_the_rules_dropped_is_found_no_more() -> None:
    assert segments.by_code("start", (START, REGULAR)) == START
    assert segments.by_code("vip", (START, REGULAR)) is None
    assert segments.by_code(None, (START,)) is None


@pytest.mark.parametrize(
    ("form", "numbers"),
    [
        ("балл", (1, 21, 101, 1_001, -1)),
        ("балла", (2, 3, 4, 22, 104, -2)),
        ("баллов", (0, 5, 9, 10, 11, 12, 14, 19, 20, 25, 111, 112, 1_011, -11)),
    ],
)
def test_the_word_goes_with_the_number(form: str, numbers: tuple[int, ...]) -> None:
    assert [wording.plural(number, FORMS) for number in numbers] == [form] * len(numbers)


@pytest.mark.parametrize(
    ("number", "expected"), [(0, "0"), (999, "999"), (1_240, "1\u00a0240"), (-1_234_567, "\u22121\u00a0234\u00a0567")]
)
def test_thousands_never_fall_apart_at_the_end_of_a_line(number: int, expected: str) -> None:
    assert wording.thousands(number) == expected


def test_a_count_is_written_with_its_word() -> None:
    assert wording.count_text(1_241, FORMS) == "1\u00a0241\u00a0балл"


def test_dates_are_written_the_russian_way() -> None:
    day = date(2026, 3, 8)

    assert (wording.full_date(day), wording.short_date(day)) == ("8\u00a0марта\u00a02026", "08.03.2026")


@given(base=st.integers(0, 10**12), rate=st.integers(0, 10_000), value=st.integers(1, 100_000))
def test_earned_points_are_the_greatest_whole_number_that_is_not_too_much(base: int, rate: int, value: int) -> None:
    points = money.earned_points(base, rate_bps=rate, point_value_kopecks=value)

    assert points * value * 10_000 <= base * rate < (points + 1) * value * 10_000


@pytest.mark.parametrize(("base", "rate", "value"), [(-1, 1, 1), (1, -1, 1), (1, 1, 0)])
def test_negative_money_rate_or_value_is_refused(base: int, rate: int, value: int) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        money.earned_points(base, rate_bps=rate, point_value_kopecks=value)
