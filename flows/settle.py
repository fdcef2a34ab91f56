"""How one row's work ends: done, later, or with a person.

The job loop's outermost net: whatever a row's work raises is turned into a state of that row here, and nowhere else.
Only «the database is away» goes up: then nothing can be written and the lease will return the row.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import structlog

from connector.errors import ConnectorError, FieldAmbiguous, FieldTypeMismatch, NeedsReauth, Refused
from flows import retry
from loyalty.account import PointsMissing
from storage import boxes
from storage.db import DatabaseAway, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from flows.runtime import Runtime
    from storage.boxes import Box, Claim

Found = TypeVar("Found")

UNSURE_FOR = timedelta(seconds=90)
"""A write whose answer was lost is taken to land within this time, or never."""

_log = structlog.get_logger(__name__)


class NotYet(Exception):
    """This row cannot be done now but may be later: retry on the schedule, then park. The text is for a person."""


class NeedsPerson(Exception):
    """This row cannot be done by a program: park it. The text tells the person what to decide."""


class SetupIncomplete(Exception):
    """The owner's set-up lacks something outside (a stage, a field): try again until it is mended."""


class ClaimLost(Exception):
    """Another worker has taken the row since: roll back, it will be done there."""


def outbox_rows(rt: Runtime, claims: Sequence[Claim], work: Callable[[], None]) -> None:
    """Runs one delivery of many rows; the same net as for an inbox row."""
    try:
        work()
    except ClaimLost:
        _log.info("claim_lost", box="outbox", rows=len(claims))
        with rt.db.begin() as tx:
            boxes.release(tx, "outbox", claims)
    except DatabaseAway:
        raise
    except Exception as failure:  # noqa: BLE001 - the outermost net of the job loop
        failed_rows(rt, "outbox", claims, failure)


def hold(rt: Runtime, box: Box, claims: Sequence[Claim]) -> None:
    """Before a write that must not happen twice: leases the rows anew. Raises ClaimLost if others have taken one."""
    with rt.db.begin() as tx:
        if boxes.extend(tx, box, claims, until=rt.now() + rt.lease) < len(claims):
            raise ClaimLost


@contextmanager
def written_once() -> Iterator[None]:
    """Around a write that must not happen twice or land late: if its fate is unknown, the next try comes when it
    cannot land any more."""
    try:
        yield
    except ConnectorError as failure:
        if failure.ambiguous:
            failure.retry_after_s = max(failure.retry_after_s or 0.0, UNSURE_FOR.total_seconds())
        raise


def fetched(rt: Runtime, box: Box, claims: Sequence[Claim], fetch: Callable[[], Found]) -> Found | None:
    """What many rows need from outside; None when it failed, and the rows are sent back with the reason."""
    try:
        return fetch()
    except DatabaseAway:
        raise
    except Exception as failure:  # noqa: BLE001 - the outermost net of the job loop
        failed_rows(rt, box, claims, failure)
        return None


def inbox_row(rt: Runtime, claim: Claim, work: Callable[[], None]) -> None:
    """Runs one row's work. The work marks the row done itself, in the transaction that saves the result."""
    try:
        work()
    except ClaimLost:
        _log.info("claim_lost", box="inbox", row_id=claim.id)
    except DatabaseAway:
        raise
    except Exception as failure:  # noqa: BLE001 - the outermost net of the job loop
        failed_rows(rt, "inbox", [claim], failure)


def failed_rows(rt: Runtime, box: Box, claims: Sequence[Claim], failure: Exception) -> None:
    """Sends rows back with a date, or to a person, by what the failure says of itself.

    Rows that failed together are given back to be worked alone where one of them is the reason: they were refused, or
    the failure is one that nobody foresaw.
    """
    told = _in_words(failure)
    text = told or f"{type(failure).__name__}: {failure}"
    unexpected = told is None and not isinstance(failure, ConnectorError)
    _log.warning("rows_failed", box=box, rows=len(claims), error=text, exc_info=failure if unexpected else None)
    with rt.db.begin() as tx:
        if len(claims) > 1 and (_is_final(failure) or unexpected or _is_about_one(failure)):
            boxes.isolate(tx, box, claims)
            return
        for claim in claims:
            _send_back(tx, box, claim, failure, now=rt.now(), text=text)


def _in_words(failure: Exception) -> str | None:
    """What a person reads of a failure that was foreseen."""
    if isinstance(failure, NotYet | NeedsPerson | SetupIncomplete):
        return str(failure)
    if isinstance(failure, PointsMissing):
        return f"книга участника не сходится ({failure}). Проверьте её: kopilka verify-ledger"
    return refusal(failure)


def _send_back(tx: sa.Connection, box: Box, claim: Claim, failure: Exception, *, now: datetime, text: str) -> None:
    gap = None if _is_final(failure) else _gap(claim.failures, failure)
    if gap is None:
        boxes.park(tx, box, claim, now=now, outcome=text)
    else:
        boxes.retry(tx, box, claim, due_at=now + gap, outcome=text)


def _gap(failures: int, failure: Exception) -> timedelta | None:
    """Without end while the other side or the set-up is at fault, on the schedule otherwise."""
    if isinstance(failure, SetupIncomplete):
        return retry.remote_gap_after(failures, advised_s=None)
    if isinstance(failure, ConnectorError) and (failure.retryable or isinstance(failure, NeedsReauth)):
        return retry.remote_gap_after(failures, advised_s=failure.retry_after_s)
    return retry.gap_after(failures)


def _is_about_one(failure: Exception) -> bool:
    """A damaged book or a refused statement is one member's or one row's, whatever stood beside it."""
    return isinstance(failure, PointsMissing) or refusal(failure) is not None


def _is_final(failure: Exception) -> bool:
    """A person must look, or the other side understood and said no: repeating the same is useless."""
    if isinstance(failure, NeedsPerson):
        return True
    return isinstance(failure, Refused | FieldAmbiguous | FieldTypeMismatch) and not failure.retryable
