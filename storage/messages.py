"""Messages to buyers: planned, sent, failed or skipped; and the lots that a notice is about.

An outbox row of kind «message», for a code of kind «code», says when a message is tried next. A message that is on its
way says so in its row before the first byte leaves, so whoever finds it there knows that its fate is unknown. Decides
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from storage.text import storable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

State = Literal["planned", "sent", "failed", "skipped"]
Kind = Literal["burn_notice", "redeem_code"]

REASON_CHARS_MAX = 200
UNDER_WAY = "under_way"
"""The reason of a planned message that a channel has in its hands."""

UNKNOWN_OUTCOME = "unknown_outcome"


@dataclass(frozen=True)
class NewNotice:
    """A notice to be sent at `due_at`; `key` is its idempotency key."""

    key: str
    member_id: int
    burn_on: date
    burns_at: datetime
    step_days: int
    points: int
    subject: str
    body: str
    due_at: datetime


@dataclass(frozen=True)
class Message:
    """`burn_on`, `burns_at` and `step_days` are there for notices. `body` is None once it is closed and was secret, or
    is old."""

    id: int
    key: str
    member_id: int
    kind: Kind
    burn_on: date | None
    burns_at: datetime | None
    step_days: int | None
    points: int | None
    subject: str
    body: str | None = field(repr=False)
    state: State
    reason: str | None
    created_at: datetime

    @property
    def is_under_way(self) -> bool:
        return self.state == "planned" and self.reason == UNDER_WAY


@dataclass(frozen=True)
class Ending:
    """Available points of a lot that end at `expires_at`."""

    lot_id: int
    member_id: int
    expires_at: datetime
    points: int


# A member who was told of this day at this step under another key was merged into this one.
_ADD_NOTICES = sa.text(
    """
    WITH added AS (
        INSERT INTO message (key, member_id, kind, burn_on, burns_at, step_days, points, subject, body, created_at,
            due_at)
        SELECT new.key, new.member_id, 'burn_notice', new.burn_on, new.burns_at, new.step_days, new.points,
            new.subject, new.body, :now, new.due_at
        FROM unnest(CAST(:keys AS text[]), CAST(:member_ids AS bigint[]), CAST(:burn_ons AS date[]),
            CAST(:burns_ats AS timestamptz[]), CAST(:steps AS int[]), CAST(:points AS int[]),
            CAST(:subjects AS text[]), CAST(:bodies AS text[]), CAST(:due_ats AS timestamptz[]))
            AS new (key, member_id, burn_on, burns_at, step_days, points, subject, body, due_at)
        WHERE NOT EXISTS (
            SELECT 1 FROM message old WHERE old.member_id = new.member_id AND old.burn_on = new.burn_on
                AND old.step_days = new.step_days AND old.state IN ('planned', 'sent'))
        ORDER BY new.key
        ON CONFLICT ON CONSTRAINT one_message_per_key DO NOTHING
        RETURNING id, key, due_at
    ), asked AS (
        INSERT INTO outbox (kind, target_id, created_at, due_at, behind_since)
        SELECT 'message', id, :now, due_at, due_at FROM added
        ORDER BY id
    )
    SELECT key FROM added
    """
)
_ADD_CODE = sa.text(
    """
    WITH added AS (
        INSERT INTO message (key, member_id, kind, points, subject, body, created_at, due_at)
        VALUES (:key, :member_id, 'redeem_code', :points, :subject, :body, :now, :now) RETURNING id
    )
    INSERT INTO outbox (kind, target_id, created_at, due_at, behind_since)
    SELECT 'code', id, :now, :now, :now FROM added
    """
)
_TASK = sa.text(
    """
    SELECT id, key, member_id, kind, burn_on, burns_at, step_days, points, subject, body, state, reason, created_at
    FROM message WHERE id = :id
    """
)
_MEMBERS_ENDING = sa.text(
    """
    SELECT DISTINCT member_id FROM lot
    WHERE available > 0 AND expires_at > :now AND expires_at <= :until AND member_id > :after
    ORDER BY member_id LIMIT :limit
    """
)
_ENDING = sa.text(
    """
    SELECT id, member_id, expires_at, available FROM lot
    WHERE member_id = ANY(CAST(:member_ids AS bigint[])) AND available > 0 AND expires_at > :now
        AND expires_at <= :until
    ORDER BY member_id, id
    """
)


def add_notices(tx: sa.Connection, notices: Sequence[NewNotice], *, now: datetime) -> set[str]:
    """Plans notices and asks for their delivery; one that was planned before is left alone. Returns the new keys."""
    columns: dict[str, Any] = {
        "keys": [one.key for one in notices],
        "member_ids": [one.member_id for one in notices],
        "burn_ons": [one.burn_on for one in notices],
        "burns_ats": [one.burns_at for one in notices],
        "steps": [one.step_days for one in notices],
        "points": [one.points for one in notices],
        "subjects": [one.subject for one in notices],
        "bodies": [one.body for one in notices],
        "due_ats": [one.due_at for one in notices],
    }
    return set(tx.execute(_ADD_NOTICES, {**columns, "now": now}).scalars()) if notices else set()


def add_code(
    tx: sa.Connection, *, key: str, member_id: int, points: int, subject: str, body: str, now: datetime
) -> None:
    """Plans a letter with a code, to go at once."""
    parameters = {
        "key": key,
        "member_id": member_id,
        "points": points,
        "subject": subject,
        "body": body,
        "now": now,
    }
    tx.execute(_ADD_CODE, parameters)


def known_keys(tx: sa.Connection, keys: Sequence[str]) -> set[str]:
    """Those of these keys that were planned before."""
    return set(tx.execute(sa.text("SELECT key FROM message WHERE key = ANY(:keys)"), {"keys": list(keys)}).scalars())


def task(tx: sa.Connection, message_id: int) -> Message | None:
    row = tx.execute(_TASK, {"id": message_id}).one_or_none()
    return None if row is None else Message(**row._mapping)


def has_twin(tx: sa.Connection, message: Message) -> bool:
    """Whether the member was told the same in another message: he is two who were merged."""
    statement = sa.text(
        """
        SELECT EXISTS (SELECT 1 FROM message WHERE member_id = :member_id AND burn_on = :burn_on
            AND step_days = :step_days AND id <> :id AND (state = 'sent' OR state = 'planned' AND id < :id))
        """
    )
    parameters = {
        "id": message.id,
        "member_id": message.member_id,
        "burn_on": message.burn_on,
        "step_days": message.step_days,
    }
    return bool(tx.execute(statement, parameters).scalar_one())


def begin(tx: sa.Connection, message_id: int) -> bool:
    """Says that a channel is about to get it. False: it is closed, or somebody else has begun."""
    statement = sa.text(
        """
        UPDATE message SET reason = :under_way WHERE id = :id AND state = 'planned'
            AND reason IS DISTINCT FROM :under_way
        """
    )
    return tx.execute(statement, {"id": message_id, "under_way": UNDER_WAY}).rowcount == 1


def take_back(tx: sa.Connection, message_id: int, *, reason: str) -> None:
    """The channel has certainly not sent it: it may be begun again."""
    tx.execute(
        sa.text("UPDATE message SET reason = :reason WHERE id = :id AND state = 'planned'"),
        {"id": message_id, "reason": storable(reason, chars_max=REASON_CHARS_MAX)},
    )


def close(
    tx: sa.Connection, message_id: int, state: State, *, reason: str | None, channel: str | None, now: datetime
) -> bool:
    """Ends a message; a code is forgotten. False: it was closed before. Only «sent» still replaces «unknown»: whoever
    was slow knows it better than whoever found the message under way."""
    statement = sa.text(
        """
        UPDATE message SET state = :state, reason = :reason, channel = :channel, closed_at = :now,
            body = CASE WHEN kind = 'redeem_code' THEN NULL ELSE body END
        WHERE id = :id
            AND (state = 'planned' OR (:state = 'sent' AND state = 'failed' AND reason = :unknown_outcome))
        """
    )
    parameters = {
        "id": message_id,
        "state": state,
        "reason": None if reason is None else storable(reason, chars_max=REASON_CHARS_MAX),
        "channel": channel,
        "now": now,
        "unknown_outcome": UNKNOWN_OUTCOME,
    }
    return tx.execute(statement, parameters).rowcount == 1


def forget_bodies(tx: sa.Connection, *, before: datetime, limit: int) -> int:
    """Empties at most `limit` bodies of messages closed before this moment, which hold the address of a card. Returns
    how many."""
    statement = sa.text(
        """
        UPDATE message SET body = NULL WHERE id IN (
            SELECT id FROM message WHERE closed_at < :before AND body IS NOT NULL ORDER BY closed_at LIMIT :limit
        )
        """
    )
    return tx.execute(statement, {"before": before, "limit": limit}).rowcount


def rewrite(tx: sa.Connection, message_id: int, *, points: int, subject: str, body: str) -> None:
    """What the notice says now: points may have been spent since it was planned."""
    tx.execute(
        sa.text("UPDATE message SET points = :points, subject = :subject, body = :body WHERE id = :id"),
        {"id": message_id, "points": points, "subject": subject, "body": body},
    )


def members_ending(tx: sa.Connection, *, after: int, now: datetime, until: datetime, limit: int) -> Sequence[int]:
    """Members with an id above `after` who have available points that end within this time."""
    parameters = {"after": after, "now": now, "until": until, "limit": limit}
    return list(tx.execute(_MEMBERS_ENDING, parameters).scalars())


def ending(tx: sa.Connection, member_ids: Sequence[int], *, now: datetime, until: datetime) -> Sequence[Ending]:
    """Their available points that end within this time, lot by lot."""
    found = tx.execute(_ENDING, {"member_ids": list(member_ids), "now": now, "until": until})
    return [Ending(int(row.id), int(row.member_id), row.expires_at, int(row.available)) for row in found]


def mark_told(tx: sa.Connection, lot_ids: Sequence[int], *, between: tuple[datetime, datetime], now: datetime) -> int:
    """The owner knows that these lots end; a lot whose end has moved out of the told day is not meant. The caller holds
    the member's lock. Returns how many."""
    statement = sa.text(
        """
        UPDATE lot SET notified_at = :now
        WHERE id = ANY(CAST(:ids AS bigint[])) AND expires_at > :begin AND expires_at <= :end
            AND notified_at IS NULL
        """
    )
    parameters = {"ids": list(lot_ids), "begin": between[0], "end": between[1], "now": now}
    return tx.execute(statement, parameters).rowcount
