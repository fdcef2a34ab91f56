"""Who may open the console: whoever holds `Runtime.console_link()`. The link gives a signed cookie, the cookie expires.

The cookie holds nothing but its end; link, cookie and form tokens are derived from SECRET_KEY, so a new key without the
old one closes every door at once. Knows nothing of pages.
"""

from __future__ import annotations

import hmac
from datetime import timedelta
from typing import TYPE_CHECKING

from itsdangerous import BadSignature, Signer

if TYPE_CHECKING:
    from flows.runtime import Runtime

COOKIE = "kopilka_console"
PATH = "/console/"
LINK_PARAMETER = "k"
STAY = timedelta(hours=12)

_PURPOSE = "console"
_COOKIE_PURPOSE = "console cookie"


def is_link(rt: Runtime, given: str) -> bool:
    """Whether this is the secret part of the link, by any key in force."""
    return rt.keys.is_secret_path(_PURPOSE, given)


def new_cookie(rt: Runtime) -> str:
    """The value of a cookie that is good for STAY."""
    until = int((rt.now() + STAY).timestamp())
    return _signer(rt, "stay").sign(str(until)).decode()


def is_cookie(rt: Runtime, given: str) -> bool:
    """Signed by us and not over."""
    try:
        until = int(_signer(rt, "stay").unsign(given))
    except (BadSignature, ValueError):
        return False
    return rt.now().timestamp() < until


def form_token(rt: Runtime, cookie: str) -> str:
    """What a form of this visit carries: another site can neither read nor make it."""
    return _signer(rt, "form").get_signature(cookie).decode()


def is_form_token(rt: Runtime, cookie: str, given: str) -> bool:
    return hmac.compare_digest(form_token(rt, cookie).encode(), given.encode(errors="replace"))


def _signer(rt: Runtime, salt: str) -> Signer:
    return Signer(rt.keys.secret_path(_COOKIE_PURPOSE), salt=f"kopilka console {salt}")
