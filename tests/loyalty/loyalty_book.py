"""A ledger of one member in memory: what the tests of the rules post decisions to.

Written apart from `storage/`: it applies transfers to lots and accounts by their names alone and refuses what a book
must refuse, so a wrong decision cannot hide behind the code that would have made it. What is wrong with a book is said
by `loyalty_faults.py`.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from loyalty_book_order import BookOrder
from loyalty_faults import faults

from loyalty import accrual, activation, burning, calendar, checkout, limits, redemption
from loyalty.account import Account, Cause
from loyalty.basket import Basket
from loyalty.ledger import MEMBER_ACCOUNTS, Balance, Decision, Lot, LotOpening, Transfer
from loyalty.orders import PaymentTotals
from loyalty.programme import AccrualRules, Duration, Programme, WelcomeRules
from loyalty.redemption import Allocation, Spent
from loyalty.rules import RedeemRules

PAID_AT = datetime(2026, 1, 10, 9, 0, tzinfo=UTC)
"""Noon in Moscow on 10 January 2026."""

RULES = Programme(
    name="Клуб",
    timezone="Europe/Moscow",
    accrual=AccrualRules(rate_bps=1_000, activate_after=Duration(14, "days"), expire_after=Duration(180, "days")),
    welcome=WelcomeRules(points=300, expire_after=Duration(60, "days")),
    redeem=RedeemRules(max_share_bps=3_000),
)
MEMBER_ID = 1
LEFT_BY = {"redeemed": "redeemed", "expired": "expired", "reversed": "reversed", "debt": "settled"}
INSIDE = frozenset({"pending", "available", "reserved"})


class Book:
    """Facts in, points out. `rules` are the present ones; an order stays with those of its first accrual."""

    def __init__(self, rules: Programme, *, segment_code: str | None = None) -> None:
        self.rules = rules
        self.segment_code = segment_code
        self.orders: dict[int, BookOrder] = {}
        self.lots: dict[str, Lot] = {}
        self.transfers: dict[str, Transfer] = {}
        self.accounts: Counter[str] = Counter()
        self.numbers = itertools.count(1)

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

    def buy(self, order_id: int, basket: Basket, *, at: datetime, spend: int = 0) -> checkout.Checkout:
        """The shop quotes, holds and pays an order with lines."""
        order = self.orders.setdefault(order_id, BookOrder())
        order.basket = basket
        quote = checkout.checkout(
            self.rules,
            basket,
            segment_code=self.segment_code,
            balance=self.accounts["available"],
            requested=spend,
            at=at,
        )
        if quote.spending.points:
            self.hold(order_id, quote.spending.points, at=at, spread=quote.spending.spread)
        order.shop_paid_kopecks = quote.due_kopecks
        self.converge(order_id, at)
        return quote

    def give_back(self, order_id: int, returned: tuple[int, ...], at: datetime) -> Decision:
        """Units of each line that have come back so far."""
        self.orders[order_id].returned = returned
        return self.converge(order_id, at)

    def hold(self, order_id: int, points: int, *, at: datetime, spread: tuple[int, ...] = ()) -> None:
        order = self.orders.setdefault(order_id, BookOrder())
        account, hold_id = self.account(), next(self.numbers)
        redemption.take(account, points, cause=Cause(order_id=order_id, hold_id=hold_id), now=at)
        self.commit(account)
        order.held, order.spread, order.hold_id = points, spread, hold_id

    def release(self, order_id: int, at: datetime) -> None:
        account, order = self.account(), self.orders[order_id]
        cause = Cause(order_id=order_id, hold_id=order.hold_id)
        redemption.release(account, self.allocations(order_id), cause=cause)
        burning.burn_due(account, self.rules, now=at)
        self.commit(account)
        order.held = 0

    def converge(self, order_id: int, at: datetime = PAID_AT) -> Decision:
        """Decides about the order by its present facts and posts the decision."""
        order = self.orders[order_id]
        account = self.account()
        activation.activate_due(account, now=at)
        burning.burn_due(account, self.rules, now=at)
        order.terms = order.terms or self._terms(order_id, at)
        if self._is_greeted_by_another(order_id):
            order.terms = replace(order.terms, is_greeted=False)
        state = self._state(order_id, order, at, is_spent=order.redeemed > 0 or order.held > 0)
        if order.held and accrual.target_of(state).is_kept:
            cause = Cause(order_id=order_id, hold_id=order.hold_id)
            redemption.capture(account, self.allocations(order_id), cause=cause)
            order.redeemed += order.held
            order.held = 0
        elif order.held:
            state = self._state(order_id, order, at, is_spent=False)
        outcome = accrual.converge(account, state, now=at)
        activation.activate_due(account, now=at)
        decision = self.commit(account)
        order.revision += bool(decision)
        order.accrued, order.welcomed = outcome.target.accrued, outcome.target.welcomed
        order.restored += outcome.restored
        order.redeemed += outcome.spent_again
        order.reversed += outcome.reversed
        order.forgiven += outcome.forgiven
        order.kept_kopecks, order.is_kept = outcome.target.kept_kopecks, outcome.target.is_kept
        order.limit = outcome.target.limit
        if order.is_kept and order.paid_at is None:
            order.paid_at = at
        if order.paid_at is None:
            order.terms = None
        return decision

    def open_lot(self, key: str, points: int, *, expires_at: datetime | None, at: datetime = PAID_AT) -> None:
        """Points from before: an opening balance."""
        account = self.account()
        lot = account.open(LotOpening(key, "opening", None, "v0", at, expires_at))
        account.move("opening", points, ("opening", "available"), key=key, cause=Cause(), lot=lot)
        account.settle(key)
        self.commit(account)

    def notify(self) -> None:
        """Everybody was told that his points end."""
        for lot in list(self.lots.values()):
            if lot.notified_at is None:
                self.lots[lot.key] = replace(lot, notified_at=PAID_AT)

    def bring_up_to_date(self, now: datetime) -> Decision:
        """Activates what is due and burns what has ended, as the night and every decision do."""
        account = self.account()
        activation.activate_due(account, now=now)
        burning.burn_due(account, self.rules, now=now)
        return self.commit(account)

    def account(self) -> Account:
        names = {name: self.accounts[name] for name in MEMBER_ACCOUNTS}
        return Account(Balance(**names), self.lots.values())

    def allocations(self, order_id: int) -> tuple[Allocation, ...]:
        return tuple(
            Allocation(transfer.lot_key or "", transfer.points)
            for transfer in self.transfers.values()
            if transfer.move == "hold" and transfer.hold_id == self.orders[order_id].hold_id
        )

    def commit(self, account: Account) -> Decision:
        """Posts what was decided; the account must have foreseen every balance and every lot."""
        self.post(account.decision)
        for name in MEMBER_ACCOUNTS:
            assert account.balances[name] == self.accounts[name], f"{name} was decided on a wrong balance"
        for key in {one.lot_key for one in account.decision.transfers if one.lot_key is not None}:
            posted = self.lots[key]
            assert replace(account.lots[key], id=posted.id) == posted, f"lot {key} was decided on wrong counters"
        return account.decision

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
                root_key=opening.root_key or "",
                id=next(self.numbers),
            )
        for transfer in decision.transfers:
            self._move(transfer)

    @property
    def net(self) -> int:
        """All points the member has or will have."""
        return sum(self.accounts[name] for name in ("pending", "available", "reserved")) - self.accounts["debt"]

    def points_of(self, order_id: int, source: str) -> int:
        return sum(lot.net for lot in self.lots.values() if lot.order_id == order_id and lot.source == source)

    def balance(self, name: str) -> int:
        return self.accounts[name]

    @property
    def balances(self) -> dict[str, int]:
        """The member's accounts that are not empty."""
        return {name: self.accounts[name] for name in MEMBER_ACCOUNTS if self.accounts[name]}

    def moves(self, order_id: int) -> list[tuple[str, int]]:
        """What was posted for the order, in the order it was posted."""
        return [(one.move, one.points) for one in self.transfers.values() if one.order_id == order_id]

    def faults(self) -> Iterator[str]:
        """What is wrong with the book; nothing, if it is whole."""
        return faults(self)

    def _move(self, transfer: Transfer) -> None:
        assert transfer.key not in self.transfers, f"{transfer.key} is posted twice"
        self.transfers[transfer.key] = transfer
        self.accounts[transfer.debit] += transfer.points if transfer.debit == "debt" else -transfer.points
        self.accounts[transfer.credit] += -transfer.points if transfer.credit == "debt" else transfer.points
        if transfer.lot_key is None:
            return
        lot = self.lots[transfer.lot_key]
        out = transfer.debit if transfer.debit in INSIDE else "earned"
        into = transfer.credit if transfer.credit in INSIDE else LEFT_BY.get(transfer.credit, "withdrawn")
        added = -transfer.points if out in INSIDE else transfer.points
        counters = {out: getattr(lot, out) + added, into: getattr(lot, into) + transfer.points}
        self.lots[lot.key] = replace(lot, **counters)

    def _terms(self, order_id: int, at: datetime) -> accrual.Terms:
        others = [order for number, order in self.orders.items() if number != order_id]
        begins, ends = calendar.day_bounds(at, self.rules.timezone)
        period_begins = calendar.ago(at, self.rules.limits.period, self.rules.timezone)
        today = [order for order in others if order.paid_at is not None and begins <= order.paid_at < ends]
        recent = [order for order in others if order.paid_at is not None and order.paid_at >= period_begins]
        used = limits.Used(
            accruals_today=sum(order.accrued > 0 for order in today),
            points_today=sum(order.accrued for order in today),
            points_in_period=sum(order.accrued for order in recent),
        )
        return accrual.Terms(
            programme=self.rules,
            rules_version=f"v{self.rules.accrual.rate_bps}",
            segment_code=self.segment_code,
            is_greeted=not any(order.is_kept for order in others),
            earn_cap=limits.allowance(self.rules.limits, used).points,
        )

    def _is_greeted_by_another(self, order_id: int) -> bool:
        """An order that was returned and paid again finds the welcome gone to the next one."""
        welcomes = [lot for lot in self.lots.values() if lot.source == "welcome" and lot.order_id != order_id]
        return any(lot.net > 0 for lot in welcomes)

    def _state(self, order_id: int, order: BookOrder, at: datetime, *, is_spent: bool) -> accrual.OrderState:
        assert order.terms is not None
        own = tuple(
            lot.key for lot in self.lots.values() if lot.order_id == order_id and lot.source in ("accrual", "welcome")
        )
        held = self.allocations(order_id)
        earlier = max(0, order.redeemed - sum(one.points for one in held))
        spent = Spent(order.spread, held, order.restored - earlier) if is_spent else Spent()
        return accrual.OrderState(
            order_id=order_id,
            revision=order.revision,
            basket=order.basket,
            facts=order.facts,
            paid_at=order.paid_at or at,
            counted_at=order.paid_at or at,
            terms=order.terms,
            spent=spent,
            posted=accrual.Posted(order.accrued, order.welcomed, order.reversed, order.forgiven, own),
            spent_elsewhere=sum(
                other.redeemed - other.restored
                for number, other in self.orders.items()
                if number != order_id and other.is_kept
            ),
        )


def days(count: float) -> timedelta:
    return timedelta(days=count)


def with_points(rules: Programme, points: int, *, ends_on: int | None = None) -> Book:
    """A member who brought points from elsewhere."""
    book = Book(rules)
    book.open_lot("own", points, expires_at=None if ends_on is None else PAID_AT + days(ends_on))
    return book
