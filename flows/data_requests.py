"""Requests of buyers for their own data, as the shop sees them: which wait, who answered. The buyer's side is
`card_visits.py`; what an answer holds, `personal_data.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage import data_requests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.runtime import Runtime
    from storage.data_requests import DataRequest

LISTED_MAX = 500


def listed(rt: Runtime, *, with_done: bool = False) -> Sequence[DataRequest]:
    """Those that wait, the oldest first; with those that are done, the newest first."""
    with rt.db.begin() as tx:
        return data_requests.listed(tx, with_done=with_done, limit=LISTED_MAX)


def close(rt: Runtime, number: int, *, by: str, note: str) -> bool:
    """The shop has answered. False: no such request waits."""
    with rt.db.begin() as tx:
        return data_requests.close(tx, number, by=by, note=note, now=rt.now())
