"""One guarded child process: start, stop, kill; and a free TCP port of 127.0.0.1.

Owns the pipe that ties a server's life to ours (`guard.py`). Must not know which server it runs.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.services.account import RunAs
from cli.services.errors import ServiceError

LOCALHOST: Final = "127.0.0.1"
# Servers see nothing of our environment: it may hold secrets, and their messages must stay English to be recognised.
SERVER_ENVIRONMENT: Final[dict[str, str]] = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "HOME": "/"}

# Below every system's ephemeral range: there a client that reconnects to a dead server could take its port.
_FIRST_PORT: Final = 15_000
_PORTS: Final = 15_000
_KILL_PATIENCE_S: Final = 10.0
_GUARD: Final = Path(__file__).with_name("guard.py")


@dataclass(frozen=True)
class StopStage:
    """Send ``signal`` and give the server ``patience_s`` seconds to end."""

    signal: signal.Signals
    patience_s: float


class GuardedProcess:
    """A running server that dies with this process, even when this process is killed with -9."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        run_as: RunAs,
        log_path: Path,
        lock_fd: int,
        stop: Sequence[StopStage],
    ) -> None:
        self._patience_s = sum(stage.patience_s for stage in stop) + _KILL_PATIENCE_S
        identity = f"{run_as.uid}:{run_as.gid}" if run_as.switches else "-"
        stages = ",".join(f"{int(stage.signal)}:{stage.patience_s}" for stage in stop)
        with log_path.open("ab") as log:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_GUARD), str(os.getpid()), identity, stages, "--", *argv],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd="/",
                env=dict(environment),
                # Held by the server and its children too, so the lock is free only when the last of them has gone.
                pass_fds=(lock_fd,),
                # Ctrl-C in the terminal is for us; the servers are stopped in order afterwards.
                start_new_session=True,
            )
        assert self._guard.stdout is not None  # noqa: S101 - PIPE above
        line = self._guard.stdout.readline()
        if not line:
            self.stop()
            raise ServiceError(f"сторож процесса {argv[0]} не запустился", "посмотрите журнал сервера")
        self.pid = int(line)

    @property
    def alive(self) -> bool:
        return self._guard.poll() is None

    def request_stop(self) -> None:
        """Ask for a clean end without waiting."""
        if self._guard.stdin is not None and not self._guard.stdin.closed:
            self._guard.stdin.close()

    def stop(self) -> None:
        """Clean end, by force after the deadlines; harmless when repeated."""
        self.request_stop()
        self._wait()

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self._wait()

    def _wait(self) -> None:
        try:
            self._guard.wait(self._patience_s)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()
        for pipe in (self._guard.stdin, self._guard.stdout):
            if pipe is not None:
                pipe.close()


def free_port(seed: str) -> int:
    """A free port of 127.0.0.1; the search starts at a place given by ``seed``."""
    start = zlib.crc32(seed.encode())
    for step in range(_PORTS):
        port = _FIRST_PORT + (start + step) % _PORTS
        if port_is_free(port):
            return port
    raise ServiceError("нет свободного порта на 127.0.0.1", "закройте лишние программы")


def port_is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do: connections in TIME_WAIT must not look like a busy port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOCALHOST, port))
        except OSError:
            return False
    return True
