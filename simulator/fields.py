"""Custom fields of amoCRM: definitions, and values as they are written and as they are read.

Implements the amoCRM reference section 4.4. Owns the table `fields`; records keep values under `cf[str(field id)]`.
What one value may be is `field_values`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from simulator.answers import Error, Json, error
from simulator.field_values import BadValue, cast
from simulator.store import Record, Store

if TYPE_CHECKING:
    from simulator.settings import Settings


class Account(Protocol):
    """What of the CRM a field's definition needs; the whole of it is `world.Crm`."""

    settings: Settings
    store: Store

    def rows(self, table: str) -> dict[Any, Record]: ...

    def next_id(self, kind: str) -> int: ...


def of_entity(crm: Account, entity: str) -> list[Record]:
    """Definitions of an entity in the order of their creation."""
    return [row for row in crm.rows("fields").values() if row["entity_type"] == entity]


def by_code(crm: Account, entity: str, code: str) -> Record:
    """A definition by its code. Raises LookupError."""
    for row in of_entity(crm, entity):
        if row["code"] == code:
            return row
    raise LookupError(code)


def named(crm: Account, entity: str, name: str) -> Record:
    """A definition by its name, as a person finds it. Raises LookupError."""
    wanted = " ".join(name.split()).casefold()
    for row in of_entity(crm, entity):
        if " ".join(row["name"].split()).casefold() == wanted:
            return row
    raise LookupError(f"нет поля «{name}»")


def define(crm: Account, entity: str, wanted: Json) -> Record:
    """Creates a definition from a checked request. Fields of lists are numbered apart from those of cards."""
    numbers = ("list_fields", "list_enums") if entity.startswith("catalogs/") else ("fields", "enums")
    field_id = crm.next_id(numbers[0])
    enums = [
        {
            "id": crm.next_id(numbers[1]),
            "value": enum["value"],
            "sort": enum.get("sort", (index + 1) * 10),
            "code": enum.get("code"),
        }
        for index, enum in enumerate(wanted.get("enums") or [])
    ]
    code = wanted.get("code")
    row: Record = {
        "id": field_id,
        "name": wanted["name"],
        "type": wanted["type"],
        "code": code,
        "sort": wanted.get("sort", 500),
        "entity_type": entity,
        "enums": enums or None,
        "group_id": wanted.get("group_id"),
        "is_api_only": bool(wanted.get("is_api_only", False)),
        "is_deletable": True,
        "is_predefined": code in ("PHONE", "EMAIL", "POSITION"),
        "is_required": False,
        "is_visible": True,
        "required_statuses": wanted.get("required_statuses", []),
        "remind": wanted.get("remind"),
        "account_id": crm.settings.crm.account_id,
    }
    return crm.store.put("fields", field_id, row)


def check(crm: Account, entity: str, written: Any) -> tuple[dict[str, list[Record] | None], list[Error]]:
    """(values by field id, errors) of a `custom_fields_values` key; None clears the field."""
    if written is None:
        return {}, []
    if not isinstance(written, list):
        return {}, [error("InvalidType", "custom_fields_values", "This value should be of type array.")]
    values: dict[str, list[Record] | None] = {}
    errors: list[Error] = []
    for index, item in enumerate(written):
        path = f"custom_fields_values.{index}"
        row = _find(crm, entity, item)
        if row is None:
            key = "field_code" if isinstance(item, dict) and "field_code" in item else "field_id"
            errors.append(error("NotSupportedChoice", f"{path}.{key}", "The value you selected is not a valid choice."))
            continue
        values[str(row["id"])], wrong = _stored(row, item.get("values"), path)
        errors.extend(wrong)
    return values, errors


def shown(crm: Account, record: Record) -> list[Json] | None:
    """`custom_fields_values` of a record as it is read, None when nothing is filled."""
    definitions = crm.rows("fields")
    filled = []
    for key, values in record["cf"].items():
        row = definitions.get(int(key))
        if row is None:
            continue
        filled.append(
            {
                "field_id": row["id"],
                "field_name": row["name"],
                "field_code": row["code"],
                "field_type": row["type"],
                "values": values,
            }
        )
    return filled or None


def by_name(crm: Account, record: Record) -> dict[str, Any]:
    """Values of a record by the field's name, a single one bare."""
    named: dict[str, Any] = {}
    for item in shown(crm, record) or []:
        values = [value["value"] for value in item["values"]]
        named[item["field_name"]] = values[0] if len(values) == 1 else values
    return named


def _find(crm: Account, entity: str, item: Any) -> Record | None:
    if not isinstance(item, dict):
        return None
    if isinstance(item.get("field_id"), int):
        row = crm.rows("fields").get(item["field_id"])
        return row if row is not None and row["entity_type"] == entity else None
    code = item.get("field_code")
    return next((row for row in of_entity(crm, entity) if code is not None and row["code"] == code), None)


def _stored(row: Record, written: Any, path: str) -> tuple[list[Record] | None, list[Error]]:
    if written is None:
        return None, []
    if not isinstance(written, list) or not all(isinstance(value, dict) for value in written):
        return None, [error("InvalidType", f"{path}.values", "This value should be of type array.")]
    stored, errors = [], []
    for index, value in enumerate(written):
        if value.get("value", "") in (None, "") and not ({"enum_id", "enum_code"} & set(value)):
            continue
        try:
            stored.append(cast(row, value))
        except BadValue as wrong:
            errors.append(error(wrong.code, f"{path}.values.{index}.value", wrong.detail))
    return stored or None, errors
