"""A tiny real HTTP server and in-memory homes for what the connector must remember."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import responses

from connector.amocrm.auth import LongLivedToken
from connector.amocrm.client import AmoCrm
from connector.errors import Blocked
from connector.http import HttpClient
from connector.protocols import TokenPair

Answer = tuple[int, dict[str, str], bytes]


class LocalServer(ThreadingHTTPServer):
    """Answers with what `answer(method, path, body)` returns; None drops the connection without an answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer: Callable[[str, str, bytes], Answer | None] = lambda *_: (200, {}, b"{}")
        self.seen: list[tuple[str, str, Mapping[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: LocalServer

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        answer = self.server.answer(self.command, self.path, body)
        self.close_connection = True
        if answer is None:
            return
        status, headers, content = answer
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), "Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def local_server() -> Iterator[LocalServer]:
    server = LocalServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def http() -> Iterator[HttpClient]:
    client = HttpClient()
    yield client
    client.close()


@pytest.fixture
def impatient_http() -> Iterator[HttpClient]:
    client = HttpClient(read_timeout_s=0.1)
    yield client
    client.close()


@dataclass
class MemoryTokens:
    """TokenStore in memory, with the rules that a durable one must keep."""

    pair: TokenPair | None = None
    claim: str | None = None
    reauth_reason: str | None = None
    saved: list[TokenPair] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def load(self) -> TokenPair | None:
        with self._lock:
            return None if self.reauth_reason is not None else self.pair

    def begin_refresh(self, refresh_token_fingerprint: str) -> bool:
        with self._lock:
            refresh = self.pair.refresh_token if self.pair else None
            is_current = refresh is not None and sha256(refresh.encode()).hexdigest() == refresh_token_fingerprint
            if self.claim is not None or not is_current:
                return False
            self.claim = refresh_token_fingerprint
            return True

    def save(self, pair: TokenPair) -> None:
        with self._lock:
            self.pair, self.claim, self.reauth_reason = pair, None, None
            self.saved.append(pair)

    def save_refreshed(self, pair: TokenPair, refresh_token_fingerprint: str) -> bool:
        with self._lock:
            if self.claim != refresh_token_fingerprint or self.reauth_reason is not None:
                return False
            self.pair, self.claim = pair, None
            self.saved.append(pair)
            return True

    def abandon_refresh(self, refresh_token_fingerprint: str) -> None:
        with self._lock:
            if self.claim == refresh_token_fingerprint:
                self.claim = None

    def mark_needs_reauth(self, reason: str, refresh_token_fingerprint: str) -> None:
        with self._lock:
            refresh = (self.pair.refresh_token if self.pair else None) or ""
            if sha256(refresh.encode()).hexdigest() == refresh_token_fingerprint:
                self.reauth_reason = reason


@dataclass
class MemoryGate:
    """RateGate that counts turns instead of waiting."""

    turns: int = 0
    pauses_s: list[float] = field(default_factory=list)
    circuit_s: float | None = None

    def wait_turn(self) -> None:
        if self.circuit_s is not None:
            raise Blocked("the circuit is open", retry_after_s=self.circuit_s)
        self.turns += 1

    def pause(self, seconds: float) -> None:
        self.pauses_s.append(seconds)

    def open_circuit(self, seconds: float, reason: str) -> None:
        self.circuit_s = seconds


@dataclass
class MemoryDirectory:
    content: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def get(self, name: str) -> Mapping[str, Any] | None:
        return self.content.get(name)

    def put(self, name: str, content: Mapping[str, Any]) -> None:
        self.content[name] = content


@pytest.fixture
def tokens() -> MemoryTokens:
    return MemoryTokens()


@pytest.fixture
def gate() -> MemoryGate:
    return MemoryGate()


@pytest.fixture
def directory() -> MemoryDirectory:
    return MemoryDirectory()


@dataclass
class AmoWeb:
    """amoCRM's answers as given, and what was sent to it."""

    web: responses.RequestsMock
    host: str = "https://example.amocrm.ru"

    @property
    def api(self) -> str:
        return self.host + "/api/v4"

    def hal(self, method: str, path: str, content: object, *, status: int = 200) -> None:
        body = json.dumps(content)
        self.web.add(method, self.api + path, body=body, content_type="application/hal+json", status=status)

    @staticmethod
    def rows(name: str, *rows: object, **more: object) -> dict[str, object]:
        return {"_embedded": {name: list(rows)}, **more}

    def sent(self, index: int = -1) -> Any:
        return json.loads(self.web.calls[index].request.body or b"null")

    def query(self, index: int = -1) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.web.calls[index].request.url or "").query)


@pytest.fixture
def amo() -> Iterator[AmoWeb]:
    with responses.RequestsMock() as mock:
        yield AmoWeb(mock)


@pytest.fixture
def crm(amo: AmoWeb, gate: MemoryGate, http: HttpClient) -> AmoCrm:
    return AmoCrm(amo.host, LongLivedToken("tok"), gate, http)
