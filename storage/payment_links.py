"""Links by which buyers pay: at most one live per order, each attempt with a number of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True)
class PaymentLink:
    """`wanted`: being asked for; `open`: can be paid; `paid`; `closed`: given up; `refused`: the acquirer did not make
    it, `reason` says why. `asked` is what it was asked with, so that it can be asked again with the same key."""

    id: int
    public_id: str
    order_id: int
    hold_id: int | None
    attempt: int
    acquirer: str
    amount_kopecks: int
    state: str
    url: str
    payment_ref: str
    link_ref: str
    asked: Mapping[str, Any]
    reason: str | None
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True)
class NewLink:
    public_id: str
    order_id: int
    hold_id: int | None
    acquirer: str
    amount_kopecks: int
    expires_at: datetime | None


_COLUMNS = ", ".join(f"k.{one.name}" for one in fields(PaymentLink))
_LIVE = sa.text(f"SELECT {_COLUMNS} FROM payment_link k WHERE order_id = :id AND state IN ('wanted', 'open')")  # noqa: S608
_WANT = sa.text(
    f"""
    INSERT INTO payment_link AS k (public_id, order_id, hold_id, attempt, acquirer, amount_kopecks, state, asked,
        created_at, expires_at)
    VALUES (:public_id, :order_id, :hold_id,
        1 + COALESCE((SELECT max(attempt) FROM payment_link WHERE order_id = :order_id), 0),
        :acquirer, :amount_kopecks, 'wanted', '{{}}', :now, :expires_at)
    RETURNING {_COLUMNS}
    """  # noqa: S608
)
_STALE = sa.text(
    f"""
    SELECT {_COLUMNS} FROM payment_link k JOIN orders o ON o.id = k.order_id LEFT JOIN hold h ON h.id = k.hold_id
    WHERE k.state IN ('wanted', 'open') AND k.id > :after AND (
        o.counted_at IS NOT NULL
        OR (k.hold_id IS NOT NULL AND h.state NOT IN ('unconfirmed', 'active'))
        OR k.expires_at <= :now
        OR (k.state = 'wanted' AND k.created_at < :now - interval '1 hour'))
    ORDER BY k.id LIMIT :limit
    """  # noqa: S608
)


def live(tx: sa.Connection, order_id: int) -> PaymentLink | None:
    """The order's link that is open or being asked for. Lock the order first."""
    row = tx.execute(_LIVE, {"id": order_id}).one_or_none()
    return None if row is None else PaymentLink(*row)


def want(tx: sa.Connection, new: NewLink, *, now: datetime) -> PaymentLink:
    """The order's next attempt. Raises IntegrityError while another is live."""
    return PaymentLink(*tx.execute(_WANT, {**vars(new), "now": now}).one())


def opened(tx: sa.Connection, link_id: int, *, url: str, payment_ref: str, link_ref: str) -> bool:
    """The acquirer has made it. False: it was given up meanwhile."""
    statement = sa.text(
        """
        UPDATE payment_link SET state = 'open', url = :url, payment_ref = :payment_ref, link_ref = :link_ref
        WHERE id = :id AND state = 'wanted'
        """
    )
    found = {"id": link_id, "url": url, "payment_ref": payment_ref, "link_ref": link_ref}
    return tx.execute(statement, found).rowcount == 1


def close(tx: sa.Connection, link_id: int, *, state: str, reason: str | None, now: datetime) -> bool:
    """Paid, closed or refused. False: it was not live."""
    statement = sa.text(
        """
        UPDATE payment_link SET state = CAST(:state AS text), reason = :reason, closed_at = :now
        WHERE id = :id AND state IN ('wanted', 'open') AND (url <> '' OR CAST(:state AS text) <> 'paid')
        """
    )
    return tx.execute(statement, {"id": link_id, "state": state, "reason": reason, "now": now}).rowcount == 1


def stale(tx: sa.Connection, *, now: datetime, after: int, limit: int) -> list[PaymentLink]:
    """Live links whose order is paid, whose points are no longer reserved, or whose time is over."""
    return [PaymentLink(*row) for row in tx.execute(_STALE, {"now": now, "after": after, "limit": limit})]


def order_named(tx: sa.Connection, public_id: str) -> int | None:
    """The order that a link of ours was made for, by the name that the acquirer was told."""
    statement = sa.text("SELECT order_id FROM payment_link WHERE public_id = :id")
    return tx.execute(statement, {"id": public_id}).scalar_one_or_none()


def open_url(tx: sa.Connection, order_id: int) -> str | None:
    """The address by which this order can be paid now."""
    statement = sa.text("SELECT url FROM payment_link WHERE order_id = :id AND state = 'open'")
    return tx.execute(statement, {"id": order_id}).scalar_one_or_none()


def save_asked(tx: sa.Connection, link_id: int, asked: Mapping[str, Any]) -> None:
    """What the acquirer is asked, so that it can be asked again alike."""
    statement = sa.text("UPDATE payment_link SET asked = CAST(:asked AS jsonb) WHERE id = :id")
    tx.execute(statement, {"id": link_id, "asked": json.dumps(dict(asked), ensure_ascii=False)})
