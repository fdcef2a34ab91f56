"""What a value of pass.json may be: text, number, colour, instant with a zone. Owns the forms, names no key."""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from wallet.verdict import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wallet.verdict import Faults

    Json = dict[str, Any]

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)")
_TRIPLE = re.compile(r"rgb\(\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*\)")
_OTHER_COLOUR = re.compile(r"#[0-9a-fA-F]{6}|rgba\((\s*\d{1,3}\s*,){3}\s*[01](\.\d+)?\s*\)")


def is_text(value: object) -> bool:
    return isinstance(value, str)


def is_flag(value: object) -> bool:
    return isinstance(value, bool)


def is_object(value: object) -> bool:
    return isinstance(value, dict)


def is_list(value: object) -> bool:
    return isinstance(value, list)


def is_anything(value: object) -> bool:  # noqa: ARG001 - one of the kinds
    return True


def is_number(value: object) -> bool:
    """Finite: JSON of 1e999 becomes an infinity."""
    return is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_instant(value: object) -> bool:
    """W3C date and time with minutes and a zone."""
    if not isinstance(value, str) or _INSTANT.fullmatch(value) is None:
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def is_triple(value: object) -> bool:
    """rgb(r, g, b), each 0 to 255."""
    match = _TRIPLE.fullmatch(value) if isinstance(value, str) else None
    return match is not None and all(int(part) <= 255 for part in match.groups())


def is_other_colour(value: object) -> bool:
    """#RRGGBB and rgba(r, g, b, a): undocumented, but cards in phones have them, Apple's own among these."""
    return isinstance(value, str) and _OTHER_COLOUR.fullmatch(value) is not None


_KIND_WORDS: Mapping[Callable[[object], bool], str] = {
    is_text: "строка в кавычках",
    is_flag: "true или false",
    is_object: "объект { }",
    is_list: "список [ ]",
    is_number: "число без кавычек",
    is_whole: "целое число без кавычек",
}


def check_kinds(where: str, values: Json, kinds: Mapping[str, Callable[[object], bool]], faults: Faults) -> Json:
    """The known values that have the right type. Nulls and wrong types of known keys are errors; keys that Wallet does
    not know are ignored by it, which a misspelt one shows only by its absence."""
    good: Json = {}
    for key, value in values.items():
        name = f"{where}{shown(key)}"
        if key not in kinds:
            mend = "проверьте, нет ли опечатки, или уберите его"
            faults.warning("unknown-key", f"ключ {name} Wallet не знает", mend)
        elif value is None:
            faults.error(
                "null", f"у ключа {name} значение null", "уберите ключ целиком: пустых значений Wallet не ждёт"
            )
        elif not kinds[key](value):
            word = _KIND_WORDS.get(kinds[key], "другое")
            faults.error("wrong-type", f"значение {name} не того вида: {shown(value)}", f"нужно: {word}")
        else:
            good[key] = value
    return good
