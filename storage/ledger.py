"""The book: posting a decision under the member's lock, and reading statements.

`post` writes lots, transfers and cached balances in one statement. A key that was posted before, a balance below zero
or a lot that does not account for every point is refused by the database and rolls everything back.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from loyalty.ledger import Balance, Decision, account_changes, lot_changes
from storage import outbox
from storage.db import quick

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from loyalty.ledger import LotOpening
    from storage.outbox import Kind

COUNTERS = ("earned", "pending", "available", "reserved", "redeemed", "expired", "reversed", "settled", "withdrawn")

# One round trip. New lots are inserted with the counters they end the decision with; a transfer finds its lot among
# those opened or changed by this very statement, so one that names a foreign or unknown lot has none and is refused.
# The rows travel as JSON: one parameter is far cheaper for the driver than forty arrays. A change names its member, so
# that the planner expects one row and not a hundred, and looks its lot up by its key.
_OPENED = """
    opened AS (
        INSERT INTO lot (key, member_id, order_id, source, rules_version, activates_at, expires_at, opened_at, root_id,
            title, earned, pending, available, reserved, redeemed, expired, reversed, settled, withdrawn)
        SELECT o.key, %(member_id)s, o.order_id, o.source, o.rules_version, o.activates_at, o.expires_at, %(now)s,
            (SELECT root.id FROM lot root WHERE root.key = o.root_key), o.title,
            o.earned, o.pending, o.available, o.reserved, o.redeemed, o.expired, o.reversed, o.settled, o.withdrawn
        FROM jsonb_to_recordset(CAST(%(openings)s AS jsonb)) AS o(key text, order_id bigint, source text,
            rules_version text, activates_at timestamptz, expires_at timestamptz, root_key text, title text,
            earned int, pending int, available int, reserved int, redeemed int, expired int, reversed int,
            settled int, withdrawn int)
        RETURNING id, key
    )"""
_CHANGED = """
    changed AS (
        UPDATE lot SET earned = lot.earned + c.earned, pending = lot.pending + c.pending,
            available = lot.available + c.available, reserved = lot.reserved + c.reserved,
            redeemed = lot.redeemed + c.redeemed, expired = lot.expired + c.expired,
            reversed = lot.reversed + c.reversed, settled = lot.settled + c.settled,
            withdrawn = lot.withdrawn + c.withdrawn
        FROM jsonb_to_recordset(CAST(%(changes)s AS jsonb)) AS c(member_id bigint, key text, earned int, pending int,
            available int, reserved int, redeemed int, expired int, reversed int, settled int, withdrawn int)
        WHERE c.member_id = %(member_id)s AND lot.key = c.key AND lot.member_id = c.member_id
        RETURNING lot.id, lot.key
    )"""
_WRITTEN = f"""
    written AS (
        INSERT INTO transfer (key, member_id, lot_id, order_id, move, debit, credit, points, rules_version, occurred_at,
            recorded_at, hold_id, rule, actor, reason)
        SELECT t.key, %(member_id)s, touched.id, t.order_id, t.move, t.debit, t.credit, t.points, t.rules_version,
            %(occurred_at)s, %(now)s, t.hold_id, t.rule, t.actor, t.reason
        FROM jsonb_to_recordset(CAST(%(transfers)s AS jsonb)) AS t(number int, key text, lot_key text, order_id bigint,
            move text, debit text, credit text, points int, rules_version text, hold_id bigint, rule text, actor text,
            reason text)
        LEFT JOIN touched ON touched.key = t.lot_key
        ORDER BY t.number
    ), marked AS ({outbox.MARK_MEMBER})
    UPDATE member SET pending = pending + %(pending)s, available = available + %(available)s,
        reserved = reserved + %(reserved)s, debt = debt + %(debt)s
    WHERE id = %(member_id)s
    RETURNING pending, available, reserved, debt, EXISTS (SELECT FROM webhook_endpoint WHERE is_on)
