"""How the installation is doing: facts for /readyz, /metrics, the console and `kopilka doctor`. Reads only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flows import queue
from flows.crm_access import NAME as CRM_NAME
from storage import access, apple, apple_phones, boxes, data_requests, installation, members, outbox, schema, verify
from storage import google as google_storage
from storage.db import DatabaseAway

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import sqlalchemy as sa

    from flows.runtime import Runtime
    from flows.wallets import Google
    from storage.verify import Verdict


@dataclass(frozen=True)
class Readiness:
    """`is_ready`: hooks can be stored. Without Redis everything still happens, at the sweep's pace."""

    is_ready: bool
    database: str
    redis: str


@dataclass(frozen=True)
class Facts:
    """Numbers of the moment. Ages in seconds. `crm_behind`: members whose contact does not show the ledger yet,
    `crm_stale_s`: for how long that of the worst of them."""

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
    crm_stale_s: float = 0.0
    google: GoogleFacts | None = None
    apple_phones: int = 0
    apple_pushes: Mapping[str, int] = field(default_factory=dict)
    data_requests: int = 0
    data_requests_oldest_s: float = 0.0


@dataclass(frozen=True)
class GoogleFacts:
    """Objects at Google, cards that were saved and deleted again, objects that say something old and for how long the
    worst of them; what became of callbacks."""

    made: int
    saved: int
    deleted: int
    behind: int
    stale_s: float
    callbacks: Mapping[str, int]
    review_status: str | None


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
        crm_behind, crm_stale_s = outbox.behind(tx, "crm", now=now)
        wishes, wished_at = data_requests.waiting(tx)
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
            crm_behind=crm_behind,
            crm_stale_s=crm_stale_s,
            google=None if rt.google is None else _google(tx, rt.google, now),
            apple_phones=apple_phones.count(tx),
            apple_pushes=apple.pushes(tx),
            data_requests=wishes,
            data_requests_oldest_s=0.0 if wished_at is None else (now - wished_at).total_seconds(),
        )


def _google(tx: sa.Connection, google: Google, now: datetime) -> GoogleFacts:
    totals = google_storage.totals(tx)
    behind, stale_s = outbox.behind(tx, "google", now=now)
    return GoogleFacts(
        totals.made,
        totals.saved,
        totals.deleted,
        behind,
        stale_s,
        google_storage.callback_counts(tx),
        google_storage.class_state(tx, google.class_id).review_status,
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
