"""Points of an order: the target, and the moves that bring what is posted to it.

Owns the base accrual, the welcome points and their reversal. An order converges: target(facts, rules of its first
accrual) minus what is posted is written as one step, so a repeated, late or reordered message writes nothing new.
Source: specification of points, sections 5.2-5.4 and examples V01-V03, V12, V20.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loyalty import calendar, money
from loyalty.ledger import Decision, Lot, LotOpening, LotSource, Move, Transfer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from loyalty.programme import Duration, Programme


class PointsMissing(Exception):
    """An order's own lots hold fewer points than were posted for it: the book is damaged, nothing may be written."""


@dataclass(frozen=True)
class OrderState:
    """An order at the moment of decision. `revision` counts its earlier decisions; `paid_at` is the instant of the
    fact that made it earn; `lots` are its base lots, `programme` the rules pinned at its first accrual."""

    order_id: int
    revision: int
    kept_kopecks: int
    paid_at: datetime
    lots: tuple[Lot, ...]
    programme: Programme
    rules_version: str


@dataclass(frozen=True)
class WelcomeState:
    """The member's welcome lots so far, and how many orders he keeps counting the one being decided."""

    member_id: int
    lots: tuple[Lot, ...]
    kept_orders: int


def converge(order: OrderState, welcome: WelcomeState) -> Decision:
    """Everything the present facts of one order change for its member."""
    greeting = _converge_welcome(order, welcome)
    carries_welcome = any(opening.source == "welcome" for opening in greeting.openings) or any(
        lot.order_id == order.order_id and lot.net > 0 for lot in welcome.lots
    )
    return _converge_base(order, _base_target(order, carries_welcome=carries_welcome)) + greeting


def _base_target(order: OrderState, *, carries_welcome: bool) -> int:
    rules = order.programme.welcome
    if carries_welcome and rules is not None and not rules.with_base:
        return 0
    return money.earned_points(
        order.kept_kopecks,
        rate_bps=order.programme.accrual.rate_bps,
        point_value_kopecks=order.programme.point_value_kopecks,
    )


def _converge_base(order: OrderState, target: int) -> Decision:
    difference = target - sum(lot.net for lot in order.lots)
    prefix = f"order:{order.order_id}:r{order.revision + 1}"
    if difference > 0:
        rules = order.programme.accrual
        return _open(
            order,
            key=f"{prefix}:base",
            source="accrual",
            move="accrue",
            points=difference,
            delay=rules.activate_after,
            lifetime=rules.expire_after,
        )
    return Decision(_take_back(order.lots, -difference, key_prefix=f"{prefix}:take"))


def _converge_welcome(order: OrderState, welcome: WelcomeState) -> Decision:
    rules = order.programme.welcome
    posted = sum(lot.net for lot in welcome.lots)
    key = f"member:{welcome.member_id}:welcome:{len(welcome.lots) + 1}"
    if welcome.kept_orders > 0 and posted == 0 and order.kept_kopecks > 0 and rules is not None and rules.points > 0:
        return _open(
            order,
            key=key,
            source="welcome",
            move="welcome",
            points=rules.points,
            delay=rules.activate_after,
            lifetime=rules.expire_after,
        )
    if welcome.kept_orders == 0 and posted > 0:
        return Decision(_take_back(welcome.lots, posted, key_prefix=f"{key}:take"))
    return Decision()


def _open(
    order: OrderState,
    *,
    key: str,
    source: LotSource,
    move: Move,
    points: int,
    delay: Duration,
    lifetime: Duration | None,
) -> Decision:
    """Opens a pending lot. With no delay it is activated by the same decision's caller at once (`activation.due`)."""
    zone = order.programme.timezone
    activates_at = calendar.activation_at(order.paid_at, delay, zone)
    opening = LotOpening(
        key=key,
        source=source,
        order_id=order.order_id,
        rules_version=order.rules_version,
        activates_at=activates_at,
        expires_at=calendar.expiry_at(activates_at, lifetime, zone),
    )
    transfer = Transfer(
        key=key,
        move=move,
        debit="issued",
        credit="pending",
        points=points,
        lot_key=key,
        order_id=order.order_id,
        rules_version=order.rules_version,
    )
    return Decision((transfer,), (opening,))


def _take_back(lots: Iterable[Lot], points: int, *, key_prefix: str) -> tuple[Transfer, ...]:
    """Reverses `points` from the given lots: what is still pending first, the newest lot first."""
    newest_first = sorted(lots, key=lambda lot: (lot.activates_at, lot.key), reverse=True)
    transfers: list[Transfer] = []
    for account in ("pending", "available"):
        for lot in newest_first:
            taken = min(points, getattr(lot, account))
            if taken > 0:
                points -= taken
                transfers.append(
                    Transfer(
                        key=f"{key_prefix}:{account}:{lot.key}",
                        move="reverse",
                        debit="pending" if account == "pending" else "available",
                        credit="reversed",
                        points=taken,
                        lot_key=lot.key,
                        order_id=lot.order_id,
                        rules_version=lot.rules_version,
                    )
                )
    if points > 0:
        raise PointsMissing(f"{key_prefix}: {points} points are in none of the lots")
    return tuple(transfers)
