"""The virtual clock: real time plus an offset kept in DIR/clock.json, shared with the bank and the product.

Owns the file's shape `{"offset_s": float}`. Everything in the simulator that expires or retries asks this clock;
rate limits and network timeouts stay on real time.
"""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path


class VirtualClock:
    """Reads the offset anew whenever the file changes, so that any process may move the time of all of them."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "clock.json"
        self._seen: tuple[int, int] | None = None
        self._offset_s = 0.0

    @property
    def offset_s(self) -> float:
        """Seconds that virtual time runs ahead of real time."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return 0.0
        mark = (status.st_mtime_ns, status.st_ino)
        if mark != self._seen:
            self._offset_s = float(json.loads(self._path.read_text(encoding="utf-8"))["offset_s"])
            self._seen = mark
        return self._offset_s

    def now(self) -> float:
        """Virtual Unix time, seconds."""
        return time.time() + self.offset_s

    def now_s(self) -> int:
        """Virtual Unix time in whole seconds, as amoCRM stamps its records."""
        return int(self.now())

    def instant(self) -> datetime:
        """Virtual time as an aware UTC datetime."""
        return datetime.fromtimestamp(self.now(), UTC)

    def move(self, command: dict[str, object]) -> None:
        """`{"skip_s": N}` goes on by N seconds, `{"at": ISO}` jumps there, `{}` returns to real time.

        Raises ValueError if the command is neither.
        """
        if "skip_s" in command:
            offset_s = self.offset_s + float(str(command["skip_s"]))
        elif "at" in command:
            target = datetime.fromisoformat(str(command["at"]))
            if target.tzinfo is None:
                target = target.replace(tzinfo=UTC)
            offset_s = target.timestamp() - time.time()
        elif not command:
            offset_s = 0.0
        else:
            raise ValueError("ждём skip_s, at или пустой объект")
        self._write(offset_s)

    def _write(self, offset_s: float) -> None:
        fresh = self._path.with_name(f"clock.json.{os.getpid()}")
        fresh.write_text(json.dumps({"offset_s": offset_s}), encoding="utf-8")
        fresh.replace(self._path)
