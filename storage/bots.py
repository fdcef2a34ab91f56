"""For which segment a bot was last run for each member."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Iterable


def ran_for(tx: sa.Connection, member_ids: Iterable[int]) -> dict[int, str | None]:
    statement = sa.text("SELECT member_id, bot_segment FROM crm_state WHERE member_id = ANY(:ids)")
    return {row.member_id: row.bot_segment for row in tx.execute(statement, {"ids": list(member_ids)})}


def save(tx: sa.Connection, member_id: int, segment: str | None) -> None:
    statement = sa.text(
        """
        INSERT INTO crm_state (member_id, bot_segment) VALUES (:id, :segment)
        ON CONFLICT (member_id) DO UPDATE SET bot_segment = EXCLUDED.bot_segment
        """
    )
    tx.execute(statement, {"id": member_id, "segment": segment})


def with_fields_to_come(tx: sa.Connection, member_ids: Iterable[int]) -> set[int]:
    """Members whose contact in the CRM is out of date."""
    statement = sa.text(
        "SELECT target_id FROM outbox WHERE kind = 'crm' AND target_id = ANY(:ids) AND state IN ('waiting', 'working')"
    )
    return set(tx.execute(statement, {"ids": list(member_ids)}).scalars())
