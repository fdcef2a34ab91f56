"""Every version of the owner's rules that ever decided about a point. Append-only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import sqlalchemy as sa

from loyalty.programme import Programme

if TYPE_CHECKING:
    from datetime import datetime


def remember(tx: sa.Connection, version: str, programme: Programme, *, now: datetime) -> None:
    """Stores a version the first time it is used."""
    tx.execute(
        sa.text(
            """
            INSERT INTO rule_version (version, rules, first_used_at) VALUES (:version, CAST(:rules AS jsonb), :now)
            ON CONFLICT (version) DO NOTHING
            """
        ),
        {"version": version, "rules": json.dumps(programme.to_data(), ensure_ascii=False), "now": now},
    )


def load(tx: sa.Connection, version: str) -> Programme:
    """A stored version. Raises NoResultFound for one that never was."""
    data = tx.execute(
        sa.text("SELECT rules FROM rule_version WHERE version = :version"), {"version": version}
    ).scalar_one()
    return Programme.from_data(data)
