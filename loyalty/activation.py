"""Pending points become available when their day comes; they pay the member's debt first.

Source: specification of points, section 5.2 (activate).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loyalty.ledger import Decision, Lot, Transfer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime


def activate(lots: Iterable[Lot], *, debt: int, now: datetime) -> Decision:
    """Moves the pending points of every lot that is due, oldest activation first."""
    transfers: list[Transfer] = []
    for lot in sorted(lots, key=lambda lot: (lot.activates_at, lot.key)):
        if lot.pending == 0 or lot.activates_at > now:
            continue
        paid_off = min(debt, lot.pending)
        debt -= paid_off
        if paid_off > 0:
            transfers.append(_move(lot, "debt", paid_off))
        if lot.pending > paid_off:
            transfers.append(_move(lot, "available", lot.pending - paid_off))
    return Decision(tuple(transfers))


def _move(lot: Lot, credit: str, points: int) -> Transfer:
    return Transfer(
        key=f"activate:{lot.key}:{credit}",
        move="activate",
        debit="pending",
        credit="debt" if credit == "debt" else "available",
        points=points,
        lot_key=lot.key,
        order_id=lot.order_id,
        rules_version=lot.rules_version,
    )
