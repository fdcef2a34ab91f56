"""The job that makes pending points available when their day has come: piece by piece, so that it may be stopped.

A decision about a member activates his due points by itself (`book.open_account`); this is for those about whom nothing
is decided. Each member is a short transaction of his own, because each wakes what shows his balance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from flows import book
from loyalty.account import PointsMissing
from storage import jobs, lots, members
from storage.db import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from flows.jobs import Run

BATCH_MEMBERS = 200
PIECE_MEMBERS = 20
"""After so many the run may be stopped: about a tenth of a second."""

_log = structlog.get_logger(__name__)


def activate(run: Run) -> Iterator[None]:
    """The job. Counts members changed; one who cannot be changed is left for the next run."""
    while True:
        after = int(run.progress.place.get("after", 0))
        with run.rt.db.begin() as tx:
            due = lots.members_with_due(tx, now=run.now, after=after, limit=BATCH_MEMBERS)
        if not due:
            return
        for begin in range(0, len(due), PIECE_MEMBERS):
            _piece(run, due[begin : begin + PIECE_MEMBERS])
            yield


def summary(counts: Mapping[str, int]) -> str:
    return f"участников: {counts.get('members', 0)}"


def _piece(run: Run, member_ids: Sequence[int]) -> None:
    done = sum(_activate_member(run, member_id) for member_id in member_ids)
    run.piece(lambda _tx: run.progress.plus(done=done, members=done, place={"after": member_ids[-1]}))


def _activate_member(run: Run, member_id: int) -> bool:
    def work(tx: sa.Connection) -> bool:
        jobs.be_impatient(tx)
        member = members.lock(tx, member_id)
        account = book.open_account(tx, run.rt, member, now=run.now)
        return bool(book.save(tx, run.rt, member_id, account, occurred_at=run.now))

    try:
        return run.rt.db.run(work)
    except (sa.exc.DBAPIError, PointsMissing) as failure:  # one damaged or locked account must not stop all others
        _log.error("activation_refused", member_id=member_id, error=refusal(failure) or str(failure))
        return False
