"""What connecting the CRM leaves behind: grants that were asked for, generations of our hook's address, and where the
account lives. A state arrives as a digest, an address is never stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from storage.boxes import Box


@dataclass(frozen=True)
class GrantRequest:
    """`outcome`: None until the redirect has been worked; connected, or a word for what went wrong."""

    expires_at: datetime
    used_at: datetime | None
    outcome: str | None
    reason: str | None


@dataclass(frozen=True)
class HookPath:
    """One generation of the hook's address. `verified_at`: a hook came through it, or it is in use from of old."""

    generation: int
    first_hook_at: datetime | None
    verified_at: datetime | None
    retired_at: datetime | None


@dataclass(frozen=True)
class CrmAccount:
    """`moved_to`: the host that the account at `moved_from` has now. `uninstalled_at`: the last time amoCRM said so."""

    account_id: int | None
    moved_from: str | None
    moved_to: str | None
    uninstalled_at: datetime | None


def ask_grant(tx: sa.Connection, digest: bytes, *, now: datetime, expires_at: datetime) -> None:
    """Remembers a state that was handed out; those long over are forgotten."""
    tx.execute(sa.text("DELETE FROM grant_request WHERE expires_at < :now - interval '30 days'"), {"now": now})
    tx.execute(
        sa.text("INSERT INTO grant_request (state_digest, created_at, expires_at) VALUES (:digest, :now, :expires_at)"),
        {"digest": digest, "now": now, "expires_at": expires_at},
    )


def grant_request(tx: sa.Connection, digest: bytes) -> GrantRequest | None:
    row = tx.execute(
        sa.text("SELECT expires_at, used_at, outcome, reason FROM grant_request WHERE state_digest = :digest"),
        {"digest": digest},
    ).one_or_none()
    return None if row is None else GrantRequest(*row)


def use_grant(tx: sa.Connection, digest: bytes, *, now: datetime) -> bool:
    """The single right to spend what came with this state: False when it is unknown, used or late."""
    result = tx.execute(
        sa.text(
            """
            UPDATE grant_request SET used_at = :now
            WHERE state_digest = :digest AND used_at IS NULL AND expires_at > :now
            """
        ),
        {"digest": digest, "now": now},
    )
    return result.rowcount == 1


def finish_grant(tx: sa.Connection, digest: bytes, *, outcome: str, reason: str | None) -> None:
    tx.execute(
        sa.text("UPDATE grant_request SET outcome = :outcome, reason = :reason WHERE state_digest = :digest"),
        {"digest": digest, "outcome": outcome, "reason": reason},
    )


def hook_paths(tx: sa.Connection) -> list[HookPath]:
    """All generations, the oldest first. Generation 0, which every installation has, may have no row."""
    rows = tx.execute(
        sa.text("SELECT generation, first_hook_at, verified_at, retired_at FROM hook_path ORDER BY generation")
    )
    return [HookPath(*row) for row in rows]


def add_hook_path(tx: sa.Connection, *, now: datetime) -> int:
    """A new generation, on trial; two that are made at once differ."""
    tx.execute(sa.text("LOCK TABLE hook_path IN SHARE ROW EXCLUSIVE MODE"))
    generation: int = tx.execute(
        sa.text(
            """
            INSERT INTO hook_path (generation, created_at)
            SELECT COALESCE(max(generation), 0) + 1, :now FROM hook_path RETURNING generation
            """
        ),
        {"now": now},
    ).scalar_one()
    return generation


def note_first_hook(tx: sa.Connection, generation: int, *, now: datetime) -> None:
    tx.execute(
        sa.text("UPDATE hook_path SET first_hook_at = :now WHERE generation = :generation AND first_hook_at IS NULL"),
        {"generation": generation, "now": now},
    )


def settle_hook_path(tx: sa.Connection, generation: int, *, now: datetime) -> bool:
    """This generation is in use from now on, older ones are retired. False: a newer link has retired it."""
    result = tx.execute(
        sa.text("UPDATE hook_path SET verified_at = :now WHERE generation = :generation AND retired_at IS NULL"),
        {"generation": generation, "now": now},
    )
    if result.rowcount == 0:
        return False
    tx.execute(
        sa.text(
            """
            INSERT INTO hook_path (generation, created_at, retired_at) VALUES (0, :now, :now)
            ON CONFLICT (generation) DO NOTHING
            """
        ),
        {"now": now},
    )
    tx.execute(
        sa.text("UPDATE hook_path SET retired_at = :now WHERE generation < :generation AND retired_at IS NULL"),
        {"generation": generation, "now": now},
    )
    return True


def retire_hook_path(tx: sa.Connection, generation: int, *, now: datetime) -> None:
    """A generation that did not prove itself."""
    tx.execute(
        sa.text("UPDATE hook_path SET retired_at = :now WHERE generation = :generation AND retired_at IS NULL"),
        {"generation": generation, "now": now},
    )


def last_inbox_id(tx: sa.Connection) -> int:
    """No row that is there already has a larger id."""
    return int(tx.execute(sa.text("SELECT COALESCE(max(id), 0) FROM inbox")).scalar_one())


def hooks_after(tx: sa.Connection, source: str, *, after_id: int, limit: int) -> Sequence[tuple[int, bytes]]:
    """Ids and bodies of what came from a source since, the oldest first."""
    rows = tx.execute(
        sa.text("SELECT id, body FROM inbox WHERE id > :after_id AND source = :source ORDER BY id LIMIT :limit"),
        {"after_id": after_id, "source": source, "limit": limit},
    )
    return [(int(row.id), bytes(row.body)) for row in rows]


def crm_account(tx: sa.Connection) -> CrmAccount:
    row = tx.execute(
        sa.text(
            "SELECT crm_account_id, crm_moved_from, crm_moved_to, crm_uninstalled_at FROM installation WHERE id = 1"
        )
    ).one_or_none()
    return CrmAccount(None, None, None, None) if row is None else CrmAccount(*row)


def save_account_id(tx: sa.Connection, account_id: int) -> None:
    tx.execute(sa.text("UPDATE installation SET crm_account_id = :id WHERE id = 1"), {"id": account_id})


def save_move(tx: sa.Connection, *, moved_from: str, moved_to: str) -> None:
    tx.execute(
        sa.text("UPDATE installation SET crm_moved_from = :moved_from, crm_moved_to = :moved_to WHERE id = 1"),
        {"moved_from": moved_from, "moved_to": moved_to},
    )


def save_uninstalled(tx: sa.Connection, *, now: datetime) -> None:
    tx.execute(sa.text("UPDATE installation SET crm_uninstalled_at = :now WHERE id = 1"), {"now": now})


def wake(tx: sa.Connection, box: Box, outcome_starts: str, *, now: datetime, limit: int) -> int:
    """Makes at most `limit` rows that wait after such a failure due now; how many they were."""
    statement = sa.text(
        f"""
        UPDATE {box} SET due_at = :now WHERE id IN (
            SELECT id FROM {box} WHERE state = 'waiting' AND due_at > :now AND starts_with(outcome, :outcome_starts)
            ORDER BY due_at, id LIMIT :limit FOR UPDATE SKIP LOCKED
        )
        """  # noqa: S608 - the word comes from this package, never from outside
    )
    return tx.execute(statement, {"now": now, "outcome_starts": outcome_starts, "limit": limit}).rowcount
