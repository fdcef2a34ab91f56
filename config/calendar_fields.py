"""Text of one value into a day, a yearly day, a time of day or a weekday.

Owns the notations of the calendar an owner may use. Like `fields.py`: pure functions of the text that raise
`FieldError` with a cure. Results are ISO text, because a rule means the day in the programme's zone, not an instant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date

from config.fields import FieldError, closest
from config.masking import quote

YEARS = (2000, 2200)
LEAP_YEAR = 2000  # a yearly day is right when it exists in a leap year: 29 February does
WEEKDAYS: Mapping[str, int] = {
    word: number
    for number, words in enumerate(("mon пн", "tue вт", "wed ср", "thu чт", "fri пт", "sat сб", "sun вс"))
    for word in words.split()
}

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_YEARLY = re.compile(r"[0-9]{2}-[0-9]{2}")
_RUSSIAN_DAY = re.compile(r"([0-9]{1,2})\.([0-9]{1,2})(?:\.([0-9]{4}))?")
_CLOCK_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})")


def day(text: str) -> str:
    """«2026-03-08»."""
    if not _DAY.fullmatch(text):
        raise FieldError("date", f"{quote(text)} не похоже на дату", _iso_fix(text, "2026-03-08"))
    return _existing(text, text)


def yearly_or_day(text: str) -> str:
    """«03-08» every year, or one «2026-03-08»."""
    if _YEARLY.fullmatch(text):
        _existing(f"{LEAP_YEAR}-{text}", text)
        return text
    if not _DAY.fullmatch(text):
        message = f"{quote(text)} не похоже на дату: сначала месяц, потом день"
        raise FieldError("date", message, _iso_fix(text, "03-08"))
    return _existing(text, text)


def clock_time(text: str) -> str:
    """«9:00» → «09:00»."""
    found = _CLOCK_TIME.fullmatch(text)
    if not found or int(found[1]) > 23 or int(found[2]) > 59:
        raise FieldError("time", f"{quote(text)} не похоже на время суток", 'напишите, например, "12:00"')
    return f"{int(found[1]):02}:{found[2]}"


def weekday(text: str) -> int:
    """«sat» or «сб» → 5; Monday is 0."""
    number = WEEKDAYS.get(text.casefold())
    if number is None:
        near = closest(text, WEEKDAYS)
        fix = f"возможно, {near}?" if near else "напишите mon, tue, wed, thu, fri, sat, sun или пн … вс"
        raise FieldError("weekday", f"нет дня недели {quote(text)}", fix)
    return number


def _existing(text: str, written: str) -> str:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise FieldError("date", f"дня {quote(written)} не бывает", "проверьте месяц и число") from None
    if not YEARS[0] <= found.year <= YEARS[1]:
        raise FieldError("date", f"год {found.year} вне пределов", f"напишите год от {YEARS[0]} до {YEARS[1]}")
    return written


def _iso_fix(text: str, example: str) -> str:
    """A day written the Russian way is told in ours."""
    found = _RUSSIAN_DAY.fullmatch(text)
    if found is None or not (found[3] or _YEARLY.fullmatch(example)):
        return f"напишите, например, {example}"
    year = f"{found[3]}-" if found[3] else ""
    return f"напишите {year}{int(found[2]):02}-{int(found[1]):02}"
