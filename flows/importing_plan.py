"""What an import will do with a few rows: the members they name, looked up together, and a verdict for each row.

The same code says what a plan shows (nothing locked) and what is then done (everything locked first).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flows import importing_rows
from loyalty.importing import Known, Verdict, is_credited, judge, key_of
from storage import importing as storage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from flows.importing_rows import Terms
    from flows.importing_spool import Repeats
    from loyalty.importing import Name, Repeat, Row
    from storage.importing import Found

LOOKS_MAX = 5
"""Members may be merged while we wait for their locks; nobody is merged that often."""


class Restless(Exception):
    """The members of these rows are merged again and again while we look."""


class Met:
    """Members who stood in the file already: one bit for each id."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def __contains__(self, member_id: int) -> bool:
        place, bit = divmod(member_id, 8)
        return place < len(self._bits) and bool(self._bits[place] & 1 << bit)

    def add(self, member_id: int) -> None:
        place, bit = divmod(member_id, 8)
        if place >= len(self._bits):
            self._bits.extend(bytes(place + 1 - len(self._bits) + 4_096))
        self._bits[place] |= 1 << bit


@dataclass(frozen=True)
class Judged:
    """Rows with their verdicts, and the members these speak of."""

    verdicts: Sequence[tuple[Row, Verdict]]
    found: Mapping[int, Found]


@dataclass(frozen=True)
class Judge:
    """What stays the same for all rows of an import. `met` grows with what was committed; `also_credited`: people whom
    another import has credited get these points too."""

    import_name: str
    terms: Terms
    repeats: Repeats
    met: Met
    also_credited: bool = False

    def look(self, tx: sa.Connection, rows: Sequence[Row], *, now: datetime, lock: bool) -> Judged:
        """Verdicts for these rows; with `lock` they stay true until the transaction ends. Raises Restless."""
        repeats = [self.repeats.of(row) for row in rows]
        names = list(dict.fromkeys(name for row in rows if row.trouble is None for name in row.names))
        if lock:
            storage.lock_names(tx, names)
        ids, found = _members(tx, names, now=now, lock=lock)
        keys = [key_of(self.import_name, row.names[0]) for row in rows if row.names]
        credited: dict[int, dict[str, int]] = {}
        owners: dict[str, int] = {}
        for key, member_id, points in storage.credited(tx, found, keys):
            credited.setdefault(member_id, {})[key] = points
            owners[key] = member_id
        known = Known(ids, {one: found[one].person for one in found}, credited, owners)
        return Judged(self._verdicts(rows, repeats, known), found)

    def remember(self, judged: Judged) -> None:
        """These rows are done: whoever of the next ones names the same members stands in the file twice."""
        for _, verdict in judged.verdicts:
            if verdict.member_id is not None and verdict.outcome in ("update", "same", "changed"):
                self.met.add(verdict.member_id)

    def _verdicts(
        self, rows: Sequence[Row], repeats: Sequence[Repeat | None], known: Known
    ) -> list[tuple[Row, Verdict]]:
        here: set[int] = set()
        verdicts = []
        for row, repeat in zip(rows, repeats, strict=True):
            verdict = judge(row, known, repeat, self.import_name, also_credited=self.also_credited)
            verdict = self._with_card(row, verdict)
            member_id = verdict.member_id
            if member_id is not None and verdict.outcome in ("update", "same", "changed"):
                is_second = member_id in here or member_id in self.met
                if is_second and not is_credited(row, known, member_id, self.import_name):
                    reason = f"участник {member_id} уже был выше в этом файле под другим именем: оставьте одну строку"
                    verdict = Verdict("duplicate", reason, member_id)
                here.add(member_id)
            verdicts.append((row, verdict))
        return verdicts

    def _with_card(self, row: Row, verdict: Verdict) -> Verdict:
        """A foreign card keeps its number, unless we might give that number to somebody else one day."""
        cards = row.of("card")
        if verdict.outcome == "new" and cards and importing_rows.is_own_card(cards[0], self.terms):
            reason = f"номер карты: {cards[0]} выглядит как наш, а участника с ним нет; очистите ячейку или исправьте"
            return replace(verdict, outcome="error", reason=reason, parts=())
        return verdict


def _members(
    tx: sa.Connection, names: Sequence[Name], *, now: datetime, lock: bool
) -> tuple[dict[Name, tuple[int, ...]], dict[int, Found]]:
    for _ in range(LOOKS_MAX):
        ids = storage.by_names(tx, names)
        found = storage.members(tx, {one for several in ids.values() for one in several}, now=now, lock=lock)
        if all(one.merged_into_id is None for one in found.values()):
            return ids, found
    raise Restless
