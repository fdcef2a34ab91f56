"""Payments as facts: sums only grow, whatever the order of the messages; refunds with a name count once each.

A payment whose order is not known yet is kept without one, with the deals it may belong to, until a person or a later
message says whose it is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from loyalty.orders import PaymentTotals

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from loyalty.events import PaymentFacts


@dataclass(frozen=True)
class Payment:
    """One payment as it stands: what was captured, what of it went back, as an acquirer tells it."""

    id: int
    acquirer: str
    payment_ref: str
    order_id: int | None
    captured_kopecks: int
    refunded_kopecks: int
    is_refund_total: bool
    status: str
    captured_at: datetime | None
    created_at: datetime
    inbox_id: int | None = None
    matched_by: str | None = None
    suggested: Sequence[dict[str, Any]] | None = None
    invoice_ref: int | None = None

    @property
    def totals(self) -> PaymentTotals:
        return PaymentTotals(self.captured_kopecks, self.refunded_kopecks, self.is_refund_total)


_SAVE_PAYMENT = sa.text(
    """
    INSERT INTO payment AS p (acquirer, payment_ref, order_id, captured_kopecks, refunded_kopecks, is_refund_total,
        status, captured_at, created_at, inbox_id, invoice_ref)
    VALUES (:acquirer, :payment_ref, :order_id, :captured, :refunded, :is_total, :status, :captured_at, :now, :inbox_id,
        :invoice_ref)
    ON CONFLICT ON CONSTRAINT one_row_per_payment DO UPDATE SET
        order_id = COALESCE(p.order_id, EXCLUDED.order_id),
        captured_kopecks = GREATEST(p.captured_kopecks, EXCLUDED.captured_kopecks),
        refunded_kopecks = GREATEST(p.refunded_kopecks, EXCLUDED.refunded_kopecks),
        is_refund_total = p.is_refund_total OR EXCLUDED.is_refund_total,
        status = EXCLUDED.status,
        captured_at = LEAST(p.captured_at, EXCLUDED.captured_at),
        inbox_id = COALESCE(EXCLUDED.inbox_id, p.inbox_id),
        invoice_ref = COALESCE(p.invoice_ref, EXCLUDED.invoice_ref)
    RETURNING id, order_id
    """
)
_SAVE_REFUND = sa.text(
    """
    INSERT INTO payment_refund AS r (payment_id, ref, kopecks, kind, is_undone, heard_at)
    VALUES (:payment_id, :ref, :kopecks, :kind, :is_undone, :now)
    ON CONFLICT (payment_id, ref) DO UPDATE SET kopecks = GREATEST(r.kopecks, EXCLUDED.kopecks),
        is_undone = r.is_undone OR EXCLUDED.is_undone
    """
)
COLUMNS = """
    p.id, p.acquirer, p.payment_ref, p.order_id, p.captured_kopecks,
    GREATEST(p.refunded_kopecks, COALESCE((SELECT sum(r.kopecks) FROM payment_refund r
        WHERE r.payment_id = p.id AND NOT r.is_undone), 0))::bigint AS refunded_kopecks,
    p.is_refund_total, p.status, p.captured_at, p.created_at, p.inbox_id, p.matched_by, p.suggested,
    p.invoice_ref
"""


def deal_of(tx: sa.Connection, acquirer: str, payment_ref: str) -> int | None:
    """The deal this payment was matched to earlier."""
    statement = sa.text(
        """
        SELECT o.deal_ref FROM payment p JOIN orders o ON o.id = p.order_id
        WHERE p.acquirer = :acquirer AND p.payment_ref = :payment_ref
        """
    )
    return tx.execute(statement, {"acquirer": acquirer, "payment_ref": payment_ref}).scalar_one_or_none()


def find(tx: sa.Connection, acquirer: str, payment_ref: str) -> Payment | None:
    statement = sa.text(f"SELECT {COLUMNS} FROM payment p WHERE acquirer = :acquirer AND payment_ref = :ref")  # noqa: S608
    row = tx.execute(statement, {"acquirer": acquirer, "ref": payment_ref}).one_or_none()
    return None if row is None else Payment(*row)


def save(
    tx: sa.Connection, order_id: int | None, facts: PaymentFacts, *, now: datetime, inbox_id: int | None = None
) -> int | None:
    """Merges what an acquirer says of one payment into what is known: totals only grow. Returns the order that the
    payment has belonged to since it was first matched, None if it belongs to none yet."""
    row = tx.execute(
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
            "inbox_id": inbox_id,
            "invoice_ref": facts.invoice_ref,
        },
    ).one()
    refunds = [
        {**vars(one), "payment_id": row.id, "now": now} for one in sorted(facts.refunds, key=lambda one: one.ref)
    ]
    if refunds:
        tx.execute(_SAVE_REFUND, refunds)
    return None if row.order_id is None else int(row.order_id)


def suggest(tx: sa.Connection, acquirer: str, payment_ref: str, suggested: Sequence[dict[str, Any]]) -> None:
    """The deals a payment without an order may belong to."""
    tx.execute(
        sa.text(
            "UPDATE payment SET suggested = CAST(:suggested AS jsonb) WHERE acquirer = :acquirer AND payment_ref = :ref"
        ),
        {"suggested": json.dumps(list(suggested)), "acquirer": acquirer, "ref": payment_ref},
    )


def match(tx: sa.Connection, payment_id: int, order_id: int, *, by: str) -> bool:
    """Says to which order a payment belongs. False: it belongs to one already."""
    statement = sa.text(
        """
        UPDATE payment SET order_id = :order_id, matched_by = :by, suggested = NULL WHERE id = :id AND order_id IS NULL
        """
    )
    return tx.execute(statement, {"id": payment_id, "order_id": order_id, "by": by}).rowcount > 0


def unmatched(tx: sa.Connection, *, limit: int) -> list[Payment]:
    """Payments without an order, oldest first."""
    statement = sa.text(f"SELECT {COLUMNS} FROM payment p WHERE order_id IS NULL ORDER BY id LIMIT :limit")  # noqa: S608
    return [Payment(*row) for row in tx.execute(statement, {"limit": limit})]


def moved_money(tx: sa.Connection, order_id: int) -> bool:
    """Whether any payment of the order has moved money, there or back."""
    return any(payment.totals.moved_money for payment in of_order(tx, order_id))


def of_order(tx: sa.Connection, order_id: int) -> list[Payment]:
    """The order's payments, oldest first."""
    statement = sa.text(f"SELECT {COLUMNS} FROM payment p WHERE order_id = :id ORDER BY id")  # noqa: S608
    return [Payment(*row) for row in tx.execute(statement, {"id": order_id})]


def totals(tx: sa.Connection, order_id: int) -> tuple[tuple[PaymentTotals, ...], datetime | None]:
    """The order's payments and the instant of the newest captured one: the fact that new points are dated by."""
    found = of_order(tx, order_id)
    captured_at = max((payment.captured_at for payment in found if payment.captured_at is not None), default=None)
    return tuple(payment.totals for payment in found), captured_at
