"""PostgreSQL and Valkey for this installation: the servers that were given, or embedded ones that live as long as we.

Owns the order of choice (given URL, installed server, wheel) and the start and end of both. Must not know what is
stored in them. Requirements: `reliability.md` §7.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from cli.services.account import make_folder
from cli.services.folder import keep_password, take_lock
from cli.services.postgres import RunningPostgres, create_database, drop_database, start_postgres
from cli.services.server import EmbeddedServer
from cli.services.valkey import RunningValkey, start_valkey

__all__ = ["Services", "create_database", "drop_database", "start_postgres", "start_services", "start_valkey"]


@dataclass(frozen=True, kw_only=True)
class Services:
    """Both services, ready; ``postgres`` and ``valkey`` are None when a URL was given."""

    database_url: str
    redis_url: str
    database_origin: str
    redis_origin: str
    postgres: RunningPostgres | None
    valkey: RunningValkey | None
    _owner_pid: int
    _locked: ExitStack

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the embedded servers, as they are now."""
        return {server.name: server.pid for server in self._embedded}

    @property
    def _embedded(self) -> list[EmbeddedServer]:
        return [server for server in (self.postgres, self.valkey) if server is not None]

    def stop(self) -> None:
        """End the embedded servers cleanly; harmless when repeated, in a signal handler or in a forked child."""
        if os.getpid() != self._owner_pid:
            return
        for server in self._embedded:
            server.request_stop()
        for server in self._embedded:
            server.stop()
        self._locked.close()
        atexit.unregister(self.stop)


def start_services(
    state_dir: Path,
    *,
    database_url: str | None,
    redis_url: str | None,
    durable: bool = True,
    log: Callable[[str], None] = print,
) -> Services:
    """Use the given URLs untouched and start what has none in ``state_dir``; ServiceError when that cannot be done.

    The servers end at `Services.stop`, at the exit of this process, or at its death by any signal.
    """
    with ExitStack() as on_failure:
        if database_url is None or redis_url is None:
            make_folder(state_dir)
            on_failure.callback(os.close, take_lock(state_dir / "services.lock", patience_s=0))
        postgres, valkey = _start_missing(state_dir, database_url, redis_url, durable=durable, log=log)
        services = Services(
            database_url=postgres.url if postgres else str(database_url),
            redis_url=valkey.url if valkey else str(redis_url),
            database_origin=postgres.origin if postgres else "taken from DATABASE_URL",
            redis_origin=valkey.origin if valkey else "taken from REDIS_URL",
            postgres=postgres,
            valkey=valkey,
            _owner_pid=os.getpid(),
            _locked=on_failure.pop_all(),
        )
    atexit.register(services.stop)
    return services


def _start_missing(
    state_dir: Path, database_url: str | None, redis_url: str | None, *, durable: bool, log: Callable[[str], None]
) -> tuple[RunningPostgres | None, RunningValkey | None]:
    """Start side by side what no URL was given for; when one fails, the other does not stay."""
    postgres: Future[RunningPostgres] | None = None
    valkey: Future[RunningValkey] | None = None
    with ThreadPoolExecutor(max_workers=2) as pool:
        if database_url is None:
            password = keep_password(state_dir / "postgres.password")
            postgres = pool.submit(start_postgres, state_dir / "postgres", password=password, durable=durable, log=log)
        else:
            log("PostgreSQL: адрес из DATABASE_URL")
        if redis_url is None:
            password = keep_password(state_dir / "valkey.password")
            valkey = pool.submit(start_valkey, state_dir / "valkey", password=password, log=log)
        else:
            log("Redis: адрес из REDIS_URL")
    with ExitStack() as on_failure:
        for future in (postgres, valkey):
            if future is not None and future.exception() is None:
                on_failure.callback(future.result().stop)
        started = (postgres.result() if postgres else None, valkey.result() if valkey else None)
        on_failure.pop_all()
    return started
