"""What Google was last given of the class and of each member's object, and which cards are on a phone.

One process at a time writes a thing at Google: the right to do so lapses by itself, because its holder may die. Decides
nothing and knows no payloads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime


@dataclass(frozen=True)
class GoogleCard:
    """`digest` None: what the object says is not known. `is_saved`: on somebody's phone, None: nobody told us."""

    member_id: int
    digest: str | None = None
    told_points: int | None = None
    is_made: bool = False
    is_retired: bool = False
    is_saved: bool | None = None


@dataclass(frozen=True)
class GoogleClass:
    """`fields`: names of what we have set there. `look_digest`: the design up to which all objects were marked."""

    digest: str | None = None
    fields: Sequence[str] = ()
    is_made: bool = False
    review_status: str | None = None
    told_at: datetime | None = None
    look_digest: str | None = None


@dataclass(frozen=True)
class Totals:
    """Objects at Google, and of how many the phones' owners told us."""

    made: int
    saved: int
    deleted: int


_CARD_COLUMNS = "member_id, digest, told_points, is_made, is_retired, is_saved"
_BEGIN_CARD = sa.text(
    """
    INSERT INTO google_card AS card (member_id, writing_until) VALUES (:id, :until)
    ON CONFLICT (member_id) DO UPDATE SET digest = NULL, writing_until = EXCLUDED.writing_until
    WHERE (card.writing_until IS NULL OR card.writing_until <= :now) AND card.digest IS NOT DISTINCT FROM :seen
        AND card.is_retired = :is_retired
    """
)
_BEGIN_CLASS = sa.text(
    """
    INSERT INTO google_class AS one (class_id, writing_until) VALUES (:id, :until)
    ON CONFLICT (class_id) DO UPDATE SET digest = NULL, writing_until = EXCLUDED.writing_until
    WHERE one.writing_until IS NULL OR one.writing_until <= :now
    """
)
_EVENT = sa.text(
    """
    UPDATE google_card SET is_saved = :is_saved, event_ms = :at_ms
    WHERE member_id = :id AND (event_ms IS NULL OR event_ms <= :at_ms)
    """
)


def cards(tx: sa.Connection, member_ids: Iterable[int]) -> dict[int, GoogleCard]:
    found = tx.execute(
        sa.text(f"SELECT {_CARD_COLUMNS} FROM google_card WHERE member_id = ANY(:ids)"),  # noqa: S608
        {"ids": list(member_ids)},
    )
    return {row.member_id: GoogleCard(*row) for row in found}


def begin_card(tx: sa.Connection, seen: GoogleCard, *, now: datetime, until: datetime) -> bool:
    """The right to write this object, until then at most; what it says is unknown from here. False: others have it, or
    have written or retired it since it was `seen`."""
    parameters = {"id": seen.member_id, "seen": seen.digest, "is_retired": seen.is_retired, "now": now, "until": until}
    return tx.execute(_BEGIN_CARD, parameters).rowcount == 1


def end_card(tx: sa.Connection, member_id: int, *, digest: str, points: int, now: datetime) -> None:
    """It was written."""
    statement = sa.text(
        """
        UPDATE google_card SET digest = :digest, told_points = :points, is_made = true, told_at = :now,
            writing_until = NULL
        WHERE member_id = :id
        """
    )
    tx.execute(statement, {"id": member_id, "digest": digest, "points": points, "now": now})


def leave_card(tx: sa.Connection, member_id: int) -> None:
    """It was certainly not written: others may at once."""
    tx.execute(sa.text("UPDATE google_card SET writing_until = NULL WHERE member_id = :id"), {"id": member_id})


def note_made(tx: sa.Connection, member_id: int) -> None:
    """The object exists; who made it, and what it says, is another question."""
    statement = sa.text(
        """
        INSERT INTO google_card (member_id, is_made) VALUES (:id, true)
        ON CONFLICT (member_id) DO UPDATE SET is_made = true
        """
    )
    tx.execute(statement, {"id": member_id})


def retire(tx: sa.Connection, member_id: int) -> None:
    """The object is to say nothing of this person any more; one that was never begun is on no phone and never will
    be."""
    statement = sa.text(
        """
        INSERT INTO google_card (member_id, is_retired, is_saved, event_ms) VALUES (:id, true, false, 0)
        ON CONFLICT (member_id) DO UPDATE SET is_retired = true
        """
    )
    tx.execute(statement, {"id": member_id})


