"""Sums, shares, spans and instants as Russian text: one notation for every explanation.

Pure; what is said with them is `explain.py`, `statement.py` and `changes.py`. Plurals and dates are `wording.py`.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from loyalty.wording import NO_BREAK_SPACE, count_text, full_date, thousands

if TYPE_CHECKING:
    from loyalty.rules import Duration, DurationUnit
    from loyalty.wording import PluralForms

MEMBERS_AFFECTED: PluralForms = ("участника", "участника", "участников")
ORDERS: PluralForms = ("заказ", "заказа", "заказов")

_SPANS: dict[DurationUnit, PluralForms] = {
    "minutes": ("минута", "минуты", "минут"),
    "hours": ("час", "часа", "часов"),
    "days": ("день", "дня", "дней"),
    "months": ("месяц", "месяца", "месяцев"),
}
_MINUTE = timedelta(minutes=1)


def percent(bps: int) -> str:
    """Basis points as people write them: 1250 -> «12,5 %»."""
    return f"{_hundredths(bps)}{NO_BREAK_SPACE}%"


def times(bps: int) -> str:
    """A multiplier: 20000 -> «×2», 15000 -> «×1,5»."""
    return f"×{_hundredths(bps // 100)}"


def roubles(kopecks: int) -> str:
    """«5 400 ₽», «999,99 ₽»: kopecks only where there are some."""
    whole, rest = divmod(abs(kopecks), 100)
    sign = thousands(-1)[0] if kopecks < 0 else ""
    return f"{sign}{thousands(whole)}{f',{rest:02}' if rest else ''}{NO_BREAK_SPACE}₽"


def signed(points: int) -> str:
    """«+468», «−500», «0»."""
    return f"+{thousands(points)}" if points > 0 else thousands(points)


def span(duration: Duration) -> str:
    """«14 дней», «300 минут», «сразу»."""
    return "сразу" if duration.is_zero else count_text(duration.count, _SPANS[duration.unit])


def moment(instant: datetime, timezone: str) -> str:
    """«28 марта 2026», with the time of day unless it is the day's beginning."""
    local = instant.astimezone(ZoneInfo(timezone))
    day = full_date(local.date())
    return day if local.time() == time.min else f"{day}, {local:%H:%M}"


def available_from(activates_at: datetime, since: datetime, timezone: str) -> str:
    """When points given at `since` become available."""
    return "доступны сразу" if activates_at <= since else f"доступны с {moment(activates_at, timezone)}"


def valid_until(expires_at: datetime | None, timezone: str) -> str:
    """How long points are good. Expiry is an exclusive instant: at midnight, the last valid day is the one before."""
    if expires_at is None:
        return "без срока"
    if expires_at.astimezone(ZoneInfo(timezone)).time() == time.min:
        return f"действуют по {moment(_day_before(expires_at, timezone), timezone)}"
    return f"действуют до {moment(expires_at, timezone)}"


def ended(expires_at: datetime, timezone: str) -> str:
    """The same of points that are gone: «действовали по 28 марта 2026»."""
    return valid_until(expires_at, timezone).replace("действуют", "действовали", 1)


def _day_before(midnight: datetime, timezone: str) -> datetime:
    last = (midnight - _MINUTE).astimezone(ZoneInfo(timezone))
    return datetime.combine(last.date(), time.min, tzinfo=last.tzinfo)


def _hundredths(number: int) -> str:
    whole, rest = divmod(number, 100)
    return f"{whole}{f',{rest:02}'.rstrip('0') if rest else ''}"
