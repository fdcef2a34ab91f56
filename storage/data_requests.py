"""What buyers ask of their own data: to see it, or to have it erased. One open request of a kind for each person.

Decides nothing. A request of somebody who was merged belongs to the living member.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import sqlalchemy as sa

from storage.text import storable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

Kind = Literal["export", "erase"]

NOTE_CHARS_MAX = 500


@dataclass(frozen=True)
class DataRequest:
    """`number` is what the buyer was told."""

    number: int
    member_id: int
    kind: Kind
    asked_at: datetime
    done_at: datetime | None
    done_by: str | None
    note: str


_COLUMNS = "r.id, COALESCE(m.merged_into_id, m.id), r.kind, r.asked_at, r.done_at, r.done_by, r.note"


def ask(tx: sa.Connection, member_id: int, kind: Kind, *, now: datetime) -> DataRequest:
    """The open request, made if there is none. The member is locked."""
    tx.execute(
        sa.text(
            """
            INSERT INTO data_request (member_id, kind, asked_at) VALUES (:member_id, :kind, :now)
            ON CONFLICT (member_id, kind) WHERE done_at IS NULL DO NOTHING
            """
        ),
        {"member_id": member_id, "kind": kind, "now": now},
    )
    return next(one for one in of_member(tx, member_id) if one.kind == kind)


def of_member(tx: sa.Connection, member_id: int) -> list[DataRequest]:
    """The open requests of a living member, of those too who were merged into him; the oldest first."""
    statement = sa.text(
        f"""
        SELECT {_COLUMNS} FROM data_request r JOIN member m ON m.id = r.member_id
        WHERE (m.id = :id OR m.merged_into_id = :id) AND r.done_at IS NULL ORDER BY r.id
        """  # noqa: S608
    )
    return [DataRequest(*row) for row in tx.execute(statement, {"id": member_id})]


def listed(tx: sa.Connection, *, with_done: bool, limit: int) -> Sequence[DataRequest]:
    """The oldest first; with those that are done the newest first."""
    which = "true" if with_done else "r.done_at IS NULL"
    order = "DESC" if with_done else ""
    statement = sa.text(
        f"SELECT {_COLUMNS} FROM data_request r JOIN member m ON m.id = r.member_id "  # noqa: S608
        f"WHERE {which} ORDER BY r.id {order} LIMIT :limit"
    )
    return [DataRequest(*row) for row in tx.execute(statement, {"limit": limit})]


def close(tx: sa.Connection, number: int, *, by: str, note: str, now: datetime) -> bool:
    """Says who answered and how. False: there is no such open request."""
    statement = sa.text(
        "UPDATE data_request SET done_at = :now, done_by = :by, note = :note WHERE id = :id AND done_at IS NULL"
    )
    told = {"id": number, "now": now, "by": by, "note": storable(note, chars_max=NOTE_CHARS_MAX)}
    return tx.execute(statement, told).rowcount == 1


def waiting(tx: sa.Connection) -> tuple[int, datetime | None]:
    """How many are open, and since when the oldest of them."""
    count, oldest = tx.execute(sa.text("SELECT count(*), min(asked_at) FROM data_request WHERE done_at IS NULL")).one()
    return int(count), oldest
