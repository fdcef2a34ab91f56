"""Links by which buyers pay: at most one live per order, each attempt with a number of its own.

Every change of state names the states it may start from: of two processes one makes it, the other is told so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

FIRST_ATTEMPT = 101
"""The shop numbers its own payments of a deal from 1: ours must not be taken for those."""
LIVE = ("wanted", "open")


@dataclass(frozen=True)
class PaymentLink:
    """`wanted`: being asked for, `tries` times; `open`: can be paid; `closing`: given up, but the acquirer has not said
    yet that nobody can pay by it; `paid`; `closed`: over; `refused`: the acquirer did not make it. `reason` says why.
    `asked` is what it was asked with, so that it can be asked again with the same key; `order_number` the name that the
    acquirer knows the order by; `looked_at` when it was last known that it can be paid; `closed_at` when it was given
    up."""

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
    order_number: str
    tries: int
    asked: Mapping[str, Any]
    reason: str | None
    created_at: datetime
    expires_at: datetime
    looked_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True)
class NewLink:
    public_id: str
    order_id: int
    hold_id: int | None
    acquirer: str
    amount_kopecks: int
    expires_at: datetime


_COLUMNS = ", ".join(f"k.{one.name}" for one in fields(PaymentLink))
_OF_ORDER = sa.text(f"SELECT {_COLUMNS} FROM payment_link k WHERE k.order_id = :id ORDER BY k.attempt")  # noqa: S608
_BY_ID = sa.text(f"SELECT {_COLUMNS} FROM payment_link k WHERE k.id = :id")  # noqa: S608
_MARK = """
    md5(concat_ws('|', o.price_kopecks, o.basket, o.is_kept, o.shop_paid_kopecks, o.shop_returned_kopecks, o.returned,
        (SELECT concat_ws(',', sum(p.captured_kopecks), sum(p.refunded_kopecks), bool_or(p.is_refund_total))
         FROM payment p WHERE p.order_id = o.id)))
"""
"""What the sum of a link rests on: if it is the same, nobody needs to work that sum out again."""
_WANT = sa.text(
    f"""
    INSERT INTO payment_link AS k (public_id, order_id, hold_id, attempt, acquirer, amount_kopecks, state, asked,
        created_at, expires_at, looked_at, order_mark)
    SELECT :public_id, o.id, :hold_id,
        COALESCE((SELECT max(attempt) + 1 FROM payment_link WHERE order_id = o.id), :first_attempt),
        :acquirer, :amount_kopecks, 'wanted', '{{}}', :now, :expires_at, :now, {_MARK}
    FROM orders o WHERE o.id = :order_id
    RETURNING {_COLUMNS}
    """  # noqa: S608
)
_TO_REVIEW = sa.text(
    f"""
    SELECT {_COLUMNS} FROM payment_link k JOIN orders o ON o.id = k.order_id
    WHERE k.state IN ('wanted', 'open', 'closing') AND k.id > :after AND (
        k.state = 'closing'
        OR k.expires_at <= :now
        OR (k.state = 'wanted' AND k.created_at <= :wanted_since)
        OR (k.state = 'open' AND k.payment_ref <> '' AND k.looked_at <= :looked_at)
        OR k.hold_id IS DISTINCT FROM (SELECT h.id FROM hold h WHERE h.id = o.hold_id AND h.state = 'active')
        OR k.order_mark <> {_MARK})
    ORDER BY k.id LIMIT :limit
    """  # noqa: S608
)
_TO_SHOW = sa.text(
    f"""
    SELECT {_COLUMNS}, o.deal_ref, o.shop_ref FROM payment_link k JOIN orders o ON o.id = k.order_id
    WHERE k.state IN ('wanted', 'open', 'closing') OR (k.state = 'refused' AND k.closed_at > :since)
    ORDER BY k.id DESC LIMIT :limit
    """  # noqa: S608
)


def of_order(tx: sa.Connection, order_id: int) -> list[PaymentLink]:
    """All of them, oldest first. Lock the order first to rely on their states."""
    return [PaymentLink(*row) for row in tx.execute(_OF_ORDER, {"id": order_id})]


def by_id(tx: sa.Connection, link_id: int) -> PaymentLink:
    return PaymentLink(*tx.execute(_BY_ID, {"id": link_id}).one())


def live(tx: sa.Connection, order_id: int) -> PaymentLink | None:
    """The order's link that is open or being asked for. Lock the order first."""
    return next((one for one in of_order(tx, order_id) if one.state in LIVE), None)


def want(tx: sa.Connection, new: NewLink, *, now: datetime) -> PaymentLink:
    """The order's next attempt. Raises IntegrityError while another is live."""
    return PaymentLink(*tx.execute(_WANT, {**vars(new), "now": now, "first_attempt": FIRST_ATTEMPT}).one())


def save_asked(tx: sa.Connection, link_id: int, asked: Mapping[str, Any], *, order_number: str) -> None:
    """What the acquirer is asked, so that it can be asked again alike."""
    statement = sa.text("UPDATE payment_link SET asked = CAST(:asked AS jsonb), order_number = :number WHERE id = :id")
    content = json.dumps(dict(asked), ensure_ascii=False)
    tx.execute(statement, {"id": link_id, "asked": content, "number": order_number})


