"""What became of call lists: tasks, results, and what the people bought after the call. Reads only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime, timedelta


@dataclass(frozen=True)
class CallLine:
    """One call. `bought_kopecks`: what the person bought and kept within the time after it."""

    list_id: int
    title: str
    is_stopped: bool
    list_created_at: datetime
    call_id: int
    person_id: int
    name: str = field(repr=False)
    contact_ref: int | None
    task_ref: int | None
    try_no: int
    due_on: date
    state: str
    dropped_why: str | None
    closed_at: datetime | None
    result_code: int | None
    result_text: str | None = field(repr=False)
    orders: int
    bought_kopecks: int


# A purchase is counted once, after the last call of this list that came before it.
_LINES = sa.text(
    """
    SELECT l.id, l.title, l.stopped_at IS NOT NULL, l.created_at, t.id, person.id, person.name, person.contact_ref,
        t.task_ref, t.try_no, t.due_on, t.state, t.dropped_why, t.closed_at, t.result_code, t.result_text,
        count(o.id), COALESCE(sum(o.kept_kopecks), 0)::bigint
    FROM call_list l
        JOIN call_task t ON t.list_id = l.id
        JOIN member m ON m.id = t.member_id
        JOIN member person ON person.id = COALESCE(m.merged_into_id, m.id)
        LEFT JOIN orders o ON o.member_id = person.id AND o.is_kept AND o.paid_at >= t.closed_at
            AND o.paid_at < t.closed_at + :within AND NOT EXISTS (
                SELECT FROM call_task later JOIN member lm ON lm.id = later.member_id
                WHERE later.list_id = t.list_id AND COALESCE(lm.merged_into_id, lm.id) = person.id
                    AND (later.closed_at, later.id) > (t.closed_at, t.id) AND later.closed_at <= o.paid_at)
    WHERE l.id = ANY(CAST(:ids AS bigint[]))
    GROUP BY l.id, t.id, person.id ORDER BY l.id, t.id
    """
)


def newest(tx: sa.Connection, *, limit: int) -> list[int]:
    """Numbers of the newest lists."""
    statement = sa.text("SELECT id FROM call_list ORDER BY id DESC LIMIT :limit")
    return list(tx.execute(statement, {"limit": limit}).scalars())


def lines(tx: sa.Connection, list_ids: Sequence[int], *, bought_within: timedelta) -> list[CallLine]:
    """Every call of these lists, in the order in which they were planned."""
    rows = tx.execute(_LINES, {"ids": list(list_ids), "within": bought_within})
    return [CallLine(*row) for row in rows]
