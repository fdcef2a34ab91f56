"""Apple cards that were given out: their content's digest and tag. Which phones show them is `apple_phones`.

Tags become visible in their order: whoever gives one holds a lock until his transaction is committed, so a phone that
was told of tag 7 can never miss a 6. They start from the clock's milliseconds, so a database that was restored from a
copy does not give a tag out twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

_TAGS_LOCK = 0x6B6F_7061_7373
"""Any number of ours: the name of the advisory lock."""


@dataclass(frozen=True)
class AppleCard:
    """`key_name`: the key that its token is made with. `modified_at`: whole seconds, each later than the one before.
    `changed_at`: when the content changed; since then: `fetched_at`, first fetched; `issued_at`, last given out by the
    page."""

    member_id: int
    person_id: int
    key_name: str
    digest: str
    tag: int
    modified_at: datetime
    changed_at: datetime
    fetched_at: datetime | None
    issued_at: datetime | None


_COLUMNS = "member_id, person_id, key_name, digest, tag, modified_at, changed_at, fetched_at, issued_at"
_NEXT_TAG = """
    GREATEST((SELECT COALESCE(max(tag), 0) FROM apple_card) + 1,
        (EXTRACT(EPOCH FROM CAST(:now AS timestamptz)) * 1000)::bigint)
"""
_ADD = sa.text(
    f"""
    INSERT INTO apple_card ({_COLUMNS})
    VALUES (:member_id, :person_id, :key_name, :digest, {_NEXT_TAG}, date_trunc('second', CAST(:now AS timestamptz)),
        :now, :now, NULL)
    ON CONFLICT (member_id) DO NOTHING
    """  # noqa: S608
)
# The clock may stand still or go back: the date moves on all the same.
_CHANGE = sa.text(
    f"""
    UPDATE apple_card SET digest = :digest, tag = {_NEXT_TAG}, fetched_at = NULL, issued_at = NULL,
        modified_at = GREATEST(date_trunc('second', CAST(:now AS timestamptz)), modified_at + interval '1 second'),
        changed_at = LEAST(:now, COALESCE((
            SELECT behind_since FROM outbox
            WHERE kind = 'apple' AND target_id = apple_card.person_id AND state <> 'done'), :now))
    WHERE member_id = :member_id AND tag = :seen_tag
    """  # noqa: S608
)


def lock_tags(tx: sa.Connection) -> None:
    """Before a tag is given; the transaction must end soon."""
    tx.execute(sa.text("SELECT pg_advisory_xact_lock(:name)"), {"name": _TAGS_LOCK})


def add(tx: sa.Connection, member_id: int, *, person_id: int, key_name: str, digest: str, now: datetime) -> AppleCard:
    """The card's row, made if there was none. The caller holds `lock_tags` and the person's lock: from here on every
    change of his marks the card."""
    values = {"member_id": member_id, "person_id": person_id, "key_name": key_name, "digest": digest, "now": now}
    tx.execute(_ADD, values)
    return cards(tx, [member_id])[member_id]


def change(tx: sa.Connection, seen: AppleCard, digest: str, *, now: datetime) -> bool:
    """A new tag for new content; the caller holds `lock_tags`. False: somebody else was first, look again."""
    values = {"member_id": seen.member_id, "seen_tag": seen.tag, "digest": digest, "now": now}
    return tx.execute(_CHANGE, values).rowcount == 1


def cards(tx: sa.Connection, member_ids: Sequence[int]) -> dict[int, AppleCard]:
    found = tx.execute(
        sa.text(f"SELECT {_COLUMNS} FROM apple_card WHERE member_id = ANY(:ids)"),  # noqa: S608
        {"ids": list(member_ids)},
    )
    return {row.member_id: AppleCard(*row) for row in found}


def cards_of(tx: sa.Connection, person_ids: Sequence[int]) -> dict[int, AppleCard]:
    """Cards that show these people, and cards under these ids."""
    found = tx.execute(
        sa.text(
            f"""
            SELECT {_COLUMNS} FROM apple_card WHERE person_id = ANY(:ids)
            UNION SELECT {_COLUMNS} FROM apple_card WHERE member_id = ANY(:ids) ORDER BY member_id
            """  # noqa: S608
        ),
        {"ids": list(person_ids)},
    )
    return {row.member_id: AppleCard(*row) for row in found}


def tell_again(tx: sa.Connection, member_id: int, *, now: datetime) -> None:
    """A new tag for the same content and date: phones that have it are told «not modified». The caller holds
    `lock_tags`."""
    statement = sa.text(f"UPDATE apple_card SET tag = {_NEXT_TAG} WHERE member_id = :id")  # noqa: S608
    tx.execute(statement, {"id": member_id, "now": now})


def note_issued(tx: sa.Connection, member_id: int, tag: int, *, now: datetime) -> None:
    """The page gave out what this tag stands for, if that is still what the card says."""
    statement = sa.text("UPDATE apple_card SET issued_at = :now WHERE member_id = :id AND tag = :tag")
    tx.execute(statement, {"id": member_id, "tag": tag, "now": now})


def note_fetched(tx: sa.Connection, member_id: int, tag: int, *, now: datetime) -> bool:
    """Whether this was the first fetch of what this tag stands for."""
    statement = sa.text(
        "UPDATE apple_card SET fetched_at = :now WHERE member_id = :id AND tag = :tag AND fetched_at IS NULL"
    )
    return tx.execute(statement, {"id": member_id, "tag": tag, "now": now}).rowcount == 1


def member_with_serial(tx: sa.Connection, serial: str) -> int | None:
    """None for an erased one too: his phone would be told the address of his new card page."""
    statement = sa.text("SELECT id FROM member WHERE card_serial = :serial AND erased_at IS NULL")
    return tx.execute(statement, {"serial": serial}).scalar_one_or_none()


def next_people(tx: sa.Connection, *, after: int, limit: int) -> Sequence[int]:
    """People with cards, in the order of their ids."""
    statement = sa.text(
        "SELECT DISTINCT person_id FROM apple_card WHERE person_id > :after ORDER BY person_id LIMIT :limit"
    )
    return tx.execute(statement, {"after": after, "limit": limit}).scalars().all()


def count(tx: sa.Connection) -> int:
    return int(tx.execute(sa.text("SELECT count(*) FROM apple_card")).scalar_one())


def count_pushes(tx: sa.Connection, outcomes: Mapping[str, int]) -> None:
    """Adds to the counts of pushes by outcome."""
    statement = sa.text(
        """
        INSERT INTO apple_push (outcome, pushes) VALUES (:outcome, :pushes)
        ON CONFLICT (outcome) DO UPDATE SET pushes = apple_push.pushes + EXCLUDED.pushes
        """
    )
    for outcome, pushes in sorted(outcomes.items()):
        tx.execute(statement, {"outcome": outcome, "pushes": pushes})


def pushes(tx: sa.Connection) -> Mapping[str, int]:
    rows: Sequence[Any] = tx.execute(sa.text("SELECT outcome, pushes FROM apple_push")).all()
    return {row.outcome: row.pushes for row in rows}
