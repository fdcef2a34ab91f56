"""The ledger: movements of points per second against a bare row-locked debit and credit, whole orders, holds, quotes.

Two client processes do the product's work and the bare work by turns, in the same minute, on as many accounts. A
movement is the whole of a decision about one member: lock, bring up to date, decide, post, mark the CRM's contact and
the card out of date, commit. Afterwards the whole book is verified.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from statistics import median, quantiles

import psycopg
import sqlalchemy as sa

from benchmarks.ledger_client import BARE_ACCOUNTS, BARE_TABLES, PROGRAMME_ACCOUNT, Task, Told
from benchmarks.table import Line, render
from benchmarks.world import World, open_world
from storage import verify

TARGET_OF_BARE = 0.5
TARGET_HOT_OF_COOL = 0.5
TARGET_HOT_PER_S = 100.0
CLIENTS = 2
OPEN_LOTS_PER_MEMBER = 3
COOL_LOTS = 10
QUOTES_PER_S = 50.0
PLENTY, LITTLE = 100_000, 100
"""Points in a lot that is never spent up, and in one that is after two redemptions."""


class BookNotWhole(Exception):
    """After all that was measured the book does not add up."""


@dataclass(frozen=True)
class Plan:
    """`seconds`: of one turn; `hot_lots`: open lots of the member whom everybody wants at once."""

    members: int = 10_000
    rounds: int = 5
    seconds: float = 1.5
    hot_lots: int = 10_000


@dataclass(frozen=True)
class _Accounts:
    """Ids of the members: the first of the many, the one with few lots, the one with thousands."""

    first: int
    cool: int
    hot: int


@dataclass(frozen=True)
class _Round:
    """Per second: movements, bare ones, orders, holds with their orders, redemptions of the two busy members."""

    movements: float
    bare: float
    orders: float
    held: float
    cool: float
    hot: float
    quotes_ms: Sequence[float]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ledger", description=__doc__)
    parser.add_argument("--members", type=int, default=Plan.members, help="members (%(default)s)")
    parser.add_argument("--rounds", type=int, default=Plan.rounds, help="rounds (%(default)s)")
    parser.add_argument("--seconds", type=float, default=Plan.seconds, help="seconds of a turn (%(default)s)")
    options = parser.parse_args(argv)
    with open_world() as world:
        print(render(measure(world, Plan(options.members, options.rounds, options.seconds))))
    return 0


def measure(world: World, plan: Plan) -> list[Line]:
    """Makes the members, then lets the clients work by turns. Raises BookNotWhole."""
    accounts = _make_accounts(world, plan)
    with _clients(world) as clients:
        for work in ("movement", "bare", "order", "hold"):  # statements are prepared, pages are in memory
            _rate(clients, Task(work, plan.seconds / 2, accounts.first, plan.members))
        rounds = [_round(clients, plan, accounts, number) for number in range(plan.rounds)]
    with world.rt.db.begin() as tx:
        verdict = verify.verify(tx)
    if not verdict.is_whole:
        raise BookNotWhole("; ".join(verdict.faults[:3]))
    return _lines(rounds, plan)


def _round(clients: Sequence[_Client], plan: Plan, accounts: _Accounts, number: int) -> _Round:
    """Neighbours are compared; who is first changes with the round."""
    turns = {
        "movement": (accounts.first, plan.members),
        "bare": (accounts.first, plan.members),
        "order": (accounts.first, plan.members),
        "hold": (accounts.first, plan.members),
        "cool": (accounts.cool, 1),
        "hot": (accounts.hot, 1),
    }
    names = list(turns) if number % 2 == 0 else list(reversed(turns))
    rates = {
        name: _rate(clients[:CLIENTS], Task("redeem" if name in ("cool", "hot") else name, plan.seconds, *turns[name]))
        for name in names
    }
    return _Round(
        rates["movement"],
        rates["bare"],
        rates["order"],
        rates["hold"],
        rates["cool"],
        rates["hot"],
        _quotes_ms(clients, plan, accounts),
    )


def _rate(clients: Sequence[_Client], task: Task) -> float:
    """Done per second by all of them together."""
    return sum(told.count / told.seconds for told in _together(clients, [task] * len(clients)))


def _quotes_ms(clients: Sequence[_Client], plan: Plan, accounts: _Accounts) -> Sequence[float]:
    """One client asks for quotes at a steady rate while the others move points and take orders."""
    everybody = (plan.seconds, accounts.first, plan.members)
    tasks = [Task("movement", *everybody), Task("order", *everybody), Task("quote", *everybody, QUOTES_PER_S)]
    return _together(clients, tasks)[-1].latencies_ms


@dataclass(frozen=True)
class _Client:
    process: subprocess.Popen[str]

    def tell(self, task: Task) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asdict(task)) + "\n")
        self.process.stdin.flush()

    def hear(self) -> Told:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a client of the ledger ended with code {self.process.wait()}")
        return Told(**json.loads(line))


def _together(clients: Sequence[_Client], tasks: Sequence[Task]) -> list[Told]:
    for client, task in zip(clients, tasks, strict=True):
        client.tell(task)
    return [client.hear() for client in clients]


@contextmanager
def _clients(world: World) -> Iterator[list[_Client]]:
    """Two that work, and one more for quotes. They end when their input does."""
    environment = {**os.environ, **world.environment}
    with ExitStack() as stack:
        yield [
            _Client(
                stack.enter_context(
                    subprocess.Popen(
                        [sys.executable, "-m", "benchmarks.ledger_client", str(number)],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        text=True,
                        env=environment,
                    )
                )
            )
            for number in range(1, CLIENTS + 2)
        ]


def _make_accounts(world: World, plan: Plan) -> _Accounts:
    """Members with open lots that do not end soon, and as many bare accounts."""
    now = world.rt.now()
    with world.rt.db.begin() as tx:
        world.rt.programme_of(tx, world.rt.rules_version)
        first = int(tx.execute(_MEMBERS, {"count": plan.members + 2, "now": now}).scalar_one())
    accounts = _Accounts(first, first + plan.members, first + plan.members + 1)
    for begin, count, lots, points in (
        (accounts.first, plan.members, OPEN_LOTS_PER_MEMBER, PLENTY),
        (accounts.cool, 1, COOL_LOTS, PLENTY),
        (accounts.hot, 1, plan.hot_lots, LITTLE),
    ):
        parameters = {
            "first": begin,
            "last": begin + count - 1,
            "lots": lots,
            "points": points,
            "ends_at": now + timedelta(days=100),
            "now": now,
            "version": world.rt.rules_version,
        }
        with world.rt.db.begin() as tx:
            tx.execute(_LOTS, parameters)
    with psycopg.connect(world.driver_url, autocommit=True) as connection:
        connection.execute(BARE_TABLES)
        connection.execute(BARE_ACCOUNTS, (PROGRAMME_ACCOUNT, first, accounts.hot))
        connection.execute("VACUUM ANALYZE")
    return accounts


def _lines(rounds: Sequence[_Round], plan: Plan) -> list[Line]:
    of_bare = median(one.movements / one.bare for one in rounds)
    of_cool = median(one.hot / one.cool for one in rounds)
    hot = median(one.hot for one in rounds)
    latencies = quantiles([latency for one in rounds for latency in one.quotes_ms], n=100)
    orders, held = median(one.orders for one in rounds), median(one.held for one in rounds)
    return [
        Line(
            key="ledger.movements",
            title="earn or redeem, CRM and card marked",
            value=median(one.movements for one in rounds),
            unit="tx/s",
            ratio=of_bare,
            against="bare debit and credit",
            target=f"target >= {TARGET_OF_BARE:g} x",
            is_reached=of_bare >= TARGET_OF_BARE,
        ),
        Line(
            key="ledger.hot",
            title=f"redeem of one member with {plan.hot_lots} lots",
            value=hot,
            unit="tx/s",
            ratio=of_cool,
            against=f"one with {COOL_LOTS} lots",
            target=f"target >= {TARGET_HOT_OF_COOL:g} x, >= {TARGET_HOT_PER_S:g}/s",
            is_reached=of_cool >= TARGET_HOT_OF_COOL and hot >= TARGET_HOT_PER_S,
        ),
        _of_bare("ledger.orders", "a shop's order is paid", orders, [one.orders / one.bare for one in rounds]),
        _of_bare("ledger.holds", "points held, then the order is paid", held, [one.held / one.bare for one in rounds]),
        Line(key="ledger.quote_p50", title="quote while others work, p50", value=latencies[49], unit="ms"),
        Line(key="ledger.quote_p99", title="  p99", value=latencies[98], unit="ms"),
        Line(
            key="ledger.bare",
            title="bare debit and credit x 2",
            value=median(one.bare for one in rounds),
            unit="tx/s",
        ),
    ]


def _of_bare(key: str, title: str, value: float, ratios: Sequence[float]) -> Line:
    return Line(key=key, title=title, value=value, unit="/s", ratio=median(ratios), against="bare debit and credit")


_MEMBERS = sa.text(
    """
    WITH made AS (
        INSERT INTO member (contact_ref, name, card_token, card_serial, card_number, created_at)
        SELECT 800000000 + n, 'Покупатель', 'ledger-' || n, 'ledger-' || n, 'ledger-' || n, :now
        FROM generate_series(1, CAST(:count AS int)) AS n ORDER BY n
        RETURNING id
    ) SELECT min(id) FROM made
    """
)
# Each lot is opened as the book would have it, so that the whole book can be verified afterwards.
_LOTS = sa.text(
    """
    WITH opened AS (
        INSERT INTO lot (key, member_id, source, rules_version, earned, available, activates_at, expires_at, opened_at,
            notified_at)
        SELECT 'bench:opening:' || m.id || ':' || n, m.id, 'accrual', :version, :points, :points, :now,
            :ends_at + n * interval '1 minute', :now, :now
        FROM member m CROSS JOIN generate_series(1, CAST(:lots AS int)) AS n
        WHERE m.id BETWEEN :first AND :last
        RETURNING id, key, member_id
    ), written AS (
        INSERT INTO transfer (key, member_id, lot_id, move, debit, credit, points, rules_version, occurred_at,
            recorded_at, rule)
        SELECT key, member_id, id, 'opening', 'opening', 'available', :points, :version, :now, :now, 'opening'
        FROM opened
    )
    UPDATE member SET available = available + :points * CAST(:lots AS int) WHERE id BETWEEN :first AND :last
    """
)


if __name__ == "__main__":
    raise SystemExit(main())
