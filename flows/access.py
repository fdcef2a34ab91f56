"""Who may call our API, what each caller may do, and how often.

Tokens are made once, shown once and stored as digests. A token's channel becomes the channel of the orders it brings.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, get_args

from flows.keys import token_digest
from storage import api_tokens

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from flows.runtime import Runtime
    from storage.api_tokens import Token

Scope = Literal["read", "quote", "hold", "order", "refund", "member", "adjust"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
SCOPE_WORDS = {
    "read": "читать участников, выписки и заказы",
    "quote": "считать заказ, ничего не меняя",
    "hold": "резервировать баллы и снимать резерв",
    "order": "сообщать об оплате заказа",
    "refund": "сообщать о возврате",
    "member": "заводить участников",
    "adjust": "править баллы и сегмент вручную, поощрять, объединять участников",
}
DEFAULT_SCOPES: tuple[Scope, ...] = ("read",)
DEFAULT_CHANNEL = "api"
FOREIGN_CHANNELS = frozenset({"crm"})
"""Channels that are not a token's to take: orders of the CRM come from the CRM."""

TOKEN_BYTES = 32
TOKEN_PREFIX = "kop_"  # noqa: S105 - shown to people, so that a leaked token is recognised
TOKEN_CHARS_MAX = 100
NAME_CHARS_MAX = 64
CALLS_PER_SECOND = 20
"""What one token may call on average, over the window."""
WINDOW_S = 10
NOTED_EVERY = timedelta(minutes=1)
"""How exactly it is known when a token was used last."""

_CHANNEL = re.compile(r"[a-z][a-z0-9_-]{0,31}")


class BadToken(ValueError):
    """A token cannot be made like this; the text says in Russian why."""


@dataclass(frozen=True)
class Caller:
    """The holder of a valid token."""

    id: int
    name: str
    scopes: tuple[str, ...]
    channel: str

    @property
    def actor(self) -> str:
        """How the caller signs what it does."""
        return f"API: {self.name}"


@dataclass(frozen=True)
class Admission:
    """A caller at the door; `wait_s` > 0: it has called too often and may come back then."""

    caller: Caller
    wait_s: float


def create_token(
    rt: Runtime, name: str, scopes: Collection[str] = DEFAULT_SCOPES, channel: str = DEFAULT_CHANNEL
) -> str:
    """A new token for caller `name`; an earlier one of that name stops working. Raises BadToken."""
    if not (0 < len(name) <= NAME_CHARS_MAX and name.isprintable() and name == name.strip()):
        raise BadToken(f"Имя ключа: от 1 до {NAME_CHARS_MAX} печатных знаков")
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        wrong = f"нет права {', '.join(unknown)}" if unknown else "не названо ни одного"
        raise BadToken(f"Права ключа: {', '.join(SCOPES)}; {wrong}")
    if not _CHANNEL.fullmatch(channel) or channel in FOREIGN_CHANNELS:
        raise BadToken("Канал: латинские буквы, цифры, - и _, например site, till, telegram; crm занят")
    token = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    with rt.db.begin() as tx:
        api_tokens.add(tx, name=name, digest=token_digest(token), scopes=scopes, channel=channel, now=rt.now())
    return token


def tokens(rt: Runtime) -> Sequence[Token]:
    """Every token by name, without the tokens themselves."""
    with rt.db.begin() as tx:
        return api_tokens.everyone(tx)


def revoke_token(rt: Runtime, name: str) -> bool:
    """The token of this name stops working at once. False: there is none that works."""
    with rt.db.begin() as tx:
        return api_tokens.revoke(tx, name, now=rt.now())


def admit(rt: Runtime, token: str, *, per_second: int = CALLS_PER_SECOND) -> Admission | None:
    """The caller behind a token, counted once more; None if the token is not valid."""
    if not token or len(token) > TOKEN_CHARS_MAX:
        return None
    with rt.db.autocommit() as single:
        found = api_tokens.admit(single, token_digest(token), window_s=WINDOW_S, noted_every=NOTED_EVERY, now=rt.now())
    if found is None:
        return None
    wait_s = found.resets_in_s if found.used > per_second * WINDOW_S else 0.0
    return Admission(Caller(found.id, found.name, found.scopes, found.channel), wait_s)
