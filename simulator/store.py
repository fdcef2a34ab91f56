"""Records of one simulated server: tables of plain dicts in memory, one lock, and a journal file that survives a stop.

Owns persistence. A change is a line `{"t": table, "k": key, "v": record}`; the newest line of a key wins, so a torn
last line loses at most that change. The journal is rewritten whole (atomically) at every start and stop.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Record = dict[str, Any]
Key = int | str

FLUSH_EVERY_S = 0.5


class Store:
    """Callers hold `lock` around reads and writes, and call `touch` after changing a record in place."""

    def __init__(self, path: Path) -> None:
        self.lock = threading.RLock()
        self.version = 0
        self.removals = 0
        self._path = path
        self._tables: dict[str, dict[Key, Record]] = {}
        self._dirty: dict[tuple[str, Key], None] = {}
        self._disk = threading.Lock()
        self._stopping = threading.Event()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._load()
        self._rewrite()
        self._flusher = threading.Thread(target=self._flush_forever, name="journal", daemon=True)
        self._flusher.start()

    def table(self, name: str) -> dict[Key, Record]:
        return self._tables.setdefault(name, {})

    def put(self, table: str, key: Key, record: Record) -> Record:
        """Adds or replaces a record and returns it."""
        self.table(table)[key] = record
        self.touch(table, key)
        return record

    def remove(self, table: str, key: Key) -> None:
        if self.table(table).pop(key, None) is not None:
            self.removals += 1
            self.touch(table, key)

    def touch(self, table: str, key: Key) -> None:
        """Marks a record as changed: it will be journalled, and pages that poll `version` will redraw."""
        self._dirty[(table, key)] = None
        self.version += 1

    def clear(self) -> None:
        """Forgets everything but where the peers live (the reset button)."""
        with self.lock:
            for name, rows in self._tables.items():
                for key in list(rows) if name != "peers" else ():
                    self.remove(name, key)

    def next_id(self, sequence: str, start: int) -> int:
        """The next number of a sequence, which begins at `start`."""
        row = self.table("sequences").setdefault(sequence, {"value": start - 1})
        row["value"] += 1
        self.touch("sequences", sequence)
        return int(row["value"])

    def close(self) -> None:
        """Stops the journal thread and leaves one compact, complete file."""
        self._stopping.set()
        self._flusher.join(timeout=5)
        self._rewrite()

    def flush(self) -> None:
        """Appends the changes since the last call."""
        with self._disk:
            with self.lock:
                dirty, self._dirty = self._dirty, {}
                lines = [self._line(table, key, self.table(table).get(key)) for table, key in dirty]
            if lines:
                with self._path.open("a", encoding="utf-8") as journal:
                    journal.writelines(lines)

    def _flush_forever(self) -> None:
        while not self._stopping.wait(FLUSH_EVERY_S):
            self.flush()

    def _rewrite(self) -> None:
        with self._disk:
            with self.lock:
                self._dirty = {}
                lines = [self._line(name, key, row) for name, key, row in self._all()]
            fresh = self._path.with_suffix(".new")
            fresh.write_text("".join(lines), encoding="utf-8")
            fresh.replace(self._path)

    def _all(self) -> Iterator[tuple[str, Key, Record]]:
        for name, rows in self._tables.items():
            for key, row in rows.items():
                yield name, key, row

    def _load(self) -> None:
        if not self._path.exists():
            return
        for line in self._path.read_text(encoding="utf-8").splitlines():
            try:
                change = json.loads(line)
            except json.JSONDecodeError:
                break
            if change["v"] is None:
                self.table(change["t"]).pop(change["k"], None)
            else:
                self.table(change["t"])[change["k"]] = change["v"]

    @staticmethod
    def _line(table: str, key: Key, record: Record | None) -> str:
        return json.dumps({"t": table, "k": key, "v": record}, ensure_ascii=False, separators=(",", ":")) + "\n"
