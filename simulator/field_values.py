"""One value of a custom field: what each type takes when written, and how it is kept and read.

Implements the amoCRM reference section 4.4, and section 6 for the fields of invoices. Knows no tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from simulator.answers import Json
from simulator.store import Record

MOSCOW = ZoneInfo("Europe/Moscow")
"""The account's zone: a day is kept as the midnight with which it begins there."""

TEXTS = frozenset({"text", "textarea", "url", "streetaddress", "tracking_data", "org_legal_name"})
NUMBERS = frozenset({"numeric", "price", "monetary"})
CHOICES = frozenset({"select", "multiselect", "radiobutton", "category", "multitext"})
DATES = frozenset({"date", "date_time", "birthday"})
TYPES = TEXTS | NUMBERS | CHOICES | DATES | {"checkbox"}
# Only lists that amoCRM makes itself have such fields.
OBJECTS = frozenset({"items", "payer", "supplier", "legal_entity", "linked_entity"})
ITEM_TEXTS = ("sku", "description", "unit_type", "external_uid")
ITEM_NUMBERS = ("unit_price", "quantity")
DISCOUNTS = ("percentage", "amount")


class BadValue(ValueError):
    """A value that the field's type does not take; the message is amoCRM's `detail`."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def cast(row: Record, value: Json) -> Record:
    """The value as it is kept, by the type of the definition `row`. Raises BadValue."""
    for types, read in CASTS:
        if row["type"] in types:
            return read(row, value)
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


def _object(_row: Record, value: Json) -> Record:
    if not isinstance(value["value"], dict):
        raise BadValue("InvalidType", "This value should be of type object.")
    return {"value": dict(value["value"])}


def _item(row: Record, value: Json) -> Record:
    """One position of an invoice. Its sum is reckoned here; the sum of the whole invoice is not."""
    kept: Record = _object(row, value)["value"]
    for key in ITEM_TEXTS:
        if kept.get(key) is not None and not isinstance(kept[key], str):
            raise BadValue("InvalidType", f"{key}: This value should be of type string.")
    for key in ITEM_NUMBERS:
        number = kept.get(key)
        if isinstance(number, bool) or not isinstance(number, int | float) or number < 0:
            raise BadValue("InvalidType", f"{key}: This value should be of type numeric.")
    if not kept.get("description"):
        raise BadValue("NotBlank", "description: This value should not be blank.")
    total = Decimal(str(kept["unit_price"])) * Decimal(str(kept["quantity"])) - _discount(kept)
    return {"value": {**kept, "total_sum": _plain(max(total, Decimal(0)))}}


def _discount(kept: Record) -> Decimal:
    discount = kept.get("discount")
    if discount is None:
        return Decimal(0)
    if not isinstance(discount, dict) or discount.get("type") not in DISCOUNTS:
        raise BadValue("NotSupportedChoice", "discount.type: The value you selected is not a valid choice.")
    size = discount.get("value") or 0
    if isinstance(size, bool) or not isinstance(size, int | float) or size < 0:
        raise BadValue("InvalidType", "discount.value: This value should be of type numeric.")
    if discount["type"] == "amount":
        return Decimal(str(size))
    return Decimal(str(kept["unit_price"])) * Decimal(str(kept["quantity"])) * Decimal(str(size)) / 100


def _plain(number: Decimal) -> int | float:
    rounded = number.quantize(Decimal("0.01"))
    return int(rounded) if rounded == int(rounded) else float(rounded)


CASTS: tuple[tuple[frozenset[str], Callable[[Record, Json], Record]], ...] = (
    (TEXTS, _text),
    (NUMBERS, _number),
    (CHOICES, _choice),
    (DATES, _date),
    (frozenset({"checkbox"}), _flag),
    (frozenset({"items"}), _item),
    (OBJECTS - {"items"}, _object),
)
