"""Opening a lot: pending points with their own activation and end.

Owns the dates of a lot. Points without a delay are made available by the same decision (`activation.activate_due`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loyalty import calendar
from loyalty.ledger import LotOpening
from loyalty.rules import NO_DELAY

if TYPE_CHECKING:
    from datetime import datetime

    from loyalty.account import Account, Cause
    from loyalty.ledger import LotSource, Move, ProgrammeAccount
    from loyalty.rules import Duration


@dataclass(frozen=True)
class Grant:
    """`key` names the lot and its first transfer: what was granted once is not granted again. Without `expires_at` the
    points live `lifetime` from their activation."""

    key: str
    source: LotSource
    move: Move
    points: int
    at: datetime
    delay: Duration = NO_DELAY
    lifetime: Duration | None = None
    expires_at: datetime | None = None
    title: str | None = None
    debit: ProgrammeAccount = "issued"


def grant(account: Account, plan: Grant, *, timezone: str, rules_version: str, cause: Cause) -> None:
    """Adds the points as one pending lot."""
    activates_at = calendar.activation_at(plan.at, plan.delay, timezone)
    opening = LotOpening(
        key=plan.key,
        source=plan.source,
        order_id=cause.order_id,
        rules_version=rules_version,
        activates_at=activates_at,
        expires_at=plan.expires_at or calendar.expiry_at(activates_at, plan.lifetime, timezone),
        title=plan.title,
    )
    lot = account.open(opening)
    account.move(plan.move, plan.points, (plan.debit, "pending"), key=plan.key, cause=cause, lot=lot)
