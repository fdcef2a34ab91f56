"""Tokens of API callers: stored as digests, with what they may do, and how often they have called lately.

A token is admitted and counted by one statement, so many processes share one limit. The window of the limit follows
the database's own clock, as the CRM's rate gate does: the product's clock may jump.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime, timedelta


@dataclass(frozen=True)
class Token:
    """What is known of a token without the token itself."""

    id: int
    name: str
    scopes: tuple[str, ...]
    channel: str
    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True)
class Admitted:
    """The holder of a valid token; `used` calls of the present window, which ends in `resets_in_s`."""

    id: int
    name: str
    scopes: tuple[str, ...]
    channel: str
    used: int
    resets_in_s: float


# The row of the window is made or counted up in any case: a caller that is over its limit stays over it until the
# window ends. `last_used_at` is written once in a while, not with every call.
_ADMIT = sa.text(
    """
    WITH caller AS (
        SELECT id, name, scopes, channel, last_used_at FROM api_token
        WHERE token_digest = :digest AND revoked_at IS NULL
    ), counted AS (
        INSERT INTO api_rate AS rate (token_id, window_at, used) SELECT id, statement_timestamp(), 1 FROM caller
        ON CONFLICT (token_id) DO UPDATE SET
            window_at = CASE WHEN rate.window_at + make_interval(secs => :window_s) <= statement_timestamp()
                THEN statement_timestamp() ELSE rate.window_at END,
            used = CASE WHEN rate.window_at + make_interval(secs => :window_s) <= statement_timestamp()
                THEN 1 ELSE rate.used + 1 END
        RETURNING used, window_at
    ), noted AS (
        UPDATE api_token SET last_used_at = :now FROM caller
        WHERE api_token.id = caller.id
            AND (caller.last_used_at IS NULL OR caller.last_used_at < :not_after OR caller.last_used_at > :now)
    )
    SELECT id, name, scopes, channel, used, GREATEST(0, extract(epoch FROM
        window_at + make_interval(secs => :window_s) - statement_timestamp()))::float AS resets_in_s
    FROM caller CROSS JOIN counted
    """
)


def add(tx: sa.Connection, *, name: str, digest: bytes, scopes: Collection[str], channel: str, now: datetime) -> None:
    """Stores a caller's token as its digest; a second token of the same name replaces the first."""
    tx.execute(
        sa.text(
            """
            INSERT INTO api_token (name, token_digest, scopes, channel, created_at)
            VALUES (:name, :digest, :scopes, :channel, :now)
            ON CONFLICT ON CONSTRAINT one_token_per_name DO UPDATE SET token_digest = EXCLUDED.token_digest,
                scopes = EXCLUDED.scopes, channel = EXCLUDED.channel, created_at = EXCLUDED.created_at,
                revoked_at = NULL, last_used_at = NULL
            """
        ),
        {"name": name, "digest": digest, "scopes": sorted(scopes), "channel": channel, "now": now},
    )


def admit(
    single: sa.Connection, digest: bytes, *, window_s: float, noted_every: timedelta, now: datetime
) -> Admitted | None:
    """Whose valid token this digest is, counted once more; None: nobody's."""
    row = single.execute(
        _ADMIT, {"digest": digest, "window_s": window_s, "now": now, "not_after": now - noted_every}
    ).one_or_none()
    if row is None:
        return None
    return Admitted(row.id, row.name, tuple(row.scopes), row.channel, row.used, row.resets_in_s)


def everyone(tx: sa.Connection) -> Sequence[Token]:
    """All tokens by name, revoked ones too."""
    found = tx.execute(
        sa.text("SELECT id, name, scopes, channel, created_at, revoked_at, last_used_at FROM api_token ORDER BY name")
    )
    return [Token(row.id, row.name, tuple(row.scopes), *row[3:]) for row in found]


def revoke(tx: sa.Connection, name: str, *, now: datetime) -> bool:
    """The token of this name stops working. False: there is none that works."""
    result = tx.execute(
        sa.text("UPDATE api_token SET revoked_at = :now WHERE name = :name AND revoked_at IS NULL"),
        {"name": name, "now": now},
    )
    return result.rowcount > 0
