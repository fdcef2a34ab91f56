"""Rows of a foreign table as values: phones in one notation, balances in points, everything unreadable with a reason.

Reads cells only; who the person is in our book is `importing_plan.py`. A row with several mistakes names them all, so
that it is mended once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, TypeVar

from flows import phones
from flows.refusals import BadEmail, BadPhone
from loyalty import importing_cells as cells_read
from loyalty.importing import Part, Row
from loyalty.importing_cells import NEVER, Unreadable
from loyalty.importing_columns import TITLES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

    from loyalty.importing import Name
    from loyalty.importing_cells import Cell
    from loyalty.importing_columns import Columns, Field
    from loyalty.rules import SegmentRule

CELL_CHARS_MAX = 1_000
NAME_CHARS_MAX = 200
BORN_FROM = date(1900, 1, 1)
EXPIRES_BEFORE = date(2200, 1, 1)
DIGITS_MAX = 18
_CARD = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{2,30}[0-9A-Za-z]")
_FOREIGN = re.compile(r"(?:00)?([1-9][0-9]{10,14})")

Value = TypeVar("Value")


@dataclass(frozen=True)
class Terms:
    """What a row is measured by. A card number of our own form belongs to a member or to nobody."""

    today: date
    segments: Sequence[SegmentRule]
    card_prefix: str
    card_length: int


def read(number: int, cells: Sequence[Cell], columns: Columns, terms: Terms) -> Row:
    """One row. Nothing in it makes this fail: what is wrong stands in `trouble`."""
    return _Reader(columns, terms, cells).row(number)


def is_empty(cells: Sequence[Cell]) -> bool:
    return all(cells_read.text(cell) == "" for cell in cells)


class _Reader:
    def __init__(self, columns: Columns, terms: Terms, cells: Sequence[Cell]) -> None:
        self._columns = columns
        self._terms = terms
        self._cells = cells
        self._troubles: list[str] = []

    def row(self, number: int) -> Row:
        texts = tuple(self._shown(cell) for cell in self._cells)
        trouble = self._form()
        if trouble is not None:
            return Row(number, texts, trouble=trouble)
        balance = self._try("balance", cells_read.amount)
        birthday = self._try("birthday", self._birthday)
        names = tuple(dict.fromkeys(self._names()))
        if not names and not self._troubles:
            self._troubles.append("неизвестно, кто это: нет ни телефона, ни почты, ни карты, ни контакта")
        points = 0 if balance is None else balance.points
        expires_on = self._try("expires", self._expires) if points else None
        return Row(
            number=number,
            cells=texts,
            names=names,
            name=self._text("name")[:NAME_CHARS_MAX],
            birthday=birthday,
            segment_code=self._try("segment", self._segment),
            part=Part(points, expires_on),
            dropped="0" if balance is None else str(balance.dropped),
            trouble="; ".join(self._troubles) or None,
        )

    def _form(self) -> str | None:
        """Rows that are longer or shorter than the header have their values in foreign columns."""
        width = len(self._columns.headers)
        if any(cells_read.text(cell) for cell in self._cells[width:]):
            return f"ячеек больше, чем заголовков ({len(self._cells)} и {width}): лишний разделитель в строке"
        if len(self._cells) <= max(self._columns.places.values()):
            return f"ячеек меньше, чем заголовков ({len(self._cells)} и {width}): строка оборвана"
        if any(isinstance(cell, str) and len(cell) > CELL_CHARS_MAX for cell in self._cells):
            return f"ячейка длиннее {CELL_CHARS_MAX} знаков: возможно, не закрыта кавычка"
        return None

    def _names(self) -> list[Name]:
        found: list[Name] = [("phone", phone) for phone in self._try("phone", self._phones) or ()]
        contact = self._try("contact", self._contact)
        card = self._try("card", self._card)
        email = self._try("email", self._email)
        found += [("contact", contact)] if contact else []
        found += [("card", card)] if card else []
        return [*found, ("email", email)] if email else found

    def _try(self, field: Field, read: Callable[[Cell], Value]) -> Value | None:
        place = self._columns.places.get(field)
        if place is None:
            return None
        try:
            return read(self._cells[place])
        except (Unreadable, BadPhone, BadEmail) as failure:
            self._troubles.append(f"{TITLES[field]}: {_lowered(str(failure))}")
            return None

    def _text(self, field: Field) -> str:
        place = self._columns.places.get(field)
        return "" if place is None else cells_read.text(self._cells[place])

    def _phones(self, cell: Cell) -> tuple[str, ...]:
        if cells_read.is_blank(cell):
            return ()
        typed = cells_read.long_number(cell)
        found = phones.all_in([typed])
        if found:
            return found
        foreign = _FOREIGN.fullmatch(typed)  # 375291234567: Excel has eaten the plus
        return (phones.normalised(f"+{foreign[1]}" if foreign else typed),)

    def _email(self, cell: Cell) -> str | None:
        return None if cells_read.is_blank(cell) else phones.email(cells_read.text(cell))

    def _card(self, cell: Cell) -> str | None:
        if cells_read.is_blank(cell):
            return None
        number = cells_read.long_number(cell).replace(" ", "")
        if not _CARD.fullmatch(number):
            raise Unreadable("от 4 до 32 латинских букв и цифр")
        return number

    def _contact(self, cell: Cell) -> str | None:
        if cells_read.is_blank(cell):
            return None
        number = cells_read.long_number(cell)
        if not (number.isascii() and number.isdigit() and len(number) <= DIGITS_MAX and int(number) > 0):
            raise Unreadable("это не номер контакта: нужно целое число")
        return str(int(number))

    def _birthday(self, cell: Cell) -> date | None:
        day = cells_read.day(cell, today=self._terms.today)
        if day is not None and not BORN_FROM <= day <= self._terms.today:
            raise Unreadable("такого дня рождения не бывает: проверьте год")
        return day

    def _expires(self, cell: Cell) -> date | None:
        day = cells_read.day(cell, today=self._terms.today + timedelta(days=180))
        if day is None or day == NEVER:
            return day
        if day < self._terms.today:
            raise Unreadable("баллы уже сгорели: обнулите остаток или поправьте дату")
        if day >= EXPIRES_BEFORE:
            raise Unreadable("слишком далёкая дата: проверьте год, или напишите «бессрочно»")
        return day

    def _segment(self, cell: Cell) -> str | None:
        asked = cells_read.text(cell).casefold()
        if not asked or cells_read.is_blank(cell):
            return None
        for rule in self._terms.segments:
            if asked in (rule.code.casefold(), rule.title.casefold()):
                return rule.code
        known = ", ".join(f"«{one.title}»" for one in self._terms.segments) or "нет ни одного"
        raise Unreadable(f"такого нет, в правилах есть {known}; не читать столбец: --map segment=")

    @staticmethod
    def _shown(cell: Cell | Decimal) -> str:
        return cell[:CELL_CHARS_MAX] if isinstance(cell, str) else cells_read.text(cell)


def is_own_card(number: str, terms: Terms) -> bool:
    """A number that this installation may give to somebody one day."""
    return number.isdigit() and len(number) == terms.card_length and number.startswith(terms.card_prefix)


def _lowered(reason: str) -> str:
    return reason[:1].lower() + reason[1:] if reason[:2] != "Ex" else reason
