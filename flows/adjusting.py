"""Points moved by a person's hand or a program's word: corrections with a reason and a limit, rewards for actions.

Every such move names who made it and why. A repeated request (the same `key`) changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from flows import book
from flows.refusals import ActionLimit, ActionUnknown, AdjustmentLimit, AdjustmentTooLarge
from loyalty import calendar
from loyalty.account import Cause, PointsMissing
from loyalty.granting import Grant, grant
from storage import ledger, lots, members

if TYPE_CHECKING:
    import sqlalchemy as sa

    from flows.runtime import Runtime
    from loyalty.account import Account
    from loyalty.rules import ActionReward
    from storage.members import Member

Reason = Literal["mistake", "complaint", "gift", "other"]
_EVER = datetime(2000, 1, 1, tzinfo=UTC)
REASON_WORDS = {"mistake": "исправление ошибки", "complaint": "жалоба", "gift": "подарок", "other": "другое"}


@dataclass(frozen=True)
class Adjustment:
    """A correction: `points` above zero are given, below zero taken. `key` names the request."""

    points: int
    reason: Reason
    comment: str
    actor: str
    key: str


def adjust(rt: Runtime, member_id: int, asked: Adjustment) -> Member:
    """Gives or takes points by hand. Raises AdjustmentLimit above what the rules allow a person, AdjustmentTooLarge if
    the member has not as many available points: a correction never makes a debt."""
    now = rt.now()

    def work(tx: sa.Connection) -> Member:
        member = book.lock(tx, member_id, now=now)
        prefix = f"adjust:{member_id}:{asked.key}"
        if any(ledger.is_posted(tx, f"adjust:{one}:{asked.key}:0") for one in _names(tx, member_id)):
            return member
        _within_limits(tx, rt, asked, now=now)
        rt.programme_of(tx, rt.rules_version)
        account = book.open_account(tx, rt, member, now=now)
        why = f"{REASON_WORDS[asked.reason]}: {asked.comment}"
        cause = Cause(rule="adjustments", actor=asked.actor, reason=why)
        if asked.points > 0:
            _give(account, rt, asked.points, f"{prefix}:0", cause, now=now)
        else:
            account.know(lots.open_lots(tx, member_id, enough=-asked.points, now=now))
            _take(account, -asked.points, prefix, cause, now=now)
        book.save(tx, rt, member_id, account, occurred_at=now)
        return members.lock(tx, member_id)

    return book.run(rt, work)


def reward(rt: Runtime, member_id: int, code: str, *, key: str, actor: str) -> Member:
    """Points for an action of the rules (`gifts.actions`). Raises ActionUnknown, ActionLimit."""
    now = rt.now()
    rules = next((one for one in rt.programme.gifts.actions if one.code == code), None)
    if rules is None:
        known = ", ".join(one.code for one in rt.programme.gifts.actions) or "нет ни одного"
        raise ActionUnknown(f"В правилах есть: {known}")

    def work(tx: sa.Connection) -> Member:
        member = book.lock(tx, member_id, now=now)
        if any(ledger.is_posted(tx, f"action:{rules.code}:{one}:{key}") for one in _names(tx, member_id)):
            return member
        if rules.once and lots.actions_since(tx, member_id, rules.code, since=_EVER):
            raise ActionLimit
        lot_key = f"action:{rules.code}:{member_id}:{key}"
        _within_day(tx, rt, member_id, rules, now=now)
        rt.programme_of(tx, rt.rules_version)
        account = book.open_account(tx, rt, member, now=now)
        plan = Grant(
            key=lot_key,
            source="action",
            move="gift",
            points=rules.points,
            at=now,
            delay=rules.activate_after,
            lifetime=rules.expire_after,
            title=rules.title,
        )
        cause = Cause(rule=f"gifts.actions.{rules.code}", actor=actor)
        grant(account, plan, timezone=rt.programme.timezone, rules_version=rt.rules_version, cause=cause)
        book.bring_up_to_date(account, rt, now=now)
        book.save(tx, rt, member_id, account, occurred_at=now)
        return members.lock(tx, member_id)

    return book.run(rt, work)


def _names(tx: sa.Connection, member_id: int) -> tuple[int, ...]:
    """Whom a repeated request may have named: the member, or one who was merged into him since."""
    return (member_id, *members.merged_into(tx, member_id))


def _give(account: Account, rt: Runtime, points: int, key: str, cause: Cause, *, now: datetime) -> None:
    lifetime = rt.programme.adjustments.expire_after
    plan = Grant(key=key, source="manual", move="adjust", points=points, at=now, lifetime=lifetime, debit="adjusted")
    grant(account, plan, timezone=rt.programme.timezone, rules_version=rt.rules_version, cause=cause)
    book.bring_up_to_date(account, rt, now=now)


def _take(account: Account, points: int, prefix: str, cause: Cause, *, now: datetime) -> None:
    available = account.balances["available"]
    if points > available:
        raise AdjustmentTooLarge(f"Доступно {available}, снять просят {points}")
    for number, lot in enumerate(account.spendable(now=now)):
        taken = min(points, lot.available)
        if taken == 0:
            break
        points -= taken
        key = f"{prefix}:{number}"
        account.move("adjust", taken, ("available", "adjusted"), key=key, cause=cause, lot=lot)
    if points > 0:
        raise PointsMissing(f"{prefix}: the open lots lack {points} of the available points")


def _within_limits(tx: sa.Connection, rt: Runtime, asked: Adjustment, *, now: datetime) -> None:
    rules = rt.programme.adjustments
    if abs(asked.points) > rules.max_points:
        raise AdjustmentLimit(f"За один раз можно {rules.max_points}", max_points=rules.max_points)
    if asked.points <= 0:
        return
    since, _ = calendar.day_bounds(now, rt.programme.timezone)
    given = ledger.given_by(tx, asked.actor, since=since)
    if given + asked.points > rules.max_points_per_day:
        raise AdjustmentLimit(
            f"За день можно {rules.max_points_per_day}, уже дано {given}", max_points=rules.max_points_per_day - given
        )


def _within_day(tx: sa.Connection, rt: Runtime, member_id: int, rules: ActionReward, *, now: datetime) -> None:
    if rules.per_day is None:
        return
    since, _ = calendar.day_bounds(now, rt.programme.timezone)
    if lots.actions_since(tx, member_id, rules.code, since=since) >= rules.per_day:
        raise ActionLimit(f"За день можно {rules.per_day}")