def count_try(tx: sa.Connection, link_id: int) -> int | None:
    """Before the acquirer is asked: which try this is. None: it need not be asked any more."""
    statement = sa.text("UPDATE payment_link SET tries = tries + 1 WHERE id = :id AND state = 'wanted' RETURNING tries")
    return tx.execute(statement, {"id": link_id}).scalar_one_or_none()


def opened(tx: sa.Connection, link_id: int, *, url: str, payment_ref: str, link_ref: str, now: datetime) -> bool:
    """The acquirer has made it. False: it was given up, or opened by another, meanwhile."""
    statement = sa.text(
        """
        UPDATE payment_link SET state = 'open', url = :url, payment_ref = :payment_ref, link_ref = :link_ref,
            looked_at = :now
        WHERE id = :id AND state = 'wanted'
        """
    )
    found = {"id": link_id, "url": url, "payment_ref": payment_ref, "link_ref": link_ref, "now": now}
    return tx.execute(statement, found).rowcount == 1


def move(tx: sa.Connection, link_id: int, state: str, *, was: Sequence[str], reason: str | None, now: datetime) -> bool:
    """To `state` out of one of `was`; without a new reason the old one stands. False: it was in none of them."""
    statement = sa.text(
        """
        UPDATE payment_link SET state = :state, reason = COALESCE(:reason, reason),
            closed_at = COALESCE(closed_at, :now)
        WHERE id = :id AND state = ANY(:was)
        """
    )
    given = {"id": link_id, "state": state, "was": list(was), "reason": reason, "now": now}
    return tx.execute(statement, given).rowcount == 1


def give_up(tx: sa.Connection, link_id: int, *, reason: str, now: datetime) -> bool:
    """It fits no more. Whose address is known may still be paid until the acquirer says otherwise; one that was never
    told to anybody is over at once. False: it was not live."""
    is_open = move(tx, link_id, "closing", was=("open",), reason=reason, now=now)
    return is_open or move(tx, link_id, "closed", was=("wanted",), reason=reason, now=now)


def paid(tx: sa.Connection, link_id: int, *, payment_ref: str, now: datetime) -> None:
    """Money came by it, whatever we thought of it."""
    statement = sa.text(
        """
        UPDATE payment_link SET state = 'paid', closed_at = COALESCE(closed_at, :now),
            payment_ref = CASE WHEN payment_ref = '' THEN :ref ELSE payment_ref END
        WHERE id = :id AND state <> 'paid' AND url <> ''
        """
    )
    tx.execute(statement, {"id": link_id, "ref": payment_ref, "now": now})


def not_cancelled(tx: sa.Connection, link_id: int, *, reason: str) -> None:
    """The acquirer's answer to a cancelling that it did not do."""
    statement = sa.text("UPDATE payment_link SET reason = :reason WHERE id = :id AND state = 'closing'")
    tx.execute(statement, {"id": link_id, "reason": reason})


def still_fits(tx: sa.Connection, link_id: int) -> None:
    """Its order has changed, the sum and the hold have not."""
    statement = sa.text(
        f"UPDATE payment_link k SET order_mark = {_MARK} FROM orders o WHERE o.id = k.order_id AND k.id = :id"  # noqa: S608
    )
    tx.execute(statement, {"id": link_id})


def looked(tx: sa.Connection, link_id: int, *, now: datetime) -> None:
    tx.execute(sa.text("UPDATE payment_link SET looked_at = :now WHERE id = :id"), {"id": link_id, "now": now})


def to_review(
    tx: sa.Connection, *, now: datetime, wanted_for: timedelta, seen_for: timedelta, after: int, limit: int
) -> list[PaymentLink]:
    """Links that may fit no more, may be dead, or wait for the acquirer's word that they are."""
    given = {"now": now, "wanted_since": now - wanted_for, "looked_at": now - seen_for, "after": after, "limit": limit}
    return [PaymentLink(*row) for row in tx.execute(_TO_REVIEW, given)]


def to_show(tx: sa.Connection, *, since: datetime, limit: int) -> list[tuple[PaymentLink, int | None, str | None]]:
    """Links that are not over, and those refused since then, newest first; each with its deal and the shop's order."""
    rows = tx.execute(_TO_SHOW, {"since": since, "limit": limit})
    return [(PaymentLink(*row[:-2]), row[-2], row[-1]) for row in rows]


def order_named(tx: sa.Connection, public_id: str) -> int | None:
    """The order that a link of ours was made for, by the name that the acquirer was told."""
    statement = sa.text("SELECT order_id FROM payment_link WHERE public_id = :id")
    return tx.execute(statement, {"id": public_id}).scalar_one_or_none()


def open_url(tx: sa.Connection, order_id: int) -> str | None:
    """The address by which this order can be paid now."""
    statement = sa.text("SELECT url FROM payment_link WHERE order_id = :id AND state = 'open'")
    return tx.execute(statement, {"id": order_id}).scalar_one_or_none()


def forget_asked(tx: sa.Connection, *, before: datetime, limit: int) -> int:
    """Empties what at most `limit` links that are over were asked with: a buyer's address and what he bought."""
    statement = sa.text(
        """
        UPDATE payment_link SET asked = '{}' WHERE id IN (
            SELECT id FROM payment_link
            WHERE closed_at < :before AND asked <> '{}' AND state IN ('paid', 'closed', 'refused')
            ORDER BY closed_at LIMIT :limit
        )
        """
    )
    return tx.execute(statement, {"before": before, "limit": limit}).rowcount
