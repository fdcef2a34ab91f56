"""Random histories: whatever was bought, spent and burnt in between, when everything is returned nothing is left over.

Source: specification of points, section 5.4 (20 000 histories, half of them with expiry). The fast suite runs some of
them; `make chaos` runs all (KOPILKA_HISTORIES).
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime

import pytest
from loyalty_book import PAID_AT, RULES, Book, days
from loyalty_book_order import BookOrder

from loyalty.basket import Basket, Line
from loyalty.checkout import checkout
from loyalty.programme import AccrualRules, Duration, Programme, WelcomeRules
from loyalty.rules import Exclusions, Limits, RedeemRules, RefundRules

HISTORIES = int(os.environ.get("KOPILKA_HISTORIES", "600"))
FIRST_SEED = int(os.environ.get("KOPILKA_SEED", "1"))
HISTORIES_TO_SEE_ALL = 300
"""So many show every kind of move; fewer are run to look at one seed."""


@dataclass
class History:
    """One member's random life. An order has lines, or is a deal of which only the price is known; `waiting` deals have
    points reserved and are not paid yet, `deals` were paid with so much money."""

    chance: random.Random
    book: Book
    now: int = 0
    orders: int = 0
    deals: dict[int, int] = field(default_factory=dict)
    waiting: dict[int, int] = field(default_factory=dict)

    @property
    def at(self) -> datetime:
        return PAID_AT + days(self.now)

    def live(self) -> None:
        for _ in range(self.chance.randint(2, 9)):
            self._pass_days(0, 1, 5, 20, 70)
            if self.waiting and self.chance.random() < 0.4:
                self._close(self.chance.choice(list(self.waiting)))
            elif self.chance.random() < 0.65 or not self.orders:
                self._order()
            elif open_orders := [number for number in self.book.orders if not self._is_all_back(number)]:
                self._return_from(self.chance.choice(open_orders))
            self._check()

    def return_everything(self) -> None:
        """Deals that still wait are given up in between."""
        orders = list(self.book.orders)
        self.chance.shuffle(orders)
        for number in orders:
            if number in self.waiting:
                self._release(number)
            while not self._is_all_back(number):
                self._pass_days(0, 0, 1, 40)
                self._return_from(number)
                self._check()
        self._pass_days(400)
        self._check()

    def _pass_days(self, *choices: int) -> None:
        """Time goes by; sometimes the member is told in time that points end, sometimes they live on."""
        self.now += self.chance.choice(choices)
        if self.chance.random() < 0.6:
            self.book.notify()
        self.book.bring_up_to_date(self.at)

    def _order(self) -> None:
        self.orders += 1
        spend = self.chance.choice((0, self.chance.randint(1, 3_000), 10**6))
        if self.chance.random() < 0.3:
            self._deal(spend)
            return
        lines = tuple(self._line() for _ in range(self.chance.randint(1, 4)))
        goods = sum(line.gross_kopecks - line.discount_kopecks for line in lines)
        promo = self.chance.choice((0, 0, self.chance.randint(0, goods // 3)))
        self.book.buy(self.orders, Basket(lines, promo, self.chance.choice((0, 35_000))), at=self.at, spend=spend)

    def _deal(self, spend: int) -> None:
        """Points are held for a deal; it is paid at once or waits."""
        number, value = self.orders, self.book.rules.point_value_kopecks
        price = self.chance.choice((self.chance.randint(1_000, 900_000), self.chance.randint(1, 300) * value))
        basket, balance = Basket((Line(price),)), self.book.balance("available")
        quote = checkout(self.book.rules, basket, segment_code=None, balance=balance, requested=spend, at=self.at)
        self.book.orders[number] = BookOrder()
        self.waiting[number] = quote.due_kopecks
        if quote.spending.points:
            self.book.hold(number, quote.spending.points, at=self.at)
            self._check()
        if not quote.spending.points or self.chance.random() < 0.4:
            self._pay(number)

    def _close(self, number: int) -> None:
        if self.chance.random() < 0.5:
            self._pay(number)
        else:
            self._release(number)

    def _pay(self, number: int) -> None:
        due = self.waiting.pop(number)
        if due > 0:
            self.deals[number] = due
            self.book.pay(number, due)
        else:
            self.book.stage(number, is_paid=True, price=0)
        self.book.converge(number, self.at)

    def _release(self, number: int) -> None:
        del self.waiting[number]
        self.book.release(number, self.at)

    def _line(self) -> Line:
        gross = self.chance.randint(1, 900_000)
        return Line(
            gross,
            qty=self.chance.choice((1, 1, 2, 3)),
            discount_kopecks=self.chance.choice((0, 0, self.chance.randint(0, gross))),
            is_on_sale=self.chance.random() < 0.2,
        )

    def _return_from(self, number: int) -> None:
        order = self.book.orders[number]
        if order.basket is None:
            self._return_sum(number, order)
            return
        paid = order.shop_paid_kopecks or 0
        if self.chance.random() < 0.3 and order.shop_returned_kopecks < paid:
            order.shop_returned_kopecks += self.chance.randint(1, paid - order.shop_returned_kopecks)
            self.book.converge(number, self.at)
            return
        lines = order.basket.lines
        counts = list(order.returned or (0,) * len(lines))
        place = self.chance.choice([place for place, line in enumerate(lines) if counts[place] < line.qty])
        counts[place] = self.chance.randint(counts[place] + 1, lines[place].qty)
        self.book.give_back(number, tuple(counts), self.at)

    def _return_sum(self, number: int, order: BookOrder) -> None:
        if number not in self.deals:
            self.book.stage(number, is_paid=False, price=0)
        else:
            least = order.payments["p"].refunded_kopecks + 1
            part = self.chance.randint(least, self.deals[number])
            self.book.pay(number, 0, refunded=self.chance.choice((part, self.deals[number])))
        self.book.converge(number, self.at)

    def _is_all_back(self, number: int) -> bool:
        order = self.book.orders[number]
        if number in self.waiting:
            return True
        if order.basket is not None:
            return order.returned == tuple(line.qty for line in order.basket.lines)
        if number in self.deals:
            return order.payments["p"].refunded_kopecks == self.deals[number]
        return not order.is_stage_paid

    def _check(self) -> None:
        assert list(self.book.faults()) == []


def programme(chance: random.Random, *, lifetime: Duration | None) -> Programme:
    return replace(
        RULES,
        accrual=AccrualRules(
            rate_bps=chance.choice((500, 1_000, 1_250)),
            activate_after=Duration(chance.choice((0, 3, 14)), "days"),
            expire_after=lifetime,
            exclude=Exclusions(on_sale=chance.choice(("no", "yes_half", "yes"))),
        ),
        welcome=chance.choice((None, WelcomeRules(points=300, expire_after=lifetime))),
        redeem=RedeemRules(max_share_bps=chance.choice((3_000, 5_000, 10_000))),
        refund=RefundRules(grace=Duration(chance.choice((0, 0, 30)), "days")),
        limits=Limits(points_per_order=chance.choice((None, None, 200))),
        point_value_kopecks=chance.choice((100, 100, 300)),
    )


def a_life(seed: int, *, expires: bool) -> tuple[Book, int]:
    """A member who bought, spent and then returned everything, and the points he had brought from elsewhere."""
    chance = random.Random(seed)
    lifetime = Duration(chance.choice((10, 30, 60, 180)), "days") if expires else None
    history = History(chance, Book(programme(chance, lifetime=lifetime)))
    opening = chance.choice((0, 0, chance.randint(1, 2_000)))
    if opening:
        history.book.open_lot("opening", opening, expires_at=None)
    history.live()
    history.return_everything()
    return history.book, opening


def what_happened(book: Book) -> Counter[str]:
    """The kinds of moves of this history; one that makes a debt counts as «debt» too."""
    kinds: set[str] = {one.move for one in book.transfers.values()}
    if any(one.debit == "debt" for one in book.transfers.values()):
        kinds.add("debt")
    return Counter(kinds)


EVERYWHERE = ("accrue", "welcome", "activate", "hold", "capture", "release", "reverse", "restore", "debt", "settle")


@pytest.mark.timeout(max(120, HISTORIES // 10))
@pytest.mark.parametrize(("expires", "kinds"), [(False, EVERYWHERE), (True, (*EVERYWHERE, "expire", "write_off"))])
def test_everything_returned_in_any_order_and_split_leaves_no_points_and_no_debt(
    expires: bool, kinds: tuple[str, ...]
) -> None:
    seen: Counter[str] = Counter()
    for seed in range(FIRST_SEED, FIRST_SEED + HISTORIES // 2):
        book, opening = a_life(seed, expires=expires)
        seen += what_happened(book)

        accounts = book.accounts
        assert accounts["debt"] == 0, f"seed {seed}: debt {accounts['debt']}"
        assert accounts["pending"] == accounts["reserved"] == 0, f"seed {seed}: {dict(accounts)}"
        assert accounts["redeemed"] == 0, f"seed {seed}: {accounts['redeemed']} spent points did not come back"
        if not expires:
            assert accounts["available"] == opening, f"seed {seed}: {accounts['available']} of {opening}"
            assert accounts["shortfall"] == 0, f"seed {seed}: {accounts['shortfall']} written off"
        else:
            assert accounts["available"] <= opening, f"seed {seed}: {dict(accounts)}"
    assert HISTORIES < HISTORIES_TO_SEE_ALL or min(seen[kind] for kind in kinds) > 0, f"too tame: {dict(seen)}"
