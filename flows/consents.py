"""Whether a person may be called, written and texted with offers: what he said last, through whom, with what proof.

Owns the rule of the ledger: a row when the standing changes, and one for each new withdrawal, so that its time is known
when a manager's older word arrives late. Who has no row has said nothing. The CRM's fields are `consent_fields.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.refusals import MemberNotFound
from storage import consents, members, outbox
from storage.consents import Word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from flows.runtime import Runtime
    from storage.consents import Channel, Source
    from storage.members import Member

CALL: tuple[Channel, ...] = ("call",)
OFFERS: tuple[Channel, ...] = ("email", "sms", "messenger")


def withdraw(
    tx: sa.Connection,
    rt: Runtime,
    member_id: int,
    channels: Sequence[Channel],
    *,
    source: Source,
    evidence: str,
    at: datetime | None = None,
) -> bool:
    """He wants no more of it. Returns whether anything was written. Raises MemberNotFound."""
    words = [Word(channel, False, source, evidence, at or rt.now()) for channel in channels]
    return _say(tx, rt, member_id, words)


def give(
    tx: sa.Connection,
    rt: Runtime,
    member_id: int,
    channels: Sequence[Channel],
    *,
    source: Source,
    evidence: str,
    at: datetime | None = None,
) -> bool:
    """He agrees to it. Returns whether anything was written. Raises MemberNotFound."""
    words = [Word(channel, True, source, evidence, at or rt.now()) for channel in channels]
    return _say(tx, rt, member_id, words)


def standing(tx: sa.Connection, member_id: int) -> Mapping[Channel, Word]:
    """The newest word about each channel, of those too who were merged into him. Raises MemberNotFound."""
    person = members.living(tx, member_id)
    if person is None:
        raise MemberNotFound
    return consents.standing(tx, [person.id])[person.id]


def is_withdrawn(words: Mapping[Channel, Word], channel: Channel) -> bool:
    """Silence is no withdrawal."""
    word = words.get(channel)
    return word is not None and not word.is_given


def lock(tx: sa.Connection, member_id: int) -> Member:
    """The person, locked, though he was merged into another while we waited: a word is the living one's. Raises
    MemberNotFound."""
    person = members.living(tx, member_id)
    if person is None:
        raise MemberNotFound
    locked = members.lock(tx, person.id)
    return locked if locked.merged_into_id is None else members.lock(tx, locked.merged_into_id)


def _say(tx: sa.Connection, rt: Runtime, member_id: int, words: Sequence[Word]) -> bool:
    person = lock(tx, member_id)
    known = consents.standing(tx, [person.id])[person.id]
    new = [word for word in words if _is_new(known.get(word.channel), word)]
    for word in new:
        consents.add(tx, person.id, word)
    if new and rt.crm is not None:
        outbox.add(tx, "crm", [person.id], now=rt.now())
    return bool(new)


def _is_new(known: Word | None, word: Word) -> bool:
    if known is None or known.is_given != word.is_given:
        return True
    # A field that stays ticked is no new word, however often it is read.
    return not word.is_given and word.source != "crm" and word.evidence != known.evidence