"""  # noqa: S608
_BOTH = "SELECT * FROM opened UNION ALL SELECT * FROM changed"
_POST = f"WITH {_OPENED}, {_CHANGED}, touched AS ({_BOTH}), {_WRITTEN}"
# Most decisions only open lots or only change them. The other part would cost much though it found no rows.
_POST_OPENINGS = f"WITH {_OPENED}, touched AS (SELECT * FROM opened), {_WRITTEN}"  # noqa: S608
_POST_CHANGES = f"WITH {_CHANGED}, touched AS (SELECT * FROM changed), {_WRITTEN}"  # noqa: S608


@dataclass(frozen=True)
class StatementLine:
    """One transfer as its reader sees it. `order_name` is the deal's number or the shop's own name of the order."""

    id: int
    recorded_at: datetime
    occurred_at: datetime
    move: str
    debit: str
    credit: str
    points: int
    lot_source: str | None
    lot_title: str | None
    deal_ref: int | None
    shop_ref: str | None
    channel: str | None
    rules_version: str
    rule: str | None
    actor: str | None
    reason: str | None
    activates_at: datetime | None
    expires_at: datetime | None
    key: str = ""


def post(tx: sa.Connection, member_id: int, decision: Decision, *, occurred_at: datetime, now: datetime) -> Balance:
    """Writes the decision; the caller holds the member's lock. Returns the new balances.

    Raises sqlalchemy.exc.IntegrityError if a key was posted before or a CHECK refuses the result.
    """
    return _post(tx, member_id, decision, (), occurred_at=occurred_at, now=now)[0]


def post_and_mark(
    tx: sa.Connection,
    member_id: int,
    decision: Decision,
    kinds: Sequence[Kind],
    *,
    occurred_at: datetime,
    now: datetime,
) -> bool:
    """The same, and in the same round trip marks the member out of date for the outbox. Returns whether any program of
    the shop listens to events."""
    return _post(tx, member_id, decision, kinds, occurred_at=occurred_at, now=now)[1]


def _post(
    tx: sa.Connection,
    member_id: int,
    decision: Decision,
    kinds: Sequence[Kind],
    *,
    occurred_at: datetime,
    now: datetime,
) -> tuple[Balance, bool]:
    moved = lot_changes(decision.transfers)
    openings = [_opening(lot, moved.pop(lot.key, {})) for lot in decision.openings]
    changes = [{"member_id": member_id, **_change(key, counters)} for key, counters in moved.items()]
    parameters: dict[str, Any] = {
        "member_id": member_id,
        "occurred_at": occurred_at,
        "now": now,
        "openings": json.dumps(openings),
        "changes": json.dumps(changes),
        "transfers": json.dumps([{"number": n, **vars(one)} for n, one in enumerate(decision.transfers)]),
        "kinds": f"{{{','.join(kinds)}}}",
        **account_changes(decision.transfers),
    }
    statement = _POST if openings and changes else _POST_OPENINGS if openings else _POST_CHANGES
    *balances, is_listened_to = quick(tx, statement, parameters)[0]
    return Balance(*balances), is_listened_to


def points_of_orders(tx: sa.Connection, order_ids: Iterable[int]) -> dict[int, dict[str, int]]:
    """Net points by order and source («accrual», «welcome»), and those spent on it less those given back."""
    statement = sa.text(
        """
        SELECT id, accrued, welcomed, redeemed - restored AS spent FROM orders WHERE id = ANY(:ids)
        """
    )
    return {
        row.id: {"accrual": row.accrued, "welcome": row.welcomed, "spent": row.spent}
        for row in tx.execute(statement, {"ids": list(order_ids)})
    }


_SELECT = """
    SELECT t.id, t.recorded_at, t.occurred_at, t.move, t.debit, t.credit, t.points, l.source AS lot_source,
        l.title AS lot_title, o.deal_ref, o.shop_ref, o.channel, t.rules_version, t.rule, t.actor, t.reason,
        l.activates_at, l.expires_at, t.key
    FROM transfer t LEFT JOIN lot l ON l.id = t.lot_id LEFT JOIN orders o ON o.id = t.order_id
