"""Where everything stands on the two sides of a store card, in points of a phone 375 points wide.

Owns the measures; both the HTML and the PNG are drawn from them, so the two never differ. The sizes of pictures are
those of Apple's guidelines of June 2026; the places and the sizes of letters were measured on screens and are near.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Literal

from PIL import Image

from wallet.barcodes import Modules
from wallet.colours import Rgb
from wallet.lettering import LINE, cut, fitted, text_width, wrapped
from wallet.preview import Code, Shown, ShownField

WIDTH = 375.0
CORNER = 12.0
PAD = 15.0
HEADER_HEIGHT = 66.0
STRIP_HEIGHT = 144.0
BARE_PRIMARY_HEIGHT = 84.0
ROW_HEIGHT = 54.0
GAP = 12.0
LOGO_BOX = (160.0, 50.0)
LABEL_SIZE = 11.0
VALUE_SIZE = 18.0
HEADER_VALUE_SIZE = 22.0
PRIMARY_SIZE = 40.0
LOGO_TEXT_SIZE = 17.0
BACK_VALUE_SIZE = 15.0
BACK_LABEL_SIZE = 12.0
BACK_GREY: Rgb = (142, 142, 147)
BACK_LINE: Rgb = (198, 198, 200)
BACK_PAPER: Rgb = (242, 242, 247)
BLACK: Rgb = (0, 0, 0)
WHITE: Rgb = (255, 255, 255)

_SQUARE_CODE = (140.0, 140.0)
_WIDE_CODE = (285.0, 72.0)
_CODE_PAD = 10.0
_ALT_SIZE = 13.0


@dataclass(frozen=True)
class Text:
    """One line. `x` is its left edge, or its right one where `align` says so; `y` its top."""

    x: float
    y: float
    size: float
    text: str
    colour: Rgb
    width: float
    bold: bool = False
    align: Literal["left", "right", "centre"] = "left"


@dataclass(frozen=True)
class Box:
    x: float
    y: float
    width: float
    height: float
    colour: Rgb
    corner: float = 0.0


@dataclass(frozen=True)
class Picture:
    x: float
    y: float
    width: float
    height: float
    png: bytes
    name: str


@dataclass(frozen=True)
class Bars:
    """A barcode's modules stretched over a box."""

    x: float
    y: float
    width: float
    height: float
    modules: Modules
    name: str


@dataclass(frozen=True)
class _Place:
    x: float
    y: float
    width: float
    size: float
    align: Literal["left", "right"] = "left"


Item = Text | Box | Picture | Bars


@dataclass(frozen=True)
class Side:
    """One side of the card; items in the order of painting."""

    height: float
    background: Rgb
    items: tuple[Item, ...]


def front(card: Shown) -> Side:
    items: list[Item] = _header(card)
    top = HEADER_HEIGHT
    height = STRIP_HEIGHT if card.strip is not None else BARE_PRIMARY_HEIGHT if card.primary else 0.0
    if card.strip is not None:
        items.append(Picture(0, top, WIDTH, STRIP_HEIGHT, card.strip, "strip"))
    for field in card.primary:
        middle = top + height / 2 - PRIMARY_SIZE * 0.8
        items += _stacked(card, field, _Place(PAD, middle, WIDTH - 2 * PAD, PRIMARY_SIZE), label_last=True)
    top += height + GAP
    if card.row:
        items += _row(card, top)
        top += ROW_HEIGHT
    if card.code is not None:
        top = max(top + GAP, top if card.strip is None else HEADER_HEIGHT + STRIP_HEIGHT + ROW_HEIGHT + 2 * GAP)
        drawn, bottom = _code(card.code, top)
        items += drawn
        top = bottom
    return Side(top + PAD, card.background, tuple(items))


def back(card: Shown) -> Side:
    items: list[Item] = []
    top = PAD
    for field in card.back:
        lines = wrapped(field.value, BACK_VALUE_SIZE, WIDTH - 4 * PAD)
        height = 8 + BACK_LABEL_SIZE * LINE + len(lines) * BACK_VALUE_SIZE * LINE + 10
        items.append(Box(PAD, top, WIDTH - 2 * PAD, height, WHITE, corner=10))
        wide = WIDTH - 4 * PAD
        items.append(Text(2 * PAD, top + 8, BACK_LABEL_SIZE, cut(field.label, BACK_LABEL_SIZE, wide), BACK_GREY, wide))
        for number, line in enumerate(lines):
            y = top + 10 + BACK_LABEL_SIZE * LINE + number * BACK_VALUE_SIZE * LINE
            items.append(Text(2 * PAD, y, BACK_VALUE_SIZE, line, BLACK, wide))
        top += height + 8
    return Side(top + PAD - 8, BACK_PAPER, tuple(items))


