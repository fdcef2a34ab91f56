"""What the books say of a span of time, for the comparison with acquirers and CRM. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from loyalty.events import RefundFacts
from loyalty.reconciliation import Known
from storage.payments import COLUMNS, Payment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

_BY_REFS = sa.text(
    f"""
    SELECT p.refunded_kopecks AS told_back_kopecks, {COLUMNS} FROM payment p
    WHERE acquirer = :acquirer AND payment_ref = ANY(:refs)
    """  # noqa: S608
)
_REFUNDS = sa.text("SELECT payment_id, ref, kopecks, kind, is_undone FROM payment_refund WHERE payment_id = ANY(:ids)")
_TIME = "COALESCE(p.captured_at, p.created_at)"
_SPAN = f"""
    FROM payment p
    WHERE acquirer = :acquirer AND {_TIME} >= :since AND {_TIME} < :until
        AND ({_TIME}, p.id) > (:after_at, :after_id)
    """
_FROZEN = "AND status = 'authorised' AND captured_kopecks = 0"
_IN_ORDER = f"ORDER BY {_TIME}, p.id LIMIT :limit"
_OF_SPAN = sa.text(f"SELECT {COLUMNS} {_SPAN} {_IN_ORDER}")
_HELD = sa.text(f"SELECT {COLUMNS} {_SPAN} {_FROZEN} {_IN_ORDER}")
_LEFT = sa.text(f"SELECT count(*) {_SPAN}")
_PAID_ELSEWHERE = sa.text(
    """
    SELECT o.counted_at, o.id FROM orders o
    WHERE o.is_stage_paid AND o.is_kept AND o.counted_at >= :since AND o.counted_at < :until
        AND (o.counted_at, o.id) > (:after_at, :after_id) AND NOT EXISTS (SELECT FROM payment p WHERE p.order_id = o.id)
    ORDER BY o.counted_at, o.id LIMIT :limit
    """
)
_KEPT = sa.text("SELECT state, outcome FROM inbox WHERE id = :id")


def by_refs(tx: sa.Connection, acquirer: str, refs: Sequence[str]) -> dict[str, tuple[Payment, Known]]:
    """Payments that are known, by the acquirer's names for them."""
    rows = [(row[0], Payment(*row[1:])) for row in tx.execute(_BY_REFS, {"acquirer": acquirer, "refs": list(refs)})]
    refunds: dict[int, dict[str, RefundFacts]] = {payment.id: {} for _, payment in rows}
    for payment_id, *refund in tx.execute(_REFUNDS, {"ids": list(refunds)}):
        one = RefundFacts(*refund)
        refunds[payment_id][one.ref] = one
    return {
        payment.payment_ref: (
            payment,
            Known(payment.captured_kopecks, told_back, payment.is_refund_total, refunds[payment.id], payment.status),
        )
        for told_back, payment in rows
    }


Place = tuple["datetime", int]
"""Where a walk over payments goes on: after the payment of this time and id."""


def place(payment: Payment) -> Place:
    return payment.captured_at or payment.created_at, payment.id


def of_span(
    tx: sa.Connection,
    acquirer: str,
    *,
    since: datetime,
    until: datetime,
    after: Place | None,
    limit: int,
    held: bool = False,
) -> list[Payment]:
    """Payments captured (or, while nothing is, first heard of) in [since, until), oldest first; `held`: only those
    whose money is frozen and not taken yet."""
    parameters = {**_span(acquirer, since, until, after), "limit": limit}
    return [Payment(*row) for row in tx.execute(_HELD if held else _OF_SPAN, parameters)]


def count_left(tx: sa.Connection, acquirer: str, *, since: datetime, until: datetime, after: Place) -> int:
    return int(tx.execute(_LEFT, _span(acquirer, since, until, after)).scalar_one())


def kept(tx: sa.Connection, inbox_id: int) -> tuple[str, str]:
    """State and outcome of a row of the inbox."""
    row = tx.execute(_KEPT, {"id": inbox_id}).one()
    return row.state, row.outcome or ""


def paid_elsewhere(
    tx: sa.Connection, *, since: datetime, until: datetime, after: Place | None, limit: int
) -> list[Place]:
    """Orders first counted in [since, until) because their stage says paid, with no payment at any acquirer, oldest
    first: when, and which."""
    after_at, after_id = after or (since, 0)
    parameters = {"since": since, "until": until, "after_at": after_at, "after_id": after_id, "limit": limit}
    return [(row.counted_at, int(row.id)) for row in tx.execute(_PAID_ELSEWHERE, parameters)]


def _span(acquirer: str, since: datetime, until: datetime, after: Place | None) -> dict[str, object]:
    after_at, after_id = after or (since, 0)
    return {"acquirer": acquirer, "since": since, "until": until, "after_at": after_at, "after_id": after_id}
