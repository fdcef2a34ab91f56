"""Many members at once for an import: found by all their names, locked, made, completed, credited.

One statement for a few hundred rows each: row by row the import would spend its time in round trips. What is credited
is decided by `loyalty/importing.py`; the same checks of the database hold as for `ledger.post`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from loyalty.importing import Additions, Name, Person
from loyalty.ledger import Balance, account_changes, lot_changes
from storage.addresses import NAMED_MAX
from storage.ledger import COUNTERS
from storage.members import NAME_CHARS_MAX
from storage.text import storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, datetime

    from loyalty.ledger import Decision
    from storage.members import NewCard

LOCK_WAIT_MS = 400
"""A piece holds hundreds of members: it does not wait long for one that somebody else has."""
TURN_WAIT_MS = 12_000
"""A piece of another import ends soon, and holds nothing we need while we wait for our turn."""


@dataclass(frozen=True)
class Found:
    """A member and what a decision about him begins with. `has_due`: he must be brought up to date first."""

    person: Person
    balance: Balance
    merged_into_id: int | None
    has_due: bool
    segment_code: str | None


@dataclass(frozen=True)
class NewMember:
    """A member to be made. Without `card_number` he gets one of ours."""

    card: NewCard
    name: str
    contact_ref: int | None
    card_number: str | None
    birthday: date | None
    segment_code: str | None


# The same names as `addresses.lock` takes, in an order of their own: two imports never wait for each other in a circle.
_LOCK_NAMES = sa.text(
    """
    SELECT count(pg_advisory_xact_lock(number)) FROM (
        SELECT DISTINCT hashtextextended(name, 0) AS number FROM unnest(CAST(:names AS text[])) AS name
        ORDER BY number
    ) AS wanted
    """
)
_BY_NAMES = sa.text(
    """
    SELECT wanted.kind, wanted.value, COALESCE(m.merged_into_id, m.id) AS id
    FROM unnest(CAST(:kinds AS text[]), CAST(:values AS text[])) AS wanted (kind, value)
    CROSS JOIN LATERAL (
        SELECT member_id FROM member_address a WHERE a.kind = wanted.kind AND a.value = wanted.value
        ORDER BY member_id LIMIT :most
    ) AS named JOIN member m ON m.id = named.member_id
    UNION SELECT 'card', card_number, COALESCE(merged_into_id, id) FROM member
        WHERE card_number = ANY(CAST(:cards AS text[]))
    UNION SELECT 'contact', contact_ref::text, COALESCE(merged_into_id, id) FROM member
        WHERE contact_ref = ANY(CAST(:contacts AS bigint[]))
    """
)
_MEMBERS = """
    SELECT m.id, m.name, m.contact_ref, m.card_number, m.birthday, m.manual_segment_code, m.pending, m.available,
        m.reserved, m.debt, m.merged_into_id, m.segment_code,
        EXISTS (SELECT FROM lot WHERE member_id = m.id AND pending > 0 AND activates_at <= :now)
        OR EXISTS (SELECT FROM lot WHERE member_id = m.id AND available > 0 AND expires_at <= :now) AS has_due,
        ARRAY(SELECT kind || ':' || value FROM member_address WHERE member_id = m.id) AS names
    FROM member m WHERE m.id = ANY(CAST(:ids AS bigint[])) ORDER BY m.id
