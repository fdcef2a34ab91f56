"""What the deal in the CRM was last told: its feed and its fields, so that only what is new is said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storage.orders import Order


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


def save_pushed(tx: sa.Connection, order_id: int, pushed_fields: dict[str, Any] | None) -> None:
    """What the deal's fields were last told; None: nothing is known."""
    tx.execute(
        sa.text("UPDATE orders SET pushed_fields = CAST(:pushed AS jsonb) WHERE id = :id"),
        {"id": order_id, "pushed": None if pushed_fields is None else json.dumps(pushed_fields)},
    )


def save_noted_hold(tx: sa.Connection, order_id: int, answer: str | None) -> None:
    """The answer to «Списать бонусов» that the feed was told."""
    tx.execute(sa.text("UPDATE orders SET noted_hold = :answer WHERE id = :id"), {"id": order_id, "answer": answer})


def save_stage_moved(tx: sa.Connection, order_ids: Iterable[int]) -> None:
    """The deals were put into the paid stage once; whoever moves them back is not contradicted."""
    tx.execute(sa.text("UPDATE orders SET stage_moved = true WHERE id = ANY(:ids)"), {"ids": list(order_ids)})


def stages_moved(tx: sa.Connection, order_ids: Iterable[int]) -> set[int]:
    """Those of the orders whose deals were put into the paid stage by us."""
    statement = sa.text("SELECT id FROM orders WHERE id = ANY(:ids) AND stage_moved")
    return set(tx.execute(statement, {"ids": list(order_ids)}).scalars())


def deals_of(tx: sa.Connection, member_id: int, *, limit: int) -> list[int]:
    """The member's newest deals."""
    statement = sa.text(
        """
        SELECT deal_ref FROM orders WHERE member_id = :id AND deal_ref IS NOT NULL ORDER BY id DESC LIMIT :limit
        """
    )
    return list(tx.execute(statement, {"id": member_id, "limit": limit}).scalars())


def invoice_marks(tx: sa.Connection, order_ids: Iterable[int]) -> dict[int, str | None]:
    """What each order's invoice was last made to say."""
    statement = sa.text("SELECT id, invoice_mark FROM orders WHERE id = ANY(:ids)")
    return {row.id: row.invoice_mark for row in tx.execute(statement, {"ids": list(order_ids)})}


def save_invoice_mark(tx: sa.Connection, order_id: int, mark: str) -> None:
    tx.execute(sa.text("UPDATE orders SET invoice_mark = :mark WHERE id = :id"), {"id": order_id, "mark": mark})
