"""Which account is ours and where it lives now: an account may be renamed, and its host with it, but keeps its id.

Owns the comparison of ids, and the question of section 1.4 of the amoCRM reference: after the token endpoint has
answered 401 or 404, the host named in the access token is asked where the account is. Only hosts of amoCRM are asked
and believed. Refreshing is `auth.py`.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Protocol
from urllib.parse import urlsplit

import structlog

from connector.amocrm.hosts import sibling_url
from connector.errors import BadReply, Blocked, ForeignAccount
from connector.http import HttpClient
from connector.protocols import TokenPair
from connector.replies import raise_for_status

MAX_TOKEN_CHARS = 8_000
BAN_S = 300.0
WHERE_PATH = "/oauth2/account/current/subdomain"

_log = structlog.get_logger(__name__)


class HostMemory(Protocol):
    """Durable memory of one account's id and its move, shared by all processes. Each call is short and opens no
    connection outside."""

    def account_id(self) -> int | None:
        """The account whose deals and contacts we keep; None before the first link."""
        ...

    def moved_to(self, base_url: str) -> str | None:
        """Where the account at `base_url` has moved; None when it has not."""
        ...

    def save_move(self, base_url: str, new_base_url: str) -> None:
        """Stores it durably before it returns."""
        ...


class Home:
    """The account's address: the configured one, or the one that amoCRM has told since. `memory` None: it never
    moves."""

    def __init__(self, configured: str, memory: HostMemory | None = None) -> None:
        self.configured = configured
        self._memory = memory
        self._seen: str | None = None
        self._is_proven = False

    def account_id(self) -> int | None:
        """The id that the account must have; None where any will do."""
        return None if self._memory is None else self._memory.account_id()

    def needs_proof(self) -> bool:
        """Whether this process has yet to see that our access opens our account: once is enough, for no other access
        is stored or read later."""
        return not self._is_proven and self.account_id() is not None

    def prove(self, account_id: int) -> None:
        """Compares the id that amoCRM told of an access with the remembered one. Raises ForeignAccount."""
        known = self.account_id()
        if known is not None and known != account_id:
            raise ForeignAccount(f"amoCRM: the access opens account {account_id}, the database is of account {known}")
        self._is_proven = known is not None

    def base_url(self) -> str:
        """The address to call now. A remembered one is believed only if it may see our secrets."""
        told = None if self._memory is None else self._memory.moved_to(self.configured)
        moved = None if told is None else sibling_url(urlsplit(told).netloc, like=self.configured)
        self._seen = moved or self.configured
        return self._seen

    def has_moved(self) -> bool:
        """As it was when the address was last needed: costs nothing where calls are made."""
        return (self._seen or self.base_url()) != self.configured

    def find(self, pair: TokenPair, http: HttpClient) -> bool:
        """Asks amoCRM where the account is, remembers a new place. True: it has moved, try there.

        Raises Unreachable, TimedOut, RateLimited, ServerFailed, Blocked: then nobody knows.
        """
        asked = _api_domain(pair.access_token)
        door = None if asked is None else sibling_url(asked, like=self.configured)
        if self._memory is None or door is None or pair.refresh_token is None:
            return False
        headers = {"X-Refresh-Token": pair.refresh_token, "Accept": "application/json"}
        reply = http.send("GET", door + WHERE_PATH, route=WHERE_PATH, headers=headers)
        if reply.status == 403 and not reply.is_json:
            raise Blocked("amoCRM account look-up: shut out", retry_after_s=BAN_S)
        if 400 <= reply.status < 500 and reply.status != 429:
            return False
        raise_for_status(reply, "amoCRM account look-up", is_write=False)
        try:
            content = reply.json()
        except BadReply:
            return False
        domain = content.get("domain") if isinstance(content, dict) else None
        fresh = sibling_url(domain, like=self.configured) if isinstance(domain, str) else None
        if fresh is None or fresh == self.base_url():
            return False
        self._memory.save_move(self.configured, fresh)
        _log.warning("crm_account_moved", moved_to=urlsplit(fresh).hostname)
        return True


def _api_domain(access_token: str) -> str | None:
    """The claim of the token's middle part. Nobody can check amoCRM's signature, hence nothing but the host is taken,
    and only if it is amoCRM's."""
    parts = access_token.split(".")
    if len(parts) != 3 or len(access_token) > MAX_TOKEN_CHARS:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return None
    domain = claims.get("api_domain") if isinstance(claims, dict) else None
    return domain if isinstance(domain, str) else None
