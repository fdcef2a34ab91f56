"""The outbox's story: claim targets that are out of date, bring the other side up to date, settle.

A delivery reads the present state and pushes it, so it may be repeated, reordered or cut off anywhere without harm.
One claim is one batch of one kind; the handler settles every row it was given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.errors import ConnectorError
from flows import crm, google, notes, settle
from storage import boxes, outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from flows.runtime import Runtime
    from storage.outbox import Kind, OutboxRow

BATCH_ROWS = 50
"""As many entities as one request to amoCRM should carry."""

Handler = "Callable[[Runtime, Sequence[int]], Mapping[int, str]]"
"""Target ids -> a line for each row. Raises what stopped it; nothing of it is lost, because levels can be repeated."""


def drain(rt: Runtime, *, stop_at: datetime | None = None) -> int:
    """Delivers due rows of every kind until none is left or `stop_at` has come. Returns how many were worked."""
    worked = 0
    while stop_at is None or rt.now() < stop_at:
        batch = sum(_deliver(rt, kind, handler) for kind, handler in _handlers(rt).items())
        if batch == 0:
            break
        worked += batch
    return worked


def _handlers(rt: Runtime) -> dict[Kind, Callable[[Runtime, Sequence[int]], Mapping[int, str]]]:
    handlers: dict[Kind, Callable[[Runtime, Sequence[int]], Mapping[int, str]]] = {}
    if rt.crm is not None:
        handlers |= {"crm": crm.refresh, "note": notes.write}
    if rt.google is not None:
        handlers["google"] = google.refresh
    return handlers


def _deliver(rt: Runtime, kind: Kind, handler: Callable[[Runtime, Sequence[int]], Mapping[int, str]]) -> int:
    rows = _claim(rt, kind, alone=False) or _claim(rt, kind, alone=True)
    if not rows:
        return 0
    rt.failpoints.reach("outbox.after_claim")
    claims = [row.claim for row in rows]

    def work() -> None:
        outcomes = handler(rt, [row.target_id for row in rows])
        rt.failpoints.reach("outbox.after_remote")
        with rt.db.begin() as tx:
            for row in rows:
                boxes.finish(tx, "outbox", row.claim, now=rt.now(), outcome=outcomes[row.target_id])

    settle.outbox_rows(rt, claims, work)
    rt.failpoints.reach("outbox.after_settle")
    return len(rows)


def _claim(rt: Runtime, kind: Kind, *, alone: bool) -> Sequence[OutboxRow]:
    with rt.db.begin() as tx:
        return outbox.claim(tx, kind, now=rt.now(), lease=rt.lease, limit=BATCH_ROWS, alone=alone)


__all__ = ["BATCH_ROWS", "ConnectorError", "drain"]
