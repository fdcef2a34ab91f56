"""Holds: points reserved for an order until it is paid, given up or too old. At most one is open per order."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from loyalty.redemption import Allocation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

OPEN_STATES = ("unconfirmed", "active")


@dataclass(frozen=True)
class Hold:
    """`spread` are the points on each line, `total_kopecks` the price it was quoted for; `code_digest` of the code that
    the buyer must tell, None when none is asked; `tried_digest` of the last one that was wrong."""

    id: int
    public_id: str
    member_id: int
    order_id: int
    state: str
    points: int
    total_kopecks: int
    spread: tuple[int, ...]
    channel: str
    rules_version: str
    created_at: datetime
    expires_at: datetime
    code_digest: bytes | None
    code_tries: int
    tried_digest: bytes | None = None

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES


@dataclass(frozen=True)
class NewHold:
    public_id: str
    member_id: int
    order_id: int
    points: int
    total_kopecks: int
    spread: Sequence[int]
    channel: str
    rules_version: str
    expires_at: datetime
    code_digest: bytes | None


def again(old: Hold, *, public_id: str, expires_at: datetime) -> NewHold:
    """The same points for the same order once more."""
    return NewHold(
        public_id=public_id,
        member_id=old.member_id,
        order_id=old.order_id,
        points=old.points,
        total_kopecks=old.total_kopecks,
        spread=old.spread,
        channel=old.channel,
        rules_version=old.rules_version,
        expires_at=expires_at,
        code_digest=None,
    )


_COLUMNS = ", ".join(one.name for one in fields(Hold))
_ADD = sa.text(
    f"""
    INSERT INTO hold (public_id, member_id, order_id, state, points, total_kopecks, spread, channel, rules_version,
        created_at, expires_at, code_digest, is_code_asked)
    VALUES (:public_id, :member_id, :order_id,
        CASE WHEN CAST(:code_digest AS bytea) IS NULL THEN 'active' ELSE 'unconfirmed' END,
        :points, :total_kopecks, CAST(:spread AS jsonb), :channel, :rules_version, :now, :expires_at, :code_digest,
        CAST(:code_digest AS bytea) IS NOT NULL)
    RETURNING {_COLUMNS}
    """  # noqa: S608
)


def add(tx: sa.Connection, new: NewHold, *, now: datetime) -> Hold:
    """Opens a hold, unconfirmed if a code is asked. Raises IntegrityError if the order has an open one."""
    return _hold(tx.execute(_ADD, {**vars(new), "spread": json.dumps(list(new.spread)), "now": now}).one())


def by_id(tx: sa.Connection, hold_id: int) -> Hold:
    return _hold(tx.execute(sa.text(f"SELECT {_COLUMNS} FROM hold WHERE id = :id"), {"id": hold_id}).one())  # noqa: S608


def by_public_id(tx: sa.Connection, public_id: str) -> Hold | None:
    """A hold by the name its maker was given. Not locked: lock its order first."""
    statement = sa.text(f"SELECT {_COLUMNS} FROM hold WHERE public_id = :id")  # noqa: S608
    row = tx.execute(statement, {"id": public_id}).one_or_none()
    return None if row is None else _hold(row)


def confirm(tx: sa.Connection, hold_id: int) -> None:
    tx.execute(
        sa.text("UPDATE hold SET state = 'active', code_digest = NULL WHERE id = :id AND state = 'unconfirmed'"),
        {"id": hold_id},
    )


def count_try(tx: sa.Connection, hold_id: int, *, tried: bytes) -> int:
    """One more wrong code. Returns how many there were."""
    statement = sa.text(
        "UPDATE hold SET code_tries = code_tries + 1, tried_digest = :tried WHERE id = :id RETURNING code_tries"
    )
    return int(tx.execute(statement, {"id": hold_id, "tried": tried}).scalar_one())


@dataclass(frozen=True)
class Codes:
    """Wrong codes told for a member's holds, codes asked of him, and wrong codes told for anybody's."""

    wrong: int
    asked: int
    wrong_of_all: int


def codes_since(tx: sa.Connection, member_id: int, *, since: datetime) -> Codes:
    """Counted over holds made since then, whatever became of them."""
    statement = sa.text(
        """
        SELECT COALESCE(sum(code_tries), 0) AS wrong, count(*) FILTER (WHERE is_code_asked) AS asked,
            (SELECT COALESCE(sum(code_tries), 0) FROM hold WHERE code_tries > 0 AND created_at > :since) AS wrong_of_all
        FROM hold WHERE member_id = :id AND created_at > :since
        """
    )
    return Codes(*tx.execute(statement, {"id": member_id, "since": since}).one())


def close(tx: sa.Connection, hold_id: int, *, state: str, now: datetime) -> None:
    """Captured, released or expired. A captured or expired hold stays the order's."""
    tx.execute(
        sa.text("UPDATE hold SET state = :state, closed_at = :now, code_digest = NULL WHERE id = :id"),
        {"id": hold_id, "state": state, "now": now},
    )


