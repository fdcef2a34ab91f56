"""Orders: the CRM's deals and those of the shop's own programs. Facts as they were last told, and what was decided.

Payments are `payments.py`, what the deal in the CRM was told `deal_marks.py`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from loyalty.basket import Basket


@dataclass(frozen=True)
class Order:
    """A deal of the CRM, an order of the shop's own programs, or both. `rules_version`, `segment_code`, `is_greeted`,
    `earn_cap` are settled at its first counting; `paid_at` is the first fact that made the order earn. What was posted
    for it: `accrued`, `welcomed`, `reversed`, of which `forgiven` could not be taken; what was spent on it: `redeemed`,
    of which `restored` came back. `is_kept`: the buyer keeps it, though points alone may have paid for it."""

    id: int
    deal_ref: int | None
    shop_ref: str | None
    channel: str
    paid_channel: str | None
    member_id: int | None
    price_kopecks: int
    is_stage_paid: bool
    shop_paid_kopecks: int | None
    shop_paid_at: datetime | None
    shop_returned_kopecks: int
    basket: dict[str, Any] | None
    returned: tuple[int, ...]
    kept_kopecks: int
    paid_at: datetime | None
    revision: int
    rules_version: str | None
    segment_code: str | None
    is_greeted: bool
    earn_cap: int | None
    limit_reason: str | None
    counted_at: datetime | None
    accrued: int
    welcomed: int
    reversed: int
    redeemed: int
    restored: int
    forgiven: int
    is_kept: bool
    hold_id: int | None
    redeem_asked: int | None
    redeem_answer: str | None
    noted_points: int
    noting_revision: int
    noted_hold: str | None
    pushed_fields: dict[str, Any] | None

    @property
    def is_untouched(self) -> bool:
        """Nothing was ever counted for it: its buyer may still change."""
        return self.revision == 0 and self.kept_kopecks == 0 and self.hold_id is None

    @property
    def deal(self) -> int:
        """The CRM's deal. Raises LookupError for an order the CRM does not know."""
        if self.deal_ref is None:
            raise LookupError(f"order {self.id} has no deal in the CRM")
        return self.deal_ref


_COLUMNS = ", ".join(one.name for one in fields(Order))
# Locks leave the key alone: whoever posts a transfer about an order must not wait for whoever works that order, or two
# orders of one member (or an order and the sweep) would wait for each other.
_OPEN = sa.text(
    f"""
    INSERT INTO orders (deal_ref, created_at) VALUES (:deal_ref, :now)
    ON CONFLICT ON CONSTRAINT one_order_per_deal DO UPDATE SET created_at = orders.created_at
    RETURNING {_COLUMNS}
    """  # noqa: S608
)
_OPEN_SHOP = sa.text(
    f"""
    INSERT INTO orders (shop_ref, channel, created_at) VALUES (:shop_ref, :channel, :now)
    ON CONFLICT ON CONSTRAINT one_order_per_shop_ref DO UPDATE SET created_at = orders.created_at
    RETURNING {_COLUMNS}
    """  # noqa: S608
)
_FIND = sa.text(f"SELECT {_COLUMNS} FROM orders WHERE deal_ref = :deal_ref FOR NO KEY UPDATE")  # noqa: S608
_FIND_SHOP = sa.text(f"SELECT {_COLUMNS} FROM orders WHERE shop_ref = :shop_ref FOR NO KEY UPDATE")  # noqa: S608
_READ_SHOP = sa.text(f"SELECT {_COLUMNS} FROM orders WHERE shop_ref = :shop_ref")  # noqa: S608
_LOCK = sa.text(f"SELECT {_COLUMNS} FROM orders WHERE id = :id FOR NO KEY UPDATE")  # noqa: S608
_BY_IDS = sa.text(f"SELECT {_COLUMNS} FROM orders WHERE id = ANY(:ids)")  # noqa: S608


