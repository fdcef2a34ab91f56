"""The `receipt` of a YooKassa payment: what it must have and how YooKassa says that it has not.

Implements the acquirers reference section 2 (54-FZ) and the parameter values of YooKassa's documentation. The amount of
an item is the price of one unit.
"""

from __future__ import annotations

from typing import Any

from simulator.receipts import (
    EMAIL,
    MODES,
    NAME_CHARS_MAX,
    PHONE,
    SUBJECTS,
    decimal,
    digits_after_point,
    kept,
    line,
    times,
)
from simulator.store import Record
from simulator.yookassa_objects import kopecks, wrong

ITEMS_MAX = 100
QUANTITY_DIGITS = 3
VAT_CODES = range(1, 13)
TAX_SYSTEMS = range(1, 7)
OWN_MODES = MODES | {"partial_prepayment"}
OWN_SUBJECTS = SUBJECTS | {"marked", "non_marked", "marked_excise", "non_marked_excise", "property_right"}


def read(receipt: Any, amount: int) -> Record | None:
    """The receipt to keep, None if there is none. Raises Refusal."""
    if receipt is None:
        return None
    if not isinstance(receipt, dict):
        raise wrong("Receipt must be an object", "receipt")
    email, phone = _customer(receipt)
    items = receipt.get("items")
    if not isinstance(items, list) or not 1 <= len(items) <= ITEMS_MAX:
        raise wrong("Receipt has no items, or too many", "receipt.items")
    if receipt.get("tax_system_code", 1) not in TAX_SYSTEMS:
        raise wrong("Unknown tax system", "receipt.tax_system_code")
    lines = [_line(item, f"receipt.items[{index}]") for index, item in enumerate(items)]
    found = kept(lines, email, phone, {"electronic": amount})
    if found["total"] != amount:
        raise wrong("The sum of the receipt's items is not the payment's amount", "receipt.items")
    return found


def _customer(receipt: dict[str, Any]) -> tuple[str, str]:
    customer = receipt.get("customer", receipt)
    if not isinstance(customer, dict):
        raise wrong("Customer must be an object", "receipt.customer")
    email, phone = str(customer.get("email") or ""), str(customer.get("phone") or "")
    if not (email or phone):
        raise wrong("Email or phone of the customer is required", "receipt.customer")
    if email and not EMAIL.fullmatch(email):
        raise wrong("Invalid email", "receipt.customer.email")
    if phone and not PHONE.fullmatch(phone):
        raise wrong("Phone must be digits in the format of ITU-T E.164", "receipt.customer.phone")
    return email, phone


def _line(item: Any, path: str) -> Record:
    if not isinstance(item, dict):
        raise wrong("Item must be an object", path)
    name, quantity = item.get("description"), decimal(item.get("quantity"))
    if not isinstance(name, str) or not 1 <= len(name) <= NAME_CHARS_MAX:
        raise wrong(f"Description must have 1 to {NAME_CHARS_MAX} characters", f"{path}.description")
    if quantity is None or quantity <= 0 or digits_after_point(quantity) > QUANTITY_DIGITS:
        raise wrong("Invalid quantity", f"{path}.quantity")
    price = kopecks(item.get("amount"), f"{path}.amount")
    own = {"vat": item.get("vat_code"), "mode": item.get("payment_mode"), "subject": item.get("payment_subject")}
    if type(own["vat"]) is not int or own["vat"] not in VAT_CODES:
        raise wrong("Unknown VAT code", f"{path}.vat_code")
    if own["mode"] is not None and own["mode"] not in OWN_MODES:
        raise wrong("Unknown payment mode", f"{path}.payment_mode")
    if own["subject"] is not None and own["subject"] not in OWN_SUBJECTS:
        raise wrong("Unknown payment subject", f"{path}.payment_subject")
    return line(name, price, quantity, times(price, quantity), **own)
