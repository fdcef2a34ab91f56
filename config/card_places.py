"""The shops near which a phone brings the card up. Owns the keys of a place and their limits."""

from __future__ import annotations

import re
from collections.abc import Callable

from config import fields
from config.lists import read_rows
from config.masking import quote
from config.model import Place
from config.section import Keys, Section

MAX_PLACES = 10  # Apple's own limit
MAX_PLACE_CHARS = 80
# Short «lon» looks like «login», whose value the printer of mistakes hides.
PLACE_KEYS = Keys(("latitude", "longitude", "text"), meant={"lat": "latitude", "lon": "longitude"})

_DEGREES = re.compile(r"[+-]?[0-9]{1,3}(?:\.[0-9]{1,10})?")


def read_places(card: Section) -> tuple[Place, ...]:
    like = "- {latitude: 55.7558, longitude: 37.6173, text: Магазин рядом}"
    found: list[Place] = []
    for row in read_rows(card, "locations", PLACE_KEYS, like, MAX_PLACES):
        latitude = row.need("latitude", _degrees(90), "55.7558")
        longitude = row.need("longitude", _degrees(180), "37.6173")
        place = Place(latitude, longitude, row.get("text", fields.words(MAX_PLACE_CHARS), None))
        if row.notes.intact(row.path) and any((one.lat, one.lon) == (latitude, longitude) for one in found):
            row.notes.error_at_path(row.at("latitude"), "duplicate-place", "это место уже есть", "оставьте одно")
        found.append(place)
    return tuple(found)


def _degrees(most: int) -> Callable[[str], float]:
    example = "напишите, например, 55.7558: градусы с точкой, как на карте в интернете"

    def parse(text: str) -> float:
        if not _DEGREES.fullmatch(text):
            raise fields.FieldError("degrees", f"{quote(text)} не похоже на градусы", example)
        if abs(float(text)) > most:
            raise fields.FieldError("degrees", f"{text}: таких градусов нет", f"напишите число от -{most} до {most}")
        return float(text)

    return parse
