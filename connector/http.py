"""The only socket of the connector.

Owns one `requests.Session`: timeouts, the size cap, no redirects, no proxies or netrc from the environment, no
cookies, and the translation of every transport failure into the tree of `errors.py`. It makes one attempt: who may
repeat is decided above. Logs the method, host, route template, status and time of a call;
never its query, headers or body.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests
import structlog
from urllib3.exceptions import HTTPError, MaxRetryError, NewConnectionError, ReadTimeoutError

from connector.errors import BadReply, ConnectorError, TimedOut, Unreachable

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 10.0
WHOLE_ANSWER_TIMEOUT_S = 30.0
MAX_ANSWER_BYTES = 5 * 1024 * 1024
POOL_CONNECTIONS = 16
USER_AGENT = "Kopilka/0.1"
_CHUNK_BYTES = 64 * 1024
_MAX_REQUEST_ID_CHARS = 64
_READ_METHODS = frozenset({"GET", "HEAD"})

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Reply:
    """A whole answer. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def is_json(self) -> bool:
        return "json" in self.headers.get("content-type", "").lower()

    def json(self) -> Any:
        """The parsed body, fractions as Decimal. Raises BadReply."""
        try:
            return json.loads(self.body, parse_float=Decimal, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            failure = BadReply(f"the answer (status {self.status}) is not JSON")
        raise failure


class HttpClient:
    """Sends one request at a time per thread; safe to share between threads, to be created after a fork."""

    def __init__(self, *, connect_timeout_s: float = CONNECT_TIMEOUT_S, read_timeout_s: float = READ_TIMEOUT_S) -> None:
        self._timeouts_s = (connect_timeout_s, read_timeout_s)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = requests.adapters.HTTPAdapter(pool_connections=POOL_CONNECTIONS, pool_maxsize=POOL_CONNECTIONS)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def send(
        self,
        method: str,
        url: str,
        *,
        route: str,
        headers: Mapping[str, str] | None = None,
        query: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
    ) -> Reply:
        """One attempt. `route` is the path with ids replaced, for the log. Raises Unreachable, TimedOut, BadReply;
        `ambiguous` is set when a write may have reached the other side."""
        started = time.perf_counter()
        outcome = self._attempt(method, url + _query_text(query), dict(headers or {}), body)
        _log_call(method, _host(url), route, outcome, ms=round((time.perf_counter() - started) * 1000))
        if isinstance(outcome, ConnectorError):
            # Raised outside the handler: the library's own exceptions quote the URL with its query.
            raise outcome
        return outcome

    def close(self) -> None:
        self._session.close()

    def _attempt(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> Reply | ConnectorError:
        is_write = method not in _READ_METHODS
        try:
            with self._session.request(
                method,
                url,
                headers={"User-Agent": USER_AGENT, **headers},
                data=body,
                timeout=self._timeouts_s,
                allow_redirects=False,
                stream=True,
            ) as response:
                content = _read_capped(response)
                names = {name.lower(): value for name, value in response.headers.items()}
                return Reply(response.status_code, names, content)
        except (requests.RequestException, HTTPError) as error:
            return _translated(error, is_write=is_write)
        except (TimedOut, BadReply) as failure:
            failure.ambiguous = is_write
            return failure


def _read_capped(response: requests.Response) -> bytes:
    deadline = time.monotonic() + WHOLE_ANSWER_TIMEOUT_S
    content = bytearray()
    for chunk in response.iter_content(_CHUNK_BYTES):
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            raise BadReply(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
        if time.monotonic() > deadline:
            raise TimedOut(f"the answer took longer than {WHOLE_ANSWER_TIMEOUT_S:.0f} s")
    return bytes(content)


def _translated(error: Exception, *, is_write: bool) -> ConnectorError:
    cause = error.args[0] if error.args else None
    if isinstance(error, requests.ConnectTimeout):
        return TimedOut("no connection in time")
    if isinstance(error, requests.Timeout | ReadTimeoutError) or isinstance(cause, ReadTimeoutError):
        return TimedOut("no answer in time", ambiguous=is_write)
    if isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError):
        return Unreachable("no connection")
    if isinstance(error, requests.exceptions.ContentDecodingError):
        return BadReply("the answer's encoding is broken", ambiguous=is_write)
    if isinstance(error, requests.exceptions.SSLError):
        return Unreachable("the TLS connection failed", ambiguous=is_write)
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError | HTTPError):
        return Unreachable("the connection broke", ambiguous=is_write)
    return Unreachable("the request could not be sent", retryable=False)


def _query_text(query: Sequence[tuple[str, str]]) -> str:
    return "?" + urlencode(query) if query else ""


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _log_call(method: str, host: str | None, route: str, outcome: Reply | ConnectorError, *, ms: int) -> None:
    if isinstance(outcome, Reply):
        request_id = outcome.headers.get("x-request-id", "")[:_MAX_REQUEST_ID_CHARS]
        result: dict[str, object] = {"status": outcome.status, "request_id": request_id}
    else:
        result = {"status": None, "error": outcome.code}
    _log.info("http_call", host=host, method=method, route=route, ms=ms, **result)
