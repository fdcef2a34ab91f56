"""Which notices went to a Google card and when: the allowance of a day is counted here, over all processes.

The caller holds the card's row (`storage.google.begin_card` or `lock`), so two of them cannot spend the last one both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


@dataclass(frozen=True)
class Allowance:
    """At most `most` loud notices after `since`."""

    most: int
    since: datetime


def lock(tx: sa.Connection, member_id: int) -> str | None:
    """The serial of the card, held until the transaction ends; None: there is none."""
    statement = sa.text(
        """
        SELECT member.card_serial FROM google_card JOIN member ON member.id = member_id
        WHERE member_id = :id FOR NO KEY UPDATE OF google_card
        """
    )
    found: str | None = tx.execute(statement, {"id": member_id}).scalar_one_or_none()
    return found


def spend(tx: sa.Connection, member_id: int, allowance: Allowance, *, now: datetime) -> int | None:
    """One loud notice less; its id, None: none is left."""
    statement = sa.text(
        """
        INSERT INTO google_notice (member_id, is_loud, sent_at)
        SELECT :id, true, :now
        WHERE (SELECT count(*) FROM google_notice WHERE member_id = :id AND is_loud AND sent_at > :since) < :most
        RETURNING id
        """
    )
    parameters = {"id": member_id, "now": now, "since": allowance.since, "most": allowance.most}
    found: int | None = tx.execute(statement, parameters).scalar_one_or_none()
    return found


def add_message(
    tx: sa.Connection, member_id: int, message_id: str, allowance: Allowance, *, now: datetime
) -> tuple[int, bool] | None:
    """Reserves a message: its row's id, and whether it may be loud. None: it was sent before."""
    statement = sa.text(
        """
        INSERT INTO google_notice (member_id, message_id, is_loud, sent_at)
        SELECT :id, :message_id, (
            SELECT count(*) FROM google_notice WHERE member_id = :id AND is_loud AND sent_at > :since
        ) < :most, :now
        ON CONFLICT ON CONSTRAINT one_google_message DO NOTHING RETURNING id, is_loud
        """
    )
    parameters = {
        "id": member_id,
        "message_id": message_id,
        "now": now,
        "since": allowance.since,
        "most": allowance.most,
    }
    row = tx.execute(statement, parameters).one_or_none()
    return None if row is None else (int(row.id), bool(row.is_loud))


def take_back(tx: sa.Connection, notice_id: int) -> None:
    """It was certainly not sent."""
    tx.execute(sa.text("DELETE FROM google_notice WHERE id = :id"), {"id": notice_id})


def told(tx: sa.Connection, message_ids: Sequence[str]) -> frozenset[str]:
    """Those of these messages that were sent."""
    statement = sa.text("SELECT message_id FROM google_notice WHERE message_id = ANY(:message_ids)")
    return frozenset(tx.execute(statement, {"message_ids": list(message_ids)}).scalars())


def forget(tx: sa.Connection, *, before: datetime, limit: int) -> int:
    """Deletes what counts no more: field updates older than this. Messages stay, they are not said twice."""
    statement = sa.text(
        """
        DELETE FROM google_notice WHERE id IN (
            SELECT id FROM google_notice WHERE message_id IS NULL AND sent_at < :before LIMIT :limit
            FOR UPDATE SKIP LOCKED
        )
        """
    )
    return tx.execute(statement, {"before": before, "limit": limit}).rowcount
