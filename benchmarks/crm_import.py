"""The first import of a shop from amoCRM: reading at the gate's speed, writing at ours, memory that stays where it was.

The ceiling of reading is the gate: as many pages a second as amoCRM allows, each as full as it can be. Everything the
product does besides (parsing, the database) must fit between two turns. Memory is this process's own, looked at after a
tenth of the way and at the end.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import requests
import sqlalchemy as sa

from benchmarks.table import Line, render
from benchmarks.world import World, open_world
from config.settings import load_settings
from connector.amocrm.api import PAGE_ROWS, READ_BATCH
from flows import connect, crm_import
from flows.crm_import import Asked, Step
from flows.runtime import Runtime, build_runtime, prepare
from storage import verify

TARGET_OF_GATE = 0.9
TARGET_OWN_MS = 100.0
TARGET_GAINED_MB = 25.0
BULK_TIMEOUT_S = 600.0


class NotImported(Exception):
    """People or purchases are missing, were made twice, or points have moved."""


@dataclass(frozen=True)
class Plan:
    """How large the shop is, and how often amoCRM may be asked a second."""

    contacts: int = 100_000
    deals: int = 300_000
    per_second: float = 7.0


@dataclass
class _Watch:
    """What was seen on the way: memory in MB by the share of the work done, and the pieces."""

    work: int
    done: int = 0
    pieces: int = 0
    memory: list[tuple[float, float]] = field(default_factory=list)

    def walk(self, steps: Iterator[Step]) -> float:
        """Does the steps. Returns the seconds they took."""
        began, phase, before = time.perf_counter(), "", 0
        for step in steps:
            if step.phase != phase:
                phase, before = step.phase, 0
            self.done += step.done - before
            before = step.done
            self.pieces += 1
            self.memory.append((self.done / self.work, _memory_mb()))
        return time.perf_counter() - began

    def gained_mb(self) -> float:
        """From a tenth of the way to the most that was used after it."""
        after_a_tenth = [mb for share, mb in self.memory if share >= 0.1]
        return max(after_a_tenth) - after_a_tenth[0] if after_a_tenth else 0.0


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crm_import", description=__doc__)
    parser.add_argument("--contacts", type=int, default=Plan.contacts, help="contacts (%(default)s)")
    parser.add_argument("--deals", type=int, default=Plan.deals, help="won deals (%(default)s)")
    parser.add_argument("--per-second", type=float, default=Plan.per_second, help="requests (%(default)s)")
    options = parser.parse_args(argv)
    print(render(measure(Plan(options.contacts, options.deals, options.per_second))))
    return 0


def measure(plan: Plan) -> list[Line]:
    """A world of its own, for the CRM's many rows. Raises NotImported."""
    with open_world() as world:
        return _imported(world, plan)


def _imported(world: World, plan: Plan) -> list[Line]:
    """Makes the shop, imports it, looks whether all is there."""
    connect.set_up(world.rt)
    body = {"contacts": plan.contacts, "deals": plan.deals}
    requests.post(f"{world.crm_url}/sim/bulk", json=body, timeout=BULK_TIMEOUT_S).raise_for_status()
    environment = {**world.environment, "CRM_REQUESTS_PER_SECOND": f"{plan.per_second:g}"}
    rt = build_runtime(load_settings(environment, dotenv=None))
    prepare(rt)
    try:
        return _measured(rt, plan)
    finally:
        rt.db.close()


def _measured(rt: Runtime, plan: Plan) -> list[Line]:
    one = crm_import.begin(rt, Asked())
    watch = _Watch(work=plan.contacts * 2 + plan.deals)
    cpu = time.process_time()
    read_s = watch.walk(one.read())
    read_cpu_s, pages = time.process_time() - cpu, watch.pieces
    began = time.perf_counter()
    found = one.preview()
    preview_s = time.perf_counter() - began
    write_s = watch.walk(one.write())
    one.finish()
    _look(rt, plan, found.totals.deals, found.totals.contacts)
    people = found.totals.contacts
    asked = -(-plan.deals // PAGE_ROWS) + -(-people // READ_BATCH)
    rows, gate_s = plan.deals + people, asked / plan.per_second
    gained = watch.gained_mb()
    own_ms = read_cpu_s / max(1, pages) * 1000
    return [
        Line(
            key="crm_import.read",
            title="import: rows read from the CRM",
            value=rows / read_s,
            unit="/s",
            ratio=gate_s / read_s,
            against=f"the gate, {plan.per_second:g} requests/s",
            target=f"target >= {TARGET_OF_GATE:g} x",
            is_reached=gate_s / read_s >= TARGET_OF_GATE,
        ),
        Line(
            key="crm_import.own",
            title="  our own work per page",
            value=own_ms,
            unit="ms",
            target=f"target <= {TARGET_OWN_MS:g} ms",
            is_reached=own_ms <= TARGET_OWN_MS,
        ),
        Line(key="crm_import.preview", title="import: what will change", value=preview_s, unit="s"),
        Line(key="crm_import.write", title="import: rows written", value=rows / write_s, unit="/s"),
        Line(
            key="crm_import.gained",
            title="  memory gained after the first tenth",
            value=gained,
            unit="MB",
            target=f"target <= {TARGET_GAINED_MB:g} MB",
            is_reached=gained <= TARGET_GAINED_MB,
        ),
        Line(key="crm_import.memory", title="  memory at the end", value=_memory_mb(), unit="MB"),
        Line(key="crm_import.whole", title="  reading and writing together", value=read_s + write_s, unit="s"),
    ]


def _look(rt: Runtime, plan: Plan, deals: int, people: int) -> None:
    with rt.db.begin() as tx:
        made = tx.execute(sa.text("SELECT count(*) FROM orders WHERE is_kept AND earn_cap = 0")).scalar_one()
        members = tx.execute(sa.text("SELECT count(*) FROM member")).scalar_one()
    with rt.db.begin() as tx:
        verdict = verify.verify(tx)
    if (made, deals) != (plan.deals, plan.deals) or members < people:
        raise NotImported(f"of {plan.deals} deals {made} became orders, of {people} people {members} members")
    if not verdict.is_whole:
        raise NotImported("; ".join(verdict.faults[:3]))


def _memory_mb() -> float:
    """What this process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


if __name__ == "__main__":
    raise SystemExit(main())
