"""The ceilings of the database side: the least that a durable event can cost with the driver the product uses.

Runs as processes of its own against tables of its own: `python -m benchmarks.ceilings insert|events N`, the database in
DATABASE_URL. Prints a JSON line with `count` and `seconds`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import psycopg

from benchmarks.bodies import hook_maker

THREADS = 8
WARM_UP = 20
PATIENCE_S = 120.0

TABLES = """
CREATE TABLE IF NOT EXISTS ceiling_inbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, source text NOT NULL, external_id text NOT NULL,
    body bytea NOT NULL, received_at timestamptz NOT NULL DEFAULT now(), UNIQUE (source, external_id));
CREATE TABLE IF NOT EXISTS ceiling_account (id bigint PRIMARY KEY, points integer NOT NULL DEFAULT 0);
TRUNCATE ceiling_inbox, ceiling_account;
INSERT INTO ceiling_account (id) SELECT generate_series(0, 9999);
"""
_INSERT = "INSERT INTO ceiling_inbox (source, external_id, body) VALUES (%s, %s, %s)"
_UPDATE = "UPDATE ceiling_account SET points = points + 1 WHERE id = %s"
ACCOUNTS = 10_000


def prepare(database_url: str) -> None:
    """Empty tables."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(TABLES)


def inserts_per_second(database_url: str, seconds: float) -> float:
    """One-row INSERT and commit in a loop, 8 threads of one process with a connection each."""
    return sum(_run(database_url, ["insert", str(seconds)], processes=1))


def transactions_per_second(database_url: str, count: int) -> float:
    """INSERT, UPDATE, commit: `count` times by two processes with a connection each."""
    return sum(_run(database_url, ["events", str(count // 2)], processes=2))


def _run(database_url: str, arguments: list[str], *, processes: int) -> list[float]:
    """The rates of processes that ran side by side."""
    prepare(database_url)
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.ceilings", *arguments, str(number)],
            stdout=subprocess.PIPE,
            env={**os.environ, "DATABASE_URL": database_url},
        )
        for number in range(processes)
    ]
    lines = [process.communicate(timeout=PATIENCE_S)[0] for process in started]
    if any(process.returncode for process in started):
        raise RuntimeError("a ceiling process failed")
    return [told["count"] / told["seconds"] for told in map(json.loads, lines)]


def _insert_for(seconds: float) -> tuple[int, float]:
    body = hook_maker()
    counts = [0] * THREADS
    start = threading.Barrier(THREADS + 1)
    end = 0.0

    def loop(index: int) -> None:
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
            for number in range(WARM_UP):
                connection.execute(_INSERT, ("warm", f"{index}-{number}", b""))
            start.wait()
            while time.perf_counter() < end:
                connection.execute(_INSERT, ("hook", f"{index}-{counts[index]}", body(counts[index])))
                counts[index] += 1

    threads = [threading.Thread(target=loop, args=(index,)) for index in range(THREADS)]
    for thread in threads:
        thread.start()
    while start.n_waiting < THREADS:
        time.sleep(0.001)
    began = time.perf_counter()
    end = began + seconds
    start.wait()
    for thread in threads:
        thread.join()
    return sum(counts), time.perf_counter() - began


def _transactions(count: int, name: str) -> tuple[int, float]:
    body = hook_maker()
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:

        def event(number: int) -> None:
            connection.execute(_INSERT, (name, str(number), body(number)))
            connection.execute(_UPDATE, ((2 * number + int(name)) % ACCOUNTS,))
            connection.commit()

        for number in range(WARM_UP):
            event(-1 - number)
        began = time.perf_counter()
        for number in range(count):
            event(number)
        return count, time.perf_counter() - began


def main(arguments: list[str]) -> None:
    what, amount, name = arguments
    work: dict[str, Callable[[], tuple[int, float]]] = {
        "insert": lambda: _insert_for(float(amount)),
        "events": lambda: _transactions(int(amount), name),
    }
    count, seconds = work[what]()
    print(json.dumps({"count": count, "seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1:])
