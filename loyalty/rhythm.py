"""When a buyer is likely to buy again, and for how much: from his own purchases alone.

Owns the guess. The gap is the median of his gaps, because one long holiday must not move it; the sum is the median too.
Who bought once has no rhythm yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from statistics import median

PURCHASES_MAX = 12
"""Older habits tell nothing."""
GAP_DAYS_MIN = 1
GAP_DAYS_MAX = 730


@dataclass(frozen=True)
class Bought:
    on: date
    kopecks: int


@dataclass(frozen=True)
class Next:
    on: date
    kopecks: int


def expected(purchases: Sequence[Bought], *, today: date) -> Next | None:
    """The next purchase, never before tomorrow; None for fewer than two days of buying."""
    newest = sorted(purchases, key=lambda one: one.on)[-PURCHASES_MAX:]
    days = sorted({one.on for one in newest})
    if len(days) < 2:
        return None
    gap = round(median((later - earlier).days for earlier, later in pairwise(days)))
    due = days[-1] + timedelta(days=min(max(gap, GAP_DAYS_MIN), GAP_DAYS_MAX))
    kopecks = round(median(one.kopecks for one in newest))
    return Next(max(due, today + timedelta(days=1)), kopecks)
