"""Everybody in the programme as rows of a table, read a page at a time. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loyalty import burning
from loyalty.segments import by_code
from storage import exporting as storage
from storage import lots

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from flows.runtime import Runtime
    from storage.exporting import ExportedMember

PAGE = 1_000


@dataclass(frozen=True)
class Exported:
    """One member. `burns`: the points that end soonest, and their last valid day."""

    member: ExportedMember
    segment: str
    burns: tuple[int, date] | None
    card_url: str


def count(rt: Runtime) -> int:
    with rt.db.begin() as tx:
        return storage.count(tx)


def members(rt: Runtime) -> Iterator[Sequence[Exported]]:
    """Living members, the oldest first, in pages. Whoever joins meanwhile may be among them."""
    after = 0
    while True:
        with rt.db.begin() as tx:
            found = storage.page(tx, after=after, limit=PAGE)
            burns = lots.next_burns(tx, [one.id for one in found])
        if not found:
            return
        after = found[-1].id
        zone = rt.programme.timezone
        last = {one: (points, burning.last_valid_day(at, zone)) for one, (points, at) in burns.items()}
        yield [Exported(one, _segment(rt, one), last.get(one.id), rt.card_url(one.card_token)) for one in found]


def _segment(rt: Runtime, member: ExportedMember) -> str:
    known = by_code(member.segment_code, rt.programme.segments)
    return (member.segment_code or "") if known is None else known.title
