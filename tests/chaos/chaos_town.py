"""A whole town of real processes that a chaos test may hurt: servers, simulators, the product, and who restarts them.

Everything is driven from one thread: a child dies with the thread that started it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
import requests
import sqlalchemy as sa

from cli.children import Child
from cli.demo_world import World
from cli.services import Services
from flows import connect, health

CALL_TIMEOUT_S = 30.0
SMALL_SKIP_S = 6.0


@dataclass
class Town:
    """`kills` and `faults` count what was done to it."""

    world: World
    services: Services
    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    late_writes_until: float = 0.0
    session: requests.Session = field(default_factory=requests.Session)

    def supervise(self) -> None:
        """Starts again whatever of ours has died, as systemd would."""
        for child in self.world.children:
            if not child.is_alive:
                child.stop()
                child.start()

    def child(self, name: str) -> Child:
        return next(child for child in self.world.children if child.name == name)

    def kill(self, name: str) -> None:
        """SIGKILL of one of our processes, its forked job left alive."""
        self.kills[name] += 1
        _signal([self.child(name).pid], signal.SIGKILL)

    def kill_with_job(self, name: str) -> None:
        """SIGKILL of a worker and of the job it has forked."""
        self.kills[f"{name} + job"] += 1
        pid = self.child(name).pid
        _signal([pid, *children_of(pid)], signal.SIGKILL)

    def kill_job(self, name: str) -> None:
        """SIGKILL of the forked job only; nothing happens if there is none."""
        jobs = children_of(self.child(name).pid)
        self.kills[f"{name}'s job"] += len(jobs)
        _signal(jobs, signal.SIGKILL)

    def freeze(self, name: str, seconds: float, *, skipped_s: float) -> None:
        """A worker and its job stand still while the others' clock runs on, then wake as if nothing had been."""
        self.kills[f"freeze {name}"] += 1
        pid = self.child(name).pid
        pids = [pid, *children_of(pid)]
        _signal(pids, signal.SIGSTOP)
        self.skip(skipped_s)
        self.wait(seconds)
        _signal(pids, signal.SIGCONT)

    def kill_postgres(self, down_s: float) -> None:
        assert self.services.postgres is not None
        self.kills["postgres"] += 1
        self.services.postgres.kill()
        self.wait(down_s)
        self.services.postgres.start()
        self.world.rt.db.close()  # the connections of this test's own process died with the server

    def kill_valkey(self, down_s: float) -> None:
        assert self.services.valkey is not None
        self.kills["valkey"] += 1
        self.services.valkey.kill()
        self.wait(down_s)
        self.services.valkey.start()

    def flush_valkey(self) -> None:
        self.kills["flushall"] += 1
        with redis.Redis.from_url(self.services.redis_url) as client:
            client.flushall()

    def wait(self, seconds: float) -> None:
        """Lets time pass under supervision."""
        deadline = time.monotonic() + seconds
        while True:
            self.supervise()
            if time.monotonic() >= deadline:
                return
            time.sleep(min(0.05, max(0.0, deadline - time.monotonic())))

    def skip(self, seconds: float) -> None:
        """Moves everybody's clock. While lost writes may still land it is moved little: they run by the real clock,
        and we rightly rely on knowing how late they can be."""
        if time.monotonic() < self.late_writes_until:
            seconds = min(seconds, SMALL_SKIP_S)
        self.crm("POST", "/sim/clock", {"skip_s": seconds})

    def open_circuit_again(self) -> None:
        """Five minutes of a closed circuit are over in seconds."""
        with self.world.rt.db.begin() as tx:
            tx.execute(sa.text("UPDATE rate_gate SET closed_until = NULL"))

    def connect_again_if_asked(self) -> None:
        """What the owner does when the product says that it has lost its tokens."""
        if health.facts(self.world.rt).crm_state == "needs_reauth":
            self.faults["connected again"] += 1
            connect.exchange(self.world.rt, self.crm("POST", "/sim/grant", {})["code"])

    def crm(self, method: str, path: str, body: Any = None) -> Any:
        return self._call(method, self.world.urls["crm"] + path, body)

    def bank(self, method: str, path: str, body: Any = None) -> Any:
        return self._call(method, self.world.urls["bank"] + path, body)

    def rows(self, query: str) -> list[Any]:
        with self.world.rt.db.begin() as tx:
            return list(tx.execute(sa.text(query)).all())

    def get(self, path: str) -> requests.Response:
        """A page of the product. After 503 the buyer reloads once: our connections may have died with the database."""
        url = self.world.urls["web"] + path
        reply = self.session.get(url, timeout=CALL_TIMEOUT_S)
        return reply if reply.status_code != 503 else self.session.get(url, timeout=CALL_TIMEOUT_S)

    def _call(self, method: str, url: str, body: Any) -> Any:
        reply = self.session.request(method, url, json=body, timeout=CALL_TIMEOUT_S)
        assert reply.status_code < 300, f"{method} {url}: {reply.status_code} {reply.text[:300]}"
        return reply.json()

    def until(self, look: Callable[[], bool], *, patience_s: float) -> bool:
        """Waits under supervision. False: in vain."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if look():
                return True
            self.wait(0.25)
        return look()

    @property
    def logs(self) -> Path:
        return self.world.folder / "logs"


def children_of(pid: int) -> list[int]:
    """The processes that `pid` has forked and that still live."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if int(parent) == pid and state != "Z":
                found.append(int(entry.name))
    return found


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
