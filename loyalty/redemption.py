"""Spending points: taken from lots in the order they end, captured with the payment, released without it, given back
with a refund.

Source: specification of points, sections 5.2 (hold, capture, release) and 5.4 E (returned points); V09, V17-V19.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loyalty import calendar
from loyalty.account import Cause
from loyalty.ledger import LotOpening, consumption_order

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from loyalty.account import Account
    from loyalty.programme import Programme


class NotEnoughPoints(Exception):
    """The member has fewer spendable points than were asked for."""

    def __init__(self, asked: int, available: int) -> None:
        super().__init__(f"asked {asked}, available {available}")
        self.asked = asked
        self.available = available


@dataclass(frozen=True)
class Allocation:
    """Points of one lot that a hold has taken, in the order in which it took them."""

    lot_key: str
    points: int


@dataclass(frozen=True)
class Spent:
    """Points paid for an order: by line, and lot by lot in the order they were taken. `restored_before`: already given
    back of these."""

    spread: tuple[int, ...] = ()
    allocations: tuple[Allocation, ...] = ()
    restored_before: int = 0

    @property
    def points(self) -> int:
        return sum(one.points for one in self.allocations)


def take(account: Account, points: int, *, cause: Cause, now: datetime) -> None:
    """Reserves points, those that end first. Raises NotEnoughPoints; then nothing is changed."""
    lots = account.spendable(now=now)
    available = sum(lot.available for lot in lots)
    if available < points:
        raise NotEnoughPoints(points, available)
    for lot in lots:
        taken = min(points, lot.available)
        if taken == 0:
            return
        points -= taken
        account.move(
            "hold", taken, ("available", "reserved"), key=f"hold:{cause.hold_id}:{lot.key}", cause=cause, lot=lot
        )


def capture(account: Account, allocations: Sequence[Allocation], *, cause: Cause) -> None:
    """The order is paid: reserved points are spent."""
    for one in allocations:
        key = f"capture:{cause.hold_id}:{one.lot_key}"
        lot = account.lots[one.lot_key]
        account.move("capture", one.points, ("reserved", "redeemed"), key=key, cause=cause, lot=lot)


def release(account: Account, allocations: Sequence[Allocation], *, cause: Cause) -> None:
    """The order is not paid: reserved points return to their lots; a debt made meanwhile is paid first."""
    for one in allocations:
        key = f"release:{cause.hold_id}:{one.lot_key}"
        lot = account.lots[one.lot_key]
        account.move("release", one.points, ("reserved", "available"), key=key, cause=cause, lot=lot)
        account.settle(one.lot_key)


def restore(
    account: Account,
    spent: Spent,
    points: int,
    *,
    programme: Programme,
    key_prefix: str,
    order_id: int | None,
    now: datetime,
) -> None:
    """Gives back `points` that were spent on a returned order, the last taken first. A new lot keeps the root and lives
    at least the grace period more."""
    grace_ends_at = calendar.expiry_at(now, programme.refund.grace, programme.timezone)
    cause = Cause(order_id=order_id, rule="refund.return_redeemed")
    skip = spent.restored_before
    for number, one in enumerate(reversed(spent.allocations)):
        skipped = min(skip, one.points)
        skip -= skipped
        given = min(points, one.points - skipped)
        if given == 0:
            continue
        points -= given
        lot = account.lots[one.lot_key]
        opening = LotOpening(
            key=f"{key_prefix}:restore:{number}",
            source="restored",
            order_id=order_id,
            rules_version=lot.rules_version,
            activates_at=now,
            expires_at=None if lot.expires_at is None else _later(lot.expires_at, grace_ends_at),
            root_key=lot.root,
            title=lot.title,
        )
        again = account.open(opening)
        account.move("restore", given, ("redeemed", "available"), key=opening.key, cause=cause, lot=again)
        account.settle(opening.key)


def spend_again(account: Account, points: int, *, order_id: int, key_prefix: str) -> int:
    """The facts say that less came back than was given back: what is left of the points that were given back for this
    order pays for it again, no others, which the buyer has come by since. Returns how much."""
    own = [lot for lot in account.lots.values() if lot.source == "restored" and lot.order_id == order_id]
    cause = Cause(order_id=order_id, rule="redeem")
    left = points
    for lot in sorted(own, key=consumption_order):
        taken = min(left, lot.available)
        if taken > 0:
            key = f"{key_prefix}:again:{lot.key}"
            account.move("capture", taken, ("available", "redeemed"), key=key, cause=cause, lot=lot)
            left -= taken
    return points - left


def _later(first: datetime, second: datetime | None) -> datetime:
    return first if second is None else max(first, second)
