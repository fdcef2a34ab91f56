"""Our own processes as children: started with a log file, known to be ready, ended with us."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cli.services.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 8.0
CALL_TIMEOUT_S = 10.0
_PR_SET_PDEATHSIG = 1


@dataclass
class Child:
    """A Python process of this checkout. `announces`: it prints one JSON line when it is ready."""

    name: str
    arguments: Sequence[str]
    environment: dict[str, str] = field(repr=False)
    log_folder: Path
    announces: bool = False
    ready: dict[str, Any] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        self.stop()  # what is left of an earlier life: its pipe
        self.log_folder.mkdir(exist_ok=True)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **self.environment}
        with (self.log_folder / f"{self.name.replace(' ', '-')}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if self.announces or self.name == "web" else log,
                stderr=log,
                env=environment,
                start_new_session=True,  # Ctrl-C in the terminal is for us: children are stopped in order
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - no threads yet
            )

    def wait_ready(self) -> None:
        """Reads the ready line. Raises ServiceError with the end of the log if the process gives up."""
        if self._process is None or self._process.stdout is None:
            raise ServiceError(f"{self.name} не запущен", "запустите снова")
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            readable, _, _ = select.select([self._process.stdout], [], [], 0.2)
            if readable:
                line = self._process.stdout.readline()
                if line.startswith(b"{"):
                    self.ready = json.loads(line)
                    return
            if not self.is_alive:
                break
        raise ServiceError(f"{self.name} не запустился", f"посмотрите журнал {self.log_folder}")

    def request_stop(self) -> None:
        """SIGTERM without waiting, so that several can end side by side."""
        if self._process is not None and self.is_alive:
            self._process.terminate()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL if that is not enough. Harmless when repeated."""
        if self._process is None:
            return
        self.request_stop()
        if self.is_alive:
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def run_json(method: str, url: str, body: Any) -> Any:
    """One call to a simulator on this machine."""
    request = urllib.request.Request(  # noqa: S310 - an address of our own child
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method
    )
    with urllib.request.urlopen(request, timeout=CALL_TIMEOUT_S) as reply:  # noqa: S310
        return json.loads(reply.read() or b"null")


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
