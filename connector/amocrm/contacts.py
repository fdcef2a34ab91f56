"""Contacts: reading them and writing our fields back.

Owns the comparison of a wanted field value with what amoCRM stores, so that only differences are written: an equal
value written again would fire a hook back at us. Implements sections 4.2, 4.4 and 10.3-10.4 of the amoCRM reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation

from connector.amocrm.api import Api, in_write_batch
from connector.amocrm.reading import Row, instant, linked_ids, optional_whole, text, whole

FieldValue = str | int | bool | None


@dataclass(frozen=True)
class Contact:
    """`field_values`: the value of a field with one, a tuple of them with several; an empty field is absent."""

    id: int
    name: str = field(repr=False)
    first_name: str = field(repr=False)
    customer_ids: tuple[int, ...]
    field_values: Mapping[int, object] = field(repr=False)
    updated_at: datetime | None


@dataclass(frozen=True)
class ContactChange:
    """Fields to write; None clears one. Fields that are not named stay as they are."""

    contact_id: int
    values: Mapping[int, FieldValue] = field(repr=False)


def contact_diff(contact: Contact, wanted: Mapping[int, FieldValue]) -> ContactChange | None:
    """The smallest change that makes the contact's fields equal to `wanted`; None when they are equal already."""
    values = {
        field_id: value
        for field_id, value in wanted.items()
        if not same_value(value, contact.field_values.get(field_id))
    }
    return ContactChange(contact.id, values) if values else None


def same_value(wanted: FieldValue, stored: object) -> bool:
    """amoCRM returns numbers as strings and an empty or unticked field as no field at all."""
    if wanted is None or wanted == "":
        return stored is None or stored == ""
    if isinstance(wanted, bool):
        return _truth(stored) is wanted
    if isinstance(wanted, int):
        return _number(stored) == wanted
    return stored == wanted


class ContactsApi(Api):
    def contacts(self, ids: Sequence[int]) -> dict[int, Contact]:
        """Contacts by id with their customers, one request per READ_BATCH. An unknown contact is absent."""
        contacts = [_contact(row) for row in self.rows_by_ids("/contacts", "contacts", ids, linked="customers")]
        return {contact.id: contact for contact in contacts}

    def update_contacts(self, changes: Sequence[ContactChange]) -> None:
        """One PATCH of at most WRITE_BATCH contacts with nothing but the changed fields."""
        in_write_batch(len(changes))
        rows = [_patch(change) for change in changes if change.values]
        if rows:
            self.request("PATCH", "/contacts", body=rows)


def _contact(row: Row) -> Contact:
    return Contact(
        id=whole(row, "id"),
        name=text(row, "name"),
        first_name=text(row, "first_name"),
        customer_ids=linked_ids(row, "customers"),
        field_values=_field_values(row),
        updated_at=instant(row, "updated_at"),
    )


def _field_values(row: Row) -> dict[int, object]:
    found: dict[int, object] = {}
    fields = row.get("custom_fields_values")
    for one in fields if isinstance(fields, list) else []:
        field_id = optional_whole(one, "field_id") if isinstance(one, dict) else None
        stored = one.get("values") if isinstance(one, dict) else None
        values = [value.get("value") for value in stored if isinstance(value, dict)] if isinstance(stored, list) else []
        if field_id is not None and values:
            found[field_id] = values[0] if len(values) == 1 else tuple(values)
    return found


def _patch(change: ContactChange) -> dict[str, object]:
    fields = [
        {"field_id": field_id, "values": None if value is None else [{"value": value}]}
        for field_id, value in change.values.items()
    ]
    return {"id": change.contact_id, "custom_fields_values": fields}


def _truth(stored: object) -> bool | None:
    if stored is None or stored in ("", "0", 0, "false"):
        return False
    return True if stored in ("1", 1, "true") else None


def _number(stored: object) -> Decimal | None:
    if isinstance(stored, bool) or not isinstance(stored, str | int | Decimal):
        return None
    try:
        return Decimal(stored)
    except InvalidOperation:
        return None
