"""What the reconciliation found at an acquirer, as a row of the inbox: from there it goes the way of every callback.

Owns the row's source, its name and its bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from loyalty.events import PaymentFacts
from storage import boxes, inbox, reconciling

if TYPE_CHECKING:
    from datetime import datetime

    import sqlalchemy as sa


SOURCE = "reconciled"


@dataclass(frozen=True)
class Found:
    """Either `facts` that our books lack, or a `question` that a person must answer about the payment."""

    acquirer: str
    payment_ref: str
    facts: PaymentFacts | None = None
    question: str = ""


_FOUND = TypeAdapter(Found)


class NotFacts(Exception):
    """The bytes are not what `keep` has written: an older version's, or forgotten after 90 days."""


def keep(tx: sa.Connection, found: Found, *, now: datetime) -> str | None:
    """The same finding is kept once, however often it is found. Facts that were worked and are lacking all the same are
    worked again. Returns the outcome of a finding that is parked already: a person must look at it."""
    body = _FOUND.dump_json(found)
    digest = hashlib.blake2b(body, digest_size=12).hexdigest()
    name = f"{found.acquirer}:{found.payment_ref}:{digest}"
    stored = inbox.add(tx, source=SOURCE, external_id=name, body=body, is_hint=False, now=now)
    state, outcome = reconciling.kept(tx, stored.id)
    if state == "done" and found.facts is not None:
        boxes.replay(tx, "inbox", stored.id, now=now)
    return outcome if state == "parked" else None


def read(body: bytes) -> Found:
    """Raises NotFacts."""
    try:
        return _FOUND.validate_json(body)
    except ValidationError as failure:
        raise NotFacts("not a finding of the reconciliation") from failure
