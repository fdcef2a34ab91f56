"""Requests of programs that must not be done twice: whose key it is, what was asked, what was answered.

A row without a status is a request at work. Its claim is the moment it was claimed: whoever takes over a dead
request's key moves that moment, and the dead one, should it live after all, no longer finds its claim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True)
class Claim:
    """The right to carry out the request with this key of this token."""

    token_id: int
    key: str
    digest: bytes
    claimed_at: datetime


@dataclass(frozen=True)
class Stored:
    """What is known of a key. `status` and `body`: the final answer, None while the request is at work."""

    digest: bytes
    status: int | None
    body: bytes
    claimed_at: datetime


_CLAIM = sa.text(
    """
    INSERT INTO idempotency AS known (token_id, key, request_digest, created_at)
    VALUES (:token_id, :key, :digest, :claimed_at)
    ON CONFLICT (token_id, key) DO UPDATE SET created_at = EXCLUDED.created_at
    WHERE known.status IS NULL AND known.request_digest = EXCLUDED.request_digest AND known.created_at <= :lapsed_at
    """
)
_SETTLE = sa.text(
    """
    UPDATE idempotency SET status = :status, body = :body
    WHERE token_id = :token_id AND key = :key AND created_at = :claimed_at AND status IS NULL
    """
)
_FORGET = sa.text(
    "DELETE FROM idempotency WHERE token_id = :token_id AND key = :key AND created_at = :claimed_at AND status IS NULL"
)


def claim(single: sa.Connection, wanted: Claim, *, lapsed_at: datetime) -> bool:
    """Claims a key that is new, or whose request began before `lapsed_at` and was never answered. False: see `look`."""
    return single.execute(_CLAIM, {**vars(wanted), "lapsed_at": lapsed_at}).rowcount == 1


def look(single: sa.Connection, wanted: Claim) -> Stored | None:
    """What is known of the key; None: nothing (any more)."""
    row = single.execute(
        sa.text(
            "SELECT request_digest, status, body, created_at FROM idempotency WHERE token_id = :token_id AND key = :key"
        ),
        {"token_id": wanted.token_id, "key": wanted.key},
    ).one_or_none()
    return None if row is None else Stored(bytes(row.request_digest), row.status, bytes(row.body or b""), row[3])


def settle(tx: sa.Connection, own: Claim, *, status: int, body: bytes) -> bool:
    """Stores the final answer. False: the claim was lost to another process, or its answer is stored already."""
    return tx.execute(_SETTLE, {**_names(own), "status": status, "body": body}).rowcount == 1


def forget(single: sa.Connection, own: Claim) -> None:
    """The request came to nothing: it may be sent again at once."""
    single.execute(_FORGET, _names(own))


def prune(tx: sa.Connection, *, before: datetime, limit: int) -> int:
    """Forgets keys older than this, at most `limit` of them. Returns how many."""
    statement = sa.text(
        """
        DELETE FROM idempotency WHERE (token_id, key) IN (
            SELECT token_id, key FROM idempotency WHERE created_at < :before ORDER BY created_at LIMIT :limit)
        """
    )
    return tx.execute(statement, {"before": before, "limit": limit}).rowcount


def _names(own: Claim) -> dict[str, object]:
    return {"token_id": own.token_id, "key": own.key, "claimed_at": own.claimed_at}
