"""Proof that the book is whole: every cached number is recomputed from the transfers alone.

A merged member's history stays his own; it counts for the one he was merged into.
"""

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
        SELECT COALESCE(m.merged_into_id, m.id) AS member_id,
            COALESCE(sum(points) FILTER (WHERE account = 'pending'), 0) AS pending,
            COALESCE(sum(points) FILTER (WHERE account = 'available'), 0) AS available,
            COALESCE(sum(points) FILTER (WHERE account = 'reserved'), 0) AS reserved,
            COALESCE(-sum(points) FILTER (WHERE account = 'debt'), 0) AS debt
        FROM entry JOIN member m ON m.id = entry.member_id GROUP BY 1
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
        SELECT lot_id, credit AS account, points, debit AS other FROM transfer
        UNION ALL SELECT lot_id, debit, -points, credit FROM transfer
    ), recounted AS (
        SELECT lot_id,
            COALESCE(sum(points) FILTER (WHERE account = 'pending'), 0) AS pending,
            COALESCE(sum(points) FILTER (WHERE account = 'available'), 0) AS available,
            COALESCE(sum(points) FILTER (WHERE account = 'reserved'), 0) AS reserved,
            COALESCE(sum(points) FILTER (WHERE account = 'expired'), 0) AS expired,
            COALESCE(sum(points) FILTER (WHERE account = 'reversed'), 0) AS reversed,
            COALESCE(sum(points) FILTER (WHERE account = 'debt'), 0) AS settled,
            COALESCE(sum(points) FILTER (WHERE account = 'redeemed' AND points > 0), 0) AS redeemed,
            COALESCE(sum(points) FILTER (WHERE account = 'adjusted' AND points > 0), 0) AS withdrawn,
            COALESCE(-sum(points) FILTER (WHERE points < 0
                AND account NOT IN ('pending', 'available', 'reserved')), 0) AS earned
        FROM entry WHERE lot_id IS NOT NULL GROUP BY lot_id
    )
    SELECT l.key FROM lot l LEFT JOIN recounted r ON r.lot_id = l.id
    WHERE (l.pending, l.available, l.reserved, l.expired, l.reversed, l.settled, l.redeemed, l.withdrawn, l.earned)
        <> (COALESCE(r.pending, 0), COALESCE(r.available, 0), COALESCE(r.reserved, 0), COALESCE(r.expired, 0),
            COALESCE(r.reversed, 0), COALESCE(r.settled, 0), COALESCE(r.redeemed, 0), COALESCE(r.withdrawn, 0),
            COALESCE(r.earned, 0))
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
    SELECT t.key FROM transfer t JOIN lot l ON l.id = t.lot_id JOIN member m ON m.id = t.member_id
    WHERE l.member_id <> COALESCE(m.merged_into_id, m.id) OR l.rules_version <> t.rules_version
    ORDER BY t.id LIMIT :limit
    """
)
# An order's points that burnt are not taken back with it: so much may be missing from what was earned for it. A
# write-off that is undone goes the other way and counts as earned anew, as base or as welcome points.
_ORDERS = sa.text(
    """
    WITH posted AS (
        SELECT order_id,
            COALESCE(sum(points) FILTER (WHERE move = 'accrue'), 0) AS accrued,
            COALESCE(sum(points) FILTER (WHERE move = 'welcome'), 0) AS welcomed,
            COALESCE(sum(points) FILTER (WHERE move = 'reverse'), 0) AS taken,
            COALESCE(sum(points) FILTER (WHERE move = 'write_off' AND credit = 'reversed'), 0) AS forgiven,
            COALESCE(sum(points) FILTER (WHERE move = 'write_off' AND debit = 'reversed'), 0) AS undone,
            COALESCE(sum(points) FILTER (WHERE move = 'capture'), 0) AS redeemed,
            COALESCE(sum(points) FILTER (WHERE move = 'restore'), 0) AS restored
        FROM transfer WHERE order_id IS NOT NULL GROUP BY order_id
    ), burnt AS (
        SELECT own.order_id, sum(tree.expired) AS points
        FROM lot tree JOIN lot own ON own.id = COALESCE(tree.root_id, tree.id)
        WHERE own.source IN ('accrual', 'welcome') GROUP BY own.order_id
    )
    SELECT COALESCE(o.deal_ref::text, o.shop_ref) FROM orders o LEFT JOIN posted p ON p.order_id = o.id
    LEFT JOIN burnt b ON b.order_id = o.id
    WHERE (o.reversed, o.forgiven, o.redeemed, o.restored)
            <> (COALESCE(p.taken + p.forgiven - p.undone, 0), COALESCE(p.forgiven - p.undone, 0),
                COALESCE(p.redeemed, 0), COALESCE(p.restored, 0))
        OR COALESCE(p.accrued + p.welcomed, 0) - o.accrued - o.welcomed - o.reversed
            NOT BETWEEN 0 AND COALESCE(b.points, 0)
        OR o.accrued > COALESCE(p.accrued + p.undone, 0) OR o.welcomed > COALESCE(p.welcomed + p.undone, 0)
    ORDER BY o.id LIMIT :limit
    """
)
_HOLDS = sa.text(
    """
    SELECT m.id FROM member m
    LEFT JOIN (SELECT member_id, sum(points) AS points FROM hold WHERE state IN ('unconfirmed', 'active')
               GROUP BY member_id) h ON h.member_id = m.id
    WHERE m.reserved <> COALESCE(h.points, 0) ORDER BY m.id LIMIT :limit
    """
)
_HELD = sa.text(
    """
    WITH posted AS (
        SELECT hold_id, COALESCE(sum(points) FILTER (WHERE move = 'hold'), 0) AS held,
            COALESCE(sum(points) FILTER (WHERE move = 'capture'), 0) AS captured,
            COALESCE(sum(points) FILTER (WHERE move = 'release'), 0) AS released
        FROM transfer WHERE hold_id IS NOT NULL GROUP BY hold_id
    )
    SELECT h.public_id FROM hold h LEFT JOIN posted p ON p.hold_id = h.id
    WHERE (COALESCE(p.held, 0), COALESCE(p.captured, 0), COALESCE(p.released, 0))
        <> (h.points, CASE WHEN h.state = 'captured' THEN h.points ELSE 0 END,
            CASE WHEN h.state IN ('released', 'expired') THEN h.points ELSE 0 END)
    ORDER BY h.id LIMIT :limit
    """
)
_HOLDERS = sa.text(
    """
    SELECT h.public_id FROM hold h JOIN orders o ON o.id = h.order_id
    WHERE (h.state <> 'released' AND h.member_id IS DISTINCT FROM o.member_id)
        OR (h.state IN ('unconfirmed', 'active') AND o.hold_id IS DISTINCT FROM h.id)
        OR (h.state = 'released' AND o.hold_id = h.id)
        OR (h.spread <> '[]' AND h.points <> (SELECT sum(part::int) FROM jsonb_array_elements_text(h.spread) AS part))
    UNION SELECT h.public_id FROM orders o JOIN hold h ON h.id = o.hold_id WHERE h.order_id <> o.id
    ORDER BY 1 LIMIT :limit
    """
)
_LOT_ORDERS = sa.text(
    """
    SELECT l.key FROM lot l LEFT JOIN transfer t ON t.lot_id = l.id AND t.key = l.key
    LEFT JOIN orders o ON o.id = l.order_id
    WHERE l.order_id IS DISTINCT FROM t.order_id OR (o.id IS NOT NULL AND o.member_id IS DISTINCT FROM l.member_id)
    ORDER BY l.id LIMIT :limit
    """
)
# Rules are in force from their applying to the next one; whoever burnt may have learnt of it a little later, and a
# night's run has one time for all its pieces. A lot that ends after it burnt was prolonged since: its notice is void.
_UNTOLD = sa.text(
    """
    WITH in_force AS (
        SELECT a.applied_at, lead(a.applied_at) OVER (ORDER BY a.id) AS replaced_at,
            r.rules #>> '{burn,without_notice}' = 'burn' AS is_silent
        FROM rules_applied a JOIN rule_version r ON r.version = a.version
    )
    SELECT t.key FROM transfer t JOIN lot l ON l.id = t.lot_id
    WHERE t.move = 'expire' AND l.notified_at IS NULL AND l.expires_at <= t.recorded_at AND NOT EXISTS (
        SELECT 1 FROM in_force f WHERE f.is_silent AND f.applied_at <= t.recorded_at + interval '1 hour'
            AND (f.replaced_at IS NULL OR f.replaced_at >= t.recorded_at - interval '1 hour'))
    ORDER BY t.id LIMIT :limit
    """
)
_PATHS = sa.text(
    """
    SELECT key FROM transfer WHERE (move, debit, credit) NOT IN (
        ('accrue', 'issued', 'pending'), ('welcome', 'issued', 'pending'), ('gift', 'issued', 'pending'),
        ('opening', 'opening', 'pending'), ('opening', 'opening', 'available'), ('activate', 'pending', 'available'),
        ('activate', 'pending', 'debt'), ('settle', 'available', 'debt'), ('hold', 'available', 'reserved'),
        ('capture', 'reserved', 'redeemed'), ('capture', 'available', 'redeemed'), ('release', 'reserved', 'available'),
        ('expire', 'available', 'expired'),
        ('reverse', 'pending', 'reversed'), ('reverse', 'available', 'reversed'), ('reverse', 'debt', 'reversed'),
        ('write_off', 'shortfall', 'reversed'), ('write_off', 'reversed', 'shortfall'),
        ('restore', 'redeemed', 'available'),
        ('adjust', 'adjusted', 'pending'), ('adjust', 'available', 'adjusted'))
    ORDER BY id LIMIT :limit
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
        (_PATHS, "операция {}: такие счета не подходят к её виду"),
        (_ORDERS, "заказ {}: начисленное, списанное, возвращённое и снятое не равны сумме операций"),
        (_LOT_ORDERS, "партия {}: заказ не тот, за который она начислена, или принадлежит другому участнику"),
        (_HELD, "резерв {}: его состояние не равно его операциям"),
        (_HOLDERS, "резерв {}: заказ не знает о нём, принадлежит другому участнику, или не сходится разбивка"),
        (_HOLDS, "участник {}: зарезервированное не равно сумме открытых резервов"),
        (_UNTOLD, "операция {}: баллы сгорели без предупреждения, а правила этого не разрешали"),
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
