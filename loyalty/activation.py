"""Pending points become available when their day comes; they pay the member's debt first.

Source: specification of points, section 5.2 (activate).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loyalty.account import Cause

if TYPE_CHECKING:
    from datetime import datetime

    from loyalty.account import Account


def activate_due(account: Account, *, now: datetime) -> None:
    """Moves the pending points of every lot that is due, oldest activation first."""
    due = [lot for lot in account.lots.values() if lot.pending > 0 and lot.activates_at <= now]
    for lot in sorted(due, key=lambda lot: (lot.activates_at, lot.key)):
        cause = Cause(order_id=lot.order_id, rule=_RULES.get(lot.source))
        key = f"activate:{lot.key}:available"
        account.move("activate", lot.pending, ("pending", "available"), key=key, cause=cause, lot=lot)
        account.settle(lot.key)


_RULES = {
    "accrual": "accrual.activate_after",
    "welcome": "welcome.activate_after",
    "action": "gifts.actions",
    "gift": "gifts",
    "manual": "adjustments",
    "restored": "refund.return_redeemed",
}
"""The path of the rule that set the activation."""
