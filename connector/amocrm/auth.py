"""Access to one amoCRM account: a long-lived token, or OAuth with one-time refresh tokens.

Owns when a token is refreshed and by whom. Implements sections 1.2, 1.3, 1.5 and 10.1 of the amoCRM reference.
Keeps nothing between calls but what `TokenStore` remembers, and holds no lock while the network is in use. Where the
account lives, which may change, is `home.py`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Protocol

from connector.amocrm.home import BAN_S, Home
from connector.amocrm.reading import whole
from connector.errors import BadReply, Blocked, ConnectorError, NeedsReauth, NotFound, TimedOut
from connector.http import HttpClient, Reply
from connector.protocols import TokenPair, TokenStore
from connector.replies import json_object, raise_for_status

REFRESH_BEFORE = timedelta(minutes=5)
OTHERS_REFRESH_WAIT_S = 5.0
POLL_S = 0.1
MAX_TOKEN_LIFE = timedelta(days=366)
ACCOUNT_PATH = "/api/v4/account"
_WHAT = "amoCRM token endpoint"


class AccessTokens(Protocol):
    """Where the client takes its Bearer token from."""

    def access_token(self) -> str:
        """A token that should be accepted now."""
        ...

    def replacement(self, rejected: str) -> str:
        """The API answered 401 to `rejected`: another token, or NeedsReauth."""
        ...


class LongLivedToken:
    """A token made in amoCRM's interface: no refresh, 401 is final."""

    def __init__(self, token: str) -> None:
        self._token = token

    def access_token(self) -> str:
        return self._token

    def replacement(self, rejected: str) -> str:  # noqa: ARG002 (the protocol's signature)
        raise NeedsReauth("amoCRM no longer accepts the long-lived token: create a new one")


