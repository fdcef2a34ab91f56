"""Members whose contacts in the CRM were told something, for comparing the two. Marks those that differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NEXT = sa.text(
    """
    SELECT m.id FROM member m JOIN crm_state s ON s.member_id = m.id
    WHERE m.id > :after AND m.merged_into_id IS NULL AND m.contact_ref IS NOT NULL AND s.pushed_fields IS NOT NULL
        AND NOT EXISTS (SELECT FROM outbox o WHERE o.kind = 'crm' AND o.target_id = m.id
            AND o.state IN ('waiting', 'working'))
    ORDER BY m.id LIMIT :limit
    """
)


def next_told(tx: sa.Connection, *, after: int, limit: int) -> Sequence[int]:
    """Living members the CRM was told of and about whom nothing is under way, by their ids from `after` on."""
    return list(tx.execute(_NEXT, {"after": after, "limit": limit}).scalars())


def forget(tx: sa.Connection, member_ids: Iterable[int]) -> None:
    """What was told is not there any more: everything is compared and told anew."""
    statement = sa.text("UPDATE crm_state SET pushed_fields = NULL WHERE member_id = ANY(:ids)")
    tx.execute(statement, {"ids": list(member_ids)})
