"""The card as a value: how it looks (the owner's design) and what one member's card says. Pure data.

Does not know Apple's or Google's formats; `wallet.card_apple` and `wallet.google` translate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from functools import cached_property
from types import MappingProxyType
from typing import Literal, get_args

from loyalty.wording import PluralForms
from wallet.colours import parse_colour
from wallet.errors import DesignError

BarcodeKind = Literal["qr", "code128", "pdf417"]
FrontField = Literal["segment", "pending", "nearest_burn", "next_segment"]
Language = Literal["ru", "en"]

CHANGED_VALUE = "%@"
"""Wallet puts the new value in its place; without it the phone shows no text of ours."""

_GROUP_DIGITS = 4


@dataclass(frozen=True)
class CardDesign:
    """The owner's design. Colours are #RRGGBB; `back` and `offers` are (label, value) pairs, `places` (latitude,
    longitude, text). `images` is file name -> PNG bytes, `sources` is icon, logo or strip -> PNG or JPEG to be resized.

    No pictures at all means that plain ones in the design's colours are made. `segments` are designs by the code of
    their segment. Raises DesignError.
    """

    programme_name: str
    organization_name: str
    description: str
    background: str = "#16382C"
    text: str = "#FFFFFF"
    label: str = "#BFE3D0"
    barcode: BarcodeKind = "qr"
    notify_text: str = "Баланс: %@"
    back: tuple[tuple[str, str], ...] = ()
    # Left out of the hash (it is compared): a design is a cache key and a mapping cannot be hashed.
    images: Mapping[str, bytes] = field(default_factory=dict, hash=False, repr=False)
    sources: Mapping[str, bytes] = field(default_factory=dict, hash=False, repr=False)
    point_words: PluralForms = ("балл", "балла", "баллов")
    language: Language = "ru"
    front: tuple[FrontField, ...] = ("segment", "nearest_burn", "next_segment")
    show_name: bool = False
    offers: tuple[tuple[str, str], ...] = ()
    places: tuple[tuple[float, float, str | None], ...] = ()
    segments: Mapping[str, CardDesign] = field(default_factory=dict, hash=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("programme_name", "organization_name", "description"):
            if not getattr(self, name).strip():
                raise DesignError(f"в оформлении карты пусто поле {name}: впишите текст")
        for colour in (self.background, self.text, self.label):
            parse_colour(colour)
        if self.barcode not in get_args(BarcodeKind):
            raise DesignError(f"штрихкод {self.barcode!r} неизвестен: выберите qr, code128 или pdf417")
        if CHANGED_VALUE not in self.notify_text:
            raise DesignError(f"в тексте уведомления {self.notify_text!r} нет %@: на его месте телефон покажет баланс")
        for name in ("images", "sources", "segments"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def of_segment(self, code: str | None) -> CardDesign:
        """The design of a member's segment; this one where the segment has none of its own."""
        return self if code is None else self.segments.get(code, self)

    @cached_property
    def digest(self) -> str:
        """Of everything in the design, pictures and segments too."""
        total = hashlib.sha256()
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, Mapping):
                parts = [(key, _part_digest(value[key])) for key in sorted(value)]
                value = parts
            total.update(repr((one.name, value)).encode())
        return total.hexdigest()


def _part_digest(part: CardDesign | bytes) -> str:
    return part.digest if isinstance(part, CardDesign) else hashlib.sha256(part).hexdigest()


@dataclass(frozen=True)
class NextSegment:
    """What is left to the next segment: orders, kopecks, or both; `needs_both`: each of them, not one of them."""

    title: str
    orders: int | None
    kopecks: int | None
    needs_both: bool = False


@dataclass(frozen=True)
class Card:
    """What one member's card says now. Points are whole; `nearest_burn` is (points, their last day).

    `authentication_token` and `web_service_url` come together or not at all: without them the card never updates.
    """

    serial: str
    number: str
    member_name: str | None
    segment_title: str | None
    available_points: int
    pending_points: int
    next_activation_on: date | None
    nearest_burn: tuple[int, date] | None
    card_url: str
    segment_code: str | None = None
    next_segment: NextSegment | None = None
    authentication_token: str | None = field(default=None, repr=False)
    web_service_url: str | None = None


def spaced_number(number: str) -> str:
    """`7700012345` -> `77 0001 2345`: groups of four from the right, easy to read aloud."""
    head = len(number) % _GROUP_DIGITS
    groups = [number[:head]] if head else []
    groups += [number[start : start + _GROUP_DIGITS] for start in range(head, len(number), _GROUP_DIGITS)]
    return " ".join(groups)
