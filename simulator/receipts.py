"""Receipts under law 54-FZ as the bank keeps them with a payment, whoever the acquirer.

Owns the shape of a kept receipt and the words for modes and subjects of payment that acquirers share. What an acquirer
calls its fields and how it refuses is the business of its own file.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from simulator.store import Record

NAME_CHARS_MAX = 128
MODES = frozenset({"full_prepayment", "advance", "full_payment", "partial_payment", "credit", "credit_payment"})
SUBJECTS = frozenset(
    {
        *("commodity", "excise", "job", "service", "gambling_bet", "gambling_prize", "lottery", "lottery_prize"),
        *("intellectual_activity", "payment", "agent_commission", "composite", "another"),
    }
)
PHONE = re.compile(r"\+?\d{10,15}")
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def line(name: str, price: int, quantity: Decimal, total: int, **own: Any) -> Record:
    """One position; `price` and `total` in kopecks, `own`: vat, mode, subject as the acquirer writes them."""
    return {"name": name, "price": price, "quantity": f"{quantity.normalize():f}", "sum": total, **own}


def kept(lines: list[Record], email: str, phone: str, paid: dict[str, int]) -> Record:
    """A checked receipt. `paid`: kopecks by kind of payment, «electronic» among them."""
    total = sum(int(row["sum"]) for row in lines)
    return {"lines": lines, "total": total, "customer": {"email": email, "phone": phone}, "paid": paid}


def times(price: int, quantity: Decimal) -> int:
    """Price by quantity in whole kopecks."""
    return int((price * quantity).quantize(Decimal(1), ROUND_HALF_UP))


def decimal(value: object) -> Decimal | None:
    """A finite number, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def digits_after_point(number: Decimal) -> int:
    return max(0, -int(number.normalize().as_tuple().exponent))
