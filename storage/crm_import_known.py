"""Contacts of an import whose phone a member has whom the CRM does not know yet: from another programme, from the site.

Finds them for the whole import and links them, many with each statement. Whether two names may be one person's is not
said here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime


@dataclass(frozen=True)
class Match:
    """A contact, and the one member who has all of its phones and no contact."""

    contact_ref: int
    contact_name: str
    phones: tuple[str, ...]
    member_id: int
    member_name: str


def _matches(which: str) -> sa.TextClause:
    return sa.text(
        f"""
        WITH asked AS MATERIALIZED (
            SELECT c.contact_ref, c.phones FROM crm_import_contact c
            WHERE c.state = 'read' AND c.phones <> '{{}}' AND {which}
                AND NOT EXISTS (SELECT FROM member m WHERE m.contact_ref = c.contact_ref)
        ), holder AS (
            SELECT one.contact_ref, min(COALESCE(m.merged_into_id, m.id)) AS member_id
            FROM (SELECT contact_ref, unnest(phones) AS phone FROM asked) AS one
                JOIN member_address a ON a.kind = 'phone' AND a.value = one.phone JOIN member m ON m.id = a.member_id
            GROUP BY one.contact_ref HAVING count(DISTINCT COALESCE(m.merged_into_id, m.id)) = 1
        )
        SELECT c.contact_ref, c.name AS contact_name, c.phones, m.id AS member_id, m.name AS member_name
        FROM holder JOIN crm_import_contact c ON c.contact_ref = holder.contact_ref
            JOIN member m ON m.id = holder.member_id
        WHERE m.contact_ref IS NULL AND NOT EXISTS (
            SELECT FROM unnest(c.phones) AS phone WHERE NOT EXISTS (
                SELECT FROM member_address a WHERE a.member_id = m.id AND a.kind = 'phone' AND a.value = phone))
        ORDER BY c.contact_ref
        """  # noqa: S608 - the words come from this file, never from outside
    )


# Of two contacts with one phone nobody can say which is the member.
_ALL = _matches(
    """
    c.contact_ref NOT IN (SELECT unnest(array_agg(contact_ref)) FROM (
        SELECT contact_ref, unnest(phones) AS phone FROM crm_import_contact WHERE state = 'read'
    ) AS each GROUP BY phone HAVING count(DISTINCT contact_ref) > 1)
    """
)
_OF = _matches("c.contact_ref = ANY(CAST(:refs AS bigint[]))")
_LINK = sa.text(
    """
    UPDATE member m SET contact_ref = c.contact_ref, name = CASE WHEN c.name <> '' THEN c.name ELSE m.name END,
        birthday = COALESCE(c.birthday, m.birthday),
        birthday_set_at = CASE WHEN c.birthday IS NOT NULL AND c.birthday IS DISTINCT FROM m.birthday
            THEN CAST(:now AS timestamptz) ELSE m.birthday_set_at END
    FROM unnest(CAST(:ids AS bigint[]), CAST(:refs AS bigint[])) AS new (member_id, contact_ref)
        JOIN crm_import_contact c ON c.contact_ref = new.contact_ref
    WHERE m.id = new.member_id
    """
)
_EMAILS = sa.text(
    """
    INSERT INTO member_address (member_id, kind, value, added_at)
    SELECT DISTINCT m.id, 'email', email, CAST(:now AS timestamptz)
    FROM member m JOIN crm_import_contact c ON c.contact_ref = m.contact_ref CROSS JOIN unnest(c.emails) AS email
    WHERE m.id = ANY(CAST(:ids AS bigint[])) ON CONFLICT DO NOTHING
    """
)
_DOUBTFUL = sa.text(
    """
    SELECT one.contact_ref, one.phone, m.id AS member_id
    FROM (SELECT contact_ref, unnest(phones) AS phone FROM crm_import_contact WHERE state = 'read') AS one
        JOIN member_address a ON a.kind = 'phone' AND a.value = one.phone
        JOIN member m ON m.id = a.member_id AND m.contact_ref IS NULL AND m.merged_into_id IS NULL
    ORDER BY one.contact_ref, one.phone, m.id
    """
)


def all_matches(tx: sa.Connection) -> Sequence[Match]:
    """Looks through all that was read; in a large account that takes a while."""
    tx.execute(sa.text("SET LOCAL statement_timeout = 0"))
    return _read(tx.execute(_ALL))


def matches(tx: sa.Connection, contact_refs: Sequence[int]) -> Sequence[Match]:
    """Those of these contacts that match still."""
    return _read(tx.execute(_OF, {"refs": list(contact_refs)}))


def link(tx: sa.Connection, found: Sequence[Match], *, now: datetime) -> None:
    """These contacts are these members from now on, by the CRM's name. The caller has locked them."""
    ids = [one.member_id for one in found]
    tx.execute(_LINK, {"ids": ids, "refs": [one.contact_ref for one in found], "now": now})
    tx.execute(_EMAILS, {"ids": ids, "now": now})


def doubtful(tx: sa.Connection) -> Iterator[tuple[int, str, int]]:
    """(contact, phone, member without a contact who has it too)."""
    for row in tx.execution_options(yield_per=1000).execute(_DOUBTFUL):
        yield row.contact_ref, row.phone, row.member_id


def _read(rows: sa.CursorResult[tuple[object, ...]]) -> list[Match]:
    return [Match(row.contact_ref, row.contact_name, tuple(row.phones), row.member_id, row.member_name) for row in rows]
