"""One decision about points against a bare row-locked debit/credit transaction, alternating in the same run.

Ours: lock the member, read his due or open lots, decide in pure code, post with one statement, mark CRM and card out of
date. Bare: lock an account row, insert a debit and a credit under unique keys, update the balance, commit. Both by one
client over one connection. Above it whole orders: hold and paid, and the latency of a quote.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median, quantiles

import psycopg

from benchmarks.table import Line
from benchmarks.world import World
from flows import book, holds, shop
from loyalty.account import Cause
from loyalty.basket import whole_sum
from loyalty.granting import Grant, grant
from storage import lots, members

TARGET_OF_BARE = 0.5
FIRST_CONTACT = 600_000_000
MEMBERS = 200
EARNED, SPENT = 100, 50
WARM_UP = 20
BARE_TABLES = """
CREATE TABLE IF NOT EXISTS bare_account (id bigint PRIMARY KEY, balance integer NOT NULL);
CREATE TABLE IF NOT EXISTS bare_entry (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account_id bigint NOT NULL,
    points integer NOT NULL, key text NOT NULL UNIQUE, at timestamptz NOT NULL DEFAULT now());
TRUNCATE bare_account, bare_entry;
INSERT INTO bare_account SELECT number, 0 FROM generate_series(0, 199) number;
"""


@dataclass(frozen=True)
class Plan:
    """How many transactions a round makes of each kind."""

    rounds: int = 5
    count: int = 400


class Book:
    """The product's decisions, one transaction each; `numbers` make every key new."""

    def __init__(self, world: World) -> None:
        self.rt = world.rt
        self.numbers = itertools.count(1)
        now = self.rt.now()
        with self.rt.db.begin() as tx:
            self.rt.programme_of(tx, self.rt.rules_version)
            contacts = range(FIRST_CONTACT, FIRST_CONTACT + MEMBERS)
            self.ids = [
                members.enrol(tx, contact_ref=one, name="Анна", card=self.rt.new_card(), now=now)[0].id
                for one in contacts
            ]

    def earn(self, number: int) -> None:
        now, rt = self.rt.now(), self.rt
        with rt.db.begin() as tx:
            member = members.lock(tx, self.ids[number % MEMBERS])
            account = book.open_account(tx, rt, member, now=now)
            plan = Grant(key=f"bench:{number}", source="accrual", move="accrue", points=EARNED, at=now)
            zone, version = rt.programme.timezone, rt.rules_version
            grant(account, plan, timezone=zone, rules_version=version, cause=Cause(rule="accrual.rate"))
            book.bring_up_to_date(account, rt, now=now)
            book.save(tx, rt, member.id, account, occurred_at=now)

    def redeem(self, number: int) -> None:
        """Points leave the lots that end first; without a hold, as a correction does."""
        now, rt = self.rt.now(), self.rt
        with rt.db.begin() as tx:
            member = members.lock(tx, self.ids[number % MEMBERS])
            account = book.open_account(tx, rt, member, now=now, more=lots.open_lots(tx, member.id, enough=SPENT))
            left = SPENT
            for lot in account.spendable(now=now):
                taken = min(left, lot.available)
                if taken == 0:
                    break
                left -= taken
                key = f"bench:{number}:{lot.key}"
                account.move("adjust", taken, ("available", "adjusted"), key=key, cause=Cause(rule="redeem"), lot=lot)
            book.save(tx, rt, member.id, account, occurred_at=now)

    def either(self) -> None:
        """Earning and spending by turns; each member earns before he spends."""
        number = next(self.numbers)
        (self.earn if (number // MEMBERS) % 2 == 0 else self.redeem)(number)

    def order(self) -> None:
        number = next(self.numbers)
        member_id, basket = self.ids[number % MEMBERS], whole_sum(100_000)
        holds.make(self.rt, member_id, order_ref=f"B-{number}", basket=basket, points=1, channel="bench")
        shop.pay(self.rt, f"B-{number}", member_id=member_id, basket=basket, paid_kopecks=None, channel="bench")

    def quote(self) -> float:
        member_id = self.ids[next(self.numbers) % MEMBERS]
        began = time.perf_counter()
        holds.quote(self.rt, member_id, whole_sum(100_000), redeem=10)
        return (time.perf_counter() - began) * 1_000


def measure(world: World, plan: Plan) -> list[Line]:
    """Rounds of bare and ours by turns, then orders and quotes."""
    ours = Book(world)
    rates: dict[str, list[float]] = {"bare": [], "ours": [], "order": []}
    numbers = itertools.count(1)
    with psycopg.connect(world.driver_url) as connection:
        connection.execute(BARE_TABLES)
        connection.commit()
        for _ in range(MEMBERS):
            ours.earn(next(ours.numbers))
        for _ in range(plan.rounds):
            rates["bare"].append(_rate(lambda: _bare(connection, next(numbers)), plan.count))
            rates["ours"].append(_rate(ours.either, plan.count))
            rates["order"].append(_rate(ours.order, max(1, plan.count // 8)))
    quotes = sorted(ours.quote() for _ in range(max(2, plan.count)))
    ratio = median(one / bare for one, bare in zip(rates["ours"], rates["bare"], strict=True))
    return [
        Line(
            key="ledger.decision",
            title="earn + redeem, one decision each",
            value=median(rates["ours"]),
            unit="tx/s",
            ratio=ratio,
            against="bare debit/credit",
            target=f"target >= {TARGET_OF_BARE:g} x",
            is_reached=ratio >= TARGET_OF_BARE,
        ),
        Line(key="ledger.bare", title="bare row-locked debit/credit", value=median(rates["bare"]), unit="tx/s"),
        Line(key="ledger.order", title="shop order: hold, paid", value=median(rates["order"]), unit="/s"),
        Line(key="ledger.quote_p50", title="quote, p50", value=median(quotes), unit="ms"),
        Line(key="ledger.quote_p99", title="quote, p99", value=quantiles(quotes, n=100)[98], unit="ms"),
    ]


def _bare(connection: psycopg.Connection, number: int) -> None:
    account = number % MEMBERS
    connection.execute("SELECT balance FROM bare_account WHERE id = %s FOR UPDATE", (account,)).fetchone()
    connection.execute(
        "INSERT INTO bare_entry (account_id, points, key) VALUES (%s, %s, %s), (%s, %s, %s)",
        (account, EARNED, f"d{number}", account, -EARNED, f"c{number}"),
    )
    connection.execute("UPDATE bare_account SET balance = balance + %s WHERE id = %s", (EARNED, account))
    connection.commit()


def _rate(work: Callable[[], None], count: int) -> float:
    for _ in range(min(WARM_UP, count)):
        work()
    began = time.perf_counter()
    for _ in range(count):
        work()
    return count / (time.perf_counter() - began)