"""
_SEEN = sa.text(_MEMBERS)
_LOCKED = sa.text(f"{_MEMBERS} FOR NO KEY UPDATE OF m")
# By single look-ups, whatever the planner thinks of tables that this import has just filled.
_CREDITED = sa.text(
    """
    WITH holder AS MATERIALIZED (
        SELECT unnest(CAST(:ids AS bigint[])) AS id
        UNION SELECT owner.member_id FROM unnest(CAST(:keys AS text[])) AS asked (key)
            CROSS JOIN LATERAL (SELECT member_id FROM lot WHERE lot.key = asked.key LIMIT 1) AS owner
    )
    SELECT own.key, own.member_id, own.earned FROM holder CROSS JOIN LATERAL (
        SELECT key, member_id, earned FROM lot
        WHERE member_id = holder.id AND source = 'opening' AND starts_with(key, 'import:') OFFSET 0
    ) AS own
    """
)
# The number is made as in `members.enrol`.
_ENROL = sa.text(
    """
    INSERT INTO member (contact_ref, name, card_token, card_serial, card_number, birthday, birthday_set_at,
        manual_segment_code, segment_code, created_at)
    SELECT n.contact_ref, n.name, n.token, n.serial, COALESCE(n.card_number, n.prefix || lpad(
        ((nextval('card_number') * 736338717::numeric + 129970913) % rpad('1', n.digits + 1, '0')::numeric)::text,
        n.digits, '0')), n.birthday, CASE WHEN n.birthday IS NULL THEN NULL ELSE CAST(:now AS timestamptz) END,
        n.segment_code, n.segment_code, :now
    FROM jsonb_to_recordset(CAST(:people AS jsonb)) AS n(contact_ref bigint, name text, token text, serial text,
        card_number text, prefix text, digits int, birthday date, segment_code text)
    RETURNING id, card_token
    """
)
_ADD_NAMES = sa.text(
    """
    INSERT INTO member_address (member_id, kind, value, added_at)
    SELECT id, kind, value, :now
    FROM unnest(CAST(:ids AS bigint[]), CAST(:kinds AS text[]), CAST(:values AS text[])) AS one (id, kind, value)
    ON CONFLICT DO NOTHING
    """
)
_COMPLETE = sa.text(
    """
    UPDATE member SET name = CASE WHEN n.name <> '' THEN n.name ELSE member.name END,
        contact_ref = COALESCE(member.contact_ref, n.contact_ref),
        birthday = COALESCE(member.birthday, n.birthday),
        birthday_set_at = CASE WHEN member.birthday IS NULL AND n.birthday IS NOT NULL THEN CAST(:now AS timestamptz)
            ELSE member.birthday_set_at END,
        manual_segment_code = COALESCE(member.manual_segment_code, n.segment_code),
        segment_code = COALESCE(n.segment_code, member.segment_code),
        segment_falls_at = CASE WHEN n.segment_code IS NULL THEN member.segment_falls_at END
    FROM jsonb_to_recordset(CAST(:additions AS jsonb)) AS n(id bigint, name text, contact_ref bigint, birthday date,
        segment_code text)
    WHERE member.id = n.id
    """
)
_POST = sa.text(
    """
    WITH opened AS (
        INSERT INTO lot (key, member_id, source, rules_version, activates_at, expires_at, opened_at, earned, pending,
            available, reserved, redeemed, expired, reversed, settled, withdrawn)
        SELECT o.key, o.member_id, o.source, o.rules_version, o.activates_at, o.expires_at, :now, o.earned, o.pending,
            o.available, o.reserved, o.redeemed, o.expired, o.reversed, o.settled, o.withdrawn
        FROM jsonb_to_recordset(CAST(:openings AS jsonb)) AS o(key text, member_id bigint, source text,
            rules_version text, activates_at timestamptz, expires_at timestamptz, earned int, pending int,
            available int, reserved int, redeemed int, expired int, reversed int, settled int, withdrawn int)
        RETURNING id, key, member_id
    ), written AS (
        INSERT INTO transfer (key, member_id, lot_id, move, debit, credit, points, rules_version, occurred_at,
            recorded_at, rule, actor, reason)
        SELECT t.key, t.member_id, opened.id, t.move, t.debit, t.credit, t.points, t.rules_version, :now, :now, t.rule,
            t.actor, t.reason
        FROM jsonb_to_recordset(CAST(:transfers AS jsonb)) AS t(number int, member_id bigint, key text, lot_key text,
            move text, debit text, credit text, points int, rules_version text, rule text, actor text, reason text)
        LEFT JOIN opened ON opened.key = t.lot_key AND opened.member_id = t.member_id
        ORDER BY t.number
    )
    UPDATE member SET pending = member.pending + d.pending, available = member.available + d.available,
        reserved = member.reserved + d.reserved, debt = member.debt + d.debt
    FROM jsonb_to_recordset(CAST(:changes AS jsonb)) AS d(id bigint, pending int, available int, reserved int, debt int)
    WHERE member.id = d.id
    """
)


def take_turns(tx: sa.Connection) -> None:
    """One piece at a time, of all imports: two that lock the same hundreds of rows would only wear each other out."""
    tx.execute(sa.text(f"SET LOCAL lock_timeout = {TURN_WAIT_MS}"))
    tx.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended('import', 0))"))
    tx.execute(sa.text(f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}"))


def lock_names(tx: sa.Connection, names: Iterable[Name]) -> None:
    """Whoever enrols one of these addresses at the same time waits, and finds our member."""
    wanted = [f"address:{kind}:{value}" for kind, value in names]
    tx.execute(_LOCK_NAMES, {"names": wanted})


def by_names(tx: sa.Connection, names: Sequence[Name]) -> dict[Name, tuple[int, ...]]:
    """Living members with each of these names; a name of nobody is absent."""
    addresses = [one for one in names if one[0] in ("phone", "email")]
    rows = tx.execute(
        _BY_NAMES,
        {
            "kinds": [kind for kind, _ in addresses],
            "values": [value for _, value in addresses],
            "cards": [value for kind, value in names if kind == "card"],
            "contacts": [int(value) for kind, value in names if kind == "contact"],
            "most": NAMED_MAX,
        },
    )
    found: dict[Name, set[int]] = {}
    for row in rows:
        found.setdefault((row.kind, row.value), set()).add(row.id)
    return {name: tuple(sorted(ids)) for name, ids in found.items()}


def members(tx: sa.Connection, ids: Iterable[int], *, now: datetime, lock: bool) -> dict[int, Found]:
    """These members; with `lock` they are ours until the transaction ends."""
    rows = tx.execute(_LOCKED if lock else _SEEN, {"ids": sorted(ids), "now": now})
    return {row.id: _found(row) for row in rows}


def credited(tx: sa.Connection, ids: Iterable[int], keys: Iterable[str]) -> list[tuple[str, int, int]]:
    """Lots of imports: of these members, and of whoever has these keys. Key, member, points."""
    rows = tx.execute(_CREDITED, {"ids": list(ids), "keys": list(keys)})
    return [(row.key, row.member_id, row.earned) for row in rows]


def enrol(tx: sa.Connection, people: Sequence[NewMember], *, now: datetime) -> list[int]:
    """Makes these members; their ids in the same order. Raises IntegrityError if a card or a contact is taken."""
    if not people:
        return []
    rows = [
        {
            "contact_ref": one.contact_ref,
            "name": storable(one.name, chars_max=NAME_CHARS_MAX),
            "token": one.card.token,
            "serial": one.card.serial,
            "card_number": one.card_number,
            "prefix": one.card.number_prefix,
            "digits": one.card.number_length - len(one.card.number_prefix),
            "birthday": None if one.birthday is None else one.birthday.isoformat(),
            "segment_code": one.segment_code,
        }
        for one in people
    ]
    made = {row.card_token: row.id for row in tx.execute(_ENROL, {"people": json.dumps(rows), "now": now})}
    return [made[one.card.token] for one in people]


def add_names(tx: sa.Connection, names: Sequence[tuple[int, Name]], *, now: datetime) -> None:
    """Addresses by member."""
    kept = [(member_id, name) for member_id, name in names if name[0] in ("phone", "email")]
    if kept:
        columns = {
            "ids": [member_id for member_id, _ in kept],
            "kinds": [name[0] for _, name in kept],
            "values": [name[1] for _, name in kept],
        }
        tx.execute(_ADD_NAMES, {**columns, "now": now})


def complete(tx: sa.Connection, additions: Mapping[int, Additions], *, now: datetime) -> None:
    """Fills what these members lack; what they have stays. Raises IntegrityError if a contact is taken."""
    rows = [
        {
            "id": member_id,
            "name": storable(one.name, chars_max=NAME_CHARS_MAX),
            "contact_ref": one.contact_ref,
            "birthday": None if one.birthday is None else one.birthday.isoformat(),
            "segment_code": one.segment_code,
        }
        for member_id, one in additions.items()
    ]
    if rows:
        tx.execute(_COMPLETE, {"additions": json.dumps(rows), "now": now})


def post(tx: sa.Connection, decisions: Mapping[int, Decision], *, now: datetime) -> None:
    """Writes decisions that only open lots, for many members; the caller holds their locks. Raises IntegrityError for
    a key that was posted before, and everything else that `ledger.post` would."""
    openings: list[dict[str, Any]] = []
    transfers: list[dict[str, Any]] = []
    changes: list[dict[str, Any]] = []
    for member_id, decision in decisions.items():
        moved = lot_changes(decision.transfers)
        for lot in decision.openings:
            ends_at = None if lot.expires_at is None else lot.expires_at.isoformat()
            dates = {"activates_at": lot.activates_at.isoformat(), "expires_at": ends_at}
            counters = dict.fromkeys(COUNTERS, 0) | moved.pop(lot.key, {})
            openings.append({**vars(lot), **dates, **counters, "member_id": member_id})
        if moved:
            raise ValueError("a decision that changes older lots is not posted in bulk")
        for transfer in decision.transfers:
            transfers.append({"number": len(transfers), **vars(transfer), "member_id": member_id})
        changes.append({"id": member_id, **account_changes(decision.transfers)})
    if changes:
        rows = {"openings": openings, "transfers": transfers, "changes": changes}
        tx.execute(_POST, {**{name: json.dumps(one) for name, one in rows.items()}, "now": now})


def _found(row: sa.Row[Any]) -> Found:
    names = frozenset((kind, value) for kind, _, value in (one.partition(":") for one in row.names))
    person = Person(
        id=row.id,
        name=row.name,
        contact_ref=row.contact_ref,
        card_number=row.card_number,
        birthday=row.birthday,
        manual_segment_code=row.manual_segment_code,
        names=names,
    )
    balance = Balance(row.pending, row.available, row.reserved, row.debt)
    return Found(person, balance, row.merged_into_id, row.has_due, row.segment_code)
