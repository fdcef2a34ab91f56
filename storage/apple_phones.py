"""Phones that show our Apple cards: which phone has which cards, and up to which tag each was told.

A phone's row is locked before its registrations are touched, so a phone that takes its last card off while it adds
another ends with that other one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

NEVER_TOLD = 0
PHONES_MAX = 50
"""Of one card. A phone that is set up anew has a new name, so the longest known go: nobody has that many."""


@dataclass(frozen=True)
class Phone:
    """A phone that was not told of a change: `told` is what a push tells it, as (member, tag)."""

    id: int
    push_token: str
    registered_at: datetime
    told: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Registered:
    """How a registration ended. `renewed`: people whose cards the phone shows and may not have been told of, because
    pushes went to its old token."""

    is_new: bool
    renewed: tuple[int, ...] = ()


_IS_KNOWN = sa.text(
    """
    SELECT FROM apple_device device JOIN apple_registration registration ON registration.device_id = device.id
        JOIN member ON member.id = registration.member_id
    WHERE device.library_id = :library_id AND device.push_token = :push_token AND device.registered_at > :since
        AND member.card_serial = :serial
    """
)
_PHONE = sa.text("SELECT id, push_token FROM apple_device WHERE library_id = :library_id FOR UPDATE")
_KEEP_PHONE = sa.text(
    """
    INSERT INTO apple_device (library_id, push_token, registered_at) VALUES (:library_id, :push_token, :now)
    ON CONFLICT ON CONSTRAINT one_apple_device DO UPDATE SET push_token = EXCLUDED.push_token,
        registered_at = EXCLUDED.registered_at
    RETURNING id
    """
)
_REGISTER = sa.text(
    """
    INSERT INTO apple_registration (device_id, member_id, told_tag) VALUES (:device_id, :member_id, :told_tag)
    ON CONFLICT (device_id, member_id) DO NOTHING
    """
)
_FORGET_TOLD = sa.text(
    """
    UPDATE apple_registration SET told_tag = 0 FROM apple_card card
    WHERE device_id = :device_id AND card.member_id = apple_registration.member_id RETURNING card.person_id
    """
)
# A tag that we never gave is from a later life of this database, or nonsense: such a phone is shown everything.
_UPDATED = sa.text(
    """
    SELECT member.card_serial, card.tag
    FROM apple_device device JOIN apple_registration registration ON registration.device_id = device.id
        JOIN apple_card card ON card.member_id = registration.member_id
        JOIN member ON member.id = registration.member_id
    WHERE device.library_id = :library_id
        AND (card.tag > :since OR :since > (SELECT max(tag) FROM apple_card))
    ORDER BY card.tag
    """
)
_UNTOLD = sa.text(
    """
    SELECT device.id, device.push_token, device.registered_at, array_agg(card.member_id) AS member_ids,
        array_agg(card.tag) AS tags
    FROM apple_card card JOIN apple_registration registration ON registration.member_id = card.member_id
        JOIN apple_device device ON device.id = registration.device_id
    WHERE card.member_id = ANY(:ids) AND registration.told_tag < card.tag
    GROUP BY device.id ORDER BY device.id
    """
)
_TOLD = sa.text(
    """
    UPDATE apple_registration SET told_tag = GREATEST(told_tag, told.tag)
    FROM unnest(CAST(:devices AS bigint[]), CAST(:members AS bigint[]), CAST(:tags AS bigint[]))
        AS told (device_id, member_id, tag)
    WHERE apple_registration.device_id = told.device_id AND apple_registration.member_id = told.member_id
    """
)
_FORGET = sa.text(
    """
    DELETE FROM apple_device WHERE id = :id AND push_token = :push_token AND registered_at <= :unless_registered_after
    """
)


# A phone that is locked now is being worked on by another: it may go the next time.
_TOO_MANY = sa.text(
    """
    WITH gone AS (
        DELETE FROM apple_registration WHERE member_id = :member_id AND device_id IN (
            SELECT device_id FROM apple_registration WHERE member_id = :member_id AND device_id <> :device_id
            ORDER BY device_id DESC OFFSET :others_max)
        RETURNING device_id
    )
    SELECT device.id FROM gone JOIN apple_device device ON device.id = gone.device_id FOR UPDATE OF device SKIP LOCKED
    """
)
_NO_CARD = sa.text(
    """
    DELETE FROM apple_device WHERE id = ANY(:ids)
        AND NOT EXISTS (SELECT FROM apple_registration WHERE device_id = apple_device.id)
    """
)


def is_known(tx: sa.Connection, library_id: str, push_token: str, serial: str, *, since: datetime) -> bool:
    """The phone shows this card, with this token, and said so after `since`."""
    values = {"library_id": library_id, "push_token": push_token, "serial": serial, "since": since}
    return tx.execute(_IS_KNOWN, values).first() is not None


def register(
    tx: sa.Connection, library_id: str, push_token: str, member_id: int, *, told_tag: int, now: datetime
) -> Registered:
    """The phone shows this card from now on and is reached by this token; said twice, the same."""
    before = tx.execute(_PHONE, {"library_id": library_id}).one_or_none()
    kept = tx.execute(_KEEP_PHONE, {"library_id": library_id, "push_token": push_token, "now": now})
    device_id = kept.scalar_one()
    renewed: set[int] = set()
    if before is not None and before.push_token != push_token:
        renewed = set(tx.execute(_FORGET_TOLD, {"device_id": device_id}).scalars())
    added = tx.execute(_REGISTER, {"device_id": device_id, "member_id": member_id, "told_tag": told_tag})
    if added.rowcount == 1:
        _let_go(tx, member_id, but=device_id)
    return Registered(added.rowcount == 1, tuple(sorted(renewed)))


def _let_go(tx: sa.Connection, member_id: int, *, but: int) -> None:
    """Keeps to PHONES_MAX: a push to a card's phones is bounded work, whatever its owner registers."""
    values = {"member_id": member_id, "device_id": but, "others_max": PHONES_MAX - 1}
    if gone := tx.execute(_TOO_MANY, values).scalars().all():
        tx.execute(_NO_CARD, {"ids": list(gone)})


