"""What inbox and outbox have in common: rows that are claimed with a lease, finished, retried or parked.

A row is `waiting` -> `working` (leased) -> `done`, or back to `waiting`, or `parked` for a person. `wanted` counts how
often its work was asked for; if it grew while the row was being worked, finishing sends it back to `waiting`.
A lease that ran out means its worker died: the row counts a crash, is from then on claimed alone, and is parked after
`CRASHES_MAX`, so one poisonous row neither stops its neighbours nor comes back for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from storage.text import storable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

Box = Literal["inbox", "outbox"]

CRASHES_MAX = 5
EXACT_COUNT_MAX = 100_000
"""Up to so many rows a count costs less than it matters."""

OUTCOME_CHARS_MAX = 500


@dataclass(frozen=True)
class Claim:
    """The right to work one row; `token` guards against finishing a row that another worker has taken since."""

    id: int
    token: int
    failures: int


def claim_sql(box: Box, columns: str, *, condition: str = "true") -> dict[str, sa.TextClause]:
    """The two claim statements of a box: many untroubled rows, or one that has crashed a worker before."""

    def statement(which: str) -> sa.TextClause:
        return sa.text(
            f"""
            WITH due AS (
                SELECT id FROM {box}
                WHERE state = 'waiting' AND due_at <= :now AND {which} AND {condition}
                ORDER BY due_at, id LIMIT :limit FOR UPDATE SKIP LOCKED
            )
            UPDATE {box} AS box
            SET state = 'working', leased_until = :until, claims = claims + 1, claimed = wanted
            FROM due WHERE box.id = due.id
            RETURNING box.id, box.claims, box.failures, {columns}
            """  # noqa: S608 - the words come from this package, never from outside
        )

    return {"many": statement("crashes = 0"), "alone": statement("crashes > 0")}


def rows(tx: sa.Connection, statement: sa.TextClause, parameters: dict[str, Any]) -> Sequence[sa.Row[Any]]:
    """Claimed rows, oldest first (RETURNING promises no order)."""
    return sorted(tx.execute(statement, parameters), key=lambda row: int(row.id))


def finish(tx: sa.Connection, box: Box, claim: Claim, *, now: datetime, outcome: str) -> bool:
    """Marks the row done, or waiting again if more was asked meanwhile. False: the claim was lost, roll back."""
    result = tx.execute(
        sa.text(
            f"""
            UPDATE {box} SET state = CASE WHEN wanted > claimed THEN 'waiting' ELSE 'done' END, leased_until = NULL,
                due_at = :now, failures = 0, crashes = 0, outcome = :outcome, finished_at = :now
            WHERE id = :id AND claims = :token AND state = 'working'
            """  # noqa: S608
        ),
        {"id": claim.id, "token": claim.token, "now": now, "outcome": storable(outcome, chars_max=OUTCOME_CHARS_MAX)},
    )
    return result.rowcount == 1


def retry(tx: sa.Connection, box: Box, claim: Claim, *, due_at: datetime, outcome: str) -> None:
    """Gives the row back with a later date; the failure is counted."""
    tx.execute(
        sa.text(
            f"""
            UPDATE {box} SET state = 'waiting', leased_until = NULL, due_at = :due_at, failures = failures + 1,
                outcome = :outcome
            WHERE id = :id AND claims = :token AND state = 'working'
            """  # noqa: S608
        ),
        {
            "id": claim.id,
            "token": claim.token,
            "due_at": due_at,
            "outcome": storable(outcome, chars_max=OUTCOME_CHARS_MAX),
        },
    )


def release(tx: sa.Connection, box: Box, claims: Sequence[Claim]) -> None:
    """Gives untouched rows back: nothing is counted."""
    tx.execute(
        sa.text(
            f"UPDATE {box} SET state = 'waiting', leased_until = NULL "  # noqa: S608
            "WHERE state = 'working' AND id = :id AND claims = :token"
        ),
        [{"id": claim.id, "token": claim.token} for claim in claims],
    )


def extend(tx: sa.Connection, box: Box, claims: Sequence[Claim], *, until: datetime) -> int:
    """Leases rows for longer. Returns how many are still ours; fewer than given: others have taken the rest since."""
    result = tx.execute(
        sa.text(
            f"""
            UPDATE {box} SET leased_until = :until
            FROM unnest(CAST(:ids AS bigint[]), CAST(:tokens AS integer[])) AS held (id, token)
            WHERE {box}.id = held.id AND {box}.claims = held.token AND {box}.state = 'working'
            """  # noqa: S608
        ),
        {"ids": [claim.id for claim in claims], "tokens": [claim.token for claim in claims], "until": until},
    )
    return result.rowcount


def isolate(tx: sa.Connection, box: Box, claims: Sequence[Claim]) -> None:
    """Gives rows back to be claimed one by one: together they were refused, and one of them is the reason."""
    tx.execute(
        sa.text(
            f"UPDATE {box} SET state = 'waiting', leased_until = NULL, crashes = GREATEST(crashes, 1) "  # noqa: S608
            "WHERE state = 'working' AND id = :id AND claims = :token"
        ),
        [{"id": claim.id, "token": claim.token} for claim in claims],
    )


def park(tx: sa.Connection, box: Box, claim: Claim, *, now: datetime, outcome: str) -> None:
    """Puts the row aside for a person, with the reason he will read."""
    tx.execute(
        sa.text(
            f"""
            UPDATE {box} SET state = CASE WHEN wanted > claimed THEN 'waiting' ELSE 'parked' END, leased_until = NULL,
                failures = failures + 1, outcome = :outcome, finished_at = :now
            WHERE id = :id AND claims = :token AND state = 'working'
            """  # noqa: S608
        ),
        {"id": claim.id, "token": claim.token, "now": now, "outcome": storable(outcome, chars_max=OUTCOME_CHARS_MAX)},
    )


def reclaim_expired(tx: sa.Connection, box: Box, *, now: datetime) -> int:
    """Takes back rows whose worker died. Returns how many."""
    result = tx.execute(
        sa.text(
            f"""
            UPDATE {box} SET leased_until = NULL, due_at = :now, crashes = crashes + 1,
                finished_at = CASE WHEN crashes + 1 >= :crashes_max THEN :now ELSE finished_at END,
                state = CASE WHEN crashes + 1 >= :crashes_max THEN 'parked' ELSE 'waiting' END,
                outcome = CASE WHEN crashes + 1 >= :crashes_max
                    THEN 'Обработка ' || (crashes + 1) || ' раз подряд обрывала процесс' ELSE outcome END
            WHERE state = 'working' AND leased_until <= :now
            """  # noqa: S608
        ),
        {"now": now, "crashes_max": CRASHES_MAX},
    )
    return result.rowcount


def replay(tx: sa.Connection, box: Box, row_id: int, *, now: datetime) -> bool:
    """A person says «again»: a finished or parked row waits once more."""
    result = tx.execute(
        sa.text(
            f"""
            UPDATE {box} SET state = 'waiting', due_at = :now, failures = 0, crashes = 0
            WHERE id = :id AND state IN ('parked', 'done')
            """  # noqa: S608
        ),
        {"id": row_id, "now": now},
    )
    return result.rowcount == 1


def counts(tx: sa.Connection, box: Box) -> dict[str, int]:
    """Rows per state. Unfinished rows are counted by their small indexes; finished ones, of which there may be
    millions, by the planner's estimate once it is large."""
    unfinished = {
        state: int(tx.execute(sa.text(f"SELECT count(*) FROM {box} WHERE state = '{state}'")).scalar_one())  # noqa: S608
        for state in ("waiting", "working", "parked")
    }
    estimate = int(tx.execute(sa.text(f"SELECT reltuples FROM pg_class WHERE oid = '{box}'::regclass")).scalar_one())  # noqa: S608
    if estimate < EXACT_COUNT_MAX:
        done = int(tx.execute(sa.text(f"SELECT count(*) FROM {box} WHERE state = 'done'")).scalar_one())  # noqa: S608
    else:
        done = max(0, estimate - sum(unfinished.values()))
    return {**unfinished, "done": done}


def due(tx: sa.Connection, box: Box, *, now: datetime) -> int:
    """How many rows could be claimed now."""
    statement = sa.text(f"SELECT count(*) FROM {box} WHERE state = 'waiting' AND due_at <= :now")  # noqa: S608
    return int(tx.execute(statement, {"now": now}).scalar_one())


def oldest_waiting_s(tx: sa.Connection, box: Box, *, now: datetime) -> float:
    """Age in seconds of the longest-waiting due row, 0 when nothing waits."""
    statement = sa.text(f"SELECT min(due_at) FROM {box} WHERE state = 'waiting' AND due_at <= :now")  # noqa: S608
    oldest: datetime | None = tx.execute(statement, {"now": now}).scalar_one()
    return 0.0 if oldest is None else (now - oldest).total_seconds()
