"""amoCRM's native bonus points as far as we know them: balances a customer may have, and moves that were not ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime


@dataclass(frozen=True)
class Standing:
    """A member, his customer and the points both should show. `maybe` None: nothing was ever written there."""

    member_id: int
    customer_ref: int | None
    wanted: int
    maybe: tuple[int, ...] | None


@dataclass(frozen=True)
class Mirror:
    """`maybe`: balances that amoCRM may have, sorted; one is knowledge, none ignorance. `attempt` numbers the writes,
    the last of which may land until `busy_until`; None: its end is known."""

    maybe: tuple[int, ...]
    attempt: int
    busy_until: datetime | None


@dataclass(frozen=True)
class Drift:
    """Somebody else moved points: before our next write there were `found`. `expected` None: it was our first look."""

    id: int
    found_at: datetime
    member_id: int
    customer_ref: int
    expected: int | None
    found: int


# Members who share a customer share his points; of those who were merged only the living one has any.
_WANTED = """
    SELECT COALESCE(sum(GREATEST(0, owner.available)), 0)::bigint
    FROM crm_state sharing JOIN member owner ON owner.id = sharing.member_id WHERE sharing.customer_ref = {customer}
"""
_STANDINGS = sa.text(
    f"""
    SELECT m.id, s.customer_ref, CASE WHEN s.customer_ref IS NULL THEN GREATEST(0, m.available)::bigint
            ELSE ({_WANTED.format(customer="s.customer_ref")}) END AS wanted, b.maybe
    FROM member m LEFT JOIN crm_state s ON s.member_id = m.id LEFT JOIN crm_bonus b ON b.customer_ref = s.customer_ref
    WHERE m.id = ANY(:ids) ORDER BY m.id
    """  # noqa: S608
)
_WANTED_OF_ONE = sa.text(_WANTED.format(customer=":customer_ref"))
# One stretch of the members at a time: a table of a million is walked in statements of a tenth of a second.
_LAGGING = sa.text(
    f"""
    WITH stretch AS (
        SELECT m.id, s.customer_ref, b.customer_ref IS NOT NULL AS is_known, b.maybe,
            ({_WANTED.format(customer="s.customer_ref")}) AS wanted
        FROM member m JOIN crm_state s ON s.member_id = m.id
            LEFT JOIN crm_bonus b ON b.customer_ref = s.customer_ref
        WHERE m.id > :after AND s.customer_ref IS NOT NULL ORDER BY m.id LIMIT :limit
    )
    SELECT max(id), count(*), COALESCE(array_agg(id ORDER BY id) FILTER (
        WHERE (is_known AND maybe <> ARRAY[wanted] OR NOT is_known AND wanted > 0)
            AND NOT EXISTS (SELECT FROM outbox o WHERE o.kind = 'bonus' AND o.target_id = stretch.id
                AND o.state IN ('waiting', 'working'))), '{{}}')
    FROM stretch
    """  # noqa: S608
)


def standings(tx: sa.Connection, member_ids: Iterable[int]) -> list[Standing]:
    return [
        Standing(row.id, row.customer_ref, int(row.wanted), None if row.maybe is None else tuple(row.maybe))
        for row in tx.execute(_STANDINGS, {"ids": list(member_ids)})
    ]


def wanted(tx: sa.Connection, customer_ref: int) -> int:
    """What the customer should show now."""
    return int(tx.execute(_WANTED_OF_ONE, {"customer_ref": customer_ref}).scalar_one())


def lock(tx: sa.Connection, customer_ref: int) -> Mirror | None:
    """None: nothing was ever written to this customer."""
    statement = sa.text("SELECT maybe, attempt, busy_until FROM crm_bonus WHERE customer_ref = :ref FOR UPDATE")
    row = tx.execute(statement, {"ref": customer_ref}).one_or_none()
    return None if row is None else Mirror(tuple(row.maybe), row.attempt, row.busy_until)


def open_mirror(tx: sa.Connection, customer_ref: int) -> Mirror:
    """The customer's mirror, locked; a new one knows nothing."""
    statement = sa.text("INSERT INTO crm_bonus (customer_ref) VALUES (:ref) ON CONFLICT DO NOTHING")
    tx.execute(statement, {"ref": customer_ref})
    mirror = lock(tx, customer_ref)
    if mirror is None:
        raise LookupError("a mirror that was just made is there")
    return mirror


