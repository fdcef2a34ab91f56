"""Points that end: what burns now, what is prolonged because its owner was not told, what will burn when.

Source: specification of points, sections 5.2 (expire) and 5.8; advantage 8, «no silent burn»; V10, V18.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from loyalty.account import Cause

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from loyalty.account import Account
    from loyalty.ledger import Lot
    from loyalty.programme import Programme


@dataclass(frozen=True)
class Burn:
    """`points` end together; `on` is the first day they are no longer valid, None: never."""

    points: int
    on: date | None
    at: datetime | None


def burns(lot: Lot, programme: Programme, *, now: datetime) -> bool:
    """Whether its available points end now: the last valid day is over and the owner was told, or need not be."""
    is_over = lot.available > 0 and lot.expires_at is not None and lot.expires_at <= now
    return is_over and (lot.notified_at is not None or programme.burn.without_notice == "burn")


def burn_due(account: Account, programme: Programme, *, now: datetime) -> None:
    """Burns every lot that is due. Reserved points of a lot wait for their hold."""
    for lot in list(account.lots.values()):
        if burns(lot, programme, now=now):
            key = f"expire:{lot.key}:{lot.expired}"
            cause = Cause(order_id=lot.order_id, rule=rule_of_expiry(lot))
            account.move("expire", lot.available, ("available", "expired"), key=key, cause=cause, lot=lot)


def schedule(lots: Iterable[Lot], timezone: str) -> list[Burn]:
    """When the available points end, soonest first, «never» last. The sum is the member's available balance."""
    by_instant: dict[datetime | None, int] = {}
    for lot in lots:
        if lot.available > 0:
            by_instant[lot.expires_at] = by_instant.get(lot.expires_at, 0) + lot.available
    zone = ZoneInfo(timezone)
    ordered = sorted(by_instant.items(), key=lambda item: (item[0] is None, item[0].timestamp() if item[0] else 0.0))
    return [Burn(points, None if at is None else at.astimezone(zone).date(), at) for at, points in ordered]


def last_valid_day(expires_at: datetime, timezone: str) -> date:
    """Expiry is an exclusive instant: the last valid day is the one before it."""
    return (expires_at - timedelta(microseconds=1)).astimezone(ZoneInfo(timezone)).date()


def rule_of_expiry(lot: Lot) -> str:
    """The path of the rule that set this lot's end."""
    return {
        "accrual": "accrual.expire_after",
        "welcome": "welcome.expire_after",
        "gift": "gifts",
        "action": "gifts.actions",
        "restored": "refund.grace",
        "manual": "adjustments.expire_after",
    }.get(lot.source, "burn")
