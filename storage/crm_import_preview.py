"""What an import of the CRM will change, counted before anything is written. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from loyalty.segments import Purchases

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

# Phones that several contacts of the import have.
_SAME_PHONE = """
    SELECT phone, array_agg(contact_ref ORDER BY contact_ref) AS refs FROM (
        SELECT contact_ref, unnest(phones) AS phone FROM crm_import_contact WHERE state = 'read'
    ) AS one GROUP BY phone HAVING count(*) > 1
"""


@dataclass(frozen=True)
class Totals:
    """What was read. `first_at`, `last_at`: of the purchases; `fresh`: deals bought since the reading began;
    `old_orders`: deals we know already; `known`: contacts that are members already; `same_phone`: contacts that share a
    phone with another one, `elsewhere`: with a member who has no contact."""

    deals: int
    fresh: int
    kopecks: int
    first_at: datetime | None
    last_at: datetime | None
    without_price: int
    without_contact: int
    old_orders: int
    contacts: int
    gone: int
    known: int
    customers: int
    without_phone: int
    same_phone: int
    elsewhere: int
    rejects: int


_TOTALS = sa.text(
    f"""
    SELECT deals.*, contacts.*,
        (SELECT count(DISTINCT ref) FROM ({_SAME_PHONE}) AS shared, unnest(shared.refs) AS ref) AS same_phone,
        (SELECT count(DISTINCT c.contact_ref) FROM crm_import_contact c, unnest(c.phones) AS phone
            JOIN member_address a ON a.kind = 'phone' AND a.value = phone
            JOIN member m ON m.id = a.member_id AND m.contact_ref IS NULL AND m.merged_into_id IS NULL) AS elsewhere,
        (SELECT count(*) FROM crm_import_reject) AS rejects
    FROM (
        SELECT count(*) AS deals,
            (SELECT count(*) FROM crm_import_deal WHERE bought_at >= :read_from) AS fresh,
            COALESCE(sum(d.price_kopecks), 0)::bigint AS kopecks, min(d.bought_at) AS first_at,
            max(d.bought_at) AS last_at, count(*) FILTER (WHERE d.price_kopecks = 0) AS without_price,
            count(*) FILTER (WHERE d.contact_ref IS NULL) AS without_contact, count(o.id) AS old_orders
        FROM crm_import_deal d LEFT JOIN orders o ON o.deal_ref = d.deal_ref WHERE d.bought_at < :read_from
    ) AS deals, (
        SELECT count(*) FILTER (WHERE c.state = 'read') AS contacts, count(*) FILTER (WHERE c.state = 'gone') AS gone,
            count(m.id) FILTER (WHERE c.state = 'read') AS known, count(c.customer_ref) AS customers,
            count(*) FILTER (WHERE c.state = 'read' AND c.phones = '{{}}') AS without_phone
        FROM crm_import_contact c LEFT JOIN member m ON m.contact_ref = c.contact_ref
    ) AS contacts
    """  # noqa: S608
)


def totals(tx: sa.Connection, *, read_from: datetime) -> Totals:
    """Looks through all that was read; in a large account that takes a while."""
    tx.execute(sa.text("SET LOCAL statement_timeout = 0"))
    return Totals(**tx.execute(_TOTALS, {"read_from": read_from}).one()._mapping)


def by_year(tx: sa.Connection, timezone: str, *, read_from: datetime) -> Sequence[tuple[int, int]]:
    """(year, purchases) in the programme's zone."""
    statement = sa.text(
        """
        SELECT extract(year FROM bought_at AT TIME ZONE :zone)::int AS year, count(*) AS deals FROM crm_import_deal
        WHERE bought_at < :read_from GROUP BY year ORDER BY year
        """
    )
    found = tx.execute(statement, {"zone": timezone, "read_from": read_from})
    return [(row.year, row.deals) for row in found]


@dataclass(frozen=True)
class Buyer:
    """A contact of the import, the member he is (None: will be made) and all he will have bought."""

    contact_ref: int
    is_member: bool
    segment_code: str | None
    falls_at: datetime | None
    manual_code: str | None
    purchases: Purchases


_BUYERS = sa.text(
    """
    WITH chosen AS MATERIALIZED (
        SELECT c.contact_ref, COALESCE(m.merged_into_id, m.id, known.member_id) AS member_id
        FROM crm_import_contact c LEFT JOIN member m ON m.contact_ref = c.contact_ref
            LEFT JOIN unnest(CAST(:refs AS bigint[]), CAST(:ids AS bigint[])) AS known (contact_ref, member_id)
                ON known.contact_ref = c.contact_ref
        WHERE c.state = 'read' AND c.contact_ref > :after ORDER BY c.contact_ref LIMIT :limit
    ), bought AS (
        SELECT ch.contact_ref, d.bought_at AS at, d.price_kopecks AS kopecks FROM chosen ch
            JOIN crm_import_deal d ON d.contact_ref = ch.contact_ref AND d.price_kopecks > 0
            WHERE NOT EXISTS (SELECT FROM orders o WHERE o.deal_ref = d.deal_ref)
        UNION ALL SELECT ch.contact_ref, o.paid_at, o.kept_kopecks FROM chosen ch
            JOIN orders o ON o.member_id = ch.member_id AND o.is_kept
    ), sums AS (
        SELECT contact_ref, count(*) FILTER (WHERE at >= :window_from) AS orders,
            COALESCE(sum(kopecks) FILTER (WHERE at >= :window_from), 0)::bigint AS kopecks,
            count(*) AS orders_ever, sum(kopecks)::bigint AS kopecks_ever
        FROM bought GROUP BY contact_ref
    )
    SELECT ch.contact_ref, ch.member_id, m.segment_code, m.segment_falls_at, m.manual_segment_code,
        COALESCE(s.orders, 0) AS orders, COALESCE(s.kopecks, 0) AS kopecks,
        COALESCE(s.orders_ever, 0) AS orders_ever, COALESCE(s.kopecks_ever, 0) AS kopecks_ever
    FROM chosen ch LEFT JOIN member m ON m.id = ch.member_id LEFT JOIN sums s ON s.contact_ref = ch.contact_ref
    ORDER BY ch.contact_ref
    """
)


def buyers(
    tx: sa.Connection, known: Mapping[int, int], *, after: int, window_from: datetime, limit: int
) -> Sequence[Buyer]:
    """What the import will make of contacts with ids above `after`; `known`: members by the contacts they will get, in
    the order of those. Writes nothing."""
    refs = [ref for ref in known if ref > after][:limit]
    parameters = {"refs": refs, "ids": [known[ref] for ref in refs]}
    return [
        Buyer(
            row.contact_ref,
            row.member_id is not None,
            row.segment_code,
            row.segment_falls_at,
            row.manual_segment_code,
            Purchases(row.orders, row.kopecks, row.orders_ever, row.kopecks_ever),
        )
        for row in tx.execute(_BUYERS, {**parameters, "after": after, "window_from": window_from, "limit": limit})
    ]


def count_by_segment(tx: sa.Connection) -> dict[str | None, int]:
    """Living members by their segment's code."""
    statement = sa.text(
        "SELECT segment_code, count(*) AS members FROM member WHERE merged_into_id IS NULL GROUP BY segment_code"
    )
    return {row.segment_code: row.members for row in tx.execute(statement)}


def same_phones(tx: sa.Connection) -> Iterator[tuple[str, Sequence[int]]]:
    """Phones that several contacts of the import have, with those contacts."""
    for row in tx.execution_options(yield_per=1000).execute(sa.text(f"{_SAME_PHONE} ORDER BY phone")):
        yield row.phone, row.refs
