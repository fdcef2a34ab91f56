"""Outgoing notifications of both servers: a queue on the virtual clock, sender threads, retries, a log of replies.

Owns when something is sent and what came back. What a body says, which reply counts and how often to repeat come
from the caller: the delivery itself and its Policy.
"""

from __future__ import annotations

import heapq
import http.client
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from simulator.clock import VirtualClock
from simulator.store import Record, Store

TABLE = "deliveries"
SENDERS = 8
TICK_S = 0.03
QUICK_FIRST_S = 1.0
QUICK_EVERY_S = 2.0
QUICK_TRIES = 30
KEEP_ATTEMPTS = 40
KEEP_FINISHED = 3000
REPLY_CHARS = 400
STATUS_NO_CONNECTION = 0
STATUS_TIMEOUT = 499


@dataclass(frozen=True)
class Policy:
    """`gap_s(tries, status)` is the pause after that many failed tries, None means give up.

    `sign(delivery, now)` makes the headers that every try has anew.
    """

    timeout_s: float
    accepts: Callable[[int, str], bool]
    gap_s: Callable[[int, int], float | None]
    sign: Callable[[Record, float], dict[str, str]] | None = None


class Mailer:
    """`wanted` is asked before every try; `tried(delivery, ok, quick)` is told after it (under the store's lock)."""

    def __init__(self, store: Store, clock: VirtualClock, policies: dict[str, Policy]) -> None:
        self._store = store
        self._clock = clock
        self._policies = policies
        self._heap: list[tuple[float, int]] = []
        self._ready: queue.SimpleQueue[tuple[float, int]] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._in_hand = 0
        self._laid_down = threading.Condition(store.lock)
        self.wanted: Callable[[Record], bool] = lambda _delivery: True
        self.tried: Callable[[Record, bool, bool], None] = lambda _delivery, _ok, _quick: None

    def start(self) -> None:
        """Takes up what a former run left unsent and starts the threads."""
        with self._store.lock:
            for delivery in self._store.table(TABLE).values():
                if delivery["state"] == "waiting":
                    heapq.heappush(self._heap, (delivery["due_at"], delivery["id"]))
        threading.Thread(target=self._dispatch, name="dispatcher", daemon=True).start()
        for number in range(SENDERS):
            threading.Thread(target=self._work, name=f"sender-{number}", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()

    def send(self, delivery: Record, *, lag_s: float, quick: bool, lost: bool = False) -> Record:
        """Queues `{policy, url, body, content_type, method?, headers?, ack?, ...}`.

        `ack` is the only reply that counts. `quick` adds retries every 2 s for a minute; what is `lost` is only noted.
        """
        with self._store.lock:
            number = self._store.next_id(TABLE, 1)
            now = self._clock.now()
            delivery.update(
                id=number,
                created_at=now,
                due_at=now + lag_s,
                state="lost" if lost else "waiting",
                attempts=[],
                tries=0,
                quick_left=QUICK_TRIES if quick else 0,
            )
            self._store.put(TABLE, number, delivery)
            if not lost:
                heapq.heappush(self._heap, (delivery["due_at"], number))
            self._trim()
        return delivery

    def waiting(self) -> int:
        """How many deliveries are not finished."""
        with self._store.lock:
            return sum(1 for delivery in self._store.table(TABLE).values() if delivery["state"] == "waiting")

    def settle(self, within_s: float) -> None:
        """Waits until no sender has a post in hand, or the time is up. Does not hold the lock meanwhile."""
        with self._laid_down:
            self._laid_down.wait_for(lambda: self._in_hand == 0, within_s)

    def _dispatch(self) -> None:
        while not self._stopping.wait(TICK_S):
            with self._store.lock:
                now = self._clock.now()
                while self._heap and self._heap[0][0] <= now:
                    self._ready.put(heapq.heappop(self._heap))

    def _work(self) -> None:
        session = requests.Session()
        session.trust_env = False
        while True:
            due_at, number = self._ready.get()
            with self._store.lock:
                delivery = self._store.table(TABLE).get(number)
                # A reset starts numbers anew: an entry of the former world does not fit by its time.
                if delivery is None or delivery["due_at"] != due_at or not self._still_wanted(delivery):
                    continue
                sign = self._policies[delivery["policy"]].sign
                if sign is not None:
                    delivery["headers"] = {**delivery.get("headers", {}), **sign(delivery, self._clock.now())}
                job = dict(delivery)
                self._in_hand += 1
            status, reply, took_ms = self._post(session, job)
            with self._laid_down:
                self._in_hand -= 1
                self._laid_down.notify_all()
                if self._store.table(TABLE).get(number) is delivery:
                    self._note(delivery, status, reply, took_ms)

    def _still_wanted(self, delivery: Record) -> bool:
        if self.wanted(delivery):
            return True
        delivery["state"] = "cancelled"
        self._store.touch(TABLE, delivery["id"])
        return False

    def _post(self, session: requests.Session, job: Record) -> tuple[int, str, int]:
        started = time.monotonic()
        timeout_s = self._policies[job["policy"]].timeout_s
        try:
            if job.get("method") == "GET":
                status, reply = _get(job["url"], job.get("headers", {}), timeout_s)
            else:
                headers = {"Content-Type": job["content_type"], **job.get("headers", {})}
                answer = session.post(
                    job["url"], data=job["body"].encode(), headers=headers, timeout=timeout_s, allow_redirects=False
                )
                status, reply = answer.status_code, answer.text
        except (requests.Timeout, TimeoutError):
            status, reply = STATUS_TIMEOUT, "нет ответа вовремя"
        except (requests.RequestException, OSError, http.client.HTTPException) as error:
            status, reply = STATUS_NO_CONNECTION, f"нет связи: {type(error).__name__}"
        return status, reply[:REPLY_CHARS], int((time.monotonic() - started) * 1000)

    def _note(self, delivery: Record, status: int, reply: str, took_ms: int) -> None:
        policy = self._policies[delivery["policy"]]
        ok = policy.accepts(status, reply) and delivery.get("ack") in (None, reply)
        quick = not ok and delivery["quick_left"] > 0
        attempt = {"at": self._clock.now(), "status": status, "reply": reply, "took_ms": took_ms, "accepted": ok}
        delivery["attempts"] = [*delivery["attempts"], attempt][-KEEP_ATTEMPTS:]
        if ok:
            delivery["state"] = "accepted"
        elif quick:
            self._again(delivery, QUICK_FIRST_S if delivery["quick_left"] == QUICK_TRIES else QUICK_EVERY_S)
            delivery["quick_left"] -= 1
        else:
            delivery["tries"] += 1
            self._again(delivery, policy.gap_s(delivery["tries"], status))
        self._store.touch(TABLE, delivery["id"])
        self.tried(delivery, ok, quick)

    def _again(self, delivery: Record, gap_s: float | None) -> None:
        if gap_s is None:
            delivery["state"] = "gave_up"
            return
        delivery["due_at"] = self._clock.now() + gap_s
        heapq.heappush(self._heap, (delivery["due_at"], delivery["id"]))

    def _trim(self) -> None:
        rows = self._store.table(TABLE)
        if len(rows) <= KEEP_FINISHED * 2:
            return
        finished = [number for number, row in rows.items() if row["state"] != "waiting"]
        for number in finished[:-KEEP_FINISHED]:
            self._store.remove(TABLE, number)


def _get(url: str, headers: dict[str, str], timeout_s: float) -> tuple[int, str]:
    """Without requests, which would rewrite the escapes of a query that is signed as it stands."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}", headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


def log_of(store: Store, *, limit: int, **only: Any) -> list[Record]:
    """The newest deliveries first, of those whose keys equal `only`."""
    with store.lock:
        rows = [row for row in store.table(TABLE).values() if all(row.get(key) == value for key, value in only.items())]
        return [{**row, "attempts": list(row["attempts"])} for row in rows[-limit:]][::-1]
