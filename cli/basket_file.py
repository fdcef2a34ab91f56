"""A basket as JSON, from a file or from standard input: what `kopilka try --basket` is asked.

Owns the shape and its limits; every mistake is named by its place with the mend, nothing is guessed. Keys of the
caller's own are left alone, a misspelt one is refused.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from loyalty.basket import KOPECKS_MAX, LINES_MAX, QUANTITY_MAX, BadBasket, Basket, Line

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

T = TypeVar("T")

BYTES_MAX = 1_000_000
POINTS_MAX = 10**12
ORDERS_MAX = 1_000_000
TEXT_CHARS_MAX = 200
PREFIX_CHARS_MIN = 4
"""A shorter beginning of a key is no misspelling of it."""

_KEYS = (
    "segment",
    "balance",
    "redeem",
    "promo_kopecks",
    "delivery_kopecks",
    "lines",
    "method",
    "at",
    "kept_orders",
)
_LINE_KEYS = ("sku", "category", "qty", "gross_kopecks", "discount_kopecks", "on_sale", "gift_card")


class BadInput(Exception):
    """The file is not what we can count; the text and the mend are Russian."""

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(message)
        self.mend = mend


@dataclass(frozen=True)
class Question:
    """What is bought and by whom. `segment_code` None: the one that `kept_orders` earlier orders lead to, unless
    `is_segment_known`; `at` None: now."""

    basket: Basket
    balance: int = 0
    redeem: int = 0
    segment_code: str | None = None
    is_segment_known: bool = False
    kept_orders: int = 0
    at: str | None = None


def read_question(name: str) -> Question:
    """The question in this file, «-» for standard input. Raises BadInput."""
    data = _object(_parsed(_bytes(name)), "файл")
    _refuse_misspelt(data, _KEYS, "")
    if "gift_card" in data:
        raise BadInput("gift_card стоит не на месте", "впишите gift_card: true в ту строку lines, где подарочная карта")
    lines = data.get("lines")
    if not isinstance(lines, list):
        raise BadInput("Нет списка lines", 'впишите строки заказа: "lines": [{"gross_kopecks": 540000}]')
    if len(lines) > LINES_MAX:
        raise BadInput(f"В lines больше {LINES_MAX} строк", "разбейте заказ")
    try:
        basket = Basket(
            lines=tuple(_line(one, f"lines[{number}]") for number, one in enumerate(lines)),
            promo_kopecks=_whole(data, "promo_kopecks", KOPECKS_MAX),
            delivery_kopecks=_whole(data, "delivery_kopecks", KOPECKS_MAX),
            method=_text(data, "method"),
        )
    except BadBasket as failure:
        raise BadInput(str(failure), "проверьте суммы в копейках") from failure
    return Question(
        basket=basket,
        balance=_whole(data, "balance", POINTS_MAX),
        redeem=_whole(data, "redeem", POINTS_MAX),
        segment_code=_text(data, "segment") or None,
        is_segment_known="segment" in data,
        kept_orders=_whole(data, "kept_orders", ORDERS_MAX),
        at=_text(data, "at"),
    )


def _bytes(name: str) -> bytes:
    try:
        if name == "-":
            data = sys.stdin.buffer.read(BYTES_MAX + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(BYTES_MAX + 1)
    except (OSError, ValueError) as failure:
        raise BadInput(f"Файл {name} не открывается", "проверьте путь; «-» значит стандартный ввод") from failure
    if len(data) > BYTES_MAX:
        raise BadInput(f"Файл больше {BYTES_MAX // 1_000_000} МБ", "разбейте заказ")
    return data


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=_without_repeats)
    except json.JSONDecodeError as failure:
        where = f"строка {failure.lineno}, знак {failure.colno}"
        raise BadInput(f"Это не JSON: {where}", "проверьте скобки, запятые и кавычки") from failure
    except (ValueError, RecursionError) as failure:  # not UTF-8, a number of thousands of digits, brackets without end
        raise BadInput("Это не JSON в кодировке UTF-8", "сохраните файл в UTF-8, числа не длиннее 13 цифр") from failure


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON lets the last of two equal keys win, and nobody would see which price was meant."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise BadInput(f"Ключ {key[:TEXT_CHARS_MAX]!r} стоит дважды", "оставьте один")
        found[key] = value
    return found


def _line(value: Any, path: str) -> Line:
    data = _object(value, path)
    _refuse_misspelt(data, _LINE_KEYS, f"{path}.")
    if data.get("gross_kopecks") is None:
        raise BadInput(f"{path}: нет gross_kopecks", "впишите цену всей строки в копейках: 540000 это 5 400 ₽")
    return Line(
        gross_kopecks=_whole(data, "gross_kopecks", KOPECKS_MAX, at=f"{path}."),
        qty=_whole(data, "qty", QUANTITY_MAX, at=f"{path}.", default=1),
        sku=_text(data, "sku", at=f"{path}.") or "",
        category=_text(data, "category", at=f"{path}."),
        discount_kopecks=_whole(data, "discount_kopecks", KOPECKS_MAX, at=f"{path}."),
        is_on_sale=_yes_no(data, "on_sale", at=f"{path}."),
        is_gift_card=_yes_no(data, "gift_card", at=f"{path}."),
    )


def _object(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadInput(f"{path}: нужен объект JSON", 'напишите {"lines": [{"gross_kopecks": 540000}]}')
    return value


def _whole(data: Mapping[str, Any], key: str, most: int, *, at: str = "", default: int = 0) -> int:
    value = data.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadInput(f"{at}{key}: нужно целое число", f"напишите {key} без кавычек и дробной части")
    if not 0 <= value <= most:
        raise BadInput(f"{at}{key}: число вне пределов", f"напишите от 0 до {most}")
    return value


def _text(data: Mapping[str, Any], key: str, *, at: str = "") -> str | None:
    value = data.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadInput(f"{at}{key}: нужен текст", f"напишите {key} в кавычках")
    if len(value) > TEXT_CHARS_MAX or not value.replace("\u00a0", " ").isprintable():
        raise BadInput(f"{at}{key}: текст не годится", f"не длиннее {TEXT_CHARS_MAX} знаков, без управляющих знаков")
    return value


def _yes_no(data: Mapping[str, Any], key: str, *, at: str) -> bool:
    value = data.get(key)
    if value is not None and not isinstance(value, bool):
        raise BadInput(f"{at}{key}: нужно true или false", f"напишите {key}: true без кавычек")
    return bool(value)


def _refuse_misspelt(data: Mapping[str, Any], known: Collection[str], at: str) -> None:
    missing = [key for key in known if key not in data]
    for key in data:
        if key not in known and (meant := _meant(key, missing)) is not None:
            raise BadInput(f"{at}{key[:TEXT_CHARS_MAX]!r}: такого ключа нет", f"возможно, {meant}?")


def _meant(key: str, known: Collection[str]) -> str | None:
    """«promo» and «promo_kopeks» -> promo_kopecks."""
    begun = [one for one in known if len(key) >= PREFIX_CHARS_MIN and one.startswith(key)]
    return next(iter(begun or get_close_matches(key[:TEXT_CHARS_MAX], known, n=1, cutoff=0.7)), None)
