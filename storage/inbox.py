"""Rows of the inbox: every message from outside, as the bytes that came, once per (source, external id).

A hint says only «look again» (amoCRM hooks, YooKassa notices): its repetition asks for the work again. A fact carries
its own proof: its repetition is counted and changes nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from storage import boxes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    import psycopg

    from storage.boxes import Claim


@dataclass(frozen=True)
class InboxRow:
    """A claimed row. `body` is what the sender sent; our own follow-up rows have an empty one."""

    claim: Claim
    source: str
    external_id: str
    body: bytes
    received_at: datetime


@dataclass(frozen=True)
class Stored:
    id: int
    is_new: bool


_ADD = """
    INSERT INTO inbox (source, external_id, body, body_digest, received_at, due_at)
    VALUES (%(source)s, %(external_id)s, %(body)s, %(digest)s, %(now)s, %(now)s)
    ON CONFLICT ON CONSTRAINT one_row_per_event DO UPDATE SET
        arrivals = inbox.arrivals + 1,
        is_conflict = inbox.is_conflict OR inbox.body_digest <> EXCLUDED.body_digest,
        body = CASE WHEN inbox.body = ''::bytea THEN EXCLUDED.body ELSE inbox.body END,
        wanted = inbox.wanted + (%(is_hint)s)::int,
        failures = CASE WHEN %(is_hint)s AND inbox.state = 'parked' THEN 0 ELSE inbox.failures END,
        due_at = CASE WHEN %(is_hint)s AND inbox.state IN ('done', 'parked') THEN EXCLUDED.due_at
                      WHEN %(is_hint)s AND inbox.state = 'waiting' THEN LEAST(inbox.due_at, EXCLUDED.due_at)
                      ELSE inbox.due_at END,
        state = CASE WHEN %(is_hint)s AND inbox.state IN ('done', 'parked') THEN 'waiting' ELSE inbox.state END
    RETURNING id, (xmax = 0) AS is_new
    """
_CLAIM = boxes.claim_sql("inbox", "box.source, box.external_id, box.body, box.received_at")


def add(tx: sa.Connection, *, source: str, external_id: str, body: bytes, is_hint: bool, now: datetime) -> Stored:
    """Stores a message or counts its repetition, as a part of the caller's transaction."""
    parameters = _parameters(source, external_id, body, is_hint=is_hint, now=now)
    row = tx.exec_driver_sql(_ADD, parameters).one()
    return Stored(int(row.id), bool(row.is_new))


def add_at_once(
    connection: psycopg.Connection[Any], *, source: str, external_id: str, body: bytes, is_hint: bool, now: datetime
) -> Stored:
    """The same as a transaction of its own, by the driver itself: the answer means «durable»."""
    parameters = _parameters(source, external_id, body, is_hint=is_hint, now=now)
    row_id, is_new = connection.execute(_ADD, parameters).fetchall()[0]
    return Stored(row_id, is_new)


def claim(tx: sa.Connection, *, now: datetime, lease: timedelta, limit: int, alone: bool = False) -> Sequence[InboxRow]:
    """Takes due rows for this worker; `alone` takes one row that has crashed a worker before."""
    statement = _CLAIM["alone" if alone else "many"]
    parameters = {"now": now, "until": now + lease, "limit": 1 if alone else limit}
    return [_row(row) for row in boxes.rows(tx, statement, parameters)]


def recent(tx: sa.Connection, *, states: Sequence[str], limit: int) -> Sequence[sa.Row[Any]]:
    """The newest rows in these states, without bodies, for people who look after the queue."""
    statement = sa.text(
        """
        SELECT id, source, external_id, state, arrivals, failures, crashes, is_conflict, outcome, received_at, due_at
        FROM inbox WHERE state = ANY(:states) ORDER BY id DESC LIMIT :limit
        """
    )
    return tx.execute(statement, {"states": list(states), "limit": limit}).all()


def forget_bodies(tx: sa.Connection, *, before: datetime, limit: int) -> int:
    """Empties at most `limit` bodies of finished rows older than `before` (kept 90 days: design, section 4)."""
    statement = sa.text(
        """
        UPDATE inbox SET body = ''::bytea WHERE id IN (
            SELECT id FROM inbox
            WHERE received_at < :before AND state IN ('done', 'parked') AND body <> ''::bytea
            ORDER BY received_at LIMIT :limit
        )
        """
    )
    return tx.execute(statement, {"before": before, "limit": limit}).rowcount


def _parameters(source: str, external_id: str, body: bytes, *, is_hint: bool, now: datetime) -> dict[str, Any]:
    digest = hashlib.blake2b(body, digest_size=16).digest()
    return {
        "source": source,
        "external_id": external_id,
        "body": body,
        "digest": digest,
        "is_hint": is_hint,
        "now": now,
    }


def _row(row: sa.Row[Any]) -> InboxRow:
    return InboxRow(
        claim=boxes.Claim(int(row.id), int(row.claims), int(row.failures)),
        source=row.source,
        external_id=row.external_id,
        body=bytes(row.body),
        received_at=row.received_at,
    )
