"""Who may be put on a call list, with what speaks against it. Reads only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


@dataclass(frozen=True)
class Candidate:
    """A living member of the segment. `listed_at`: when he was last put on a list whose call was not dropped."""

    member_id: int
    name: str = field(repr=False)
    points: int
    has_contact: bool
    has_phone: bool
    has_withdrawn: bool
    listed_at: datetime | None


_CANDIDATES = sa.text(
    """
    WITH chosen AS MATERIALIZED (
        SELECT id, name, available - debt AS points, contact_ref IS NOT NULL AS has_contact FROM member m
        WHERE merged_into_id IS NULL AND segment_code = :segment AND available - debt >= :min_points
            AND (CAST(:burn_until AS timestamptz) IS NULL OR EXISTS (
                SELECT FROM lot WHERE lot.member_id = m.id AND available > 0 AND expires_at > :now
                    AND expires_at <= :burn_until))
        ORDER BY available - debt DESC, id LIMIT :limit
    )
    SELECT c.id, c.name, c.points, c.has_contact,
        EXISTS (SELECT FROM member_address a WHERE a.member_id = c.id AND a.kind = 'phone') AS has_phone,
        COALESCE((
            SELECT NOT w.is_given FROM consent w WHERE w.channel = 'call' AND w.member_id IN (
                SELECT id FROM member WHERE id = c.id OR merged_into_id = c.id)
            ORDER BY w.id DESC LIMIT 1), false) AS has_withdrawn,
        (SELECT max(t.created_at) FROM call_task t WHERE t.state <> 'dropped' AND t.member_id IN (
            SELECT id FROM member WHERE id = c.id OR merged_into_id = c.id)) AS listed_at
    FROM chosen c ORDER BY c.points DESC, c.id
    """
)


def candidates(
    tx: sa.Connection,
    *,
    segment_code: str,
    min_points: int,
    burn_until: datetime | None,
    now: datetime,
    limit: int,
) -> Sequence[Candidate]:
    """At most `limit` members who answer the choice, those with most points first."""
    parameters = {
        "segment": segment_code,
        "min_points": min_points,
        "burn_until": burn_until,
        "now": now,
        "limit": limit,
    }
    return [Candidate(*row) for row in tx.execute(_CANDIDATES, parameters)]
