"""Reading lots: those a decision can touch, those that are spent first, what activates and burns next.

Reads are bounded: a member with thousands of lots costs no more than one with ten. Writing is `ledger.post`.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from loyalty.ledger import Lot
from storage.db import quick

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

WALK_STEP = 16
"""Lots read at a time while walking a member's open lots in the order they are spent."""

_ROOT_KEY = "COALESCE((SELECT root.key FROM lot root WHERE root.id = l.root_id), '')"
_COLUMNS = ", ".join(_ROOT_KEY if one.name == "root_key" else f"l.{one.name}" for one in fields(Lot))
_SELECT = f"SELECT {_COLUMNS} FROM lot l"  # noqa: S608
_OF_ORDER = f"""
    {_SELECT} WHERE l.order_id = %(order_id)s
    UNION {_SELECT} JOIN lot own ON own.id = l.root_id
    WHERE own.order_id = %(order_id)s AND own.source IN ('accrual', 'welcome')
"""
_DUE = f"""
    {_SELECT} WHERE l.member_id = %(member_id)s AND l.pending > 0 AND l.activates_at <= %(now)s
    UNION {_SELECT} WHERE l.member_id = %(member_id)s AND l.available > 0 AND l.expires_at <= %(now)s
"""
_FOR_ORDER = f"{_OF_ORDER} UNION {_DUE}"
_BY_KEYS = f"{_SELECT} WHERE l.key = ANY(%(keys)s)"
_WALK = f"""
    {_SELECT} WHERE l.member_id = %(member_id)s AND l.available > 0
    ORDER BY l.expires_at, l.activates_at, l.id LIMIT %(step)s OFFSET %(skip)s
"""


def for_order(tx: sa.Connection, member_id: int, order_id: int, *, now: datetime) -> tuple[Lot, ...]:
    """The order's lots, those made of them later, and the member's lots whose day has come."""
    return _lots(quick(tx, _FOR_ORDER, {"member_id": member_id, "order_id": order_id, "now": now}))


def due(tx: sa.Connection, member_id: int, *, now: datetime) -> tuple[Lot, ...]:
    """The member's lots whose activation or last day has come."""
    return _lots(quick(tx, _DUE, {"member_id": member_id, "now": now}))


def by_keys(tx: sa.Connection, keys: Iterable[str]) -> tuple[Lot, ...]:
    return _lots(quick(tx, _BY_KEYS, {"keys": list(keys)}))


def open_lots(tx: sa.Connection, member_id: int, *, enough: int, now: datetime) -> list[Lot]:
    """Lots with available points in the order they are spent, until those that have not ended hold `enough`: what has
    ended may burn in this very decision."""
    found: list[Lot] = []
    total = 0
    step = WALK_STEP
    while total < enough:
        parameters = {"member_id": member_id, "step": step, "skip": len(found)}
        more = _lots(quick(tx, _WALK, parameters))
        found += more
        total += sum(lot.available for lot in more if lot.expires_at is None or lot.expires_at > now)
        if len(more) < step:
            break
        step *= 4
    return found


def all_open(tx: sa.Connection, member_id: int) -> tuple[Lot, ...]:
    """Every lot that still holds points: for pages that show what a balance is made of."""
    statement = sa.text(
        f"""
        {_SELECT}
        WHERE l.member_id = :member_id AND (l.available > 0 OR l.pending > 0 OR l.reserved > 0)
        ORDER BY l.expires_at, l.activates_at, l.id
        """
    )
    return _lots(tx.execute(statement, {"member_id": member_id}))


def has_live_welcome(tx: sa.Connection, member_id: int, *, except_order: int | None = None) -> bool:
    """Whether welcome points of the member live that another order, or his joining, has brought."""
    statement = sa.text(
        """
        SELECT EXISTS (SELECT 1 FROM lot WHERE member_id = :id AND source = 'welcome' AND earned > reversed
            AND (order_id IS NULL OR order_id IS DISTINCT FROM CAST(:except_order AS bigint)))
        """
    )
    return bool(tx.execute(statement, {"id": member_id, "except_order": except_order}).scalar_one())


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


def next_activations(tx: sa.Connection, member_ids: Iterable[int]) -> dict[int, tuple[int, datetime]]:
    """The same of many members; for whom nothing is pending is absent."""
    statement = sa.text(
        """
        SELECT DISTINCT ON (member_id) member_id, sum(pending) AS points, activates_at FROM lot
        WHERE member_id = ANY(:ids) AND pending > 0
        GROUP BY member_id, activates_at ORDER BY member_id, activates_at
        """
    )
    found = tx.execute(statement, {"ids": list(member_ids)})
    return {row.member_id: (int(row.points), row.activates_at) for row in found}


def next_burn(tx: sa.Connection, member_id: int) -> tuple[int, datetime] | None:
    """The points that end soonest, and the first instant they are no longer valid."""
    statement = sa.text(
        """
        SELECT sum(available) AS points, expires_at FROM lot
        WHERE member_id = :id AND available > 0 AND expires_at IS NOT NULL
        GROUP BY expires_at ORDER BY expires_at LIMIT 1
        """
    )
    row = tx.execute(statement, {"id": member_id}).one_or_none()
    return None if row is None else (int(row.points), row.expires_at)


def next_burns(tx: sa.Connection, member_ids: Iterable[int]) -> dict[int, tuple[int, datetime]]:
    """The same of many members; who has nothing that ends is absent."""
    statement = sa.text(
        """
        SELECT DISTINCT ON (member_id) member_id, sum(available) AS points, expires_at FROM lot
        WHERE member_id = ANY(:ids) AND available > 0 AND expires_at IS NOT NULL
        GROUP BY member_id, expires_at ORDER BY member_id, expires_at
        """
    )
    found = tx.execute(statement, {"ids": list(member_ids)})
    return {row.member_id: (int(row.points), row.expires_at) for row in found}


def extend_idle(tx: sa.Connection, member_id: int, *, until: datetime) -> None:
    """The member has bought: what his orders earned lives on (rule `accrual.expire_idle`), gifts keep their own ends. A
    notice given before is void."""
    tx.execute(
        sa.text(
            """
            UPDATE lot SET expires_at = :until, notified_at = NULL
            WHERE member_id = :id AND (available > 0 OR pending > 0 OR reserved > 0)
                AND source IN ('accrual', 'restored', 'opening') AND expires_at < :until
            """
        ),
        {"id": member_id, "until": until},
    )


def actions_since(tx: sa.Connection, member_id: int, code: str, *, since: datetime) -> int:
    """How often the member was rewarded for this action since an instant."""
    statement = sa.text(
        """
        SELECT count(*) FROM lot
        WHERE member_id = :id AND source = 'action' AND opened_at >= :since AND starts_with(key, :prefix)
        """
    )
    return int(tx.execute(statement, {"id": member_id, "since": since, "prefix": f"action:{code}:"}).scalar_one())


def members_with_due(tx: sa.Connection, *, now: datetime, limit: int, after: int = 0) -> Sequence[int]:
    """Members who have pending points whose day has come, by their ids from `after` on."""
    statement = sa.text(
        """
        SELECT DISTINCT member_id FROM lot WHERE pending > 0 AND activates_at <= :now AND member_id > :after
        ORDER BY member_id LIMIT :limit
        """
    )
    return list(tx.execute(statement, {"now": now, "limit": limit, "after": after}).scalars())


def _lots(found: Iterable[Sequence[Any]]) -> tuple[Lot, ...]:
    """`_COLUMNS` stand in the order of Lot's fields."""
    return tuple(Lot(*row) for row in found)
