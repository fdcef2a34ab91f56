"""What phones ask of the shop's Apple cards: tell me of changes, which have changed, give me the card, forget me.

Implements the PassKit web service (wallet reference, A6). A card's token is derived from its serial and is looked at
before anything is read, so who does not know it learns nothing, not even whether there is such a card.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from flows import active_rules, apple_cards
from flows.apple import REGISTERED_TO_THE
from flows.apple_cards import PASS_TOKEN
from storage import apple, apple_phones, outbox

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from flows.runtime import Runtime
    from storage.apple import AppleCard
    from storage.apple_phones import Registered

SERIAL_CHARS_MAX = 64
TAG_DIGITS_MAX = 18
TOKEN_CHARS_MAX = 64
FRESH_FOR = timedelta(hours=1)
"""A pass that was given out longer ago may have been lying about as a file: its phone is told to ask."""

_LIBRARY_ID = re.compile(r"[A-Za-z0-9._-]{1,100}", re.ASCII)
_PUSH_TOKEN = re.compile(r"[0-9A-Fa-f]{32,200}", re.ASCII)


class NotAllowed(Exception):
    """The token is not this card's, or there is no such card: nobody is told which."""


@dataclass(frozen=True)
class Updated:
    """Serials that have changed, and the tag to ask after next time."""

    serials: Sequence[str]
    tag: str


@dataclass(frozen=True)
class Fetched:
    """The card as it is now. `modified_at` is None while it lies ahead of the clock; `fresh_s`: how long ago the
    change was that this is the first to fetch; `content` is None if the phone has it already."""

    content: bytes | None
    modified_at: datetime | None
    fresh_s: float | None = None


def is_push_token(text: object) -> bool:
    return isinstance(text, str) and _PUSH_TOKEN.fullmatch(text) is not None


def allow(rt: Runtime, pass_type_id: str, serial: str, token: str) -> None:
    """Raises NotAllowed. Compares in constant time with every key's token; reads nothing."""
    text = serial if len(serial) <= SERIAL_CHARS_MAX else ""
    key_name = rt.keys.key_of_code(PASS_TOKEN, text, token[: TOKEN_CHARS_MAX + 1])
    if key_name is None or not text or not _is_ours(rt, pass_type_id):
        raise NotAllowed


def register(rt: Runtime, library_id: str, serial: str, push_token: str) -> bool:
    """The phone shows this card; true if that is new. Said again, it costs one look. Raises NotAllowed, WalletError."""
    if _LIBRARY_ID.fullmatch(library_id) is None:
        raise NotAllowed
    push_token, now = push_token.lower(), rt.now()
    with rt.db.autocommit() as connection:
        if apple_phones.is_known(connection, library_id, push_token, serial, since=now - REGISTERED_TO_THE):
            return False

    def work(tx: sa.Connection) -> tuple[Registered, bool]:
        member_id = apple.member_with_serial(tx, serial)
        if member_id is None:
            raise NotAllowed
        row = apple.cards(tx, [member_id]).get(member_id) or apple_cards.open_row(tx, rt, member_id)
        is_fresh = _is_fresh(row, now)
        told_tag = row.tag if is_fresh else apple_phones.NEVER_TOLD
        done = apple_phones.register(tx, library_id, push_token, member_id, told_tag=told_tag, now=now)
        stale = {row.person_id} if done.is_new and not is_fresh else set()
        if stale:  # this phone may have been shown the present tag in an earlier life of the card
            apple.lock_tags(tx)
            apple.tell_again(tx, member_id, now=now)
        outbox.add(tx, "apple", stale | set(done.renewed), now=now)
        return done, bool(stale or done.renewed)

    done, is_marked = rt.db.run(work)
    if is_marked:
        rt.bell.ring("outbox", 0)
    return done.is_new


def unregister(rt: Runtime, library_id: str, serial: str) -> None:
    """The phone shows this card no more; said again, the same. Raises NotAllowed."""
    if _LIBRARY_ID.fullmatch(library_id) is None:
        raise NotAllowed

    def work(tx: sa.Connection) -> None:
        member_id = apple.member_with_serial(tx, serial)
        if member_id is None:
            raise NotAllowed
        apple_phones.unregister(tx, library_id, member_id)

    rt.db.run(work)


def updated(rt: Runtime, library_id: str, pass_type_id: str, since: str | None) -> Updated | None:
    """What has changed of the phone's cards since a tag of ours; everything, if it is none. None: nothing."""
    if not _is_ours(rt, pass_type_id) or _LIBRARY_ID.fullmatch(library_id) is None:
        return None
    with rt.db.autocommit() as connection:
        found = apple_phones.updated(connection, library_id, since=_tag(since))
    return Updated([serial for serial, _ in found], str(found[-1][1])) if found else None


def fetch(rt: Runtime, serial: str, token: str, since: datetime | None) -> Fetched:
    """The card as it is at this moment, whether or not the worker has seen the change yet; `since`: the date that the
    phone was given with what it has. Raises NotAllowed, WalletError, SchemaMoved."""
    active_rules.look(rt)
    with rt.db.autocommit() as connection:
        member_id = apple.member_with_serial(connection, serial)
    if member_id is None:
        raise NotAllowed
    found = apple_cards.settled(rt, [member_id], marks=True)[member_id]
    if found.row is None:  # a phone that outlived its row, for example a restored database
        rt.db.run(lambda tx: apple_cards.open_row(tx, rt, member_id))
        found = apple_cards.settled(rt, [member_id])[member_id]
    row = found.row
    if row is None or not found.is_told:  # it changes faster than we look: true, but without a date
        return Fetched(apple_cards.built(rt, found, token=token), None)
    # Equal, not «at least»: a phone may have a date of a life of this database that was lost with a restore.
    if since is not None and since == row.modified_at:
        return Fetched(None, row.modified_at)
    content = apple_cards.built(rt, found, token=token)
    now = rt.now()
    modified_at = row.modified_at if row.modified_at <= now else None
    return Fetched(content, modified_at, _note_fetched(rt, row, now))


def _note_fetched(rt: Runtime, row: AppleCard, now: datetime) -> float | None:
    if row.fetched_at is not None:
        return None
    with rt.db.autocommit() as connection:
        is_first = apple.note_fetched(connection, row.member_id, row.tag, now=now)
    return max(0.0, (now - row.changed_at).total_seconds()) if is_first else None


def _is_fresh(row: AppleCard, now: datetime) -> bool:
    """What the phone has just been given is what the card says."""
    return row.issued_at is not None and now - row.issued_at <= FRESH_FOR


def _is_ours(rt: Runtime, pass_type_id: str) -> bool:
    return rt.apple is not None and rt.signer is not None and pass_type_id == rt.signer.pass_type_id


def _tag(text: str | None) -> int:
    """0 for none and for what we never gave: showing too much is mended by the next question, too little is not."""
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > TAG_DIGITS_MAX:
        return 0
    return int(text)
