"""Which version of the rules decides now: another process may apply a new one at any time. And whether this process may
decide at all: an upgrade may have changed the database under it.

Looked up at most every few seconds, at the start of a piece of work, never in the middle of one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from flows.runtime import ActiveRules, SchemaMismatch
from storage import rules, schema

if TYPE_CHECKING:
    from flows.runtime import Runtime

LOOK_EVERY_S = 2.0

_log = structlog.get_logger(__name__)


class SchemaMoved(SchemaMismatch):
    """The database was upgraded (or taken back) while this process ran: it must end, its code writes by old rules."""

    def __init__(self, found: str | None, expected: str) -> None:
        Exception.__init__(
            self,
            f"Схема базы стала {found}, а этот процесс запущен для {expected} и больше ничего не делает.\n"
            "Как исправить: запустите его заново новой версией программы. Если программу не обновляли: kopilka migrate",
        )


def look(rt: Runtime, *, at_once: bool = False) -> None:
    """Takes over the rules in force if they changed. Raises SchemaMoved, DatabaseAway."""
    now = time.monotonic()
    if not at_once and now - rt.rules_looked_at < LOOK_EVERY_S:
        return
    with rt.db.begin() as tx:
        if schema.revision(tx) != schema.expected():
            raise SchemaMoved(schema.revision(tx), schema.expected())
        rt.rules_looked_at = now
        if rules.applied_version(tx) in (None, rt.rules_version):
            return
        applied = rules.applied(tx)
    if applied is not None:
        rt.active = ActiveRules(applied.version, applied.programme, applied.lines)
        rt._programmes[applied.version] = applied.programme  # it is stored, or it could not have been applied
        _log.info("rules_changed", version=applied.version)
