"""Somebody calls: who is it, which card does the manager open, what does he read at a glance.

Reads only, from our own database: the answer must be there before the second ring. An unknown number gets the request
that makes a member of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from flows import phones
from loyalty.phrases import roubles
from loyalty.segments import by_code
from loyalty.wording import count_text, full_date
from storage import addresses, lots, members, purchases

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from flows.runtime import Runtime
    from storage.members import Member


@dataclass(frozen=True)
class Caller:
    """One who may be calling. `open_url`: his contact in the CRM, None if it knows him not. `text`: one line."""

    member: Member
    segment_title: str | None
    open_url: str | None
    text: str


@dataclass(frozen=True)
class Call:
    """Several `callers` share the number; none: it is unknown."""

    phone: str
    callers: Sequence[Caller]


def look_up(rt: Runtime, phone: str) -> Call:
    """Who has this number. Raises BadPhone."""
    number = phones.normalised(phone)
    with rt.db.begin() as tx:
        ids = addresses.members_with(tx, "phone", number)
        found = members.by_ids(tx, ids)
        bought = purchases.bought(tx, ids, limit=1)
        burns = lots.next_burns(tx, set(ids))
        callers = [_caller(rt, found[one], bought.get(one, ()), burns.get(one)) for one in ids]
    return Call(number, callers)


def _caller(
    rt: Runtime, member: Member, bought: Sequence[tuple[datetime, int]], burn: tuple[int, datetime] | None
) -> Caller:
    segment = by_code(member.segment_code, rt.programme.segments)
    title = None if segment is None else segment.title
    zone = ZoneInfo(rt.programme.timezone)
    parts = [title, f"{count_text(member.balance.available, rt.point_forms)} к оплате"]
    if burn is not None:
        parts.append(f"{burn[0]} сгорят {full_date(burn[1].astimezone(zone).date())}")
    if bought:
        at, kopecks = bought[0]
        parts.append(f"последняя покупка {full_date(at.astimezone(zone).date())}, {roubles(kopecks)}")
    return Caller(member, title, _open_url(rt, member), "; ".join(part for part in parts if part))


def _open_url(rt: Runtime, member: Member) -> str | None:
    if member.contact_ref is None or rt.file.amocrm is None:
        return None
    return f"https://{rt.file.amocrm.host}/contacts/detail/{member.contact_ref}"
