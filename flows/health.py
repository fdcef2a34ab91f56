"""How the installation is doing: facts for /readyz, /metrics, the console and `kopilka doctor`. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows import queue
from flows.crm_access import NAME as CRM_NAME
from storage import access, boxes, installation, members, outbox, schema, verify
from storage.db import DatabaseAway

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from flows.runtime import Runtime
    from storage.verify import Verdict


@dataclass(frozen=True)
class Readiness:
    """`is_ready`: hooks can be stored. Without Redis everything still happens, at the sweep's pace."""

    is_ready: bool
    database: str
    redis: str


@dataclass(frozen=True)
class Facts:
    """Numbers of the moment. Ages in seconds. `crm_behind`: members whose contact does not show the ledger yet."""

    members: int
    inbox: Mapping[str, int]
    outbox: Mapping[str, int]
    inbox_oldest_s: float
    outbox_oldest_s: float
    crm_state: str
    crm_reason: str | None
    crm_closed_s: float
    heartbeats: Mapping[str, datetime]
    crm_behind: int = 0


def readiness(rt: Runtime) -> Readiness:
    try:
        revision = schema.current(rt.db)
        database = "ok" if revision == schema.expected() else f"схема {revision}, нужна {schema.expected()}"
    except DatabaseAway:
        database = "недоступна"
    redis = "ok" if queue.is_reachable(rt.settings.redis_url) else "недоступен"
    return Readiness(database == "ok", database, redis)


def facts(rt: Runtime) -> Facts:
    """Raises DatabaseAway."""
    now = rt.now()
    with rt.db.begin() as tx:
        tokens = access.load_tokens(tx, CRM_NAME)
        return Facts(
            members=members.count(tx),
            inbox=boxes.counts(tx, "inbox"),
            outbox=boxes.counts(tx, "outbox"),
            inbox_oldest_s=boxes.oldest_waiting_s(tx, "inbox", now=now),
            outbox_oldest_s=boxes.oldest_waiting_s(tx, "outbox", now=now),
            crm_state=_crm_state(rt, None if tokens is None else tokens.state),
            crm_reason=None if tokens is None else tokens.reason,
            crm_closed_s=access.gate_closed_s(tx, CRM_NAME),
            heartbeats=installation.heartbeats(tx),
            crm_behind=outbox.behind(tx, "crm"),
        )


def verify_ledger(rt: Runtime) -> Verdict:
    """The whole book, recounted from its transfers."""
    with rt.db.begin() as tx:
        return verify.verify(tx)


def _crm_state(rt: Runtime, stored: str | None) -> str:
    if rt.crm is None:
        return "not_configured"
    if rt.crm_names.token is not None:
        return "ok"
    return stored or "not_connected"
