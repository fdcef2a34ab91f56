"""Random histories against the real database. After every step the book must satisfy six invariants: conservation,
no negative component, cached balances derived, a refused operation changes nothing, lots equal balances, and at most
one accrual per revision of an order; and every order must be worth what its facts say. Spending is another machine,
`test_flow_ledger_machine.py`."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa
from flow_points_world import WorkerDied, World, activated
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from kopilka_testing import StandingClock
from sqlalchemy.exc import IntegrityError

from flows.runtime import Runtime
from loyalty.ledger import Decision, Transfer
from storage import ledger, lots, members

WELCOME = 300
sums = st.sampled_from([499_000, 333_000, 100_000, 50_000, 1_000, 0])
refunds = st.sampled_from([0, 0, 1_000, 50_000, 332_000, 499_000])
"""Tens of roubles: at 10 % or more every kept sum earns something, so that every paid order pins its rules."""

deal_numbers = st.integers(0, 4)


@dataclass
class Known:
    """The test's own memory of a deal."""

    deal_ref: int
    member_id: int
    payments: dict[str, tuple[int, int, bool]] = field(default_factory=dict)
    is_stage_paid: bool = False
    price: int = 0
    rate_bps: int | None = None
    is_greeted: bool = False
    has_welcome: bool = False

    @property
    def kept(self) -> int:
        moved = [payment for payment in self.payments.values() if any(payment)]
        if moved:
            return sum(0 if is_total else max(0, captured - refunded) for captured, refunded, is_total in moved)
        return self.price if self.is_stage_paid else 0


