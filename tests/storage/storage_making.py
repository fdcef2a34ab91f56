"""Rows for the storage tests, made through the storage functions themselves."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa

from loyalty.ledger import Account, Decision, LotOpening, Move, Transfer
from loyalty.programme import AccrualRules, Programme
from storage import boxes, inbox, ledger, members, orders, outbox, rules
from storage.boxes import Box, Claim
from storage.db import Database
from storage.members import Member, NewCard

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
LEASE = timedelta(seconds=60)
RULES = Programme(name="Клуб", timezone="Europe/Moscow", accrual=AccrualRules(rate_bps=1_000))
VERSION = "v1"

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
    return Account4(member, order.id, key)


def post(db: Database, account: Account4, *transfers: Transfer) -> None:
    with db.begin() as tx:
        members.lock(tx, account.member.id)
        ledger.post(tx, account.member.id, Decision(transfers), occurred_at=NOW, now=NOW)


def everything(db: Database) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the book, to compare before and after."""
    tables = ("member", "orders", "payment", "lot", "transfer", "inbox", "outbox", "rule_version")
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
