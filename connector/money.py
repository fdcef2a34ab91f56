"""Foreign amounts into whole kopecks.

Owns the only two readings of money that foreign formats use. Exact by construction: digits are matched as text, there
is no arithmetic that could round. Rule: acquirers reference, section 13.2.
"""

from __future__ import annotations

import re
from decimal import Decimal

from connector.errors import BadMoney

MAX_KOPECKS = 10**12
_ROUBLES = re.compile(r"([0-9]{1,11})(?:\.([0-9]{1,2})0{0,8})?")
_WHOLE = re.compile(r"[0-9]{1,13}")


def kopecks_from_roubles(value: object) -> int:
    """`"990.000000"` -> 99000, `Decimal("10.5")` -> 1050. Raises BadMoney for anything with a remainder, a sign, an
    exponent, a float or a bool."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise BadMoney(f"an amount in roubles cannot be a {type(value).__name__}")
    match = _ROUBLES.fullmatch(_text(value))
    if match is None:
        raise BadMoney("an amount in roubles is not a plain decimal with whole kopecks")
    whole, fraction = match.groups(default="")
    return _bounded(int(whole) * 100 + int(fraction.ljust(2, "0") or "0"))


def kopecks_from_int(value: object) -> int:
    """`9855` or `"9855"` -> 9855. Raises BadMoney for anything but an integer or a string of digits."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadMoney(f"an amount in kopecks cannot be a {type(value).__name__}")
    text = _text(value)
    if _WHOLE.fullmatch(text) is None:
        raise BadMoney("an amount in kopecks is not a plain integer")
    return _bounded(int(text))


def _text(value: str | int | Decimal) -> str:
    # str() of an int with thousands of digits raises ValueError: compare first.
    if isinstance(value, int) and not 0 <= value <= MAX_KOPECKS:
        raise BadMoney("an amount is out of bounds")
    return str(value)


def _bounded(kopecks: int) -> int:
    if kopecks > MAX_KOPECKS:
        raise BadMoney("an amount is out of bounds")
    return kopecks