def _header(card: Shown) -> list[Item]:
    items: list[Item] = []
    right = WIDTH - PAD
    for field in reversed(card.header):
        width = max(text_width(field.value, HEADER_VALUE_SIZE), text_width(field.label.upper(), LABEL_SIZE, bold=True))
        width = min(width, WIDTH / 2)
        items += _stacked(card, field, _Place(right, 14, width, HEADER_VALUE_SIZE, "right"))
        right -= width + GAP
    left = PAD
    if card.logo is not None:
        with Image.open(BytesIO(card.logo)) as picture:
            share = min(LOGO_BOX[0] / picture.width, LOGO_BOX[1] / picture.height)
            width, height = picture.width * share, picture.height * share
        items.append(Picture(left, (HEADER_HEIGHT - height) / 2, width, height, card.logo, "logo"))
        left += width + 8
    room = right - left
    if card.logo_text and room > LOGO_TEXT_SIZE:
        size, text = fitted(card.logo_text, LOGO_TEXT_SIZE, room, bold=True)
        y = (HEADER_HEIGHT - size * LINE) / 2
        items.append(Text(left, y, size, text, card.text, room, bold=True))
    return items


def _row(card: Shown, top: float) -> list[Item]:
    """Columns as wide as what they hold; what is left over or lacking is shared."""
    wide = [
        max(text_width(one.value, VALUE_SIZE), text_width(one.label.upper(), LABEL_SIZE, bold=True)) for one in card.row
    ]
    room = WIDTH - 2 * PAD - GAP * (len(card.row) - 1)
    widths = _shared(wide, room)
    items: list[Item] = []
    left = PAD
    for number, (field, width) in enumerate(zip(card.row, widths, strict=True)):
        is_last = number and number == len(card.row) - 1
        right = _Place(WIDTH - PAD, top, width, VALUE_SIZE, "right")
        items += _stacked(card, field, right if is_last else _Place(left, top, width, VALUE_SIZE))
        left += width + GAP
    return items


def _shared(wide: list[float], room: float) -> list[float]:
    """Narrow columns keep their width, the wide ones share the rest; spare room goes to all alike."""
    spare = room - sum(wide)
    if spare >= 0:
        return [one + spare / len(wide) for one in wide]
    widths, left = dict.fromkeys(range(len(wide)), 0.0), room
    for done, index in enumerate(sorted(widths, key=lambda one: wide[one])):
        widths[index] = min(wide[index], left / (len(wide) - done))
        left -= widths[index]
    return [widths[index] for index in range(len(wide))]


def _stacked(card: Shown, field: ShownField, at: _Place, *, label_last: bool = False) -> list[Item]:
    """A label above its value, or below it."""
    size, text = fitted(field.value, at.size, at.width)
    label = cut(field.label.upper(), LABEL_SIZE, at.width, bold=True)
    value_y, label_y = (at.y, at.y + at.size * LINE) if label_last else (at.y + LABEL_SIZE * LINE, at.y)
    return [
        Text(at.x, label_y, LABEL_SIZE, label, card.label, at.width, bold=True, align=at.align),
        Text(at.x, value_y + (at.size - size) / 2, size, text, card.text, at.width, align=at.align),
    ]


def _code(code: Code, top: float) -> tuple[list[Item], float]:
    """The white box with the code and its number, and the box's lower edge."""
    width, height = _SQUARE_CODE if code.is_square else _WIDE_CODE
    below = _ALT_SIZE * LINE + 4 if code.text else 0.0
    box = Box((WIDTH - width) / 2 - _CODE_PAD, top, width + 2 * _CODE_PAD, height + below + 2 * _CODE_PAD, WHITE, 5)
    bars = _bars(code, top + _CODE_PAD, width, height)
    items: list[Item] = [box, bars]
    if code.text:
        text = cut(code.text, _ALT_SIZE, width)
        y = top + _CODE_PAD + height + 4
        items.append(Text(WIDTH / 2, y, _ALT_SIZE, text, BLACK, width, align="centre"))
    return items, top + box.height


def _bars(code: Code, top: float, width: float, height: float) -> Bars:
    """In the middle of its place; a module is a whole number of points wide: uneven ones are not read."""
    columns, rows = len(code.modules[0]), len(code.modules)
    across = max(1.0, width // columns) if columns <= width else width / columns
    down = across if code.is_square else height / rows
    wide, high = across * columns, down * rows
    return Bars((WIDTH - wide) / 2, top + (height - high) / 2, wide, high, code.modules, code.text)
