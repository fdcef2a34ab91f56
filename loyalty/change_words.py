"""How a rule is named and its value shown when it changes: the kinds of entries of `change_table.py`.

Owns the shapes and the ways of showing a value; which rule is called what is the table's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from loyalty.phrases import span
from loyalty.rules import Duration

Who = Literal["all", "base rate", "base share", "segment", "listed", "birthday", "welcome", "staff"]
"""Members whom a rule concerns: all; those without a rate (a share) of their segment's own; those of the segment it
stands in; of the segments it lists; those whose birthday is known; who buys first (or joins) from now on; nobody."""

Show = Callable[[Any], str]


@dataclass(frozen=True)
class Word:
    """A rule that is one value. `key`: its place in the file under its section; `name` continues «Изменится …»;
    `none` is said of a value that is not set."""

    key: str
    name: str
    show: Show
    none: str = "не задано"
    who: Who | None = None


@dataclass(frozen=True)
class Part:
    """A section, or one that may be absent; `title` continues «Добавится …», `of` follows the names inside it."""

    key: str
    title: str = ""
    of: str = ""
    who: Who | None = None


@dataclass(frozen=True)
class Items:
    """A list whose items are known by the field `by`; `title` and `of` are made of an item."""

    key: str
    by: str
    title: Show
    of: Show
    who: Who | None = None


def quoted(value: Any) -> str:
    return f"«{value}»"


def listing(value: tuple[Any, ...]) -> str:
    return ", ".join(length(one) if isinstance(one, Duration) else str(one) for one in value) or "пусто"


def length(value: Duration) -> str:
    """A span that is not a delay: zero is «0 дней»."""
    return "0 дней" if value.is_zero else span(value)


def yes_no(value: bool) -> str:
    return "да" if value else "нет"


def days_of_week(value: tuple[int, ...]) -> str:
    return ", ".join(("пн", "вт", "ср", "чт", "пт", "сб", "вс")[one] for one in value) or "любые"


def any_or_listed(value: tuple[str, ...]) -> str:
    return ", ".join(value) or "любые"


@dataclass(frozen=True)
class OneOf:
    """Words of a closed list; shown as they are where a list grows faster than this table."""

    words: Mapping[Any, str] = field(default_factory=dict)

    def __call__(self, value: Any) -> str:
        return self.words.get(value, str(value))
