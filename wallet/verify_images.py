"""The pictures of a card: names that Wallet knows, real PNG, sizes of Apple's guidelines of June 2026.

Reads PNG (W3C) itself: signature, chunks with their sums, the header, and whether the picture's bytes are all there.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wallet.verdict import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wallet.verdict import Faults

MAX_SIDE_PX = 2_048
MAX_CHUNKS = 10_000

_NAME = re.compile(r"(?:([A-Za-z0-9-]+)\.lproj/)?([a-z]+)(?:@([23])x)?\.png")
_LARGEST = {
    "icon": (38, 38),
    "logo": (160, 50),
    "strip": (375, 144),
    "thumbnail": (90, 90),
    "background": (180, 220),
    "footer": (286, 15),
}
"""In points; a picture at @2x may be twice as large."""
_KNOWN_TO = {
    "storeCard": ("icon", "logo", "strip"),
    "coupon": ("icon", "logo", "strip"),
    "generic": ("icon", "logo", "thumbnail"),
    "eventTicket": ("icon", "logo", "strip", "background", "thumbnail"),
    "boardingPass": ("icon", "logo", "footer"),
}
_MIN_ICON_PT = 29
_MARK = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">2L5B")
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_MEND = "сохраните картинку заново в PNG"


@dataclass(frozen=True)
class _Picture:
    width: int
    height: int


class _Broken(ValueError):
    """Not a whole PNG; the text says why."""


def check_images(files: Mapping[str, bytes], style: str, faults: Faults) -> None:
    found = {name: match for name in files if (match := _NAME.fullmatch(name)) is not None}
    if not any(match[2] == "icon" for match in found.values()):
        text = "в карте нет icon.png: без значка iPhone карту не откроет"
        faults.error("icon-missing", text, "добавьте icon.png, icon@2x.png и icon@3x.png (38, 76 и 114 точек)")
    for name, match in found.items():
        _check_image(name, match, files[name], style, faults)
    for language, kind, scale in (match.groups() for match in found.values()):
        plain = f"{kind}@{scale}x.png" if scale else f"{kind}.png"
        if language and plain in found:
            text = f"картинка {plain} лежит и снаружи, и в {language}.lproj"
            faults.error("image-both", text, "оставьте одну: какую возьмёт телефон, неизвестно")


def is_image(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def _check_image(name: str, match: re.Match[str], data: bytes, style: str, faults: Faults) -> None:
    kind, scale = match[2], int(match[3] or 1)
    if kind not in _KNOWN_TO.get(style, _LARGEST):
        faults.warning("image-unused", f"картинку {shown(name)} карта {style} не показывает", "уберите её")
    try:
        picture = _read_png(data)
    except _Broken as failure:
        faults.error("image-broken", f"{shown(name)}: {failure}", _MEND)
        return
    if kind in _LARGEST:
        _check_size(name, kind, scale, picture, faults)


def _check_size(name: str, kind: str, scale: int, picture: _Picture, faults: Faults) -> None:
    width, height = (side * scale for side in _LARGEST[kind])
    size, best = f"{picture.width}x{picture.height}", f"{width}x{height}"
    if picture.width > width or picture.height > height:
        text = f"{name} {size} больше места на карте ({best}): телефон её сожмёт или обрежет"
        faults.error("image-size", text, f"уменьшите до {best}")
    elif kind == "icon" and picture.width != picture.height:
        faults.error("image-size", f"значок {name} не квадратный: {size}", f"сделайте {best}")
    elif kind == "icon" and picture.width < _MIN_ICON_PT * scale:
        faults.error("image-size", f"значок {name} мал: {size}", f"сделайте {best}")
    elif kind == "strip" and picture.width < width:
        faults.warning("image-small", f"{name} {size} меньше места ({best}): будет размыта", f"сделайте {best}")


def _read_png(data: bytes) -> _Picture:
    """Raises _Broken."""
    if not data.startswith(_MARK):
        raise _Broken("это не PNG")
    header, pixels, at, kind = None, [], len(_MARK), b""
    for _ in range(MAX_CHUNKS):
        if at + 12 > len(data) or kind == b"IEND":
            break
        size, kind = struct.unpack_from(">L4s", data, at)
        body = data[at + 8 : at + 8 + size]
        total = data[at + 8 + size : at + 12 + size]
        if len(total) != 4 or zlib.crc32(kind + body) != int.from_bytes(total, "big"):
            raise _Broken("картинка испорчена: суммы не сходятся")
        if header is None:
            header = _read_header(kind, body)
        elif kind == b"IDAT":
            pixels.append(body)
        at += 12 + size
    if header is None or kind != b"IEND":
        raise _Broken("картинка обрывается")
    _check_pixels(header, b"".join(pixels))
    return _Picture(*header[:2])


def _read_header(kind: bytes, body: bytes) -> tuple[int, int, int, int, int]:
    """Width, height, bits, colour, interlacing."""
    if kind != b"IHDR" or len(body) != _HEADER.size:
        raise _Broken("у PNG нет заголовка")
    width, height, bits, colour, packing, filters, interlaced = _HEADER.unpack(body)
    if bits not in _DEPTHS.get(colour, ()) or packing or filters or interlaced > 1:
        raise _Broken("такого PNG не бывает")
    if not (1 <= width <= MAX_SIDE_PX and 1 <= height <= MAX_SIDE_PX):
        raise _Broken(f"размер {width}x{height} не для карты")
    return width, height, bits, colour, interlaced


def _check_pixels(header: tuple[int, int, int, int, int], packed: bytes) -> None:
    """All rows are there. Those of an interlaced picture are not counted."""
    width, height, bits, colour, interlaced = header
    row = 1 + (width * bits * _CHANNELS.get(colour, 1) + 7) // 8
    unpacking, left = zlib.decompressobj(), row * height
    try:
        while left > 0 and not unpacking.eof and packed:
            left -= len(unpacking.decompress(packed, min(left, 1 << 20)))
            packed = unpacking.unconsumed_tail
    except zlib.error as error:
        raise _Broken("картинка испорчена: не распаковывается") from error
    if left > 0 and not interlaced:
        raise _Broken("картинка обрывается: не все строки на месте")
