"""The span of a reconciliation, and the places where a walk over it may be stopped and taken up again.

Owns their shapes and how a place is written into a job's row. Walking is `reconciling_walk.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flows.reconciled import Line


@dataclass(frozen=True)
class Span:
    """[since, until) of what acquirers list (`since_of`: other beginnings), `window` by window; payments in our books
    are asked for from `known_before` earlier on. `is_held`: only those whose money is frozen."""

    since: datetime
    until: datetime
    known_before: timedelta = timedelta(0)
    is_held: bool = False
    window: timedelta | None = None
    since_of: Mapping[str, datetime] = field(default_factory=dict)

    def begins(self, acquirer: str) -> datetime:
        return self.since_of.get(acquirer, self.since)


@dataclass(frozen=True)
class Place:
    """Where a walk goes on. `acquirer`: those before it by name are done. `since`: the windows of its lists before that
    are done, or, in the phase `known`, where listing has failed. `after`: the last payment (or order) looked at.
    `is_whole`: nothing was left out."""

    acquirer: str = ""
    phase: Literal["lists", "known", "done", "elsewhere"] = "lists"
    since: datetime | None = None
    after: tuple[datetime, int] | None = None
    looked_at: int = 0
    is_whole: bool = True

    def saved(self) -> dict[str, Any]:
        after = None if self.after is None else [self.after[0].isoformat(), self.after[1]]
        since = None if self.since is None else self.since.isoformat()
        return {**vars(self), "since": since, "after": after}

    @classmethod
    def read(cls, saved: Mapping[str, Any]) -> Place:
        known = {name: saved[name] for name in ("acquirer", "phase", "looked_at", "is_whole") if name in saved}
        since, after = saved.get("since"), saved.get("after")
        return cls(
            **known,
            since=None if since is None else datetime.fromisoformat(since),
            after=None if after is None else (datetime.fromisoformat(after[0]), int(after[1])),
        )


@dataclass(frozen=True)
class Step:
    """What a piece of the walk has found. `place` is None where the walk cannot be taken up."""

    lines: Sequence[Line]
    place: Place | None = None
