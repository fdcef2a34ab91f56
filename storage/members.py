"""Members: find, enrol, lock. A member row carries the cached balances, so its lock is the lock of the account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from loyalty.ledger import Balance
from storage.text import storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

NAME_CHARS_MAX = 200


@dataclass(frozen=True)
class Member:
    """A programme member. `contact_ref` is the CRM's contact; `card_token` opens the buyer's page."""

    id: int
    contact_ref: int
    name: str
    card_token: str
    card_serial: str
    card_number: str
    segment_code: str | None
    balance: Balance


@dataclass(frozen=True)
class NewCard:
    """What a new card is made of: two unguessable identifiers and the shape of its number."""

    token: str
    serial: str
    number_prefix: str
    number_length: int


_COLUMNS = (
    "id, contact_ref, name, card_token, card_serial, card_number, segment_code, pending, available, reserved, debt"
)
# The multiplier shares no factor with ten: consecutive members get distinct numbers that do not look consecutive.
_ENROL = sa.text(
    f"""
    INSERT INTO member (contact_ref, name, card_token, card_serial, card_number, created_at)
    VALUES (:contact_ref, :name, :token, :serial, :prefix || lpad(
        ((nextval('card_number') * 736338717::numeric + 129970913) % rpad('1', :digits + 1, '0')::numeric)::text,
        :digits, '0'), :now)
    ON CONFLICT ON CONSTRAINT one_member_per_contact DO UPDATE SET name = EXCLUDED.name
    RETURNING {_COLUMNS}, (xmax = 0) AS is_new
    """  # noqa: S608
)
_LOCK = sa.text(f"SELECT {_COLUMNS} FROM member WHERE id = :id FOR NO KEY UPDATE")  # noqa: S608
_BY_IDS = sa.text(f"SELECT {_COLUMNS} FROM member WHERE id = ANY(:ids)")  # noqa: S608
_BY_TOKEN = sa.text(f"SELECT {_COLUMNS} FROM member WHERE card_token = :token")  # noqa: S608
_BY_CONTACT = sa.text(f"SELECT {_COLUMNS} FROM member WHERE contact_ref = :contact_ref")  # noqa: S608


def enrol(tx: sa.Connection, *, contact_ref: int, name: str, card: NewCard, now: datetime) -> tuple[Member, bool]:
    """The member of this CRM contact, locked; made with `card` if there was none. Second value: was it made now."""
    row = tx.execute(
        _ENROL,
        {
            "contact_ref": contact_ref,
            "name": storable(name, chars_max=NAME_CHARS_MAX),
            "token": card.token,
            "serial": card.serial,
            "prefix": card.number_prefix,
            "digits": card.number_length - len(card.number_prefix),
            "now": now,
        },
    ).one()
    return _member(row), bool(row.is_new)


def lock(tx: sa.Connection, member_id: int) -> Member:
    """The member, locked until the transaction ends."""
    return _member(tx.execute(_LOCK, {"id": member_id}).one())


def by_ids(tx: sa.Connection, ids: Iterable[int]) -> dict[int, Member]:
    return {row.id: _member(row) for row in tx.execute(_BY_IDS, {"ids": list(ids)})}


def by_card_token(tx: sa.Connection, token: str) -> Member | None:
    row = tx.execute(_BY_TOKEN, {"token": token}).one_or_none()
    return None if row is None else _member(row)


def by_contact(tx: sa.Connection, contact_ref: int) -> Member | None:
    row = tx.execute(_BY_CONTACT, {"contact_ref": contact_ref}).one_or_none()
    return None if row is None else _member(row)


def known_contacts(tx: sa.Connection, contact_refs: Iterable[int]) -> dict[int, str]:
    """Names of those of these contacts who are members already."""
    found = tx.execute(
        sa.text("SELECT contact_ref, name FROM member WHERE contact_ref = ANY(:refs)"), {"refs": list(contact_refs)}
    )
    return {int(row.contact_ref): row.name for row in found}


def set_segment(tx: sa.Connection, member_id: int, segment_code: str | None) -> None:
    tx.execute(
        sa.text("UPDATE member SET segment_code = :code WHERE id = :id"), {"id": member_id, "code": segment_code}
    )


def with_due_lots(tx: sa.Connection, *, now: datetime, limit: int) -> Sequence[int]:
    """Members who have pending points whose day has come."""
    statement = sa.text(
        """
        SELECT member_id FROM lot WHERE pending > 0 AND activates_at <= :now
        GROUP BY member_id ORDER BY min(activates_at) LIMIT :limit
        """
    )
    return list(tx.execute(statement, {"now": now, "limit": limit}).scalars())


def count(tx: sa.Connection) -> int:
    return int(tx.execute(sa.text("SELECT count(*) FROM member")).scalar_one())


def _member(row: sa.Row[Any]) -> Member:
    return Member(
        id=int(row.id),
        contact_ref=int(row.contact_ref),
        name=row.name,
        card_token=row.card_token,
        card_serial=row.card_serial,
        card_number=row.card_number,
        segment_code=row.segment_code,
        balance=Balance(row.pending, row.available, row.reserved, row.debt),
    )
