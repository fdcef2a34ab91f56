"""Letters of the preview: how wide a text is, where it breaks, what is cut. Owns the project's own font files.

They are Latin and Cyrillic and free to be given away (`wallet/fonts/LICENSE.txt`).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from PIL import ImageFont

SMALLEST = 0.6
"""A value that does not fit is drawn smaller, down to this share; then it is cut."""
LINE = 1.25
"""The height of a line of letters of size 1."""

_FONTS = Path(__file__).parent / "fonts"
_MEASURE = 100
_MAX_LINES = 400


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    return float(font(bold=bold, size=_MEASURE).getlength(text)) * size / _MEASURE


@cache
def font(*, bold: bool, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(_FONTS / ("card-bold.ttf" if bold else "card-regular.ttf")), size)


def cut(text: str, size: float, width: float, *, bold: bool = False) -> str:
    """The text, or its beginning with an ellipsis, as wide as the place allows."""
    if text_width(text, size, bold=bold) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if text_width(text[:middle].rstrip() + "…", size, bold=bold) <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…"


def wrapped(text: str, size: float, width: float) -> list[str]:
    """Lines no wider than the place; a word that is wider itself is broken."""
    lines: list[str] = []
    for paragraph in text.split("\n")[:_MAX_LINES]:
        line = ""
        for word in paragraph.split(" "):
            rest = word
            while text_width(rest, size) > width:
                head = _that_fits(rest, size, width)
                lines += [line] if line else []
                lines, line, rest = [*lines, head], "", rest[len(head) :]
            joined = f"{line} {rest}" if line else rest
            if text_width(joined, size) <= width:
                line = joined
            else:
                lines, line = [*lines, line], rest
        lines.append(line)
    return lines[:_MAX_LINES]


def _that_fits(word: str, size: float, width: float) -> str:
    count = 1
    while count < len(word) and text_width(word[: count + 1], size) <= width:
        count += 1
    return word[:count]


def fitted(text: str, size: float, width: float, *, bold: bool = False) -> tuple[float, str]:
    """The size and the text that fit into the width."""
    needed = text_width(text, size, bold=bold)
    if needed <= width or not needed:
        return size, text
    smaller = size * max(SMALLEST, width / needed)
    return smaller, cut(text, smaller, width + 0.01, bold=bold)
