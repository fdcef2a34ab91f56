"""One run of a scheduled job: its lease, how far it has come, what it has counted.

A job's work is a generator that does one short piece per step and saves its progress in that piece's transaction, so a
killed run loses one piece at most. Which jobs there are and when they run is `nightly.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog

from loyalty.account import PointsMissing
from storage import jobs
from storage.db import RETRIED_SQLSTATES, refusal, sqlstate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date, datetime

    from flows.runtime import Runtime
    from storage.jobs import Job

    Work = Callable[["Run"], Iterator[None]]
    """Yields after each piece that is committed. Whoever stops it between two pieces does no harm."""

LEASE = timedelta(minutes=2)
"""Far longer than any piece; a killed run is taken over after it."""

RENEWED_AFTER = timedelta(seconds=20)

_log = structlog.get_logger(__name__)


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
        self.last_finished_at = job.last_finished_at

    def piece(self, work: Callable[[sa.Connection], Progress]) -> None:
        """One transaction: `work` does a piece and says where the run stands then; both are committed together. After
        a deadlock it is run again. Raises JobLost."""

        def save(tx: sa.Connection) -> tuple[Progress, datetime]:
            jobs.be_impatient(tx)
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

    def renew(self) -> None:
        """For work that waits for others between two pieces: the lease is made long again once it has become shorter.
        Raises JobLost."""
        if self.held - self.rt.now() < LEASE - RENEWED_AFTER:
            self.piece(lambda _tx: self.progress)

    def members(
        self,
        member_ids: Sequence[int],
        work: Callable[[sa.Connection, Sequence[int]], Progress],
        leave_out: Callable[[int, Exception], Progress],
    ) -> None:
        """One piece for many members. If a book or a lock refuses it, its halves, and so on down to the one who is the
        reason: he is left out, and one damaged account stops nobody else's."""
        try:
            self.piece(lambda tx: work(tx, member_ids))
        except sa.exc.ProgrammingError:  # our statement is wrong, for everybody
            raise
        except (sa.exc.DBAPIError, PointsMissing) as failure:
            reason: Exception = failure
        else:
            return
        if len(member_ids) > 1:
            middle = len(member_ids) // 2
            for half in (member_ids[:middle], member_ids[middle:]):
                self.members(half, work, leave_out)
            return
        member_id = member_ids[0]
        _log.error("member_left_out", job=self.name, member_id=member_id, error=refusal(reason) or str(reason))
        locked = int(sqlstate(reason) in RETRIED_SQLSTATES)
        self.piece(lambda _tx: leave_out(member_id, reason).plus(locked=locked))

    def begin_on(self, day: date) -> None:
        """For work that depends on the day: a run that was stopped on an earlier one begins anew."""
        if self.progress.place.get("day") != day.isoformat():
            self.progress = Progress(place={"day": day.isoformat()}, counts=self.progress.counts)

    def begin(self, total: int | None) -> None:
        """How much there is to do, said once by a run that begins anew."""
        self.piece(lambda _tx: replace(self.progress, total=total))

    @property
    def is_new(self) -> bool:
        """Nothing was saved yet: this run does not go on from where another was killed."""
        return "after" not in self.progress.place and self.progress.total is None

    @property
    def is_something_left(self) -> bool:
        """Members whom others had locked for too long: come back soon."""
        return self.counts.get("locked", 0) > 0

    @property
    def counts(self) -> Mapping[str, int]:
        return self.progress.counts