def open_order(tx: sa.Connection, deal_ref: int, *, now: datetime) -> Order:
    """The order of this deal, locked; made empty if it is new."""
    return _order(tx.execute(_OPEN, {"deal_ref": deal_ref, "now": now}).one())


def by_ids(tx: sa.Connection, ids: Iterable[int]) -> dict[int, Order]:
    return {row.id: _order(row) for row in tx.execute(_BY_IDS, {"ids": list(ids)})}


def find(tx: sa.Connection, deal_ref: int) -> Order | None:
    """The order of this deal, locked; None if nothing was ever recorded for it."""
    row = tx.execute(_FIND, {"deal_ref": deal_ref}).one_or_none()
    return None if row is None else _order(row)


def open_shop_order(tx: sa.Connection, shop_ref: str, *, channel: str, now: datetime) -> Order:
    """The order of the shop's own program, locked; made empty if it is new."""
    return _order(tx.execute(_OPEN_SHOP, {"shop_ref": shop_ref, "channel": channel, "now": now}).one())


def find_shop_order(tx: sa.Connection, shop_ref: str) -> Order | None:
    """The shop's order, locked; None if nothing was ever recorded for it."""
    row = tx.execute(_FIND_SHOP, {"shop_ref": shop_ref}).one_or_none()
    return None if row is None else _order(row)


def read_shop_order(tx: sa.Connection, shop_ref: str) -> Order | None:
    """The same without a lock: for whoever only looks."""
    row = tx.execute(_READ_SHOP, {"shop_ref": shop_ref}).one_or_none()
    return None if row is None else _order(row)


def newest_kept_at(tx: sa.Connection, member_id: int) -> datetime | None:
    """When the member last bought something that he keeps."""
    statement = sa.text("SELECT max(paid_at) FROM orders WHERE member_id = :id AND is_kept")
    newest: datetime | None = tx.execute(statement, {"id": member_id}).scalar_one()
    return newest


def lock(tx: sa.Connection, order_id: int) -> Order:
    """The order, locked until the transaction ends."""
    return _order(tx.execute(_LOCK, {"id": order_id}).one())


def save_deal(tx: sa.Connection, order_id: int, *, member_id: int, price_kopecks: int, is_stage_paid: bool) -> None:
    """What the CRM says of the deal now. An order stays with the member it was first counted for."""
    tx.execute(
        sa.text(
            """
            UPDATE orders SET price_kopecks = :price, is_stage_paid = :is_stage_paid,
                member_id = CASE WHEN revision = 0 AND kept_kopecks = 0 THEN :member_id
                                 ELSE COALESCE(member_id, :member_id) END
            WHERE id = :id
            """
        ),
        {"id": order_id, "member_id": member_id, "price": price_kopecks, "is_stage_paid": is_stage_paid},
    )


def save_shop_sale(tx: sa.Connection, order_id: int, *, member_id: int, basket: Basket, channel: str) -> None:
    """What the shop's program says is being bought. An order that was counted keeps its buyer and its basket."""
    tx.execute(
        sa.text(
            """
            UPDATE orders SET member_id = :member_id, basket = CAST(:basket AS jsonb), channel = :channel
            WHERE id = :id AND revision = 0 AND kept_kopecks = 0 AND shop_paid_kopecks IS NULL
            """
        ),
        {"id": order_id, "member_id": member_id, "basket": json.dumps(basket.to_data()), "channel": channel},
    )


def save_shop_paid(tx: sa.Connection, order_id: int, *, kopecks: int, paid_channel: str, at: datetime) -> None:
    """The shop's program says that the order is paid with this much money in all; a part payment is followed by the
    rest, and the first one dates the order."""
    tx.execute(
        sa.text(
            """
            UPDATE orders SET shop_paid_kopecks = GREATEST(shop_paid_kopecks, :kopecks),
                paid_channel = COALESCE(paid_channel, :channel), shop_paid_at = COALESCE(shop_paid_at, :at)
            WHERE id = :id
            """
        ),
        {"id": order_id, "kopecks": kopecks, "channel": paid_channel, "at": at},
    )


