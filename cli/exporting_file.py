"""Tables for Excel, row by row: CSV that opens in Russian, or XLSX that never holds more than a row in memory.

Owns how a file appears: whole, under its name, readable by its owner and his group, or not at all. A text that a
spreadsheet would take for a formula is written as a text.
"""

from __future__ import annotations

import csv
import os
import tempfile
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import xlsxwriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SUFFIXES = (".csv", ".xlsx")
XLSX_ROWS_MAX = 1_048_575
"""Of a sheet of Excel, below its headers."""
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
_WIDTH = 20

Value = str | int | date | None


class TooLong(Exception):
    """More rows than a sheet has."""


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file beside `path` that becomes it at the end, unless something fails. Raises OSError."""
    descriptor, name = tempfile.mkstemp(dir=path.parent or Path(), prefix=".kopilka-", suffix=path.suffix)
    partial = Path(name)
    try:
        os.close(descriptor)
        yield partial
        partial.chmod(0o640)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write(path: Path, headers: Sequence[str], rows: Iterable[Sequence[Value]]) -> None:
    """Writes the whole table or nothing. Raises OSError, TooLong."""
    with whole(path) as partial:
        (_write_csv if path.suffix.lower() == ".csv" else _write_xlsx)(partial, headers, rows)


def harmless(text: str) -> str:
    """A text that no spreadsheet calculates."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _write_csv(path: Path, headers: Sequence[str], rows: Iterable[Sequence[Value]]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.writer(file, delimiter=";")
        table.writerow(headers)
        table.writerows([_in_csv(value) for value in row] for row in rows)


def _in_csv(value: Value) -> str:
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, date):
        return f"{value:%d.%m.%Y}"
    return "" if value is None else str(value)


def _write_xlsx(path: Path, headers: Sequence[str], rows: Iterable[Sequence[Value]]) -> None:
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    book = xlsxwriter.Workbook(path, {**options, "default_date_format": "dd.mm.yyyy"})
    try:
        _fill(book, headers, rows)
    finally:
        book.close()  # its temporary files too


def _fill(book: xlsxwriter.Workbook, headers: Sequence[str], rows: Iterable[Sequence[Value]]) -> None:
    bold = book.add_format({"bold": True, "bottom": 1})
    sheet = book.add_worksheet("Участники")
    sheet.set_column(0, len(headers) - 1, _WIDTH)
    sheet.freeze_panes(1, 0)
    for column, header in enumerate(headers):
        sheet.write_string(0, column, header, bold)
    for number, row in enumerate(rows, start=1):
        if number > XLSX_ROWS_MAX:
            raise TooLong
        for column, value in enumerate(row):
            if isinstance(value, str):
                sheet.write_string(number, column, value)
            elif isinstance(value, date):
                sheet.write_datetime(number, column, value)
            elif value is not None:
                sheet.write_number(number, column, value)
