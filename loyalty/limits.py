"""What one member may earn and spend in a day or a period; above it a reason, never a silent zero.

Source: specification of points, section 5.11 and V22.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loyalty.rules import Limits


@dataclass(frozen=True)
class Used:
    """What the member's other orders have used: orders that earned today, base points today and within the period."""

    accruals_today: int = 0
    points_today: int = 0
    points_in_period: int = 0


@dataclass(frozen=True)
class Allowance:
    """Base points an order may still earn, None: without limit; `reason` is the limit that would bind."""

    points: int | None
    reason: str | None


def allowance(limits: Limits, used: Used) -> Allowance:
    """The tightest of the limits for the order that is counted now."""
    if limits.accruals_per_day is not None and used.accruals_today >= limits.accruals_per_day:
        return Allowance(0, "daily_limit")
    left = [
        (most - taken, reason)
        for most, taken, reason in (
            (limits.points_per_day, used.points_today, "points_per_day"),
            (limits.points_per_period, used.points_in_period, "points_per_period"),
        )
        if most is not None
    ]
    if not left:
        return Allowance(None, None)
    points, reason = min(left)
    return Allowance(max(0, points), reason)


def may_redeem(limits: Limits, *, redemptions_today: int) -> bool:
    """Whether the member may spend once more today."""
    return limits.redemptions_per_day is None or redemptions_today < limits.redemptions_per_day
