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
_OF_SPAN = sa.text(
    f"""
    SELECT {COLUMNS} FROM payment p
    WHERE acquirer = :acquirer AND COALESCE(captured_at, created_at) >= :since
        AND COALESCE(captured_at, created_at) < :until AND id > :after
    ORDER BY id LIMIT :limit
    """  # noqa: S608
)
_HELD = sa.text(
    f"""
    SELECT {COLUMNS} FROM payment p
    WHERE acquirer = :acquirer AND status = 'authorised' AND captured_kopecks = 0
        AND COALESCE(captured_at, created_at) >= :since AND COALESCE(captured_at, created_at) < :until AND id > :after
    ORDER BY id LIMIT :limit
    """  # noqa: S608
)
_PAID_ELSEWHERE = sa.text(
    """
    SELECT o.id FROM orders o
    WHERE o.is_stage_paid AND o.is_kept AND o.counted_at >= :since AND o.counted_at < :until AND o.id > :after
        AND NOT EXISTS (SELECT FROM payment p WHERE p.order_id = o.id)
    ORDER BY o.id LIMIT :limit
    """
)


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
            Known(payment.captured_kopecks, told_back, payment.is_refund_total, refunds[payment.id]),
        )
        for told_back, payment in rows
    }


def of_span(
    tx: sa.Connection, acquirer: str, *, since: datetime, until: datetime, after: int, limit: int, held: bool = False
) -> list[Payment]:
    """Payments captured (or, while nothing is, first heard of) in [since, until), by id; `held`: only those whose money
    is frozen and not taken yet."""
    parameters = {"acquirer": acquirer, "since": since, "until": until, "after": after, "limit": limit}
    return [Payment(*row) for row in tx.execute(_HELD if held else _OF_SPAN, parameters)]


def paid_elsewhere(tx: sa.Connection, *, since: datetime, until: datetime, after: int, limit: int) -> list[int]:
    """Orders first counted in [since, until) because their stage says paid, with no payment at any acquirer."""
    parameters = {"since": since, "until": until, "after": after, "limit": limit}
    return [int(order_id) for order_id in tx.execute(_PAID_ELSEWHERE, parameters).scalars()]
