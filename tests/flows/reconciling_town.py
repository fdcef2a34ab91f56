"""A shop, its banks and its CRM over HTTP, for the tests of the reconciliation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from kopilka_testing import CRM_TOKEN, Shop, StandingClock, settle

from flows import lookup, nightly, reconciling
from flows.nightly import Result
from flows.reconciled import Line
from flows.reconciling_place import Span
from flows.runtime import Runtime
from storage import orders, payments, verify


class Town:
    """A shop, its banks and its CRM."""

    def __init__(self, rt: Runtime, shop: Shop) -> None:
        self.rt = rt
        self.shop = shop

    def pay(self, bank: str, *, is_told: bool = True, roubles: int = 4_990) -> tuple[int, str]:
        """A deal paid through this bank; unless `is_told`, the bank's callbacks are lost."""
        self.shop.bank("POST", "/sim/faults", {"callback_lost": 0.0 if is_told else 1.0})
        deal_id, _ = self.shop.deal(roubles)
        made = self.shop.crm("POST", f"/sim/deals/{deal_id}/pay", {"acquirer": bank})
        payment_id = str(made["payment"]["id"])
        if is_told:
            self.until(lambda: self.knows(bank, payment_id))
        self.shop.bank("POST", "/sim/faults", {"callback_lost": 0.0})
        return deal_id, payment_id

    def refund_in_the_cabinet(self, payment_id: str, kopecks: int) -> None:
        """Nobody is told."""
        self.shop.bank("POST", "/sim/faults", {"callback_lost": 1.0})
        self.shop.refund(payment_id, kopecks)
        self.shop.bank("POST", "/sim/faults", {"callback_lost": 0.0})

    def compare(self, *, repair: bool = True, only: tuple[str, ...] = (), days: float = 1) -> list[Line]:
        now = datetime.now(UTC)
        span = Span(now - timedelta(days=days), now + timedelta(minutes=1))
        found = reconciling.compared(self.rt, span, repair=repair, only=only)
        lines = [line for batch in found for line in batch]
        settle(self.rt)
        return lines

    def lose_field(self, deal_id: int, name: str) -> None:
        """Another integration empties a field of ours."""
        headers = {"Authorization": f"Bearer {CRM_TOKEN}"}
        field = {"field_id": self.field_id(name, headers), "values": None}
        url = f"{self.shop.crm_url}/api/v4/leads/{deal_id}"
        body = {"custom_fields_values": [field]}
        assert self.shop.session.patch(url, json=body, headers=headers, timeout=10).status_code == 200

    def field_id(self, name: str, headers: dict[str, str]) -> int:
        url = f"{self.shop.crm_url}/api/v4/leads/custom_fields"
        found = self.shop.session.get(url, headers=headers, timeout=10).json()["_embedded"]["custom_fields"]
        return int(next(one["id"] for one in found if one["name"] == name))

    def until(self, is_so: Callable[[], bool]) -> None:
        begin = datetime.now(UTC)
        while not is_so():
            assert datetime.now(UTC) - begin < timedelta(seconds=20), lookup.events(
                self.rt, states=["parked", "waiting"], limit=5
            )
            settle(self.rt)

    def knows(self, bank: str, payment_id: str) -> bool:
        with self.rt.db.begin() as tx:
            found = payments.find(tx, bank, payment_id)
        return found is not None and found.captured_kopecks > 0

    def kept(self, deal_id: int) -> int:
        with self.rt.db.begin() as tx:
            found = orders.find(tx, deal_id)
        return -1 if found is None else found.kept_kopecks

    def parked(self) -> list[str]:
        return [str(row.outcome) for row in lookup.events(self.rt, states=["parked"], limit=9)[0]]

    def check(self) -> None:
        with self.rt.db.begin() as tx:
            verdict = verify.verify(tx)
        assert verdict.is_whole, verdict.faults


def only(lines: list[Line], payment_id: str) -> Line:
    [found] = [line for line in lines if line.payment_ref == payment_id]
    return found


def sliced(town: Town, clock: StandingClock, job: str = "reconcile") -> tuple[Result, int]:
    """As the sweep runs a job: it stops wherever it may. The result, and how many slices it took."""
    for number in range(1, 200):
        [result] = nightly.run_due(town.rt, now=clock(), only=job, at_once=True, work_for=timedelta(0))
        assert result.error is None, result.error
        if result.is_over:
            settle(town.rt)
            return result, number
    raise AssertionError("the job has no end")


def due_in(town: Town, clock: StandingClock) -> timedelta:
    with town.rt.db.begin() as tx:
        due_at: datetime = tx.execute(sa.text("SELECT due_at FROM job WHERE name = 'reconcile'")).scalar_one()
    return due_at - clock()


def change(town: Town, statement: str) -> None:
    with town.rt.db.begin() as tx:
        tx.execute(sa.text(statement))


def answer(town: Town, statement: str) -> object:
    with town.rt.db.begin() as tx:
        return tx.execute(sa.text(statement)).scalar_one()


def held(town: Town, bank: str = "yookassa") -> tuple[int, str]:
    """A deal whose money is frozen, and its payment; we know of both."""
    deal_id, _ = town.shop.deal(4_990)
    asked = {"acquirer": bank, "deal_id": deal_id, "amount_kopecks": 499_000, "two_stage": True}
    made = town.shop.bank("POST", "/sim/pay", asked)
    town.until(lambda: bool(lookup.events(town.rt, states=["done"], limit=5)[0]))
    settle(town.rt)
    return deal_id, str(made.get("payment_id") or made["id"])


def with_lost_callbacks(town: Town, path: str) -> None:
    town.shop.bank("POST", "/sim/faults", {"callback_lost": 1.0})
    town.shop.bank("POST", path, {})
    town.shop.bank("POST", "/sim/faults", {"callback_lost": 0.0})