def allocations(tx: sa.Connection, hold_id: int) -> tuple[Allocation, ...]:
    """What the hold took from each lot, in the order it took it."""
    statement = sa.text(
        """
        SELECT l.key, t.points FROM transfer t JOIN lot l ON l.id = t.lot_id
        WHERE t.hold_id = :id AND t.move = 'hold' ORDER BY t.id
        """
    )
    return tuple(Allocation(row.key, row.points) for row in tx.execute(statement, {"id": hold_id}))


def made_between(tx: sa.Connection, member_id: int, begin: datetime, end: datetime) -> int:
    """How many holds of the member made in this time were used or still may be."""
    statement = sa.text(
        """
        SELECT count(*) FROM hold WHERE member_id = :member_id AND created_at >= :begin AND created_at < :end
            AND state IN ('unconfirmed', 'active', 'captured')
        """
    )
    return int(tx.execute(statement, {"member_id": member_id, "begin": begin, "end": end}).scalar_one())


def reserving_contacts(tx: sa.Connection, deal_refs: Iterable[int]) -> set[int]:
    """Contacts whose points lie reserved on these deals, which nobody has paid yet."""
    statement = sa.text(
        """
        SELECT DISTINCT m.contact_ref FROM orders o JOIN member m ON m.id = o.member_id
        WHERE o.deal_ref = ANY(:refs) AND o.hold_id IS NOT NULL AND o.counted_at IS NULL AND m.contact_ref IS NOT NULL
        """
    )
    return set(tx.execute(statement, {"refs": list(deal_refs)}).scalars())


@dataclass(frozen=True)
class Reserved:
    """Points that lie reserved on a deal, and the price they were reserved for."""

    deal_ref: int
    points: int
    total_kopecks: int
    rules_version: str


def reserved_of_deals(tx: sa.Connection, deal_refs: Iterable[int]) -> dict[int, Reserved]:
    """Open holds by their deals."""
    statement = sa.text(
        """
        SELECT o.deal_ref, h.points, h.total_kopecks, h.rules_version FROM orders o JOIN hold h ON h.id = o.hold_id
        WHERE o.deal_ref = ANY(:refs) AND h.state IN ('unconfirmed', 'active')
        """
    )
    return {row.deal_ref: Reserved(*row) for row in tx.execute(statement, {"refs": list(deal_refs)})}


def expired(tx: sa.Connection, *, now: datetime, limit: int, after: int = 0) -> Sequence[int]:
    """Orders whose open hold is too old, by their ids from `after` on."""
    statement = sa.text(
        """
        SELECT order_id FROM hold WHERE state IN ('unconfirmed', 'active') AND expires_at <= :now AND order_id > :after
        ORDER BY order_id LIMIT :limit
        """
    )
    return list(tx.execute(statement, {"now": now, "limit": limit, "after": after}).scalars())


def _hold(row: sa.Row[Any]) -> Hold:
    known = dict(row._mapping)
    digests = {name: None if known[name] is None else bytes(known[name]) for name in ("code_digest", "tried_digest")}
    return Hold(**{**known, **digests, "spread": tuple(known["spread"])})
