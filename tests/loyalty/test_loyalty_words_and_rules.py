"""Russian words of numbers, and the lossless JSON form of a programme."""

from __future__ import annotations

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loyalty_book import RULES
from loyalty_strategies import QUICK

from loyalty import wording
from loyalty.programme import Duration, Programme, WelcomeRules
from loyalty.rules import BurnRules, GiftRules, Limits, RefundRules, SegmentPolicy

FORMS = ("балл", "балла", "баллов")


@QUICK
@given(programme=st.from_type(Programme))
def test_any_programme_survives_its_json_form(programme: Programme) -> None:
    """Hypothesis fills every field by its annotation, so a rule added later is tried too."""
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


def test_a_version_stored_before_points_could_be_spent_has_rules_for_nothing_else() -> None:
    data = json.loads(json.dumps(RULES.to_data()))
    for section in ("redeem", "refund", "burn", "gifts", "segment_policy", "limits", "adjustments"):
        del data[section]

    loaded = Programme.from_data(data)

    assert (loaded.redeem, loaded.refund, loaded.burn) == (None, RefundRules(), BurnRules())
    assert (loaded.gifts, loaded.segment_policy, loaded.limits) == (GiftRules(), SegmentPolicy(), Limits())


@pytest.mark.parametrize("data", [{}, {"name": "x"}, {**RULES.to_data(), "point_words": {"some": "words"}}])
def test_data_that_is_no_programme_is_refused(data: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError)):
        Programme.from_data(data)


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
