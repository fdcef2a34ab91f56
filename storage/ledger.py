"""The book: posting a decision under the member's lock, and reading lots and statements.

`post` writes transfers, lot counters and cached balances in one go. A key that was posted before, a balance below
zero or a lot that would hold more than it earned is refused by the database and rolls everything back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from loyalty.ledger import Balance, Decision, Lot, account_changes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

_LOT_COLUMNS = (
    "key, source, order_id, rules_version, earned, reversed, pending, available, reserved, activates_at, expires_at"
)
_OPEN_LOT = sa.text(
    """
    INSERT INTO lot (key, member_id, order_id, source, rules_version, activates_at, expires_at, opened_at)
    VALUES (:key, :member_id, :order_id, :source, :rules_version, :activates_at, :expires_at, :now)
    """
)
_TRANSFER = sa.text(
    """
    WITH moved AS (
        UPDATE lot SET
            earned = earned + CASE WHEN :debit = 'issued' THEN :points ELSE 0 END,
            reversed = reversed + CASE WHEN :credit = 'reversed' THEN :points ELSE 0 END,
            pending = pending
                + CASE WHEN :credit = 'pending' THEN :points WHEN :debit = 'pending' THEN -:points ELSE 0 END,
            available = available
                + CASE WHEN :credit = 'available' THEN :points WHEN :debit = 'available' THEN -:points ELSE 0 END,
            reserved = reserved
                + CASE WHEN :credit = 'reserved' THEN :points WHEN :debit = 'reserved' THEN -:points ELSE 0 END
        WHERE key = :lot_key AND member_id = :member_id
        RETURNING id
    )
    INSERT INTO transfer (key, member_id, lot_id, order_id, move, debit, credit, points, rules_version, occurred_at,
        recorded_at)
    VALUES (:key, :member_id, (SELECT id FROM moved), :order_id, :move, :debit, :credit, :points, :rules_version,
        :occurred_at, :now)
    """
)
_BALANCE = sa.text(
    """
    UPDATE member SET pending = pending + :pending, available = available + :available, reserved = reserved + :reserved,
        debt = debt + :debt
    WHERE id = :member_id
    RETURNING pending, available, reserved, debt
    """
)


@dataclass(frozen=True)
class StatementLine:
    """One transfer as its reader sees it."""

    recorded_at: datetime
    occurred_at: datetime
    move: str
    debit: str
    credit: str
    points: int
    lot_source: str
    deal_ref: int | None
    rules_version: str
    activates_at: datetime
    expires_at: datetime | None


def post(tx: sa.Connection, member_id: int, decision: Decision, *, occurred_at: datetime, now: datetime) -> Balance:
    """Writes the decision; the caller holds the member's lock. Returns the new balances.

    Raises sqlalchemy.exc.IntegrityError if a key was posted before or a CHECK refuses the result.
    """
    if decision.openings:
        tx.execute(
            _OPEN_LOT,
            [
                {
                    "key": lot.key,
                    "member_id": member_id,
                    "order_id": lot.order_id,
                    "source": lot.source,
                    "rules_version": lot.rules_version,
                    "activates_at": lot.activates_at,
                    "expires_at": lot.expires_at,
                    "now": now,
                }
                for lot in decision.openings
            ],
        )
    for transfer in decision.transfers:
        tx.execute(
            _TRANSFER,
            {
                "key": transfer.key,
                "member_id": member_id,
                "lot_key": transfer.lot_key,
                "order_id": transfer.order_id,
                "move": transfer.move,
                "debit": transfer.debit,
                "credit": transfer.credit,
                "points": transfer.points,
                "rules_version": transfer.rules_version,
                "occurred_at": occurred_at,
                "now": now,
            },
        )
    row = tx.execute(_BALANCE, {**account_changes(decision.transfers), "member_id": member_id}).one()
    return Balance(row.pending, row.available, row.reserved, row.debt)


def order_lots(tx: sa.Connection, order_id: int) -> tuple[Lot, ...]:
    """The base lots of an order."""
    statement = sa.text(f"SELECT {_LOT_COLUMNS} FROM lot WHERE order_id = :id AND source = 'accrual'")  # noqa: S608
    return _lots(tx.execute(statement, {"id": order_id}))


def welcome_lots(tx: sa.Connection, member_id: int) -> tuple[Lot, ...]:
    statement = sa.text(f"SELECT {_LOT_COLUMNS} FROM lot WHERE member_id = :id AND source = 'welcome'")  # noqa: S608
    return _lots(tx.execute(statement, {"id": member_id}))


def due_lots(tx: sa.Connection, member_id: int, *, now: datetime) -> tuple[Lot, ...]:
    """Lots with pending points whose activation has come."""
    statement = sa.text(
        f"SELECT {_LOT_COLUMNS} FROM lot WHERE member_id = :id AND pending > 0 AND activates_at <= :now"  # noqa: S608
    )
    return _lots(tx.execute(statement, {"id": member_id, "now": now}))


def points_of_orders(tx: sa.Connection, order_ids: Iterable[int]) -> dict[int, dict[str, int]]:
    """Net points by order and source («accrual», «welcome»)."""
    statement = sa.text(
        """
        SELECT order_id, source, sum(earned - reversed) AS points FROM lot WHERE order_id = ANY(:ids)
        GROUP BY order_id, source
        """
    )
    found: dict[int, dict[str, int]] = {}
    for row in tx.execute(statement, {"ids": list(order_ids)}):
        found.setdefault(row.order_id, {})[row.source] = int(row.points)
    return found


def next_activation(tx: sa.Connection, member_id: int) -> tuple[int, datetime] | None:
    """The soonest pending lots: how many points become available, and when."""
    statement = sa.text(
        """
        SELECT sum(pending) AS points, activates_at FROM lot WHERE member_id = :id AND pending > 0
        GROUP BY activates_at ORDER BY activates_at LIMIT 1
        """
    )
    row = tx.execute(statement, {"id": member_id}).one_or_none()
    return None if row is None else (int(row.points), row.activates_at)


def statement(tx: sa.Connection, member_id: int, *, limit: int) -> Sequence[StatementLine]:
    """The member's latest transfers, newest first."""
    found = tx.execute(
        sa.text(
            """
            SELECT t.recorded_at, t.occurred_at, t.move, t.debit, t.credit, t.points, l.source AS lot_source,
                o.deal_ref, t.rules_version, l.activates_at, l.expires_at
            FROM transfer t JOIN lot l ON l.id = t.lot_id LEFT JOIN orders o ON o.id = t.order_id
            WHERE t.member_id = :id ORDER BY t.id DESC LIMIT :limit
            """
        ),
        {"id": member_id, "limit": limit},
    )
    return [StatementLine(*row) for row in found]


def _lots(found: Iterable[sa.Row[Any]]) -> tuple[Lot, ...]:
    return tuple(Lot(**row._mapping) for row in found)
