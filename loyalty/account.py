"""A member's book while one decision is being made: each move is applied at once, so the next one sees its effect.

Owns nothing but arithmetic: which moves to make is decided by the modules of the rules. It starts from lots that were
read from the ledger (all that the decision can touch, not always all that exist) and ends in one Decision.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from loyalty.ledger import MEMBER_ACCOUNTS, Decision, Lot, Transfer, account_changes, consumption_order, lot_changes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from loyalty.ledger import Account as AccountName
    from loyalty.ledger import Balance, LotOpening, Move


class PointsMissing(Exception):
    """A lot or an account holds fewer points than a move takes: the book is damaged, nothing may be written."""


@dataclass(frozen=True)
class Cause:
    """What a move is made for; copied to every transfer."""

    order_id: int | None = None
    hold_id: int | None = None
    rule: str | None = None
    actor: str | None = None
    reason: str | None = None


class Account:
    """`lots` by key; `balances` by account name."""

    def __init__(self, balance: Balance, lots: Iterable[Lot]) -> None:
        self.balances: dict[str, int] = {name: getattr(balance, name) for name in MEMBER_ACCOUNTS}
        self.lots: dict[str, Lot] = {lot.key: lot for lot in lots}
        self._transfers: list[Transfer] = []
        self._openings: list[LotOpening] = []

    @property
    def decision(self) -> Decision:
        return Decision(tuple(self._transfers), tuple(self._openings))

    @property
    def debt(self) -> int:
        return self.balances["debt"]

    def know(self, lots: Iterable[Lot]) -> None:
        """More lots of the ledger; those already here stay as the moves have left them."""
        for lot in lots:
            self.lots.setdefault(lot.key, lot)

    def open(self, opening: LotOpening) -> Lot:
        """A new, empty lot."""
        lot = Lot(
            key=opening.key,
            source=opening.source,
            order_id=opening.order_id,
            rules_version=opening.rules_version,
            earned=0,
            reversed=0,
            pending=0,
            available=0,
            reserved=0,
            activates_at=opening.activates_at,
            expires_at=opening.expires_at,
            root_key=opening.root_key or "",
            title=opening.title,
        )
        if lot.key in self.lots:
            raise PointsMissing(f"lot {lot.key} is opened twice")
        self._openings.append(opening)
        self.lots[lot.key] = lot
        return lot

    def move(
        self,
        move: Move,
        points: int,
        path: tuple[AccountName, AccountName],
        *,
        key: str,
        cause: Cause,
        lot: Lot | None = None,
        rules_version: str | None = None,
    ) -> None:
        """One transfer along `path` (debit, credit). Raises PointsMissing if anything would fall below nothing."""
        transfer = Transfer(
            key=key,
            move=move,
            debit=path[0],
            credit=path[1],
            points=points,
            lot_key=None if lot is None else lot.key,
            order_id=cause.order_id if cause.order_id is not None or lot is None else lot.order_id,
            rules_version=rules_version or ("" if lot is None else lot.rules_version),
            rule=cause.rule,
            hold_id=cause.hold_id,
            actor=cause.actor,
            reason=cause.reason,
        )
        for name, change in account_changes((transfer,)).items():
            self.balances[name] += change
            if self.balances[name] < 0:
                raise PointsMissing(f"{key}: {name} would be {self.balances[name]}")
        for lot_key, changes in lot_changes((transfer,)).items():
            counters = {name: getattr(self.lots[lot_key], name) + change for name, change in changes.items()}
            if min(counters.values()) < 0:
                raise PointsMissing(f"{key}: lot {lot_key} has no {points} points in {path[0]}")
            self.lots[lot_key] = replace(self.lots[lot_key], **counters)
        self._transfers.append(transfer)

    def settle(self, lot_key: str) -> None:
        """New available points pay the debt first (specification, section 5.2)."""
        lot = self.lots[lot_key]
        paid = min(self.debt, lot.available)
        if paid > 0:
            key = f"settle:{lot.key}:{lot.settled}"
            self.move(
                "settle", paid, ("available", "debt"), key=key, cause=Cause(rule="refund.negative_balance"), lot=lot
            )

    def spendable(self, *, now: datetime) -> list[Lot]:
        """Lots with available points that have not ended, in the order in which they are spent."""
        lots = [lot for lot in self.lots.values() if lot.available > 0 and not has_ended(lot, now=now)]
        return sorted(lots, key=consumption_order)


def has_ended(lot: Lot, *, now: datetime) -> bool:
    """Its last valid day is over and its owner had been told: it is as good as burnt. Untold points live on."""
    return lot.expires_at is not None and lot.expires_at <= now and lot.notified_at is not None
