"""An import's contacts and deals become members and orders, a thousand contacts with each statement.

A deal of the past becomes an order that was counted under terms that give nothing (`earn_cap` 0, no welcome points): it
counts as bought from then on, follows its deal, and no point ever moves for it. Orders and members that exist already
stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from loyalty.segments import Standing
    from storage.members import NewCard

_NEXT = sa.text(
    """
    SELECT contact_ref FROM crm_import_contact WHERE state = 'read' AND contact_ref > :after
    ORDER BY contact_ref LIMIT :limit
    """
)
_STRANGERS = sa.text(
    """
    SELECT ref FROM unnest(CAST(:refs AS bigint[])) AS ref
    WHERE NOT EXISTS (SELECT FROM member m WHERE m.contact_ref = ref) ORDER BY ref
    """
)
# The same way to a card's number as in `members`.
_MAKE = sa.text(
    """
    INSERT INTO member (contact_ref, name, card_token, card_serial, card_number, birthday, birthday_set_at, created_at)
    SELECT c.contact_ref, c.name, new.token, new.serial, :prefix || lpad(
        ((nextval('card_number') * 736338717::numeric + 129970913) % rpad('1', :digits + 1, '0')::numeric)::text,
        :digits, '0'), c.birthday, CASE WHEN c.birthday IS NOT NULL THEN CAST(:now AS timestamptz) END, :now
    FROM unnest(CAST(:refs AS bigint[]), CAST(:tokens AS text[]), CAST(:serials AS text[])) AS new (ref, token, serial)
        JOIN crm_import_contact c ON c.contact_ref = new.ref
    ORDER BY c.contact_ref
    ON CONFLICT ON CONSTRAINT one_member_per_contact DO NOTHING RETURNING id
    """
)
_ADDRESSES = sa.text(
    """
    INSERT INTO member_address (member_id, kind, value, added_at)
    SELECT m.id, address.kind, address.value, :now
    FROM member m JOIN crm_import_contact c ON c.contact_ref = m.contact_ref CROSS JOIN LATERAL (
        SELECT 'phone' AS kind, unnest(c.phones) AS value UNION SELECT 'email', unnest(c.emails)
    ) AS address
    WHERE m.id = ANY(CAST(:ids AS bigint[])) ON CONFLICT DO NOTHING
    """
)
_CUSTOMERS = sa.text(
    """
    INSERT INTO crm_state (member_id, customer_ref)
    SELECT COALESCE(m.merged_into_id, m.id) AS member_id, min(c.customer_ref)
    FROM crm_import_contact c JOIN member m ON m.contact_ref = c.contact_ref
    WHERE c.contact_ref = ANY(CAST(:refs AS bigint[])) AND c.customer_ref IS NOT NULL
    GROUP BY 1 ORDER BY 1
    ON CONFLICT (member_id) DO UPDATE SET customer_ref = EXCLUDED.customer_ref, pushed_segment = NULL
        WHERE crm_state.customer_ref IS NULL AND crm_state.pushed_segment IS NULL
    RETURNING member_id
    """
)
# What was read of it may be no more so: it was spoken of since, or will be.
_IS_TOUCHED = """(d.is_stage AND EXISTS (SELECT FROM inbox i
    WHERE i.source = 'amocrm.deal' AND i.external_id = d.deal_ref::text
        AND (i.received_at >= :read_from OR i.finished_at >= :read_from OR i.state IN ('waiting', 'working'))))
"""
# A deal that somebody moved within the last day and whose hook waits for a worker is that worker's. A touched one is
# remembered as past but not as bought, and looked at again; where stages say nothing, no look would ever count it.
_IS_PAST = f"""
    d.bought_at < :read_from AND NOT (
        d.is_stage AND d.bought_at >= CAST(:read_from AS timestamptz) - interval '1 day' AND EXISTS (
            SELECT FROM inbox i WHERE i.source = 'amocrm.deal' AND i.external_id = d.deal_ref::text
                AND i.state IN ('waiting', 'working'))
    ) AND (:on_stage OR NOT {_IS_TOUCHED})
