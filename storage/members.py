"""Members: find, enrol, lock. A member row carries the cached balances, so its lock is the lock of the account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from loyalty.ledger import Balance
from storage.db import quick
from storage.text import storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date, datetime

NAME_CHARS_MAX = 200


@dataclass(frozen=True)
class Member:
    """A programme member. `contact_ref` is the CRM's contact, None if the CRM does not know him; `card_token` opens the
    buyer's page. `segment_falls_at`: he leaves his segment then unless he buys; `manual_segment_code`: put there by a
    person. A member who was merged into another holds nothing and answers to nothing. `has_due`: a lot of his may be
    due; known only if he was locked with a `now`."""

    id: int
    contact_ref: int | None
    name: str
    card_token: str
    card_serial: str
    card_number: str
    segment_code: str | None
    balance: Balance
    manual_segment_code: str | None = None
    segment_falls_at: datetime | None = None
    birthday: date | None = None
    birthday_set_at: datetime | None = None
    merged_into_id: int | None = None
    has_due: bool = True

    @property
    def contact(self) -> int:
        """The CRM's contact. Raises LookupError for a member the CRM does not know."""
        if self.contact_ref is None:
            raise LookupError(f"member {self.id} has no contact in the CRM")
        return self.contact_ref


@dataclass(frozen=True)
class NewCard:
    """What a new card is made of: two unguessable identifiers and the shape of its number."""

    token: str
    serial: str
    number_prefix: str
    number_length: int


