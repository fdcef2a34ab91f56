"""The schema's version: bring the database to the code's, or say how they differ. Wraps alembic."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

if TYPE_CHECKING:
    from storage.db import Database

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 7_150_001
"""Advisory lock number: two starting processes must not migrate at once."""


def migrate(db: Database, *, to: str = "head") -> str:
    """Upgrades to `to` and returns the revision the database is at. Waits for another process that is migrating.

    Raises DatabaseAway.
    """
    with db.connect() as connection:
        connection.execute(sa.text("SET statement_timeout = 0"))
        connection.execute(sa.text("SET lock_timeout = 0"))
        connection.execute(sa.text("SELECT pg_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK})
        connection.execute(sa.text("RESET lock_timeout"))  # waiting for a table in use would stop everybody behind us
        connection.commit()
        try:
            command.upgrade(_config(connection, is_step_by_step=True), to)
            connection.commit()
        finally:
            connection.execute(sa.text("SELECT pg_advisory_unlock(:lock)"), {"lock": MIGRATION_LOCK})
            connection.commit()
            connection.invalidate()
    return current(db) or ""


def downgrade(db: Database, *, to: str) -> None:
    """All the way or not at all: a step that refuses leaves the schema as it was."""
    with db.connect() as connection:
        command.downgrade(_config(connection, is_step_by_step=False), to)
        connection.commit()


def current(db: Database) -> str | None:
    """The database's revision; None before the first migration."""
    with db.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def revision(tx: sa.Connection) -> str | None:
    """`current` as a part of the caller's transaction; the schema is there."""
    return tx.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


@cache
def expected() -> str:
    """The revision this code was written for; asked once, because an upgrade changes the files of a running process."""
    return ScriptDirectory(str(MIGRATIONS)).get_current_head() or ""


def _config(connection: sa.Connection, *, is_step_by_step: bool) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    config.attributes["is_step_by_step"] = is_step_by_step
    return config
