"""A batch of members on its way to the CRM: who they are, what was told before, what the CRM says now.

What is about to be written is forgotten first, so that whoever comes after our death reads before he writes.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from connector.errors import ConnectorError
from flows.settle import UNSURE_FOR
from loyalty import segments
from storage import crm as crm_storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from connector.amocrm.contacts import Contact
    from flows.runtime import Runtime
    from storage.crm import CrmState
    from storage.members import Member


@dataclass(frozen=True)
class Desk:
    """One batch on its way: members, what the CRM was told before, what it says now where that was read.

    `began_at`: nothing here was read earlier.
    `burns`: each member's points that end soonest, and when. `hold` is called before a write that must not happen
    twice. `unread`: members whose contact was asked for and is not in the CRM.
    """

    members: Mapping[int, Member]
    states: dict[int, CrmState]
    contacts: Mapping[int, Contact]
    began_at: datetime
    hold: Callable[[], None]
    burns: Mapping[int, tuple[int, datetime]]
    unread: frozenset[int] = frozenset()


def remember(rt: Runtime, desk: Desk, some: Sequence[Member], **change: Any) -> None:
    """Changes what is known of some members, durably."""
    for member in some:
        desk.states[member.id] = replace(desk.states[member.id], **change)
    save(rt, desk)


def save(rt: Runtime, desk: Desk) -> None:
    """Stores what is known of the whole batch."""
    with rt.db.begin() as tx:
        crm_storage.save(tx, desk.states.values())


@contextmanager
def unsure_if_lost(rt: Runtime, desk: Desk, writing: Sequence[Member]) -> Iterator[None]:
    """Around a write of absolute values: one whose fate is unknown may still land on top of a later one."""
    try:
        yield
    except ConnectorError as failure:
        if failure.ambiguous:
            remember(rt, desk, writing, unsure_until=rt.now() + UNSURE_FOR)
        raise


def segment_title(rt: Runtime, member: Member) -> str:
    """The name of the member's segment, empty when he is in none."""
    rule = segments.by_code(member.segment_code, rt.programme.segments)
    return "" if rule is None else rule.title
