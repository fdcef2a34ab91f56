"""Lists of sections whose order means nothing: steps, multipliers, holidays, segments.

Owns reading them within a limit, refusing repeated names, and giving them the one order that makes equal rules equal.
Every item keeps its name, so that a rule still finds its line in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from config import fields
from config.section import Keys, Notes, Section, read_list, refuse_repeats

T = TypeVar("T")

MAX_CATEGORIES = 200
MAX_CATEGORY_CHARS = 100
MAX_CODE_CHARS = 32


def read_rows(section: Section, key: str, keys: Keys, like: str, most: int) -> tuple[Section, ...]:
    """The items of an optional list, each a section; none when there are too many."""
    members = section.items(key, like)
    path = section.at(key)
    if len(members) > most:
        message = f"в списке «{key}» больше {most} записей"
        section.notes.error_at_path(path, "too-many", message, "уберите лишние")
        return ()
    return tuple(Section.open(section.notes, node, item_path, node.span, keys) for item_path, node in members)


def in_order(
    rows: Sequence[tuple[Section, T]], at: str, *, name: Callable[[T], str], order: Callable[[T], Any]
) -> tuple[T, ...]:
    """The values sorted; each row becomes known by its place after sorting and by its name."""
    ordered = sorted(rows, key=lambda row: order(row[1]))
    for place, (row, value) in enumerate(ordered):
        row.notes.name_item(row.path, f"{at}[{place}]", f"{at}.{name(value)}")
    return tuple(value for _, value in ordered)


def refuse_same(notes: Notes, rows: Sequence[tuple[Section, str]], key: str, code: str, what: str, *, fix: str) -> None:
    """Notes every row whose value of `key` stands in an earlier row."""
    refuse_repeats(notes, [(row.at(key), value) for row, value in rows], code, what, fix=fix)


def read_categories(section: Section) -> tuple[str, ...]:
    return _words(section, "categories", fields.words(MAX_CATEGORY_CHARS), "[Подарочные сертификаты]")


def read_segment_codes(section: Section) -> tuple[str, ...]:
    """Codes of segments; whether they exist is checked when all sections are read."""
    return _words(section, "segments", code("segment-code", "vip"), "[vip]")


def code(problem: str, like: str) -> Callable[[str], str]:
    """A parser of the short Latin names by which programs know things; `like` is a valid example."""
    pattern = f"[a-z][a-z0-9_]{{0,{MAX_CODE_CHARS - 1}}}"
    return fields.matching(pattern, problem, "код пишется латиницей", f"напишите, например, {like}")


def _words(section: Section, key: str, parse: Callable[[str], str], like: str) -> tuple[str, ...]:
    values = read_list(section, key, parse, (), like=like)
    if len(values) > MAX_CATEGORIES:
        message = f"в списке «{key}» больше {MAX_CATEGORIES} записей"
        section.notes.error_at_path(section.at(key), "too-many", message, "уберите лишние")
    ordered = sorted(values)
    for number, value in enumerate(values):
        path = section.at(key)
        section.notes.name_item(f"{path}[{number}]", f"{path}[{ordered.index(value)}]", f"{path}.{value}")
    return tuple(ordered)
