"""On which day a gift is given, to whom, and until when it lives."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyalty import gifts
from loyalty.rules import BirthdayGift, Duration, HolidayGift

MOSCOW = "Europe/Moscow"
GIFT = BirthdayGift(
    points=500, give_before=Duration(3, "days"), valid=Duration(7, "days"), known_for=Duration(7, "days")
)
LEAP_DAY = date(2000, 2, 29)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def moscow(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC) - timedelta(hours=3)


def birthday_gift(
    now: datetime, *, birthday: date = LEAP_DAY, known_since: datetime | None = LONG_AGO, gift: BirthdayGift = GIFT
) -> gifts.Occasion | None:
    return gifts.birthday_of(gift, birthday, known_since, timezone=MOSCOW, now=now)


def test_v21_29_february_is_celebrated_on_the_28th_of_2027_and_good_from_25_february_through_3_march() -> None:
    found = birthday_gift(moscow(2027, 2, 25, 0, 10))

    assert found is not None
    assert (found.day, found.points, found.title, found.rule) == (
        date(2027, 2, 28),
        500,
        "День рождения",
        "gifts.birthday",
    )
    assert (found.opens_at, found.ends_at) == (moscow(2027, 2, 25), moscow(2027, 3, 4))  # the end is exclusive
    assert found.key(12) == "gift:birthday:12:2027"


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (moscow(2027, 2, 24, 23, 59), None),
        (moscow(2027, 2, 25), moscow(2027, 3, 4)),
        (moscow(2027, 3, 1, 5), moscow(2027, 3, 4)),  # the job was days late: the same end
        (moscow(2027, 3, 3, 23, 59), moscow(2027, 3, 4)),
        (moscow(2027, 3, 4), None),
    ],
)
def test_v21_a_late_run_gives_what_an_early_one_would_have_given_and_after_the_window_nothing(
    now: datetime, expected: datetime | None
) -> None:
    found = birthday_gift(now)

    assert (None if found is None else found.ends_at) == expected


def test_v21_a_birthday_changed_five_days_before_is_too_late_for_this_year_and_good_for_the_next() -> None:
    changed = moscow(2027, 2, 23, 15)

    assert birthday_gift(moscow(2027, 2, 25, 1), known_since=changed) is None
    following = birthday_gift(moscow(2028, 2, 26, 1), known_since=changed)
    assert following is not None
    assert following.day == date(2028, 2, 29)


@pytest.mark.parametrize(("told_on", "is_given"), [(21, True), (22, False)])
def test_a_birthday_must_be_known_for_so_many_days(told_on: int, is_given: bool) -> None:
    found = birthday_gift(moscow(2027, 2, 25, 1), known_since=moscow(2027, 2, told_on, 23))

    assert (found is not None) == is_given


def test_a_birthday_told_on_its_very_day_counts_when_no_time_is_asked() -> None:
    gift = BirthdayGift(points=100)

    found = birthday_gift(
        moscow(2027, 6, 1, 12), birthday=date(1990, 6, 1), known_since=moscow(2027, 6, 1, 9), gift=gift
    )

    assert found is not None
    assert found.ends_at == moscow(2027, 7, 1)


def test_a_birthday_in_january_is_celebrated_in_december_under_the_year_of_the_birthday() -> None:
    found = birthday_gift(moscow(2026, 12, 30, 1), birthday=date(1990, 1, 2))

    assert found is not None
    assert (found.day, found.key(5)) == (date(2027, 1, 2), "gift:birthday:5:2027")


def test_who_is_looked_for_are_exactly_those_whose_gift_is_open() -> None:
    now = moscow(2027, 2, 25, 1)

    days = gifts.birthdays_open(GIFT, timezone=MOSCOW, now=now)

    assert days == [date(2027, 2, 28) - timedelta(days=back) for back in range(7)]
    assert gifts.born_on(date(2027, 2, 28)) == [(2, 28), (2, 29)]
    assert gifts.born_on(date(2028, 2, 28)) == [(2, 28)]


@settings(deadline=None, max_examples=40)
@given(
    birthday=st.dates(date(1930, 1, 1), date(2010, 12, 31)),
    start=st.dates(date(2025, 1, 1), date(2030, 12, 31)),
    before=st.integers(0, 40),
    valid=st.integers(1, 60),
)
def test_each_year_has_one_gift_and_the_search_finds_its_member(
    birthday: date, start: date, before: int, valid: int
) -> None:
    gift = BirthdayGift(points=1, give_before=Duration(before, "days"), valid=Duration(valid, "days"))
    noon = datetime(start.year, start.month, start.day, 9, tzinfo=UTC)

    keys = []
    for night in range(0, 366):
        now = noon + timedelta(days=night)
        found = gifts.birthday_of(gift, birthday, None, timezone=MOSCOW, now=now)
        if found is None:
            continue
        keys.append(found.key(1))
        days = gifts.birthdays_open(gift, timezone=MOSCOW, now=now)
        assert found.day in days
        assert (birthday.month, birthday.day) in gifts.born_on(found.day)
    assert len(set(keys)) <= 2  # a year may begin inside a gift's window
    assert keys == sorted(keys)


MARCH_8 = HolidayGift("8 Марта", "03-08", 200, Duration(10, "days"))


def holidays(now: datetime, *rules: HolidayGift) -> list[gifts.Occasion]:
    return gifts.holidays_open(rules, timezone=MOSCOW, now=now)


@pytest.mark.parametrize(
    ("now", "days"),
    [
        (moscow(2027, 3, 7, 23, 59), []),
        (moscow(2027, 3, 8), [date(2027, 3, 8)]),
        (moscow(2027, 3, 17, 23, 59), [date(2027, 3, 8)]),
        (moscow(2027, 3, 18), []),
        (moscow(2028, 3, 8), [date(2028, 3, 8)]),
    ],
)
def test_a_yearly_holiday_is_open_from_its_day_for_as_long_as_its_gift_lives(now: datetime, days: list[date]) -> None:
    assert [found.day for found in holidays(now, MARCH_8)] == days


def test_a_holiday_is_known_by_its_day_and_its_name() -> None:
    found = holidays(moscow(2027, 3, 9), MARCH_8)[0]

    assert found.key(7) == "gift:holiday:2027-03-08:8 Марта:7"
    assert (found.rule, found.ends_at) == ("gifts.holidays.8 Марта", moscow(2027, 3, 18))


def test_a_holiday_of_one_date_comes_once() -> None:
    jubilee = HolidayGift("Юбилей", "2027-05-20", 300, Duration(5, "days"))

    assert [found.day for found in holidays(moscow(2027, 5, 22), jubilee)] == [date(2027, 5, 20)]
    assert holidays(moscow(2028, 5, 22), jubilee) == []


def test_a_gift_of_new_year_goes_over_the_turn_of_the_year_under_the_old_year() -> None:
    new_year = HolidayGift("Новый год", "12-25", 300, Duration(20, "days"), ("vip",))

    found = holidays(moscow(2028, 1, 5), new_year)

    assert [(one.day, one.segments) for one in found] == [(date(2027, 12, 25), ("vip",))]


def test_a_holiday_on_29_february_is_kept_on_the_28th_of_a_common_year() -> None:
    leap = HolidayGift("Редкий день", "02-29", 10, Duration(1, "days"))

    assert [found.day for found in holidays(moscow(2027, 2, 28, 5), leap)] == [date(2027, 2, 28)]
    assert [found.day for found in holidays(moscow(2028, 2, 29, 5), leap)] == [date(2028, 2, 29)]
    assert holidays(moscow(2028, 2, 28, 5), leap) == []


def test_a_gift_of_hours_ends_within_its_day() -> None:
    happy_hours = HolidayGift("Утро", "03-08", 10, Duration(12, "hours"))

    assert holidays(moscow(2027, 3, 8, 11, 59), happy_hours)[0].ends_at == moscow(2027, 3, 8, 12)
    assert holidays(moscow(2027, 3, 8, 12), happy_hours) == []
