"""The inbox's story: keep the bytes and answer; later claim rows and work them.

`accept_*` run in the web process and do one INSERT: nothing is parsed but what authenticity and the dedupe key need.
`drain` runs in a worker: one job works many rows, each in a transaction of its own, so one bad row stops no other.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from connector.acquiring.base import Callback
from connector.errors import BadReply
from flows import active_rules, call_results, contacts, deals, payments, settle
from storage import boxes, inbox
from storage.db import DatabaseAway

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from connector.acquiring.base import Ack
    from flows.runtime import Runtime
    from storage.inbox import InboxRow, Stored

Found = TypeVar("Found")

BATCH_ROWS = 50
READ_TOGETHER = (deals.DEAL_SOURCE, deals.TASK_SOURCE)
LEASE_MARGIN = timedelta(seconds=25)
"""A row is not begun unless its lease lasts at least this long: a turn at the gate, connecting and reading together."""

_log = structlog.get_logger(__name__)


def accept_hook(rt: Runtime, raw: bytes) -> None:
    """An amoCRM hook: unsigned, hence a hint. Returns once it is durable; raises DatabaseAway if it is not."""
    _keep(rt, deals.HOOK_SOURCE, _digest(raw), raw, is_hint=True)


def callback_of(
    rt: Runtime, *, method: str, query: bytes, headers: Mapping[str, str], body: bytes, remote_ip: str | None
) -> Callback:
    """An acquirer's request that has come just now."""
    return Callback(method, query, headers, body, remote_ip, received_at=rt.now())


def accept_payment(rt: Runtime, name: str, callback: Callback) -> Ack:
    """An acquirer's callback. Returns the acquirer's exact reply once it is durable.

    Raises KeyError for an acquirer that is not configured, BadSignature (nothing is stored), BadReply, DatabaseAway.
    """
    acquirer = rt.acquirers[name]
    acquirer.verify(callback)
    raw = acquirer.keep(callback)
    try:
        event_id, is_hint = acquirer.event_id(raw), acquirer.is_hint(raw)
    except BadReply:  # genuine, but not as documented: kept for a person rather than lost with the sender's retries
        event_id, is_hint = f"unreadable:{_digest(raw)}", False
    _keep(rt, name, event_id, raw, is_hint=is_hint)
    return acquirer.ack(raw)


def refusal(rt: Runtime, name: str) -> Ack:
    """What an acquirer is told when its callback is not genuine. Raises KeyError."""
    return rt.acquirers[name].refusal()


def drain(rt: Runtime, *, stop_at: datetime | None = None) -> int:
    """Works due rows until none is left or `stop_at` has come. Returns how many were worked. Raises SchemaMoved,
    DatabaseAway."""
    worked = 0
    while stop_at is None or rt.now() < stop_at:
        active_rules.look(rt)
        batch = sum(_claim_and_work(rt, alone=alone) for alone in (False, True))
        if batch == 0:
            break
        worked += batch
    return worked


def _digest(raw: bytes) -> str:
    return hashlib.blake2b(raw, digest_size=20).hexdigest()


def _keep(rt: Runtime, source: str, external_id: str, raw: bytes, *, is_hint: bool) -> None:
    rt.failpoints.reach("accept.before_insert")
    message = {"source": source, "external_id": external_id, "body": raw, "is_hint": is_hint, "now": rt.now()}
    try:
        stored = _store(rt, message)
    except DatabaseAway:  # the server may only have restarted: then a second, fresh connection does it
        stored = _store(rt, message)
    rt.failpoints.reach("accept.before_reply")
    rt.bell.ring("inbox", stored.id)


def _store(rt: Runtime, message: Mapping[str, Any]) -> Stored:
    with rt.db.driver() as connection:
        return inbox.add_at_once(connection, **message)


def _claim_and_work(rt: Runtime, *, alone: bool) -> int:
    """Rows of one claim; none is begun whose lease could run out meanwhile."""
    good_until = rt.now() + rt.lease - LEASE_MARGIN
    with rt.db.begin() as tx:
        rows = inbox.claim(tx, now=rt.now(), lease=rt.lease, limit=BATCH_ROWS, alone=alone)
    if not rows:
        return 0
    if len(rows) == BATCH_ROWS:
        rt.bell.ring("inbox", rows[-1].claim.id)  # more is waiting: wake another worker
    rt.failpoints.reach("inbox.after_claim")
    _work_read(rt, [row for row in rows if row.source == deals.DEAL_SOURCE], deals.fetch, deals.record)
    _work_read(rt, [row for row in rows if row.source == deals.TASK_SOURCE], call_results.fetch, call_results.record)
    for row in rows:
        if row.source in READ_TOGETHER:
            continue
        if rt.now() > good_until:
            _release(rt, [row])
        elif row.source == deals.HOOK_SOURCE:
            settle.inbox_row(rt, row.claim, partial(deals.split_hook, rt, row))
        elif row.source == deals.CONTACT_SOURCE:
            settle.inbox_row(rt, row.claim, partial(contacts.gone, rt, row))
        else:
            settle.inbox_row(rt, row.claim, partial(payments.record, rt, row))
    return len(rows)


def _work_read(
    rt: Runtime,
    rows: Sequence[InboxRow],
    fetch: Callable[[Runtime, Sequence[int]], Found],
    record: Callable[[Runtime, InboxRow, Found], None],
) -> None:
    """Deals or tasks of one claim are read from the CRM together, then each follows in a transaction of its own."""
    if not rows:
        return
    claims = [row.claim for row in rows]
    found = settle.fetched(rt, "inbox", claims, partial(fetch, rt, [int(row.external_id) for row in rows]))
    if found is None:
        return
    rt.failpoints.reach("inbox.after_fetch")
    for row in rows:
        settle.inbox_row(rt, row.claim, partial(record, rt, row, found))


def _release(rt: Runtime, rows: Sequence[InboxRow]) -> None:
    _log.warning("lease_too_short", rows=len(rows))
    with rt.db.begin() as tx:
        boxes.release(tx, "inbox", [row.claim for row in rows])