def begin(tx: sa.Connection, customer_ref: int, *, maybe: Sequence[int], busy_until: datetime) -> int:
    """A write begins; `maybe` holds the balances with it and without it. Returns its number."""
    statement = sa.text(
        """
        UPDATE crm_bonus SET maybe = CAST(:maybe AS bigint[]), busy_until = :until, attempt = attempt + 1
        WHERE customer_ref = :ref RETURNING attempt
        """
    )
    parameters = {"ref": customer_ref, "maybe": list(maybe), "until": busy_until}
    return int(tx.execute(statement, parameters).scalar_one())


def end(tx: sa.Connection, customer_ref: int, attempt: int, *, maybe: Sequence[int]) -> bool:
    """How the write ended. False: another one has begun since."""
    statement = sa.text(
        """
        UPDATE crm_bonus SET maybe = CAST(:maybe AS bigint[]), busy_until = NULL
        WHERE customer_ref = :ref AND attempt = :attempt
        """
    )
    return tx.execute(statement, {"ref": customer_ref, "attempt": attempt, "maybe": list(maybe)}).rowcount == 1


def doubt(tx: sa.Connection, customer_ref: int, maybe: Sequence[int]) -> None:
    """More balances are possible than was thought; whoever writes now is left to it."""
    statement = sa.text("UPDATE crm_bonus SET maybe = CAST(:maybe AS bigint[]) WHERE customer_ref = :ref")
    tx.execute(statement, {"ref": customer_ref, "maybe": list(maybe)})


def forget(tx: sa.Connection, customer_ref: int, attempt: int) -> None:
    """As if this write and all before it had never been: it was refused, or the customer is gone."""
    statement = sa.text("DELETE FROM crm_bonus WHERE customer_ref = :ref AND attempt = :attempt")
    tx.execute(statement, {"ref": customer_ref, "attempt": attempt})


def lagging(tx: sa.Connection, *, after: int, limit: int) -> tuple[int | None, list[int]]:
    """The next `limit` members with a customer: the last one's id, None at the end, and those whose points are not what
    amoCRM was told and about whom nothing is under way."""
    last, count, ids = tx.execute(_LAGGING, {"after": after, "limit": limit}).one()
    return (last if count == limit else None), list(ids)


def add_drift(
    tx: sa.Connection, *, customer_ref: int, member_id: int, found_at: datetime, expected: int | None, found: int
) -> None:
    statement = sa.text(
        """
        INSERT INTO crm_bonus_drift (customer_ref, member_id, found_at, expected, found)
        VALUES (:customer_ref, :member_id, :found_at, :expected, :found)
        """
    )
    told = {"customer_ref": customer_ref, "member_id": member_id, "found_at": found_at}
    tx.execute(statement, {**told, "expected": expected, "found": found})


def drifts(tx: sa.Connection, *, since: datetime, limit: int) -> list[Drift]:
    """The newest first."""
    statement = sa.text(
        """
        SELECT id, found_at, member_id, customer_ref, expected, found FROM crm_bonus_drift
        WHERE found_at >= :since ORDER BY found_at DESC, id DESC LIMIT :limit
        """
    )
    return [Drift(*row) for row in tx.execute(statement, {"since": since, "limit": limit})]


def count_drifts(tx: sa.Connection, *, since: datetime) -> int:
    statement = sa.text("SELECT count(*) FROM crm_bonus_drift WHERE found_at >= :since")
    return int(tx.execute(statement, {"since": since}).scalar_one())


def forget_drifts(tx: sa.Connection, *, before: datetime, limit: int) -> int:
    """Deletes at most `limit` old ones. Returns how many."""
    statement = sa.text(
        """
        DELETE FROM crm_bonus_drift WHERE id IN (
            SELECT id FROM crm_bonus_drift WHERE found_at < :before ORDER BY found_at, id LIMIT :limit
        )
        """
    )
    return tx.execute(statement, {"before": before, "limit": limit}).rowcount
