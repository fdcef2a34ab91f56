"""Russian numbers, plurals and dates as they stand on a card. Pure; knows nothing of cards.

Plural rules: CLDR, language ru, whole numbers only (points are integers).
"""

from __future__ import annotations

from datetime import date

PluralForms = tuple[str, str, str]
"""(one, few, many): балл, балла, баллов."""

NO_BREAK_SPACE = "\u00a0"
_MINUS = "\u2212"
_MONTHS = (
    "января",
    "февраля",
    "марта",
    "апреля",
    "мая",
    "июня",
    "июля",
    "августа",
    "сентября",
    "октября",
    "ноября",
    "декабря",
)


def plural(count: int, forms: PluralForms) -> str:
    """The form that goes with `count`: 1 балл, 2 балла, 5 баллов, 11 баллов, 21 балл."""
    one, few, many = forms
    tens, units = abs(count) % 100 // 10, abs(count) % 10
    if tens == 1 or units == 0 or units >= 5:
        return many
    return one if units == 1 else few


def thousands(number: int) -> str:
    """`1240` -> `1 240` with a no-break space, so that the number never falls apart at a line's end."""
    digits = f"{abs(number):,}".replace(",", NO_BREAK_SPACE)
    return f"{_MINUS}{digits}" if number < 0 else digits


def count_text(count: int, forms: PluralForms) -> str:
    """`1240` -> `1 240 баллов`."""
    return f"{thousands(count)}{NO_BREAK_SPACE}{plural(count, forms)}"


def full_date(day: date) -> str:
    """`28 марта 2026`."""
    return f"{day.day}{NO_BREAK_SPACE}{_MONTHS[day.month - 1]}{NO_BREAK_SPACE}{day.year}"


def short_date(day: date) -> str:
    """`28.03.2026`."""
    return f"{day.day:02}.{day.month:02}.{day.year:04}"
