"""Accounts, transfers and lots: the words in which every decision about points is said.

A transfer moves a whole number of points from one account (debit) to another (credit), so the book balances by
construction. Four accounts belong to a member; the others are the programme's. `debt` is counted the other way round
(a debit raises it) so that every balance is >= 0 and the database can refuse anything else.
Source: specification of points, section 5.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

MemberAccount = Literal["pending", "available", "reserved", "debt"]
ProgrammeAccount = Literal["issued", "redeemed", "expired", "reversed", "adjusted", "opening", "shortfall"]
Account = MemberAccount | ProgrammeAccount
Move = Literal[
    "accrue",
    "welcome",
    "gift",
    "opening",
    "activate",
    "settle",
    "hold",
    "capture",
    "release",
    "expire",
    "reverse",
    "write_off",
    "restore",
    "adjust",
]
LotSource = Literal["accrual", "welcome", "gift", "action", "manual", "opening", "restored"]

MEMBER_ACCOUNTS: tuple[MemberAccount, ...] = ("pending", "available", "reserved", "debt")
LOT_ACCOUNTS = frozenset({"pending", "available", "reserved"})
SPENT_COUNTERS = {
    "redeemed": "redeemed",
    "expired": "expired",
    "reversed": "reversed",
    "debt": "settled",
    "adjusted": "withdrawn",
}
"""Where points that leave a lot go: the credit account and the lot's counter of it."""


@dataclass(frozen=True)
class Balance:
    """A member's points. Spendable are `available`; `debt` is paid off by future points."""

    pending: int = 0
    available: int = 0
    reserved: int = 0
    debt: int = 0

    @property
    def net(self) -> int:
        return self.pending + self.available + self.reserved - self.debt


@dataclass(frozen=True)
class Transfer:
    """`key` is the idempotency key: the same move can be posted once. `lot_key` names the lot it touches, None where no
    lot is touched (a debt made, a shortfall written off). `rule` is the path of the owner's rule that moved it."""

    key: str
    move: Move
    debit: Account
    credit: Account
    points: int
    lot_key: str | None
    order_id: int | None
    rules_version: str
    rule: str | None = None
    hold_id: int | None = None
    actor: str | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        if self.points <= 0 or self.debit == self.credit:
            raise ValueError(f"transfer {self.key} moves nothing")


@dataclass(frozen=True)
class Lot:
    """Points of one origin with one activation and one expiry. The first three counters say where what is left of it
    is, the others where the rest went; together they are always `earned`. `root_key`: the lot whose points these were
    before they were spent and given back. `notified_at`: its owner was told that it will end."""

    key: str
    source: LotSource
    order_id: int | None
    rules_version: str
    earned: int
    reversed: int
    pending: int
    available: int
    reserved: int
    activates_at: datetime
    expires_at: datetime | None
    redeemed: int = 0
    expired: int = 0
    settled: int = 0
    withdrawn: int = 0
    root_key: str = ""
    notified_at: datetime | None = None
    title: str | None = None
    id: int = 0

    @property
    def net(self) -> int:
        return self.earned - self.reversed

    @property
    def root(self) -> str:
        return self.root_key or self.key


@dataclass(frozen=True)
class LotOpening:
    """A lot that a decision opens; its transfers say how many points it starts with."""

    key: str
    source: LotSource
    order_id: int | None
    rules_version: str
    activates_at: datetime
    expires_at: datetime | None
    root_key: str | None = None
    title: str | None = None


@dataclass(frozen=True)
class Decision:
    """What to write, all or nothing. Empty when the facts changed no points."""

    transfers: tuple[Transfer, ...] = ()
    openings: tuple[LotOpening, ...] = ()

    def __add__(self, other: Decision) -> Decision:
        return Decision(self.transfers + other.transfers, self.openings + other.openings)

    def __bool__(self) -> bool:
        return bool(self.transfers)


def account_changes(transfers: Iterable[Transfer]) -> dict[str, int]:
    """Change of each of the member's cached balances that these transfers make."""
    changes: dict[str, int] = dict.fromkeys(MEMBER_ACCOUNTS, 0)
    for transfer in transfers:
        if transfer.debit in changes:
            changes[transfer.debit] += _sign(transfer.debit) * -transfer.points
        if transfer.credit in changes:
            changes[transfer.credit] += _sign(transfer.credit) * transfer.points
    return changes


def lot_changes(transfers: Iterable[Transfer]) -> dict[str, dict[str, int]]:
    """Change of each lot's counters, by the lot's key."""
    changes: dict[str, dict[str, int]] = {}
    for transfer in transfers:
        if transfer.lot_key is None:
            continue
        lot = changes.setdefault(transfer.lot_key, {})
        out = transfer.debit if transfer.debit in LOT_ACCOUNTS else "earned"
        into = transfer.credit if transfer.credit in LOT_ACCOUNTS else SPENT_COUNTERS[transfer.credit]
        lot[out] = lot.get(out, 0) + (transfer.points if out == "earned" else -transfer.points)
        lot[into] = lot.get(into, 0) + transfer.points
    return changes


def consumption_order(lot: Lot) -> tuple[bool, float, float, int, str]:
    """Points that end first are spent first, those without end last (specification, section 5.2)."""
    ends = lot.expires_at.timestamp() if lot.expires_at else 0.0
    return lot.expires_at is None, ends, lot.activates_at.timestamp(), lot.id, lot.key


def _sign(account: Account) -> int:
    return -1 if account == "debt" else 1
