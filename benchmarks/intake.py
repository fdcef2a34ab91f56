"""Durable intake: amoCRM hooks and T-Bank callbacks through the real web process, each committed before its answer.

Against a bare Flask «ok» on the same server, and a one-row INSERT and commit with the same driver; by turns, in the
same minute. Then at a fixed rate, with latency from the instant a request was due. Every 2xx must be a row.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import sqlalchemy as sa

from benchmarks import ceilings
from benchmarks.load import Answered, Load, run_load
from benchmarks.processes import cpu_seconds
from benchmarks.table import Line
from benchmarks.world import WEB_THREADS, World, running
from cli.children import Child

TARGET_OF_BARE = 0.5
TARGET_P99_MS = 50.0
OFFERED_PER_S = 500
FIRST_NUMBER = 100_000_000
NUMBERS_PER_LOAD = 1_000_000


class NotStored(Exception):
    """The server acknowledged what is not in the database, or refused what it should take."""


@dataclass(frozen=True)
class Plan:
    """How long and how hard. `open_seconds`: of the open loop; `rest_seconds`: between loads."""

    rounds: int = 3
    seconds: float = 3.0
    open_seconds: float = 8.0
    connections: int = 32
    rest_seconds: float = 0.3


@dataclass(frozen=True)
class _Part:
    """One thing under load: who serves it, and which requests."""

    name: str
    server: Child
    path: str
    kind: str


def measure(world: World, plan: Plan) -> list[Line]:
    """Starts the web process and the bare one, loads them by turns. Raises NotStored."""
    web, bare = world.product("web"), world.helper("bare", str(WEB_THREADS))
    with running(web, bare):
        hook = _Part("hook", web, world.rt.hook_path(), "hook")
        callback = _Part("callback", web, "/webhooks/payments/tbank", "callback")
        parts = [hook, callback, _Part("bare", bare, "/ok", "hook")]
        numbers = itertools.count(FIRST_NUMBER, NUMBERS_PER_LOAD)
        for part in parts:
            _load(world, part, plan, numbers, seconds=plan.seconds / 4)
        rates: dict[str, list[float]] = {"hook": [], "callback": [], "bare": [], "insert": []}
        cpu: dict[str, list[float]] = {part.name: [] for part in parts}
        for turn in range(plan.rounds):
            for part in parts if turn % 2 == 0 else reversed(parts):
                spent_before = cpu_seconds(part.server.pid)
                answered = _load(world, part, plan, numbers, seconds=plan.seconds)
                rates[part.name].append(answered.per_second)
                cpu[part.name].append((cpu_seconds(part.server.pid) - spent_before) / answered.accepted * 1e6)
            rates["insert"].append(ceilings.inserts_per_second(world.driver_url, plan.seconds))
        opened = {
            part.name: _load(world, part, plan, numbers, seconds=plan.open_seconds, per_second=OFFERED_PER_S)
            for part in (hook, callback)
        }
    return [*_closed_lines(rates, cpu), *(line for name, got in opened.items() for line in _open_lines(name, got))]


def _load(
    world: World,
    part: _Part,
    plan: Plan,
    numbers: Iterator[int],
    *,
    seconds: float,
    per_second: float | None = None,
) -> Answered:
    load = Load(
        port=int(part.server.ready["port"]),
        path=part.path,
        kind=part.kind,
        first=next(numbers),
        connections=plan.connections,
        seconds=seconds,
        per_second=per_second,
    )
    time.sleep(plan.rest_seconds)
    with _every_answer_is_a_row(world, part) as answers:
        answers.append(run_load(load))
    return answers[0]


@contextmanager
def _every_answer_is_a_row(world: World, part: _Part) -> Iterator[list[Answered]]:
    before = _rows(world)
    answers: list[Answered] = []
    yield answers
    answered, stored = answers[0], _rows(world) - before
    wanted = 0 if part.name == "bare" else answered.accepted
    if stored != wanted or answered.accepted != sum(answered.statuses.values()) or answered.broken:
        raise NotStored(f"{part.name}: {answered.statuses} answered, {answered.broken} broken, {stored} rows stored")


def _rows(world: World) -> int:
    with world.rt.db.begin() as tx:
        return int(tx.execute(sa.text("SELECT count(*) FROM inbox")).scalar_one())


def _closed_lines(rates: dict[str, list[float]], cpu: dict[str, list[float]]) -> list[Line]:
    titles = {"hook": "amoCRM hook, durable", "callback": "T-Bank callback, durable"}
    lines = []
    for name, title in titles.items():
        of_bare = median(ours / bare for ours, bare in zip(rates[name], rates["bare"], strict=True))
        of_insert = median(ours / insert for ours, insert in zip(rates[name], rates["insert"], strict=True))
        lines += [
            Line(
                key=f"intake.{name}",
                title=title,
                value=median(rates[name]),
                unit="req/s",
                ratio=of_bare,
                against="bare Flask",
                target=f"target >= {TARGET_OF_BARE:g} x",
                is_reached=of_bare >= TARGET_OF_BARE,
            ),
            Line(
                key=f"intake.{name}.of_insert",
                title="  the same",
                value=median(rates[name]),
                unit="req/s",
                ratio=of_insert,
                against="INSERT + commit",
            ),
            Line(
                key=f"intake.{name}.cpu",
                title="  CPU of the web process",
                value=median(cpu[name]),
                unit="us",
                ratio=median(ours / bare for ours, bare in zip(cpu[name], cpu["bare"], strict=True)),
                against="bare Flask's",
            ),
        ]
    return [
        *lines,
        Line(key="intake.bare", title="bare Flask, same server", value=median(rates["bare"]), unit="req/s"),
        Line(key="intake.insert", title="one-row INSERT + commit", value=median(rates["insert"]), unit="row/s"),
    ]


def _open_lines(name: str, answered: Answered) -> list[Line]:
    title = f"{name} at {OFFERED_PER_S}/s offered"
    unanswered = answered.unanswered
    return [
        Line(key=f"intake.{name}.open_p50", title=f"{title}, p50", value=answered.p50_ms, unit="ms"),
        Line(
            key=f"intake.{name}.open_p99",
            title=f"{title}, p99",
            value=answered.p99_ms,
            unit="ms",
            target=f"target < {TARGET_P99_MS:g} ms" + (f", {unanswered} unanswered" if unanswered else ""),
            is_reached=answered.p99_ms < TARGET_P99_MS and not unanswered,
        ),
        Line(key=f"intake.{name}.acked", title="  acknowledged = stored", value=answered.accepted, unit="rows"),
    ]
