"""What reaches the rules from outside, as steps of a random history of one member."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from hypothesis import strategies as st
from loyalty_book import PAID_AT, Book
from loyalty_book_order import BookOrder

from loyalty.redemption import NotEnoughPoints


class Step(Protocol):
    def take(self, book: Book, now: datetime) -> datetime:
        """Tells the book; returns what time it is afterwards."""


@dataclass(frozen=True)
class Payment:
    order_id: int
    payment: str
    captured: int
    refunded: int
    is_total: bool = False

    def take(self, book: Book, now: datetime) -> datetime:
        book.pay(self.order_id, self.captured, self.refunded, payment=self.payment, is_total=self.is_total)
        book.converge(self.order_id, now)
        return now


@dataclass(frozen=True)
class Stage:
    order_id: int
    is_paid: bool
    price: int

    def take(self, book: Book, now: datetime) -> datetime:
        book.stage(self.order_id, is_paid=self.is_paid, price=self.price)
        book.converge(self.order_id, now)
        return now


@dataclass(frozen=True)
class Hold:
    """Points are asked for an order that has none reserved; a refusal must change nothing at all."""

    order_id: int
    points: int

    def take(self, book: Book, now: datetime) -> datetime:
        order = book.orders.get(self.order_id, BookOrder())
        if order.held or order.is_kept or order.redeemed:
            return now
        before = (dict(book.accounts), dict(book.lots), dict(book.transfers))
        try:
            book.hold(self.order_id, self.points, at=now)
        except NotEnoughPoints:
            assert before == (dict(book.accounts), dict(book.lots), dict(book.transfers))
        return now


@dataclass(frozen=True)
class Release:
    order_id: int

    def take(self, book: Book, now: datetime) -> datetime:
        if book.orders.get(self.order_id, BookOrder()).held:
            book.release(self.order_id, now)
        return now


@dataclass(frozen=True)
class Days:
    count: int
    is_told: bool

    def take(self, book: Book, now: datetime) -> datetime:
        if self.is_told:
            book.notify()
        later = now + timedelta(days=self.count)
        book.bring_up_to_date(later)
        return later


sums = st.integers(0, 600_000)
order_ids = st.integers(1, 3)
payments = st.builds(Payment, order_ids, st.sampled_from("pq"), sums, sums, st.sampled_from([False, False, True]))
stages = st.builds(Stage, order_ids, st.booleans(), sums)
days_passing = st.builds(Days, st.integers(1, 20), st.just(False))
long_days = st.builds(Days, st.integers(1, 60), st.booleans())
holds = st.builds(Hold, order_ids, st.integers(1, 900))
releases = st.builds(Release, order_ids)
earning_histories = st.lists(st.one_of(payments, stages, days_passing), max_size=25)
"""Nothing is spent and nothing burns."""
histories = st.lists(st.one_of(payments, stages, long_days, holds, holds, releases), max_size=25)


def play(book: Book, history: Sequence[Step]) -> datetime:
    """Takes one step after the other; after each the book must be whole. Returns what time it is then."""
    now = PAID_AT
    for step in history:
        now = step.take(book, now)
        assert list(book.faults()) == []
    return now
