"""The Receipt of T-Bank's Init: what it must have and with which codes T-Bank refuses it.

Implements the acquirers reference section 3 (54-FZ): Price by Quantity is Amount, discounts are inside; points paid
as an advance stand in Payments.AdvancePayment beside Electronic, which is what the card pays.
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
from simulator.tbank_errors import Refusal, wrong

ITEMS_MAX = 100
QUANTITY_DIGITS = 3
TAXATIONS = frozenset({"osn", "usn_income", "usn_income_outcome", "envd", "esn", "patent"})
TAXES = frozenset(
    {
        *("none", "vat0", "vat5", "vat7", "vat10", "vat18", "vat20", "vat22"),
        *("vat105", "vat107", "vat110", "vat118", "vat120", "vat122"),
    }
)
OWN_MODES = MODES | {"prepayment"}
OWN_SUBJECTS = SUBJECTS | {
    "contribution",
    "property_rights",
    "unrealization",
    "tax_reduction",
    "trade_fee",
    "resort_tax",
}
PAYMENTS = ("Electronic", "Cash", "AdvancePayment", "Credit", "Provision")


def read(receipt: Any, amount: int) -> Record | None:
    """The receipt to keep, None if there is none. Raises Refusal."""
    if receipt is None:
        return None
    if not isinstance(receipt, dict):
        raise wrong("309", "Поле Receipt не должно быть пустым")
    email, phone = str(receipt.get("Email") or ""), str(receipt.get("Phone") or "")
    if not (email or phone):
        raise wrong("206", "Поле Email или Phone в Receipt не должно быть пустым")
    if email and not EMAIL.fullmatch(email):
        raise wrong("224", "Неверный формат email")
    if phone and not PHONE.fullmatch(phone):
        raise wrong("9999", "Неверный формат Phone в Receipt")
    if receipt.get("Taxation") not in TAXATIONS:
        raise wrong("9999", "Неверное значение поля Taxation")
    items = receipt.get("Items")
    if not isinstance(items, list) or not 1 <= len(items) <= ITEMS_MAX:
        raise wrong("309", "Поле Items в Receipt не должно быть пустым")
    all_fields = receipt.get("FfdVersion") == "1.2"
    lines = [_line(item, all_fields=all_fields) for item in items]
    paid = _payments(receipt.get("Payments"), amount)
    found = kept(lines, email, phone, {name.lower(): sum_ for name, sum_ in paid.items() if sum_})
    if found["total"] != sum(paid.values()):
        raise wrong("308", "Сумма всех позиций в чеке должна равняться сумме всех видов оплаты")
    return found


def _payments(told: Any, amount: int) -> dict[str, int]:
    if told is None:
        return {"Electronic": amount}
    if not isinstance(told, dict) or any(_whole(told.get(name, 0)) is None for name in PAYMENTS):
        raise wrong("9999", "Неверное значение поля Payments")
    paid = {name: int(told.get(name, 0)) for name in PAYMENTS}
    if paid["Electronic"] != amount:
        raise wrong("334", "Суммы в чеке и в платеже не совпадают")
    return paid


def _line(item: Any, *, all_fields: bool) -> Record:
    if not isinstance(item, dict):
        raise wrong("9999", "Неверное значение поля Items")
    name, price, total = item.get("Name"), _whole(item.get("Price")), _whole(item.get("Amount"))
    quantity = decimal(item.get("Quantity"))
    if not isinstance(name, str) or not 1 <= len(name) <= NAME_CHARS_MAX:
        raise wrong("9999", f"Размер поля Name должен быть от 1 до {NAME_CHARS_MAX}")
    if price is None or total is None or quantity is None or quantity <= 0:
        raise wrong("9999", "Неверное значение полей Price, Quantity или Amount")
    if digits_after_point(quantity) > QUANTITY_DIGITS:
        raise wrong("310", f"Дробная часть параметра Quantity не должна быть больше {QUANTITY_DIGITS} знаков")
    if times(price, quantity) != total:
        raise wrong("9999", "Amount позиции должен равняться Price × Quantity")
    own = _marks(item, all_fields=all_fields)
    return line(name, price, quantity, total, **own)


def _marks(item: dict[str, Any], *, all_fields: bool) -> Record:
    if item.get("Tax") not in TAXES:
        raise wrong("9999", "Неверное значение поля Tax")
    for key, known in (("PaymentMethod", OWN_MODES), ("PaymentObject", OWN_SUBJECTS)):
        if key in item and item[key] not in known:
            raise wrong("9999", f"Неверное значение поля {key}")
        if all_fields and key not in item:
            raise _missing(key)
    if all_fields and not item.get("MeasurementUnit"):
        raise _missing("MeasurementUnit")
    return {"vat": item["Tax"], "mode": item.get("PaymentMethod"), "subject": item.get("PaymentObject")}


def _missing(key: str) -> Refusal:
    return wrong("201", f"Поле {key[0].lower()}{key[1:]} не должно быть пустым")


def _whole(value: object) -> int | None:
    """Kopecks: whole and not negative, as a number or in a string of digits."""
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
