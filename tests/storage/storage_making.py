"""Rows for the storage tests, made through the storage functions themselves."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa

from loyalty.ledger import Account, Decision, LotOpening, Move, Transfer
from loyalty.programme import AccrualRules, Programme
from storage import boxes, holds, inbox, ledger, members, orders, outbox, rules
from storage.boxes import Box, Claim
from storage.db import Database
from storage.holds import Hold, NewHold
from storage.members import Member, NewCard
from storage.orders import Counted

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
LEASE = timedelta(seconds=60)
RULES = Programme(name="Клуб", timezone="Europe/Moscow", accrual=AccrualRules(rate_bps=1_000))
VERSION = "v1"
COUNTED = Counted(
    kept_kopecks=100,
    paid_at=NOW,
    revision=1,
    rules_version=VERSION,
    segment_code=None,
    is_greeted=False,
    earn_cap=None,
    limit_reason=None,
    counted_at=NOW,
    accrued=0,
    welcomed=0,
    reversed=0,
    redeemed=0,
    restored=0,
    forgiven=0,
    is_kept=True,
    hold_id=None,
)

Result = TypeVar("Result")
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Account4:
    """A member with one order and one lot of 100 pending points."""

    member: Member
    order_id: int
    lot_key: str


def make_member(tx: sa.Connection, contact_ref: int | None = None, *, name: str = "Анна") -> Member:
    number = next(_numbers)
    card = NewCard(token=f"token-{number}", serial=f"serial-{number}", number_prefix="77", number_length=10)
    member, _ = members.enrol(tx, contact_ref=contact_ref or number, name=name, card=card, now=NOW)
    return member


def transfer(
    key: str,
    lot_key: str,
    points: int,
    *,
    debit: Account = "issued",
    credit: Account = "pending",
    move: Move = "accrue",
    order_id: int | None = None,
    hold_id: int | None = None,
) -> Transfer:
    return Transfer(
        key=key,
        move=move,
        debit=debit,
        credit=credit,
        points=points,
        lot_key=lot_key,
        order_id=order_id,
        rules_version=VERSION,
        hold_id=hold_id,
        rule="test",
    )


def opening(key: str, order_id: int) -> LotOpening:
    return LotOpening(
        key=key, source="accrual", order_id=order_id, rules_version=VERSION, activates_at=NOW, expires_at=None
    )


def make_account(db: Database, *, points: int = 100) -> Account4:
    with db.begin() as tx:
        rules.remember(tx, VERSION, RULES, now=NOW)
        member = make_member(tx)
        order = orders.open_order(tx, 10_000 + member.id, now=NOW)
        orders.save_deal(tx, order.id, member_id=member.id, price_kopecks=points * 1_000, is_stage_paid=True)
        key = f"lot-{member.id}"
        decision = Decision((transfer(key, key, points, order_id=order.id),), (opening(key, order.id),))
        ledger.post(tx, member.id, decision, occurred_at=NOW, now=NOW)
        orders.save_result(tx, order.id, counted(accrued=points))
    return Account4(member, order.id, key)


def counted(**changes: Any) -> Counted:
    """What a decision leaves on an order it counted for the first time."""
    return replace(COUNTED, **changes)


def another_order(db: Database, account: Account4) -> Account4:
    """The same member with one more order, for which nothing was earned yet."""
    with db.begin() as tx:
        order = orders.open_order(tx, 10_000_000 + next(_numbers), now=NOW)
        orders.save_deal(tx, order.id, member_id=account.member.id, price_kopecks=0, is_stage_paid=False)
    return replace(account, order_id=order.id)


def make_hold(db: Database, account: Account4, points: int, *, code_digest: bytes | None = None) -> Hold:
    """An open hold on the account's order; as many of its points are available as it takes."""
    key = account.lot_key
    with db.begin() as tx:
        members.lock(tx, account.member.id)
        new = NewHold(
            public_id=f"hold-{next(_numbers)}",
            member_id=account.member.id,
            order_id=account.order_id,
            points=points,
            total_kopecks=100_000,
            spread=(points,),
            channel="site",
            rules_version=VERSION,
            expires_at=NOW + timedelta(minutes=30),
            code_digest=code_digest,
        )
        made = holds.add(tx, new, now=NOW)
        orders.save_hold(tx, account.order_id, made.id)
        taken = (
            transfer(f"a{made.id}", key, points, debit="pending", credit="available", move="activate"),
            transfer(f"h{made.id}", key, points, debit="available", credit="reserved", move="hold", hold_id=made.id),
        )
        ledger.post(tx, account.member.id, Decision(taken), occurred_at=NOW, now=NOW)
    return made


def capture(db: Database, account: Account4, hold: Hold) -> None:
    """The hold's order is paid."""
    spent = transfer(
        f"c{hold.id}",
        account.lot_key,
        hold.points,
        debit="reserved",
        credit="redeemed",
        move="capture",
        order_id=account.order_id,
        hold_id=hold.id,
    )
    post(db, account, spent)
    with db.begin() as tx:
        holds.close(tx, hold.id, state="captured", now=NOW)
        order = orders.lock(tx, account.order_id)
        orders.save_result(tx, order.id, counted(accrued=order.accrued, redeemed=hold.points, hold_id=hold.id))


def post(db: Database, account: Account4, *transfers: Transfer) -> None:
    with db.begin() as tx:
        members.lock(tx, account.member.id)
        ledger.post(tx, account.member.id, Decision(transfers), occurred_at=NOW, now=NOW)


def everything(db: Database) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the book, to compare before and after."""
    tables = ("member", "orders", "payment", "hold", "lot", "transfer", "inbox", "outbox", "rule_version")
    with db.begin() as tx:
        return {
            table: [tuple(row) for row in tx.execute(sa.text(f"SELECT t::text FROM {table} AS t ORDER BY 1"))]
            for table in tables
        }


def at_once(works: Sequence[Callable[[], Result]]) -> list[Result]:
    """Runs each in a thread of its own; results in the same order, the first failure is raised."""
    with ThreadPoolExecutor(len(works)) as pool:
        return [running.result(timeout=60) for running in [pool.submit(work) for work in works]]


def ask(db: Database, box: Box, number: int = 1) -> None:
    """Asks for work number N, for the first or another time."""
    with db.begin() as tx:
        if box == "inbox":
            inbox.add(tx, source="amocrm.deal", external_id=str(number), body=b"", is_hint=True, now=NOW)
        else:
            outbox.add(tx, "crm", [number], now=NOW)


def claim(db: Database, box: Box, *, alone: bool = False, limit: int = 50, now: Any = NOW) -> Sequence[Claim]:
    with db.begin() as tx:
        rows: Sequence[Any] = (
            inbox.claim(tx, now=now, lease=LEASE, limit=limit, alone=alone)
            if box == "inbox"
            else outbox.claim(tx, "crm", now=now, lease=LEASE, limit=limit, alone=alone)
        )
    return [row.claim for row in rows]


def one_claim(db: Database, box: Box, **how: Any) -> Claim:
    claims = claim(db, box, **how)
    assert len(claims) == 1
    return claims[0]


def finish(db: Database, box: Box, done: Claim) -> bool:
    with db.begin() as tx:
        return boxes.finish(tx, box, done, now=NOW, outcome="готово")


def row(db: Database, box: Box, row_id: int = 1) -> Any:
    with db.begin() as tx:
        return tx.execute(sa.text(f"SELECT * FROM {box} WHERE id = :id"), {"id": row_id}).one()
