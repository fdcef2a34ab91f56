"""One client of the ledger's benchmark: a process of its own, so that two of them share nothing but the database.

`python -m benchmarks.ledger_client NUMBER` with the product's settings in the environment. Each line of its input is a
`Task`, each line of its output what came of it. The product's work goes through the product's own functions; the bare
work is the least that a movement of points can cost with the driver the product uses.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import psycopg

from config.logs import configure_logging
from config.settings import load_settings
from flows import book, holds, quoting, shop
from flows.people import Names
from flows.runtime import Runtime, build_runtime, prepare
from loyalty.account import Cause
from loyalty.basket import Basket, Line
from loyalty.granting import Grant, grant
from storage import lots

EARNED, SPENT = 100, 50
STRIDE = 7_919
"""A prime: the clients go through the members by it, two transactions with each."""

FIRST_NUMBERS = 1_000_003
"""How far apart the clients begin."""

BARE_TABLES = """
CREATE TABLE bare_account (id bigint PRIMARY KEY, balance bigint NOT NULL DEFAULT 0);
CREATE TABLE bare_entry (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account_id bigint NOT NULL, points integer NOT NULL,
    key text NOT NULL UNIQUE, recorded_at timestamptz NOT NULL DEFAULT now());
"""
BARE_ACCOUNTS = """
INSERT INTO bare_account (id) SELECT %s UNION ALL SELECT generate_series(%s::bigint, %s::bigint)
"""
_BARE_LOCK = "SELECT balance FROM bare_account WHERE id = %s FOR UPDATE"
_BARE_ENTRIES = "INSERT INTO bare_entry (account_id, points, key) VALUES (%s, %s, %s), (%s, %s, %s)"
_BARE_UPDATE = "UPDATE bare_account SET balance = %s WHERE id = %s"
PROGRAMME_ACCOUNT = 0

BASKET = Basket(
    (
        Line(399_000, sku="TENT-2", category="Палатки"),
        Line(90_000, qty=2, sku="MAT", category="Коврики", discount_kopecks=10_000),
        Line(49_000, sku="MUG", category="Посуда", is_on_sale=True),
    ),
    promo_kopecks=20_000,
    delivery_kopecks=30_000,
)


@dataclass(frozen=True)
class Task:
    """`members`: how many, from the one with id `first`. `per_second`: at a fixed rate, latency from the instant a
    request was due; 0: as fast as it goes."""

    work: str
    seconds: float
    first: int
    members: int
    per_second: float = 0.0


@dataclass(frozen=True)
class Told:
    count: int
    seconds: float
    latencies_ms: list[float] = field(default_factory=list)


class Client:
    def __init__(self, rt: Runtime, driver: psycopg.Connection, name: str) -> None:
        self.rt = rt
        self.driver = driver
        self.name = name
        self.numbers = itertools.count(int(name) * FIRST_NUMBERS)

    def do(self, task: Task) -> Told:
        work: Callable[[int, str], None] = getattr(self, task.work)
        latencies_ms: list[float] = []
        began = time.perf_counter()
        due_at, end, count = began, began + task.seconds, 0
        while due_at < end and (now := time.perf_counter()) < end:
            if task.per_second:
                time.sleep(max(0.0, due_at - now))
            number = next(self.numbers)
            work(task.first + number // 2 * STRIDE % task.members, f"{self.name}:{number}")
            count += 1
            if task.per_second:
                latencies_ms.append((time.perf_counter() - due_at) * 1000)
                due_at += 1 / task.per_second
        return Told(count, time.perf_counter() - began, latencies_ms)

    def bare(self, account_id: int, key: str) -> None:
        points = EARNED if _is_even(key) else -SPENT
        row = self.driver.execute(_BARE_LOCK, (account_id,)).fetchone()
        assert row is not None
        entries = (account_id, points, f"{key}:debit", PROGRAMME_ACCOUNT, -points, f"{key}:credit")
        self.driver.execute(_BARE_ENTRIES, entries)
        self.driver.execute(_BARE_UPDATE, (row[0] + points, account_id))
        self.driver.commit()

    def movement(self, member_id: int, key: str) -> None:
        """Earn and redeem by turns."""
        (self.earn if _is_even(key) else self.redeem)(member_id, key)

    def earn(self, member_id: int, key: str) -> None:
        """As an order's accrual: one lot that waits for its day."""
        rt, rules, now = self.rt, self.rt.programme.accrual, self.rt.now()
        plan = Grant(
            key=f"bench:{key}",
            source="accrual",
            move="accrue",
            points=EARNED,
            at=now,
            delay=rules.activate_after,
            lifetime=rules.expire_after,
        )
        with rt.db.begin() as tx:
            member = book.lock(tx, member_id, now=now)
            account = book.open_account(tx, rt, member, now=now)
            cause = Cause(rule="accrual.rate")
            grant(account, plan, timezone=rt.programme.timezone, rules_version=rt.rules_version, cause=cause)
            book.bring_up_to_date(account, rt, now=now)
            book.save(tx, rt, member_id, account, occurred_at=now)

    def redeem(self, member_id: int, key: str) -> None:
        """As points are taken by hand: from the lots that end first."""
        rt, now, left = self.rt, self.rt.now(), SPENT
        with rt.db.begin() as tx:
            member = book.lock(tx, member_id, now=now)
            account = book.open_account(
                tx, rt, member, now=now, more=lots.open_lots(tx, member_id, enough=SPENT, now=now)
            )
            for number, lot in enumerate(account.spendable(now=now)):
                taken = min(left, lot.available)
                if taken == 0:
                    break
                left -= taken
                cause = Cause(rule="adjustments", actor="bench", reason="bench")
                path = ("available", "adjusted")
                account.move("adjust", taken, path, key=f"bench:{key}:{number}", cause=cause, lot=lot)
            assert left == 0, "the member has spent all"
            book.save(tx, rt, member_id, account, occurred_at=now)

    def order(self, member_id: int, key: str) -> None:
        ref = f"order-{key}"
        shop.pay(self.rt, ref, member_id=member_id, basket=BASKET, paid_kopecks=None, channel="site")

    def hold(self, member_id: int, key: str) -> None:
        """Points are reserved, and captured with the payment."""
        ref = f"hold-{key}"
        holds.make(self.rt, member_id, order_ref=ref, basket=BASKET, points=SPENT, channel="site")
        shop.pay(self.rt, ref, member_id=member_id, basket=None, paid_kopecks=None, channel="site")

    def quote(self, member_id: int, key: str) -> None:
        del key
        quoting.quote(self.rt, Names(member_id=member_id), BASKET, redeem=SPENT)


def _is_even(key: str) -> bool:
    return int(key.rpartition(":")[2]) % 2 == 0


def main(name: str) -> None:
    configure_logging("error", human=False)
    environment = dict(os.environ)
    rt = build_runtime(load_settings(environment, dotenv=None))
    prepare(rt)
    url = environment["DATABASE_URL"].replace("postgresql+psycopg:", "postgresql:", 1)
    with psycopg.connect(url) as driver:
        client = Client(rt, driver, name)
        for line in sys.stdin:
            print(json.dumps(asdict(client.do(Task(**json.loads(line))))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
