"""Rows that an import left to a person: a table like the owner's, with the row's number and the reason beside.

Owns those files and their names. Until the import has ended they lie on disk without a name, so a killed run leaves
nothing behind.
"""

from __future__ import annotations

import csv
import tempfile
from typing import TYPE_CHECKING

from cli.exporting_file import harmless, whole
from loyalty.importing_columns import REASON_HEADER, ROW_HEADER, is_own

if TYPE_CHECKING:
    from pathlib import Path

    from loyalty.importing import Row
    from loyalty.importing_columns import Columns

REJECTS = ".rejects.csv"
CHANGED = ".changed.csv"
_CHUNK_CHARS = 1 << 20


class NotKept(Exception):
    """The file cannot be written."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason


class Left:
    """Rows of one kind, in the order of the file. What an earlier import has written beside them is left out."""

    def __init__(self, read_as: Columns) -> None:
        headers = read_as.headers
        self._width = len(headers)
        self._places = [place for place, header in enumerate(headers) if not is_own(header)]
        self._headers = [headers[place] for place in self._places]
        self._file = tempfile.TemporaryFile("w+", encoding="utf-8", newline="")  # noqa: SIM115 - closed by __exit__
        self._table = csv.writer(self._file, delimiter=";")
        self._rows = 0

    def __enter__(self) -> Left:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, row: Row, reason: str) -> None:
        """The cells as they stood; what stood beyond the headers comes last."""
        cells = [row.cells[place] if place < len(row.cells) else "" for place in self._places]
        told = [*cells, str(row.number), reason, *row.cells[self._width :]]
        self._table.writerow([harmless(cell) for cell in told])
        self._rows += 1

    def keep(self, path: Path) -> Path | None:
        """Writes them under this name, or the next free one: somebody may be mending the last ones. None: there are no
        such rows. Raises NotKept."""
        if self._rows == 0:
            return None
        self._file.seek(0)
        free = _free(path)
        try:
            with whole(free) as partial, partial.open("w", encoding="utf-8-sig", newline="") as file:
                csv.writer(file, delimiter=";").writerow([*self._headers, ROW_HEADER, REASON_HEADER])
                while chunk := self._file.read(_CHUNK_CHARS):
                    file.write(chunk)
        except OSError as failure:
            raise NotKept(free, failure.strerror or str(failure)) from failure
        return free


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _free(path: Path) -> Path:
    """The name itself, or with a number before the endings: balances.csv-2.rejects.csv."""
    own = path.name.removesuffix(CHANGED).removesuffix(REJECTS)
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{own}-{number}{path.name[len(own) :]}")
    return free