class OAuthTokens:
    """OAuth pair of one installation. Single flight: only the holder of the store's claim asks for a new pair."""

    def __init__(  # noqa: PLR0913 (three of them are the registered client and always go together)
        self,
        store: TokenStore,
        http: HttpClient,
        base_url: str | Home,
        *,
        client_id: str,
        client_secret: str,
        redirect_uri: str,
        now: Callable[[], datetime],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._http = http
        self._home = base_url if isinstance(base_url, Home) else Home(base_url)
        self._client = {"client_id": client_id, "client_secret": client_secret, "redirect_uri": redirect_uri}
        self._now = now
        self._sleep = sleep

    def access_token(self) -> str:
        pair = self._loaded()
        if pair.expires_at - self._now() > REFRESH_BEFORE:
            return pair.access_token
        return self._refreshed(pair)

    def replacement(self, rejected: str) -> str:
        pair = self._loaded()
        if pair.access_token != rejected:
            return pair.access_token
        return self._refreshed(pair)

    def exchange_code(self, code: str) -> None:
        """Spends the one-time code of the grant screen and stores the first pair, unless it opens another account than
        ours. Raises ConnectorError, ForeignAccount among them; what was stored before stays then."""
        pair = self._pair_from(self._ask({"grant_type": "authorization_code", "code": code}))
        if self._home.account_id() is not None:
            self._home.prove(self._account_of(pair))
        self._store.save(pair)

    def _loaded(self) -> TokenPair:
        pair = self._store.load()
        if pair is None:
            raise NeedsReauth("amoCRM is not connected")
        return pair

    def _refreshed(self, pair: TokenPair) -> str:
        """Steps: claim; ask without any lock; save before first use. A refresh is never repeated blindly, because a
        lost answer has already burnt the token."""
        if pair.refresh_token is None:
            raise self._dead("there is no refresh token", sha256(b"").hexdigest())
        fingerprint = sha256(pair.refresh_token.encode()).hexdigest()
        if not self._store.begin_refresh(fingerprint):
            return self._refreshed_by_other(pair)
        try:
            fresh = self._pair_from(self._asked_where_it_lives(pair, pair.refresh_token))
        except ConnectorError as failure:
            if isinstance(failure, NeedsReauth):
                self._store.mark_needs_reauth(str(failure), fingerprint)
                raise
            if failure.ambiguous:
                raise self._dead("the answer to a refresh was lost, its token may be spent", fingerprint) from failure
            self._store.abandon_refresh(fingerprint)
            raise
        if not self._store.save_refreshed(fresh, fingerprint):
            return self._loaded().access_token  # a person has connected anew meanwhile: his pair counts
        return fresh.access_token

    def _asked_where_it_lives(self, pair: TokenPair, refresh_token: str) -> Reply:
        """A refusal may mean that the account has moved (section 1.4): then the same token is good at the new host."""
        grant = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        try:
            return self._ask(grant)
        except (NeedsReauth, NotFound):
            if not self._home.find(pair, self._http):
                raise
        return self._ask(grant)

    def _refreshed_by_other(self, pair: TokenPair) -> str:
        for _ in range(round(OTHERS_REFRESH_WAIT_S / POLL_S)):
            current = self._loaded()
            if current.access_token != pair.access_token:
                return current.access_token
            self._sleep(POLL_S)
        raise TimedOut("another process is refreshing the amoCRM token", retry_after_s=OTHERS_REFRESH_WAIT_S)

    def _dead(self, reason: str, fingerprint: str) -> NeedsReauth:
        self._store.mark_needs_reauth(reason, fingerprint)
        return NeedsReauth(f"amoCRM must be connected again: {reason}")

    def _ask(self, grant: dict[str, str]) -> Reply:
        body = json.dumps({**self._client, **grant}).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        url = f"{self._home.base_url()}/oauth2/access_token"
        reply = self._http.send("POST", url, route="/oauth2/access_token", headers=headers, body=body)
        if reply.status in (400, 401):
            raise NeedsReauth(f"amoCRM must be connected again: {_hint(reply)}")
        if reply.status == 403 and not reply.is_json:
            raise Blocked(f"{_WHAT}: shut out", retry_after_s=BAN_S)
        # A whole error answer means the grant was not carried out: nothing is lost, hence not ambiguous.
        raise_for_status(reply, _WHAT, is_write=False)
        return reply

    def _account_of(self, pair: TokenPair) -> int:
        """Whose account a pair opens that is not stored yet. The code is spent by now, so no failure may be taken for
        one that has cost nothing."""
        headers = {"Authorization": f"Bearer {pair.access_token}", "Accept": "application/json"}
        try:
            reply = self._http.send("GET", self._home.base_url() + ACCOUNT_PATH, route=ACCOUNT_PATH, headers=headers)
            raise_for_status(reply, "amoCRM GET /account", is_write=False)
            return whole(json_object(reply, "amoCRM GET /account", is_write=False), "id")
        except ConnectorError as failure:
            failure.ambiguous = True
            raise

    def _pair_from(self, reply: Reply) -> TokenPair:
        told = json_object(reply, _WHAT, is_write=True)
        access, refresh, life_s = told.get("access_token"), told.get("refresh_token"), told.get("expires_in")
        if not (_is_token(access) and _is_token(refresh) and _is_life(life_s)):
            raise BadReply(f"{_WHAT}: the answer lacks the tokens", ambiguous=True)
        return TokenPair(str(access), str(refresh), self._now() + timedelta(seconds=int(str(life_s))))


def _is_token(value: Any) -> bool:
    # Visible ASCII only: anything else cannot stand in a header.
    return isinstance(value, str) and value.isascii() and value.isprintable() and 0 < len(value.strip()) == len(value)


def _is_life(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_TOKEN_LIFE.total_seconds()


_KNOWN_HINTS = frozenset(
    {
        "Token has been revoked",
        "Authorization code has expired",
        "Authorization code has been revoked",
        "Cannot decrypt the authorization code",
        "Cannot decrypt the refresh token",
        "Invalid refresh token",
    }
)


def _hint(reply: Reply) -> str:
    """Only hints known from section 1.3 are quoted: an unknown one might echo a secret."""
    try:
        content = reply.json()
    except BadReply:
        return f"status {reply.status}"
    hint = content.get("hint") if isinstance(content, dict) else None
    return hint if isinstance(hint, str) and hint in _KNOWN_HINTS else f"status {reply.status}"
