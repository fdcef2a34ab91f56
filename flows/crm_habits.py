"""When the CRM's customers are expected to buy again, told only where the owner wants it.

The guess is `loyalty/rhythm.py`. What was told is remembered, so that an unchanged guess costs no request.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

from connector.amocrm.customers import CustomerChange
from loyalty import calendar, rhythm
from storage import purchases

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from flows.runtime import Runtime
    from storage.members import Member

FIRST_GAP = timedelta(days=30)
"""The mode «periodicity» wants a date even of those who have no rhythm yet."""


@dataclass(frozen=True)
class Habit:
    """A member's buying. `expected` is None without a rhythm, or where the owner does not want it told."""

    member_id: int
    has_bought: bool
    expected: rhythm.Next | None
    told: str | None
    today: date
    timezone: str

    @property
    def text(self) -> str | None:
        return None if self.expected is None else f"{self.expected.on.isoformat()} {self.expected.kopecks}"

    def change(self, customer_id: int) -> CustomerChange:
        """Nothing but what is new."""
        if self.expected is None or self.text == self.told:
            return CustomerChange(customer_id)
        at = calendar.at_local(self.expected.on, time.min, self.timezone)
        return CustomerChange(customer_id, next_at=at, next_price_roubles=round(self.expected.kopecks / 100))

    def next_at(self, rt: Runtime) -> datetime:
        day = self.today + FIRST_GAP if self.expected is None else self.expected.on
        return calendar.at_local(day, time.min, rt.programme.timezone)


def of(rt: Runtime, present: Sequence[Member]) -> dict[int, Habit]:
    ids, zone = [member.id for member in present], rt.programme.timezone
    today = calendar.local_day(rt.now(), zone)
    with rt.db.begin() as tx:
        bought = purchases.bought(tx, ids, limit=rhythm.PURCHASES_MAX)
        told = purchases.pushed_next(tx, ids)
    found = {}
    for member_id in ids:
        days = [rhythm.Bought(calendar.local_day(at, zone), kopecks) for at, kopecks in bought.get(member_id, ())]
        expected = rhythm.expected(days, today=today) if rt.crm_names.next_purchase else None
        found[member_id] = Habit(member_id, bool(days), expected, told.get(member_id), today, zone)
    return found


def forget(rt: Runtime, habits: Sequence[Habit]) -> None:
    """Before a write: whoever comes after our death writes again."""
    with rt.db.begin() as tx:
        for one in habits:
            if one.text != one.told:
                purchases.save_next(tx, one.member_id, None)


def save(rt: Runtime, habits: Sequence[Habit]) -> None:
    with rt.db.begin() as tx:
        for one in habits:
            if one.text != one.told:
                purchases.save_next(tx, one.member_id, one.text)
