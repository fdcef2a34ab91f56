"""Which hosts are amoCRM's, and where the owner gives us access.

Owns the list of hosts that may see our secrets: those of amocrm.ru, amocrm.com and kommo.com, or a simulator on this
machine where one is configured. Implements sections 1.1 and 9 of the amoCRM reference. Opens no connection.
"""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlencode, urlsplit

from connector.errors import NotConfigured

GrantMode = Literal["popup", "post_message"]

_HOST = re.compile(r"[a-z0-9-]{1,63}\.(amocrm\.(ru|com)|kommo\.com)")
_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
_MAX_HOST_CHARS = 100


def base_url_for(account: str, *, override: str | None = None) -> str:
    """`example`, `example.amocrm.ru` or its URL -> `https://example.amocrm.ru`.

    Raises NotConfigured for a foreign host: our token must go nowhere else. `override` is the address of a simulator
    on this machine.
    """
    if override is not None:
        return _loopback_url(override)
    host = account.strip().lower().removeprefix("https://").rstrip("/")
    host = host if "." in host else f"{host}.amocrm.ru"
    if _HOST.fullmatch(host) is None:
        raise NotConfigured("the CRM account must be a host of amocrm.ru, amocrm.com or kommo.com")
    return f"https://{host}"


def sibling_url(told: str, *, like: str) -> str | None:
    """The address of a host that somebody told us, if it may see our secrets; None if not.

    `like`: the address in use. A simulator's account moves within this machine only, a real one never to it.
    """
    text = told.strip().lower().removeprefix("https://").rstrip("/")
    if not text or len(text) > _MAX_HOST_CHARS:
        return None
    try:
        if urlsplit(like).hostname in _LOOPBACK_HOSTS:
            return _loopback_url(f"{urlsplit(like).scheme}://{text.removeprefix('http://')}")
        return base_url_for(text) if "." in text else None
    except NotConfigured:
        return None


def grant_url(base_url: str, *, client_id: str, state: str, mode: GrantMode = "popup") -> str:
    """The page where the owner allows us in: on the common host of his amoCRM or Kommo."""
    host = urlsplit(base_url).hostname or ""
    common = base_url if host in _LOOPBACK_HOSTS else f"https://www.{host.partition('.')[2]}"
    return f"{common}/oauth?{urlencode({'client_id': client_id, 'state': state, 'mode': mode})}"


def _loopback_url(address: str) -> str:
    try:
        parts = urlsplit(address)
        is_ours = parts.scheme in ("http", "https") and parts.hostname in _LOOPBACK_HOSTS and parts.username is None
        is_ours = is_ours and (parts.port is None or parts.port > 0)
    except ValueError:
        is_ours = False
    if not is_ours:
        raise NotConfigured("the CRM address may be overridden with an address of this machine only")
    return f"{parts.scheme}://{parts.netloc}"
