"""The outbox's story: claim targets that are out of date, bring the other side up to date, settle.

A delivery reads the present state and pushes it, so it may be repeated, reordered or cut off anywhere without harm.
One claim is one batch of one kind; the handler settles every row it was given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows import (
    active_rules,
    apple,
    call_writing,
    crm,
    crm_bonus,
    crm_bots,
    crm_purchases,
    deal_fields,
    google,
    messages,
    notes,
    outgoing,
    settle,
)
from storage import boxes, outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from flows.runtime import Runtime
    from storage.outbox import Kind, OutboxRow

    Handler = Callable[[Runtime, Sequence[int], Callable[[], None]], Mapping[int, str]]
    """Target ids -> a line for each row. The third argument is called before a write that must not happen twice.
    Raises what stopped it; nothing of it is lost, because levels can be repeated."""

BATCH_ROWS = 50
"""As many entities as one request to amoCRM should carry."""


def drain(rt: Runtime, *, stop_at: datetime | None = None) -> int:
    """Delivers due rows of every kind until none is left or `stop_at` has come. Returns how many were worked. Raises
    SchemaMoved, DatabaseAway."""
    worked = 0
    while stop_at is None or rt.now() < stop_at:
        active_rules.look(rt)
        batch = sum(_round(rt, kind, handler) for kind, handler in _handlers(rt).items())
        if batch == 0:
            break
        worked += batch
    return worked


def _round(rt: Runtime, kind: Kind, handler: Handler) -> int:
    """A batch of one kind and one row that has crashed a worker before, so that neither waits for all of the others;
    before them the codes that people wait for at the till."""
    codes = _deliver(rt, "code", messages.deliver, alone=False)
    return codes + sum(_deliver(rt, kind, handler, alone=alone) for alone in (False, True))


def _handlers(rt: Runtime) -> dict[Kind, Handler]:
    handlers: dict[Kind, Handler] = {
        "code": messages.deliver,
        "message": messages.deliver,
        "webhook": outgoing.deliver,
    }
    if rt.crm is not None:
        handlers |= {
            "bot": crm_bots.refresh,
            "task": call_writing.write,
            "crm": crm.refresh,
            "note": notes.write,
            "deal": deal_fields.refresh,
            "purchase": crm_purchases.refresh,
            "bonus": crm_bonus.refresh,
        }
    if rt.google is not None:
        handlers["google"] = _refresh_google
    if rt.apple is not None:
        handlers["apple"] = _refresh_apple
    return handlers


def _refresh_google(rt: Runtime, member_ids: Sequence[int], hold: Callable[[], None]) -> Mapping[int, str]:
    del hold  # an object sent twice is the same object
    return google.refresh(rt, member_ids)


def _refresh_apple(rt: Runtime, member_ids: Sequence[int], hold: Callable[[], None]) -> Mapping[int, str]:
    del hold  # a phone that is told twice asks twice
    return apple.refresh(rt, member_ids)


def _deliver(rt: Runtime, kind: Kind, handler: Handler, *, alone: bool) -> int:
    rows = _claim(rt, kind, alone=alone)
    if not rows:
        return 0
    rt.failpoints.reach("outbox.after_claim")
    claims = [row.claim for row in rows]
    targets = [row.target_id for row in rows]

    def work() -> None:
        outcomes = handler(rt, targets, lambda: settle.hold(rt, "outbox", claims))
        rt.failpoints.reach("outbox.after_remote")
        rt.db.run(lambda tx: _finish(tx, kind, rows, outcomes, now=rt.now()))

    settle.outbox_rows(rt, claims, work)
    rt.failpoints.reach("outbox.after_settle")
    return len(rows)


def _finish(
    tx: sa.Connection, kind: Kind, rows: Sequence[OutboxRow], outcomes: Mapping[int, str], *, now: datetime
) -> None:
    """Every row of the claim, in the order of their ids, as `outbox.lock_marks` takes them."""
    lost = [
        row.target_id
        for row in rows
        if not boxes.finish(tx, "outbox", row.claim, now=now, outcome=outcomes[row.target_id])
    ]
    outbox.add(tx, kind, lost, now=now)
    if kind == "crm":  # after finishing, because only a finished row can be asked for at a later date
        crm.look_again_later(tx, [row.target_id for row in rows], lost=lost, now=now)
    if kind == "bot":
        crm_bots.plan_again(tx, outcomes, now=now)
    if kind == "purchase":
        crm_purchases.plan_again(tx, outcomes, now=now)
    if kind == "bonus":
        crm_bonus.plan_again(tx, outcomes, now=now)
    if kind == "webhook":
        outgoing.plan_again(tx, outcomes, now=now)
    if kind in ("code", "message"):
        messages.plan_again(tx, kind, outcomes, now=now)


def _claim(rt: Runtime, kind: Kind, *, alone: bool) -> Sequence[OutboxRow]:
    with rt.db.begin() as tx:
        return outbox.claim(tx, kind, now=rt.now(), lease=rt.lease, limit=BATCH_ROWS, alone=alone)
