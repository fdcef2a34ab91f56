"""What must fit together on the card: its colours, its segments, the room on its face.

Owns those checks. Each looks only at what was read without a mistake.
"""

from __future__ import annotations

from config import fields
from config.contrast import LARGE_RATIO, TEXT_RATIO, contrast, nearest_readable
from config.masking import quote
from config.model import CardConfig, CardLook
from config.section import Notes
from loyalty.programme import Programme

_BASE = "card.colors"


def check_card(notes: Notes, programme: Programme, card: CardConfig) -> None:
    _colours_are_readable(notes, card.look, _BASE)
    for code, look in card.segments.items():
        if notes.intact(f"{notes.named(f'card.segments.{code}')}.segment"):
            _colours_are_readable(notes, look, f"{notes.named(f'card.segments.{code}')}.colors")
    _segments_exist(notes, programme, card)
    _name_has_room(notes, card)


def _colours_are_readable(notes: Notes, look: CardLook, at: str) -> None:
    """A segment's colours are looked at only if it writes some: those it takes over were told of already."""
    for key, colour in (("text", look.text), ("label", look.label)):
        places = (f"{at}.{key}", f"{at}.background")
        if not notes.intact(*places, f"{_BASE}.{key}", f"{_BASE}.background"):
            continue
        path = next((place for place in places if notes.written(place)), None)
        ratio = contrast(colour, look.background)
        if path is None or ratio >= TEXT_RATIO:
            continue
        shown = f"{ratio:.1f}".replace(".", ",")
        near = nearest_readable(colour, look.background)
        fix = f'возьмите {key}: "{near}": это ближайший цвет, который читается'
        if ratio < LARGE_RATIO:
            message = f"{colour} на {look.background}: контраст {shown}, нужно 4,5; ниже 3 не прочесть и баланс"
            notes.error_at_path(path, "contrast", message, fix)
        else:
            message = f"{colour} на {look.background}: контраст {shown} при норме 4,5; кассир не прочтёт номер"
            notes.warn(path, "contrast", message, fix)


def _segments_exist(notes: Notes, programme: Programme, card: CardConfig) -> None:
    codes = [rule.code for rule in programme.segments]
    for code in card.segments:
        path = f"{notes.named(f'card.segments.{code}')}.segment"
        if code in codes or not notes.intact("segments", path):
            continue
        near = fields.closest(code, codes)
        fix = f"возможно, «{near}»?" if near else "уберите эту запись или добавьте такой сегмент в раздел segments"
        notes.error_at_path(path, "unknown-segment", f"нет сегмента с кодом {quote(code)}", fix)


def _name_has_room(notes: Notes, card: CardConfig) -> None:
    if card.show_name and len(card.front) > CardConfig.MAX_FRONT_WITH_NAME and notes.intact("card.front"):
        message = f"на лице карты четыре места, имя займёт одно: для front остаётся {CardConfig.MAX_FRONT_WITH_NAME}"
        if notes.written("card.front"):
            notes.error_at_path("card.front", "front-full", message, "уберите одно значение или show_name")
