"""Webhooks to the shop's own programs: signing by Standard Webhooks 1.0, and the one POST that carries an event.

Owns the signature and the one attempt: no redirects, no proxies of the environment; only the status counts, the
answer's body is not read. When to repeat is decided above. Logs host, status and time; never the path or the query,
which may hold a token, nor the secret.
"""

from __future__ import annotations

import base64
import hmac
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from http.cookiejar import DefaultCookiePolicy
from typing import ClassVar

import requests
import structlog
from urllib3.exceptions import HTTPError

from connector.errors import ConnectorError, TimedOut, Unreachable
from connector.http import USER_AGENT
from connector.outgoing_deadline import Deadline, TimedAdapter
from connector.public_address import Resolver, check_url, checked_address, system_resolver
from connector.replies import MAX_PAUSE_S

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 15.0
WHOLE_ATTEMPT_S = 20.0
"""The two others bound one silence each: without this, a receiver that sends a byte now and then would hold us."""
SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix that Standard Webhooks gives to secrets
SECRET_BYTES = 32
_RETRY_AFTER_CHARS_MAX = 40

_log = structlog.get_logger(__name__)


class TlsFailed(Unreachable):
    """The other side's certificate is not accepted, or it speaks no TLS."""

    code: ClassVar[str] = "tls_failed"


@dataclass(frozen=True)
class WebhookAnswer:
    """`retry_after_s`: not earlier than this, as the receiver asked; at most an hour."""

    status: int
    retry_after_s: float | None


def secret_text(secret: bytes) -> str:
    """The secret as its owner copies it."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def signature(secret: str, *, event_id: str, timestamp_s: int, body: bytes) -> str:
    """The `webhook-signature` header: HMAC-SHA256 over «id.timestamp.body»."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{event_id}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, sha256)).decode()


class WebhookPoster:
    """`allow_private` opens loopback, private networks and plain http: tests, the demo, a receiver next door.
    `ca_bundle`: a file of certificates to trust in place of the public ones."""

    def __init__(
        self,
        *,
        allow_private: bool,
        resolver: Resolver = system_resolver,
        ca_bundle: str | None = None,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        read_timeout_s: float = READ_TIMEOUT_S,
        whole_attempt_s: float = WHOLE_ATTEMPT_S,
    ) -> None:
        self._allow_private = allow_private
        self._resolver = resolver
        self._timeouts_s = (connect_timeout_s, read_timeout_s)
        self._whole_attempt_s = whole_attempt_s
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = ca_bundle or True
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, TimedAdapter(resolver, allow_private=allow_private))

    def check(self, url: str) -> None:
        """Would we send there, as its host's name leads now? Raises AddressRefused, Unreachable."""
        parts = check_url(url, allow_private=self._allow_private)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        checked_address(parts.hostname or "", port, resolver=self._resolver, allow_private=self._allow_private)

    def post(self, url: str, *, event_id: str, secret: str, body: bytes, now: datetime) -> WebhookAnswer:
        """Signs and sends one event; returns any status. Raises AddressRefused, TimedOut, TlsFailed, Unreachable."""
        timestamp_s = int(now.timestamp())
        headers = {
            "User-Agent": USER_AGENT,
            "Content-Type": "application/json; charset=utf-8",
            "Connection": "close",
            "webhook-id": event_id,
            "webhook-timestamp": str(timestamp_s),
            "webhook-signature": signature(secret, event_id=event_id, timestamp_s=timestamp_s, body=body),
        }
        started = time.perf_counter()
        host = check_url(url, allow_private=self._allow_private).hostname
        outcome = self._attempt(url, headers, body, now)
        ms = round((time.perf_counter() - started) * 1000)
        if isinstance(outcome, ConnectorError):
            _log.info("webhook_call", host=host, status=None, error=outcome.code, ms=ms)
            raise outcome  # outside the handler: the library's own exceptions quote the URL with its query
        _log.info("webhook_call", host=host, status=outcome.status, ms=ms)
        return outcome

    def close(self) -> None:
        self._session.close()

    def _attempt(self, url: str, headers: dict[str, str], body: bytes, now: datetime) -> WebhookAnswer | ConnectorError:
        with Deadline(self._whole_attempt_s) as deadline:
            outcome = self._answer(url, headers, body, now)
        # An answer that was cut off in its headers reads like one that ended there.
        return TimedOut("no whole answer in time") if deadline.has_passed else outcome

    def _answer(self, url: str, headers: dict[str, str], body: bytes, now: datetime) -> WebhookAnswer | ConnectorError:
        try:
            with self._session.post(
                url, data=body, headers=headers, timeout=self._timeouts_s, allow_redirects=False, stream=True
            ) as response:
                told = response.headers.get("Retry-After", "")
                return WebhookAnswer(response.status_code, retry_after_s(told, now=now))
        except ConnectorError as failure:
            return failure
        except (requests.RequestException, HTTPError, UnicodeError) as failure:
            return _translated(failure)


def retry_after_s(told: str, *, now: datetime) -> float | None:
    """Retry-After, seconds or a date, as seconds from now within bounds; None for nothing and for nonsense."""
    told = told.strip()
    if not told or len(told) > _RETRY_AFTER_CHARS_MAX:
        return None
    if told.isascii() and told.isdigit():
        return min(float(told), MAX_PAUSE_S)
    try:
        moment = parsedate_to_datetime(told)
        gap = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
    except (ValueError, OverflowError, TypeError):  # the parser of dates lets years of twenty digits through
        return None
    return min(max(gap.total_seconds(), 0.0), MAX_PAUSE_S)


def _translated(failure: Exception) -> ConnectorError:
    if isinstance(failure, requests.ConnectTimeout):
        return TimedOut("no connection in time")
    if isinstance(failure, requests.Timeout):
        return TimedOut("no answer in time")
    if isinstance(failure, requests.exceptions.SSLError):
        return TlsFailed("the TLS connection failed")
    return Unreachable("no connection, or it broke")
