"""Google says that a card was saved or deleted: is it Google, is it new, and what follows.

Of what is forged nothing is kept. A message is remembered by its nonce until it expires: its repetition does nothing.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Literal

import structlog

from connector.errors import BadSignature
from storage import apple as cards_by_serial
from storage import google as google_storage
from storage import outbox
from wallet.errors import ForgedCallbackError, UnknownSignerError
from wallet.google_callback import BODY_BYTES_MAX, SaveEvent, verified

if TYPE_CHECKING:
    import sqlalchemy as sa

    from flows.runtime import Runtime
    from flows.wallets import Google

__all__ = ["BODY_BYTES_MAX", "receive"]

FORGET_STEP = 20
"""Old nonces that each message takes with it: more than one, so the table does not grow."""

Outcome = Literal["save", "del", "repeated", "late", "unknown"]

_log = structlog.get_logger(__name__)


def receive(rt: Runtime, body: bytes) -> Outcome:
    """Takes one callback. `late`: a younger one was here before; `unknown`: a card that is not of this shop. Raises
    BadSignature; ConnectorError when Google's keys cannot be had now, and LookupError without an issuer."""
    google = rt.google
    if google is None:
        raise LookupError("no Google issuer")
    event = _verified(rt, google, body)
    outcome = rt.db.run(lambda tx: _apply(tx, rt, google, event))
    if outcome == "save":
        rt.bell.ring("outbox", 0)
    _log.info("google_callback", outcome=outcome)
    return outcome


def _verified(rt: Runtime, google: Google, body: bytes) -> SaveEvent:
    now = rt.now()
    try:
        try:
            return verified(body, root_keys=google.keys.current(now), issuer_id=google.issuer_id, now=now)
        except UnknownSignerError:  # Google changes its keys from time to time
            return verified(body, root_keys=google.keys.refreshed(now), issuer_id=google.issuer_id, now=now)
    except ForgedCallbackError as failure:
        raise BadSignature(f"google callback: {failure}") from failure


def _apply(tx: sa.Connection, rt: Runtime, google: Google, event: SaveEvent) -> Outcome:
    now = rt.now()
    google_storage.forget_nonces(tx, before=now, limit=FORGET_STEP)
    if not google_storage.is_first(tx, sha256(event.nonce.encode()).digest(), expires_at=event.expires_at):
        google_storage.count_callback(tx, "repeated")
        return "repeated"
    outcome = _note(tx, google, event)
    # A saved one may say what was true when it was deleted; beside a deleted one a merged card comes alive again.
    if outcome in ("save", "del"):
        member_id = _member_of(tx, google, event)
        outbox.add(tx, "google", [] if member_id is None else [member_id], now=now)
    google_storage.count_callback(tx, outcome)
    return outcome


def _note(tx: sa.Connection, google: Google, event: SaveEvent) -> Outcome:
    member_id = _member_of(tx, google, event)
    if member_id is None:
        return "unknown"
    is_saved = event.event == "save"
    return event.event if google_storage.note_event(tx, member_id, is_saved=is_saved, at_ms=event.at_ms) else "late"


def _member_of(tx: sa.Connection, google: Google, event: SaveEvent) -> int | None:
    prefix = google.object_id("")
    if event.class_id != google.class_id or not event.object_id.startswith(prefix):
        return None
    serial = event.object_id.removeprefix(prefix)
    return cards_by_serial.member_with_serial(tx, serial) if serial.isascii() and serial.isalnum() else None
