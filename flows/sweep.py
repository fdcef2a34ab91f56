"""The sweep: everything that must become true even if every bell was lost.

Each round takes back rows of dead workers, activates points whose day has come, runs the jobs of the clock
(`nightly.py`) and rings for what is due. If Redis
cannot be reached the sweep does the work itself, one batch after the other: slower, never lost.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from flows import active_rules, idempotency, inbox, nightly, outbox, points, queue
from storage import boxes, installation, outgoing
from storage import inbox as inbox_storage
from storage.db import DatabaseAway

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from flows.runtime import Runtime
    from storage.boxes import Box

BODIES_KEPT = timedelta(days=90)
RETENTION = "retention"
RETENTION_EVERY = timedelta(hours=1)
RETENTION_STEP_ROWS = 500
RETENTION_STEPS_MAX = 200
OWN_WORK_FOR = timedelta(seconds=20)
"""How long one round works by itself while Redis is away, and how long it gives the jobs of the clock."""

BOXES: tuple[Box, ...] = ("inbox", "outbox")
DRAINS = {"inbox": inbox.drain, "outbox": outbox.drain}

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Round:
    """What one round found. `reclaimed`: rows of dead workers; `activated`: members; `worked`: rows done here."""

    reclaimed: int
    activated: int
    rung: int
    worked: int


def sweep_once(rt: Runtime) -> Round:
    """One round. Raises DatabaseAway."""
    now = rt.now()
    reclaimed = 0
    for box in BOXES:
        with rt.db.begin() as tx:
            reclaimed += boxes.reclaim_expired(tx, box, now=now)
    active_rules.look(rt)
    activated = points.activate_members(rt, now=now)
    _night_work(rt, now)
    with rt.db.begin() as tx:
        installation.beat(tx, "sweep", now=now)
    rung = worked = 0
    for box in BOXES:  # inbox first: what it leaves in the outbox goes the same way
        with rt.db.begin() as tx:
            due = boxes.due(tx, box, now=rt.now())
        if not due:
            continue
        if queue.ring_now(rt.settings.redis_url, box, 0):
            rung += 1
        else:
            _log.warning("redis_away_working_here", box=box, due=due)
            worked += DRAINS[box](rt, stop_at=rt.now() + OWN_WORK_FOR)
    _forget_what_is_old(rt, now)
    return Round(reclaimed, activated, rung, worked)


def sweep_forever(rt: Runtime, *, is_stopped: Callable[[], bool]) -> None:
    """Rounds until told to stop. A database that is away is waited for."""
    while not is_stopped():
        try:
            found = sweep_once(rt)
            if found.reclaimed or found.worked or found.activated:
                _log.info("sweep", reclaimed=found.reclaimed, activated=found.activated, worked=found.worked)
        except DatabaseAway as failure:
            _log.warning("database_away", error=str(failure))
        except Exception:  # noqa: BLE001 - the outermost loop: one bad round must not end the sweep
            _log.exception("sweep_failed")
        deadline = time.monotonic() + rt.settings.sweep_interval_s
        while time.monotonic() < deadline and not is_stopped():
            time.sleep(min(0.2, rt.settings.sweep_interval_s))


def _night_work(rt: Runtime, now: datetime) -> None:
    """Jobs of the clock that are due. What they leave in the outbox is rung for at the end of this round."""
    for result in nightly.run_due(rt, now=now, work_for=OWN_WORK_FOR):
        if result.error is None and result.done:
            _log.info("job_done", job=result.name, result=result.text)


def _forget_what_is_old(rt: Runtime, now: datetime) -> None:
    """Once an hour, in small steps: raw bodies are kept no longer than design section 4 allows, answers to repeated
    API calls for a day, closed deliveries of outgoing webhooks as long as bodies."""
    with rt.db.begin() as tx:
        last = installation.heartbeats(tx).get(RETENTION)
        if last is not None and now - last < RETENTION_EVERY:
            return
        installation.beat(tx, RETENTION, now=now)
    idempotency.prune(rt)
    for _ in range(RETENTION_STEPS_MAX):
        with rt.db.begin() as tx:
            if outgoing.forget(tx, before=now - BODIES_KEPT, limit=RETENTION_STEP_ROWS) == 0:
                break
    for _ in range(RETENTION_STEPS_MAX):
        with rt.db.begin() as tx:
            if inbox_storage.forget_bodies(tx, before=now - BODIES_KEPT, limit=RETENTION_STEP_ROWS) == 0:
                return
