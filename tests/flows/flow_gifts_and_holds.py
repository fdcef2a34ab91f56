"""Gifts and holds posted straight to the book: what tests need that are not about how they come about."""

from __future__ import annotations

from datetime import timedelta

from flows import book
from flows.runtime import Runtime
from loyalty import redemption
from loyalty.account import Cause
from loyalty.granting import Grant, grant
from loyalty.rules import Duration
from storage import holds, lots, members, orders
from storage.holds import NewHold


def give(rt: Runtime, member_id: int, points: int, *, valid_days: int | None) -> None:
    """A gift that is available at once."""
    now = rt.now()
    with rt.db.begin() as tx:
        member = members.lock(tx, member_id)
        rt.programme_of(tx, rt.rules_version)
        account = book.open_account(tx, rt, member, now=now)
        plan = Grant(
            key=f"gift:{member_id}:{now.timestamp()}:{points}",
            source="gift",
            move="gift",
            points=points,
            at=now,
            lifetime=None if valid_days is None else Duration(valid_days, "days"),
            title="8 Марта",
        )
        cause = Cause(rule="gifts.holidays.8 Марта")
        grant(account, plan, timezone=rt.programme.timezone, rules_version=rt.rules_version, cause=cause)
        book.bring_up_to_date(account, rt, now=now)
        book.save(tx, rt, member_id, account, occurred_at=now)


def hold(rt: Runtime, deal_ref: int, points: int) -> bool:
    """Reserves points for a deal, if the member has them."""
    now = rt.now()
    with rt.db.begin() as tx:
        order = orders.open_order(tx, deal_ref, now=now)
        assert order.member_id is not None
        if order.hold_id is not None or order.counted_at is not None:
            return False
        member = members.lock(tx, order.member_id)
        rt.programme_of(tx, rt.rules_version)
        account = book.open_account(tx, rt, member, now=now, more=lots.open_lots(tx, member.id, enough=points, now=now))
        if account.balances["available"] < points or points > sum(lot.available for lot in account.spendable(now=now)):
            return False
        new = NewHold(
            public_id=f"hold_{deal_ref}",
            member_id=member.id,
            order_id=order.id,
            points=points,
            total_kopecks=10**7,
            spread=(),
            channel="crm",
            rules_version=rt.rules_version,
            expires_at=now + timedelta(days=3),
            code_digest=None,
        )
        made = holds.add(tx, new, now=now)
        redemption.take(account, points, cause=Cause(order_id=order.id, hold_id=made.id, rule="redeem"), now=now)
        book.save(tx, rt, member.id, account, occurred_at=now)
        orders.save_hold(tx, order.id, made.id)
    return True