def unregister(tx: sa.Connection, library_id: str, member_id: int) -> None:
    """The phone shows this card no more; without a last one it is forgotten."""
    phone = tx.execute(_PHONE, {"library_id": library_id}).one_or_none()
    if phone is None:
        return
    ids = {"device_id": phone.id, "member_id": member_id}
    tx.execute(sa.text("DELETE FROM apple_registration WHERE device_id = :device_id AND member_id = :member_id"), ids)
    tx.execute(_NO_CARD, {"ids": [phone.id]})


def updated(tx: sa.Connection, library_id: str, *, since: int) -> Sequence[tuple[str, int]]:
    """Serials and tags of the phone's cards that have changed after this tag, oldest first."""
    return [(row.card_serial, row.tag) for row in tx.execute(_UPDATED, {"library_id": library_id, "since": since})]


def untold(tx: sa.Connection, member_ids: Sequence[int]) -> Sequence[Phone]:
    """Phones that show these cards and do not know of their latest change: one each, however many cards."""
    found = tx.execute(_UNTOLD, {"ids": list(member_ids)})
    return [
        Phone(row.id, row.push_token, row.registered_at, tuple(zip(row.member_ids, row.tags, strict=True)))
        for row in found
    ]


def note_told(tx: sa.Connection, phones: Sequence[Phone]) -> None:
    rows = [(phone.id, member_id, tag) for phone in phones for member_id, tag in phone.told]
    if rows:
        devices, members, tags = zip(*sorted(rows), strict=True)
        tx.execute(_TOLD, {"devices": list(devices), "members": list(members), "tags": list(tags)})


def forget(tx: sa.Connection, phone: Phone, *, unless_registered_after: datetime) -> bool:
    """Deletes the phone with its registrations, unless it has come back since. Was it deleted?"""
    values = {
        "id": phone.id,
        "push_token": phone.push_token,
        "unless_registered_after": unless_registered_after,
    }
    return tx.execute(_FORGET, values).rowcount == 1


def is_installed(tx: sa.Connection, member_id: int) -> bool:
    """Whether some phone has this member's card."""
    statement = sa.text("SELECT EXISTS (SELECT FROM apple_registration WHERE member_id = :id)")
    return bool(tx.execute(statement, {"id": member_id}).scalar_one())


def count(tx: sa.Connection) -> int:
    return int(tx.execute(sa.text("SELECT count(*) FROM apple_device")).scalar_one())
