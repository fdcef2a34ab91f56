"""Who may be given a gift of the calendar, and what was given already. Decides nothing; writing is `ledger.post`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


@dataclass(frozen=True)
class Looked:
    """Members who may be due, and the last id that was looked at; None: there was nobody left to look at."""

    member_ids: Sequence[int]
    last_id: int | None


# The keys are looked up here only to leave out those who surely have the gift; who locks the member looks again.
_BORN_ON = sa.text(
    """
    SELECT m.id FROM member m
    JOIN unnest(CAST(:months AS numeric[]), CAST(:days AS numeric[])) AS born (month, day)
        ON extract(month FROM m.birthday) = born.month AND extract(day FROM m.birthday) = born.day
    WHERE m.birthday IS NOT NULL AND m.merged_into_id IS NULL AND m.id > :after
        AND NOT EXISTS (SELECT 1 FROM lot WHERE lot.key = :key_before || m.id || :key_after)
    ORDER BY m.id LIMIT :limit
    """
)
# So many members are looked at, not found: once everybody has his gift, one look for more would read them all.
_EVERYBODY = sa.text(
    """
    WITH looked AS MATERIALIZED (
        SELECT id, merged_into_id, created_at, segment_code FROM member WHERE id > :after ORDER BY id LIMIT :limit
    ), found AS (
        SELECT m.id FROM looked m
        WHERE m.merged_into_id IS NULL AND m.created_at < :joined_before
            AND (cardinality(CAST(:segments AS text[])) = 0 OR m.segment_code = ANY(CAST(:segments AS text[])))
            AND NOT EXISTS (SELECT 1 FROM lot WHERE lot.key = :key_before || m.id || :key_after)
    )
    SELECT (SELECT max(id) FROM looked) AS last_id, (SELECT array_agg(id ORDER BY id) FROM found) AS member_ids
    """
)


def born_on(
    tx: sa.Connection, days: Sequence[tuple[int, int]], *, key_parts: tuple[str, str], after: int, limit: int
) -> Looked:
    """The next `limit` members with an id above `after`, a birthday on one of these (month, day) and no lot of this
    key."""
    parameters = {
        "months": [month for month, _ in days],
        "days": [day for _, day in days],
        "after": after,
        "limit": limit,
        "key_before": key_parts[0],
        "key_after": key_parts[1],
    }
    found = list(tx.execute(_BORN_ON, parameters).scalars())
    return Looked(found, found[-1] if found else None)


def everybody(
    tx: sa.Connection,
    *,
    joined_before: datetime,
    segments: Sequence[str],
    key_parts: tuple[str, str],
    after: int,
    limit: int,
) -> Looked:
    """Of the next `limit` members with an id above `after`: those who joined in time, are in one of the segments (in
    any, if none is given) and have no lot of this key."""
    parameters = {
        "joined_before": joined_before,
        "segments": list(segments),
        "after": after,
        "limit": limit,
        "key_before": key_parts[0],
        "key_after": key_parts[1],
    }
    row = tx.execute(_EVERYBODY, parameters).one()
    return Looked(row.member_ids or (), row.last_id)


def names_of(tx: sa.Connection, member_ids: Sequence[int]) -> dict[int, list[int]]:
    """Each member's id with the ids of those who were merged into him: a gift to any of them was his."""
    names = {member_id: [member_id] for member_id in member_ids}
    found = tx.execute(
        sa.text("SELECT id, merged_into_id FROM member WHERE merged_into_id = ANY(CAST(:ids AS bigint[]))"),
        {"ids": list(member_ids)},
    )
    for row in found:
        names[int(row.merged_into_id)].append(int(row.id))
    return names


def given(tx: sa.Connection, keys: Sequence[str]) -> set[str]:
    """Those of these keys that are lots."""
    return set(tx.execute(sa.text("SELECT key FROM lot WHERE key = ANY(:keys)"), {"keys": list(keys)}).scalars())
