"""The life of one embedded server: lock, port, guarded process, readiness, stop, kill, start again.

Owns what PostgreSQL and Valkey have in common. Must not know their options or formats.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from cli.services.account import RunAs
from cli.services.errors import ServerNotStartedError
from cli.services.folder import choose_port, take_lock
from cli.services.process import GuardedProcess, StopStage

START_DEADLINE_S: Final = 120.0  # recovery after a crash may be long
RETRY_FOR_S: Final = 10.0
_POLL_S: Final = 0.005
_RETRY_PAUSE_S: Final = 0.1
_LOG_LIMIT_BYTES: Final = 5_000_000
_REASON_LIMIT_CHARS: Final = 2_000


class EmbeddedServer(ABC):
    """A server on 127.0.0.1 that lives as long as this process; `start` after `kill` keeps port and data."""

    # Words of the server's log that say "what I met goes away by itself".
    passing_troubles: Sequence[str] = ("Address already in use",)
    stop_stages: Sequence[StopStage]

    def __init__(self, home: Path, *, name: str, origin: str, run_as: RunAs) -> None:
        self.home = home
        self.name = name
        self.origin = origin
        self.run_as = run_as
        self.log_path = home / f"{name}.log"
        self._port: int | None = None
        self._process: GuardedProcess | None = None

    @property
    def port(self) -> int:
        if self._port is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._port

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs; a death from outside is seen some milliseconds later, `kill` returns after it."""
        return self._process is not None and self._process.alive

    def start(self) -> None:
        """Start and wait until connections are accepted; nothing happens when it already runs."""
        if self.alive:
            return
        self.stop()
        deadline = time.monotonic() + RETRY_FOR_S
        while True:
            try:
                self._start_once()
            except ServerNotStartedError as failure:
                passing = any(words in failure.reason for words in self.passing_troubles)
                if not passing or time.monotonic() > deadline:
                    raise
            else:
                return
            time.sleep(_RETRY_PAUSE_S)

    def request_stop(self) -> None:
        """Begin a clean end without waiting for it."""
        if self._process is not None:
            self._process.request_stop()

    def stop(self) -> None:
        """Clean end; harmless when repeated."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """SIGKILL of the server itself, for tests of recovery."""
        if self._process is not None:
            self._process.kill()

    @abstractmethod
    def _command(self, port: int) -> tuple[list[str], dict[str, str]]:
        """Command line and environment; called with the folder locked and no server running."""

    @abstractmethod
    def _is_ready(self, pid: int, new_log: str) -> bool:
        """Whether the server ``pid`` accepts connections; ``new_log`` is what it has written so far."""

    def _start_once(self) -> None:
        # A server that is still ending, or backends of a killed one, hold this lock: wait for the last of them.
        lock = take_lock(self.home / "server.lock", patience_s=RETRY_FOR_S)
        try:
            port = self._port if self._port is not None else choose_port(self.home / "port")
            argv, environment = self._command(port)
            log_start = self._trim_log()
            process = GuardedProcess(
                argv,
                environment=environment,
                run_as=self.run_as,
                log_path=self.log_path,
                lock_fd=lock,
                stop=self.stop_stages,
            )
        finally:
            os.close(lock)
        with ExitStack() as on_failure:
            on_failure.callback(process.stop)
            self._wait_until_ready(process, log_start)
            on_failure.pop_all()
        self._port, self._process = port, process

    def _wait_until_ready(self, process: GuardedProcess, log_start: int) -> None:
        deadline = time.monotonic() + START_DEADLINE_S
        while True:
            alive = process.alive
            new_log = self._log_since(log_start)
            if alive and self._is_ready(process.pid, new_log):
                return
            if not alive or time.monotonic() > deadline:
                reason = new_log[-_REASON_LIMIT_CHARS:].strip()
                raise ServerNotStartedError(
                    f"{self.name} не запустился: {reason.splitlines()[-1] if reason else 'молчит'}",
                    f"подробности в журнале {self.log_path}",
                    reason=reason,
                )
            time.sleep(_POLL_S)

    def _trim_log(self) -> int:
        """Put an overgrown log aside; return the size at which this start's lines begin."""
        if self.log_path.exists() and self.log_path.stat().st_size > _LOG_LIMIT_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".old.log"))
        self.log_path.touch(mode=0o600)
        return self.log_path.stat().st_size

    def _log_since(self, start: int) -> str:
        with self.log_path.open("rb") as log:
            log.seek(start)
            return log.read().decode("utf-8", "replace")
