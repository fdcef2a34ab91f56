"""The load client: a process of its own, one thread, raw sockets, so that it takes little of the machine it measures.

Closed loop: each connection posts again as soon as it is answered. Open loop: requests are due at a fixed rate whatever
the server does, and latency counts from the instant a request was due, so waiting in line is not hidden.
`python -m benchmarks.load '{json of Load}'` prints the JSON of Answered.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field

from benchmarks.bodies import CONTENT_TYPES, MAKERS

LINGER_S = 10.0
"""How long answers are waited for after the last request."""

READ_BYTES = 65_536
LONGEST_SLEEP_S = 0.05
PATIENCE_S = 120.0


@dataclass(frozen=True)
class Load:
    """`per_second` None is the closed loop. `first` is the number of the first body: no two loads may share one."""

    port: int
    path: str
    kind: str
    first: int
    connections: int
    seconds: float
    per_second: float | None = None


@dataclass(frozen=True)
class Answered:
    """`statuses`: answers by HTTP status; `broken`: connections that ended without an answer."""

    seconds: float
    statuses: dict[int, int]
    broken: int
    unanswered: int
    p50_ms: float
    p99_ms: float

    @property
    def accepted(self) -> int:
        return sum(count for status, count in self.statuses.items() if 200 <= status < 300)

    @property
    def per_second(self) -> float:
        return self.accepted / self.seconds


@dataclass
class _Connection:
    """Opened when it is needed: a server may close after each answer, and the next request then pays for that."""

    socket: socket.socket | None = None
    due_at: float = 0.0
    received: bytes = b""

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
        self.socket = None


@dataclass
class _Tally:
    statuses: Counter[int] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    broken: int = 0


def run_load(load: Load) -> Answered:
    """Runs the client as a process and waits for it."""
    command = [sys.executable, "-m", "benchmarks.load", json.dumps(asdict(load))]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=load.seconds + PATIENCE_S)
    found = json.loads(done.stdout)
    found["statuses"] = {int(status): count for status, count in found["statuses"].items()}
    return Answered(**found)


def post_all(load: Load) -> Answered:
    """The client itself."""
    requests, tally = _requests(load), _Tally()
    idle = [_Connection() for _ in range(load.connections)]
    busy: dict[int, _Connection] = {}
    poll = select.epoll()
    began = time.perf_counter()
    end = began + load.seconds
    arrivals = _arrivals(began, load)
    waiting: deque[float] = deque()
    next_at = next(arrivals)
    while True:
        now = time.perf_counter()
        if load.per_second is None and now < end:
            waiting.extend([now] * len(idle))
        while next_at <= now:
            waiting.append(next_at)
            next_at = next(arrivals)
        while waiting and idle:
            connection = idle.pop()
            connection.due_at = waiting.popleft()
            busy[_send(connection, next(requests), load.port, poll)] = connection
        if now > end + LINGER_S or (now > end and not busy and not waiting):
            return _answered(tally, now - began, len(busy) + len(waiting))
        # An epoll alone rounds up to whole milliseconds, which would make open-loop requests late.
        select.select([poll.fileno()], [], [], max(0.0, min(next_at, now + LONGEST_SLEEP_S) - now))
        for descriptor, _ in poll.poll(0):
            if descriptor not in busy:  # the server closed a connection that was kept
                continue
            if _receive(busy[descriptor], tally):
                idle.append(busy.pop(descriptor))


def _send(connection: _Connection, request: bytes, port: int, poll: select.epoll) -> int:
    """Connects if need be and sends. Returns the descriptor."""
    if connection.socket is None:
        connection.socket = socket.create_connection(("127.0.0.1", port), timeout=LINGER_S)
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poll.register(connection.socket, select.EPOLLIN)
    connection.socket.sendall(request)
    return connection.socket.fileno()


def _requests(load: Load) -> Iterator[bytes]:
    make: Callable[[int], bytes] = MAKERS[load.kind]()
    head = (
        f"POST {load.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {CONTENT_TYPES[load.kind]}\r\nContent-Length: "
    ).encode()
    number = load.first
    while True:
        body = make(number)
        yield b"%b%d\r\n\r\n%b" % (head, len(body), body)
        number += 1


def _arrivals(began: float, load: Load) -> Iterator[float]:
    """When requests are due: evenly spaced, and never again after the end; never in the closed loop."""
    if load.per_second is not None:
        for number in range(round(load.seconds * load.per_second)):
            yield began + number / load.per_second
    while True:
        yield float("inf")


def _receive(connection: _Connection, tally: _Tally) -> bool:
    """Reads what came. True: this request is over, answered or not."""
    assert connection.socket is not None
    try:
        piece = connection.socket.recv(READ_BYTES)
    except ConnectionError:
        piece = b""
    if not piece:
        tally.broken += 1
        connection.received = b""
        connection.close()
        return True
    received = connection.received + piece
    connection.received = received
    head_end = received.find(b"\r\n\r\n")
    if head_end < 0:
        return False
    head = received[:head_end].lower()
    if len(received) < head_end + 4 + _body_bytes(head):
        return False
    tally.statuses[int(received[9:12])] += 1
    tally.latencies_s.append(time.perf_counter() - connection.due_at)
    connection.received = b""
    if b"\r\nconnection: close" in head:
        connection.close()
    return True


def _body_bytes(head: bytes) -> int:
    _, name, rest = head.partition(b"content-length:")
    return int(rest.split(b"\r\n", 1)[0]) if name else 0


def _answered(tally: _Tally, seconds: float, unanswered: int) -> Answered:
    latencies = sorted(tally.latencies_s) or [0.0]
    return Answered(
        seconds=seconds,
        statuses=dict(tally.statuses),
        broken=tally.broken,
        unanswered=unanswered,
        p50_ms=latencies[(len(latencies) - 1) // 2] * 1000,
        p99_ms=latencies[(len(latencies) - 1) * 99 // 100] * 1000,
    )


if __name__ == "__main__":
    print(json.dumps(asdict(post_all(Load(**json.loads(sys.argv[1]))))))
