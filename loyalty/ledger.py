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
ProgrammeAccount = Literal["issued", "redeemed", "expired", "reversed", "adjusted", "opening"]
Account = MemberAccount | ProgrammeAccount
Move = Literal["accrue", "welcome", "activate", "reverse"]
LotSource = Literal["accrual", "welcome"]

MEMBER_ACCOUNTS: tuple[MemberAccount, ...] = ("pending", "available", "reserved", "debt")


@dataclass(frozen=True)
class Balance:
    """A member's points. Spendable are `available`; `debt` is paid off by future activations."""

    pending: int = 0
    available: int = 0
    reserved: int = 0
    debt: int = 0

    @property
    def net(self) -> int:
        return self.pending + self.available + self.reserved - self.debt


@dataclass(frozen=True)
class Transfer:
    """`key` is the idempotency key: the same move can be posted once. `lot_key` names the lot it touches."""

    key: str
    move: Move
    debit: Account
    credit: Account
    points: int
    lot_key: str
    order_id: int | None
    rules_version: str

    def __post_init__(self) -> None:
        if self.points <= 0 or self.debit == self.credit:
            raise ValueError(f"transfer {self.key} moves nothing")


@dataclass(frozen=True)
class Lot:
    """Points of one origin with one activation and one expiry; the three counters say where what is left of it is."""

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

    @property
    def net(self) -> int:
        return self.earned - self.reversed


@dataclass(frozen=True)
class LotOpening:
    """A lot that a decision opens; its transfer says how many points it starts with."""

    key: str
    source: LotSource
    order_id: int
    rules_version: str
    activates_at: datetime
    expires_at: datetime | None


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


def _sign(account: Account) -> int:
    return -1 if account == "debt" else 1
