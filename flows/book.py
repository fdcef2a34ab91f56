"""The way every decision about a member's points is made: read, bring up to date, decide, post, tell.

Runs inside the caller's transaction; the caller holds the member's lock. Nothing else in `flows/` posts to the ledger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from flows import crm_bonus, outgoing
from flows.refusals import MemberNotFound
from loyalty import activation, burning
from loyalty.account import Account
from storage import ledger, lots, members, outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from flows.outgoing import EventType
    from flows.runtime import Runtime
    from loyalty.ledger import Decision, Lot
    from storage.members import Member
    from storage.outbox import Kind

Result = TypeVar("Result")

_EVENTS: dict[str, EventType] = {
    "accrue": "points.accrued",
    "welcome": "points.accrued",
    "gift": "points.accrued",
    "capture": "points.redeemed",
    "restore": "points.returned",
}


def lock(tx: sa.Connection, member_id: int, *, now: datetime | None = None) -> Member:
    """The member, locked; with `now` his account is opened quicker. Raises MemberNotFound for one who was merged into
    another since he was named."""
    member = members.lock(tx, member_id, now=now)
    if member.merged_into_id is not None:
        raise MemberNotFound
    return member


def run(rt: Runtime, work: Callable[[sa.Connection], Result]) -> Result:
    """Runs a piece of work in a transaction of its own, then wakes whoever tells the CRM, the cards and the buyers."""
    result = rt.db.run(work)
    rt.bell.ring("outbox", 0)
    return result


def open_account(tx: sa.Connection, rt: Runtime, member: Member, *, now: datetime, more: Iterable[Lot] = ()) -> Account:
    """The member's book with what is due already activated and burnt, and `more` lots the decision will touch."""
    due = lots.due(tx, member.id, now=now) if member.has_due else ()
    account = Account(member.balance, (*due, *more))
    bring_up_to_date(account, rt, now=now)
    return account


def bring_up_to_date(account: Account, rt: Runtime, *, now: datetime) -> None:
    activation.activate_due(account, now=now)
    burning.burn_due(account, rt.programme, now=now)


def save(tx: sa.Connection, rt: Runtime, member_id: int, account: Account, *, occurred_at: datetime) -> Decision:
    """Posts what was decided and marks everything that shows it out of date. Returns it."""
    decision = account.decision
    if decision:
        now = rt.now()
        if ledger.post_and_mark(tx, member_id, decision, shown_by(rt), occurred_at=occurred_at, now=now):
            _announce(tx, rt, member_id, decision, now=now)
    return decision


def mark_out_of_date(tx: sa.Connection, rt: Runtime, member_id: int, *, now: datetime) -> None:
    """CRM and cards no longer say what is true of this member."""
    outbox.add_kinds(tx, shown_by(rt), [member_id], now=now)


def shown_by(rt: Runtime) -> Sequence[Kind]:
    """Where a member's points are shown outside."""
    systems: dict[Kind, object] = {
        "crm": rt.crm,
        "bonus": crm_bonus.is_on(rt) or None,
        "google": rt.google,
        "apple": rt.apple,
    }
    return [kind for kind, system in systems.items() if system is not None]


def _announce(tx: sa.Connection, rt: Runtime, member_id: int, decision: Decision, *, now: datetime) -> None:
    """Events for the shop's own programs: one per kind, order and decision."""
    sums: dict[tuple[EventType, int | None], int] = {}
    first_key: dict[tuple[EventType, int | None], str] = {}
    for transfer in decision.transfers:
        event_type = _EVENTS.get(transfer.move)
        if event_type is not None:
            which = (event_type, transfer.order_id)
            sums[which] = sums.get(which, 0) + transfer.points
            first_key.setdefault(which, transfer.key)
    for (event_type, order_id), points in sums.items():
        outgoing.emit(
            tx,
            rt,
            event_type,
            event_id=f"evt_{first_key[event_type, order_id]}",
            data={"member_id": member_id, "order_id": order_id, "points": points},
            now=now,
        )
