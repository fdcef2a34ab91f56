"""A time limit on a whole attempt: timeouts of a socket bound one silence each, and a slow drip is never silent.

Owns the cut: when the time is over, the socket of the attempt is shut down from a thread of its own, and whoever waits
for the answer wakes up. Connecting, the TLS handshake and sending have total limits of their own; looking a name up is
bounded by the system's resolver. What an address may be is `public_address.py`.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import HTTPResponse

from connector.public_address import CheckedAdapter

_running: ContextVar[Deadline | None] = ContextVar("deadline of the attempt", default=None)


class Deadline:
    """Cuts the connections read within it once the time is over; `has_passed` says whether it came to that."""

    def __init__(self, seconds: float) -> None:
        self.has_passed = False
        self._connections: list[HTTPConnection] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Deadline:
        self._token = _running.set(self)
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        _running.reset(self._token)
        self._timer.cancel()
        with self._lock:
            self._connections.clear()

    def watch(self, connection: HTTPConnection) -> None:
        """This connection is cut with the rest, at once if the time is over already."""
        with self._lock:
            self._connections.append(connection)
            if self.has_passed:
                _shut(connection)

    def _cut(self) -> None:
        with self._lock:
            self.has_passed = True
            for connection in self._connections:
                _shut(connection)


class TimedAdapter(CheckedAdapter):
    """As `CheckedAdapter`; its connections obey the `Deadline` of whoever waits for an answer, also when they were left
    open by an attempt before."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}


class _Http(HTTPConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        _watch(self)
        return super().getresponse()


class _Https(HTTPSConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        _watch(self)
        return super().getresponse()


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


def _watch(connection: HTTPConnection) -> None:
    deadline = _running.get()
    if deadline is not None:
        deadline.watch(connection)


def _shut(connection: HTTPConnection) -> None:
    """`socket`'s own way, not the TLS socket's: that one would take the session from under its reader."""
    held = connection.sock
    if held is not None:
        with suppress(OSError):
            socket.socket.shutdown(held, socket.SHUT_RDWR)
