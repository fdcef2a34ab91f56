"""What a person types, as values: sums in roubles, instants. A mistake ends the command with the mend."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from cli.common import fail

ROUBLES_MAX = Decimal(10**10)
SIGNATURE_CHARS_MAX = 100
KEY_CHARS_MAX = 200
YEARS = (1970, 2200)


def shown_text(option: str, text: str, chars_max: int) -> str:
    """What others will read later, on a terminal too: without the spaces around it."""
    value = text.strip()
    if not value or len(value) > chars_max or not value.replace("\u00a0", " ").isprintable():
        fail(f"Значение {option} не годится", f"от 1 до {chars_max} печатных знаков в одну строку")
    return value


def kopecks(text: str) -> int:
    """«5400», «999,99» -> kopecks."""
    try:
        amount = Decimal(text.replace(",", ".").replace(" ", "").replace("\u00a0", ""))
    except InvalidOperation:
        fail(f"Не понимаю сумму {text!r}", "пишите рубли: 4990 или 999,99")
    if (
        not amount.is_finite()
        or amount < 0
        or amount > ROUBLES_MAX
        or amount * 100 != (amount * 100).to_integral_value()
    ):
        fail(f"Сумма {text!r} не годится", "от 0 до 10 млрд рублей, не мельче копейки")
    return int(amount * 100)


def instant(text: str, timezone: str) -> datetime:
    """«2026-01-10», «2026-01-10T12:00», with or without a zone; without one it is the programme's."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        fail(f"Не понимаю дату {text!r}", "пишите 2026-01-10 или 2026-01-10T12:00")
    if not YEARS[0] <= given.year <= YEARS[1]:
        fail(f"Год {given.year} не годится", f"от {YEARS[0]} до {YEARS[1]}")
    local = given if given.tzinfo else given.replace(tzinfo=ZoneInfo(timezone))
    return local.astimezone(UTC)
