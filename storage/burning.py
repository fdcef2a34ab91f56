"""Lots whose last valid day is over, many at once: found, and moved or prolonged under their members' locks.

Whose points burn is `loyalty/burning.py`; one member's lots burn through `ledger.post` as part of any decision. This is
the same move for a thousand lots in one statement: the keys, rules and accounts are equal. Plans are pinned by arrays
of ids; locks are taken in the order of ids and never waited for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from storage import outbox

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from storage.outbox import Kind


@dataclass(frozen=True)
class Picked:
    """Due lots, the ids of their members beside them; ordered by member."""

    lot_ids: Sequence[int]
    member_ids: Sequence[int]

    def of(self, member_ids: Collection[int]) -> Picked:
        """Those of these members."""
        kept = [pair for pair in zip(self.lot_ids, self.member_ids, strict=True) if pair[1] in member_ids]
        return Picked([lot_id for lot_id, _ in kept], [member_id for _, member_id in kept])


@dataclass(frozen=True)
class Moved:
    """Lots that were changed and the points in them."""

    lots: int
    points: int


_COUNT = sa.text(
    """
    SELECT count(*) FROM lot
    WHERE available > 0 AND expires_at <= :now AND member_id <> ALL(CAST(:refused AS bigint[]))
    """
)
_PICK = sa.text(
    """
    SELECT array_agg(id) AS lot_ids, array_agg(member_id) AS member_ids FROM (
        SELECT id, member_id FROM lot
        WHERE available > 0 AND expires_at <= :now AND member_id > :after
            AND member_id <> ALL(CAST(:refused AS bigint[]))
        ORDER BY member_id, id LIMIT :limit
    ) AS due
    """
)
_LOCK = sa.text("SELECT id FROM member WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED")
# First the lots by their ids and nothing else, then the conditions: with both at once a planner whose statistics are
# old would look through every due lot again for each chunk.
_BURN = sa.text(
    """
    WITH found AS MATERIALIZED (
        SELECT l.id, l.key, l.member_id, l.order_id, l.source, l.rules_version, l.available, l.expired, l.expires_at,
            l.notified_at, picked.member_id AS owner_id
        FROM unnest(CAST(:lot_ids AS bigint[]), CAST(:member_ids AS bigint[])) AS picked (id, member_id)
            JOIN lot l ON l.id = picked.id
    ), due AS MATERIALIZED (
        SELECT id, key, member_id, order_id, source, rules_version, available AS points, expired AS burnt_before
        FROM found
        WHERE member_id = owner_id AND available > 0 AND expires_at <= :now AND (notified_at IS NOT NULL OR :is_silent)
    ), burnt AS (
        UPDATE lot SET available = 0, expired = lot.expired + due.points FROM due WHERE lot.id = due.id
    ), written AS (
        INSERT INTO transfer (key, member_id, lot_id, order_id, move, debit, credit, points, rules_version, occurred_at,
            recorded_at, rule)
        SELECT 'expire:' || due.key || ':' || due.burnt_before, due.member_id, due.id, due.order_id, 'expire',
            'available', 'expired', due.points, due.rules_version, :now, :now, named.rule
        FROM due LEFT JOIN unnest(CAST(:sources AS text[]), CAST(:rules AS text[])) AS named (source, rule)
            ON named.source = due.source
        ORDER BY due.member_id, due.id
    ), sums AS (
        SELECT member_id, sum(points) AS points FROM due GROUP BY member_id
    ), booked AS (
        UPDATE member SET available = member.available - sums.points FROM sums WHERE member.id = sums.member_id
    )
    SELECT count(*) AS lots, COALESCE(sum(points), 0) AS points FROM due
    """
)
_PROLONG = sa.text(
    """
    WITH prolonged AS (
        UPDATE lot SET expires_at = :until, postponed_from = COALESCE(lot.postponed_from, lot.expires_at)
        FROM unnest(CAST(:lot_ids AS bigint[]), CAST(:member_ids AS bigint[])) AS picked (id, member_id)
        WHERE lot.id = picked.id AND lot.member_id = picked.member_id AND lot.available > 0
            AND lot.expires_at <= :now AND lot.notified_at IS NULL
        RETURNING lot.available
    )
    SELECT count(*) AS lots, COALESCE(sum(available), 0) AS points FROM prolonged
    """
)


def count_due(tx: sa.Connection, *, now: datetime, refused: Collection[int] = ()) -> int:
    """Lots with available points whose last valid day is over, but for those of the `refused` members."""
    return int(tx.execute(_COUNT, {"now": now, "refused": list(refused)}).scalar_one())


def pick(tx: sa.Connection, *, after: int, now: datetime, limit: int, refused: Collection[int] = ()) -> Picked:
    """Due lots of members with an id above `after` who are not among the `refused`. Nothing is locked."""
    row = tx.execute(_PICK, {"after": after, "now": now, "limit": limit, "refused": list(refused)}).one()
    return Picked(row.lot_ids or (), row.member_ids or ())


def lock_free(tx: sa.Connection, member_ids: Sequence[int]) -> list[int]:
    """Locks those of these members whom nobody else has locked, and returns them."""
    return list(tx.execute(_LOCK, {"ids": list(member_ids)}).scalars())


def burn(tx: sa.Connection, lots: Picked, *, rules: Mapping[str, str], is_silent: bool, now: datetime) -> Moved:
    """Burns what is available in those of these lots that are due; the caller has locked their members, and a lot that
    is no longer theirs is left alone. `rules`: the rule of each source's end; `is_silent`: also where the owner was not
    told."""
    parameters = {
        "lot_ids": list(lots.lot_ids),
        "member_ids": list(lots.member_ids),
        "now": now,
        "is_silent": is_silent,
        "sources": list(rules),
        "rules": list(rules.values()),
    }
    row = tx.execute(_BURN, parameters).one()
    return Moved(int(row.lots), int(row.points))


def prolong(tx: sa.Connection, lots: Picked, *, until: datetime, now: datetime) -> Moved:
    """Lets untold points of these lots live on, under the same locks; a lot remembers its first end."""
    parameters = {
        "lot_ids": list(lots.lot_ids),
        "member_ids": list(lots.member_ids),
        "until": until,
        "now": now,
    }
    row = tx.execute(_PROLONG, parameters).one()
    return Moved(int(row.lots), int(row.points))


def mark_out_of_date(tx: sa.Connection, kinds: Sequence[Kind], member_ids: Sequence[int], *, now: datetime) -> None:
    """`outbox.add_kinds` for many members, in the order of locks."""
    if kinds and member_ids:
        outbox.lock_marks(tx, kinds, member_ids)
        outbox.add_kinds(tx, kinds, member_ids, now=now)
