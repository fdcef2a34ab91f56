"""When points become spendable and when they end (specification of points, section 5.1, example V11).

Owns day arithmetic in the programme's time zone. Instants in and out are aware; days begin at the zone's midnight.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from loyalty.programme import Duration


def activation_at(earned_at: datetime, delay: Duration, timezone: str) -> datetime:
    """Instant the points become available: at once, after real minutes/hours, or at the start of the day + N."""
    if delay.is_zero:
        return earned_at
    if delay.unit in ("minutes", "hours"):
        return earned_at + _real_time(delay)
    return _start_of_day(_add_days(_local_day(earned_at, timezone), delay), timezone)


def expiry_at(activated_at: datetime, lifetime: Duration | None, timezone: str) -> datetime | None:
    """First instant the points are no longer valid: the start of the day after the last valid one. None: never."""
    if lifetime is None:
        return None
    if lifetime.unit in ("minutes", "hours"):
        return activated_at + _real_time(lifetime)
    last_valid_day = _add_days(_local_day(activated_at, timezone), lifetime)
    return _start_of_day(last_valid_day + timedelta(days=1), timezone)


def _real_time(duration: Duration) -> timedelta:
    return timedelta(minutes=duration.count) if duration.unit == "minutes" else timedelta(hours=duration.count)


def _local_day(instant: datetime, timezone: str) -> date:
    return instant.astimezone(ZoneInfo(timezone)).date()


def _start_of_day(day: date, timezone: str) -> datetime:
    return datetime.combine(day, time.min, tzinfo=ZoneInfo(timezone)).astimezone(UTC)


def _add_days(day: date, duration: Duration) -> date:
    if duration.unit == "days":
        return day + timedelta(days=duration.count)
    months = day.year * 12 + day.month - 1 + duration.count
    year, month = divmod(months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
