"""The secret addresses of the CRM's hook: which one is in use, which are still answered.

An address is derived from SECRET_KEY and a generation number, so none is stored. A web process looks at the list of
generations every few seconds, never for an address that is not ours. An address that was replaced is answered for two
hours more: amoCRM repeats a failed hook for up to an hour and a half.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from storage import linking
from storage.db import DatabaseAway

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from flows.keys import Keys
    from storage.db import Database
    from storage.linking import HookPath

PREFIX = "/webhooks/amocrm/"
PURPOSE = "amocrm hook"
FIRST = 0
LOOK_EVERY_S = 2.0
ANSWERED_AFTER = timedelta(hours=2)
GENERATION_DIGITS = 9


class HookPaths:
    """Generations of one installation's address. Safe to share between threads."""

    def __init__(
        self,
        db: Database,
        keys: Keys,
        *,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._keys = keys
        self._clock = clock
        self._monotonic = monotonic
        self._known: Mapping[int, HookPath] = {}
        self._looked_at: float | None = None

    def current(self) -> str:
        """The path in use. Raises DatabaseAway."""
        proven = [one.generation for one in self._look(0.0).values() if one.verified_at and one.retired_at is None]
        return self.path(max(proven, default=FIRST))

    def path(self, generation: int) -> str:
        """The first generation's address is what it was before there were others."""
        secret = self._keys.secret_path(_purpose(generation))
        return f"{PREFIX}{secret}" if generation == FIRST else f"{PREFIX}{generation}.{secret}"

    def generation_of(self, name: str) -> int | None:
        """Which generation the last part of an address belongs to, under any of our keys; None: it is not ours."""
        number, dot, secret = name.partition(".")
        if not dot:
            return FIRST if self._keys.is_secret_path(PURPOSE, name) else None
        if not (number.isascii() and number.isdecimal()) or len(number) > GENERATION_DIGITS or number[0] == "0":
            return None
        generation = int(number)
        return generation if self._keys.is_secret_path(_purpose(generation), secret) else None

    def is_known(self, name: str) -> bool:
        """Whether a hook at this address is to be kept. While the database is away nobody can keep it anyway, and the
        sender is asked to come again rather than told that the address is wrong."""
        generation = self.generation_of(name)
        if generation is None:
            return False
        try:
            known = self._look(LOOK_EVERY_S)
            if generation not in known and generation != FIRST:  # made a moment ago
                known = self._look(0.0)
        except DatabaseAway:
            return True
        found = known.get(generation)
        if found is None:
            return generation == FIRST
        return found.retired_at is None or self._clock() < found.retired_at + ANSWERED_AFTER

    def note(self, name: str) -> None:
        """A hook has come through this address: the first one proves a new generation."""
        generation = self.generation_of(name)
        found = None if generation is None else self._known.get(generation)
        if found is None or found.first_hook_at is not None:
            return
        with self._db.autocommit() as connection:
            linking.note_first_hook(connection, found.generation, now=self._clock())
        self.look_again()

    def look_again(self) -> None:
        """The list was changed by this process: the next question reads it anew."""
        self._looked_at = None

    def _look(self, not_older_s: float) -> Mapping[int, HookPath]:
        now = self._monotonic()
        if self._looked_at is None or now - self._looked_at >= not_older_s:
            with self._db.autocommit() as connection:
                self._known = {one.generation: one for one in linking.hook_paths(connection)}
            self._looked_at = now
        return self._known


def _purpose(generation: int) -> str:
    return PURPOSE if generation == FIRST else f"{PURPOSE} {generation}"
