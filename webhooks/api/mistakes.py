"""What is wrong with a request, field by field, in Russian."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError

MISTAKES_TOLD_MAX = 10
PATH_CHARS_MAX = 128

_WORDS = {
    "missing": "обязательное поле",
    "extra_forbidden": "неизвестное поле",
    "int_type": "нужно целое число",
    "bool_type": "нужно true или false",
    "string_type": "нужна строка",
    "list_type": "нужен список",
    "model_type": "нужен объект",
    "date_type": "нужна дата вида 1990-05-20",
    "datetime_type": "нужно время вида 2026-03-01T09:00:00Z",
    "greater_than_equal": "не меньше {ge}",
    "less_than_equal": "не больше {le}",
    "string_too_short": "не короче {min_length} знаков",
    "string_too_long": "не длиннее {max_length} знаков",
    "too_short": "нужна хотя бы одна строка",
    "too_long": "не больше {max_length} строк",
    "string_pattern_mismatch": "пусто или недопустимые знаки",
    "literal_error": "можно: {expected}",
    "json_invalid": "тело запроса не читается как JSON в UTF-8",
}


def of(failure: ValidationError) -> list[dict[str, str]]:
    """`path` leads to the field with dots; what was given is not repeated."""
    found = failure.errors(include_url=False, include_input=False)[:MISTAKES_TOLD_MAX]
    return [{"path": _path(one["loc"]), "message": _message(one)} for one in found]


def _path(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in loc)[:PATH_CHARS_MAX]


def _message(one: Any) -> str:
    words = _WORDS.get(one["type"])
    if words is not None:
        return words.format(**one.get("ctx", {}))
    return str(one["msg"]) if not one["msg"].isascii() else "значение не подходит"
