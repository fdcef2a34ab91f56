"""The preview as PNG pictures: drawn without a browser, from the layout of the HTML, with the project's letters."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO

from PIL import Image, ImageDraw, ImageOps

from wallet.lettering import font
from wallet.preview import shown
from wallet.preview_layout import CORNER, WIDTH, Bars, Box, Item, Picture, Side, Text, back, front

SCALE = 2
_ANCHORS = {"left": "la", "right": "ra", "centre": "ma"}
_ABOVE = 0.08
"""Of a line's height, above its letters: browsers put half of the leading there."""


def preview_pngs(pass_json: bytes, images: Mapping[str, bytes]) -> tuple[bytes, bytes]:
    """Front and back of a pass, twice as large as their points. Raises PassError, BarcodeError, ColourError."""
    card = shown(pass_json, images)
    return _drawn(front(card)), _drawn(back(card))


def _drawn(side: Side) -> bytes:
    size = round(WIDTH * SCALE), round(side.height * SCALE)
    picture = Image.new("RGB", size, side.background)
    for item in side.items:
        _paint(picture, item)
    mask = Image.new("L", size, 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), CORNER * SCALE, fill=255)
    picture.putalpha(mask)
    file = BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def _paint(picture: Image.Image, item: Item) -> None:
    draw = ImageDraw.Draw(picture)
    if isinstance(item, Text):
        place = item.x * SCALE, (item.y + item.size * _ABOVE) * SCALE
        letters = font(bold=item.bold, size=max(1, round(item.size * SCALE)))
        draw.text(place, item.text, fill=item.colour, font=letters, anchor=_ANCHORS[item.align])
        return
    left, top = round(item.x * SCALE), round(item.y * SCALE)
    width, height = round(item.width * SCALE), round(item.height * SCALE)
    if isinstance(item, Box):
        draw.rounded_rectangle((left, top, left + width, top + height), item.corner * SCALE, fill=item.colour)
    elif isinstance(item, Bars):
        picture.paste(_bars(item, width, height), (left, top))
    else:
        _place(picture, item, (left, top), (width, height))


def _place(picture: Image.Image, item: Picture, at: tuple[int, int], size: tuple[int, int]) -> None:
    with Image.open(BytesIO(item.png)) as source:
        fitted = ImageOps.fit(source.convert("RGBA"), (max(1, size[0]), max(1, size[1])), Image.Resampling.LANCZOS)
    picture.paste(fitted, at, fitted)


def _bars(item: Bars, width: int, height: int) -> Image.Image:
    columns, rows = len(item.modules[0]), len(item.modules)
    bars = Image.new("RGB", (columns, rows), "white")
    bars.putdata([(0, 0, 0) if black else (255, 255, 255) for row in item.modules for black in row])
    return bars.resize((width, height), Image.Resampling.NEAREST)
