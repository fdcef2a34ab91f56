"""Taking back the points of a returned order (specification of points, section 5.4 B-D; V12-V16).

What the order's own lots still hold goes first, then points that were spent and given back, then the member's other
points, then a debt, and what fairness forbids to demand is written off. Burnt points are not taken twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from loyalty.ledger import consumption_order

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from loyalty.account import Account, Cause
    from loyalty.ledger import Lot
    from loyalty.programme import Programme


@dataclass(frozen=True)
class Demand:
    """`points` to take back from lots of `sources` first; `own_keys` are the lots the order opened, `reversed_before`
    what was taken back or written off for it already, `spent_elsewhere` the points spent on orders the member keeps."""

    points: int
    sources: Collection[str]
    own_keys: Sequence[str]
    reversed_before: int
    spent_elsewhere: int


def still_owed(account: Account, demand: Demand) -> int:
    """How much of the demand is not burnt: a burnt point cannot be taken back (C)."""
    own = [account.lots[key] for key in demand.own_keys]
    tree = _tree(account, demand)
    alive = sum(lot.earned for lot in own) - sum(lot.expired for lot in tree) - demand.reversed_before
    return max(0, min(demand.points, alive))


def held(account: Account, demand: Demand) -> int:
    """Points that can be taken without touching the member's other points."""
    tree = _tree(account, demand)
    return sum(lot.pending + lot.available for lot in tree)


def take_back(
    account: Account, demand: Demand, programme: Programme, *, key_prefix: str, cause: Cause
) -> tuple[int, int]:
    """Posts the reversal. Returns how much was reversed, debt and write-off included, and how much of it was written
    off; the account must know the member's other open lots if `held` is less than `still_owed`."""
    owed = left = still_owed(account, demand)
    policy = programme.refund.debt
    tree = sorted(_tree(account, demand), key=lambda lot: _own_order(lot, demand))
    names: tuple[Literal["pending", "available"], ...] = ("pending", "available")
    for name in names:
        if name == "available" and policy == "only_pending":
            break
        for lot in tree:
            left -= _take(account, lot.key, name, left, key_prefix=key_prefix, cause=cause)
    if policy != "only_pending":
        keys = {lot.key for lot in tree}
        others = sorted((lot for lot in account.lots.values() if lot.key not in keys), key=consumption_order)
        for lot in others:
            left -= _take(account, lot.key, "available", left, key_prefix=key_prefix, cause=cause)
    version = account.lots[demand.own_keys[0]].rules_version if demand.own_keys else ""
    if left > 0 and policy == "allow":
        # Reserved points will be spent or come back: then they pay this debt.
        debt = min(left, max(0, demand.spent_elsewhere + account.balances["reserved"] - account.debt))
        if debt > 0:
            account.move(
                "reverse", debt, ("debt", "reversed"), key=f"{key_prefix}:debt", cause=cause, rules_version=version
            )
            left -= debt
    if left > 0:
        account.move(
            "write_off",
            left,
            ("shortfall", "reversed"),
            key=f"{key_prefix}:write-off",
            cause=cause,
            rules_version=version,
        )
    return owed, left


def _take(
    account: Account, lot_key: str, name: Literal["pending", "available"], points: int, *, key_prefix: str, cause: Cause
) -> int:
    lot = account.lots[lot_key]
    taken = min(points, lot.pending if name == "pending" else lot.available)
    if taken > 0:
        key = f"{key_prefix}:{name}:{lot.key}"
        account.move("reverse", taken, (name, "reversed"), key=key, cause=cause, lot=lot)
    return taken


def _tree(account: Account, demand: Demand) -> list[Lot]:
    """The order's own lots and those that were made of their points later."""
    own = set(demand.own_keys)
    return [lot for lot in account.lots.values() if lot.key in own or lot.root in own]


def _own_order(lot: Lot, demand: Demand) -> tuple[bool, bool, float, str]:
    """Lots of the demanded kind first, own before returned ones, the newest first."""
    return (
        lot.source not in demand.sources,
        lot.key not in demand.own_keys,
        -lot.activates_at.timestamp(),
        lot.key,
    )
