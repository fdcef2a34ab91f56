"""Apple's push service for passes: real HTTP/2 over TLS that demands the pass certificate of whoever pushes.

Owns the connections, the answers and the faults on request. Whose phone rings is told to `on_push`; what a phone does
then is `phone`'s.
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError

from simulator.server_certificate import make_server_certificate

HOST = "127.0.0.1"
PATH = "/3/device/"
READ_BYTES = 64 * 1024
TOKEN_CHARS = 64
REASONS = {
    400: "BadDeviceToken",
    403: "BadCertificate",
    410: "Unregistered",
    429: "TooManyRequests",
    500: "InternalServerError",
    503: "ServiceUnavailable",
}
CLOSE_AFTER_S = 5.0


@dataclass
class PushFaults:
    """What goes wrong, for every push or for one token. `drop`: connections that break instead of an answer, yet;
    `goaway`: pushes after which the connection is closed politely, yet."""

    status: int = 200
    reason: str = ""
    gone_at_ms: int | None = None
    delay_s: float = 0.0
    drop: int = 0
    goaway: int = 0
    bodies: bytes | None = None
    of_token: dict[str, PushFaults] = field(default_factory=dict)


@dataclass
class _Asked:
    headers: dict[str, str]
    body: bytes = b""


class FakeApns:
    """Listens until `stop`. `ca_file`: who may issue a pushing shop's certificate; `folder`: where our own goes."""

    def __init__(self, folder: Path, ca_file: Path, *, port: int = 0, now_ms: Callable[[], int] | None = None) -> None:
        certificate, key = make_server_certificate(folder, HOST)
        self.ca_file = certificate
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate, key)
        self._tls.load_verify_locations(ca_file)
        self._tls.verify_mode = ssl.CERT_REQUIRED
        self._tls.set_alpn_protocols(["h2"])
        self._listener = socket.create_server((HOST, port), backlog=64)
        self._now_ms = now_ms or (lambda: int(time.time() * 1000))
        self._lock = threading.Lock()
        self._open: set[ssl.SSLSocket] = set()
        self._threads: list[threading.Thread] = []
        self._ringing: list[threading.Thread] = []
        self.on_push: dict[str, Callable[[], None]] = {}
        self.faults = PushFaults()
        self.pushes: list[str] = []
        self.answers: Counter[str] = Counter()
        self.connections = 0
        self.handshakes_refused = 0

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self._listener.getsockname()[1]}"

    def start(self) -> None:
        self._spawn(self._accept)

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # closing alone does not wake the thread that waits in accept
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(CLOSE_AFTER_S)

    def cut(self) -> None:
        """Every connection breaks without a word."""
        with self._lock:
            connections = list(self._open)
        for one in connections:
            _shut(one)

    def quiet(self) -> None:
        """Waits until every phone that was rung has done what it does."""
        with self._lock:
            ringing, self._ringing = self._ringing, []
        for thread in ringing:
            thread.join()

    def reset(self) -> None:
        with self._lock:
            self.faults, self.pushes, self.answers, self.connections = PushFaults(), [], Counter(), 0

    def _spawn(self, work: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, name="fake-apns", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:  # closed: the end
                return
            self._spawn(self._greet, plain)

    def _greet(self, plain: socket.socket) -> None:
        plain.settimeout(CLOSE_AFTER_S)
        link = self._tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        try:
            link.do_handshake()
        except (ssl.SSLError, OSError):
            with self._lock:
                self.handshakes_refused += 1
            _hang_up(link)
            return
        link.settimeout(None)
        with self._lock:
            self._open.add(link)
            self.connections += 1
        try:
            if link.selected_alpn_protocol() == "h2":
                _Connection(self, link).serve()
        except (OSError, ProtocolError):
            pass
        finally:
            with self._lock:
                self._open.discard(link)
            _shut(link)
            link.close()

    def answer(self, asked: _Asked, topic: str) -> tuple[int, bytes] | None:
        """Status and body; None: the connection breaks."""
        token = asked.headers.get(":path", "").removeprefix(PATH)
        with self._lock:
            faults = self.faults.of_token.get(token, self.faults)
            drops, faults.drop = faults.drop > 0, max(0, faults.drop - 1)
            self.pushes.append(token)
        if drops:
            return None
        if faults.delay_s:
            time.sleep(faults.delay_s)
        status, told = self._judge(asked, token, topic, faults)
        with self._lock:
            self.answers[str(status) if status == 200 else f"{status} {told.get('reason', '')}"] += 1
        if status == 200:
            ring = self.on_push.get(token)
            if ring is not None:
                thread = threading.Thread(target=ring, name="phone", daemon=True)
                with self._lock:
                    self._ringing.append(thread)
                thread.start()
        return status, faults.bodies if faults.bodies is not None else json.dumps(told).encode() if told else b""

    def _judge(self, asked: _Asked, token: str, topic: str, faults: PushFaults) -> tuple[int, dict[str, Any]]:
        if asked.headers.get(":method") != "POST":
            return 405, {"reason": "MethodNotAllowed"}
        if not asked.headers.get(":path", "").startswith(PATH):
            return 404, {"reason": "BadPath"}
        if asked.headers.get("apns-topic") != topic:
            return 400, {"reason": "TopicDisallowed"}
        if asked.body != b"{}":
            return 400, {"reason": "PayloadEmpty"}
        if len(token) != TOKEN_CHARS or set(token) - set("0123456789abcdef"):
            return 400, {"reason": "BadDeviceToken"}
        if faults.status == 200:
            return 200, {}
        told: dict[str, Any] = {"reason": faults.reason or REASONS.get(faults.status, "Unknown")}
        if faults.status == 410:
            told["timestamp"] = self._now_ms() if faults.gone_at_ms is None else faults.gone_at_ms
        return faults.status, told

    def says_goodbye(self) -> bool:
        with self._lock:
            if self.faults.goaway == 0:
                return False
            self.faults.goaway -= 1
            return True


class _Connection:
    """One HTTP/2 connection, its pushes answered one after another."""

    def __init__(self, server: FakeApns, link: ssl.SSLSocket) -> None:
        self._server = server
        self._link = link
        self._topic = _user_id(link)
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._asked: dict[int, _Asked] = {}

    def serve(self) -> None:
        self._h2.initiate_connection()
        self._link.sendall(self._h2.data_to_send())
        while data := self._link.recv(READ_BYTES):
            for event in self._h2.receive_data(data):
                if isinstance(event, RequestReceived):
                    headers = {str(name): str(value) for name, value in event.headers}
                    self._asked[event.stream_id] = _Asked(headers)
                elif isinstance(event, DataReceived):
                    self._asked[event.stream_id].body += event.data
                    self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, StreamReset):
                    self._asked.pop(event.stream_id, None)
                elif isinstance(event, StreamEnded) and not self._reply(event.stream_id):
                    return
            self._link.sendall(self._h2.data_to_send())

    def _reply(self, stream_id: int) -> bool:
        """Whether the connection goes on."""
        answer = self._server.answer(self._asked.pop(stream_id), self._topic)
        if answer is None:
            return False
        status, body = answer
        self._h2.send_headers(stream_id, [(":status", str(status)), ("apns-id", "FAKE")], end_stream=not body)
        if body:
            self._h2.send_data(stream_id, body[: self._h2.local_flow_control_window(stream_id)], end_stream=True)
        if self._server.says_goodbye():
            self._h2.close_connection()
            self._link.sendall(self._h2.data_to_send())
            return False
        return True


def _user_id(link: ssl.SSLSocket) -> str:
    """The pass type for which the client's certificate was issued."""
    certificate = link.getpeercert() or {}
    parts: Any = certificate.get("subject", ())
    return next((value for part in parts for name, value in part if name in ("userId", "UID")), "")


def _hang_up(link: ssl.SSLSocket) -> None:
    """Lets the alert arrive: closing with unread bytes would tear it away."""
    try:
        plain = socket.socket(fileno=link.detach())
        with plain:
            plain.settimeout(CLOSE_AFTER_S)
            plain.shutdown(socket.SHUT_WR)
            while plain.recv(READ_BYTES):
                pass
    except OSError:
        return


def _shut(link: ssl.SSLSocket) -> None:
    try:
        link.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
