"""What only an installation needs of amoCRM: who the token's user is, what there is to match names against, and a deal
of our own to see whether hooks arrive.

Owns their wire format. Implements sections 1.6, 4.1, 4.8 and 10.15 of the amoCRM reference.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

from connector.amocrm.api import Api
from connector.amocrm.leads import LOST_STATUS_ID
from connector.amocrm.reading import embedded, ids_in_order, text, whole

MAX_SIGNED_CHARS = 200


@dataclass(frozen=True)
class CrmUser:
    """A user of the account; calls with his token may do what he may."""

    id: int
    name: str = field(repr=False)
    is_admin: bool
    is_active: bool


def user(api: Api, user_id: int) -> CrmUser | None:
    """Needs admin rights. None when there is no such user."""
    row = api.request("GET", f"/users/{user_id}")
    if row is None:
        return None
    rights = row.get("rights")
    told = rights if isinstance(rights, dict) else {}
    return CrmUser(
        id=whole(row, "id"),
        name=text(row, "name"),
        is_admin=told.get("is_admin") is True,
        is_active=told.get("is_active") is not False,
    )


def find_probe(api: Api, name: str) -> int | None:
    """The oldest deal that is named so; None when there is none. Search is by substring, hence the comparison."""
    answer = api.request("GET", "/leads", query={"query": name, "limit": 50})
    rows = [row for row in embedded(answer, "leads") if row.get("is_deleted") is not True]
    return min((whole(row, "id") for row in rows if text(row, "name").startswith(name)), default=None)


def create_probe(api: Api, name: str, pipeline_id: int) -> int:
    """A deal that is lost from its first moment: it never stands among the managers' deals. Not idempotent."""
    row = {"name": name, "pipeline_id": pipeline_id, "status_id": LOST_STATUS_ID, "price": 0, "request_id": "probe"}
    return ids_in_order(api.request("POST", "/leads", body=[row]), ["probe"], "leads")[0]


def rename_probe(api: Api, deal_id: int, name: str) -> None:
    """Repeating it is harmless, but only a change makes amoCRM send a hook."""
    api.request("PATCH", f"/leads/{deal_id}", body={"name": name})


def uninstall_signature(client_secret: str, *, client_uuid: str, account_id: str) -> str:
    """How amoCRM signs the hook of an uninstalled integration."""
    message = f"{client_uuid}|{account_id}".encode(errors="replace")
    return hmac.new(client_secret.encode(), message, hashlib.sha256).hexdigest()


def is_genuine_uninstall(client_secret: str, *, client_uuid: str, account_id: str, signature: str) -> bool:
    if max(len(client_uuid), len(account_id), len(signature)) > MAX_SIGNED_CHARS:
        return False
    right = uninstall_signature(client_secret, client_uuid=client_uuid, account_id=account_id)
    return hmac.compare_digest(right.encode(), signature.strip().lower().encode(errors="replace"))
