"""What the connector needs from its owner: memory between calls, as protocols.

Owns the contracts and the values they carry. Implementations live elsewhere (in memory in tests, over the database in
`flows/`); each method is short and must not call the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True)
class TokenPair:
    """OAuth tokens of one installation. `expires_at` is aware and belongs to the access token."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_at: datetime


class TokenStore(Protocol):
    """Durable home of one installation's tokens, shared by all processes."""

    def load(self) -> TokenPair | None:
        """The stored pair; None when there is none or it is marked as needing a person."""
        ...

    def begin_refresh(self, refresh_token_fingerprint: str) -> bool:
        """Claims the single right to spend this refresh token.

        False when another holds the claim, or when the stored pair has another fingerprint by now. An
        implementation should let a claim lapse after minutes (its holder died): at worst the token turns out burnt.
        """
        ...

    def save(self, pair: TokenPair) -> None:
        """Stores a pair that a person has just granted, durably before it returns; ends the claim and the
        needs-a-person mark."""
        ...

    def save_refreshed(self, pair: TokenPair, refresh_token_fingerprint: str) -> bool:
        """Stores what the claimed refresh token was spent for, durably before it returns, and ends the claim. False,
        and nothing stored, when the claim is no more: a person has connected anew meanwhile, or we were shut out."""
        ...

    def abandon_refresh(self, refresh_token_fingerprint: str) -> None:
        """Gives the claim back: the refresh token was certainly not spent."""
        ...

    def mark_needs_reauth(self, reason: str, refresh_token_fingerprint: str) -> None:
        """A person must connect again; `reason` holds no secrets. Only if the stored pair still has this fingerprint:
        a person may have connected again meanwhile. The claim stays until the next `save`."""
        ...


class RateGate(Protocol):
    """One gate per account, shared by all processes."""

    def wait_turn(self) -> None:
        """Blocks until this process may send one request; raises Blocked (retry_after_s) while the circuit is open."""
        ...

    def pause(self, seconds: float) -> None:
        """Nobody sends for so long (after a 429)."""
        ...

    def open_circuit(self, seconds: float, reason: str) -> None:
        """All calls fail at once for so long (after a ban)."""
        ...


class Directory(Protocol):
    """A cache of ids found in the account: fields, segments. Losing it costs requests, nothing else."""

    def get(self, name: str) -> Mapping[str, Any] | None: ...

    def put(self, name: str, content: Mapping[str, Any]) -> None: ...
