"""Values of custom fields: which of them differ from what amoCRM stores, and how they are written.

Owns the comparison, so that only differences are sent: an equal value written again would fire a hook back at us.
Knows no entity and no endpoint. Implements sections 4.4 and 10.3-10.4 of the amoCRM reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

FieldValue = str | int | bool | None


def changed_values(wanted: Mapping[int, FieldValue], stored: Mapping[int, object]) -> dict[int, FieldValue]:
    """Those of the wanted values that are not stored yet, by field id."""
    return {field_id: value for field_id, value in wanted.items() if not same_value(value, stored.get(field_id))}


def same_value(wanted: FieldValue, stored: object) -> bool:
    """amoCRM returns numbers as strings and an empty or unticked field as no field at all."""
    if wanted is None or wanted == "":
        return stored is None or stored == ""
    if isinstance(wanted, bool):
        return _truth(stored) is wanted
    if isinstance(wanted, int):
        return _number(stored) == wanted
    return stored == wanted


def patch_row(entity_id: int, values: Mapping[int, FieldValue]) -> dict[str, object]:
    """One entity of a PATCH that changes nothing but these fields; None clears one."""
    fields = [
        {"field_id": field_id, "values": None if value is None else [{"value": value}]}
        for field_id, value in values.items()
    ]
    return {"id": entity_id, "custom_fields_values": fields}


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
