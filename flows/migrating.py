"""Bringing the database's schema to this code's version."""

from __future__ import annotations

from storage import schema
from storage.db import Database


def migrate(database_url: str) -> str:
    """Upgrades and returns the revision. Waits for another process that is migrating. Raises DatabaseAway."""
    db = Database(database_url, pool_size=1)
    try:
        return schema.migrate(db)
    finally:
        db.close()
