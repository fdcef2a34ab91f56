"""Contacts: reading them and writing our fields back.

Owns their wire format; fields are written as differences only. Phones and addresses are given as the CRM keeps them:
nothing here decides whether they are any good. Implements section 4.2 of the amoCRM reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from connector.amocrm.api import Api, in_write_batch
from connector.amocrm.reading import (
    QueryValue,
    Row,
    embedded,
    field_texts,
    field_values,
    instant,
    linked_ids,
    text,
    whole,
)
from connector.amocrm.values import FieldValue, changed_values, patch_row

__all__ = ["Contact", "ContactChange", "ContactsApi", "FieldValue", "contact_diff"]

PHONE_CODE = "PHONE"
EMAIL_CODE = "EMAIL"
SEARCH_ROWS = 50


@dataclass(frozen=True)
class Contact:
    """`field_values`: the value of a field with one, a tuple of them with several; an empty field is absent.

    `phones` and `emails` are all that are filled in, in the CRM's order and as people typed them. `deal_ids` are known
    of contacts that were searched for.
    """

    id: int
    name: str = field(repr=False)
    first_name: str = field(repr=False)
    customer_ids: tuple[int, ...]
    field_values: Mapping[int, object] = field(repr=False)
    updated_at: datetime | None
    phones: tuple[str, ...] = field(default=(), repr=False)
    emails: tuple[str, ...] = field(default=(), repr=False)
    deal_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class ContactChange:
    """Fields to write; None clears one. Fields that are not named stay as they are."""

    contact_id: int
    values: Mapping[int, FieldValue] = field(repr=False)


def contact_diff(contact: Contact, wanted: Mapping[int, FieldValue]) -> ContactChange | None:
    """The smallest change that makes the contact's fields equal to `wanted`; None when they are equal already."""
    values = changed_values(wanted, contact.field_values)
    return ContactChange(contact.id, values) if values else None


class ContactsApi(Api):
    def contacts(self, ids: Sequence[int]) -> dict[int, Contact]:
        """Contacts by id with their customers, one request per READ_BATCH. An unknown contact is absent."""
        contacts = [read_contact(row) for row in self.rows_by_ids("/contacts", "contacts", ids, linked="customers")]
        return {contact.id: contact for contact in contacts}

    def search_contacts(self, words: str) -> list[Contact]:
        """Contacts with these words or digits in any field, at most SEARCH_ROWS. The CRM finds parts of words too:
        whoever asks compares the phones and addresses himself."""
        query: dict[str, QueryValue] = {"query": words, "with": "leads", "limit": SEARCH_ROWS}
        return [read_contact(row) for row in embedded(self.request("GET", "/contacts", query=query), "contacts")]

    def update_contacts(self, changes: Sequence[ContactChange]) -> None:
        """One PATCH of at most WRITE_BATCH contacts with nothing but the changed fields."""
        in_write_batch(len(changes))
        rows = [patch_row(change.contact_id, change.values) for change in changes if change.values]
        if rows:
            self.request("PATCH", "/contacts", body=rows)


def read_contact(row: Row) -> Contact:
    return Contact(
        id=whole(row, "id"),
        name=text(row, "name"),
        first_name=text(row, "first_name"),
        customer_ids=linked_ids(row, "customers"),
        field_values=field_values(row),
        updated_at=instant(row, "updated_at"),
        phones=field_texts(row, PHONE_CODE),
        emails=field_texts(row, EMAIL_CODE),
        deal_ids=linked_ids(row, "leads"),
    )
