"""The ledger of consent, and what the contact's fields about it were last seen to say.

Rows are only added; the newest of a person and channel says how it stands. Decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import sqlalchemy as sa

from storage.text import storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

Channel = Literal["call", "email", "sms", "messenger"]
Source = Literal["crm", "call", "card_page", "api", "import"]

EVIDENCE_CHARS_MAX = 500


@dataclass(frozen=True)
class Word:
    """What a person said last about a channel, himself or through another."""

    channel: Channel
    is_given: bool
    source: Source
    evidence: str
    at: datetime


@dataclass(frozen=True)
class Tick:
    """A field of a contact as it was read or written last. `pushing_since`: when a write of ours began that turns it
    round and whose end is not known."""

    contact_ref: int
    field_ref: int
    is_ticked: bool
    seen_at: datetime
    pushing_since: datetime | None = None


# Whoever was merged into a person is that person.
_STANDING = sa.text(
    """
    SELECT DISTINCT ON (person.id, c.channel) person.id AS member_id, c.channel, c.is_given, c.source, c.evidence, c.at
    FROM member person
        JOIN member one ON one.id = person.id OR one.merged_into_id = person.id
        JOIN consent c ON c.member_id = one.id
    WHERE person.id = ANY(:ids)
    ORDER BY person.id, c.channel, c.id DESC
    """
)


def add(tx: sa.Connection, member_id: int, word: Word) -> None:
    statement = sa.text(
        """
        INSERT INTO consent (member_id, channel, is_given, source, evidence, at)
        VALUES (:member_id, :channel, :is_given, :source, :evidence, :at)
        """
    )
    told = {**vars(word), "evidence": storable(word.evidence, chars_max=EVIDENCE_CHARS_MAX)}
    tx.execute(statement, {"member_id": member_id, **told})


def standing(tx: sa.Connection, member_ids: Iterable[int]) -> dict[int, dict[Channel, Word]]:
    """The newest words of these living members by channel; who has said nothing has an empty answer."""
    ids = list(member_ids)
    found: dict[int, dict[Channel, Word]] = {one: {} for one in ids}
    for row in tx.execute(_STANDING, {"ids": ids}):
        found[row.member_id][row.channel] = Word(row.channel, row.is_given, row.source, row.evidence, row.at)
    return found


def said_since(tx: sa.Connection, member_id: int, source: Source, *, since: datetime) -> int:
    """How many words of one source a member's ledger took since then."""
    statement = sa.text("SELECT count(*) FROM consent WHERE member_id = :id AND source = :source AND at >= :since")
    return int(tx.execute(statement, {"id": member_id, "source": source, "since": since}).scalar_one())


def ticks(tx: sa.Connection, contact_refs: Iterable[int], field_refs: Sequence[int]) -> dict[tuple[int, int], Tick]:
    """By contact and field; a field that was never seen ticked may be absent."""
    statement = sa.text(
        """
        SELECT contact_ref, field_ref, is_ticked, seen_at, pushing_since FROM crm_tick
        WHERE contact_ref = ANY(:contacts) AND field_ref = ANY(:fields)
        """
    )
    rows = tx.execute(statement, {"contacts": list(contact_refs), "fields": list(field_refs)})
    return {(row.contact_ref, row.field_ref): Tick(*row) for row in rows}


def save_tick(tx: sa.Connection, tick: Tick) -> None:
    statement = sa.text(
        """
        INSERT INTO crm_tick (contact_ref, field_ref, is_ticked, seen_at, pushing_since)
        VALUES (:contact_ref, :field_ref, :is_ticked, :seen_at, :pushing_since)
        ON CONFLICT (contact_ref, field_ref) DO UPDATE SET is_ticked = EXCLUDED.is_ticked, seen_at = EXCLUDED.seen_at,
            pushing_since = EXCLUDED.pushing_since
        """
    )
    tx.execute(statement, vars(tick))
