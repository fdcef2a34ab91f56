"""Money to points and the one rounding rule (specification of points, section 5.1). Integers only, no floats."""

from __future__ import annotations

BPS_IN_WHOLE = 10_000
"""Basis points in 100 %."""


def earned_points(base_kopecks: int, *, rate_bps: int, point_value_kopecks: int) -> int:
    """`floor(base * rate / 10000 / point value)`, once for the whole order (V01-V03)."""
    if base_kopecks < 0 or rate_bps < 0 or point_value_kopecks <= 0:
        raise ValueError("money, rate and point value must not be negative")
    return base_kopecks * rate_bps // (BPS_IN_WHOLE * point_value_kopecks)
