"""The doorbell: the only module that knows RQ and Redis.

Redis holds no truth: a bell says «there is work in this box», the work itself is rows in PostgreSQL. Losing all of
Redis costs the seconds until the next sweep. One job drains many rows; while a bell has rung and its job has not
begun, further rings are absorbed, because that job will see their rows too. Each worker listens to one queue: RQ
loses jobs of workers that listen to several when they are killed.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import redis
import structlog
from rq import Queue, Worker
from rq.exceptions import StopRequested
from rq.serializers import JSONSerializer
from rq.worker import WorkerStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rq.job import Job

SOCKET_TIMEOUT_S = 0.5
RUNG_FOR_MS = 5_000
"""A bell whose job was lost may ring again after this."""

TELL_PAUSE_S = 0.005
"""What rings within this time is told together."""

JOB_TIMEOUT_S = 300
"""A last resort: jobs end by themselves after a minute, and every call in them has a limit of its own."""

WORKER_TTL_S = 60
MAINTENANCE_INTERVAL_S = 15
RECONNECT_MAX_S = 5.0
"""RQ alone would let a worker sleep for up to a minute after Redis is back."""

QUEUE_PREFIX = "kopilka-"

_log = structlog.get_logger(__name__)
_jobs: dict[str, Callable[[], None]] = {}
"""What each bell does, put here by `work` before the worker starts. The one module-level state of the product."""


class RedisAway(Exception):
    """Redis cannot be reached. Work goes on at the sweep's pace."""


class Bell:
    """Rings for «inbox» and «outbox». `ring` never waits and never fails: a thread of its own speaks to Redis."""

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url
        self._wanted: dict[str, tuple[int, int]] = {}
        self._rings = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def ring(self, name: str, row_id: int) -> None:
        """Says that there is work in box `name`; `row_id` is the row that rang, for the log."""
        with self._changed:
            self._rings += 1
            self._wanted[name] = (self._rings, row_id)
            if self._thread is None or not self._thread.is_alive():  # also after a fork
                self._thread = threading.Thread(target=self._run, name="bell", daemon=True)
                self._thread.start()
            self._changed.notify()

    def flush(self, timeout_s: float = 1.0) -> None:
        """Waits until what was rung has been told: for a process that is about to end."""
        with self._changed:
            self._changed.wait_for(lambda: not self._wanted, timeout_s)

    def _run(self) -> None:
        connection = redis_connection(self._redis_url)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._wanted))
                wanted = dict(self._wanted)
            for name, (_, row_id) in wanted.items():
                try:
                    _ring(connection, name, row_id)
                except redis.RedisError as failure:
                    _log.warning("bell_unheard", box=name, error=type(failure).__name__)
            time.sleep(TELL_PAUSE_S)  # what rings meanwhile is told together
            with self._changed:
                for name, ring in wanted.items():
                    if self._wanted.get(name) == ring:
                        del self._wanted[name]
                self._changed.notify_all()


def ring_now(redis_url: str, name: str, row_id: int) -> bool:
    """Rings at once. False: Redis cannot be reached, the caller must see to the work itself."""
    try:
        _ring(redis_connection(redis_url), name, row_id)
    except redis.RedisError:
        return False
    return True


def is_reachable(redis_url: str) -> bool:
    try:
        return bool(redis_connection(redis_url).ping())
    except redis.RedisError:
        return False


def run_job(name: str, row_id: int) -> None:
    """What every RQ job is: what `work` has put here for this bell, in the process that RQ has forked for it."""
    _log.debug("job", box=name, row_id=row_id)
    _jobs[name]()


def work(redis_url: str, name: str, jobs: Mapping[str, Callable[[], None]], *, after_job: Callable[[], None]) -> None:
    """Serves one queue until a signal comes. Everything is imported already, so a fork is ready at once. A bell is
    taken down before its job begins, so that rows of now ring again. `after_job` is called here, not in the fork; what
    it raises ends the work and is raised.

    Raises RedisAway when Redis goes away; the caller starts again.
    """
    connection = redis_connection(redis_url, socket_timeout_s=None)

    def begin(box: str) -> Callable[[], None]:
        def job() -> None:
            redis_connection(redis_url).delete(_rung_key(box))
            jobs[box]()

        return job

    _jobs.update({box: begin(box) for box in jobs})
    try:
        worker = _Worker(
            [_queue(connection, name)],
            connection=connection,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL_S,
            maintenance_interval=MAINTENANCE_INTERVAL_S,
        )
        worker.after_job = after_job
        worker.work(logging_level="WARNING")
    except redis.RedisError as failure:
        raise RedisAway(type(failure).__name__) from failure
    if worker.ended_by is not None:
        raise worker.ended_by


def redis_connection(redis_url: str, *, socket_timeout_s: float | None = SOCKET_TIMEOUT_S) -> redis.Redis:
    """A client that gives up soon; a worker's own blocks as long as RQ asks."""
    return redis.Redis.from_url(
        redis_url, socket_timeout=socket_timeout_s, socket_connect_timeout=SOCKET_TIMEOUT_S, health_check_interval=15
    )


class _Worker(Worker):
    max_connection_wait_time = RECONNECT_MAX_S
    after_job: Callable[[], None]
    ended_by: Exception | None = None

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """RQ looks whether it was told to stop, and only then says that it is idle. A signal that came between the two
        was noted and never looked at again."""
        self.set_state(WorkerStatus.IDLE)  # from here on a signal raises
        if self._stop_requested:
            raise StopRequested
        return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)

    def execute_job(self, job: Job, queue: Queue) -> None:
        super().execute_job(job, queue)
        try:
            self.after_job()
        except StopRequested:  # a signal that came meanwhile: an end like any other
            raise
        except Exception as failure:
            self.ended_by = failure  # RQ would only log it
            raise StopRequested from failure


def _ring(connection: redis.Redis, name: str, row_id: int) -> None:
    if connection.set(_rung_key(name), row_id, nx=True, px=RUNG_FOR_MS):
        _queue(connection, name).enqueue(
            "flows.queue.run_job", name, row_id, job_timeout=JOB_TIMEOUT_S, result_ttl=0, failure_ttl=JOB_TIMEOUT_S
        )


def _queue(connection: redis.Redis, name: str) -> Queue:
    return Queue(f"{QUEUE_PREFIX}{name}", connection=connection, serializer=JSONSerializer)


def _rung_key(name: str) -> str:
    return f"{QUEUE_PREFIX}rung-{name}"
