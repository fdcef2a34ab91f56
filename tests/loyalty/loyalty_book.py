"""A ledger of one member in memory: what the tests of the rules post decisions to.

Written apart from `storage/`: it applies transfers to lots and accounts by their names alone and refuses what a book
must refuse, so a wrong decision cannot hide behind the code that would have made it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from loyalty import accrual, activation
from loyalty.ledger import MEMBER_ACCOUNTS, Decision, Lot, Transfer
from loyalty.orders import OrderFacts, PaymentTotals, kept_kopecks
from loyalty.programme import AccrualRules, Duration, Programme, WelcomeRules

PAID_AT = datetime(2026, 1, 10, 9, 0, tzinfo=UTC)
"""Noon in Moscow on 10 January 2026."""

RULES = Programme(
    name="Клуб",
    timezone="Europe/Moscow",
    accrual=AccrualRules(rate_bps=1_000, activate_after=Duration(14, "days"), expire_after=Duration(180, "days")),
    welcome=WelcomeRules(points=300, expire_after=Duration(60, "days")),
)
MEMBER_ID = 1


@dataclass
class BookOrder:
    """What is known of one order and what was decided about it."""

    payments: dict[str, PaymentTotals] = field(default_factory=dict)
    is_stage_paid: bool = False
    price_kopecks: int = 0
    kept_kopecks: int = 0
    revision: int = 0
    rules: Programme | None = None
    paid_at: datetime | None = None


class Book:
    """Facts in, points out. `rules` are the present ones; an order stays with those of its first accrual."""

    def __init__(self, rules: Programme) -> None:
        self.rules = rules
        self.orders: dict[int, BookOrder] = {}
        self.lots: dict[str, Lot] = {}
        self.transfers: dict[str, Transfer] = {}
        self.accounts: Counter[str] = Counter()

    def pay(
        self, order_id: int, captured: int, refunded: int = 0, *, payment: str = "p", is_total: bool = False
    ) -> None:
        """A message about a payment: totals merge with max, as the acquirers' adapters promise."""
        order = self.orders.setdefault(order_id, BookOrder())
        known = order.payments.get(payment, PaymentTotals(0, 0))
        order.payments[payment] = PaymentTotals(
            max(known.captured_kopecks, captured),
            max(known.refunded_kopecks, refunded),
            known.is_refund_total or is_total,
        )

    def stage(self, order_id: int, *, is_paid: bool, price: int) -> None:
        order = self.orders.setdefault(order_id, BookOrder())
        order.is_stage_paid, order.price_kopecks = is_paid, price

    def converge(self, order_id: int, at: datetime = PAID_AT) -> Decision:
        """Decides about the order by its present facts and posts the decision."""
        order = self.orders[order_id]
        rules = order.rules or self.rules
        facts = OrderFacts(tuple(order.payments.values()), order.is_stage_paid, order.price_kopecks)
        order.kept_kopecks = kept_kopecks(facts, rules.accrual)
        order.paid_at = order.paid_at or (at if order.kept_kopecks else None)
        decision = accrual.converge(self._order_state(order_id, order, rules, at), self._welcome_state())
        if decision:
            order.revision += 1
            order.rules = rules
        self.post(decision)
        return decision

    def activate(self, now: datetime) -> Decision:
        decision = activation.activate(self.lots.values(), debt=self.accounts["debt"], now=now)
        self.post(decision)
        return decision

    def post(self, decision: Decision) -> None:
        for opening in decision.openings:
            assert opening.key not in self.lots, f"lot {opening.key} is opened twice"
            self.lots[opening.key] = Lot(
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
            )
        for transfer in decision.transfers:
            self._move(transfer)

    def balance(self, account: str) -> int:
        return self.accounts[account]

    @property
    def net(self) -> int:
        """All points the member has or will have."""
        return sum(self.accounts[name] for name in ("pending", "available", "reserved")) - self.accounts["debt"]

    def points_of(self, order_id: int, source: str) -> int:
        return sum(lot.net for lot in self.lots.values() if lot.order_id == order_id and lot.source == source)

    def faults(self) -> Iterator[str]:
        """What is wrong with the book; nothing, if it is whole."""
        for name in MEMBER_ACCOUNTS:
            if self.accounts[name] < 0:
                yield f"account {name} is {self.accounts[name]}"
            if name != "debt" and self.accounts[name] != sum(getattr(lot, name) for lot in self.lots.values()):
                yield f"account {name} is not the sum of the lots"
        for lot in self.lots.values():
            held = lot.pending + lot.available + lot.reserved
            if min(lot.pending, lot.available, lot.reserved, lot.reversed) < 0 or held + lot.reversed > lot.earned:
                yield f"lot {lot.key} holds {held} of {lot.net}"
        if self.net != -sum(self.accounts[name] for name in ("issued", "reversed")):
            yield "points came from nowhere"

    def _move(self, transfer: Transfer) -> None:
        assert transfer.key not in self.transfers, f"{transfer.key} is posted twice"
        self.transfers[transfer.key] = transfer
        self.accounts[transfer.debit] += transfer.points if transfer.debit == "debt" else -transfer.points
        self.accounts[transfer.credit] += -transfer.points if transfer.credit == "debt" else transfer.points
        lot = self.lots[transfer.lot_key]
        changes = {name: getattr(lot, name) for name in ("pending", "available", "reserved", "earned", "reversed")}
        if transfer.debit in changes:
            changes[transfer.debit] -= transfer.points
        if transfer.debit == "issued":
            changes["earned"] += transfer.points
        if transfer.credit in changes:
            changes[transfer.credit] += transfer.points
        self.lots[lot.key] = replace(lot, **changes)

    def _order_state(self, order_id: int, order: BookOrder, rules: Programme, at: datetime) -> accrual.OrderState:
        return accrual.OrderState(
            order_id=order_id,
            revision=order.revision,
            kept_kopecks=order.kept_kopecks,
            paid_at=order.paid_at or at,
            lots=tuple(lot for lot in self.lots.values() if lot.order_id == order_id and lot.source == "accrual"),
            programme=rules,
            rules_version=f"v{rules.accrual.rate_bps}",
        )

    def _welcome_state(self) -> accrual.WelcomeState:
        lots = tuple(lot for lot in self.lots.values() if lot.source == "welcome")
        return accrual.WelcomeState(MEMBER_ID, lots, sum(order.kept_kopecks > 0 for order in self.orders.values()))


def days(count: float) -> timedelta:
    return timedelta(days=count)
