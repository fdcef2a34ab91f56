"""Plain pictures for a design that has none: a coin on the card's background. Pure; owns no names of the owner.

Implements PNG (W3C, colour type 3, one IDAT) and Apple's sizes in points (Human Interface Guidelines, June 2026):
icon 38x38, logo up to 160x50, strip 375x144, each at 1x, 2x and 3x.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from math import sqrt

from wallet.colours import Rgb, parse_colour

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
SCALES = (1, 2, 3)

_SHADES = 16
"""Steps from background (0) to coin (16), for smooth edges."""
_RINGS = ((1.0, _SHADES), (0.86, 0), (0.76, _SHADES), (0.34, 0))
"""The coin from outside in: share of the radius, shade."""
_COLOUR_DEPTH_BITS = 8
_PALETTE = 3


@dataclass(frozen=True)
class _Shape:
    """A picture in points: its size and where its coin lies."""

    width: int
    height: int
    centre_x: float
    centre_y: float
    radius: float


_SHAPES = {
    "icon": _Shape(38, 38, centre_x=19, centre_y=19, radius=15),
    "logo": _Shape(50, 50, centre_x=25, centre_y=25, radius=20),
    "strip": _Shape(375, 144, centre_x=300, centre_y=72, radius=48),
}


def plain_images(background: str, coin: str) -> dict[str, bytes]:
    """Icon, logo and strip at every scale, in two colours (#RRGGBB). Raises ColourError."""
    return {name: data for kind in _SHAPES for name, data in _scales(kind, background, coin)}


def plain_icons(background: str, coin: str) -> dict[str, bytes]:
    """The icon alone, for a design that has other pictures but lacks the one that Wallet demands."""
    return dict(_scales("icon", background, coin))


def _scales(kind: str, background: str, coin: str) -> list[tuple[str, bytes]]:
    colours = parse_colour(background), parse_colour(coin)
    names = [(scale, f"{kind}.png" if scale == 1 else f"{kind}@{scale}x.png") for scale in SCALES]
    return [(name, _png(_SHAPES[kind], scale, *colours)) for scale, name in names]


def _png(shape: _Shape, scale: int, background: Rgb, coin: Rgb) -> bytes:
    width, height = shape.width * scale, shape.height * scale
    # Each row begins with its filter type, 0: none.
    rows = b"".join(b"\x00" + _row(shape, scale, y) for y in range(height))
    header = struct.pack(">2L5B", width, height, _COLOUR_DEPTH_BITS, _PALETTE, 0, 0, 0)
    palette = bytes(
        (dark * (_SHADES - shade) + light * shade) // _SHADES
        for shade in range(_SHADES + 1)
        for dark, light in zip(background, coin, strict=True)
    )
    chunks = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return PNG_SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def _row(shape: _Shape, scale: int, y: int) -> bytes:
    row = bytearray(shape.width * scale)
    from_centre = y + 0.5 - shape.centre_y * scale
    for share, shade in _RINGS:
        squared = (shape.radius * scale * share) ** 2 - from_centre**2
        if squared > 0:
            _paint(row, shape.centre_x * scale - sqrt(squared), shape.centre_x * scale + sqrt(squared), shade)
    return bytes(row)


def _paint(row: bytearray, left: float, right: float, shade: int) -> None:
    """Paints from `left` to `right`; a pixel at the edge takes its covered share of the shade."""
    first, last = int(left), int(right)
    for edge, covered in ((first, first + 1 - left), (last, right - last)):
        row[edge] = round(row[edge] * (1 - covered) + shade * covered)
    row[first + 1 : last] = bytes([shade]) * (last - first - 1)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))
