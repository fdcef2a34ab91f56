"""Two members become one: rows change their owner, the history of transfers stays as it was written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Collection

_MOVES = (
    "UPDATE lot SET member_id = :into WHERE member_id = :from",
    "UPDATE orders SET member_id = :into WHERE member_id = :from",
    "UPDATE hold SET member_id = :into WHERE member_id = :from",
    "UPDATE message SET member_id = :into WHERE member_id = :from AND state = 'planned'",
    """
    INSERT INTO member_address (member_id, kind, value, added_at)
    SELECT :into, kind, value, added_at FROM member_address WHERE member_id = :from ON CONFLICT DO NOTHING
    """,
    "DELETE FROM member_address WHERE member_id = :from",
    "UPDATE member SET merged_into_id = :into WHERE merged_into_id = :from",
    """
    UPDATE member kept SET pending = kept.pending + gone.pending, available = kept.available + gone.available,
        reserved = kept.reserved + gone.reserved, debt = kept.debt + gone.debt,
        birthday = COALESCE(kept.birthday, gone.birthday),
        birthday_set_at = COALESCE(kept.birthday_set_at, gone.birthday_set_at)
    FROM member gone WHERE kept.id = :into AND gone.id = :from
    """,
    """
    UPDATE member SET merged_into_id = :into, pending = 0, available = 0, reserved = 0, debt = 0, segment_code = NULL,
        manual_segment_code = NULL, segment_falls_at = NULL
    WHERE id = :from
    """,
)


def lock_orders(tx: sa.Connection, member_ids: Collection[int]) -> None:
    """Orders before members, as everywhere: whoever works one of these orders ends first."""
    tx.execute(
        sa.text("SELECT id FROM orders WHERE member_id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE"),
        {"ids": list(member_ids)},
    )


def move(tx: sa.Connection, *, from_id: int, into_id: int) -> None:
    """Everything of the first is the second's; the caller holds both locks."""
    for statement in _MOVES:
        tx.execute(sa.text(statement), {"from": from_id, "into": into_id})
