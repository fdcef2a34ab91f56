"""Proof that the book is whole: every cached number is recomputed from the transfers alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Mapping

FAULTS_SHOWN_MAX = 20


@dataclass(frozen=True)
class Verdict:
    """`sum` is the sum of all accounts (credits minus debits): zero in a whole book. `faults` say what is wrong."""

    transfers: int
    accounts: Mapping[str, int]
    faults: tuple[str, ...]

    @property
    def sum(self) -> int:
        return sum(self.accounts.values())

    @property
    def is_whole(self) -> bool:
        return not self.faults and self.sum == 0


_ACCOUNTS = sa.text(
    """
    SELECT account, sum(points)::bigint AS points FROM (
        SELECT credit AS account, points FROM transfer UNION ALL SELECT debit, -points FROM transfer
    ) AS entry GROUP BY account ORDER BY account
    """
)
_BALANCES = sa.text(
    """
    WITH entry AS (
        SELECT member_id, credit AS account, points FROM transfer
        UNION ALL SELECT member_id, debit, -points FROM transfer
    ), recounted AS (
        SELECT member_id,
            COALESCE(sum(points) FILTER (WHERE account = 'pending'), 0) AS pending,
            COALESCE(sum(points) FILTER (WHERE account = 'available'), 0) AS available,
            COALESCE(sum(points) FILTER (WHERE account = 'reserved'), 0) AS reserved,
            COALESCE(-sum(points) FILTER (WHERE account = 'debt'), 0) AS debt
        FROM entry GROUP BY member_id
    )
    SELECT m.id FROM member m LEFT JOIN recounted r ON r.member_id = m.id
    WHERE (m.pending, m.available, m.reserved, m.debt)
        <> (COALESCE(r.pending, 0), COALESCE(r.available, 0), COALESCE(r.reserved, 0), COALESCE(r.debt, 0))
    ORDER BY m.id LIMIT :limit
    """
)
_LOTS = sa.text(
    """
    WITH entry AS (
        SELECT lot_id, credit AS account, points FROM transfer UNION ALL SELECT lot_id, debit, -points FROM transfer
    ), recounted AS (
        SELECT lot_id,
            COALESCE(sum(points) FILTER (WHERE account = 'pending'), 0) AS pending,
            COALESCE(sum(points) FILTER (WHERE account = 'available'), 0) AS available,
            COALESCE(sum(points) FILTER (WHERE account = 'reserved'), 0) AS reserved,
            COALESCE(-sum(points) FILTER (WHERE account = 'issued'), 0) AS earned,
            COALESCE(sum(points) FILTER (WHERE account = 'reversed'), 0) AS reversed
        FROM entry GROUP BY lot_id
    )
    SELECT l.key FROM lot l LEFT JOIN recounted r ON r.lot_id = l.id
    WHERE (l.pending, l.available, l.reserved, l.earned, l.reversed)
        <> (COALESCE(r.pending, 0), COALESCE(r.available, 0), COALESCE(r.reserved, 0), COALESCE(r.earned, 0),
            COALESCE(r.reversed, 0))
    ORDER BY l.id LIMIT :limit
    """
)
_MEMBER_LOTS = sa.text(
    """
    SELECT m.id FROM member m
    LEFT JOIN (SELECT member_id, sum(pending) AS pending, sum(available) AS available, sum(reserved) AS reserved
               FROM lot GROUP BY member_id) l ON l.member_id = m.id
    WHERE m.pending <> COALESCE(l.pending, 0) OR m.reserved <> COALESCE(l.reserved, 0)
        OR m.available <> COALESCE(l.available, 0) OR (m.debt > 0 AND m.available > 0)
    ORDER BY m.id LIMIT :limit
    """
)
_OWNERS = sa.text(
    """
    SELECT t.key FROM transfer t JOIN lot l ON l.id = t.lot_id
    WHERE l.member_id <> t.member_id OR l.rules_version <> t.rules_version
    ORDER BY t.id LIMIT :limit
    """
)


def verify(tx: sa.Connection) -> Verdict:
    """Reads the whole book in one snapshot; writes nothing."""
    tx.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
    tx.execute(sa.text("SET LOCAL statement_timeout = 0"))
    checks = (
        (_BALANCES, "участник {}: остатки не равны сумме операций"),
        (_LOTS, "партия {}: счётчики не равны сумме операций"),
        (_MEMBER_LOTS, "участник {}: остатки не равны сумме партий"),
        (_OWNERS, "операция {}: чужая партия или другая версия правил"),
    )
    faults = [
        text.format(found)
        for query, text in checks
        for found in tx.execute(query, {"limit": FAULTS_SHOWN_MAX}).scalars()
    ]
    return Verdict(
        transfers=int(tx.execute(sa.text("SELECT count(*) FROM transfer")).scalar_one()),
        accounts={row.account: int(row.points) for row in tx.execute(_ACCOUNTS)},
        faults=tuple(faults),
    )
