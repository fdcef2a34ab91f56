"""Members for a table, a page at a time by their ids: a long export holds no transaction and no list of everybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class ExportedMember:
    """A living member with all his addresses."""

    id: int
    name: str
    contact_ref: int | None
    card_number: str
    card_token: str
    segment_code: str | None
    pending: int
    available: int
    reserved: int
    debt: int
    phones: Sequence[str]
    emails: Sequence[str]


_PAGE = sa.text(
    """
    SELECT m.id, m.name, m.contact_ref, m.card_number, m.card_token, m.segment_code, m.pending, m.available, m.reserved,
        m.debt,
        ARRAY(SELECT value FROM member_address WHERE member_id = m.id AND kind = 'phone' ORDER BY added_at, value),
        ARRAY(SELECT value FROM member_address WHERE member_id = m.id AND kind = 'email' ORDER BY added_at, value)
    FROM member m WHERE m.id > :after AND m.merged_into_id IS NULL ORDER BY m.id LIMIT :limit
    """
)


def page(tx: sa.Connection, *, after: int, limit: int) -> Sequence[ExportedMember]:
    """The next members by id."""
    rows = tx.execute(_PAGE, {"after": after, "limit": limit})
    return [ExportedMember(*row) for row in rows]


def count(tx: sa.Connection) -> int:
    return int(tx.execute(sa.text("SELECT count(*) FROM member WHERE merged_into_id IS NULL")).scalar_one())
