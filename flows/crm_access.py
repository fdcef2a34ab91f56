"""The CRM connection's memory, kept in the database: implements the connector's TokenStore, RateGate, Directory and
HostMemory.

Each call is one short statement; none is made while a transaction of ours is open, and none holds a lock while the
network is in use.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from connector.errors import Blocked, RateLimited
from connector.protocols import TokenPair
from storage import access, linking

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flows.failpoints import Failpoints
    from flows.keys import Keys
    from storage.db import Database

NAME = "amocrm"
CLAIM_LAPSE = timedelta(minutes=2)
"""A refresh takes seconds. A claim older than this belongs to a dead process."""

TURN_WAIT_MAX_S = 8.0
"""Whoever would wait longer for a turn gives up and tries later."""

DIRECTORY_LIFE = timedelta(hours=1)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class StoredTokens:
    """TokenStore over the `oauth_token` table; tokens are sealed before they get there."""

    def __init__(self, db: Database, keys: Keys, *, clock: Callable[[], datetime], failpoints: Failpoints) -> None:
        self._db = db
        self._keys = keys
        self._clock = clock
        self._failpoints = failpoints

    def load(self) -> TokenPair | None:
        with self._db.autocommit() as connection:
            stored = access.load_tokens(connection, NAME)
        if stored is None or stored.state == "needs_reauth":
            return None
        pair = json.loads(self._keys.open(stored.sealed_pair, context=f"oauth_token:{NAME}"))
        return TokenPair(pair["access"], pair["refresh"], stored.expires_at)

    def begin_refresh(self, refresh_token_fingerprint: str) -> bool:
        with self._db.autocommit() as connection:
            return access.claim_refresh(
                connection, NAME, fingerprint=refresh_token_fingerprint, lapse=CLAIM_LAPSE, now=self._clock()
            )

    def save(self, pair: TokenPair) -> None:
        self._failpoints.reach("tokens.after_answer")
        with self._db.autocommit() as connection:
            access.save_tokens(
                connection,
                NAME,
                sealed_pair=self._sealed(pair),
                expires_at=pair.expires_at,
                refresh_fingerprint=_fingerprint(pair),
                now=self._clock(),
            )

    def save_refreshed(self, pair: TokenPair, refresh_token_fingerprint: str) -> bool:
        self._failpoints.reach("tokens.after_answer")
        with self._db.autocommit() as connection:
            return access.save_refreshed(
                connection,
                NAME,
                claimed_fingerprint=refresh_token_fingerprint,
                sealed_pair=self._sealed(pair),
                expires_at=pair.expires_at,
                refresh_fingerprint=_fingerprint(pair),
                now=self._clock(),
            )

    def abandon_refresh(self, refresh_token_fingerprint: str) -> None:
        self._mark("ok", None, refresh_token_fingerprint)

    def mark_needs_reauth(self, reason: str, refresh_token_fingerprint: str) -> None:
        self._mark("needs_reauth", reason, refresh_token_fingerprint)

    def _sealed(self, pair: TokenPair) -> bytes:
        plain = json.dumps({"access": pair.access_token, "refresh": pair.refresh_token}).encode()
        return self._keys.seal(plain, context=f"oauth_token:{NAME}")

    def _mark(self, state: str, reason: str | None, fingerprint: str) -> None:
        with self._db.autocommit() as connection:
            access.mark_tokens(connection, NAME, state=state, reason=reason, now=self._clock(), fingerprint=fingerprint)


class StoredGate:
    """RateGate over the `rate_gate` table: all processes share one rate by the database's clock, one per `name`."""

    def __init__(
        self,
        db: Database,
        *,
        per_second: float,
        sleep: Callable[[float], None] = time.sleep,
        name: str = NAME,
        wait_max_s: float = TURN_WAIT_MAX_S,
    ) -> None:
        self._db = db
        self._per_second = per_second
        self._sleep = sleep
        self._name = name
        self._wait_max_s = wait_max_s

    def wait_turn(self) -> None:
        with self._db.autocommit() as connection:
            turn = access.next_turn(connection, self._name, per_second=self._per_second, wait_max_s=self._wait_max_s)
        if turn.closed_s > 0:
            raise Blocked(f"the circuit of {self._name} is open: {turn.reason}", retry_after_s=turn.closed_s)
        if not turn.is_taken:
            raise RateLimited(f"too many calls are waiting for {self._name}", retry_after_s=turn.wait_s)
        self._sleep(turn.wait_s)

    def pause(self, seconds: float) -> None:
        with self._db.autocommit() as connection:
            access.pause_gate(connection, self._name, seconds=seconds)

    def open_circuit(self, seconds: float, reason: str) -> None:
        with self._db.autocommit() as connection:
            access.close_gate(connection, self._name, seconds=seconds, reason=reason)


class StoredDirectory:
    """Directory over the table of that name: ids found in the account, looked up again after an hour."""

    def __init__(self, db: Database, *, clock: Callable[[], datetime]) -> None:
        self._db = db
        self._clock = clock

    def get(self, name: str) -> Mapping[str, Any] | None:
        with self._db.autocommit() as connection:
            return access.directory_entry(connection, name, not_before=self._clock() - DIRECTORY_LIFE)

    def recall(self, name: str) -> Mapping[str, Any] | None:
        """An entry of any age: what does not change while the account is the same."""
        with self._db.autocommit() as connection:
            return access.directory_entry(connection, name, not_before=LONG_AGO)

    def put(self, name: str, content: Mapping[str, Any]) -> None:
        with self._db.autocommit() as connection:
            access.remember_entry(connection, name, content, now=self._clock())


class StoredHost:
    """HostMemory over the `installation` row. A move is remembered of the address in the rules file: once the owner
    has written the new one there, it counts no more."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def account_id(self) -> int | None:
        with self._db.autocommit() as connection:
            return linking.crm_account(connection).account_id

    def moved_to(self, base_url: str) -> str | None:
        with self._db.autocommit() as connection:
            known = linking.crm_account(connection)
        return known.moved_to if known.moved_from == base_url else None

    def save_move(self, base_url: str, new_base_url: str) -> None:
        with self._db.autocommit() as connection:
            linking.save_move(connection, moved_from=base_url, moved_to=new_base_url)


def _fingerprint(pair: TokenPair) -> str:
    return sha256((pair.refresh_token or "").encode()).hexdigest()
