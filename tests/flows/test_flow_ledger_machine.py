"""Random histories of the whole programme on a real database. After every step the ledger keeps six invariants:
conservation, sane components, balances derived from transfers, no overdraft, holds accounted for, and a refusal that
leaves every row as it was. In the end everything is returned, and nobody owes anything.

`KOPILKA_MACHINES` histories of `KOPILKA_MACHINE_STEPS` steps each.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa
from flow_points_world import activated, together
from flow_shop_world import RULES, ShopWorld, opened
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from kopilka_testing import StandingClock

from flows import adjusting, holds, nightly, people, shop
from flows.adjusting import Adjustment
from flows.refusals import Denied
from loyalty import burning
from loyalty.basket import Basket, Line, whole_sum
from loyalty.ledger import MEMBER_ACCOUNTS
from loyalty.programme import Duration, WelcomeRules
from loyalty.rules import ActionReward, GiftRules, Limits, RedeemRules
from storage import lots, members

HISTORIES = int(os.environ.get("KOPILKA_MACHINES", "10"))
STEPS = int(os.environ.get("KOPILKA_MACHINE_STEPS", "22"))

DAYS_OF_LIFE = Duration(20, "days")
PROGRAMME = replace(
    RULES,
    accrual=replace(RULES.accrual, activate_after=Duration(3, "days"), expire_after=DAYS_OF_LIFE),
    welcome=WelcomeRules(points=300, expire_after=Duration(10, "days")),
    redeem=RedeemRules(max_share_bps=5_000, hold=Duration(1, "days"), crm_hold=Duration(2, "days")),
    refund=replace(RULES.refund, grace=Duration(5, "days")),
    gifts=GiftRules(actions=(ActionReward("review", "Отзыв", 50, per_day=2, expire_after=DAYS_OF_LIFE),)),
)
OTHERS = (
    replace(PROGRAMME, point_value_kopecks=300, refund=replace(PROGRAMME.refund, debt="within_balance")),
    replace(PROGRAMME, accrual=replace(PROGRAMME.accrual, rate_bps=2_000, expire_idle=Duration(15, "days"))),
    replace(
        PROGRAMME,
        accrual=replace(PROGRAMME.accrual, base="order_total", activate_after=Duration(0, "days")),
        limits=Limits(points_per_order=200, redemptions_per_day=3, accruals_per_day=2),
        redeem=replace(PROGRAMME.redeem, max_share_bps=10_000),
    ),
)
"""What the owner may change the rules to."""

BASKETS = (
    whole_sum(499_000),
    Basket((Line(100_000, qty=3), Line(77_700)), delivery_kopecks=19_900),
    Basket((Line(300_000), Line(150_000, discount_kopecks=50_000, is_on_sale=True)), promo_kopecks=30_000),
)
SUMS = (499_000, 100_000, 33_300, 1_000)
ANY = st.integers(0, 59)
"""Which of the members, orders or holds there are: draws must not depend on what a race has left."""

Request = Callable[[], object]


@dataclass
class Deal:
    ref: int
    price: int
    captured: int = 0
    refunded: int = 0


@dataclass
class Known:
    """What the machine has made; everything else it reads from the product."""

    members: list[int] = field(default_factory=list)
    deals: list[Deal] = field(default_factory=list)
    orders: list[tuple[str, int, Basket]] = field(default_factory=list)
    paid: list[str] = field(default_factory=list)
    holds: list[str] = field(default_factory=list)
    repeatable: list[Request] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)


class LedgerMachine(RuleBasedStateMachine):
    """`world` is given by the test."""

    world: ShopWorld
    totals: ClassVar[Counter[str]] = Counter()

    @initialize(rich=st.lists(st.sampled_from([0, 80, 700, 3_000]), min_size=2, max_size=3))
    def shop_opens(self, rich: list[int]) -> None:
        self.known = Known()
        self.number = 0
        self.world.use(PROGRAMME)
        for balance in rich:
            self.known.members.append(self.world.rich(balance) if balance else self.world.member())
            self.known.deals.append(Deal(self.world.deal(self.known.members[-1]), SUMS[0]))
            self.known.orders.append((f"o{self._next()}", self.known.members[-1], BASKETS[1]))

    @rule()
    def a_member_is_made(self) -> None:
        if len(self.known.members) < 5:
            self.known.members.append(self.world.member())

    @rule(which=ANY, price=st.sampled_from(SUMS), wish=st.sampled_from([None, 0, 1, 100, 10_000]))
    def a_deal_is_opened(self, which: int, price: int, wish: int | None) -> None:
        """The manager may type how many points to spend."""
        deal = Deal(self.world.deal(self._living(which)), price)
        self.known.deals.append(deal)
        self._do("wish", lambda: self.world.wish(deal.ref, wish, price=price))

    @rule(which=ANY, wish=st.sampled_from([None, 50, 10_000]), lost=st.booleans())
    def a_deal_changes_its_mind(self, which: int, wish: int | None, lost: bool) -> None:
        deal = self._one(self.known.deals, which)
        if deal is not None and self.world.order(deal.ref).counted_at is None:
            self._do("wish", lambda: self.world.wish(deal.ref, wish, price=deal.price, lost=lost))

    @rule(which=ANY, share=st.sampled_from([1, 1, 2]))
    def a_deal_is_paid(self, which: int, share: int) -> None:
        deal = self._one(self.known.deals, which)
        if deal is not None:
            deal.captured = max(deal.captured, self._to_pay(deal) // share)
            self._repeatable("pay", self._payment(deal))

    @rule(which=ANY, is_paid=st.booleans())
    def a_deal_moves(self, which: int, is_paid: bool) -> None:
        """Into its paid stage or out of it, as the manager likes."""
        deal = self._one(self.known.deals, which)
        self._do("stage", lambda: self.world.stage(deal.ref, is_paid=is_paid, price=deal.price))

    @rule(which=ANY, share=st.sampled_from([1, 2, 3]))
    def a_deal_is_refunded(self, which: int, share: int) -> None:
        deal = self._one(self.known.deals, which)
        if deal is not None and deal.captured:
            deal.refunded = max(deal.refunded, deal.captured // share)
            self._repeatable("refund", self._payment(deal))

    @rule(
        which=ANY, goods=st.integers(0, 2), amount=st.sampled_from([1, 50, 300, 5_000]), again=st.booleans(), order=ANY
    )
    def points_are_held(self, which: int, goods: int, amount: int, again: bool, order: int) -> None:
        """For a new order, or in place of what lies on an old one."""
        ref, member_id, basket = f"o{self._next()}", self._living(which), BASKETS[goods]
        if again and self.known.orders:
            ref, member_id, basket = self.known.orders[order % len(self.known.orders)]
        else:
            self.known.orders.append((ref, member_id, basket))
        self._do(
            "hold", lambda: self.known.holds.append(self.world.hold(member_id, amount, basket, ref=ref).hold.public_id)
        )

    @rule(which=ANY)
    def a_hold_is_released(self, which: int) -> None:
        name = self._one(self.known.holds, which)
        if name is not None:
            self._repeatable("release", lambda: holds.release(self.world.rt, name))

    @rule(which=ANY, spend=st.sampled_from([0, 40, 300]), channel=st.sampled_from(["site", "till"]))
    def an_order_is_paid(self, which: int, spend: int, channel: str) -> None:
        ref, member_id, basket = self._one(self.known.orders, which)
        owner = self._owner(member_id)
        if spend:
            self._do("hold", lambda: self.world.hold(owner, spend, basket, ref=ref))
        self._repeatable("paid", lambda: self._pay(ref, owner, basket, channel))
        if ref not in self.known.paid:
            self.known.paid.append(ref)

    @rule(
        which=ANY,
        line=st.integers(1, 2),
        kopecks=st.sampled_from([0, 0, 5_000]),
        everything=st.sampled_from([False] * 3 + [True]),
    )
    def an_order_is_returned(self, which: int, line: int, kopecks: int, everything: bool) -> None:
        ref = self._one(self.known.paid, which) or self.known.orders[0][0]
        asked = {
            "units": {} if kopecks or everything else {line: 1},
            "amount_kopecks": kopecks,
            "everything": everything,
        }
        self._do("return", lambda: shop.give_back(self.world.rt, ref, **asked))

    @rule(which=ANY, amount=st.sampled_from([700, 50, -1, -50, -700, -6_000]))
    def a_hand_corrects(self, which: int, amount: int) -> None:
        asked = Adjustment(amount, "other", "проба", "Ольга", f"k{self._next()}")
        member_id = self.known.members[which % len(self.known.members)]
        self._repeatable("adjust", lambda: adjusting.adjust(self.world.rt, member_id, asked))

    @rule(which=ANY)
    def an_action_is_rewarded(self, which: int) -> None:
        key, member_id = f"r{self._next()}", self.known.members[which % len(self.known.members)]
        self._repeatable("reward", lambda: adjusting.reward(self.world.rt, member_id, "review", key=key, actor="сайт"))

    @rule(gone=ANY, kept=ANY, yes=st.sampled_from([False, True]))
    def two_members_turn_out_to_be_one(self, gone: int, kept: int, yes: bool) -> None:
        if yes and len(self.known.members) > 2:
            pair = [self.known.members[which % len(self.known.members)] for which in (gone, kept)]
            self._repeatable("merge", lambda: people.merge(self.world.rt, from_id=pair[0], into_id=pair[1]))

    @rule(days=st.sampled_from([0.5, 1, 4, 9, 25]), told=st.booleans())
    def time_passes(self, days: float, told: bool) -> None:
        """The night comes; those whose points end were told of it, or not."""
        if told:
            self._tell_everybody(days)
        self.world.clock.forward(days=days)
        now = self.world.clock()
        self.known.seen["expired"] += holds.release_expired(self.world.rt, now=now)
        activated(self.world.rt, now=now)
        nightly.run_due(self.world.rt, now=now, only="burn", at_once=True)
        with self.world.rt.db.begin() as tx:
            assert lots.members_with_due(tx, now=now, limit=1) == []

    @rule(which=st.sampled_from([None, 0, 1, 2]))
    def the_owner_applies_other_rules(self, which: int | None) -> None:
        self.world.use(PROGRAMME if which is None else OTHERS[which])

    @rule(which=ANY, times=st.integers(1, 2))
    def a_request_is_repeated(self, which: int, times: int) -> None:
        request = self._one(self.known.repeatable, which)
        if request is not None:
            before = self.world.everything()
            for _ in range(times):
                self._refused(request)
            assert self.world.everything() == before, "a repeated request moved something"

    @rule(
        first=ANY, second=ANY, buyer=ANY, kind=st.sampled_from(["hold", "paid", "return", "release", "refund", "merge"])
    )
    def two_hands_at_once(self, first: int, second: int, buyer: int, kind: str) -> None:
        """One corrects or holds, the other does something else, to the same member perhaps."""
        works = [self._hold_something(buyer), self._something(kind, first, second)]
        together(2, lambda number: self._refused(works[number]))
        self.known.seen[f"race {kind}"] += 1

    @invariant()
    def nothing_is_lost_or_made_and_no_cached_number_lies(self) -> None:
        """Conservation and derived state, by the product's own proof."""
        assert self.world.is_whole()

    @invariant()
    def balances_are_what_the_transfers_say_and_components_are_sane(self) -> None:
        """Recounted here in another way: whose transfers they are, what they hold, when it ends."""
        for member_id in self.known.members:
            owner = self._owner(member_id)
            if owner != member_id:
                assert self.world.balance(member_id).net == 0
                continue
            balance = self.world.balance(owner)
            accounts = self._accounts(owner)
            assert [getattr(balance, name) for name in MEMBER_ACCOUNTS] == [
                accounts["pending"],
                accounts["available"],
                accounts["reserved"],
                -accounts["debt"],
            ]
            assert sum(accounts.values()) == 0
            assert min(balance.pending, balance.available, balance.reserved, balance.debt) >= 0
            assert balance.debt == 0 or balance.available == 0, "a debt beside points"
            open_lots = self.world.lots(owner)
            assert sum(burn.points for burn in burning.schedule(open_lots, "Europe/Moscow")) == balance.available
            assert sum(lot.pending for lot in open_lots) == balance.pending

    @invariant()
    def nobody_spends_what_he_does_not_have_and_every_hold_is_accounted_for(self) -> None:
        with self.world.rt.db.begin() as tx:
            spent = tx.execute(
                sa.text(
                    "SELECT m.id, m.reserved, COALESCE(sum(h.points) FILTER (WHERE h.state = 'active'), 0) AS held,"
                    " COALESCE(sum(h.points) FILTER (WHERE h.state = 'captured'), 0) AS by_holds"
                    " FROM member m LEFT JOIN hold h ON h.member_id = m.id WHERE m.id = ANY(:ids) GROUP BY m.id"
                ),
                {"ids": self.known.members},
            ).all()
            orders = tx.execute(
                sa.text(
                    "SELECT member_id, sum(redeemed) AS redeemed, sum(redeemed - restored) AS spent FROM orders"
                    " WHERE member_id = ANY(:ids) GROUP BY 1"
                ),
                {"ids": self.known.members},
            ).all()
        redeemed = {row.member_id: (row.redeemed, row.spent) for row in orders}
        for row in spent:
            accounts = self._accounts(row.id)
            assert row.reserved == row.held
            told = redeemed.get(row.id, (0, 0))
            assert row.by_holds <= told[0], "more than the holds took: points that came back too early paid again"
            assert accounts["redeemed"] == told[1]
            given = -sum(accounts[name] for name in ("issued", "opening", "adjusted"))
            assert accounts["redeemed"] + row.reserved <= given + accounts["debt"] * -1

    def teardown(self) -> None:
        """Everything is returned, every hold given up: nobody owes anything."""
        if not hasattr(self, "known"):
            return
        for deal in self.known.deals:
            deal.refunded = deal.captured
            if self.world.order(deal.ref).counted_at is None:
                self._lose(deal)
            if deal.captured:
                self._payment(deal)()
            self.world.stage(deal.ref, is_paid=False, price=deal.price)
        for ref, _, _ in self.known.orders:
            self._refused(
                lambda ref=ref: shop.give_back(self.world.rt, ref, units={}, amount_kopecks=0, everything=True)
            )
        self.world.clock.forward(days=3)
        holds.release_expired(self.world.rt, now=self.world.clock())
        activated(self.world.rt, now=self.world.clock())
        assert self.world.is_whole()
        for member_id in self.known.members:
            balance = self.world.balance(member_id)
            assert (balance.reserved, balance.debt) == (0, 0)
            assert self._accounts(member_id)["redeemed"] == 0
        type(self).totals += self.known.seen

    def _do(self, name: str, request: Request) -> bool:
        """A request that may be refused; then nothing at all has changed. Was it done?"""
        before = self.world.everything()
        code = self._refused(request)
        self.known.seen[name if code is None else f"{name} refused"] += 1
        if code is not None:
            assert self.world.everything() == before, f"{code} left something behind"
        return code is None

    def _repeatable(self, name: str, request: Request) -> None:
        if self._do(name, request):
            self.known.repeatable.append(request)

    def _refused(self, request: Request) -> str | None:
        try:
            request()
        except Denied as denied:
            return denied.code
        return None

    def _payment(self, deal: Deal) -> Request:
        captured, refunded = deal.captured, deal.refunded
        return lambda: self.world.pay(deal.ref, captured, refunded)

    def _pay(self, ref: str, member_id: int, basket: Basket, channel: str) -> object:
        return shop.pay(self.world.rt, ref, member_id=member_id, basket=basket, paid_kopecks=None, channel=channel)

    def _lose(self, deal: Deal) -> object:
        return self.world.wish(deal.ref, None, price=deal.price, lost=True)

    def _to_pay(self, deal: Deal) -> int:
        hold = self.world.open_hold(self.world.order(deal.ref))
        return deal.price - (hold.points * 100 if hold is not None and hold.is_open else 0)

    def _hold_something(self, which: int) -> Request:
        ref, member_id = f"o{self._next()}", self._living(which)
        self.known.orders.append((ref, member_id, BASKETS[0]))
        return lambda: self.world.hold(member_id, 200, BASKETS[0], ref=ref)

    def _something(self, kind: str, first: int, second: int) -> Request:
        ref, member_id, basket = self.known.orders[first % len(self.known.orders)]
        pair = [self.known.members[which % len(self.known.members)] for which in (first, second)]
        deal = self._one(self.known.deals, second)
        if kind == "refund" and deal is not None and deal.captured:
            deal.refunded = deal.captured
            return self._payment(deal)
        works: dict[str, Request] = {
            "paid": lambda: self._pay(ref, self._owner(member_id), basket, "till"),
            "return": lambda: shop.give_back(self.world.rt, ref, units={1: 1}, amount_kopecks=0),
            "merge": lambda: people.merge(self.world.rt, from_id=pair[0], into_id=pair[1]),
            "release": lambda: holds.release(self.world.rt, self._one(self.known.holds, second) or "hold_none"),
        }
        return works.get(kind, self._hold_something(second))

    def _tell_everybody(self, days: float) -> None:
        with self.world.rt.db.begin() as tx:
            tx.execute(
                sa.text("UPDATE lot SET notified_at = :now WHERE expires_at <= :until AND member_id = ANY(:ids)"),
                {
                    "now": self.world.clock(),
                    "until": self.world.clock() + timedelta(days=days),
                    "ids": self.known.members,
                },
            )

    def _accounts(self, owner: int) -> Counter[str]:
        """Sums of a member's transfers and of those who were merged into him."""
        with self.world.rt.db.begin() as tx:
            rows = tx.execute(
                sa.text(
                    "SELECT debit, credit, points FROM transfer t JOIN member m ON m.id = t.member_id"
                    " WHERE COALESCE(m.merged_into_id, m.id) = :id"
                ),
                {"id": owner},
            ).all()
        accounts: Counter[str] = Counter()
        for row in rows:
            accounts[row.debit] -= row.points
            accounts[row.credit] += row.points
        return accounts

    def _owner(self, member_id: int) -> int:
        with self.world.rt.db.begin() as tx:
            found = members.living(tx, member_id)
        assert found is not None
        return found.id

    def _living(self, which: int) -> int:
        return self._owner(self.known.members[which % len(self.known.members)])

    def _next(self) -> int:
        self.number += 1
        return id(self) % 1_000_000 * 1_000 + self.number

    @staticmethod
    def _one(some: list[Any], which: int) -> Any:
        return some[which % len(some)] if some else None


@pytest.fixture
def world(database_url: str, clock: StandingClock, tmp_path: Path) -> Iterator[ShopWorld]:
    with opened(database_url, clock, tmp_path) as made:
        made.use(PROGRAMME)
        yield made


@pytest.mark.timeout(120 + 20 * HISTORIES)
def test_no_history_breaks_the_ledger(world: ShopWorld) -> None:
    LedgerMachine.world = world
    LedgerMachine.totals = Counter()

    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=STEPS,
            phases=(Phase.generate,),
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

    accounts = world.verdict().accounts
    print(dict(LedgerMachine.totals), accounts)
    assert world.verdict().transfers > 10 * HISTORIES, "the histories did nothing"
