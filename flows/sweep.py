"""The sweep: everything that must become true even if every bell was lost.

Each round takes back rows of dead workers, rings for what is due, runs the jobs of the clock (`nightly.py`) and rings
for what they have left. If Redis cannot be reached the sweep does the work itself, one batch after the other: slower,
never lost.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from flows import active_rules, idempotency, inbox, nightly, outbox, queue
from flows.runtime import SchemaMismatch
from storage import boxes, installation, messages, outgoing, payment_links
from storage import inbox as inbox_storage
from storage import outbox as outbox_storage
from storage.db import DatabaseAway, refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from flows.runtime import Runtime
    from storage.boxes import Box

BODIES_KEPT = timedelta(days=90)
MESSAGES_KEPT = timedelta(days=90)
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
    """What one round found. `reclaimed`: rows of dead workers; `activated`: members; `rung`: bells; `worked`: rows done
    here."""

    reclaimed: int
    activated: int
    rung: int
    worked: int


def sweep_once(rt: Runtime) -> Round:
    """One round. What everybody waits for comes before the long jobs. Raises DatabaseAway, SchemaMismatch."""
    active_rules.look(rt)
    now = rt.now()
    reclaimed = 0
    for box in BOXES:
        with rt.db.begin() as tx:
            reclaimed += boxes.reclaim_expired(tx, box, now=now)
    _beat(rt)
    rung, worked = _ring_or_work(rt)
    activated = _night_work(rt, now)
    _beat(rt)
    rung_after, worked_after = _ring_or_work(rt)
    _forget_what_is_old(rt, now)
    return Round(reclaimed, activated, max(rung, rung_after), worked + worked_after)


def sweep_forever(rt: Runtime, *, is_stopped: Callable[[], bool]) -> None:
    """Rounds until told to stop. A database that is away is waited for. Raises SchemaMismatch."""
    while not is_stopped():
        try:
            found = sweep_once(rt)
            if found.reclaimed or found.worked or found.activated:
                _log.info("sweep", reclaimed=found.reclaimed, activated=found.activated, worked=found.worked)
        except DatabaseAway as failure:
            _log.warning("database_away", error=str(failure))
        except SchemaMismatch:  # this process is too old to go on
            raise
        except Exception as failure:  # noqa: BLE001 - the outermost loop: one bad round must not end the sweep
            error = refusal(failure) or type(failure).__name__
            _log.error("sweep_failed", error=error, exc_info=nightly.traceable(failure))
        deadline = time.monotonic() + rt.settings.sweep_interval_s
        while time.monotonic() < deadline and not is_stopped():
            time.sleep(min(0.2, rt.settings.sweep_interval_s))


def _beat(rt: Runtime) -> None:
    with rt.db.begin() as tx:
        installation.beat(tx, "sweep", now=rt.now())


def _ring_or_work(rt: Runtime) -> tuple[int, int]:
    """Bells that were rung for what is due, and rows worked here because Redis is away."""
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
    return rung, worked


def _night_work(rt: Runtime, now: datetime) -> int:
    """Jobs of the clock that are due. Returns members whose points were activated."""
    activated = 0
    for result in nightly.run_due(rt, now=now, work_for=OWN_WORK_FOR):
        if result.error is None and result.done:
            _log.info("job_done", job=result.name, result=result.text)
        if result.name == "activate":
            activated = result.done
    return activated


def _forget_what_is_old(rt: Runtime, now: datetime) -> None:
    """Once an hour, in small steps: raw bodies are kept no longer than design section 4 allows, answers to repeated
    API calls for a day, closed deliveries of outgoing webhooks and what links were asked with as long as bodies,
    letters to buyers a while longer than anybody asks about them."""
    with rt.db.begin() as tx:
        last = installation.heartbeats(tx).get(RETENTION)
        if last is not None and timedelta(0) <= now - last < RETENTION_EVERY:  # a time to come is a wrong clock's
            return
        installation.beat(tx, RETENTION, now=now)
    idempotency.prune(rt)
    for forget, kept in (
        (outgoing.forget, BODIES_KEPT),
        (inbox_storage.forget_bodies, BODIES_KEPT),
        (payment_links.forget_asked, BODIES_KEPT),
        (messages.forget_bodies, MESSAGES_KEPT),
        (outbox_storage.forget_told, MESSAGES_KEPT),
    ):
        for _ in range(RETENTION_STEPS_MAX):
            with rt.db.begin() as tx:
                if forget(tx, before=now - kept, limit=RETENTION_STEP_ROWS) == 0:
                    break
