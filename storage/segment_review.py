"""What the segments' nightly review reads: where members stand and what they bought, many at once. Writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from loyalty.segments import Purchases

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


@dataclass(frozen=True)
class Bought:
    """Where a member stands, and his kept orders: within the window, and since he began to buy."""

    member_id: int
    segment_code: str | None
    falls_at: datetime | None
    manual_code: str | None
    purchases: Purchases


_COLUMNS = """
    m.id, m.segment_code, m.segment_falls_at, m.manual_segment_code,
    count(o.id) FILTER (WHERE o.paid_at >= :window_from) AS orders,
    COALESCE(sum(o.kept_kopecks) FILTER (WHERE o.paid_at >= :window_from), 0)::bigint AS spent_kopecks,
    count(o.id) AS orders_ever, COALESCE(sum(o.kept_kopecks), 0)::bigint AS spent_ever_kopecks
    FROM chosen m LEFT JOIN orders o ON o.member_id = m.id AND o.is_kept
    GROUP BY m.id, m.segment_code, m.segment_falls_at, m.manual_segment_code ORDER BY m.id
"""
_MEMBER = "id, segment_code, segment_falls_at, manual_segment_code FROM member"
_NEXT = sa.text(
    f"""
    WITH chosen AS MATERIALIZED (
        SELECT {_MEMBER} WHERE id > :after AND merged_into_id IS NULL ORDER BY id LIMIT :limit
    )
    SELECT {_COLUMNS}
    """
)
_OF = sa.text(
    f"""
    WITH chosen AS MATERIALIZED (SELECT {_MEMBER} WHERE id = ANY(CAST(:ids AS bigint[])) AND merged_into_id IS NULL)
    SELECT {_COLUMNS}
    """
)


def next_members(tx: sa.Connection, *, after: int, window_from: datetime, limit: int) -> Sequence[Bought]:
    """Living members with an id above `after`, in the order of their ids."""
    return _read(tx.execute(_NEXT, {"after": after, "window_from": window_from, "limit": limit}))


def of_members(tx: sa.Connection, member_ids: Sequence[int], *, window_from: datetime) -> Sequence[Bought]:
    return _read(tx.execute(_OF, {"ids": list(member_ids), "window_from": window_from}))


def _read(found: sa.CursorResult[Any]) -> Sequence[Bought]:
    return [
        Bought(
            row.id,
            row.segment_code,
            row.segment_falls_at,
            row.manual_segment_code,
            Purchases(row.orders, row.spent_kopecks, row.orders_ever, row.spent_ever_kopecks),
        )
        for row in found
    ]
