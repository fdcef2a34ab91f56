"""An embedded Valkey (or Redis) on 127.0.0.1: options, readiness.

Owns its configuration file and data folder. Must not import a Redis client: the queue is the only user of the server.
Implements the configuration file format of Valkey 7.2 / Redis 6.2 (quoted arguments with \\xHH escapes).
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

from cli.services.account import RunAs, current_run_as, make_folder, place_data
from cli.services.binaries import ValkeyBinary, find_valkey
from cli.services.folder import write_private
from cli.services.process import LOCALHOST, SERVER_ENVIRONMENT, StopStage
from cli.services.server import EmbeddedServer

_READY_WORDS: Final = "Ready to accept connections"


class RunningValkey(EmbeddedServer):
    """A started Valkey."""

    stop_stages = (StopStage(signal.SIGTERM, 10.0),)

    def __init__(self, home: Path, *, data: Path, binary: ValkeyBinary, run_as: RunAs, password: str) -> None:
        super().__init__(home, name="valkey", origin=binary.origin, run_as=run_as)
        self._data = data
        self._configuration = data.with_name("valkey.conf")
        self._binary = binary
        self._password = password

    @property
    def url(self) -> str:
        return f"redis://:{quote(self._password, safe='')}@{LOCALHOST}:{self.port}/0"

    def _command(self, port: int) -> tuple[list[str], dict[str, str]]:
        if not self._data.exists():
            self._data.mkdir(mode=0o700)
            self.run_as.own(self._data)
        # The password stands in a private file, because everybody can read command lines.
        write_private(self._configuration, self._options(port))
        self.run_as.own(self._configuration)
        return [str(self._binary.path), str(self._configuration)], SERVER_ENVIRONMENT

    def _options(self, port: int) -> str:
        options = {
            "bind": LOCALHOST,
            "port": str(port),
            "protected-mode": "yes",
            "requirepass": self._password,
            "dir": str(self._data),
            "daemonize": "no",
            "loglevel": "notice",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            # Evicted job hashes would vanish silently.
            "maxmemory-policy": "noeviction",
            "tcp-backlog": "128",
        }
        return "".join(f"{name} {_quoted(value)}\n" for name, value in options.items())

    def _is_ready(self, pid: int, new_log: str) -> bool:
        return any(line.startswith(f"{pid}:") and _READY_WORDS in line for line in new_log.splitlines())


def start_valkey(
    data_dir: Path,
    *,
    password: str,
    log: Callable[[str], None],
    run_as: RunAs | None = None,
    binary: ValkeyBinary | None = None,
) -> RunningValkey:
    """Start Valkey on the data of ``data_dir`` (made at the first call); ServiceError when that cannot be done."""
    began = time.monotonic()
    make_folder(data_dir)
    data, run_as = place_data(data_dir, "data", run_as or current_run_as(), log)
    binary = binary or find_valkey(run_as)
    server = RunningValkey(data_dir, data=data, binary=binary, run_as=run_as, password=password)
    server.start()
    seconds = f"{time.monotonic() - began:.1f}".replace(".", ",")
    log(f"{binary.described}: готов за {seconds} с, порт {server.port}")
    return server


def _quoted(value: str) -> str:
    """Any text as one argument: every byte escaped, so nothing in it can end the quotes or the line."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in value.encode()) + '"'
