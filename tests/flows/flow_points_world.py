"""A shop whose facts reach the book below the inbox: what the tests of moving points tell and look at.

Facts go the way `flows.payments` and `flows.deals` save them, one transaction each, without HTTP.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from flows import nightly, points
from flows.refusals import Denied
from flows.runtime import ActiveRules, Runtime
from loyalty.events import PaymentFacts
from loyalty.ledger import Balance
from loyalty.programme import Programme
from storage import members, orders, payments, rules, verify
from storage.orders import Order

Result = TypeVar("Result")
_numbers = itertools.count(1)


@dataclass(frozen=True)
class World:
    """The product in this process; every buyer, deal and payment gets a number of its own."""

    rt: Runtime

    def member(self) -> int:
        with self.rt.db.begin() as tx:
            made, _ = members.enrol(
                tx, contact_ref=next(_numbers), name="Анна", card=self.rt.new_card(), now=self.rt.now()
            )
        return made.id

    def deal(self, member_id: int) -> int:
        """A deal of this member that nobody has paid."""
        deal_ref = next(_numbers)
        with self.rt.db.begin() as tx:
            order = orders.open_order(tx, deal_ref, now=self.rt.now())
            orders.save_deal(tx, order.id, member_id=member_id, price_kopecks=0, is_stage_paid=False)
        return deal_ref

    def pay(
        self,
        deal_ref: int,
        captured: int,
        refunded: int = 0,
        *,
        ref: str = "1",
        is_total: bool = False,
        fail: bool = False,
    ) -> str:
        """An acquirer's message about one payment. `fail`: the worker dies before the commit."""
        now = self.rt.now()
        facts = PaymentFacts(
            acquirer="tbank",
            payment_ref=f"{deal_ref}-{ref}",
            deal_ref=deal_ref,
            captured_kopecks=captured,
            refunded_kopecks=refunded,
            status="captured",
            occurred_at=now,
            is_test=False,
            refund_is_total=is_total,
        )

        def save(tx: sa.Connection) -> str:
            order = orders.open_order(tx, deal_ref, now=now)
            payments.save(tx, order.id, facts, now=now)
            return self._converge(tx, order, now=now, fail=fail)

        return self.rt.db.run(save)

    def stage(self, deal_ref: int, *, is_paid: bool, price: int) -> str:
        """The deal as it was just read from the CRM."""
        now = self.rt.now()

        def save(tx: sa.Connection) -> str:
            order = orders.open_order(tx, deal_ref, now=now)
            assert order.member_id is not None
            orders.save_deal(tx, order.id, member_id=order.member_id, price_kopecks=price, is_stage_paid=is_paid)
            return self._converge(tx, orders.by_ids(tx, [order.id])[order.id], now=now, fail=False)

        return self.rt.db.run(save)

    def change_rules(self, *, rate_bps: int, **changes: Any) -> None:
        """The owner edits the file; the next decision about a new order uses it."""
        programme = self.rt.programme
        self.use(replace(programme, accrual=replace(programme.accrual, rate_bps=rate_bps), **changes))

    def use(self, programme: Programme) -> None:
        """The owner applies these rules."""
        version = replace(self.rt.file, programme=programme).version
        with self.rt.db.begin() as tx:
            rules.remember(tx, version, programme, now=self.rt.now())
            rules.apply(tx, version, source="", lines={}, by="tests", now=self.rt.now())
        self.rt.active = ActiveRules(version, programme, {})

    def balance(self, member_id: int) -> Balance:
        with self.rt.db.begin() as tx:
            return members.by_ids(tx, [member_id])[member_id].balance

    def order(self, deal_ref: int) -> Order:
        with self.rt.db.begin() as tx:
            found = orders.find(tx, deal_ref)
        assert found is not None
        return found

    def transfers(self, member_id: int) -> list[sa.Row[Any]]:
        with self.rt.db.begin() as tx:
            return list(
                tx.execute(
                    sa.text(
                        "SELECT t.*, l.source FROM transfer t LEFT JOIN lot l ON l.id = t.lot_id"
                        " WHERE t.member_id = :id ORDER BY t.id"
                    ),
                    {"id": member_id},
                )
            )

    def verdict(self) -> verify.Verdict:
        with self.rt.db.begin() as tx:
            return verify.verify(tx)

    def _converge(self, tx: sa.Connection, order: Order, *, now: datetime, fail: bool) -> str:
        outcome = points.converge_order(tx, self.rt, order, occurred_at=now, now=now)
        if fail:
            raise WorkerDied
        return outcome


class WorkerDied(Exception):
    """Between the decision and the commit."""


def at_once(works: Sequence[Callable[[], Result]]) -> list[Result]:
    """Runs each in a thread of its own; results in the same order, the first failure is raised."""
    with ThreadPoolExecutor(len(works)) as pool:
        return [running.result(timeout=60) for running in [pool.submit(work) for work in works]]


def together(count: int, work: Callable[[int], Result]) -> list[Result]:
    """Runs work(0), work(1) … so that they begin at the same moment."""
    start = threading.Barrier(count, timeout=10)

    def begin(number: int) -> Result:
        start.wait()
        return work(number)

    return at_once([lambda number=number: begin(number) for number in range(count)])  # type: ignore[misc]


def refused_or_done(work: Callable[[], object]) -> str:
    """The code of the refusal, «done» without one: races may end either way, but never in an error."""
    try:
        work()
    except Denied as denied:
        return denied.code
    return "done"


def activated(rt: Runtime, *, now: datetime) -> int:
    """The night's job, now: how many members it changed."""
    return sum(result.done for result in nightly.run_due(rt, now=now, only="activate", at_once=True))
