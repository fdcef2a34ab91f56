"""How the card looks: colours, pictures and the texts on its back; the same for the segments that look otherwise.

Owns these keys and their limits. A segment's look is whole: what it does not name is the card's own.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from config import fields
from config.card_pictures import KINDS, SCALES, read_images
from config.lists import code, read_rows, refuse_same
from config.model import CardLook
from config.section import Keys, Section

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BACK_FIELDS = 20
MAX_OFFERS = 10
MAX_LOOKS = 20
MAX_LABEL_CHARS = 60
MAX_TEXT_CHARS = 4_000

COLOUR_KEYS = Keys(("background", "text", "label"))
BACK_KEYS = Keys(("label", "text"))
OFFER_KEYS = Keys(("label", "text"))
IMAGE_KEYS = Keys(tuple(f"{kind}{scale}" for kind in KINDS for scale in SCALES))
LOOK_KEYS = Keys(("segment", "colors", "images", "back", "offers"))

Texts = tuple[tuple[str, str], ...]


def read_look(section: Section, folder: Path, base: CardLook) -> CardLook:
    """The section's look; `base` says what is not written."""
    colours = section.sub("colors", COLOUR_KEYS)
    return CardLook(
        background=_colour(colours, "background", base.background),
        text=_colour(colours, "text", base.text),
        label=_colour(colours, "label", base.label),
        images=_images(section, folder, base.images),
        back=read_texts(section, "back", BACK_KEYS, MAX_BACK_FIELDS) if "back" in section else base.back,
        offers=read_texts(section, "offers", OFFER_KEYS, MAX_OFFERS) if "offers" in section else base.offers,
    )


def read_looks(card: Section, folder: Path, base: CardLook) -> dict[str, CardLook]:
    """By the segment's code; whether there is such a segment is checked when all sections are read."""
    like = '- {segment: vip, colors: {background: "#1C1C1E"}}'
    rows = read_rows(card, "segments", LOOK_KEYS, like, MAX_LOOKS)
    found = [(row, row.need("segment", code("segment-code", "vip"), "vip")) for row in rows]
    fix = "соберите оформление сегмента в одной записи"
    refuse_same(card.notes, found, "segment", "duplicate-segment", "оформление сегмента", fix=fix)
    for place, (row, name) in enumerate(found):
        row.notes.name_item(row.path, f"{card.at('segments')}[{place}]", f"{card.at('segments')}.{name}")
        if row.readable and not any(key in row for key in LOOK_KEYS.known[1:]):
            row.missing("colors", 'добавьте colors, images, back или offers, например: colors: {background: "#1C1C1E"}')
    return {name: read_look(row, folder, base) for row, name in found}


def read_texts(card: Section, key: str, keys: Keys, most: int) -> Texts:
    """A list of labels with their texts, in the order of the file."""
    members = card.items(key, "- {label: Телефон, text: +7 495 000-00-00}")
    if len(members) > most:
        where = "полей на обороте" if key == "back" else "предложений"
        card.notes.error_at_path(card.at(key), "too-many", f"{where} больше {most}", "уберите лишние")
        return ()
    rows = []
    for path, node in members:
        row = Section.open(card.notes, node, path, node.span, keys)
        label = row.need("label", fields.words(MAX_LABEL_CHARS), "Телефон")
        rows.append((label, row.need("text", fields.words(MAX_TEXT_CHARS, lines=True), "+7 495 000-00-00")))
    return tuple(rows)


def _colour(section: Section | None, key: str, default: str) -> str:
    return default if section is None else section.get(key, fields.colour, default)


def _images(card: Section, folder: Path, base: Mapping[str, Path]) -> dict[str, Path]:
    """A kind that is named takes the place of the base's whole kind: scales of two pictures never mix."""
    section = card.sub("images", IMAGE_KEYS)
    named = {} if section is None else read_images(section, folder)
    kinds = {name.partition("@")[0] for name in named}
    return {name: path for name, path in base.items() if name.partition("@")[0] not in kinds} | named
