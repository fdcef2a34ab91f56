"""Payments of orders, as facts: sums only grow, whatever the order of the messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from loyalty.orders import PaymentTotals

if TYPE_CHECKING:
    from datetime import datetime

    from loyalty.events import PaymentFacts

_SAVE_PAYMENT = sa.text(
    """
    INSERT INTO payment AS p (acquirer, payment_ref, order_id, captured_kopecks, refunded_kopecks, is_refund_total,
        status, captured_at, created_at)
    VALUES (:acquirer, :payment_ref, :order_id, :captured, :refunded, :is_total, :status, :captured_at, :now)
    ON CONFLICT ON CONSTRAINT one_row_per_payment DO UPDATE SET
        captured_kopecks = GREATEST(p.captured_kopecks, EXCLUDED.captured_kopecks),
        refunded_kopecks = GREATEST(p.refunded_kopecks, EXCLUDED.refunded_kopecks),
        is_refund_total = p.is_refund_total OR EXCLUDED.is_refund_total,
        status = EXCLUDED.status,
        captured_at = LEAST(p.captured_at, EXCLUDED.captured_at)
    RETURNING order_id
    """
)


def deal_of(tx: sa.Connection, acquirer: str, payment_ref: str) -> int | None:
    """The deal this payment was matched to earlier."""
    statement = sa.text(
        """
        SELECT o.deal_ref FROM payment p JOIN orders o ON o.id = p.order_id
        WHERE p.acquirer = :acquirer AND p.payment_ref = :payment_ref
        """
    )
    return tx.execute(statement, {"acquirer": acquirer, "payment_ref": payment_ref}).scalar_one_or_none()


def save(tx: sa.Connection, order_id: int, facts: PaymentFacts, *, now: datetime) -> int:
    """Merges what an acquirer says of one payment into what is known: totals only grow. Returns the order that the
    payment has belonged to since it was first heard of."""
    return int(
        tx.execute(
            _SAVE_PAYMENT,
            {
                "acquirer": facts.acquirer,
                "payment_ref": facts.payment_ref,
                "order_id": order_id,
                "captured": facts.captured_kopecks,
                "refunded": facts.refunded_kopecks,
                "is_total": facts.refund_is_total,
                "status": facts.status,
                "captured_at": (facts.occurred_at or now) if facts.captured_kopecks else None,
                "now": now,
            },
        ).scalar_one()
    )


def moved_money(tx: sa.Connection, order_id: int) -> bool:
    """Whether any payment of the order has moved money, there or back."""
    statement = sa.text(
        """
        SELECT EXISTS (SELECT 1 FROM payment WHERE order_id = :id
            AND (captured_kopecks > 0 OR refunded_kopecks > 0 OR is_refund_total))
        """
    )
    return bool(tx.execute(statement, {"id": order_id}).scalar_one())


def totals(tx: sa.Connection, order_id: int) -> tuple[tuple[PaymentTotals, ...], datetime | None]:
    """The order's payments and the instant of the newest captured one: the fact that new points are dated by."""
    found = tx.execute(
        sa.text(
            "SELECT captured_kopecks, refunded_kopecks, is_refund_total, captured_at FROM payment WHERE order_id = :id"
        ),
        {"id": order_id},
    ).all()
    totals = tuple(PaymentTotals(row.captured_kopecks, row.refunded_kopecks, row.is_refund_total) for row in found)
    return totals, max((row.captured_at for row in found if row.captured_at), default=None)
