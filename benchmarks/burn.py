"""The night's burning: lots that end among the open lots of many members, in chunks that lock members first.

Against the same lots in one statement and one transaction (the fastest there is: it locks everybody until it ends) and
against a loop lot by lot (the usual way, measured on a sample). All three burn the same kind of lots in the same
database in one run. Says also how long a member is locked at most and how much memory the process gains.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median

import psycopg
import sqlalchemy as sa

from benchmarks.table import Line, render
from benchmarks.world import World, open_world
from flows import burning as job
from flows import nightly
from storage import burning, verify

TARGET_LOCK_MS = 300.0
TARGET_OF_LOOP = 8.0
OPEN_LOTS_PER_MEMBER = 3
BIG_STATEMENT_TIMEOUT = "SET LOCAL statement_timeout = 0"
SEED_STEP = 50_000


class NotBurnt(Exception):
    """Points are missing or were burnt twice."""


@dataclass(frozen=True)
class Plan:
    """`due` lots end in each measurement, `sample` of them are burnt one by one."""

    members: int = 100_000
    due: int = 40_000
    sample: int = 1_000
    rounds: int = 3


@dataclass(frozen=True)
class _Round:
    """Lots per second in chunks, at once and one by one; the longest lock in ms; memory gained in MB."""

    chunks: float
    at_once: float
    loop: float
    lock_ms: float
    gained_mb: float


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.burn", description=__doc__)
    parser.add_argument("--members", type=int, default=Plan.members, help="members (%(default)s)")
    parser.add_argument("--due", type=int, default=Plan.due, help="lots that end in a measurement (%(default)s)")
    parser.add_argument("--rounds", type=int, default=Plan.rounds, help="rounds (%(default)s)")
    options = parser.parse_args(argv)
    due = min(options.due, options.members)
    plan = Plan(options.members, due, min(Plan.sample, due), options.rounds)
    with open_world() as world:
        print(render(measure(world, plan)))
    return 0


def measure(world: World, plan: Plan) -> list[Line]:
    """Makes the members, then burns their lots in alternating rounds. Raises NotBurnt."""
    _make_members(world, plan)
    rounds = [_round(world, plan, number) for number in range(plan.rounds)]
    with world.rt.db.begin() as tx:
        verdict = verify.verify(tx)
    if not verdict.is_whole:
        raise NotBurnt("; ".join(verdict.faults[:3]))
    return _lines(rounds, plan)


def _round(world: World, plan: Plan, number: int) -> _Round:
    now = world.rt.now()
    rates = {}
    lock_ms = gained_mb = 0.0
    for way in ("chunks", "at_once", "loop") if number % 2 == 0 else ("at_once", "loop", "chunks"):
        count = plan.sample if way == "loop" else plan.due
        _make_due_lots(world, plan, f"{number}-{way}", count, now)
        before_mb, began = _memory_mb(), time.perf_counter()
        if way == "chunks":
            lock_ms = _in_chunks(world, now, count)
        elif way == "at_once":
            _at_once(world, now, count)
        else:
            _one_by_one(world, now, count)
        rates[way] = count / (time.perf_counter() - began)
        if way == "chunks":
            gained_mb = max(0.0, _memory_mb() - before_mb)
    return _Round(rates["chunks"], rates["at_once"], rates["loop"], lock_ms, gained_mb)


def _in_chunks(world: World, now: datetime, count: int) -> float:
    """The product's own job. Returns the longest lock in milliseconds."""
    locks: list[float] = [0.0]
    results = nightly.run_due(
        world.rt,
        now=now,
        only="burn",
        at_once=True,
        on_progress=lambda _name, progress: locks.append(float(progress.counts["longest_lock_ms"])),
    )
    if [result.done for result in results] != [count]:
        raise NotBurnt(f"of {count} lots {[result.done for result in results]} were burnt")
    return locks[-1]


def _at_once(world: World, now: datetime, count: int) -> None:
    """The same statements with every lot in one transaction."""
    with world.rt.db.begin() as tx:
        tx.execute(sa.text(BIG_STATEMENT_TIMEOUT))
        picked = burning.pick(tx, after=0, now=now, limit=count)
        done = job.burn_chunk(tx, world.rt, picked, now=now)
    if done.burnt.lots != count:
        raise NotBurnt(f"of {count} lots {done.burnt.lots} were burnt at once")


def _one_by_one(world: World, now: datetime, count: int) -> None:
    """What one would write first: a transaction per lot."""
    with psycopg.connect(world.driver_url) as connection:
        due = connection.execute("SELECT id, member_id FROM lot WHERE available > 0 AND expires_at <= %s", (now,))
        for lot_id, member_id in due.fetchall():
            _burn_one(connection, lot_id, member_id, now)
            connection.commit()
            count -= 1
    if count:
        raise NotBurnt(f"{count} lots were not burnt one by one")


def _burn_one(connection: psycopg.Connection, lot_id: int, member_id: int, now: datetime) -> None:
    connection.execute("SELECT id FROM member WHERE id = %s FOR NO KEY UPDATE", (member_id,))
    row = connection.execute(
        "SELECT key, available, expired, rules_version FROM lot WHERE id = %s AND available > 0", (lot_id,)
    ).fetchone()
    assert row is not None
    key, points, expired, version = row
    connection.execute(
        "UPDATE lot SET available = available - %s, expired = expired + %s WHERE id = %s", (points, points, lot_id)
    )
    connection.execute(
        "INSERT INTO transfer (key, member_id, lot_id, move, debit, credit, points, rules_version, occurred_at,"
        " recorded_at, rule) VALUES (%s, %s, %s, 'expire', 'available', 'expired', %s, %s, %s, %s, 'burn')",
        (f"expire:{key}:{expired}", member_id, lot_id, points, version, now, now),
    )
    connection.execute("UPDATE member SET available = available - %s WHERE id = %s", (points, member_id))
    connection.execute(
        "INSERT INTO outbox (kind, target_id, created_at, due_at) VALUES ('crm', %s, %s, %s)"
        " ON CONFLICT ON CONSTRAINT one_row_per_target DO UPDATE SET wanted = outbox.wanted + 1",
        (member_id, now, now),
    )


