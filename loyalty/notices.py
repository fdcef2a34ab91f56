"""Notices before points end: which are due, what they say, and whether they came in time.

Owns when a member must be told. Points that end on one day are told of together, once per step («за 30, 7 и 1 день»);
a late look finds only the closest step. Source: specification of points, section 5.8, row 000-7, advantage 8.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, time, timedelta
from typing import TYPE_CHECKING

from loyalty import calendar
from loyalty.burning import last_valid_day
from loyalty.rules import Duration
from loyalty.wording import NO_BREAK_SPACE, count_text, full_date, thousands

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from loyalty.programme import Programme

TOLD_BEFORE = timedelta(hours=12)
"""A notice that came later than this before the end does not count: nobody shops at night."""

LADDER_WITHOUT_STEPS = Duration(30, "days")
"""How much longer untold points live when the rules name no step at all."""


@dataclass(frozen=True)
class Notice:
    """`points` end with the last valid day `burn_on`, the first of them at `burns_at`; told `step_days` before."""

    burn_on: date
    burns_at: datetime
    step_days: int
    points: int

    def key(self, member_id: int) -> str:
        return f"burn:{member_id}:{self.burn_on.isoformat()}:{self.step_days}"


@dataclass(frozen=True)
class Letter:
    """The subject has plain spaces: a header may hold no others."""

    subject: str
    body: str


def due(ending: Iterable[tuple[datetime, int]], programme: Programme, *, now: datetime) -> list[Notice]:
    """The notices that a member with these ends and available points should have by now, at most one for each day."""
    by_day: dict[date, list[tuple[datetime, int]]] = {}
    for expires_at, points in ending:
        if points > 0 and expires_at > now:
            by_day.setdefault(last_valid_day(expires_at, programme.timezone), []).append((expires_at, points))
    found = []
    for burn_on in sorted(by_day):
        points = sum(part for _, part in by_day[burn_on])
        step_days = _closest_step(burn_on, programme, now)
        if step_days is not None and points >= programme.burn.notify_from_points:
            found.append(Notice(burn_on, min(at for at, _ in by_day[burn_on]), step_days, points))
    return found


def horizon(programme: Programme, *, now: datetime) -> datetime:
    """Points that end later than this are no matter of any notice yet."""
    last_day = calendar.add_to_day(calendar.local_day(now, programme.timezone), ladder(programme))
    return calendar.start_of_day(last_day + timedelta(days=1), programme.timezone)


def ladder(programme: Programme) -> Duration:
    """The longest step: untold points live so much longer, so that every notice fits before their new end."""
    return max(programme.burn.notify_before, key=_days, default=LADDER_WITHOUT_STEPS)


def prolonged_until(programme: Programme, *, now: datetime) -> datetime:
    """The new end of points whose owner was not told: from the next time that notices go out, the longest step fits
    before their last valid day."""
    zone = programme.timezone
    first_day = calendar.local_day(now, zone)
    if now > calendar.at_local(first_day, notify_at(programme), zone):
        first_day += timedelta(days=1)
    last_valid = calendar.add_to_day(first_day, ladder(programme))
    return calendar.start_of_day(last_valid + timedelta(days=1), zone)


def send_at(notice: Notice, programme: Programme, *, now: datetime) -> datetime:
    """Not before the owner's time of day, unless the notice would come too late then."""
    today = calendar.local_day(now, programme.timezone)
    planned = calendar.at_local(today, notify_at(programme), programme.timezone)
    return planned if now < planned and is_told(notice.burns_at, sent_at=planned) else now


def is_told(burns_at: datetime, *, sent_at: datetime) -> bool:
    """Whether a notice sent then counts: points may burn only if it does."""
    return sent_at <= burns_at - TOLD_BEFORE


def day_bounds(burn_on: date, timezone: str) -> tuple[datetime, datetime]:
    """Points with this last valid day end after the first instant, and not after the second."""
    return calendar.start_of_day(burn_on, timezone), calendar.start_of_day(burn_on + timedelta(days=1), timezone)


def notify_at(programme: Programme) -> time:
    """The local time of day at which notices go out."""
    return time.fromisoformat(programme.burn.notify_at)


def letter(notice: Notice, programme: Programme, *, card_url: str) -> Letter:
    """What the buyer reads."""
    points = count_text(notice.points, programme.word_forms)
    day = full_date(notice.burn_on).rpartition(NO_BREAK_SPACE)[0]
    what = f"{points} {_burn_verb(notice.points)} {day}"
    sentences = [f"{what}."]
    if programme.redeem is not None:
        sentences.append(f"Хватит на скидку {_roubles(notice.points * programme.point_value_kopecks)}.")
    body = f"{' '.join(sentences)}\nПотратить их можно по {day} включительно.\n\nКарта и баланс: {card_url}\n"
    return Letter(what.replace(NO_BREAK_SPACE, " "), f"{body}\n{programme.name}\n")


def _closest_step(burn_on: date, programme: Programme, now: datetime) -> int | None:
    zone, clock = programme.timezone, notify_at(programme)
    days = (calendar.add_to_day(burn_on, replace(step, count=-step.count)) for step in programme.burn.notify_before)
    reached = [day for day in days if calendar.at_local(day, clock, zone) <= now]
    return (burn_on - max(reached)).days if reached else None


def _days(step: Duration) -> int:
    start = date(2000, 1, 1)
    return (calendar.add_to_day(start, step) - start).days


def _burn_verb(points: int) -> str:
    return "сгорит" if points % 10 == 1 and points % 100 != 11 else "сгорят"


def _roubles(kopecks: int) -> str:
    whole, rest = divmod(kopecks, 100)
    return f"{thousands(whole)}{f',{rest:02}' if rest else ''}{NO_BREAK_SPACE}₽"
