"""When the owner changes how cards look: the class is told at once, the objects are marked in the order of their ids
and follow at Google's pace.

Which design the objects were marked for last is remembered, so a restart or a second process begins nothing anew.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from connector.errors import ConnectorError
from flows import google
from flows.google_messages import LOUD_WITHIN
from flows.settle import SetupIncomplete
from flows.wallets import design_digest
from storage import burning, google_notices
from storage import google as google_storage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import sqlalchemy as sa

    from flows.jobs import Progress, Run

EVERY = timedelta(minutes=5)
AGAIN = timedelta(minutes=1)
CHUNK_MEMBERS = 500
NOTICES_KEPT = 2 * LOUD_WITHIN
FORGET_ROWS, FORGET_STEPS = 1_000, 50

_log = structlog.get_logger(__name__)


def renew(run: Run) -> Iterator[None]:
    """The job. Counts the objects that were marked."""
    rt = run.rt
    if rt.google is None:
        return
    try:
        with google.explained():
            google.keep_class(rt, rt.google, rt.google.api)
    except SetupIncomplete as failure:  # the objects will say the same to whoever looks after the queue
        _log.warning("google_class_left", error=str(failure))
    except ConnectorError as failure:
        _log.warning("google_class_left", error=failure.code)
        run.again_in = AGAIN
    yield
    for _ in range(FORGET_STEPS):
        with rt.db.begin() as tx:
            if google_notices.forget(tx, before=run.now - NOTICES_KEPT, limit=FORGET_ROWS) < FORGET_ROWS:
                break
    yield from _objects(run, class_id=rt.google.class_id)


def summary(counts: Mapping[str, int]) -> str:
    return f"карт Google к обновлению: {counts.get('marked', 0)}"


def _objects(run: Run, *, class_id: str) -> Iterator[None]:
    look = design_digest(run.rt.design)
    with run.rt.db.begin() as tx:
        if google_storage.class_state(tx, class_id).look_digest == look:
            return
    while True:
        after = int(run.progress.place.get("after", 0)) if run.progress.place.get("look") == look else 0

        def work(tx: sa.Connection, after: int = after) -> Progress:
            chunk = google_storage.next_cards(tx, after=after, limit=CHUNK_MEMBERS)
            burning.mark_out_of_date(tx, ["google"], chunk, now=run.now)
            if not chunk:
                google_storage.save_look(tx, class_id, look)
            place = {"look": look, "after": chunk[-1] if chunk else after}
            return run.progress.plus(done=len(chunk), place=place, marked=len(chunk))

        before = run.progress.done
        run.piece(work)
        if run.progress.done == before:
            return
        run.rt.bell.ring("outbox", 0)
        yield
