"""A member's business segment follows his orders: up at once, down as the policy allows, by hand above all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flows import book, crm_bots, outgoing
from flows.order_sheet import FOR_EVER
from flows.refusals import SegmentUnknown
from loyalty import calendar, segments
from loyalty.segments import Standing
from storage import members, segment_review

if TYPE_CHECKING:
    from datetime import datetime

    import sqlalchemy as sa

    from flows.runtime import Runtime
    from loyalty.segments import Purchases
    from storage.members import Member


def look_again(tx: sa.Connection, rt: Runtime, member: Member, *, now: datetime) -> bool:
    """Puts the member where his orders and the present rules want him; the caller holds his lock. Did it change?"""
    policy, zone = rt.programme.segment_policy, rt.programme.timezone
    window_from = calendar.ago(now, policy.window or FOR_EVER, zone)
    bought = segment_review.of_members(tx, [member.id], window_from=window_from)[0]
    return follow(tx, rt, member, bought.purchases, now=now)


def follow(tx: sa.Connection, rt: Runtime, member: Member, bought: Purchases, *, now: datetime) -> bool:
    """Puts the member where he belongs; the caller holds his lock. Did the segment change?"""
    programme = rt.programme
    present = Standing(member.segment_code, member.segment_falls_at)
    standing = segments.standing(
        present,
        bought,
        manual_code=member.manual_segment_code,
        rules=programme.segments,
        policy=programme.segment_policy,
        timezone=programme.timezone,
        now=now,
    )
    if standing == present:
        return False
    members.set_segment(tx, member.id, standing.code, falls_at=standing.falls_at)
    if standing.code == present.code:
        return False
    crm_bots.tell(tx, rt, member.id, now=now)
    outgoing.emit(
        tx,
        rt,
        "segment.changed",
        event_id=f"evt_segment:{member.id}:{int(now.timestamp() * 1_000_000)}",
        data={"member_id": member.id, "from": present.code, "to": standing.code},
        now=now,
    )
    return True


def put_by_hand(rt: Runtime, member_id: int, code: str | None) -> Member:
    """A person puts the member into a segment, whatever he bought; None: his orders decide again. Said twice, the same.
    Raises SegmentUnknown."""
    now = rt.now()
    programme = rt.programme
    if code is not None and segments.by_code(code, programme.segments) is None:
        known = ", ".join(one.code for one in programme.segments) or "нет ни одного"
        raise SegmentUnknown(f"В правилах есть: {known}")

    def work(tx: sa.Connection) -> Member:
        member = book.lock(tx, member_id)
        members.set_manual_segment(tx, member.id, code)
        if look_again(tx, rt, replace(member, manual_segment_code=code), now=now):
            book.mark_out_of_date(tx, rt, member.id, now=now)
        return members.lock(tx, member.id)

    return book.run(rt, work)
