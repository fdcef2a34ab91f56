"""The rows of an import between reading and writing: on disk, because a table may be larger than memory.

Owns the nameless temporary file and who stands in the table twice. Memory holds eight bytes for each name, and whole
rows only of those who repeat.
"""

from __future__ import annotations

import json
import tempfile
from array import array
from dataclasses import dataclass, field
from datetime import date
from hashlib import blake2b
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, Literal

from loyalty.importing import Part, Repeat, Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loyalty.importing import Name

Duplicates = Literal["error", "sum"]
_BUCKETS = 64
_ROWS_NAMED_MAX = 5


class Spool:
    """Rows in the order of the file. Written once, then read as often as needed."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("w+", encoding="utf-8", errors="surrogatepass", newline="\n")  # noqa: SIM115
        self._hashes = [array("Q") for _ in range(_BUCKETS)]
        self.rows = 0

    def add(self, row: Row) -> None:
        self._file.write(json.dumps(_packed(row), ensure_ascii=False))
        self._file.write("\n")
        self.rows += 1
        for name in row.names:
            known_by = _hash(name)
            self._hashes[known_by % _BUCKETS].append(known_by)

    def __iter__(self) -> Iterator[Row]:
        self._file.seek(0)
        for line in self._file:
            yield _unpacked(json.loads(line))

    def batches(self, size: int) -> Iterator[list[Row]]:
        rows = iter(self)
        while batch := list(islice(rows, size)):
            yield batch

    def close(self) -> None:
        self._file.close()

    def repeats(self, duplicates: Duplicates) -> Repeats:
        """Who stands in the table more than once."""
        twice: set[int] = set()
        for bucket in self._hashes:
            ordered = sorted(bucket)
            twice.update(one for one, following in pairwise(ordered) if one == following)
        found = Repeats(duplicates)
        if twice:
            for row in self:
                found.note(row, twice)
            found.finish()
        return found


@dataclass
class _Group:
    """Rows that begin with the same name: one person's."""

    rows: list[int] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    is_troubled: bool = False
    is_mixed: bool = False


class Repeats:
    """What is known of those who repeat."""

    def __init__(self, duplicates: Duplicates) -> None:
        self._is_summed = duplicates == "sum"
        self._rows: dict[int, list[int]] = {}
        self._leaders: dict[int, set[int]] = {}
        self._groups: dict[int, _Group] = {}

    def note(self, row: Row, twice: set[int]) -> None:
        hashes = [_hash(name) for name in row.names]
        repeated = twice.intersection(hashes)
        if not repeated:
            return
        for one in repeated:
            self._rows.setdefault(one, []).append(row.number)
            self._leaders.setdefault(one, set()).add(hashes[0])
        group = self._groups.setdefault(hashes[0], _Group())
        group.rows.append(row.number)
        group.parts.append(row.part)
        group.is_troubled |= row.trouble is not None

    def finish(self) -> None:
        """All rows are noted: a name that two persons share spoils both."""
        for leaders in self._leaders.values():
            if len(leaders) > 1:
                for leader in leaders:
                    self._groups[leader].is_mixed = True

    def of(self, row: Row) -> Repeat | None:
        """None: this person stands in the table once."""
        if not self._rows or not row.names:
            return None
        shared = [one for one in map(_hash, row.names) if one in self._rows]
        if not shared:
            return None
        rows = sorted({number for one in shared for number in self._rows[one]})
        named = ", ".join(map(str, rows[:_ROWS_NAMED_MAX])) + (" и ещё" if len(rows) > _ROWS_NAMED_MAX else "")
        group = self._groups[_hash(row.names[0])]
        if not self._is_summed:
            return Repeat(f"один покупатель в строках {named}: оставьте одну, или сложите: --duplicates=sum")
        if group.is_mixed:
            return Repeat(f"в строках {named} общие почта, карта или контакт, а люди разные: уточните")
        if group.is_troubled:
            return Repeat(f"один покупатель в строках {named}, и в одной из них ошибка: исправьте её")
        return Repeat(None, is_first=row.number == group.rows[0], parts=tuple(group.parts))


def _hash(name: Name) -> int:
    """Two of a million names fall together once in thirty million imports."""
    digest = blake2b(f"{name[0]}:{name[1]}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _packed(row: Row) -> list[Any]:
    part = row.part
    return [
        row.number,
        row.cells,
        row.names,
        row.name,
        None if row.birthday is None else row.birthday.isoformat(),
        row.segment_code,
        part.points,
        None if part.expires_on is None else part.expires_on.isoformat(),
        row.dropped,
        row.trouble,
    ]


def _unpacked(data: list[Any]) -> Row:
    number, cells, names, name, birthday, segment_code, points, expires_on, dropped, trouble = data
    return Row(
        number=number,
        cells=tuple(cells),
        names=tuple((kind, value) for kind, value in names),
        name=name,
        birthday=None if birthday is None else date.fromisoformat(birthday),
        segment_code=segment_code,
        part=Part(points, None if expires_on is None else date.fromisoformat(expires_on)),
        dropped=dropped,
        trouble=trouble,
    )
