"""Which orders the CRM's customers were told of as purchases, and what a member has bought."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime


@dataclass(frozen=True)
class Told:
    """An order and what the CRM was told of it. `is_trying`: an attempt to tell has not ended, as far as we know."""

    order_id: int
    member_id: int | None
    deal_ref: int | None
    shop_ref: str | None
    kept_kopecks: int
    bought_at: datetime | None
    customer_ref: int | None
    purchase_ref: int | None
    told_kopecks: int
    is_trying: bool


_TOLD = sa.text(
    """
    SELECT o.id, o.member_id, o.deal_ref, o.shop_ref, CASE WHEN o.is_kept THEN o.kept_kopecks ELSE 0 END,
        COALESCE(o.paid_at, o.counted_at), s.customer_ref, o.crm_purchase_ref, o.crm_purchase_kopecks,
        o.crm_purchase_trying
    FROM orders o LEFT JOIN member m ON m.id = o.member_id
        LEFT JOIN crm_state s ON s.member_id = COALESCE(m.merged_into_id, m.id)
    WHERE o.id = ANY(:ids) AND NOT o.is_imported ORDER BY o.id
    """
)


def told(tx: sa.Connection, order_ids: Iterable[int]) -> list[Told]:
    return [Told(*row) for row in tx.execute(_TOLD, {"ids": list(order_ids)})]


def begin(tx: sa.Connection, order_id: int) -> None:
    """An attempt to tell begins: whoever finds this later must look before telling again."""
    tx.execute(sa.text("UPDATE orders SET crm_purchase_trying = true WHERE id = :id"), {"id": order_id})


def save(tx: sa.Connection, order_id: int, *, purchase_ref: int | None, kopecks: int) -> None:
    """What the CRM has now; None: nothing."""
    tx.execute(
        sa.text(
            """
            UPDATE orders SET crm_purchase_ref = :ref, crm_purchase_kopecks = :kopecks, crm_purchase_trying = false
            WHERE id = :id
            """
        ),
        {"id": order_id, "ref": purchase_ref, "kopecks": kopecks},
    )


def bought(tx: sa.Connection, member_ids: Iterable[int], *, limit: int) -> dict[int, Sequence[tuple[datetime, int]]]:
    """The newest kept orders of each member: when, and for how many kopecks."""
    statement = sa.text(
        """
        SELECT wanted.id, o.bought_at, o.kept_kopecks
        FROM unnest(CAST(:ids AS bigint[])) AS wanted (id) CROSS JOIN LATERAL (
            SELECT COALESCE(paid_at, counted_at) AS bought_at, kept_kopecks FROM orders
            WHERE member_id = wanted.id AND counted_at IS NOT NULL AND is_kept AND kept_kopecks > 0
            ORDER BY counted_at DESC LIMIT :limit
        ) o
        """
    )
    found: dict[int, list[tuple[datetime, int]]] = {}
    for member_id, at, kopecks in tx.execute(statement, {"ids": list(member_ids), "limit": limit}):
        found.setdefault(member_id, []).append((at, kopecks))
    return dict(found)


def untold(tx: sa.Connection, member_ids: Iterable[int], *, limit: int) -> list[int]:
    """Kept orders of these members that no customer was told of, the newest first."""
    statement = sa.text(
        """
        SELECT id FROM orders WHERE member_id = ANY(:ids) AND counted_at IS NOT NULL AND is_kept AND kept_kopecks > 0
            AND crm_purchase_ref IS NULL AND NOT is_imported
        ORDER BY counted_at DESC LIMIT :limit
        """
    )
    return list(tx.execute(statement, {"ids": list(member_ids), "limit": limit}).scalars())


def save_next(tx: sa.Connection, member_id: int, pushed: str | None) -> None:
    """The expected purchase that the customer was last told."""
    tx.execute(
        sa.text("UPDATE crm_state SET pushed_next = :pushed WHERE member_id = :id"), {"id": member_id, "pushed": pushed}
    )


def pushed_next(tx: sa.Connection, member_ids: Iterable[int]) -> dict[int, str | None]:
    statement = sa.text("SELECT member_id, pushed_next FROM crm_state WHERE member_id = ANY(:ids)")
    return {row.member_id: row.pushed_next for row in tx.execute(statement, {"ids": list(member_ids)})}
