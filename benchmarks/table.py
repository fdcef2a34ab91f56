"""What a benchmark says: one line per number, with the ratio to what it is held against and the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Line:
    """`value` is a median. `ratio` is to `against`; where there is a target, `is_reached` says whether it is met."""

    key: str
    title: str
    value: float
    unit: str
    ratio: float | None = None
    against: str = ""
    target: str = ""
    is_reached: bool | None = None


def render(lines: Sequence[Line]) -> str:
    """The table for a terminal."""
    width = max(len(line.title) for line in lines)
    return "\n".join(_row(line, width) for line in lines)


def _row(line: Line, width: int) -> str:
    ratio = "" if line.ratio is None else f"{line.ratio:6.2f} x {line.against}"
    verdict = "" if line.is_reached is None else f"{line.target}: {'reached' if line.is_reached else 'MISSED'}"
    return f"{line.title:{width}}  {line.value:9.1f} {line.unit:5}  {ratio:32} {verdict}".rstrip()
