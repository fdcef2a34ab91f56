"""Facts about this installation: which key it was made with, heartbeats of processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from datetime import datetime


def key_fingerprint(tx: sa.Connection) -> str | None:
    """The fingerprint of the key this database was first used with; None for a new database."""
    return tx.execute(sa.text("SELECT key_fingerprint FROM installation WHERE id = 1")).scalar_one_or_none()


def set_key_fingerprint(tx: sa.Connection, fingerprint: str, *, now: datetime) -> None:
    tx.execute(
        sa.text(
            """
            INSERT INTO installation (id, key_fingerprint, created_at) VALUES (1, :fingerprint, :now)
            ON CONFLICT (id) DO UPDATE SET key_fingerprint = EXCLUDED.key_fingerprint
            """
        ),
        {"fingerprint": fingerprint, "now": now},
    )


def since(tx: sa.Connection) -> datetime | None:
    """When this installation was first started."""
    at: datetime | None = tx.execute(sa.text("SELECT created_at FROM installation WHERE id = 1")).scalar_one_or_none()
    return at


def beat(tx: sa.Connection, name: str, *, now: datetime) -> None:
    """Says that the process `name` is alive."""
    tx.execute(
        sa.text(
            """
            INSERT INTO heartbeat (name, beat_at) VALUES (:name, :now)
            ON CONFLICT (name) DO UPDATE SET beat_at = EXCLUDED.beat_at
            """
        ),
        {"name": name, "now": now},
    )


def heartbeats(tx: sa.Connection) -> dict[str, datetime]:
    return {row.name: row.beat_at for row in tx.execute(sa.text("SELECT name, beat_at FROM heartbeat"))}
