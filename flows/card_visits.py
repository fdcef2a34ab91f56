"""What a buyer does himself on his card page: chooses who may send him offers, asks for his data.

Whoever has the link can do it, so nothing here shows more of the person than the page does or moves a point: his data
go to him by the shop's hand, which knows him. Source: users' journeys, section 2 (d), steps 7 and 8; specification of
points, section 5.8.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from flows import book, consents
from storage import addresses, data_requests, members
from storage import consents as storage

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import sqlalchemy as sa

    from flows.runtime import Runtime
    from storage.consents import Channel, Word
    from storage.data_requests import DataRequest, Kind
    from storage.members import Member

WORDS_PER_DAY_MAX = 40
"""The ledger of consent only grows: a link in foreign hands must not fill it."""

BY_PHONE: tuple[Channel, ...] = ("sms", "messenger", "call")
BY_EMAIL: tuple[Channel, ...] = ("email",)


class TooOften(Exception):
    """His settings were changed too often today; nothing was written."""


@dataclass(frozen=True)
class Choices:
    """The channels that reach this person, what he said about each, his open requests."""

    words: Mapping[Channel, Word | None]
    requests: Sequence[DataRequest]


def choices(rt: Runtime, member_id: int) -> Choices:
    """Raises MemberNotFound."""
    with rt.db.begin() as tx:
        return _choices(tx, member_id)


def choose(
    rt: Runtime, token: str, wanted: Collection[str], *, text: str, address: str, shown: Collection[str] = ()
) -> bool | None:
    """Gives the wanted channels, withdraws those given before. A tick that the page `shown` had already is no word of
    now: what was withdrawn since then stays withdrawn. `text` is what he read, `address` whence he came: the proof.
    Returns whether anything has changed, None for an unknown card. Raises TooOften."""

    def work(tx: sa.Connection) -> bool | None:
        member = _lock(tx, token)
        if member is None:
            return None
        known = _choices(tx, member.id).words
        given = [one for one in known if one in wanted and one not in shown and not _is_given(known[one])]
        withdrawn = [one for one in known if one not in wanted and _is_given(known[one])]
        return _say(tx, rt, member.id, given, withdrawn, f"{text}; {address}")

    return book.run(rt, work)


def refuse_all(rt: Runtime, token: str, *, address: str) -> bool | None:
    """No offers through any channel, those too of which he had said nothing. Said once more it is a newer word: a
    manager may have unticked his field meanwhile, and nobody has read it yet. As `choose`."""

    def work(tx: sa.Connection) -> bool | None:
        member = _lock(tx, token)
        if member is None:
            return None
        known = consents.standing(tx, member.id)
        again = not _has_said_enough(tx, rt, member.id)
        channels = [one for one in (*BY_EMAIL, *BY_PHONE) if again or one not in known or known[one].is_given]
        at = rt.now().astimezone(ZoneInfo(rt.programme.timezone))
        evidence = f"отписался от всего на странице карты {at:%d.%m.%Y %H:%M}; {address}"
        return _say(tx, rt, member.id, [], channels, evidence)

    return book.run(rt, work)


def ask_for_data(rt: Runtime, token: str, kind: Kind) -> DataRequest | None:
    """A request to the shop, the same however often it is asked; None for an unknown card."""
    with rt.db.begin() as tx:
        member = _lock(tx, token)
        if member is None:
            return None
        known = [one for one in data_requests.of_member(tx, member.id) if one.kind == kind]
        return known[0] if known else data_requests.ask(tx, member.id, kind, now=rt.now())


def _lock(tx: sa.Connection, token: str) -> Member | None:
    member = members.by_card_token(tx, token)
    return None if member is None else consents.lock(tx, member.id)


def _choices(tx: sa.Connection, member_id: int) -> Choices:
    words = consents.standing(tx, member_id)
    reached = [
        *(BY_EMAIL if addresses.of_member(tx, member_id, "email") else ()),
        *(BY_PHONE if addresses.of_member(tx, member_id, "phone") else ()),
    ]
    return Choices({one: words.get(one) for one in reached}, data_requests.of_member(tx, member_id))


def _is_given(word: Word | None) -> bool:
    return word is not None and word.is_given


def _has_said_enough(tx: sa.Connection, rt: Runtime, member_id: int) -> bool:
    day_ago = rt.now() - timedelta(days=1)
    return storage.said_since(tx, member_id, "card_page", since=day_ago) >= WORDS_PER_DAY_MAX


def _say(
    tx: sa.Connection,
    rt: Runtime,
    member_id: int,
    given: Sequence[Channel],
    withdrawn: Sequence[Channel],
    evidence: str,
) -> bool:
    if not given and not withdrawn:
        return False
    if given and _has_said_enough(tx, rt, member_id):
        raise TooOften
    changed = consents.give(tx, rt, member_id, given, source="card_page", evidence=evidence)
    return consents.withdraw(tx, rt, member_id, withdrawn, source="card_page", evidence=evidence) or changed