_COLUMNS = (
    "id, contact_ref, name, card_token, card_serial, card_number, segment_code, pending, available, reserved, debt, "
    "manual_segment_code, segment_falls_at, birthday, birthday_set_at, merged_into_id"
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
_LOCK = f"SELECT {_COLUMNS} FROM member WHERE id = %(id)s FOR NO KEY UPDATE"  # noqa: S608
_LOCK_AT = f"""
    SELECT {_COLUMNS},
        EXISTS (SELECT FROM lot WHERE member_id = %(id)s AND pending > 0 AND activates_at <= %(now)s)
        OR EXISTS (SELECT FROM lot WHERE member_id = %(id)s AND available > 0 AND expires_at <= %(now)s)
    FROM member WHERE id = %(id)s FOR NO KEY UPDATE
"""  # noqa: S608
_BY_IDS = sa.text(f"SELECT {_COLUMNS} FROM member WHERE id = ANY(:ids)")  # noqa: S608
# Whoever is found by an old name of a merged member is the one he was merged into.
_LIVING = f"SELECT {_COLUMNS} FROM member WHERE id = (SELECT COALESCE(merged_into_id, id) FROM member WHERE"  # noqa: S608
_BY_TOKEN = sa.text(f"{_LIVING} card_token = :token)")
_BY_CONTACT = sa.text(f"{_LIVING} contact_ref = :contact_ref)")
_SHOWN = sa.text(
    """
    SELECT id, contact_ref, card_serial, COALESCE(merged_into_id, id) AS living_id FROM member
    WHERE id = ANY(:ids) OR merged_into_id = ANY(:ids) ORDER BY id
    """
)
_BY_CARD = sa.text(f"{_LIVING} card_number = :number)")
_LIVING_OF = sa.text(f"{_LIVING} id = :id)")


def enrol(
    tx: sa.Connection, *, contact_ref: int | None, name: str, card: NewCard, now: datetime
) -> tuple[Member, bool]:
    """The member of this CRM contact, locked; made with `card` if there was none, or if there is no contact. Second
    value: was it made now."""
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
    if row.merged_into_id is not None:
        return lock(tx, int(row.merged_into_id)), False
    return _member(row[:-1]), bool(row.is_new)


def lock(tx: sa.Connection, member_id: int, *, now: datetime | None = None) -> Member:
    """The member, locked until the transaction ends. With `now` it says whether a lot of his is due: of what others
    post while we wait for the lock nothing can be, because a decision leaves nothing due behind."""
    if now is None:
        return _member(quick(tx, _LOCK, {"id": member_id})[0])
    return _member(quick(tx, _LOCK_AT, {"id": member_id, "now": now})[0])


def by_ids(tx: sa.Connection, ids: Iterable[int]) -> dict[int, Member]:
    return {row.id: _member(row) for row in tx.execute(_BY_IDS, {"ids": list(ids)})}


@dataclass(frozen=True)
class Shown:
    """What systems outside know by one id: its contact and its card, and the living person behind them."""

    id: int
    contact_ref: int | None
    card_serial: str
    person: Member

    @property
    def is_merged(self) -> bool:
        return self.id != self.person.id


def shown(tx: sa.Connection, ids: Iterable[int]) -> dict[int, Shown]:
    """These members and all who were merged into them: their old contacts and cards show the living person."""
    asked = list(ids)
    known = tx.execute(_SHOWN, {"ids": asked}).all()
    living = by_ids(tx, {row.living_id for row in known})
    return {row.id: Shown(row.id, row.contact_ref, row.card_serial, living[row.living_id]) for row in known}


def by_card_token(tx: sa.Connection, token: str) -> Member | None:
    row = tx.execute(_BY_TOKEN, {"token": token}).one_or_none()
    return None if row is None else _member(row)


def by_contact(tx: sa.Connection, contact_ref: int) -> Member | None:
    row = tx.execute(_BY_CONTACT, {"contact_ref": contact_ref}).one_or_none()
    return None if row is None else _member(row)


def by_card_number(tx: sa.Connection, number: str) -> Member | None:
    row = tx.execute(_BY_CARD, {"number": number}).one_or_none()
    return None if row is None else _member(row)


def living(tx: sa.Connection, member_id: int) -> Member | None:
    """The member with this id, or the one he was merged into."""
    row = tx.execute(_LIVING_OF, {"id": member_id}).one_or_none()
    return None if row is None else _member(row)


def merged_into(tx: sa.Connection, member_id: int) -> tuple[int, ...]:
    """Those who were merged into this member."""
    statement = sa.text("SELECT id FROM member WHERE merged_into_id = :id ORDER BY id")
    return tuple(tx.execute(statement, {"id": member_id}).scalars())


def known_contacts(tx: sa.Connection, contact_refs: Iterable[int]) -> dict[int, str]:
    """Names of those of these contacts who are members already."""
    found = tx.execute(
        sa.text("SELECT contact_ref, name FROM member WHERE contact_ref = ANY(:refs)"), {"refs": list(contact_refs)}
    )
    return {int(row.contact_ref): row.name for row in found}


def set_segment(
    tx: sa.Connection, member_id: int, segment_code: str | None, *, falls_at: datetime | None = None
) -> None:
    tx.execute(
        sa.text("UPDATE member SET segment_code = :code, segment_falls_at = :falls_at WHERE id = :id"),
        {"id": member_id, "code": segment_code, "falls_at": falls_at},
    )


def set_manual_segment(tx: sa.Connection, member_id: int, segment_code: str | None) -> None:
    tx.execute(
        sa.text("UPDATE member SET manual_segment_code = :code WHERE id = :id"), {"id": member_id, "code": segment_code}
    )


def set_birthday(tx: sa.Connection, member_id: int, birthday: date | None, *, now: datetime) -> bool:
    """Notes the birthday and since when we know it; saying the same again changes nothing. Was it news?"""
    statement = sa.text(
        """
        UPDATE member SET birthday = :birthday, birthday_set_at = :now
        WHERE id = :id AND birthday IS DISTINCT FROM :birthday
        """
    )
    return tx.execute(statement, {"id": member_id, "birthday": birthday, "now": now}).rowcount > 0


def move_contact(tx: sa.Connection, member_id: int, contact_ref: int) -> None:
    """The CRM knows the member by another contact now. Raises IntegrityError if that contact is a member already."""
    tx.execute(
        sa.text("UPDATE member SET contact_ref = :contact WHERE id = :id"), {"id": member_id, "contact": contact_ref}
    )


def set_name(tx: sa.Connection, member_id: int, name: str) -> None:
    tx.execute(
        sa.text("UPDATE member SET name = :name WHERE id = :id"),
        {"id": member_id, "name": storable(name, chars_max=NAME_CHARS_MAX)},
    )


def count(tx: sa.Connection) -> int:
    return int(tx.execute(sa.text("SELECT count(*) FROM member")).scalar_one())


def _member(row: Sequence[Any]) -> Member:
    """`_COLUMNS` stand in the order of Member's fields, with four columns for the balance."""
    values = (*row[:7], Balance(*row[7:11]), *row[11:])
    return Member(*values)