"""
_OF_PERSON = "t.member_id IN (SELECT id FROM member WHERE id = :id OR merged_into_id = :id)"
_STATEMENT = f"{_SELECT} WHERE {_OF_PERSON}"
_SUMS = sa.text(
    f"""
    WITH entry AS (
        SELECT side.account, side.points FROM transfer t
        CROSS JOIN LATERAL (VALUES (t.credit, t.points), (t.debit, -t.points)) AS side (account, points)
        WHERE {_OF_PERSON} AND t.recorded_at <= :until
    )
    SELECT COALESCE(sum(points) FILTER (WHERE account = 'pending'), 0)::bigint,
        COALESCE(sum(points) FILTER (WHERE account = 'available'), 0)::bigint,
        COALESCE(sum(points) FILTER (WHERE account = 'reserved'), 0)::bigint,
        COALESCE(-sum(points) FILTER (WHERE account = 'debt'), 0)::bigint
    FROM entry
    """  # noqa: S608
)


def statement(tx: sa.Connection, member_id: int, *, limit: int, before: int | None = None) -> Sequence[StatementLine]:
    """The member's latest transfers, newest first; `before` continues a page."""
    found = tx.execute(
        sa.text(f"{_STATEMENT} AND t.id < :before ORDER BY t.id DESC LIMIT :limit"),
        {"id": member_id, "limit": limit, "before": before or 2**62},
    )
    return [StatementLine(*row) for row in found]


def history(tx: sa.Connection, member_id: int, *, until: datetime | None = None) -> Sequence[StatementLine]:
    """Every transfer recorded up to an instant, oldest first: what a balance of that moment is made of."""
    found = tx.execute(
        sa.text(f"{_STATEMENT} AND (CAST(:until AS timestamptz) IS NULL OR t.recorded_at <= :until) ORDER BY t.id"),
        {"id": member_id, "until": until},
    )
    return [StatementLine(*row) for row in found]


def balance_at(tx: sa.Connection, member_id: int, *, until: datetime) -> Balance:
    """The sums of the same transfers, without reading them out."""
    return Balance(*tx.execute(_SUMS, {"id": member_id, "until": until}).one())


def of_order(tx: sa.Connection, order_id: int, *, after: int = 0) -> Sequence[StatementLine]:
    """Transfers made for one order, oldest first; `after` leaves out what was known before."""
    found = tx.execute(
        sa.text(f"{_SELECT} WHERE t.order_id = :id AND t.id > :after ORDER BY t.id"), {"id": order_id, "after": after}
    )
    return [StatementLine(*row) for row in found]


def last_id(tx: sa.Connection, order_id: int) -> int:
    """The newest transfer of an order; 0 when there is none."""
    statement = sa.text("SELECT COALESCE(max(id), 0) FROM transfer WHERE order_id = :id")
    return int(tx.execute(statement, {"id": order_id}).scalar_one())


def given_by(tx: sa.Connection, actor: str, *, since: datetime) -> int:
    """Points this person has given by hand since an instant. Who asks next waits for our end: two at once would both
    find the same sum."""
    tx.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"actor:{actor}"})
    statement = sa.text(
        """
        SELECT COALESCE(sum(points), 0) FROM transfer
        WHERE move = 'adjust' AND actor = :actor AND debit = 'adjusted' AND recorded_at >= :since
        """
    )
    return int(tx.execute(statement, {"actor": actor, "since": since}).scalar_one())


def is_posted(tx: sa.Connection, key: str) -> bool:
    """Whether a move with this key was made before."""
    return bool(tx.execute(sa.text("SELECT EXISTS (SELECT 1 FROM transfer WHERE key = :key)"), {"key": key}).scalar())


def _opening(lot: LotOpening, moved: dict[str, int]) -> dict[str, Any]:
    dates = {
        "activates_at": lot.activates_at.isoformat(),
        "expires_at": None if lot.expires_at is None else lot.expires_at.isoformat(),
    }
    return {**vars(lot), **dates, **_change(lot.key, moved)}


def _change(key: str, moved: dict[str, int]) -> dict[str, Any]:
    return {"key": key, **_NOTHING_MOVED, **moved}


_NOTHING_MOVED = dict.fromkeys(COUNTERS, 0)
