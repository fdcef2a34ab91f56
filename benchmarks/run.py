"""`make bench`: everything is measured against a ceiling and a peer in the same run; prints medians, ratios, targets.

A missed target is printed and is no failure: a speed is not a test. A lie is one: what was acknowledged and not stored,
or done without points, ends with exit code 2.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from benchmarks import acquirers, burn, calls, crm_import, drain, intake, ledger, passes, pushes, sync
from benchmarks.table import Line, render
from benchmarks.world import open_world

PARTS = ("intake", "drain", "ledger", "burn", "passes", "pushes", "acquirers", "sync", "crm_import", "calls")
EXIT_ERRORS = 2


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    intake: intake.Plan
    drain: drain.Plan
    ledger: ledger.Plan
    burn: burn.Plan
    passes_rounds: int
    passes_seconds: float
    pushes: pushes.Plan
    acquirers: acquirers.Plan
    sync: sync.Plan
    crm_import: crm_import.Plan
    calls: calls.Plan


FULL_BURN = burn.Plan(members=700_000, due=200_000)
QUICK_BURN = burn.Plan(members=70_000, due=20_000)
TINY_BURN = burn.Plan(members=40, due=12, sample=4, rounds=1)
SIZES = {
    "full": Size(
        intake.Plan(),
        drain.Plan(),
        ledger.Plan(),
        FULL_BURN,
        passes.DEFAULT_ROUNDS,
        passes.DEFAULT_SECONDS,
        pushes.Plan(),
        acquirers.Plan(),
        sync.Plan(),
        crm_import.Plan(),
        calls.Plan(),
    ),
    "quick": Size(
        intake.Plan(rounds=2, seconds=1.0, open_seconds=3.0),
        drain.Plan(rounds=2, known=500, unknown=150),
        ledger.Plan(members=2_000, rounds=3, seconds=0.6, hot_lots=2_000),
        QUICK_BURN,
        3,
        0.2,
        pushes.Plan(phones=1_000, bare=500, one_by_one=100, rounds=2, passes=100),
        acquirers.Plan(rounds=3, seconds=0.05),
        sync.Plan(members=1_000),
        crm_import.Plan(contacts=2_000, deals=6_000),
        calls.Plan(members=20_000, rounds=2),
    ),
    "tiny": Size(
        intake.Plan(rounds=1, seconds=0.2, open_seconds=0.2, connections=4, rest_seconds=0.0),
        drain.Plan(rounds=1, known=10, unknown=5, warm_up=2),
        ledger.Plan(members=20, rounds=1, seconds=0.1, hot_lots=20),
        TINY_BURN,
        1,
        0.02,
        pushes.Plan(phones=30, bare=20, one_by_one=5, rounds=1, passes=8),
        acquirers.Plan(rounds=1, seconds=0.005),
        sync.Plan(members=60),
        crm_import.Plan(contacts=20, deals=60, per_second=50),
        calls.Plan(members=50, rounds=1, calls=4),
    ),
}
"""Tiny is for the test of the benchmarks: it runs every line and its numbers mean nothing."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="full", help="how much is measured (%(default)s)")
    parser.add_argument(
        "--quick", action="store_const", dest="size", const="quick", help="--size quick: under a minute"
    )
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part only; may be repeated")
    parser.add_argument("--json", action="store_true", help="the same as one JSON object on the last line")
    options = parser.parse_args(argv)
    began = time.monotonic()
    try:
        lines = measure(SIZES[options.size], options.only or PARTS)
    except (
        intake.NotStored,
        drain.NotWorked,
        ledger.BookNotWhole,
        burn.NotBurnt,
        acquirers.NotVerified,
        sync.NotInStep,
        crm_import.NotImported,
        calls.WrongCaller,
        pushes.NotTold,
    ) as failure:
        print(f"WRONG: {failure}", file=sys.stderr)
        return EXIT_ERRORS
    print(render(lines))
    print(f"{os.cpu_count()} cores shared by client, server and database; {time.monotonic() - began:.0f} s. ", end="")
    print("Only ratios may be compared between runs and machines.")
    if options.json:
        print(json.dumps({line.key: asdict(line) for line in lines}, ensure_ascii=False))
    return 0


def measure(size: Size, parts: Sequence[str]) -> list[Line]:
    """Raises NotStored, NotWorked, BookNotWhole, NotBurnt, NotVerified, NotInStep, NotImported, WrongCaller or
    NotTold."""
    lines: list[Line] = []
    if {"intake", "drain", "ledger", "burn"} & set(parts):
        with open_world() as world:
            if "intake" in parts:
                _say("intake")
                lines += intake.measure(world, size.intake)
            if "drain" in parts:
                _say("drain")
                lines += drain.measure(world, size.drain)
            if "ledger" in parts:
                _say("ledger")
                lines += ledger.measure(world, size.ledger)
            if "burn" in parts:  # last: it leaves many rows behind
                _say("burn")
                lines += burn.measure(world, size.burn)
    alone: dict[str, Callable[[], list[Line]]] = {
        "passes": lambda: _passes(size),
        "pushes": lambda: pushes.measure(size.pushes),
        "acquirers": lambda: acquirers.measure(size.acquirers),
        "sync": lambda: sync.measure(size.sync),
        "crm_import": lambda: crm_import.measure(size.crm_import),
        "calls": lambda: calls.measure(size.calls),
    }
    for part, measured in alone.items():
        if part in parts:
            _say(part)
            lines += measured()
    return lines


def _passes(size: Size) -> list[Line]:
    found = passes.measure(rounds=size.passes_rounds, seconds=size.passes_seconds)
    return [
        _pass_line("passes.of_rsa", "signed pass", found.ours, found.of_rsa, "bare RSA-2048", passes.TARGET_OF_RSA),
        _pass_line("passes.of_peer", "  the same", found.ours, found.of_peer, "py-pkpass", passes.TARGET_OF_PEER),
        Line(key="passes.rsa", title="bare RSA-2048 signature", value=found.rsa, unit="/s"),
        Line(key="passes.peer", title="pass by py-pkpass", value=found.peer, unit="/s"),
    ]


def _pass_line(key: str, title: str, value: float, ratio: float, against: str, target: float) -> Line:
    return Line(
        key=key,
        title=title,
        value=value,
        unit="/s",
        ratio=ratio,
        against=against,
        target=f"target >= {target:g} x",
        is_reached=ratio >= target,
    )


def _say(part: str) -> None:
    print(f"measuring {part}…", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
