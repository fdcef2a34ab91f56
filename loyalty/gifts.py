"""Gifts of the calendar: on which days points are given, to whom, and until when they live.

Owns the days. A gift is open from its first day until it ends; whoever is found in that time gets the same points with
the same end, so a late run gives what an early one would have given. Source: specification of points, V21, and rows
003-6, 004-5 of the list of features.
"""

from __future__ import annotations

from calendar import isleap
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from loyalty import calendar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from loyalty.rules import BirthdayGift, Duration, HolidayGift

BIRTHDAY_TITLE = "День рождения"
BIRTHDAY_RULE = "gifts.birthday"
LOOK_BACK_DAYS = 366
"""A birthday is celebrated once a year, so a gift that lives longer is open no longer than this."""


@dataclass(frozen=True)
class Occasion:
    """One day's gift. `key_parts` stand before and after a member's id in the key of his lot: what was given once is
    not given again. `day` is the day celebrated; it is open within [opens_at, ends_at)."""

    key_parts: tuple[str, str]
    rule: str
    title: str
    points: int
    day: date
    opens_at: datetime
    ends_at: datetime
    segments: tuple[str, ...] = ()

    def key(self, member_id: int) -> str:
        before, after = self.key_parts
        return f"{before}{member_id}{after}"

    def is_open(self, now: datetime) -> bool:
        return self.opens_at <= now < self.ends_at


def celebrated_on(birthday: date, year: int) -> date:
    """The birthday in that year; 29 February is celebrated on the 28th of a common one."""
    if (birthday.month, birthday.day) == (2, 29) and not isleap(year):
        return date(year, 2, 28)
    return birthday.replace(year=year)


def birthday_of(
    gift: BirthdayGift, birthday: date, known_since: datetime | None, *, timezone: str, now: datetime
) -> Occasion | None:
    """What a member with this birthday is given now. None if no gift is open for him, or we learnt his birthday too
    late for it."""
    year = calendar.local_day(now, timezone).year
    for celebrated in (celebrated_on(birthday, year + ahead) for ahead in (1, 0, -1)):
        occasion = birthday_on(gift, celebrated, timezone)
        if occasion.is_open(now):
            return occasion if _known_in_time(gift, celebrated, known_since, timezone) else None
    return None


def birthdays_open(gift: BirthdayGift, *, timezone: str, now: datetime) -> list[date]:
    """The celebrated days whose gift is open now: where to look for members."""
    latest = calendar.add_to_day(calendar.local_day(now, timezone), gift.give_before)
    days = (latest - timedelta(days=back) for back in range(LOOK_BACK_DAYS))
    return [day for day in days if birthday_on(gift, day, timezone).is_open(now)]


def birthday_on(gift: BirthdayGift, celebrated: date, timezone: str) -> Occasion:
    """The gift for the birthdays celebrated on this day."""
    first_day = calendar.add_to_day(celebrated, replace(gift.give_before, count=-gift.give_before.count))
    return Occasion(
        key_parts=("gift:birthday:", f":{celebrated.year}"),
        rule=BIRTHDAY_RULE,
        title=BIRTHDAY_TITLE,
        points=gift.points,
        day=celebrated,
        opens_at=calendar.start_of_day(first_day, timezone),
        ends_at=_end(first_day, gift.valid, timezone),
    )


def born_on(celebrated: date) -> list[tuple[int, int]]:
    """Month and day of the birthdays celebrated on this day."""
    own = [(celebrated.month, celebrated.day)]
    return [*own, (2, 29)] if own == [(2, 28)] and not isleap(celebrated.year) else own


def holidays_open(holidays: Sequence[HolidayGift], *, timezone: str, now: datetime) -> list[Occasion]:
    """The holidays whose gift is open now, in the order of their days."""
    today = calendar.local_day(now, timezone)
    found = [
        occasion
        for holiday in holidays
        for occasion in (_holiday(holiday, day, timezone) for day in _days_of(holiday, today))
        if occasion.is_open(now)
    ]
    return sorted(found, key=lambda occasion: (occasion.day, occasion.title))


def renamed(
    old: Sequence[HolidayGift], new: Sequence[HolidayGift], *, timezone: str, now: datetime
) -> list[tuple[str, str]]:
    """Holidays whose day stays and whose name changes while the gift is open: the name is a part of the key by which
    it is known who has it already. Old and new names."""
    today = calendar.local_day(now, timezone)
    before = {(day, holiday.title) for holiday in old for day in _days_of(holiday, today)}
    after = {(day, holiday.title) for holiday in new for day in _days_of(holiday, today)}
    return [
        (left, occasion.title)
        for occasion in holidays_open(new, timezone=timezone, now=now)
        if (occasion.day, occasion.title) not in before
        for day, left in sorted(before - after)
        if day == occasion.day
    ]


def _known_in_time(gift: BirthdayGift, celebrated: date, known_since: datetime | None, timezone: str) -> bool:
    if known_since is None:
        return True
    return calendar.add_to_day(calendar.local_day(known_since, timezone), gift.known_for) <= celebrated


def _days_of(holiday: HolidayGift, today: date) -> Iterator[date]:
    """The days of a holiday whose gift may still be open: this year's and last year's, or its only one."""
    if len(holiday.date) == len("MM-DD"):
        month, day = (int(part) for part in holiday.date.split("-"))
        leap_day = date(2000, month, day)  # a leap year has every day there is
        yield from (celebrated_on(leap_day, year) for year in (today.year, today.year - 1))
    else:
        yield date.fromisoformat(holiday.date)


def _holiday(holiday: HolidayGift, day: date, timezone: str) -> Occasion:
    return Occasion(
        key_parts=(f"gift:holiday:{day.isoformat()}:{holiday.title}:", ""),
        rule=f"gifts.holidays.{holiday.title}",
        title=holiday.title,
        points=holiday.points,
        day=day,
        opens_at=calendar.start_of_day(day, timezone),
        ends_at=_end(day, holiday.valid, timezone),
        segments=holiday.segments,
    )


def _end(first_day: date, valid: Duration, timezone: str) -> datetime:
    """A gift's first day counts: 7 days from the 25th are good through the 31st."""
    begin = calendar.start_of_day(first_day, timezone)
    if valid.unit in ("minutes", "hours"):
        return calendar.activation_at(begin, valid, timezone)
    return calendar.start_of_day(calendar.add_to_day(first_day, valid), timezone)
