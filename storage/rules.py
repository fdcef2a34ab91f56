"""Every version of the rules that ever decided about a point, and which of them was applied when. Append-only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from loyalty.programme import Programme

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime


@dataclass(frozen=True)
class Applied:
    """One act of applying; `source` is the file as it was, `lines` where each rule stands in it."""

    id: int
    version: str
    programme: Programme
    source: str
    lines: Mapping[str, int]
    applied_by: str
    applied_at: datetime


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


def segment_titles(tx: sa.Connection) -> set[str]:
    """What segments were called in any version."""
    statement = sa.text(
        "SELECT DISTINCT segment->>'title' FROM rule_version, jsonb_array_elements(rules->'segments') AS segment"
    )
    return set(tx.execute(statement).scalars())


_APPLIED = """
    SELECT a.id, a.version, r.rules, a.source, a.lines, a.applied_by, a.applied_at
    FROM rules_applied a JOIN rule_version r ON r.version = a.version
"""


def apply(tx: sa.Connection, version: str, *, source: str, lines: Mapping[str, int], by: str, now: datetime) -> None:
    """Makes a stored version the one in force."""
    tx.execute(
        sa.text(
            """
            INSERT INTO rules_applied (version, source, lines, applied_by, applied_at)
            VALUES (:version, :source, CAST(:lines AS jsonb), :by, :now)
            """
        ),
        {"version": version, "source": source, "lines": json.dumps(dict(lines)), "by": by, "now": now},
    )


def applied(tx: sa.Connection) -> Applied | None:
    """The rules in force; None before the first start."""
    row = tx.execute(sa.text(f"{_APPLIED} ORDER BY a.id DESC LIMIT 1")).one_or_none()
    return None if row is None else _applied(row)


def applied_version(tx: sa.Connection) -> str | None:
    """The name of the rules in force, the cheapest question there is."""
    return tx.execute(sa.text("SELECT version FROM rules_applied ORDER BY id DESC LIMIT 1")).scalar_one_or_none()


def lines_of(tx: sa.Connection, version: str) -> Mapping[str, int]:
    """Where the rules of a version stood in their file; empty for one that was never applied."""
    statement = sa.text("SELECT lines FROM rules_applied WHERE version = :version ORDER BY id DESC LIMIT 1")
    lines: Mapping[str, int] = tx.execute(statement, {"version": version}).scalar_one_or_none() or {}
    return lines


def all_applied(tx: sa.Connection, *, limit: int) -> Sequence[Applied]:
    """Newest first."""
    found = tx.execute(sa.text(f"{_APPLIED} ORDER BY a.id DESC LIMIT :limit"), {"limit": limit})
    return [_applied(row) for row in found]


def _applied(row: sa.Row[tuple[object, ...]]) -> Applied:
    known = dict(row._mapping)
    programme = Programme.from_data(known.pop("rules"))
    return Applied(**known, programme=programme)
