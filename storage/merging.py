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
    "UPDATE message SET member_id = :into WHERE member_id = :from",
    """
    INSERT INTO member_address (member_id, kind, value, added_at)
    SELECT :into, kind, value, added_at FROM member_address WHERE member_id = :from ON CONFLICT DO NOTHING
    """,
    "DELETE FROM member_address WHERE member_id = :from",
    "UPDATE apple_card SET person_id = :into WHERE person_id = :from",
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
    _hand_over_contact(tx, from_id=from_id, into_id=into_id)


def _hand_over_contact(tx: sa.Connection, *, from_id: int, into_id: int) -> None:
    """Who has no contact in the CRM takes over the other's, and what is known of it there. Two contacts stay two."""
    statement = sa.text("SELECT contact_ref FROM member WHERE id = :id")
    has_own = tx.execute(statement, {"id": into_id}).scalar_one() is not None
    contact_ref = tx.execute(statement, {"id": from_id}).scalar_one()
    if has_own or contact_ref is None:
        return
    set_contact = sa.text("UPDATE member SET contact_ref = :contact WHERE id = :id")
    tx.execute(set_contact, {"id": from_id, "contact": None})  # first: a contact belongs to one member
    tx.execute(set_contact, {"id": into_id, "contact": contact_ref})
    tx.execute(
        sa.text(
            """
            INSERT INTO crm_state (member_id, customer_ref) SELECT :into, customer_ref FROM crm_state
            WHERE member_id = :from AND customer_ref IS NOT NULL
            ON CONFLICT (member_id) DO UPDATE SET customer_ref = COALESCE(crm_state.customer_ref, EXCLUDED.customer_ref)
            """
        ),
        {"into": into_id, "from": from_id},
    )
