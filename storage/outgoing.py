"""Outgoing webhooks: endpoints (who wants which events), deliveries (one event for one endpoint), pauses of endpoints.

An outbox row of kind «webhook» says when a delivery is looked at next. Secrets come in and go out sealed. Decides
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from storage.text import storable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

ERROR_CHARS_MAX = 300

DeliveryState = Literal["waiting", "delivered", "failed"]


@dataclass(frozen=True)
class Endpoint:
    """A program of the shop that wants events. Its URL may hold a token of its own."""

    id: int
    url: str = field(repr=False)
    events: tuple[str, ...]
    is_on: bool
    failing_since: datetime | None
    off_reason: str | None
    created_at: datetime


@dataclass(frozen=True)
class Delivery:
    """One event for one endpoint. `due_at`: when it is tried next, while it waits."""

    id: int
    endpoint_id: int
    event_id: str
    event_type: str
    state: DeliveryState
    attempts: int
    last_status: int | None
    last_error: str | None
    created_at: datetime
    closed_at: datetime | None
    due_at: datetime | None


@dataclass(frozen=True)
class Task:
    """What an attempt needs to know. `paused_until`: the endpoint is unwell, nothing goes there before."""

    id: int
    endpoint_id: int
    event_id: str
    payload: str = field(repr=False)
    state: DeliveryState
    attempts: int
    created_at: datetime
    url: str = field(repr=False)
    sealed_secret: bytes = field(repr=False)
    is_on: bool
    failing_since: datetime | None
    paused_until: datetime | None


_ENDPOINTS = sa.text(
    "SELECT id, url, events, is_on, failing_since, off_reason, created_at FROM webhook_endpoint ORDER BY id"
)
_WANTING = sa.text("SELECT id FROM webhook_endpoint WHERE is_on AND :event_type = ANY(events)")
_ADD = sa.text(
    """
    INSERT INTO webhook_delivery (endpoint_id, event_id, event_type, payload, created_at)
    SELECT endpoint.id, event.id, :event_type, event.payload, :now
    FROM unnest(CAST(:event_ids AS text[]), CAST(:payloads AS text[])) AS event (id, payload)
    CROSS JOIN unnest(CAST(:endpoint_ids AS bigint[])) AS endpoint (id)
    ORDER BY endpoint.id, event.id
    ON CONFLICT ON CONSTRAINT one_delivery_per_event_and_endpoint DO NOTHING RETURNING id
    """
)
# A pause lives in the table of rate gates, by the clock of whoever sets it.
_TASK = sa.text(
    """
    SELECT d.id, d.endpoint_id, d.event_id, d.payload, d.state, d.attempts, d.created_at,
        e.url, e.sealed_secret, e.is_on, e.failing_since, gate.closed_until AS paused_until
    FROM webhook_delivery d JOIN webhook_endpoint e ON e.id = d.endpoint_id
    LEFT JOIN rate_gate gate ON gate.name = 'webhook ' || e.id
    WHERE d.id = :id
    """
)
_DELIVERIES = sa.text(
    """
    SELECT d.id, d.endpoint_id, d.event_id, d.event_type, d.state, d.attempts, d.last_status, d.last_error,
        d.created_at, d.closed_at, CASE WHEN d.state = 'waiting' THEN box.due_at END AS due_at
    FROM webhook_delivery d LEFT JOIN outbox box ON box.kind = 'webhook' AND box.target_id = d.id
    WHERE CAST(:endpoint_id AS bigint) IS NULL OR d.endpoint_id = :endpoint_id
    ORDER BY d.id DESC LIMIT :limit
    """
)
_FORGET = sa.text(
    """
    WITH old AS (
        DELETE FROM webhook_delivery WHERE id IN (
            SELECT id FROM webhook_delivery WHERE created_at < :before AND state <> 'waiting'
            ORDER BY created_at LIMIT :limit)
        RETURNING id
    ), rows_of_old AS (
        DELETE FROM outbox USING old
        WHERE outbox.kind = 'webhook' AND outbox.target_id = old.id AND outbox.state IN ('done', 'parked')
    )
    SELECT count(*) FROM old
    """
)


def new_endpoint_id(tx: sa.Connection) -> int:
    """The id of the next endpoint: its secret is sealed for this id before the row is there."""
    return int(tx.execute(sa.text("SELECT nextval(pg_get_serial_sequence('webhook_endpoint', 'id'))")).scalar_one())


def add_endpoint(
    tx: sa.Connection, endpoint_id: int, *, url: str, sealed_secret: bytes, events: Sequence[str], now: datetime
) -> None:
    tx.execute(
        sa.text(
            """
            INSERT INTO webhook_endpoint (id, url, sealed_secret, events, created_at) OVERRIDING SYSTEM VALUE
            VALUES (:id, :url, :sealed_secret, :events, :now)
            """
        ),
        {"id": endpoint_id, "url": url, "sealed_secret": sealed_secret, "events": list(events), "now": now},
    )


def endpoints(tx: sa.Connection) -> Sequence[Endpoint]:
    """All, the oldest first."""
    return [
        Endpoint(int(row.id), row.url, tuple(row.events), row.is_on, row.failing_since, row.off_reason, row.created_at)
        for row in tx.execute(_ENDPOINTS)
    ]


def switch(tx: sa.Connection, endpoint_id: int, *, is_on: bool, reason: str | None) -> bool:
    """On or off; both forget failures and pauses. False: there is no such endpoint, or it was so already."""
    result = tx.execute(
        sa.text(
            """
            UPDATE webhook_endpoint SET is_on = :is_on, off_reason = :reason, failing_since = NULL
            WHERE id = :id AND is_on <> :is_on
            """
        ),
        {"id": endpoint_id, "is_on": is_on, "reason": reason},
    )
    unpause(tx, endpoint_id)
    return result.rowcount == 1


def wanting(tx: sa.Connection, event_type: str) -> Sequence[int]:
    """Endpoints that are on and want events of this type."""
    return tx.execute(_WANTING, {"event_type": event_type}).scalars().all()


def add_deliveries(
    tx: sa.Connection,
    endpoint_ids: Sequence[int],
    *,
    event_type: str,
    event_ids: Sequence[str],
    payloads: Sequence[str],
    now: datetime,
) -> Sequence[int]:
    """One delivery per event and endpoint; an event that is there already is left alone. Returns the new ids."""
    parameters: dict[str, Any] = {
        "endpoint_ids": list(endpoint_ids),
        "event_type": event_type,
        "event_ids": list(event_ids),
        "payloads": list(payloads),
        "now": now,
    }
    return tx.execute(_ADD, parameters).scalars().all()


def task(tx: sa.Connection, delivery_id: int) -> Task | None:
    row = tx.execute(_TASK, {"id": delivery_id}).one_or_none()
    return None if row is None else Task(**row._mapping)


def save_delivered(tx: sa.Connection, done: Task, *, status: int, now: datetime) -> None:
    """The receiver has taken it; its endpoint is well again."""
    tx.execute(
        sa.text(
            """
            UPDATE webhook_delivery SET state = 'delivered', attempts = attempts + 1, last_status = :status,
                last_error = NULL, closed_at = :now
            WHERE id = :id
            """
        ),
        {"id": done.id, "status": status, "now": now},
    )
    if done.failing_since is not None:
        tx.execute(sa.text("UPDATE webhook_endpoint SET failing_since = NULL WHERE id = :id"), {"id": done.endpoint_id})
    if done.paused_until is not None:
        unpause(tx, done.endpoint_id)


def save_failure(tx: sa.Connection, failed: Task, *, status: int | None, error: str, now: datetime) -> None:
    """One attempt more without success. What another worker has delivered meanwhile stays delivered."""
    tx.execute(
        sa.text(
            """
            UPDATE webhook_delivery SET attempts = attempts + 1, last_status = :status, last_error = :error
            WHERE id = :id AND state = 'waiting'
            """
        ),
        {"id": failed.id, "status": status, "error": storable(error, chars_max=ERROR_CHARS_MAX)},
    )
    tx.execute(
        sa.text("UPDATE webhook_endpoint SET failing_since = :now WHERE id = :id AND failing_since IS NULL AND is_on"),
        {"id": failed.endpoint_id, "now": now},
    )


def give_up(tx: sa.Connection, delivery_id: int, *, error: str, now: datetime) -> None:
    """The delivery is not tried again, unless a person says so."""
    tx.execute(
        sa.text(
            """
            UPDATE webhook_delivery SET state = 'failed', closed_at = :now, last_error = :error
            WHERE id = :id AND state = 'waiting'
            """
        ),
        {"id": delivery_id, "error": storable(error, chars_max=ERROR_CHARS_MAX), "now": now},
    )


def pause(tx: sa.Connection, endpoint_id: int, *, until: datetime, reason: str) -> None:
    """Nothing goes to this endpoint before `until`."""
    tx.execute(
        sa.text(
            """
            INSERT INTO rate_gate (name, next_at, closed_until, reason) VALUES (:name, :until, :until, :reason)
            ON CONFLICT (name) DO UPDATE SET closed_until = EXCLUDED.closed_until, reason = EXCLUDED.reason
            """
        ),
        {"name": f"webhook {endpoint_id}", "until": until, "reason": storable(reason, chars_max=ERROR_CHARS_MAX)},
    )


def unpause(tx: sa.Connection, endpoint_id: int) -> None:
    tx.execute(sa.text("DELETE FROM rate_gate WHERE name = :name"), {"name": f"webhook {endpoint_id}"})


def deliveries(tx: sa.Connection, *, endpoint_id: int | None, limit: int) -> Sequence[Delivery]:
    """The newest first, of one endpoint or of all."""
    return [Delivery(**row._mapping) for row in tx.execute(_DELIVERIES, {"endpoint_id": endpoint_id, "limit": limit})]


def renew(tx: sa.Connection, delivery_id: int) -> bool:
    """Lets a delivery begin anew. False: there is none, or its endpoint is off."""
    result = tx.execute(
        sa.text(
            """
            UPDATE webhook_delivery d SET state = 'waiting', attempts = 0, closed_at = NULL
            FROM webhook_endpoint e WHERE d.id = :id AND e.id = d.endpoint_id AND e.is_on
            """
        ),
        {"id": delivery_id},
    )
    return result.rowcount == 1


def forget(tx: sa.Connection, *, before: datetime, limit: int) -> int:
    """Deletes settled deliveries made before this moment. Returns how many; fewer than `limit`: none is left."""
    return int(tx.execute(_FORGET, {"before": before, "limit": limit}).scalar_one())
