"""The one clock of the product.

Owns the system time and a clock that a demo can move forward. Everybody else receives a clock as an argument.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

CHECK_EVERY_S = 0.05
MAX_OFFSET_S = 100 * 366 * 86_400.0
MAX_FILE_BYTES = 1_000

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


class FileClock:
    """System time plus the `offset_s` of a small JSON file, so that several processes skip days together.

    The file is looked at once in CHECK_EVERY_S and read when it has changed. A missing or half-written file leaves the
    last offset in force.
    """

    def __init__(self, path: Path, base: Clock = system_clock, elapsed_s: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._base = base
        self._elapsed_s = elapsed_s
        self._offset = timedelta()
        self._seen: tuple[int, int, int] | None = None
        self._next_check_s = -math.inf

    def __call__(self) -> datetime:
        now_s = self._elapsed_s()
        if now_s >= self._next_check_s:
            self._next_check_s = now_s + CHECK_EVERY_S
            self._look()
        return self._base() + self._offset

    def _look(self) -> None:
        try:
            state = self._path.stat()
            mark = (state.st_mtime_ns, state.st_size, state.st_ino)
            if mark == self._seen:
                return
            with self._path.open("rb") as file:
                offset_s = _offset_s(file.read(MAX_FILE_BYTES))
        except OSError:
            return
        if offset_s is not None:
            self._offset = timedelta(seconds=offset_s)
            self._seen = mark


def _offset_s(data: bytes) -> float | None:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return None
    offset = content.get("offset_s") if isinstance(content, dict) else None
    if isinstance(offset, bool) or not isinstance(offset, int | float):
        return None
    return float(offset) if abs(offset) <= MAX_OFFSET_S else None
