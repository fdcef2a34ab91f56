"""Kinds of values in requests and answers, each with its limits and an example, for both halves of the contract.

Money is whole kopecks, points are whole, instants are ISO 8601 with a time zone. What Unicode would let look alike is
one and the same here: order names are compared in their composed form (NFC).
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, PlainSerializer
from pydantic_core import PydanticCustomError

ID_MAX = 2**63 - 1
KOPECKS_MAX = 10**10
"""100 million roubles: no order is dearer. Whether its points fit an account depends on the rules as well."""
POINTS_MAX = 10**9
ITEMS_MAX = 500
QUANTITY_MAX = 1_000_000
ORDER_CHARS_MAX = 64
YEARS = (1900, 2100)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_PLAIN = r"^[^\x00-\x1f\x7f]*$"
_SAID = r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"
_ORDER = r"^[^\x00-\x20\x7f/]([^\x00-\x1f\x7f/]*[^\x00-\x20\x7f/])?$"


def order_name(text: str) -> str:
    """The shop's own name of an order. U+FFFD stands where bytes were no text. Raises PydanticCustomError."""
    composed = unicodedata.normalize("NFC", text)
    if not composed.isprintable() or composed in (".", "..") or "\ufffd" in composed:
        raise PydanticCustomError("order_name", "от 1 до 64 печатных знаков без косой черты")
    return composed


def shown_text(text: str) -> str:
    """What people will read: nothing in it is invisible or turns the line around. Raises PydanticCustomError."""
    if not text.replace("\u00a0", " ").isprintable():
        raise PydanticCustomError("shown_text", "в тексте невидимые знаки")
    return text


def _read_date(given: Any) -> Any:
    """Text as a day; what is no text is left for the strict type to refuse."""
    if not isinstance(given, str):
        return given
    try:
        day = date.fromisoformat(given) if _DATE.fullmatch(given) else None
    except ValueError:
        day = None
    if day is None or not YEARS[0] <= day.year <= YEARS[1]:
        raise PydanticCustomError("date_text", "нужна дата вида 1990-05-20")
    return day


def _read_instant(given: Any) -> Any:
    """Text as an instant in UTC; a plus sign arrives as a space in a query."""
    if not isinstance(given, str):
        return given
    text = given.replace(" ", "+").upper()
    try:
        at = datetime.fromisoformat(text) if _INSTANT.fullmatch(text) else None
    except ValueError:
        at = None
    if at is None or not YEARS[0] <= at.year <= YEARS[1]:
        raise PydanticCustomError("instant_text", "нужно время с поясом вида 2026-03-01T09:00:00Z")
    return at.astimezone(UTC)


def _whole(given: Any) -> Any:
    """A number in a query arrives as text: digits and nothing else."""
    if not (isinstance(given, str) and given.isascii() and given.isdigit() and len(given) < 20):
        raise PydanticCustomError("whole_number", "нужно целое число")
    return int(given)


MemberId = Annotated[int, Field(ge=1, le=ID_MAX, description="Номер участника", examples=[1204])]
ContactId = Annotated[int, Field(ge=1, le=ID_MAX, description="Номер контакта amoCRM", examples=[30112451])]
Phone = Annotated[
    str,
    Field(min_length=5, max_length=64, pattern=_PLAIN, description="Телефон в любой записи", examples=["+79161234567"]),
]
Email = Annotated[
    str, Field(min_length=3, max_length=254, pattern=_PLAIN, description="Почта", examples=["anna@example.ru"])
]
CardNumber = Annotated[
    str, Field(min_length=1, max_length=32, pattern=_PLAIN, description="Номер карты", examples=["7700012345"])
]
OrderName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=ORDER_CHARS_MAX,
        pattern=_ORDER,
        description="Номер заказа в магазине, от 1 до 64 печатных знаков без «/»",
        examples=["A-1001"],
    ),
    AfterValidator(order_name),
]
HoldId = Annotated[
    str,
    Field(pattern=r"^hold_[A-Za-z0-9_-]{1,64}$", description="Номер резерва", examples=["hold_k5Yw0pXc7bT2n9QfLr3sVg"]),
]
Kopecks = Annotated[int, Field(ge=0, le=KOPECKS_MAX)]
Points = Annotated[int, Field(ge=0, le=POINTS_MAX)]
Birthday = Annotated[
    date,
    BeforeValidator(_read_date),
    Field(description="День рождения", examples=["1990-05-20"]),
]
Instant = Annotated[
    AwareDatetime,
    BeforeValidator(_read_instant),
    Field(examples=["2026-03-01T09:00:00Z"]),
]
QueryId = Annotated[MemberId, BeforeValidator(_whole)]
QueryContact = Annotated[ContactId, BeforeValidator(_whole)]
QueryCount = Annotated[int, BeforeValidator(_whole)]
Moment = Annotated[
    datetime,
    PlainSerializer(lambda at: at.astimezone(UTC), return_type=datetime),
    Field(examples=["2026-03-01T09:00:00Z"]),
]
"""An instant in an answer, always in UTC."""


def short_text(chars_max: int, description: str, example: str, *, chars_min: int = 0) -> Any:
    """Text without control characters; one that must be given is not blank either."""
    pattern = _SAID if chars_min else _PLAIN
    return Field(
        min_length=chars_min, max_length=chars_max, pattern=pattern, description=description, examples=[example]
    )
