"""What a phone shows of a pass, read from its pass.json and pictures: the very bytes that would be signed.

Owns the reading; knows nothing of our Card, so a preview cannot show what the pass does not say. The first barcode that
can be shown counts, colours that are not written are Wallet's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wallet.barcodes import Modules, barcode_modules
from wallet.colours import Rgb, parse_colour
from wallet.errors import PassError
from wallet.fields import SQUARE_BARCODES, BarcodeFormat

_BLACK: Rgb = (0, 0, 0)
_WHITE: Rgb = (255, 255, 255)
_CRISP = ("@2x", "@3x", "")
"""Which scale of a picture is shown: a preview is drawn twice as large as its points."""


@dataclass(frozen=True)
class ShownField:
    """A label with its value."""

    label: str
    value: str


@dataclass(frozen=True)
class Code:
    modules: Modules
    is_square: bool
    text: str


@dataclass(frozen=True)
class Shown:
    """Both sides of a card. Pictures are PNG bytes."""

    organization: str
    description: str
    logo_text: str
    background: Rgb
    text: Rgb
    label: Rgb
    logo: bytes | None
    strip: bytes | None
    header: tuple[ShownField, ...]
    primary: tuple[ShownField, ...]
    row: tuple[ShownField, ...]
    back: tuple[ShownField, ...]
    code: Code | None


def shown(pass_json: bytes, images: Mapping[str, bytes]) -> Shown:
    """Reads a store card. Raises PassError, BarcodeError, ColourError."""
    try:
        content: dict[str, Any] = json.loads(pass_json)
        return _read(content, content["storeCard"], images)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PassError("это не pass.json карты магазина: показать нечего") from error


def _read(content: Mapping[str, Any], card: Mapping[str, Any], images: Mapping[str, bytes]) -> Shown:
    return Shown(
        organization=content.get("organizationName", ""),
        description=content.get("description", ""),
        logo_text=content.get("logoText", ""),
        background=_colour(content, "backgroundColor", _WHITE),
        text=_colour(content, "foregroundColor", _BLACK),
        label=_colour(content, "labelColor", _BLACK),
        logo=_picture(images, "logo"),
        strip=_picture(images, "strip"),
        header=_fields(card, "headerFields"),
        primary=_fields(card, "primaryFields"),
        row=_fields(card, "secondaryFields") + _fields(card, "auxiliaryFields"),
        back=_fields(card, "backFields"),
        code=_code(content.get("barcodes", ())),
    )


def _fields(card: Mapping[str, Any], group: str) -> tuple[ShownField, ...]:
    return tuple(ShownField(str(one.get("label", "")), str(one["value"])) for one in card.get(group, ()))


def _colour(content: Mapping[str, Any], key: str, default: Rgb) -> Rgb:
    return parse_colour(content[key]) if key in content else default


def _picture(images: Mapping[str, bytes], kind: str) -> bytes | None:
    return next((images[f"{kind}{scale}.png"] for scale in _CRISP if f"{kind}{scale}.png" in images), None)


def _code(barcodes: Sequence[Mapping[str, Any]]) -> Code | None:
    known = {str(one) for one in (BarcodeFormat.QR, BarcodeFormat.CODE128, BarcodeFormat.PDF417)}
    for one in barcodes:
        if one["format"] in known:
            is_square = one["format"] in {str(square) for square in SQUARE_BARCODES}
            return Code(barcode_modules(one["format"], one["message"]), is_square, str(one.get("altText", "")))
    return None
