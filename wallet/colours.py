"""Colours: from the owner's #RRGGBB to Apple's rgb(r, g, b) triple. Owns nothing else.

Source: Apple Wallet pass.json top level, backgroundColor / foregroundColor / labelColor.
"""

from __future__ import annotations

import re

from wallet.errors import ColourError

Rgb = tuple[int, int, int]

_HEX = re.compile(r"#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})")
_TRIPLE = re.compile(r"rgb\(\s*([0-9]{1,3})\s*,\s*([0-9]{1,3})\s*,\s*([0-9]{1,3})\s*\)")


def parse_colour(text: str) -> Rgb:
    """Reads #RRGGBB or rgb(r, g, b). Raises ColourError."""
    if match := _HEX.fullmatch(text):
        red, green, blue = (int(part, 16) for part in match.groups())
    elif match := _TRIPLE.fullmatch(text):
        red, green, blue = (int(part) for part in match.groups())
    else:
        raise ColourError(f"цвет {text!r} не понят: напишите его как #16382C")
    if max(red, green, blue) > 255:
        raise ColourError(f"цвет {text!r}: каждая из трёх частей от 0 до 255")
    return red, green, blue


def apple_colour(text: str) -> str:
    """`#16382C` -> `rgb(22, 56, 44)`. Raises ColourError."""
    red, green, blue = parse_colour(text)
    return f"rgb({red}, {green}, {blue})"
