"""Shared memory of the CRM connection: sealed OAuth tokens, the rate gate, the directory of discovered ids.

Tokens arrive and leave sealed (encrypted by the caller). The gate hands out moments to send by the database's own
clock, one UPDATE each, so any number of processes share one rate without Redis.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta


@dataclass(frozen=True)
class SealedPair:
    """A stored pair. `state`: ok, refreshing (one process is spending the refresh token) or needs_reauth."""

    sealed_pair: bytes
    expires_at: datetime
    refresh_fingerprint: str
    state: str
    refreshing_since: datetime | None
    reason: str | None


def load_tokens(tx: sa.Connection, name: str) -> SealedPair | None:
    row = tx.execute(
        sa.text(
            """
            SELECT sealed_pair, expires_at, refresh_fingerprint, state, refreshing_since, reason
            FROM oauth_token WHERE name = :name
            """
        ),
        {"name": name},
    ).one_or_none()
    return None if row is None else SealedPair(bytes(row.sealed_pair), *row[1:])


def save_tokens(
    tx: sa.Connection, name: str, *, sealed_pair: bytes, expires_at: datetime, refresh_fingerprint: str, now: datetime
) -> None:
    """Stores a fresh pair; ends the claim and the needs-reauth mark."""
    tx.execute(
        sa.text(
            """
            INSERT INTO oauth_token (name, sealed_pair, expires_at, refresh_fingerprint, state, updated_at)
            VALUES (:name, :sealed_pair, :expires_at, :fingerprint, 'ok', :now)
            ON CONFLICT (name) DO UPDATE SET sealed_pair = EXCLUDED.sealed_pair, expires_at = EXCLUDED.expires_at,
                refresh_fingerprint = EXCLUDED.refresh_fingerprint, state = 'ok', refreshing_since = NULL,
                reason = NULL, updated_at = EXCLUDED.updated_at
            """
        ),
        {
            "name": name,
            "sealed_pair": sealed_pair,
            "expires_at": expires_at,
            "fingerprint": refresh_fingerprint,
            "now": now,
        },
    )


def save_refreshed(
    tx: sa.Connection,
    name: str,
    *,
    claimed_fingerprint: str,
    sealed_pair: bytes,
    expires_at: datetime,
    refresh_fingerprint: str,
    now: datetime,
) -> bool:
    """Stores what the claimed token was spent for, and ends the claim. False: it is no more, nothing is stored."""
    result = tx.execute(
        sa.text(
            """
            UPDATE oauth_token SET sealed_pair = :sealed_pair, expires_at = :expires_at,
                refresh_fingerprint = :fingerprint, state = 'ok', refreshing_since = NULL, reason = NULL,
                updated_at = :now
            WHERE name = :name AND refresh_fingerprint = :claimed AND state = 'refreshing'
            """
        ),
        {
            "name": name,
            "claimed": claimed_fingerprint,
            "sealed_pair": sealed_pair,
            "expires_at": expires_at,
            "fingerprint": refresh_fingerprint,
            "now": now,
        },
    )
    return result.rowcount == 1


def claim_refresh(tx: sa.Connection, name: str, *, fingerprint: str, lapse: timedelta, now: datetime) -> bool:
    """The single right to spend this refresh token. A claim older than `lapse` is taken over: its holder died, and at
    worst the CRM will say that the token is burnt."""
    result = tx.execute(
        sa.text(
            """
            UPDATE oauth_token SET state = 'refreshing', refreshing_since = :now, updated_at = :now
            WHERE name = :name AND refresh_fingerprint = :fingerprint
                AND (state = 'ok' OR (state = 'refreshing' AND refreshing_since < :lapsed))
            """
        ),
        {"name": name, "fingerprint": fingerprint, "now": now, "lapsed": now - lapse},
    )
    return result.rowcount == 1


def mark_tokens(
    tx: sa.Connection, name: str, *, state: str, reason: str | None, now: datetime, fingerprint: str | None = None
) -> None:
    """`ok` gives an unused claim back, and nothing else; `needs_reauth` waits for a person."""
    tx.execute(
        sa.text(
            """
            UPDATE oauth_token SET state = :state, reason = :reason, refreshing_since = NULL, updated_at = :now
            WHERE name = :name AND (CAST(:fingerprint AS text) IS NULL OR refresh_fingerprint = :fingerprint)
                AND (:state <> 'ok' OR state = 'refreshing')
            """
        ),
        {"name": name, "state": state, "reason": reason, "now": now, "fingerprint": fingerprint},
    )


@dataclass(frozen=True)
class Turn:
    """`is_taken`: sleep `wait_s`, then send. Otherwise do not send: `closed_s` > 0 says for how long the circuit is
    open, or the queue is longer than the caller would wait."""

    is_taken: bool
    wait_s: float
    closed_s: float
    reason: str | None


_TAKE_TURN = sa.text(
    """
    INSERT INTO rate_gate AS gate (name, next_at) VALUES (:name, clock_timestamp())
    ON CONFLICT (name) DO UPDATE SET
        next_at = GREATEST(gate.next_at + make_interval(secs => :step_s), clock_timestamp())
    WHERE (gate.closed_until IS NULL OR gate.closed_until <= clock_timestamp())
        AND gate.next_at + make_interval(secs => :step_s) <= clock_timestamp() + make_interval(secs => :wait_max_s)
    RETURNING GREATEST(0, extract(epoch FROM next_at - clock_timestamp()))::float
    """
)
_LOOK_AT_GATE = sa.text(
    """
    SELECT GREATEST(0, extract(epoch FROM next_at - clock_timestamp()))::float AS wait_s,
        GREATEST(0, COALESCE(extract(epoch FROM closed_until - clock_timestamp()), 0))::float AS closed_s, reason
    FROM rate_gate WHERE name = :name
    """
)


def next_turn(tx: sa.Connection, name: str, *, per_second: float, wait_max_s: float) -> Turn:
    """Takes the next free moment of the gate; one that would come later than `wait_max_s` is left to others."""
    step_s = 1.0 / per_second
    parameters = {"name": name, "step_s": step_s, "wait_max_s": wait_max_s}
    wait_s = tx.execute(_TAKE_TURN, parameters).scalar_one_or_none()
    if wait_s is not None:
        return Turn(is_taken=True, wait_s=wait_s, closed_s=0.0, reason=None)
    row = tx.execute(_LOOK_AT_GATE, {"name": name}).one()
    return Turn(is_taken=False, wait_s=row.wait_s + step_s, closed_s=row.closed_s, reason=row.reason)


def pause_gate(tx: sa.Connection, name: str, *, seconds: float) -> None:
    """Nobody gets a moment for so long."""
    tx.execute(
        sa.text(
            """
            INSERT INTO rate_gate AS gate (name, next_at)
            VALUES (:name, clock_timestamp() + make_interval(secs => :seconds))
            ON CONFLICT (name) DO UPDATE SET next_at = GREATEST(gate.next_at, EXCLUDED.next_at)
            """
        ),
        {"name": name, "seconds": seconds},
    )


def close_gate(tx: sa.Connection, name: str, *, seconds: float, reason: str) -> None:
    """Opens the circuit: every caller is refused for so long."""
    tx.execute(
        sa.text(
            """
            INSERT INTO rate_gate (name, next_at, closed_until, reason)
            VALUES (:name, clock_timestamp(), clock_timestamp() + make_interval(secs => :seconds), :reason)
            ON CONFLICT (name) DO UPDATE SET closed_until = EXCLUDED.closed_until, reason = EXCLUDED.reason
            """
        ),
        {"name": name, "seconds": seconds, "reason": reason},
    )


def gate_closed_s(tx: sa.Connection, name: str) -> float:
    """How long the circuit stays open, 0 when calls may go."""
    seconds = tx.execute(
        sa.text(
            """
            SELECT GREATEST(0, COALESCE(extract(epoch FROM closed_until - clock_timestamp()), 0))::float
            FROM rate_gate WHERE name = :name
            """
        ),
        {"name": name},
    ).scalar_one_or_none()
    return float(seconds or 0.0)


def directory_entry(tx: sa.Connection, name: str, *, not_before: datetime) -> Mapping[str, Any] | None:
    """A remembered entry, unless it is older than `not_before`."""
    entry: Mapping[str, Any] | None = tx.execute(
        sa.text("SELECT entry FROM directory WHERE name = :name AND updated_at >= :not_before"),
        {"name": name, "not_before": not_before},
    ).scalar_one_or_none()
    return entry


def remember_entry(tx: sa.Connection, name: str, entry: Mapping[str, Any], *, now: datetime) -> None:
    tx.execute(
        sa.text(
            """
            INSERT INTO directory (name, entry, updated_at) VALUES (:name, CAST(:entry AS jsonb), :now)
            ON CONFLICT (name) DO UPDATE SET entry = EXCLUDED.entry, updated_at = EXCLUDED.updated_at
            """
        ),
        {"name": name, "entry": json.dumps(dict(entry), ensure_ascii=False), "now": now},
    )
