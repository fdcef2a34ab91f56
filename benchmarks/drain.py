"""The worker side: callbacks that lie in the inbox become points, by two real worker processes woken through Valkey.

Known deals: order and member are there, an event is one transaction. Unknown deals: the deal and its contact are read
back from the simulated CRM, the member is enrolled. Every event is a first payment: welcome and base points, the
dearest kind. Against INSERT + UPDATE + commit by two processes with the same driver.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

import redis
import requests
import sqlalchemy as sa

from benchmarks import ceilings
from benchmarks.bodies import callback_maker
from benchmarks.table import Line
from benchmarks.world import World, running
from flows import queue
from storage import inbox, members, orders

TARGET_PER_S = 200.0
FIRST_DEAL = 500_000_000
WORKERS = ("worker inbox 1", "worker inbox 2")
SEEDING_THREADS = 4
POLL_S = 0.02
PATIENCE_S = 120.0


class NotWorked(Exception):
    """Rows were not done in time, or were done without points."""


@dataclass(frozen=True)
class Plan:
    """How many events a round works, of either kind."""

    rounds: int = 3
    known: int = 2000
    unknown: int = 500
    warm_up: int = 60


def measure(world: World, plan: Plan) -> list[Line]:
    """Starts two workers, gives them batches of events. Raises NotWorked."""
    numbers = itertools.count(FIRST_DEAL)
    rates: dict[str, list[float]] = {"known": [], "unknown": [], "ceiling": []}
    with world.rt.db.begin() as tx:
        tx.execute(sa.text("TRUNCATE inbox"))
    with running(*(world.product(name) for name in WORKERS)):
        _wait(lambda: _listening(world) == len(WORKERS), "the workers did not come up")
        _known(world, plan.warm_up, numbers)
        _unknown(world, plan.warm_up)
        for _ in range(plan.rounds):
            rates["known"].append(_known(world, plan.known, numbers))
            rates["ceiling"].append(ceilings.transactions_per_second(world.driver_url, plan.known))
            rates["unknown"].append(_unknown(world, plan.unknown))
    return _lines(rates)


def _known(world: World, count: int, numbers: Iterator[int]) -> float:
    """Events per second for deals whose members are enrolled already."""
    deal_ids = list(itertools.islice(numbers, count))
    now = world.rt.now()
    with world.rt.db.begin() as tx:
        for deal_id in deal_ids:
            member, _ = members.enrol(tx, contact_ref=deal_id, name="Анна Петрова", card=world.rt.new_card(), now=now)
            order = orders.open_order(tx, deal_id, now=now)
            orders.save_deal(tx, order.id, member_id=member.id, price_kopecks=0, is_stage_paid=False)
    return _drained(world, deal_ids, rows_per_event=1)


def _unknown(world: World, count: int) -> float:
    """Events per second for deals that only the CRM knows."""
    with requests.Session() as session, ThreadPoolExecutor(SEEDING_THREADS) as pool:

        def make(number: int) -> int:
            contact = {"name": f"Покупатель {number}", "phone": f"+79{number:09d}"}
            body = {"name": "Заказ", "price_roubles": 4_990, "contact": contact}
            reply = session.post(f"{world.crm_url}/sim/deals", json=body, timeout=10)
            reply.raise_for_status()
            return int(reply.json()["deal_id"])

        first = time.time_ns() // 1000 % 900_000_000
        deal_ids = list(pool.map(make, range(first, first + count)))
    return _drained(world, deal_ids, rows_per_event=2)


def _drained(world: World, deal_ids: list[int], *, rows_per_event: int) -> float:
    """Puts a paid callback for each deal into the inbox, rings, and waits until all of it is points."""
    body, now, rt = callback_maker(), world.rt.now(), world.rt
    done_before, lots_before = _done(world), _lots(world)
    with rt.db.begin() as tx:
        for deal_id in deal_ids:
            inbox.add(tx, source="tbank", external_id=f"{deal_id}", body=body(deal_id), is_hint=False, now=now)
    began = time.perf_counter()
    queue.ring_now(world.services.redis_url, "inbox", 0)
    wanted = done_before + len(deal_ids) * rows_per_event
    _wait(lambda: _done(world) >= wanted, f"fewer than {wanted} inbox rows were done")
    seconds = time.perf_counter() - began
    if _lots(world) - lots_before != len(deal_ids):
        raise NotWorked(f"{len(deal_ids)} payments made {_lots(world) - lots_before} accruals")
    return len(deal_ids) / seconds


def _wait(is_done: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_done():
        if time.monotonic() > deadline:
            raise NotWorked(otherwise)
        time.sleep(POLL_S)


def _done(world: World) -> int:
    return _count(world, "SELECT count(*) FROM inbox WHERE state = 'done'")


def _lots(world: World) -> int:
    return _count(world, "SELECT count(*) FROM lot WHERE source = 'accrual'")


def _count(world: World, statement: str) -> int:
    with world.rt.db.begin() as tx:
        return int(tx.execute(sa.text(statement)).scalar_one())


def _listening(world: World) -> int:
    with redis.Redis.from_url(world.services.redis_url) as connection:
        return int(connection.scard(f"rq:workers:{queue.QUEUE_PREFIX}inbox"))


def _lines(rates: dict[str, list[float]]) -> list[Line]:
    titles = {"known": "callback of a known deal", "unknown": "the same, deal read from the CRM"}
    lines = [
        Line(
            key=f"drain.{name}",
            title=title,
            value=median(rates[name]),
            unit="ev/s",
            ratio=median(ours / ceiling for ours, ceiling in zip(rates[name], rates["ceiling"], strict=True)),
            against="INSERT+UPDATE+commit",
            target=f"target >= {TARGET_PER_S:g}/s",
            is_reached=median(rates[name]) >= TARGET_PER_S,
        )
        for name, title in titles.items()
    ]
    return [
        *lines,
        Line(key="drain.ceiling", title="INSERT + UPDATE + commit x 2", value=median(rates["ceiling"]), unit="tx/s"),
    ]
