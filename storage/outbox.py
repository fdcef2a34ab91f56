"""Rows of the outbox: «this target is out of date», one row per kind and target.

Levels, not edges: a row carries no numbers, the delivery reads the present state. A hundred payments of one member
make one row, and repeats or disorder of deliveries do no harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from storage import boxes
from storage.db import quick

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime, timedelta

    from storage.boxes import Claim

Kind = Literal[
    "crm", "note", "google", "deal", "code", "message", "webhook", "purchase", "bot", "bonus", "apple", "task"
]
"""crm: a member's contact and customer; note: an order's line in the deal's feed; google: a member's loyalty object;
apple: a member's card on iPhones, only where one was given out;
deal: the deal's own fields; message: a message to the buyer; bot: a Salesbot for a
member's new segment; purchase: an order as a
purchase of the CRM's customer; bonus: his native points; code: one that he waits for at the till, which does not
queue behind the others; webhook: an event for the shop's own programs; task: a manager's task to
call somebody."""


@dataclass(frozen=True)
class OutboxRow:
    claim: Claim
    target_id: int


# `behind_since` keeps its place through retries. A mark on a row that is being worked counts from itself: the work
# under way may have read what was there before.
_AGAIN = """
    ON CONFLICT ON CONSTRAINT one_row_per_target DO UPDATE SET
        wanted = outbox.wanted + 1,
        failures = CASE WHEN outbox.state = 'parked' THEN 0 ELSE outbox.failures END,
        due_at = CASE WHEN outbox.state IN ('done', 'parked') THEN EXCLUDED.due_at
                      WHEN outbox.failures > 0 THEN outbox.due_at
                      ELSE LEAST(outbox.due_at, EXCLUDED.due_at) END,
        behind_since = CASE WHEN outbox.state = 'done' OR outbox.state = 'working' AND outbox.wanted = outbox.claimed
                            THEN EXCLUDED.behind_since
                            ELSE LEAST(outbox.behind_since, EXCLUDED.behind_since) END,
        state = CASE WHEN outbox.state IN ('done', 'parked') THEN 'waiting' ELSE outbox.state END
    RETURNING id
"""
# Who has no Apple card costs no row: its table's rows are made under the same lock as his marks.
_IS_SHOWN = "(kind <> 'apple' OR EXISTS (SELECT FROM apple_card WHERE person_id = {target_id}))"
_ADD = f"""
    INSERT INTO outbox (kind, target_id, created_at, due_at, behind_since)
    SELECT kind, target_id, %(now)s, %(due_at)s, %(due_at)s
    FROM unnest(CAST(%(kinds)s AS text[])) AS kind CROSS JOIN unnest(CAST(%(target_ids)s AS bigint[])) AS target_id
    WHERE {_IS_SHOWN.format(target_id="target_id")} ORDER BY kind, target_id {_AGAIN}
"""  # noqa: S608
# Whoever finishes rows locks several of them in the order of their ids, an INSERT takes them in that of the targets.
_LOCK_MARKS = sa.text(
    """
    SELECT box.id
    FROM unnest(CAST(:kinds AS text[])) AS wanted (kind) CROSS JOIN unnest(CAST(:ids AS bigint[])) AS target (id)
        JOIN outbox box ON box.kind = wanted.kind AND box.target_id = target.id
    ORDER BY box.id FOR NO KEY UPDATE OF box
    """
)
MARK_MEMBER = f"""
    INSERT INTO outbox (kind, target_id, created_at, due_at, behind_since)
    SELECT kind, %(member_id)s, %(now)s, %(now)s, %(now)s FROM unnest(CAST(%(kinds)s AS text[])) AS kind
    WHERE {_IS_SHOWN.format(target_id="%(member_id)s")} {_AGAIN}
