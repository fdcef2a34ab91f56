"""Custom fields of amoCRM: definitions, and values as they are written and as they are read.

Implements the amoCRM reference section 4.4. Owns the tables `fields`; records keep values under `cf[str(field id)]`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol
from zoneinfo import ZoneInfo

from simulator.answers import Error, Json, error
from simulator.store import Record, Store

if TYPE_CHECKING:
    from simulator.settings import Settings

MOSCOW = ZoneInfo("Europe/Moscow")
"""The account's zone: a day is kept as the midnight with which it begins there."""

TEXTS = frozenset({"text", "textarea", "url", "streetaddress", "tracking_data", "org_legal_name"})
NUMBERS = frozenset({"numeric", "price", "monetary"})
CHOICES = frozenset({"select", "multiselect", "radiobutton", "category", "multitext"})
DATES = frozenset({"date", "date_time", "birthday"})
TYPES = TEXTS | NUMBERS | CHOICES | DATES | {"checkbox"}


class BadValue(ValueError):
    """A value that the field's type does not take; the message is amoCRM's `detail`."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


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
    """Creates a definition from a checked request."""
    field_id = crm.next_id("fields")
    enums = [
        {
            "id": crm.next_id("enums"),
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
            stored.append(_cast(row, value))
        except BadValue as wrong:
            errors.append(error(wrong.code, f"{path}.values.{index}.value", wrong.detail))
    return stored or None, errors


def _cast(row: Record, value: Json) -> Record:
    for types, cast in CASTS:
        if row["type"] in types:
            return cast(row, value)
    raise BadValue("NotSupportedChoice", "This field type is not simulated.")


def _text(_row: Record, value: Json) -> Record:
    if not isinstance(value["value"], str):
        raise BadValue("InvalidType", "This value should be of type string.")
    return {"value": value["value"]}


def _number(_row: Record, value: Json) -> Record:
    wrong = BadValue("InvalidType", "This value should be of type numeric.")
    if isinstance(value["value"], bool) or not isinstance(value["value"], int | float | str):
        raise wrong
    try:
        number = float(value["value"])
    except ValueError as error_:
        raise wrong from error_
    if not math.isfinite(number):
        raise wrong
    return {"value": str(int(number)) if number.is_integer() else str(value["value"])}


def _flag(_row: Record, value: Json) -> Record:
    if not isinstance(value["value"], bool):
        raise BadValue("InvalidType", "This value should be of type bool.")
    return {"value": value["value"]}


def _date(row: Record, value: Json) -> Record:
    written = value["value"]
    try:
        if isinstance(written, int) and not isinstance(written, bool):
            at = datetime.fromtimestamp(written, UTC)
        else:
            at = datetime.fromisoformat(str(written))
    except (ValueError, OverflowError, OSError) as wrong:
        raise BadValue("InvalidType", "This value should be a timestamp or a date in RFC 3339.") from wrong
    here = at.astimezone(MOSCOW) if at.tzinfo else at.replace(tzinfo=MOSCOW)
    if row["type"] != "date_time":
        here = here.replace(hour=0, minute=0, second=0, microsecond=0)
    return {"value": int(here.timestamp())}


def _choice(row: Record, value: Json) -> Record:
    for enum in row["enums"] or []:
        named = value.get("enum_code", value.get("enum"))
        if value.get("enum_id") == enum["id"] or (named is not None and named == enum["code"]):
            break
        if row["type"] != "multitext" and "value" in value and value["value"] == enum["value"]:
            break
    else:
        if row["type"] != "multitext" or {"enum_id", "enum_code", "enum"} & set(value):
            raise BadValue("NotSupportedChoice", "The value you selected is not a valid choice.")
        enum = row["enums"][0]
    shown_value = _text(row, value)["value"] if row["type"] == "multitext" else enum["value"]
    return {"value": shown_value, "enum_id": enum["id"], "enum_code": enum["code"]}


CASTS: tuple[tuple[frozenset[str], Callable[[Record, Json], Record]], ...] = (
    (TEXTS, _text),
    (NUMBERS, _number),
    (CHOICES, _choice),
    (DATES, _date),
    (frozenset({"checkbox"}), _flag),
)
