"""Phones and e-mails by which a member is found. A phone is in E.164; one may belong to several members: duplicates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

AddressKind = Literal["phone", "email"]
KINDS: tuple[AddressKind, ...] = ("phone", "email")


def of_member(tx: sa.Connection, member_id: int, kind: AddressKind) -> list[str]:
    """The member's addresses of one kind, the oldest first."""
    statement = sa.text(
        "SELECT value FROM member_address WHERE member_id = :id AND kind = :kind ORDER BY added_at, value"
    )
    return list(tx.execute(statement, {"id": member_id, "kind": kind}).scalars())


def add(tx: sa.Connection, member_id: int, kind: AddressKind, values: Collection[str], *, now: datetime) -> None:
    """Addresses the member also has; known ones stay as they are."""
    rows = [{"id": member_id, "kind": kind, "value": value, "now": now} for value in sorted(values)]
    if rows:
        tx.execute(
            sa.text(
                """
                INSERT INTO member_address (member_id, kind, value, added_at) VALUES (:id, :kind, :value, :now)
                ON CONFLICT DO NOTHING
                """
            ),
            rows,
        )


def replace(tx: sa.Connection, member_id: int, kind: AddressKind, values: Collection[str], *, now: datetime) -> None:
    """Exactly these: what the CRM no longer lists is gone."""
    tx.execute(
        sa.text("DELETE FROM member_address WHERE member_id = :id AND kind = :kind AND NOT value = ANY(:values)"),
        {"id": member_id, "kind": kind, "values": list(values)},
    )
    add(tx, member_id, kind, values, now=now)


NAMED_MAX = 20
"""Whoever has more namesakes than these shares a number of the shop's own, not of a person."""


def members_with(tx: sa.Connection, kind: AddressKind, value: str) -> Sequence[int]:
    """Living members with this address, the oldest of them first: more than one are duplicates."""
    statement = sa.text(
        """
        SELECT DISTINCT COALESCE(m.merged_into_id, m.id) AS id FROM member_address a JOIN member m ON m.id = a.member_id
        WHERE a.kind = :kind AND a.value = :value ORDER BY id LIMIT :most
        """
    )
    return list(tx.execute(statement, {"kind": kind, "value": value, "most": NAMED_MAX}).scalars())


def lock(tx: sa.Connection, kind: str, value: str | None) -> None:
    """Two programs that enrol the same address at once: the second waits and finds the first's member."""
    if value is not None:
        tx.execute(
            sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"address:{kind}:{value}"}
        )