def class_state(tx: sa.Connection, class_id: str) -> GoogleClass:
    """An empty one of a class that we never wrote."""
    statement = sa.text(
        """
        SELECT digest, fields, is_made, review_status, told_at, look_digest FROM google_class WHERE class_id = :id
        """
    )
    row = tx.execute(statement, {"id": class_id}).one_or_none()
    return GoogleClass() if row is None else GoogleClass(*row)


def begin_class(tx: sa.Connection, class_id: str, *, now: datetime, until: datetime) -> bool:
    """Like `begin_card`."""
    return tx.execute(_BEGIN_CLASS, {"id": class_id, "now": now, "until": until}).rowcount == 1


def end_class(
    tx: sa.Connection, class_id: str, *, digest: str, fields: Sequence[str], review_status: str | None, now: datetime
) -> None:
    statement = sa.text(
        """
        UPDATE google_class SET digest = :digest, fields = :fields, review_status = :review_status, is_made = true,
            told_at = :now, writing_until = NULL
        WHERE class_id = :id
        """
    )
    parameters = {"id": class_id, "digest": digest, "fields": list(fields), "review_status": review_status, "now": now}
    tx.execute(statement, parameters)


def leave_class(tx: sa.Connection, class_id: str) -> None:
    tx.execute(sa.text("UPDATE google_class SET writing_until = NULL WHERE class_id = :id"), {"id": class_id})


def save_look(tx: sa.Connection, class_id: str, look_digest: str) -> None:
    """All objects were marked for a design that looks like this."""
    statement = sa.text(
        """
        INSERT INTO google_class (class_id, look_digest) VALUES (:id, :look)
        ON CONFLICT (class_id) DO UPDATE SET look_digest = EXCLUDED.look_digest
        """
    )
    tx.execute(statement, {"id": class_id, "look": look_digest})


def next_cards(tx: sa.Connection, *, after: int, limit: int) -> Sequence[int]:
    """Members with an object that somebody may look at, in the order of their ids."""
    statement = sa.text(
        """
        SELECT member_id FROM google_card WHERE member_id > :after AND is_saved IS NOT FALSE
        ORDER BY member_id LIMIT :limit
        """
    )
    return tx.execute(statement, {"after": after, "limit": limit}).scalars().all()


def totals(tx: sa.Connection) -> Totals:
    statement = sa.text(
        """
        SELECT count(*) FILTER (WHERE is_made) AS made, count(*) FILTER (WHERE is_saved) AS saved,
            count(*) FILTER (WHERE is_made AND NOT is_saved) AS deleted
        FROM google_card
        """
    )
    return Totals(*tx.execute(statement).one())


def note_event(tx: sa.Connection, member_id: int, *, is_saved: bool, at_ms: int) -> bool:
    """What a phone's owner did; a message that comes later than a younger one changes nothing. Was it news?"""
    note_made(tx, member_id)
    return tx.execute(_EVENT, {"id": member_id, "is_saved": is_saved, "at_ms": at_ms}).rowcount == 1


def is_first(tx: sa.Connection, nonce_digest: bytes, *, expires_at: datetime) -> bool:
    """Remembers a message by its nonce. False: it was here before."""
    statement = sa.text(
        "INSERT INTO google_nonce (digest, expires_at) VALUES (:digest, :expires_at) ON CONFLICT DO NOTHING"
    )
    return tx.execute(statement, {"digest": nonce_digest, "expires_at": expires_at}).rowcount == 1


def forget_nonces(tx: sa.Connection, *, before: datetime, limit: int) -> int:
    """Deletes nonces of messages that nobody accepts any more. Returns how many."""
    statement = sa.text(
        """
        DELETE FROM google_nonce WHERE digest IN (
            SELECT digest FROM google_nonce WHERE expires_at < :before ORDER BY expires_at LIMIT :limit
            FOR UPDATE SKIP LOCKED
        )
        """
    )
    return tx.execute(statement, {"before": before, "limit": limit}).rowcount


def count_callback(tx: sa.Connection, event: str) -> None:
    statement = sa.text(
        """
        INSERT INTO google_callback_count AS counted (event, times) VALUES (:event, 1)
        ON CONFLICT (event) DO UPDATE SET times = counted.times + 1
        """
    )
    tx.execute(statement, {"event": event})


def callback_counts(tx: sa.Connection) -> Mapping[str, int]:
    rows = tx.execute(sa.text("SELECT event, times FROM google_callback_count ORDER BY event"))
    return {row.event: row.times for row in rows}
