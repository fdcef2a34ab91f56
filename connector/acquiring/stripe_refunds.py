"""Stripe's refunds and disputes as returns of money.

Owns which of their states have moved money. Where they come from is `stripe.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from connector.acquiring.reading import matching
from connector.money import kopecks_from_int
from loyalty.events import RefundFacts

_REF = re.compile(r"[A-Za-z0-9_]{1,100}")
# Whether the money is the shop's again. A status that is not here has moved none: warning_…, prevented.
_IS_UNDONE = {
    "refund": {"pending": False, "requires_action": False, "succeeded": False, "failed": True, "canceled": True},
    "dispute": {"needs_response": False, "under_review": False, "lost": False, "won": True},
}


def refund_facts(thing: Mapping[str, Any]) -> RefundFacts | None:
    """A refund or a dispute; None as long as it has moved no money."""
    kind = str(thing.get("object"))
    is_undone = _IS_UNDONE.get(kind, {}).get(str(thing.get("status")))
    if is_undone is None:
        return None
    kopecks = kopecks_from_int(thing.get("amount"))
    return RefundFacts(ref_of(thing.get("id")), kopecks, "chargeback" if kind == "dispute" else "refund", is_undone)


def as_object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def ref_of(value: object) -> str:
    return matching(_REF, value, "an id of Stripe")
