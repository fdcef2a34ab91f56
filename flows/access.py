"""Who may call our API: tokens are made once, shown once and stored as digests."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from flows.keys import token_digest
from storage import installation

if TYPE_CHECKING:
    from flows.runtime import Runtime

TOKEN_BYTES = 32
TOKEN_PREFIX = "kop_"  # noqa: S105 - shown to people, so that a leaked token is recognised
TOKEN_CHARS_MAX = 100


def create_token(rt: Runtime, name: str) -> str:
    """A new token for caller `name`; an earlier one of that name stops working."""
    token = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    with rt.db.begin() as tx:
        installation.add_api_token(tx, name=name, digest=token_digest(token), now=rt.now())
    return token


def caller(rt: Runtime, token: str) -> str | None:
    """The name behind a token, None if it is not valid."""
    if not token or len(token) > TOKEN_CHARS_MAX:
        return None
    with rt.db.begin() as tx:
        return installation.api_token_name(tx, token_digest(token))
