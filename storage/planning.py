"""What a plan of new rules must know: how many members each rule concerns, and the orders to price anew. Reads only,
but for the lock that lets one process apply rules at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from loyalty.basket import Basket
from loyalty.orders import OrderFacts, PaymentTotals
from loyalty.repricing import PastOrder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

APPLY_LOCK = 7_150_002
"""Advisory lock number: two people must not apply rules at once."""


def lock(tx: sa.Connection) -> None:
    """Waits for whoever applies rules now; held until the transaction ends."""
    tx.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": APPLY_LOCK})


def members_by_segment(tx: sa.Connection) -> Mapping[str | None, int]:
    """Living members by the code of their segment; None: in no segment."""
    found = tx.execute(
        sa.text(
            "SELECT segment_code, count(*) AS members FROM member WHERE merged_into_id IS NULL GROUP BY segment_code"
        )
    )
    return {row.segment_code: int(row.members) for row in found}


def birthdays_known(tx: sa.Connection) -> int:
    """Living members whose birthday is known."""
    statement = sa.text("SELECT count(*) FROM member WHERE birthday IS NOT NULL AND merged_into_id IS NULL")
    return int(tx.execute(statement).scalar_one())


def never_bought(tx: sa.Connection) -> int:
    """Living members whom a first order would still greet: none is kept, and no welcome points live."""
    statement = sa.text(
        """
        SELECT count(*) FROM member m WHERE m.merged_into_id IS NULL
            AND NOT EXISTS (SELECT FROM orders o WHERE o.member_id = m.id AND o.is_kept)
            AND NOT EXISTS (SELECT FROM lot WHERE member_id = m.id AND source = 'welcome' AND earned > reversed)
        """
    )
    return int(tx.execute(statement).scalar_one())


def counted_since(
    tx: sa.Connection, since: datetime, *, before: int | None, limit: int
) -> tuple[Sequence[PastOrder], int | None]:
    """Orders counted since then, the newest first, and the id to go on `before`."""
    rows = list(tx.execute(_COUNTED, {"since": since, "before": before or 2**62, "limit": limit}))
    return [_past(row) for row in rows], rows[-1].id if rows else None


_COUNTED = sa.text(
    """
    SELECT o.id, o.counted_at, o.segment_code, o.is_greeted, o.earn_cap, o.basket, o.returned, o.is_stage_paid,
        o.price_kopecks, o.shop_paid_kopecks, o.shop_returned_kopecks, o.accrued, o.rules_version,
        CASE WHEN o.redeemed > 0 THEN h.points ELSE 0 END AS spent, h.spread,
        CASE WHEN o.redeemed > 0 THEN h.total_kopecks END AS quoted_kopecks,
        (SELECT json_agg(json_build_array(captured_kopecks, refunded_kopecks, is_refund_total) ORDER BY id)
            FROM payment WHERE order_id = o.id) AS payments
    FROM orders o LEFT JOIN hold h ON h.id = o.hold_id
    WHERE o.counted_at >= :since AND o.id < :before ORDER BY o.id DESC LIMIT :limit
    """
)


def _past(row: sa.Row[Any]) -> PastOrder:
    facts = OrderFacts(
        payments=tuple(PaymentTotals(*one) for one in row.payments or ()),
        is_stage_paid=row.is_stage_paid,
        price_kopecks=row.price_kopecks,
        shop_paid_kopecks=row.shop_paid_kopecks,
        shop_returned_kopecks=row.shop_returned_kopecks,
        returned=tuple(row.returned.get("units", ())),
    )
    return PastOrder(
        facts=facts,
        counted_at=row.counted_at,
        segment_code=row.segment_code,
        is_greeted=row.is_greeted,
        earn_cap=row.earn_cap,
        basket=None if row.basket is None else Basket.from_data(row.basket),
        spent=row.spent,
        spread=tuple(row.spread) if row.basket is not None and row.spent else (),
        quoted_kopecks=row.quoted_kopecks,
        accrued=row.accrued,
        rules_version=row.rules_version,
    )