class History(RuleBasedStateMachine):
    """Two buyers with five deals; `world` and `clock` are given by the test."""

    world: World
    clock: StandingClock

    @initialize()
    def shop_opens(self) -> None:
        self.rate_bps = 1_000
        self.world.change_rules(rate_bps=self.rate_bps)
        self.members = [self.world.member(), self.world.member()]
        self.deals = [
            Known(self.world.deal(member_id), member_id)
            for member_id in (self.members[0], self.members[0], self.members[0], self.members[1], self.members[1])
        ]

    @rule(
        number=deal_numbers,
        ref=st.sampled_from("ab"),
        captured=sums,
        refunded=sums,
        is_total=st.sampled_from([False] * 4 + [True]),
    )
    def acquirer_tells(self, number: int, ref: str, captured: int, refunded: int, is_total: bool) -> None:
        deal = self.deals[number]
        known = deal.payments.get(ref, (0, 0, False))
        deal.payments[ref] = (max(known[0], captured), max(known[1], refunded), known[2] or is_total)
        self._pin(deal)
        self.world.pay(deal.deal_ref, captured, refunded, ref=ref, is_total=is_total)

    @rule(number=deal_numbers, times=st.integers(1, 3))
    def acquirer_repeats_itself(self, number: int, times: int) -> None:
        deal = self.deals[number]
        before = self._all()
        for ref, (captured, refunded, is_total) in deal.payments.items():
            for _ in range(times):
                self.world.pay(deal.deal_ref, captured, refunded, ref=ref, is_total=is_total)
        assert self._all() == before

    @rule(number=deal_numbers, is_paid=st.booleans(), price=sums)
    def deal_moves(self, number: int, is_paid: bool, price: int) -> None:
        deal = self.deals[number]
        deal.is_stage_paid, deal.price = is_paid, price
        self._pin(deal)
        self.world.stage(deal.deal_ref, is_paid=is_paid, price=price)

    @rule(number=deal_numbers)
    def everything_is_returned(self, number: int) -> None:
        deal = self.deals[number]
        for ref, (captured, refunded, _) in list(deal.payments.items()):
            deal.payments[ref] = (captured, refunded, True)
            self._pin(deal)
            self.world.pay(deal.deal_ref, captured, refunded, ref=ref, is_total=True)
        deal.is_stage_paid = False
        self._pin(deal)
        self.world.stage(deal.deal_ref, is_paid=False, price=deal.price)
        assert deal.kept == 0

    @rule(days=st.integers(1, 20))
    def days_pass(self, days: int) -> None:
        self.clock.forward(days=days)
        activated(self.world.rt, now=self.clock())
        with self.world.rt.db.begin() as tx:
            assert lots.members_with_due(tx, now=self.clock(), limit=9) == []

    @rule(rate_bps=st.sampled_from([1_000, 1_500, 10_000]))
    def owner_changes_the_rate(self, rate_bps: int) -> None:
        self.rate_bps = rate_bps
        self.world.change_rules(rate_bps=rate_bps)

    @rule(number=deal_numbers, captured=sums)
    def worker_dies_before_the_commit(self, number: int, captured: int) -> None:
        before = self._all()
        with suppress(WorkerDied):
            self.world.pay(self.deals[number].deal_ref, captured, ref="lost", fail=True)
        assert self._all() == before

    @precondition(lambda self: bool(self._transfers()))
    @rule(
        data=st.data(),
        what=st.sampled_from(["key again", "below zero", "another's lot", "unknown account", "unknown rules"]),
    )
    def impossible_is_refused(self, data: st.DataObject, what: str) -> None:
        with self.world.rt.db.begin() as tx:
            rows = tx.execute(
                sa.text(
                    "SELECT t.key, t.member_id, t.rules_version, l.key AS lot FROM transfer t JOIN lot l"
                    " ON l.id = t.lot_id WHERE t.member_id = ANY(:ids) ORDER BY t.id"
                ),
                {"ids": self.members},
            ).all()
        row = data.draw(st.sampled_from(rows))
        transfer: dict[str, Any] = {
            "key": f"new {self._transfers()} {what}",
            "move": "reverse",
            "debit": "available",
            "credit": "reversed",
            "points": 1,
            "lot_key": row.lot,
            "order_id": None,
            "rules_version": row.rules_version,
        }
        transfer |= {
            "key again": {"key": row.key, "debit": "issued", "credit": "pending"},
            "below zero": {"points": 1_000_000},
            "another's lot": {"lot_key": "nobody's"},
            "unknown account": {"debit": "pocket", "credit": "pending"},
            "unknown rules": {"rules_version": "never", "debit": "issued", "credit": "pending"},
        }[what]
        before = self._all()

        def post(tx: sa.Connection) -> None:
            members.lock(tx, row.member_id)
            ledger.post(
                tx, row.member_id, Decision((Transfer(**transfer),)), occurred_at=self.clock(), now=self.clock()
            )

        with pytest.raises(IntegrityError):
            self.world.rt.db.run(post)
        assert self._all() == before

    @invariant()
    def the_book_is_whole(self) -> None:
        """Conservation, cached balances and lot counters, recounted by the product's own proof."""
        verdict = self.world.verdict()
        assert verdict.is_whole, verdict.faults

    @invariant()
    def balances_and_lots_are_what_the_transfers_say_and_nothing_is_negative(self) -> None:
        """Recounted here once more, in another way."""
        for member_id in self.members:
            accounts: Counter[str] = Counter()
            for transfer in self.world.transfers(member_id):
                accounts[transfer.debit] -= transfer.points
                accounts[transfer.credit] += transfer.points
            balance = self.world.balance(member_id)
            assert sum(accounts.values()) == 0
            assert (balance.pending, balance.available) == (accounts["pending"], accounts["available"])
            assert (balance.reserved, balance.debt) == (0, 0)
            assert min(balance.pending, balance.available) >= 0
            assert balance.net == -accounts["issued"] - accounts["reversed"]

    @invariant()
    def every_order_is_worth_what_its_facts_say(self) -> None:
        for member_id in self.members:
            transfers = self.world.transfers(member_id)
            for deal in (deal for deal in self.deals if deal.member_id == member_id):
                order = self.world.order(deal.deal_ref)
                posted: Counter[str] = Counter()
                for one in transfers:
                    if one.order_id == order.id and one.move in ("accrue", "welcome", "reverse"):
                        posted[one.source] += -one.points if one.move == "reverse" else one.points
                assert posted["accrual"] == deal.kept * (deal.rate_bps or 0) // 1_000_000 == order.accrued
                assert posted["welcome"] == (WELCOME if deal.kept and deal.is_greeted else 0) == order.welcomed

    @invariant()
    def an_order_accrues_once_per_revision_and_is_welcomed_once_at_a_time(self) -> None:
        for member_id in self.members:
            transfers = self.world.transfers(member_id)
            accruals = Counter(transfer.key for transfer in transfers if transfer.move == "accrue")
            assert all(count == 1 for count in accruals.values())
            revisions = {key.rsplit(":", 1)[0] for key in accruals}
            assert len(revisions) == len(accruals)

    def _pin(self, deal: Known) -> None:
        """What holds for an order from its first counting on. Who came back after another was greeted, is not."""
        own = [one for one in self.deals if one.member_id == deal.member_id and one is not deal]
        if deal.kept and deal.rate_bps is None:
            deal.rate_bps = self.rate_bps
            deal.is_greeted = not any(one.kept for one in own)
        elif deal.is_greeted and not deal.has_welcome:
            deal.is_greeted = not any(one.has_welcome for one in own)
        deal.has_welcome = deal.is_greeted and deal.kept > 0

    def _transfers(self) -> int:
        with self.world.rt.db.begin() as tx:
            statement = sa.text("SELECT count(*) FROM transfer WHERE member_id = ANY(:ids)")
            return int(tx.execute(statement, {"ids": self.members}).scalar_one())

    def _all(self) -> list[Any]:
        """A digest of every row that a posting could touch."""
        with self.world.rt.db.begin() as tx:
            return [
                tx.execute(sa.text(f"SELECT md5(string_agg(t::text, '|' ORDER BY id)) FROM {table} AS t")).scalar_one()
                for table in ("member", "orders", "payment", "lot", "transfer", "outbox")
            ]


def test_no_history_breaks_the_book(rt: Runtime, clock: StandingClock) -> None:
    """With a CRM to tell: what is asked of the outbox must not change by a repetition either."""
    History.world = World(rt)
    History.clock = clock

    run_state_machine_as_test(
        History,
        settings=settings(
            max_examples=10,
            stateful_step_count=25,
            phases=(Phase.generate,),
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

    assert History.world.verdict().transfers > 5, "the histories did nothing"
