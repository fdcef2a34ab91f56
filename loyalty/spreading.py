"""Dividing whole units over lines: largest remainder, a tie goes to the lower line (specification, section 5.1)."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def spread(total: int, weights: Sequence[int | Fraction]) -> list[int]:
    """`total` over the lines in proportion to `weights`; the parts sum to `total`, or are all 0 if no line weighs."""
    whole = sum(weights)
    if total <= 0 or whole <= 0:
        return [0] * len(weights)
    exact = [Fraction(total) * weight / whole for weight in weights]
    parts = [int(share) for share in exact]
    missing = total - sum(parts)
    by_rest = sorted(range(len(parts)), key=lambda number: (parts[number] - exact[number], number))
    for number in by_rest[:missing]:
        parts[number] += 1
    return parts


def spread_within(total: int, weights: Sequence[int], room: Sequence[int]) -> list[int]:
    """As `spread`, but no line gets more than its `room`: what it cannot bear is spread again, the same way, over the
    lines that have room. The parts sum to `total`, or to all the room there is if that is less."""
    parts = [0] * len(weights)
    left = min(total, sum(space for weight, space in zip(weights, room, strict=True) if weight > 0))
    while left > 0:
        open_weights = [weight if part < space else 0 for weight, part, space in zip(weights, parts, room, strict=True)]
        for number, share in enumerate(spread(left, open_weights)):
            taken = min(share, room[number] - parts[number])
            parts[number] += taken
            left -= taken
    return parts


def part_returned(total: int, returned: int, quantity: int) -> int:
    """How much of `total` belongs to the first `returned` of `quantity` units; the last unit takes the rest (V08)."""
    return total * min(returned, quantity) // quantity