"""


def _add_orders(which: str) -> sa.TextClause:
    return sa.text(
        f"""
        INSERT INTO orders (deal_ref, member_id, price_kopecks, is_stage_paid, shop_paid_kopecks, shop_paid_at,
            kept_kopecks, is_kept, paid_at, counted_at, rules_version, earn_cap, is_imported, created_at)
        SELECT deal_ref, member_id, price_kopecks, is_stage,
            CASE WHEN NOT is_stage THEN price_kopecks END, CASE WHEN NOT is_stage THEN bought_at END,
            CASE WHEN member_id IS NULL OR is_touched THEN 0 ELSE price_kopecks END,
            price_kopecks > 0 AND member_id IS NOT NULL AND NOT is_touched, bought_at,
            bought_at, :version, 0, true, :now
        FROM (
            SELECT d.deal_ref, d.price_kopecks, d.bought_at, d.is_stage AND :on_stage AS is_stage,
                COALESCE(m.merged_into_id, m.id) AS member_id, {_IS_TOUCHED} AS is_touched
            FROM crm_import_deal d LEFT JOIN member m ON m.contact_ref = d.contact_ref
            WHERE {which} AND {_IS_PAST}
        ) AS past
        ORDER BY deal_ref ON CONFLICT ON CONSTRAINT one_order_per_deal DO NOTHING RETURNING member_id
        """  # noqa: S608 - the words come from this file, never from outside
    )


_ORDERS_OF_CONTACTS = _add_orders("d.contact_ref = ANY(CAST(:refs AS bigint[]))")
_ORDERS_OF_DEALS = _add_orders("d.deal_ref = ANY(CAST(:refs AS bigint[]))")
_NEXT_STRAY = sa.text(
    """
    SELECT d.deal_ref FROM crm_import_deal d LEFT JOIN crm_import_contact c ON c.contact_ref = d.contact_ref
    WHERE d.deal_ref > :after AND d.bought_at < :read_from AND (c.state = 'gone' OR d.contact_ref IS NULL)
    ORDER BY d.deal_ref LIMIT :limit
    """
)
# Bought or touched since the reading began, or known to us and not counted: the ordinary way of a deal is theirs.
_NEXT_LIVING = sa.text(
    f"""
    SELECT d.deal_ref FROM crm_import_deal d LEFT JOIN orders o ON o.deal_ref = d.deal_ref
    WHERE d.deal_ref > :after AND (
        (d.bought_at >= :read_from AND o.counted_at IS NULL)
        OR (o.id IS NOT NULL AND o.counted_at IS NULL AND o.paid_at IS NULL) OR {_IS_TOUCHED})
    ORDER BY d.deal_ref LIMIT :limit
    """  # noqa: S608
)
_SET_SEGMENTS = sa.text(
    """
    UPDATE member m SET segment_code = new.code, segment_falls_at = new.falls_at
    FROM unnest(CAST(:ids AS bigint[]), CAST(:codes AS text[]), CAST(:falls AS timestamptz[]))
        AS new (id, code, falls_at)
    WHERE m.id = new.id
    """
)


@dataclass(frozen=True)
class Terms:
    """How the import's deals are to be taken: `read_from` ends the past, `on_stage`: a paid stage makes an order paid
    by the rules of this version."""

    read_from: datetime
    rules_version: str
    on_stage: bool


def next_contacts(tx: sa.Connection, *, after: int, limit: int) -> Sequence[int]:
    return list(tx.execute(_NEXT, {"after": after, "limit": limit}).scalars())


def count_contacts(tx: sa.Connection) -> int:
    """How many there are to write."""
    statement = sa.text("SELECT count(*) FROM crm_import_contact WHERE state = 'read'")
    return int(tx.execute(statement).scalar_one())


def strangers(tx: sa.Connection, contact_refs: Sequence[int]) -> Sequence[int]:
    """Those of the contacts who are no members yet."""
    return list(tx.execute(_STRANGERS, {"refs": list(contact_refs)}).scalars())


def make_members(tx: sa.Connection, cards: Mapping[int, NewCard], *, now: datetime) -> Sequence[int]:
    """Members with these cards by contact, with all that was read of them. One who was made meanwhile is left alone."""
    if not cards:
        return []
    card = next(iter(cards.values()))
    parameters = {
        "refs": list(cards),
        "tokens": [one.token for one in cards.values()],
        "serials": [one.serial for one in cards.values()],
        "prefix": card.number_prefix,
        "digits": card.number_length - len(card.number_prefix),
        "now": now,
    }
    made = list(tx.execute(_MAKE, parameters).scalars())
    tx.execute(_ADDRESSES, {"ids": made, "now": now})
    return made


def remember_customers(tx: sa.Connection, contact_refs: Sequence[int]) -> Sequence[int]:
    """The customers of these contacts, where we knew none. Returns their members."""
    return list(tx.execute(_CUSTOMERS, {"refs": list(contact_refs)}).scalars())


def add_orders(tx: sa.Connection, contact_refs: Sequence[int], terms: Terms, *, now: datetime) -> Sequence[int]:
    """What these contacts bought. Returns the member of each new order."""
    return list(tx.execute(_ORDERS_OF_CONTACTS, _parameters(contact_refs, terms, now)).scalars())


def add_strays(tx: sa.Connection, deal_refs: Sequence[int], terms: Terms, *, now: datetime) -> int:
    """Deals of nobody: known as bought long ago, should a buyer ever be put into them."""
    return len(tx.execute(_ORDERS_OF_DEALS, _parameters(deal_refs, terms, now)).all())


def next_strays(tx: sa.Connection, *, after: int, read_from: datetime, limit: int) -> Sequence[int]:
    """Deals without a contact, or whose contact is gone."""
    return list(tx.execute(_NEXT_STRAY, {"after": after, "read_from": read_from, "limit": limit}).scalars())


def next_living(tx: sa.Connection, *, after: int, read_from: datetime, limit: int) -> Sequence[int]:
    """Deals that are not the past: they must be looked at in the ordinary way."""
    return list(tx.execute(_NEXT_LIVING, {"after": after, "read_from": read_from, "limit": limit}).scalars())


def lock_members(tx: sa.Connection, member_ids: Sequence[int]) -> None:
    statement = sa.text("SELECT id FROM member WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE")
    tx.execute(statement, {"ids": list(member_ids)})


def set_segments(tx: sa.Connection, standings: Mapping[int, Standing]) -> None:
    """Where these members stand from now on."""
    if standings:
        parameters = {
            "ids": list(standings),
            "codes": [one.code for one in standings.values()],
            "falls": [one.falls_at for one in standings.values()],
        }
        tx.execute(_SET_SEGMENTS, parameters)


def _parameters(refs: Sequence[int], terms: Terms, now: datetime) -> dict[str, object]:
    return {
        "refs": list(refs),
        "read_from": terms.read_from,
        "version": terms.rules_version,
        "on_stage": terms.on_stage,
        "now": now,
    }
