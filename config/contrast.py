"""Can one colour be read on another: the contrast of the web guidelines, and the nearest colour that passes.

Owns the numbers of WCAG 2.1 (1.4.3): 4.5 for text, 3 for large text. Colours are #RRGGBB. Pure.
"""

from __future__ import annotations

TEXT_RATIO = 4.5
LARGE_RATIO = 3.0
"""Below this even the large balance cannot be read."""

_STEPS = 100


def contrast(first: str, second: str) -> float:
    """The contrast ratio of two colours: from 1 to 21."""
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def nearest_readable(colour: str, background: str, ratio: float = TEXT_RATIO) -> str:
    """`colour`, or what it becomes when it is lightened or darkened just enough. Black or white always passes."""
    if contrast(colour, background) >= ratio:
        return colour
    for step in range(1, _STEPS + 1):
        for end in (255, 0):
            mixed = _mixed(colour, end, step)
            if contrast(mixed, background) >= ratio:
                return mixed
    return "#000000"


def _mixed(colour: str, end: int, step: int) -> str:
    return "#" + "".join(f"{(part * (_STEPS - step) + end * step) // _STEPS:02X}" for part in _parts(colour))


def _parts(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return red, green, blue


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(part / 255) for part in _parts(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
