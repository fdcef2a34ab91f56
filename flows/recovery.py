"""After a lost key: the database takes the present one, what the old one sealed is given up. Points are untouched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.crm_access import NAME
from storage import access, installation

if TYPE_CHECKING:
    from flows.runtime import Runtime


def accept_key(rt: Runtime) -> None:
    """The stored CRM tokens cannot be read any more: they wait for a person to connect again."""
    now = rt.now()
    with rt.db.begin() as tx:
        installation.set_key_fingerprint(tx, rt.keys.fingerprints[0], now=now)
        access.mark_tokens(tx, NAME, state="needs_reauth", reason="ключ шифрования заменён", now=now)
