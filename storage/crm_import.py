"""What an import of the CRM has read and not written yet. One statement for a page of rows.

Owns the three tables `crm_import_…`; what becomes of their rows is `crm_import_writing.py`. They are emptied when the
import is over: people who buy nothing are not kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import sqlalchemy as sa

from storage.members import NAME_CHARS_MAX
from storage.text import storable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date, datetime

RejectKind = Literal["deal", "contact", "customer"]
ADDRESS_CHARS_MAX = 254


@dataclass(frozen=True)
class ReadDeal:
    """A deal that was bought. `is_stage`: its stage alone makes an order paid by the present rules."""

    deal_ref: int
    contact_ref: int | None
    price_kopecks: int
    is_stage: bool
    bought_at: datetime


@dataclass(frozen=True)
class ReadContact:
    """A contact as the CRM has it, its phones and addresses normalised."""

    contact_ref: int
    name: str
    phones: tuple[str, ...]
    emails: tuple[str, ...]
    birthday: date | None


@dataclass(frozen=True)
class Reject:
    """What could not be taken over as it is, by its id in the CRM."""

    kind: RejectKind
    ref: int
    reason: str


_EMPTY = sa.text("TRUNCATE crm_import_contact, crm_import_deal, crm_import_reject")
_ADD_DEALS = sa.text(
    """
    INSERT INTO crm_import_deal (deal_ref, contact_ref, price_kopecks, is_stage, bought_at)
    SELECT * FROM unnest(CAST(:refs AS bigint[]), CAST(:contacts AS bigint[]), CAST(:prices AS bigint[]),
        CAST(:stages AS boolean[]), CAST(:bought AS timestamptz[]))
    ON CONFLICT (deal_ref) DO UPDATE SET contact_ref = EXCLUDED.contact_ref, price_kopecks = EXCLUDED.price_kopecks,
        is_stage = EXCLUDED.is_stage, bought_at = EXCLUDED.bought_at
    """
)
_NAME_CONTACTS = sa.text(
    """
    INSERT INTO crm_import_contact (contact_ref, customer_ref)
    SELECT contact_ref, min(customer_ref)
    FROM unnest(CAST(:refs AS bigint[]), CAST(:customers AS bigint[])) AS named (contact_ref, customer_ref)
    GROUP BY contact_ref ORDER BY contact_ref
    ON CONFLICT (contact_ref) DO UPDATE SET
        customer_ref = LEAST(crm_import_contact.customer_ref, EXCLUDED.customer_ref)
        WHERE EXCLUDED.customer_ref IS NOT NULL
    """
)
_KEEP_CONTACTS = sa.text(
    r"""
    INSERT INTO crm_import_contact AS known (contact_ref, state, name, phones, emails, birthday)
    SELECT ref, 'read', name, CASE phones WHEN '' THEN '{}' ELSE string_to_array(phones, E'\n') END,
        CASE emails WHEN '' THEN '{}' ELSE string_to_array(emails, E'\n') END, birthday
    FROM unnest(CAST(:refs AS bigint[]), CAST(:names AS text[]), CAST(:phones AS text[]), CAST(:emails AS text[]),
        CAST(:birthdays AS date[])) AS told (ref, name, phones, emails, birthday)
    ON CONFLICT (contact_ref) DO UPDATE SET state = 'read', name = EXCLUDED.name, phones = EXCLUDED.phones,
        emails = EXCLUDED.emails, birthday = EXCLUDED.birthday
    """
)
_REJECT = sa.text(
    """
    INSERT INTO crm_import_reject (kind, ref, reason)
    SELECT * FROM unnest(CAST(:kinds AS text[]), CAST(:refs AS bigint[]), CAST(:reasons AS text[]))
    ON CONFLICT DO NOTHING
    """
)


def empty(tx: sa.Connection) -> None:
    """Forgets all that was read."""
    tx.execute(_EMPTY)


def add_deals(tx: sa.Connection, deals: Sequence[ReadDeal]) -> None:
    """Deals of one page, and that their contacts bought."""
    if not deals:
        return
    tx.execute(
        _ADD_DEALS,
        {
            "refs": [one.deal_ref for one in deals],
            "contacts": [one.contact_ref for one in deals],
            "prices": [one.price_kopecks for one in deals],
            "stages": [one.is_stage for one in deals],
            "bought": [one.bought_at for one in deals],
        },
    )
    name_contacts(tx, [(one.contact_ref, None) for one in deals if one.contact_ref is not None])


def name_contacts(tx: sa.Connection, named: Sequence[tuple[int, int | None]]) -> None:
    """(contact, his customer's id): whom to read."""
    if named:
        tx.execute(_NAME_CONTACTS, {"refs": [one[0] for one in named], "customers": [one[1] for one in named]})


def unread(tx: sa.Connection, *, after: int, limit: int) -> Sequence[int]:
    """Contacts that were named and not read yet, in the order of their ids."""
    statement = sa.text(
        """
        SELECT contact_ref FROM crm_import_contact WHERE state = 'named' AND contact_ref > :after
        ORDER BY contact_ref LIMIT :limit
        """
    )
    return list(tx.execute(statement, {"after": after, "limit": limit}).scalars())


def count_unread(tx: sa.Connection) -> int:
    statement = sa.text("SELECT count(*) FROM crm_import_contact WHERE state = 'named'")
    return int(tx.execute(statement).scalar_one())


def keep_contacts(tx: sa.Connection, contacts: Sequence[ReadContact]) -> None:
    if not contacts:
        return
    tx.execute(
        _KEEP_CONTACTS,
        {
            "refs": [one.contact_ref for one in contacts],
            "names": [storable(one.name, chars_max=NAME_CHARS_MAX) for one in contacts],
            "phones": ["\n".join(one.phones) for one in contacts],
            "emails": [
                "\n".join(storable(text, chars_max=ADDRESS_CHARS_MAX) for text in one.emails) for one in contacts
            ],
            "birthdays": [one.birthday for one in contacts],
        },
    )


def are_gone(tx: sa.Connection, contact_refs: Sequence[int]) -> None:
    """The CRM does not know these contacts."""
    if contact_refs:
        statement = sa.text("UPDATE crm_import_contact SET state = 'gone' WHERE contact_ref = ANY(:refs)")
        tx.execute(statement, {"refs": list(contact_refs)})


def reject(tx: sa.Connection, found: Sequence[Reject]) -> None:
    if found:
        columns = {"kinds": [one.kind for one in found], "refs": [one.ref for one in found]}
        tx.execute(_REJECT, {**columns, "reasons": [one.reason for one in found]})


def rejects(tx: sa.Connection) -> Iterator[Reject]:
    """All of them, as they are read from the server."""
    statement = sa.text("SELECT kind, ref, reason FROM crm_import_reject ORDER BY kind, ref, reason")
    for row in tx.execution_options(yield_per=1000).execute(statement):
        yield Reject(row.kind, row.ref, row.reason)