def _make_members(world: World, plan: Plan) -> None:
    """Members with open lots that do not end soon: the due ones must be found among them."""
    now = world.rt.now()
    with world.rt.db.begin() as tx:
        world.rt.programme_of(tx, world.rt.rules_version)
    for first, last in _steps(plan.members):
        with world.rt.db.begin() as tx:
            tx.execute(sa.text(BIG_STATEMENT_TIMEOUT))
            tx.execute(_MEMBERS, {"first": first, "last": last, "now": now})
    for number in range(OPEN_LOTS_PER_MEMBER):
        _make_lots(world, f"open-{number}", plan.members, now + timedelta(days=30 * (number + 1)), now, spread=1)
    _analyse(world)


def _make_due_lots(world: World, plan: Plan, name: str, count: int, now: datetime) -> None:
    """About a lot for four members, all ending with the same day, all told of."""
    spread = max(1, plan.members // max(1, count))
    _make_lots(world, f"due-{name}", count, now - timedelta(minutes=5), now, spread=spread)
    _analyse(world)


def _make_lots(world: World, name: str, count: int, ends_at: datetime, now: datetime, *, spread: int) -> None:
    for first, last in _steps(count):
        parameters = {
            "name": name,
            "first": first,
            "last": last,
            "spread": spread,
            "ends_at": ends_at,
            "now": now,
            "version": world.rt.rules_version,
        }
        with world.rt.db.begin() as tx:
            tx.execute(sa.text(BIG_STATEMENT_TIMEOUT))
            tx.execute(_LOTS, parameters)


def _steps(count: int) -> Iterator[tuple[int, int]]:
    for first in range(0, count, SEED_STEP):
        yield first, min(first + SEED_STEP, count) - 1


def _analyse(world: World) -> None:
    """As autovacuum would have done by the night."""
    with world.rt.db.autocommit() as connection:
        connection.execute(sa.text("SET statement_timeout = 0"))
        for table in ("member", "lot", "transfer", "outbox"):
            connection.execute(sa.text(f"VACUUM ANALYZE {table}"))
        connection.execute(sa.text("RESET statement_timeout"))


def _memory_mb() -> float:
    """Resident memory of this process now; 0 where there is no /proc to ask."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1_000_000


def _lines(rounds: Sequence[_Round], plan: Plan) -> list[Line]:
    of_loop = median(one.chunks / one.loop for one in rounds)
    lock_ms = max(one.lock_ms for one in rounds)
    return [
        Line(
            key="burn.chunks",
            title=f"{plan.due} lots of {plan.members} members burn",
            value=median(one.chunks for one in rounds),
            unit="lot/s",
            ratio=median(one.chunks / one.at_once for one in rounds),
            against="all in one transaction",
        ),
        Line(
            key="burn.of_loop",
            title="  the same",
            value=median(one.chunks for one in rounds),
            unit="lot/s",
            ratio=of_loop,
            against="a loop lot by lot",
            target=f"target >= {TARGET_OF_LOOP:g} x",
            is_reached=of_loop >= TARGET_OF_LOOP,
        ),
        Line(
            key="burn.lock",
            title="  a member is locked at most",
            value=lock_ms,
            unit="ms",
            target=f"target <= {TARGET_LOCK_MS:g} ms",
            is_reached=lock_ms <= TARGET_LOCK_MS,
        ),
        Line(key="burn.memory", title="  memory gained", value=max(one.gained_mb for one in rounds), unit="MB"),
        Line(key="burn.at_once", title="all in one transaction", value=median(r.at_once for r in rounds), unit="lot/s"),
        Line(key="burn.loop", title="a loop lot by lot", value=median(r.loop for r in rounds), unit="lot/s"),
    ]


_MEMBERS = sa.text(
    """
    INSERT INTO member (contact_ref, name, card_token, card_serial, card_number, created_at)
    SELECT 900000000 + n, 'Покупатель', 'bench-' || n, 'bench-' || n, 'bench-' || n, :now
    FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n
    """
)
# Each lot is opened and made available as the book would have it, so that the whole book can be verified afterwards.
_LOTS = sa.text(
    """
    WITH opened AS (
        INSERT INTO lot (key, member_id, source, rules_version, earned, available, activates_at, expires_at, opened_at,
            notified_at)
        SELECT 'bench:' || :name || ':' || n, m.id, 'accrual', :version, 100, 100, :now, :ends_at, :now, :now
        FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n
        JOIN member m ON m.contact_ref = 900000000 + n * CAST(:spread AS int)
        RETURNING id, key, member_id
    ), written AS (
        INSERT INTO transfer (key, member_id, lot_id, move, debit, credit, points, rules_version, occurred_at,
            recorded_at, rule)
        SELECT key, member_id, id, 'opening', 'opening', 'available', 100, :version, :now, :now, 'opening' FROM opened
    )
    UPDATE member SET available = available + 100 FROM opened WHERE member.id = opened.member_id
    """
)


if __name__ == "__main__":
    raise SystemExit(main())
