"""Apple's push service for passes: «this phone's cards have changed, come and ask».

Owns the one HTTP/2 connection, whose TLS client is the pass certificate itself, and what Apple's answers mean
(wallet reference, section A7). Does not decide who is pushed or forgotten. httpx lives in a thread with an event loop
of its own: a connection then carries a hundred pushes at once. The connection is opened by the first push, so an
object made before a fork may be used after it.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import ssl
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx
import structlog

from connector.errors import (
    BadReply,
    ConnectorError,
    NeedsReauth,
    NotConfigured,
    RateLimited,
    Refused,
    ServerFailed,
    TimedOut,
    Unreachable,
)

API_URL = "https://api.push.apple.com:443"
"""There is no other for passes: the sandbox does not know them."""

CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 10.0
WHOLE_PUSH_TIMEOUT_S = 30.0
AT_ONCE = 100
"""Apple allows a thousand; who sends fewer at a time is throttled by its answers alone."""

ANSWER_BYTES_MAX = 4 * 1024
IDLE_S = 3_600.0
"""Apple asks for connections that last; opening them often looks like an attack."""

TOO_MANY_PAUSE_S = 60.0
"""Apple names no time; its 429 is about one phone."""

_EMPTY = b"{}"
_BAD_TOKEN = frozenset({"BadDeviceToken", "MissingDeviceToken"})
_FOREIGN_TOKEN = "DeviceTokenNotForTopic"  # noqa: S105 - Apple's word
_TOPIC = frozenset({_FOREIGN_TOKEN, "TopicDisallowed", "BadTopic", "MissingTopic"})
_REASON_CHARS_MAX = 60
_MS_MAX = 253_402_300_799_000  # the year 9999

Outcome = Literal["sent", "gone", "bad", "foreign", "failed"]
Result = TypeVar("Result")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Push:
    """What became of one push. `gone`: Apple knows since `gone_at` that nothing can be sent there; `bad`: it never was
    a token of Apple's; `foreign`: it is one for another topic, or the certificate is, see `failure`; `failed`: see
    `failure`."""

    outcome: Outcome
    gone_at: datetime | None = None
    failure: ConnectorError | None = None


SENT, BAD = Push("sent"), Push("bad")


@dataclass
class _Line:
    """A thread with its event loop and the client that lives there."""

    pid: int
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread
    client: httpx.AsyncClient
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))


class Apns:
    """`client_pem` gives certificates and key, locked with the password it is given; `ca_file` is trusted in place of
    the public authorities, for a stand-in on this machine. Safe to share between threads."""

    def __init__(
        self,
        client_pem: Callable[[bytes], bytes],
        *,
        topic: str,
        url: str = API_URL,
        ca_file: Path | None = None,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> None:
        self._client_pem = client_pem
        self._topic = topic
        self._url = url.rstrip("/")
        self._ca_file = ca_file
        self._timeout = httpx.Timeout(answer_timeout_s, connect=CONNECT_TIMEOUT_S, pool=WHOLE_PUSH_TIMEOUT_S)
        self._lock = threading.Lock()
        self._line: _Line | None = None

    def push(self, tokens: Sequence[str]) -> list[Push]:
        """One empty push to each token, in their order. Raises NotConfigured; all else is told push by push."""
        started = time.perf_counter()
        line = self._open()
        found = self._run(line, _all(line, self._url, self._topic, tokens))
        counted = dict(Counter(one.failure.code if one.failure else one.outcome for one in found))
        _log.info("apns_pushed", **counted, ms=round((time.perf_counter() - started) * 1000))
        return found

    def close(self) -> None:
        with self._lock:
            line, self._line = self._line, None
        if line is None or line.pid != os.getpid():
            return
        self._run(line, line.client.aclose())
        line.loop.call_soon_threadsafe(line.loop.stop)
        line.thread.join()
        line.loop.close()

    def _open(self) -> _Line:
        with self._lock:
            if self._line is None or self._line.pid != os.getpid():
                client = self._client()
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=loop.run_forever, name="apns", daemon=True)
                thread.start()
                self._line = _Line(os.getpid(), loop, thread, client)
            return self._line

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=self._tls(),
            http1=False,
            http2=True,
            trust_env=False,
            follow_redirects=False,
            timeout=self._timeout,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=IDLE_S),
        )

    def _tls(self) -> ssl.SSLContext:
        """The library reads certificates from files only: for a moment there is one, of this user, locked with a
        password that nobody else ever has."""
        password = secrets.token_hex()
        try:
            context = httpx.create_ssl_context(verify=True, trust_env=False)
            if self._ca_file is not None:
                context = ssl.create_default_context(cafile=str(self._ca_file))
            with tempfile.NamedTemporaryFile(prefix="kopilka-", suffix=".pem") as file:
                file.write(self._client_pem(password.encode()))
                file.flush()
                context.load_cert_chain(file.name, password=password)
        except (OSError, ssl.SSLError) as failure:
            raise NotConfigured("apns: the pass certificate cannot be used for TLS") from failure
        return context

    @staticmethod
    def _run(line: _Line, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, line.loop).result()


async def _all(line: _Line, url: str, topic: str, tokens: Sequence[str]) -> list[Push]:
    return list(await asyncio.gather(*(_one(line, url, topic, token) for token in tokens)))


async def _one(line: _Line, url: str, topic: str, token: str) -> Push:
    async with line.gate:
        found = await _attempt(line.client, url, topic, token)
        if isinstance(found.failure, Unreachable) and found.failure.ambiguous:
            # An idle connection may have been closed under us, and a push may be sent twice: once more, on a new one.
            found = await _attempt(line.client, url, topic, token)
        return found


async def _attempt(client: httpx.AsyncClient, url: str, topic: str, token: str) -> Push:
    try:
        async with asyncio.timeout(WHOLE_PUSH_TIMEOUT_S):
            request = client.stream("POST", f"{url}/3/device/{token}", headers={"apns-topic": topic}, content=_EMPTY)
            async with request as response:
                return _meaning(response.status_code, await _read_capped(response))
    except ConnectorError as failure:
        return Push("failed", failure=failure)
    except (httpx.TimeoutException, TimeoutError):
        return Push("failed", failure=TimedOut("apns: no answer in time", ambiguous=True))
    except (httpx.HTTPError, ssl.SSLError, OSError) as failure:
        return Push("failed", failure=_broken(failure))


async def _read_capped(response: httpx.Response) -> bytes:
    content = b""
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > ANSWER_BYTES_MAX:
            raise BadReply(f"apns: an answer larger than {ANSWER_BYTES_MAX} bytes", retryable=True)
    return content


def _meaning(status: int, body: bytes) -> Push:
    if status == 200:
        return SENT
    reason, at_ms = _told(body)
    if status == 410:
        return Push("gone", gone_at=None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC))
    if status == 400 and reason in _BAD_TOKEN:
        return BAD
    return Push("foreign" if reason == _FOREIGN_TOKEN else "failed", failure=_failure(status, reason))


def _failure(status: int, reason: str) -> ConnectorError:
    what = f"apns: {status} {reason}"
    if status == 403 or reason in _TOPIC:
        return NeedsReauth(what)
    if status == 429:
        return RateLimited(what, retry_after_s=TOO_MANY_PAUSE_S)
    if status >= 500:
        return ServerFailed(what)
    if status < 400:
        return BadReply(what, retryable=True)
    return Refused(what, status=status)


def _told(body: bytes) -> tuple[str, int | None]:
    """Apple's reason, a word, and its timestamp in milliseconds; nothing that is not of this kind is repeated."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return "", None
    if not isinstance(content, dict):
        return "", None
    reason, at_ms = content.get("reason"), content.get("timestamp")
    is_word = isinstance(reason, str) and reason.isascii() and reason.isalnum() and len(reason) <= _REASON_CHARS_MAX
    is_time = isinstance(at_ms, int) and not isinstance(at_ms, bool) and 0 < at_ms <= _MS_MAX
    return str(reason) if is_word else "", at_ms if is_time else None


def _broken(failure: Exception) -> ConnectorError:
    """A refused certificate comes as an alert of TLS, often only with the first answer."""
    chain: list[BaseException] = []
    link: BaseException | None = failure
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    for one in chain:
        alert = (one.reason or "").upper() if isinstance(one, ssl.SSLError) else ""
        if isinstance(one, ssl.SSLCertVerificationError):
            return Unreachable("apns: the server's certificate is not trusted")
        if "ALERT" in alert and ("CERTIFICATE" in alert or "UNKNOWN_CA" in alert or "HANDSHAKE" in alert):
            return NeedsReauth(f"apns: TLS {alert}")
    if isinstance(failure, httpx.ConnectError):
        return Unreachable("apns: no connection")
    return Unreachable("apns: the connection broke", ambiguous=True)
