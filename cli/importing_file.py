"""A table somebody else has made: CSV in any of the encodings Excel writes, or the values of an XLSX sheet.

Owns the forms of files and their named limits. CSV is read as a stream; formulas are never calculated, their last
values are read. What the cells mean is `loyalty/importing_cells.py`.
"""

from __future__ import annotations

import codecs
import csv
import math
import re
import zipfile
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
    WorksheetNotFound,
    XmlError,
    ZipError,
)

from loyalty.importing_cells import Cell, text
from loyalty.importing_columns import plain, recognised

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

CSV_MB_MAX = 500
XLSX_MB_MAX = 100
UNPACKED_MB_MAX = 1_000
COLUMNS_MAX = 200
XLSX_CELLS_MAX = 10_000_000
"""Rows times columns of the largest sheet: all of it is laid out in memory."""
HEADER_ROWS_MAX = 15
"""A title may stand above the headers, but not a page of it."""
HEADER_CHARS_MAX = 100
_HEAD_BYTES = 65_536
_MARKLESS_BYTES = 400
_CHUNK_BYTES = 1 << 20
_MB = 1_000_000
_DELIMITERS = {";": "точка с запятой", "\t": "табуляция", ",": "запятая"}
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_PLACE = re.compile(rb'\br="([A-Z]{1,3})([0-9]{1,7})"')
_BROKEN = (CalamineError, XmlError, ZipError, zipfile.BadZipFile, zipfile.LargeZipFile)

Numbered = tuple[int, "Sequence[Cell]"]


class FileUnreadable(Exception):
    """The file as a whole cannot be read; `mend` says what to do."""

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend


@dataclass(frozen=True)
class Table:
    """`form`: what kind of file it is, for the owner. `rows` below the headers, each with its number in the file; they
    can be read once, and raise FileUnreadable in the middle too."""

    form: str
    headers: tuple[str, ...]
    rows: Iterator[Numbered]


