"""The public keys with which Google vouches for its callbacks: fetched from one address, or read from a file.

Owns the fetching, the memory of it and its limits. Verifies nothing: that is `wallet.google_callback`. Implements
section A10 of the wallet reference.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from connector.errors import BadReply, ConnectorError, NotConfigured, ServerFailed
from connector.http import HttpClient
from connector.replies import raise_for_status

KEYS_URL = "https://pay.google.com/gp/m/issuer/keys"
PROTOCOL = "ECv2SigningOnly"
FRESH_FOR = timedelta(hours=1)
ASKED_AGAIN_AFTER = timedelta(minutes=1)
"""Anybody may send us rubbish that no known key has signed: it must not make us ask Google every time."""
TRIED_AGAIN_AFTER = timedelta(seconds=10)
"""The same where Google did not answer: each try may take seconds, and all callbacks wait for it."""
ANSWER_BYTES_MAX = 64 * 1024
KEYS_MAX = 32
_LAST_DAY = datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True)
class RootKey:
    """A public key as DER (SubjectPublicKeyInfo), and when it stops counting."""

    der: bytes
    expires_at: datetime


class RootKeys:
    """Safe to share between threads. `file` stands in for the address where nothing may be asked outside."""

    def __init__(self, http: HttpClient, *, url: str = KEYS_URL, file: Path | None = None) -> None:
        self._http = http
        self._url = url
        self._file = file
        self._lock = threading.Lock()
        self._known: tuple[RootKey, ...] = ()
        self._asked_at: datetime | None = None
        self._failed_at: datetime | None = None

    def current(self, now: datetime) -> list[bytes]:
        """Keys that count now. Raises ConnectorError when there is none to be had."""
        return self._valid(now, asked_before=now - FRESH_FOR)

    def refreshed(self, now: datetime) -> list[bytes]:
        """The same, asked for again if that was not just now: for a signature of a key that we do not know."""
        return self._valid(now, asked_before=now - ASKED_AGAIN_AFTER)

    def _valid(self, now: datetime, *, asked_before: datetime) -> list[bytes]:
        with self._lock:
            if self._asked_at is None or self._asked_at <= asked_before or self._asked_at > now:
                self._ask(now)
            return [key.der for key in self._known if key.expires_at > now]

    def _ask(self, now: datetime) -> None:
        """Raises ConnectorError where there is nothing to go on with."""
        is_known = any(key.expires_at > now for key in self._known)
        if self._failed_at is not None and timedelta() <= now - self._failed_at < TRIED_AGAIN_AFTER:
            if not is_known:
                raise ServerFailed("google keys: they could not be had a moment ago")
            return
        try:
            self._known, self._asked_at, self._failed_at = self._fetch(), now, None
        except ConnectorError:
            self._failed_at = now
            if not is_known:
                raise

    def _fetch(self) -> tuple[RootKey, ...]:
        if self._file is not None:
            try:
                body = self._file.read_bytes()
            except OSError as failure:
                raise NotConfigured("google keys: the file cannot be read") from failure
        else:
            reply = self._http.send("GET", self._url, route="/gp/m/issuer/keys")
            raise_for_status(reply, "google keys", is_write=False)
            body = reply.body
        return root_keys(body)


def root_keys(body: bytes) -> tuple[RootKey, ...]:
    """Reads Google's document. Raises BadReply."""
    try:
        content: Any = json.loads(body) if len(body) <= ANSWER_BYTES_MAX else None
        listed = content["keys"]
        usable = [one for one in listed if one["protocolVersion"] == PROTOCOL]
        found = tuple(_root_key(one) for one in usable[:KEYS_MAX])
    except (ValueError, TypeError, KeyError, RecursionError, binascii.Error, OverflowError):
        found = ()
    if not found:
        raise BadReply("google keys: no document with keys of this protocol", retryable=True)
    return found


def _root_key(one: dict[str, Any]) -> RootKey:
    told = one.get("keyExpiration")
    expires_at = _LAST_DAY if told is None else datetime.fromtimestamp(int(told) / 1000, UTC)
    return RootKey(base64.b64decode(one["keyValue"], validate=True), expires_at)
