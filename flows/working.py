"""A worker process: serves one bell until it is told to stop, and comes back when Redis or the database went away."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from flows import active_rules, inbox, outbox, queue
from flows.runtime import SchemaMismatch
from storage.db import DatabaseAway

if TYPE_CHECKING:
    from collections.abc import Callable

    from flows.runtime import Runtime

RECONNECT_S = 1.0
WORK_FOR = timedelta(seconds=60)
"""A job ends by itself before RQ's time limit breaks it off in the middle of a row; another goes on."""

_log = structlog.get_logger(__name__)


def serve(rt: Runtime, name: str, *, is_stopped: Callable[[], bool]) -> None:
    """Works box `name` («inbox» or «outbox») until a signal stops the worker. Raises SchemaMismatch when the database
    was upgraded under it."""
    drains: dict[str, Callable[..., int]] = {"inbox": inbox.drain, "outbox": outbox.drain}
    jobs = {name: job(rt, name, drains[name])}
    while not is_stopped():
        try:
            queue.work(rt.settings.redis_url, name, jobs, after_job=lambda: _look(rt))
        except queue.RedisAway as failure:
            _log.warning("redis_away", error=str(failure))
            time.sleep(RECONNECT_S)
        else:
            return


def _look(rt: Runtime) -> None:
    """When the database was upgraded, its jobs, which are forks of this process, refuse to work: then it ends too."""
    try:
        active_rules.look(rt, at_once=True)
    except DatabaseAway as failure:
        _log.warning("database_away", error=str(failure))


def job(rt: Runtime, name: str, drain: Callable[..., int]) -> Callable[[], None]:
    """What a bell begins: a drain that ends in time and rings for the next if it had to."""

    def work() -> None:
        try:
            active_rules.look(rt, at_once=True)
            stop_at = rt.now() + WORK_FOR
            worked = drain(rt, stop_at=stop_at)
            if rt.now() >= stop_at:
                rt.bell.ring(name, 0)
            _log.info("drained", box=name, rows=worked)
        except DatabaseAway as failure:
            _log.warning("database_away", box=name, error=str(failure))
        except SchemaMismatch as failure:
            _log.error("schema_moved", box=name, error=str(failure))
        finally:
            rt.bell.flush()

    return work
