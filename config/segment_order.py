"""Which of two segments is the higher one: a question of their conditions, never of their order in the file.

Owns the sorting, the same as `loyalty.segments` chooses by, and whether it is beyond doubt. Where it is not the file is
refused (`segment_checks.py`): a member who meets both conditions would surprise the owner.
"""

from __future__ import annotations

from math import inf
from typing import Any, Literal

from loyalty.rules import SegmentRule

Match = Literal["any", "all"]


def rising_key(rule: SegmentRule) -> tuple[Any, ...]:
    """The lowest first: by orders, then by money; money alone stands above orders alone; those filled by hand last."""
    orders = inf if rule.min_orders is None else rule.min_orders
    return rule.is_manual, orders, rule.min_spent_kopecks or 0, rule.code


def is_above(upper: SegmentRule, lower: SegmentRule, match: Match) -> bool:
    """True when `upper` asks for more than `lower` in a condition that both have and for less in none.

    With equal ones a further condition makes a segment higher only if all must be met: with `any` it is a way in.
    Orders alone and money alone cannot be compared; they are told apart by kind.
    """
    shared = [(mine, theirs) for mine, theirs in zip(_asked(upper), _asked(lower), strict=True) if mine and theirs]
    if not shared:
        return upper.min_orders is None
    if any(mine < theirs for mine, theirs in shared):
        return False
    if any(mine > theirs for mine, theirs in shared):
        return True
    return match == "all" and _asked(upper).count(None) < _asked(lower).count(None)


def _asked(rule: SegmentRule) -> tuple[int | None, int | None]:
    return rule.min_orders, rule.min_spent_kopecks
