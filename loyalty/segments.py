"""The business segment of a member: «Стартовый», «Постоянный» … (specification of points, section 5.6, last rules)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loyalty.programme import SegmentRule


def segment_for(kept_orders: int, rules: Sequence[SegmentRule]) -> SegmentRule | None:
    """The last segment whose number of kept orders the member has reached; None before his first."""
    reached = [rule for rule in rules if kept_orders >= rule.min_orders]
    return max(reached, key=lambda rule: rule.min_orders, default=None)


def by_code(code: str | None, rules: Sequence[SegmentRule]) -> SegmentRule | None:
    """The segment with this code, None if the present rules have none."""
    return next((rule for rule in rules if rule.code == code), None)