def save_returns(tx: sa.Connection, order_id: int, *, returned: Sequence[int], returned_kopecks: int) -> None:
    """What came back so far: units of each line, and money of returns that name no line."""
    tx.execute(
        sa.text(
            """
            UPDATE orders SET returned = CAST(:returned AS jsonb), shop_returned_kopecks = :kopecks WHERE id = :id
            """
        ),
        {"id": order_id, "returned": json.dumps({"units": list(returned)}), "kopecks": returned_kopecks},
    )


def save_asked(tx: sa.Connection, order_id: int, *, asked: int | None, answer: str | None) -> None:
    """What the manager typed into the deal, and what we answered."""
    tx.execute(
        sa.text("UPDATE orders SET redeem_asked = :asked, redeem_answer = :answer WHERE id = :id"),
        {"id": order_id, "asked": asked, "answer": answer},
    )


def save_hold(tx: sa.Connection, order_id: int, hold_id: int | None) -> None:
    """The hold whose points lie on the order, open or captured; None: none does."""
    tx.execute(sa.text("UPDATE orders SET hold_id = :hold WHERE id = :id"), {"id": order_id, "hold": hold_id})


@dataclass(frozen=True)
class Counted:
    """What a decision leaves on its order."""

    kept_kopecks: int
    paid_at: datetime | None
    revision: int
    rules_version: str | None
    segment_code: str | None
    is_greeted: bool
    earn_cap: int | None
    limit_reason: str | None
    counted_at: datetime | None
    accrued: int
    welcomed: int
    reversed: int
    redeemed: int
    restored: int
    forgiven: int
    is_kept: bool
    hold_id: int | None


_SAVE_RESULT = sa.text(
    f"UPDATE orders SET {', '.join(f'{one.name} = :{one.name}' for one in fields(Counted))} WHERE id = :id"  # noqa: S608
)


def save_result(tx: sa.Connection, order_id: int, counted: Counted) -> None:
    tx.execute(_SAVE_RESULT, {**vars(counted), "id": order_id})


@dataclass(frozen=True)
class Others:
    """The member's other orders: how many he keeps, points spent on those, what they have used of the limits."""

    kept: int
    points_spent: int
    accruals_today: int
    points_today: int
    points_in_period: int


_OTHERS = sa.text(
    """
    SELECT count(*) FILTER (WHERE is_kept) AS kept,
        COALESCE(sum(redeemed - restored) FILTER (WHERE is_kept), 0)::bigint AS points_spent,
        count(*) FILTER (WHERE accrued > 0 AND counted_at >= :day AND counted_at < :next_day) AS accruals_today,
        COALESCE(sum(accrued) FILTER (WHERE counted_at >= :day AND counted_at < :next_day), 0)::bigint AS points_today,
        COALESCE(sum(accrued) FILTER (WHERE counted_at > :period_from), 0)::bigint AS points_in_period
    FROM orders WHERE member_id = :member_id AND id <> :except_order
    """
)


def others(
    tx: sa.Connection,
    member_id: int,
    *,
    except_order: int,
    day: tuple[datetime, datetime],
    period_from: datetime,
) -> Others:
    """Sums over the member's other orders; `day` is the local day's beginning and end. What was counted after that
    period began counts, whatever the order of the messages: an order told late finds no room that was used since."""
    row = tx.execute(
        _OTHERS,
        {
            "member_id": member_id,
            "except_order": except_order,
            "day": day[0],
            "next_day": day[1],
            "period_from": period_from,
        },
    ).one()
    return Others(*row)


def _order(row: sa.Row[Any]) -> Order:
    known = dict(row._mapping)
    known["returned"] = tuple(known["returned"].get("units", ()))
    return Order(**{name: known[name] for name in _NAMES})


_NAMES = tuple(one.name for one in fields(Order))
