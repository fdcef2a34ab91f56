"""One run of a scheduled job: its lease, how far it has come, what it has counted.

A job's work is a generator that does one short piece per step and saves its progress in that piece's transaction, so a
killed run loses one piece at most. Which jobs there are and when they run is `nightly.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from storage import jobs

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import sqlalchemy as sa

    from flows.runtime import Runtime
    from storage.jobs import Job

    Work = Callable[["Run"], Iterator[None]]
    """Yields after each piece that is committed. Whoever stops it between two pieces does no harm."""

LEASE = timedelta(minutes=2)
"""Far longer than any piece; a killed run is taken over after it."""


class JobLost(Exception):
    """The lease ran out and another run has taken the job: roll back, it is done there."""


@dataclass(frozen=True)
class Progress:
    """`place`: where the next piece begins; `counts`: what the run has done so far, for its result."""

    done: int = 0
    total: int | None = None
    place: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)

    def plus(self, *, done: int = 0, place: Mapping[str, Any] | None = None, **counts: int) -> Progress:
        """After one more piece."""
        names = {*self.counts, *counts}
        return replace(
            self,
            done=self.done + done,
            place=self.place if place is None else place,
            counts={name: self.counts.get(name, 0) + counts.get(name, 0) for name in sorted(names)},
        )


class Run:
    """A job in this process's hands. `again_in`: something was left over, come back sooner than planned."""

    def __init__(self, rt: Runtime, job: Job, *, now: datetime) -> None:
        cursor = job.cursor or {}
        self.rt = rt
        self.name = job.name
        self.now = now
        self.progress = Progress(job.done, job.total, cursor.get("place", {}), cursor.get("counts", {}))
        self.again_in: timedelta | None = None
        self.held = job.leased_until or now

    def piece(self, work: Callable[[sa.Connection], Progress]) -> None:
        """One transaction: `work` does a piece and says where the run stands then; both are committed together. After
        a deadlock it is run again. Raises JobLost."""

        def save(tx: sa.Connection) -> tuple[Progress, datetime]:
            progress = work(tx)
            until = self.rt.now() + LEASE
            is_ours = jobs.save(
                tx,
                self.name,
                held=self.held,
                until=until,
                done=progress.done,
                total=progress.total,
                cursor={"place": progress.place, "counts": progress.counts},
            )
            if not is_ours:
                raise JobLost(self.name)
            return progress, until

        self.progress, self.held = self.rt.db.run(save)

    def begin(self, total: int | None) -> None:
        """How much there is to do, said once by a run that begins anew."""
        self.piece(lambda _tx: replace(self.progress, total=total))

    @property
    def is_new(self) -> bool:
        """Nothing was saved yet: this run does not go on from where another was killed."""
        return not self.progress.place and self.progress.total is None

    @property
    def counts(self) -> Mapping[str, int]:
        return self.progress.counts