def open_table(path: Path, *, sheet: str | None = None, named: Collection[str] = ()) -> Table:
    """Opens the file, whatever it is called. `named`: headers that the owner says are there. Raises FileUnreadable,
    OSError."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(b"PK\x03\x04"):
        _within(size, XLSX_MB_MAX)
        return _xlsx(path, sheet, named)
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise FileUnreadable("Это книга .xls или файл с паролем", "снимите пароль и сохраните как «Книга Excel .xlsx»")
    if sheet is not None:
        raise FileUnreadable("Листы бывают только у .xlsx", "уберите --sheet")
    if not head.strip(b"\x00\xff\xfe\xef\xbb\xbf \r\n\t"):
        raise FileUnreadable("Файл пуст", "выгрузите таблицу снова")
    _within(size, CSV_MB_MAX)
    return _csv(path, head, named)


def _within(size: int, most_mb: int) -> None:
    if size > most_mb * _MB:
        mend = f"до {most_mb} МБ; разделите таблицу на части и внесите их с одним --name"
        raise FileUnreadable(f"Файл слишком велик: {size // _MB} МБ", mend)


def _csv(path: Path, head: bytes, named: Collection[str]) -> Table:
    encoding = _encoding(path, head)
    lines = head.decode(encoding, "ignore").splitlines()
    said = re.fullmatch(r'"?sep=(.)"?', lines[0]) if lines else None
    delimiter = said[1] if said else _delimiter(lines, named)
    form = f"CSV, {encoding.removesuffix('-sig').upper()}, {_DELIMITERS.get(delimiter, repr(delimiter))}"
    records = _records(path, encoding, delimiter)
    return _table(form, islice(records, 1, None) if said else records, named)


def _encoding(path: Path, head: bytes) -> str:
    """UTF-16 and UTF-8 by their marks or their bytes; what is no UTF-8 is Windows' Cyrillic."""
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return encoding
    high = head[1:_MARKLESS_BYTES:2]
    if sum(byte in (0x00, 0x04) for byte in high) > len(high) * 3 // 4:  # Latin and Cyrillic
        return "utf-16-le"
    decoder = codecs.getincrementaldecoder("utf-8")()
    done = 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                decoder.decode(chunk)
                done += len(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as failure:
        top = head.split(b"\n", 1)[0]
        if _is_utf8(top) and not top.isascii():
            message = f"Файл в UTF-8 повреждён около байта {done + failure.start}"
            raise FileUnreadable(message, "выгрузите таблицу снова") from failure
        return "cp1251"
    return "utf-8"


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _delimiter(lines: Sequence[str], named: Collection[str]) -> str:
    """The one by which a header row falls into the most columns we know, else into the most columns."""

    def score(delimiter: str) -> tuple[int, int]:
        try:
            rows = list(islice(csv.reader(lines, delimiter=delimiter), HEADER_ROWS_MAX))
        except csv.Error:
            return 0, 0
        return max((_known(row, named) for row in rows), default=0), max(map(len, rows), default=0)

    return max(_DELIMITERS, key=score)


def _records(path: Path, encoding: str, delimiter: str) -> Iterator[Numbered]:
    number = 0
    try:
        with path.open(encoding=encoding, newline="") as file:
            for number, record in enumerate(csv.reader(file, delimiter=delimiter), start=1):
                yield number, record
    except csv.Error as failure:
        message = f"После строки {number} не закрыта кавычка, или ячейка слишком длинная"
        raise FileUnreadable(message, "исправьте эту строку и повторите: внесённое не повторится") from failure
    except UnicodeDecodeError as failure:
        mend = "сохраните файл как «CSV UTF-8» и повторите"
        raise FileUnreadable(f"После строки {number} знаки не в кодировке {encoding}", mend) from failure


def _xlsx(path: Path, sheet: str | None, named: Collection[str]) -> Table:
    try:
        _measure(path)
        with CalamineWorkbook.from_path(path) as book:
            found = _sheet(book, sheet)
            return _table(f"XLSX, лист «{_shown(found.name)}»", _cells(found), named)
    except PasswordError as failure:
        raise FileUnreadable("Книга закрыта паролем", "снимите пароль и сохраните её снова") from failure
    except _BROKEN as failure:
        raise FileUnreadable("Книга .xlsx повреждена", "откройте её в Excel и сохраните снова") from failure


def _measure(path: Path) -> None:
    """One stray cell in the last column of Excel would be laid out as a thousand million empty ones."""
    with zipfile.ZipFile(path) as archive:
        if sum(one.file_size for one in archive.infolist()) > UNPACKED_MB_MAX * _MB:
            raise FileUnreadable(f"Книга больше {UNPACKED_MB_MAX} МБ", "сохраните нужный лист как CSV")
        for one in archive.namelist():
            if one.startswith("xl/worksheets/") and one.endswith(".xml"):
                with archive.open(one) as file:
                    rows, columns = _extent(iter(lambda file=file: file.read(_CHUNK_BYTES), b""))  # type: ignore[misc]
                if rows * columns > XLSX_CELLS_MAX:
                    message = f"На листе {rows} строк и {columns} столбцов, считая пустые"
                    raise FileUnreadable(message, "удалите лишние строки и столбцы или сохраните лист как CSV")


def _extent(chunks: Iterable[bytes]) -> tuple[int, int]:
    rows, columns, rest = 0, b"", b""
    for chunk in chunks:
        window = rest + chunk
        for letters, digits in _PLACE.findall(window):
            rows = max(rows, int(digits))
            columns = max(columns, letters.rjust(3, b"@"))
        rest = window[-32:]
    number = 0
    for letter in columns.replace(b"@", b""):
        number = number * 26 + letter - 64
    return rows, number


def _sheet(book: CalamineWorkbook, name: str | None) -> CalamineSheet:
    shown = [
        one.name
        for one in book.sheets_metadata
        if one.typ == SheetTypeEnum.WorkSheet and one.visible == SheetVisibleEnum.Visible
    ]
    if name is None and not shown:
        raise FileUnreadable("В книге нет видимых листов", "откройте её в Excel и сохраните снова")
    try:
        return book.get_sheet_by_name(shown[0] if name is None else name)
    except WorksheetNotFound as failure:
        known = ", ".join(f"«{_shown(one)}»" for one in shown)
        raise FileUnreadable(f"В книге нет листа «{name}»", f"есть листы: {known}") from failure


def _cells(sheet: CalamineSheet) -> Iterator[Numbered]:
    for number, row in enumerate(sheet.iter_rows(), start=1):
        yield number, [_cell(one) for one in row]


def _cell(value: Any) -> Cell:
    """What Excel keeps: fifteen digits of a number, days without times."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return Decimal(f"{value:.15g}") if math.isfinite(value) else "#NUM!"
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else str(value)


def _table(form: str, rows: Iterator[Numbered], named: Collection[str]) -> Table:
    """Finds the row of headers."""
    top = list(islice(rows, HEADER_ROWS_MAX))
    filled = [place for place, (_, cells) in enumerate(top) if any(text(cell) for cell in cells)]
    if not filled:
        raise FileUnreadable("В таблице нет строк", "выгрузите её снова, с заголовками столбцов")
    place = max(filled, key=lambda one: (_known(top[one][1], named), -one))
    headers = [_shown(text(cell)) for cell in top[place][1]]
    while headers and not headers[-1]:
        headers.pop()
    if len(headers) > COLUMNS_MAX:
        raise FileUnreadable(f"Столбцов {len(headers)}", f"оставьте не больше {COLUMNS_MAX}")
    return Table(form, tuple(headers), chain(top[place + 1 :], rows))


def _known(cells: Sequence[Cell], named: Collection[str]) -> int:
    texts = [text(cell)[:HEADER_CHARS_MAX] for cell in cells[:COLUMNS_MAX]]
    wanted = {plain(one) for one in named if one}
    return recognised(texts) + len(wanted & set(map(plain, texts)))


def _shown(name: str) -> str:
    return "".join(one for one in name[:HEADER_CHARS_MAX] if one.isprintable())
