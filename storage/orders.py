"""Orders (the CRM's deals) and their payments, as facts: sums only grow, the newest state of the deal wins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from loyalty.orders import PaymentTotals

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from loyalty.events import PaymentFacts


@dataclass(frozen=True)
class Order:
    """`rules_version` is pinned by the first accrual; `paid_at` is the first fact that made the order earn."""

    id: int
    deal_ref: int
    member_id: int | None
    price_kopecks: int
    is_stage_paid: bool
    kept_kopecks: int
    paid_at: datetime | None
    revision: int
    rules_version: str | None
    noted_points: int
    noting_revision: int

    @property
    def is_untouched(self) -> bool:
        """Nothing was ever counted for it: its buyer may still change."""
        return self.revision == 0 and self.kept_kopecks == 0


_COLUMNS = (
    "id, deal_ref, member_id, price_kopecks, is_stage_paid, kept_kopecks, paid_at, revision, "
    "rules_version, noted_points, noting_revision"
)
# Locks leave the key alone: whoever posts a transfer about an order must not wait for whoever works that order, or two
# orders of one member (or an order and the sweep) would wait for each other.
_OPEN = sa.text(
    f"""
    INSERT INTO orders (deal_ref, created_at) VALUES (:deal_ref, :now)
    ON CONFLICT ON CONSTRAINT one_order_per_deal DO UPDATE SET created_at = orders.created_at
    RETURNING {_COLUMNS}
    """  # noqa: S608
)
_FIND = sa.text(f"SELECT {_COLUMNS} FROM orders WHERE deal_ref = :deal_ref FOR NO KEY UPDATE")  # noqa: S608
_BY_IDS = sa.text(f"SELECT {_COLUMNS} FROM orders WHERE id = ANY(:ids)")  # noqa: S608
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


def open_order(tx: sa.Connection, deal_ref: int, *, now: datetime) -> Order:
    """The order of this deal, locked; made empty if it is new."""
    return _order(tx.execute(_OPEN, {"deal_ref": deal_ref, "now": now}).one())


def by_ids(tx: sa.Connection, ids: Iterable[int]) -> dict[int, Order]:
    return {row.id: _order(row) for row in tx.execute(_BY_IDS, {"ids": list(ids)})}


def find(tx: sa.Connection, deal_ref: int) -> Order | None:
    """The order of this deal, locked; None if nothing was ever recorded for it."""
    row = tx.execute(_FIND, {"deal_ref": deal_ref}).one_or_none()
    return None if row is None else _order(row)


def of_payment(tx: sa.Connection, acquirer: str, payment_ref: str) -> int | None:
    """The deal this payment was matched to earlier."""
    statement = sa.text(
        """
        SELECT o.deal_ref FROM payment p JOIN orders o ON o.id = p.order_id
        WHERE p.acquirer = :acquirer AND p.payment_ref = :payment_ref
        """
    )
    return tx.execute(statement, {"acquirer": acquirer, "payment_ref": payment_ref}).scalar_one_or_none()


def save_payment(tx: sa.Connection, order_id: int, facts: PaymentFacts, *, now: datetime) -> int:
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


def payment_totals(tx: sa.Connection, order_id: int) -> tuple[tuple[PaymentTotals, ...], datetime | None]:
    """The order's payments and the instant of the newest captured one: the fact that new points are dated by."""
    found = tx.execute(
        sa.text(
            "SELECT captured_kopecks, refunded_kopecks, is_refund_total, captured_at FROM payment WHERE order_id = :id"
        ),
        {"id": order_id},
    ).all()
    totals = tuple(PaymentTotals(row.captured_kopecks, row.refunded_kopecks, row.is_refund_total) for row in found)
    return totals, max((row.captured_at for row in found if row.captured_at), default=None)


def save_deal(tx: sa.Connection, order_id: int, *, member_id: int, price_kopecks: int, is_stage_paid: bool) -> None:
    """What the CRM says of the deal now. An order stays with the member it was first counted for."""
    tx.execute(
        sa.text(
            """
            UPDATE orders SET price_kopecks = :price, is_stage_paid = :is_stage_paid,
                member_id = CASE WHEN revision = 0 AND kept_kopecks = 0 THEN :member_id
                                 ELSE COALESCE(member_id, :member_id) END
            WHERE id = :id
            """
        ),
        {"id": order_id, "member_id": member_id, "price": price_kopecks, "is_stage_paid": is_stage_paid},
    )


def save_result(
    tx: sa.Connection,
    order_id: int,
    *,
    kept_kopecks: int,
    paid_at: datetime | None,
    revision: int,
    rules_version: str | None,
) -> None:
    tx.execute(
        sa.text(
            """
            UPDATE orders SET kept_kopecks = :kept, paid_at = :paid_at, revision = :revision,
                rules_version = :rules_version
            WHERE id = :id
            """
        ),
        {
            "id": order_id,
            "kept": kept_kopecks,
            "paid_at": paid_at,
            "revision": revision,
            "rules_version": rules_version,
        },
    )


def save_noted(tx: sa.Connection, order_id: int, noted_points: int) -> None:
    """The total the deal's feed was last told."""
    tx.execute(
        sa.text("UPDATE orders SET noted_points = :points WHERE id = :id"), {"id": order_id, "points": noted_points}
    )


def save_noting(tx: sa.Connection, orders: Iterable[Order]) -> None:
    """A note about these revisions is being tried: who finds the mark later must look before writing again."""
    parameters = [{"id": order.id, "revision": order.revision} for order in orders]
    if parameters:
        tx.execute(sa.text("UPDATE orders SET noting_revision = :revision WHERE id = :id"), parameters)


def kept_by_others(tx: sa.Connection, member_id: int, *, except_order: int) -> int:
    """How many other orders of the member the shop keeps money for."""
    statement = sa.text(
        "SELECT count(*) FROM orders WHERE member_id = :member_id AND kept_kopecks > 0 AND id <> :except_order"
    )
    return int(tx.execute(statement, {"member_id": member_id, "except_order": except_order}).scalar_one())


def _order(row: sa.Row[Any]) -> Order:
    return Order(
        id=int(row.id),
        deal_ref=int(row.deal_ref),
        member_id=row.member_id,
        price_kopecks=int(row.price_kopecks),
        is_stage_paid=row.is_stage_paid,
        kept_kopecks=int(row.kept_kopecks),
        paid_at=row.paid_at,
        revision=row.revision,
        rules_version=row.rules_version,
        noted_points=row.noted_points,
        noting_revision=row.noting_revision,
    )
