"""Reading members and queues for people and programs; a person may also ask for an event to be worked again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from storage import boxes, inbox, ledger, members, outbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.runtime import Runtime
    from storage.boxes import Box
    from storage.ledger import StatementLine
    from storage.members import Member

STATEMENT_LINES = 100


@dataclass(frozen=True)
class Account:
    """A member with the latest lines of his statement, newest first."""

    member: Member
    lines: Sequence[StatementLine]


def by_contact(rt: Runtime, contact_ref: int) -> Account | None:
    with rt.db.begin() as tx:
        member = members.by_contact(tx, contact_ref)
        return None if member is None else Account(member, ledger.statement(tx, member.id, limit=STATEMENT_LINES))


def by_id(rt: Runtime, member_id: int) -> Account | None:
    with rt.db.begin() as tx:
        member = members.by_ids(tx, [member_id]).get(member_id)
        return None if member is None else Account(member, ledger.statement(tx, member.id, limit=STATEMENT_LINES))


def events(rt: Runtime, *, states: Sequence[str], limit: int) -> tuple[Sequence[Any], Sequence[Any]]:
    """Newest inbox and outbox rows in these states."""
    with rt.db.begin() as tx:
        return inbox.recent(tx, states=states, limit=limit), outbox.recent(tx, states=states, limit=limit)


def replay(rt: Runtime, box: Box, row_id: int) -> bool:
    """A person says «again». False: there is no such row, or it is being worked."""
    with rt.db.begin() as tx:
        is_found = boxes.replay(tx, box, row_id, now=rt.now())
    if is_found:
        rt.bell.ring(box, row_id)
    return is_found
