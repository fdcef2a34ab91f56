"""What call lists brought: closed tasks by result, and what the people bought within two weeks of the call.

Reads only. That somebody bought after a call does not prove that he bought because of it: the report says so.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from flows.call_lists import ListRefused
from storage import call_reports

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from flows.runtime import Runtime
    from storage.call_reports import CallLine

BOUGHT_WITHIN = timedelta(days=14)
LISTS_SHOWN = 20


@dataclass(frozen=True)
class ListReport:
    """`results`: closed tasks by code, None for words without one. `dropped`: calls that were not made, by reason.
    `buyers`: people who bought within BOUGHT_WITHIN of their call."""

    id: int
    title: str
    created_at: datetime
    is_stopped: bool
    people: int
    planned: int
    open: int
    closed: int
    results: Mapping[int | None, int]
    dropped: Mapping[str, int]
    buyers: int
    bought_kopecks: int
    without_code: Sequence[str]

    @property
    def closed_bps(self) -> int:
        """The share of written tasks that people have closed, in hundredths of a per cent."""
        written = self.open + self.closed
        return self.closed * 10_000 // written if written else 0


def lines(rt: Runtime, list_id: int | None) -> Sequence[CallLine]:
    """Every call of one list or of the newest ones. Raises ListRefused."""
    with rt.db.begin() as tx:
        ids = call_reports.newest(tx, limit=LISTS_SHOWN) if list_id is None else [list_id]
        found = call_reports.lines(tx, ids, bought_within=BOUGHT_WITHIN)
    if list_id is not None and not found:
        raise ListRefused(f"Списка {list_id} нет", "номера списков покажет kopilka calls report")
    return found


def summed(found: Sequence[CallLine]) -> list[ListReport]:
    """By list, the newest first."""
    by_list: dict[int, list[CallLine]] = {}
    for line in found:
        by_list.setdefault(line.list_id, []).append(line)
    return [_report(by_list[list_id]) for list_id in sorted(by_list, reverse=True)]


def _report(found: Sequence[CallLine]) -> ListReport:
    first = found[0]
    states = Counter(one.state for one in found)
    closed = [one for one in found if one.state == "closed"]
    return ListReport(
        id=first.list_id,
        title=first.title,
        created_at=first.list_created_at,
        is_stopped=first.is_stopped,
        people=len({one.person_id for one in found}),
        planned=states["planned"],
        open=states["written"],
        closed=states["closed"],
        results=Counter(one.result_code for one in closed),
        dropped=Counter(one.dropped_why or "" for one in found if one.state == "dropped"),
        buyers=len({one.person_id for one in found if one.orders}),
        bought_kopecks=sum(one.bought_kopecks for one in found),
        without_code=[one.result_text or "" for one in closed if one.result_code is None],
    )
