"""When points become spendable and when they end (specification of points, section 5.1, example V11).

Owns day arithmetic in the programme's time zone. Instants in and out are aware; days begin at the zone's midnight.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import replace
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
    return start_of_day(add_to_day(local_day(earned_at, timezone), delay), timezone)


def expiry_at(activated_at: datetime, lifetime: Duration | None, timezone: str) -> datetime | None:
    """First instant the points are no longer valid: the start of the day after the last valid one. None: never."""
    if lifetime is None:
        return None
    if lifetime.unit in ("minutes", "hours"):
        return activated_at + _real_time(lifetime)
    last_valid_day = add_to_day(local_day(activated_at, timezone), lifetime)
    return start_of_day(last_valid_day + timedelta(days=1), timezone)


def day_bounds(instant: datetime, timezone: str) -> tuple[datetime, datetime]:
    """Beginning of the local day that contains `instant`, and of the next one."""
    day = local_day(instant, timezone)
    return start_of_day(day, timezone), start_of_day(day + timedelta(days=1), timezone)


def ago(instant: datetime, span: Duration, timezone: str) -> datetime:
    """The instant from which a window of this length counts: days and months from the beginning of a local day."""
    if span.unit in ("minutes", "hours"):
        return instant - _real_time(span)
    return start_of_day(add_to_day(local_day(instant, timezone), replace(span, count=-span.count)), timezone)


def at_local(day: date, clock: time, timezone: str) -> datetime:
    """A local time of a local day."""
    return datetime.combine(day, clock, tzinfo=ZoneInfo(timezone)).astimezone(UTC)


def _real_time(duration: Duration) -> timedelta:
    return timedelta(minutes=duration.count) if duration.unit == "minutes" else timedelta(hours=duration.count)


def local_day(instant: datetime, timezone: str) -> date:
    """The day it is in the programme's zone."""
    return instant.astimezone(ZoneInfo(timezone)).date()


def start_of_day(day: date, timezone: str) -> datetime:
    """Midnight of the programme's zone."""
    return datetime.combine(day, time.min, tzinfo=ZoneInfo(timezone)).astimezone(UTC)


def add_to_day(day: date, duration: Duration) -> date:
    """Days or months later; months clamp to the end of the month (V11). A negative count goes back."""
    if duration.unit == "days":
        return day + timedelta(days=duration.count)
    months = day.year * 12 + day.month - 1 + duration.count
    year, month = divmod(months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