"""  # noqa: S608
"""`add_kinds` for one member, as a part of a larger statement."""
_CLAIM = boxes.claim_sql("outbox", "box.target_id", condition="kind = :kind")


def add(
    tx: sa.Connection, kind: Kind, target_ids: Iterable[int], *, now: datetime, due_at: datetime | None = None
) -> None:
    """Marks targets out of date. A target that is failing keeps its planned retry."""
    add_kinds(tx, [kind], target_ids, now=now, due_at=due_at)


def add_kinds(
    tx: sa.Connection,
    kinds: Sequence[Kind],
    target_ids: Iterable[int],
    *,
    now: datetime,
    due_at: datetime | None = None,
) -> None:
    """The same for several kinds at once."""
    targets = sorted(set(target_ids))
    if kinds and targets:
        quick(tx, _ADD, {"kinds": list(kinds), "target_ids": targets, "now": now, "due_at": due_at or now})


def lock_marks(tx: sa.Connection, kinds: Sequence[Kind], target_ids: Iterable[int]) -> None:
    """Before many targets are marked in one transaction: their rows are locked in the order of their ids, as by the
    worker that finishes them, so neither can wait for the other in a circle."""
    tx.execute(_LOCK_MARKS, {"kinds": list(kinds), "ids": list(target_ids)})


def claim(
    tx: sa.Connection, kind: Kind, *, now: datetime, lease: timedelta, limit: int, alone: bool = False
) -> Sequence[OutboxRow]:
    """Takes due rows of one kind; `alone` takes one row that has crashed a worker before."""
    statement = _CLAIM["alone" if alone else "many"]
    parameters = {"kind": kind, "now": now, "until": now + lease, "limit": 1 if alone else limit}
    return [
        OutboxRow(boxes.Claim(int(row.id), int(row.claims), int(row.failures)), int(row.target_id))
        for row in boxes.rows(tx, statement, parameters)
    ]


def forget_told(tx: sa.Connection, *, before: datetime, limit: int) -> int:
    """Deletes at most `limit` rows of messages that were done before this moment. Returns how many."""
    statement = sa.text(
        """
        DELETE FROM outbox WHERE id IN (
            SELECT id FROM outbox WHERE state = 'done' AND kind IN ('code', 'message') AND finished_at < :before
            ORDER BY finished_at LIMIT :limit FOR UPDATE SKIP LOCKED
        ) AND state = 'done'
        """
    )
    return tx.execute(statement, {"before": before, "limit": limit}).rowcount


def recent(tx: sa.Connection, *, states: Sequence[str], limit: int) -> Sequence[sa.Row[Any]]:
    """The newest rows in these states, for people who look after the queue."""
    statement = sa.text(
        """
        SELECT id, kind, target_id, state, failures, crashes, outcome, created_at, due_at
        FROM outbox WHERE state = ANY(:states) ORDER BY id DESC LIMIT :limit
        """
    )
    return tx.execute(statement, {"states": list(states), "limit": limit}).all()


def behind(tx: sa.Connection, kind: Kind, *, now: datetime) -> tuple[int, float]:
    """How many targets of this kind are out of date now, and for how many seconds the longest of them."""
    statement = sa.text(
        """
        SELECT count(*), min(COALESCE(behind_since, created_at)) FROM outbox
        WHERE kind = :kind AND state IN ('waiting', 'working') AND COALESCE(behind_since, created_at) <= :now
        """
    )
    count, since = tx.execute(statement, {"kind": kind, "now": now}).one()
    return int(count), 0.0 if since is None else (now - since).total_seconds()


def planned(tx: sa.Connection, kind: Kind, *, now: datetime) -> tuple[int, float]:
    """How many targets of this kind wait, those for later too, and in how many seconds the last of them is due."""
    statement = sa.text(
        "SELECT count(*), max(due_at) FROM outbox WHERE kind = :kind AND state IN ('waiting', 'working')"
    )
    count, last = tx.execute(statement, {"kind": kind}).one()
    return int(count), 0.0 if last is None else max(0.0, (last - now).total_seconds())
