"""A buyer whose points amoCRM mirrors: what we give and take, what a manager moves there, what amoCRM shows of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flow_shop_world import ShopWorld
from kopilka_testing import CRM_TOKEN, Shop, StandingClock, posted, settle, tbank_body

from flows import adjusting, bonus_drift, inbox, lookup, nightly
from flows.adjusting import Adjustment
from flows.runtime import Runtime

LONG_AGO = timedelta(days=300)
_payments = itertools.count(1)


@dataclass
class BonusWorld:
    """The shop with `bonus_points` on; it looks at amoCRM's board, because its API does not show the balance."""

    rt: Runtime
    shop: Shop
    clock: StandingClock
    members: list[int] = field(default_factory=list)

    def buyer(self, roubles: int = 1_000) -> int:
        """A member with a customer, who has bought once and has welcome points."""
        contact = {"name": "Анна Петрова", "phone": f"+7900{next(_payments):07}"}
        body = {"name": "Заказ", "price_roubles": roubles, "contact": contact}
        made = self.shop.crm("POST", "/sim/deals", body)
        deal_id, contact_id = made["deal_id"], made["contact_id"]
        self.pays(deal_id, roubles)
        found = lookup.by_contact(self.rt, contact_id)
        assert found is not None
        self.members.append(found.member.id)
        return found.member.id

    def pays(self, deal_id: int, roubles: int = 1_000) -> None:
        body = tbank_body(deal_id, kopecks=roubles * 100, payment_id=next(_payments))
        inbox.accept_payment(self.rt, "tbank", posted(body))
        self.works()

    def works(self, times: int = 1) -> None:
        for _ in range(times):
            settle(self.rt)
            self.clock.forward(minutes=2)
            settle(self.rt)

    def calms_down(self) -> None:
        """Nothing is broken any more, and the longest gap between two tries has passed several times."""
        self.shop.faults(drop_bonus_answer=0, bonus_status=0, apply_then_drop=0.0, error_500=0.0)
        for _ in range(4):
            self.clock.forward(minutes=30)
            self.works()

    def gives(self, member_id: int, points: int) -> None:
        ShopWorld(self.rt, self.clock).give(member_id, points)

    def takes(self, member_id: int, points: int) -> None:
        asked = Adjustment(-points, "other", "проверка", "tests", f"take-{next(_payments)}")
        adjusting.adjust(self.rt, member_id, asked)

    def manager_moves(self, member_id: int, points: int) -> bool:
        """Somebody earns or redeems in amoCRM itself. Returns whether amoCRM did it."""
        body = {"earn": points} if points > 0 else {"redeem": -points}
        url = f"{self.shop.crm_url}/api/v4/customers/{self.customer(member_id)}/bonus_points"
        headers = {"Authorization": f"Bearer {CRM_TOKEN}"}
        return self.shop.session.post(url, json=body, headers=headers, timeout=10).status_code == 200

    def customer(self, member_id: int) -> int:
        with self.rt.db.begin() as tx:
            ref = sa.text("SELECT customer_ref FROM crm_state WHERE member_id = :id")
            return int(tx.execute(ref, {"id": member_id}).scalar_one())

    def ledger(self, member_id: int) -> int:
        with self.rt.db.begin() as tx:
            statement = sa.text("SELECT available FROM member WHERE id = :id")
            return int(tx.execute(statement, {"id": member_id}).scalar_one())

    def native(self, member_id: int) -> int:
        return int(self._board(member_id)["bonus_points"])

    def moves(self, member_id: int) -> list[int]:
        """Every move of the native points, ours and foreign, in their order."""
        return [int(one["points"]) for one in self._board(member_id)["bonus_moves"]]

    def drifts(self) -> Sequence[tuple[int | None, int]]:
        """What was expected and found, the oldest first."""
        lines = bonus_drift.report(self.rt, since=self.clock() - LONG_AGO).lines
        return [(one.drift.expected, one.drift.found) for one in reversed(lines)]

    def night(self) -> str:
        [done] = nightly.run_due(self.rt, now=self.clock(), only="drift", at_once=True)
        assert done.error is None
        return done.text

    def row(self, member_id: int) -> sa.Row[Any]:
        with self.rt.db.begin() as tx:
            statement = sa.text("SELECT * FROM outbox WHERE kind = 'bonus' AND target_id = :id")
            return tx.execute(statement, {"id": member_id}).one()

    def agrees(self) -> bool:
        """Raises AssertionError with what differs."""
        for one in self.members:
            assert (one, self.native(one)) == (one, self.ledger(one))
        return True

    def _board(self, member_id: int) -> dict[str, Any]:
        ref = self.customer(member_id)
        state = self.shop.crm("GET", "/sim/state")
        return next(one for one in state["customers"] if one["id"] == ref)


@contextmanager
def bonus_world(rt: Runtime, shop: Shop, clock: StandingClock, *, is_on: bool = True) -> Iterator[BonusWorld]:
    assert rt.file.amocrm is not None
    rt.google = None
    switch(rt, is_on=is_on)
    yield BonusWorld(rt, shop, clock)
    shop.faults(reset=True)


def switch(rt: Runtime, *, is_on: bool) -> None:
    rt.file = replace(rt.file, amocrm=replace(rt.crm_names, bonus_points=is_on))
