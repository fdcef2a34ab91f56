"""Cells of a foreign table as values: sums, days, long numbers, with what Excel does to them mended or refused.

Pure. What cannot be read for certain is refused with a Russian reason that ends with the mend: a guessed balance is
worse than a row a person must look at. Phones are read by `flows/phones.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

Cell = str | Decimal | date
"""A number of a workbook comes with the 15 significant digits that Excel keeps."""

POINTS_MAX = 10_000_000
NEVER = date.max
"""The day of points that do not burn."""

_SPACES = re.compile("[\\s\u00a0\u2000-\u200b\u202f\u205f\u2060\u3000\ufeff]+")
_WRAPPED = re.compile(r'=\s*"([^"]*)"')
_SCIENTIFIC = re.compile(r"([0-9]+)(?:[.,]([0-9]+))?[eEеЕ]\+?([0-9]{1,3})")
_WHOLE = re.compile(r"([0-9]+)[.,]0+")
_UNITS = re.compile(r"\s*(?:руб(?:\.|лей|ля|ль)?|р\.?|₽|rub|балл(?:ов|а|ы)?\.?|бонус(?:ов|а|ы)?|б\.?|points?|pts)$")
_SPACED = re.compile(r"[0-9]{1,3}(?:[ '’][0-9]{3})+(?![0-9])")
_GROUPED = {mark: re.compile(rf"[0-9]{{1,3}}(?:{re.escape(mark)}[0-9]{{3}})+") for mark in ".,"}
_EITHER = re.compile(r"[1-9][0-9]{0,2}[.,][0-9]{3}")
_PLAIN = re.compile(r"[0-9]{1,30}(?:\.[0-9]{1,30})?")
_MINUS = "-−–—"
_DAY = re.compile(r"([0-9]{1,2})([./-])([0-9]{1,2})\2([0-9]{4})(?:[ ,T].*)?")
_ISO = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[ T].*)?")
_SERIAL = re.compile(r"[0-9]{1,5}(?:[.,][0-9]+)?")
_SERIAL_ZERO = date(1899, 12, 30)
_NEVER_WORDS = frozenset({"бессрочно", "без срока", "никогда", "не сгорают", "never"})
_AS_TEXT = "выгрузите столбец как текст"


class Unreadable(Exception):
    """The cell says nothing certain; the text is for the owner."""


@dataclass(frozen=True)
class Amount:
    """Whole points, and the fraction that was left out."""

    points: int
    dropped: Decimal = Decimal(0)


def text(cell: Cell) -> str:
    """The cell in one line, without the tricks by which tables keep Excel's hands off: ="…" and a leading '."""
    if isinstance(cell, Decimal):
        return f"{cell:f}"
    if isinstance(cell, date):
        return f"{cell:%d.%m.%Y}"
    plain = _SPACES.sub(" ", cell).strip()
    wrapped = _WRAPPED.fullmatch(plain)
    return (wrapped[1] if wrapped else plain.removeprefix("'")).strip()


def is_blank(cell: Cell) -> bool:
    return text(cell) in ("", *_MINUS)


def long_number(cell: Cell) -> str:
    """A phone, a card or an id as its owner wrote it: 7.9161234567E+10 and 79161234567.0 -> 79161234567. What is no
    number stays as it is. Raises Unreadable where Excel has rounded digits away."""
    if isinstance(cell, date):
        raise Unreadable(f"Excel превратил номер в дату: {_AS_TEXT}")
    if isinstance(cell, Decimal):
        if cell != cell.to_integral_value():
            return f"{cell:f}"
        if int(cell.as_tuple().exponent) > 0:
            raise Unreadable(f"Excel округлил номер, последних цифр в файле нет: {_AS_TEXT}")
        return f"{int(cell)}"
    plain = _no_error(text(cell))
    scientific = _SCIENTIFIC.fullmatch(plain.replace(" ", ""))
    if scientific:
        head, tail, power = scientific[1], scientific[2] or "", int(scientific[3])
        if len(tail) < power or tail[power:].strip("0"):
            raise Unreadable(f"Excel округлил номер, последних цифр в файле нет: {_AS_TEXT}")
        return head + tail[:power]
    whole = _WHOLE.fullmatch(plain)
    return whole[1] if whole else plain


def amount(cell: Cell) -> Amount:
    """A balance in points; an empty cell is none. Raises Unreadable for less than nothing, too much, and what may mean
    two things («1,234»)."""
    if isinstance(cell, date):
        raise Unreadable("вместо остатка дата: Excel превратил в неё число; выгрузите столбец числом")
    value = cell if isinstance(cell, Decimal) else _number(_no_error(text(cell)).casefold())
    if value < 0:
        raise Unreadable("остаток меньше нуля: долги не переносим, поставьте 0")
    if value > POINTS_MAX:
        raise Unreadable(f"остаток больше {POINTS_MAX}: проверьте, баллы ли это")
    whole = int(value)
    return Amount(whole, value - whole)


def day(cell: Cell, *, today: date) -> date | None:
    """A day: 31.12.2026, 2026-12-31, or Excel's serial number. None: the cell is empty. NEVER: «бессрочно». Raises
    Unreadable, for two digits of a year too. `today` only makes the example in the reason."""
    if isinstance(cell, date):
        return cell
    plain = text(cell)
    if is_blank(cell):
        return None
    if plain.casefold() in _NEVER_WORDS:
        return NEVER
    _no_error(plain)
    if _SERIAL.fullmatch(plain):
        return _SERIAL_ZERO + timedelta(days=int(Decimal(plain.replace(",", "."))))
    iso, local = _ISO.fullmatch(plain), _DAY.fullmatch(plain)
    parts = (iso[1], iso[2], iso[3]) if iso else (local[4], local[3], local[1]) if local else None
    if parts is None:
        raise Unreadable(f"непонятная дата: напишите вида {today:%d.%m.%Y}")
    year, month, number = map(int, parts)
    if local and local[2] == "/" and month != number and max(month, number) <= 12:
        raise Unreadable(f"непонятно, где день, а где месяц: напишите вида {today:%d.%m.%Y}")
    try:
        return date(year, month, number)
    except ValueError as failure:
        raise Unreadable(f"такого дня нет: напишите вида {today:%d.%m.%Y}") from failure


def _number(plain: str) -> Decimal:
    if plain in ("", *_MINUS):
        return Decimal(0)
    bare = _UNITS.sub("", plain).strip()
    is_negative = False
    if bare.startswith("(") and bare.endswith(")"):
        is_negative, bare = True, bare[1:-1].strip()
    elif bare[:1] in tuple(_MINUS) or bare[-1:] in tuple(_MINUS):
        is_negative, bare = True, bare.strip(_MINUS).strip()
    scientific = _SCIENTIFIC.fullmatch(bare)
    value = Decimal(long_number(bare)) if scientific else _decimal(bare.removeprefix("+"))
    return -value if is_negative else value


def _decimal(bare: str) -> Decimal:
    spaced = _SPACED.match(bare)
    if spaced:
        bare = re.sub("[ '’]", "", spaced[0]) + bare[spaced.end() :]
    elif _EITHER.fullmatch(bare):
        whole = re.sub("[.,]", "", bare)
        raise Unreadable(f"непонятно, {whole} или {bare.replace('.', ',')}: напишите без разделителя тысяч")
    decimal = max(bare.rfind("."), bare.rfind(","))
    mark = bare[decimal] if decimal >= 0 else ""
    if mark and bare.count(mark) > 1:  # 1,234,567
        bare = bare.replace(mark, "") if _GROUPED[mark].fullmatch(bare) else ""
    elif mark:
        other, (head, tail) = "," if mark == "." else ".", (bare[:decimal], bare[decimal + 1 :])
        if other in head:
            head = head.replace(other, "") if _GROUPED[other].fullmatch(head) else ""
        bare = f"{head}.{tail}"
    if not _PLAIN.fullmatch(bare):
        raise Unreadable("остаток не похож на число: напишите, например, 500")
    return Decimal(bare)


def _no_error(plain: str) -> str:
    if plain.startswith("#"):
        raise Unreadable("в ячейке ошибка Excel: исправьте формулу и сохраните файл снова")
    return plain
