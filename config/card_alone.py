"""The `card` section read by itself: for setting Wallet up while the rest of the rules file is still being written.

Owns nothing but that order: every rule is `card_section`'s. Absent secrets and files are warnings here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from config.card_section import read_card
from config.model import CardConfig
from config.problems import Problem, Span, error_at, in_file_order
from config.programme import ROOT_KEYS
from config.secret_fields import Outside
from config.section import Notes, Section
from config.strict_yaml import MAX_BYTES, read_yaml

_START = Span(1, 1)


@dataclass(frozen=True)
class CardAlone:
    """`card` is None when the file cannot be read. `written`: which of `apple` and `google` the file has at all."""

    card: CardConfig | None
    problems: tuple[Problem, ...]
    written: frozenset[str] = frozenset()


def read_card_alone(path: Path, env: Mapping[str, str]) -> CardAlone:
    """The card of a file that may be half-filled. Never raises for bad content."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError):
        mend = "укажите путь ключом --file или переменной PROGRAMME"
        return CardAlone(None, (error_at(_START, "file-missing", f"файл правил {path} не открывается", mend),))
    document = read_yaml(data)
    if document.root is None:
        empty = error_at(_START, "empty-file", "файл правил пуст", "начните с образца config/programme.yaml поставки")
        return CardAlone(None, document.problems or (empty,))
    notes = Notes(problems=list(document.problems))
    root = Section.open(notes, document.root, "", _START, ROOT_KEYS)
    card = read_card(root, Outside(env, path.parent, required=False))
    written = frozenset(name for name in ("apple", "google") if notes.written(f"card.{name}"))
    return CardAlone(card, in_file_order(notes.problems), written)
