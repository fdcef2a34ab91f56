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


@dataclass(eq=False)
class _Connection:
    socket: socket.socket
    due_at: float = 0.0
    received: bytes = b""


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
    requests = _requests(load)
    tally = _Tally()
    began = time.perf_counter()
    idle = [_Connection(_connect(load.port)) for _ in range(load.connections)]
    busy: dict[int, _Connection] = {}
    poll = select.epoll()
    for connection in idle:
        poll.register(connection.socket, select.EPOLLIN)
    began = time.perf_counter()
    end = began + load.seconds
    arrivals = _arrivals(began, load)
    waiting: deque[float] = deque()
    next_at = next(arrivals)
    while True:
        now = time.perf_counter()
        if load.per_second is None:
            waiting.extend([now] * (len(idle) if now < end else 0))
        while next_at <= now:
            waiting.append(next_at)
            next_at = next(arrivals)
        while waiting and idle:
            connection = idle.pop()
            connection.due_at = waiting.popleft()
            connection.socket.sendall(next(requests))
            busy[connection.socket.fileno()] = connection
        if now > end + LINGER_S or (now > end and not busy and not waiting):
            break
        # An epoll alone rounds up to whole milliseconds, which would make open-loop requests late.
        select.select([poll.fileno()], [], [], max(0.0, min(next_at, now + 0.05) - now))
        for descriptor, _ in poll.poll(0):
            connection = busy[descriptor]
            if _receive(connection, tally):
                idle.append(busy.pop(descriptor))
            elif connection.socket.fileno() == -1:
                del busy[descriptor]
                idle.append(fresh := _Connection(_connect(load.port)))
                poll.register(fresh.socket, select.EPOLLIN)
    return _answered(tally, time.perf_counter() - began, len(busy) + len(waiting))


def _connect(port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=LINGER_S)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


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
    """Reads what came. True: the answer is whole. A connection that ended is closed here."""
    try:
        piece = connection.socket.recv(READ_BYTES)
    except ConnectionError:
        piece = b""
    if not piece:
        tally.broken += 1
        connection.socket.close()
        return False
    received = connection.received + piece
    connection.received = received
    head_end = received.find(b"\r\n\r\n")
    if head_end < 0:
        return False
    if len(received) < head_end + 4 + _body_bytes(received[:head_end]):
        return False
    tally.statuses[int(received[9:12])] += 1
    tally.latencies_s.append(time.perf_counter() - connection.due_at)
    connection.received = b""
    return True


def _body_bytes(head: bytes) -> int:
    _, name, rest = head.lower().partition(b"content-length:")
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
