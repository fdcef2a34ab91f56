"""Bringing the database's schema to this code's version."""

from __future__ import annotations

import sqlalchemy as sa

from storage import schema
from storage.db import RETRIED_SQLSTATES, Database, sqlstate


class TablesInUse(Exception):
    """Processes at work kept the migration from its tables. The schema is as it was before the step that failed."""

    def __init__(self) -> None:
        super().__init__(
            "Базой пользуются: изменить её схему на ходу не удалось, она осталась прежней.\n"
            "Как исправить: остановите kopilka web, worker и sweep, повторите kopilka migrate и запустите их снова"
        )


def migrate(database_url: str) -> str:
    """Upgrades and returns the revision. Waits for another process that is migrating. Raises TablesInUse,
    DatabaseAway."""
    db = Database(database_url, pool_size=1)
    try:
        return schema.migrate(db)
    except sa.exc.OperationalError as failure:
        if sqlstate(failure) in RETRIED_SQLSTATES:
            raise TablesInUse from failure
        raise
    finally:
        db.close()
