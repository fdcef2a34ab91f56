"""Text of one value into its meaning: percents, durations, money, colours, time zones, numbers, words.

Owns the notations an owner may use, in English or Russian. Every parser is a pure function of the text and raises
`FieldError` with a cure. Numbers are exact: percents go through Decimal to basis points, money to kopecks.
"""

from __future__ import annotations

import difflib
import re
import zoneinfo
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import TypeVar

from config.masking import quote
from loyalty.programme import Duration, DurationUnit

T = TypeVar("T")

MAX_PERCENT = 100
MAX_NAME_CHARS = 64  # longer names get no «возможно» suggestion
MAX_KOPECKS = 100_000_000  # one million roubles
MIN_TIMES_BPS = 10_100  # a multiplier raises: x1.01
MAX_TIMES_BPS = 200_000  # x20
MAX_COUNT_DIGITS = 6
MAX_COUNT: Mapping[DurationUnit, int] = {"minutes": 527_040, "hours": 8_784, "days": 3_660, "months": 120}

_UNITS: Mapping[DurationUnit, str] = {
    "minutes": "minute minutes минута минуту минуты минут мин",
    "hours": "hour hours час часа часов ч",
    "days": "day days день дня дней дн сутки суток",
    "months": "month months месяц месяца месяцев мес",
}
_UNIT_BY_WORD: Mapping[str, DurationUnit] = {word: unit for unit, words in _UNITS.items() for word in words.split()}
_NUMBER = re.compile(r"[0-9]{1,9}(?:[.,][0-9]{1,9})?")
_SPAN = re.compile(r"([0-9]+)\s*([^\W\d_]*)\.?")
_MONEY = re.compile(r"([0-9]{1,12})(?:[.,]([0-9]{1,2}))?\s*(RUB|₽|руб\.?|рубль|рубля|рублей)", re.IGNORECASE)
_TIMES = re.compile(r"[xXхХ×]?\s*([0-9]{1,4}(?:[.,][0-9]{1,9})?)\s*[xXхХ×]?")
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+){0,2}")
_NO_PLACES = frozenset({"localtime", "posixrules", "Factory", "posix", "right"})
_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")
_YES_NO: Mapping[str, bool] = {"yes": True, "true": True, "да": True, "no": False, "false": False, "нет": False}


class FieldError(Exception):
    """A value cannot be understood; `code` is stable, `message` and `fix` are Russian."""

    def __init__(self, code: str, message: str, fix: str) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.fix = fix


def closest(name: str, options: Iterable[str]) -> str | None:
    """The option that `name` was probably meant to be."""
    if len(name) > MAX_NAME_CHARS:
        return None
    by_plain = {option.casefold(): option for option in options}
    found = difflib.get_close_matches(name.casefold(), by_plain, n=1, cutoff=0.6)
    return by_plain[found[0]] if found else None


def percent_bps(text: str) -> int:
    """«12.5%» → 1250 basis points."""
    number = text.removesuffix("%").rstrip()
    if not _NUMBER.fullmatch(number):
        raise FieldError("percent", f"{quote(text)} не похоже на процент", "напишите, например, 10%")
    value = Decimal(number.replace(",", "."))
    if not text.endswith("%"):
        meant = value * 100 if 0 < value < 1 else value
        message = f"{number} без знака % значит {_plain(value * 100)} %"
        raise FieldError("percent-sign", message, f"напишите {_plain(meant)}%")
    if value > MAX_PERCENT:
        raise FieldError("percent-range", f"{number} % больше {MAX_PERCENT} %", "напишите от 0% до 100%")
    bps = value * 100
    if bps != int(bps):
        raise FieldError("percent-precision", "точнее сотой доли процента нельзя", f"напишите {value:.2f}%")
    return int(bps)


def duration(text: str) -> Duration:
    """«14 days», «14 дней», «300 minutes», «6 months»."""
    found = _SPAN.fullmatch(text)
    example = "напишите, например, 14 days (или 14 дней)"
    if not found or len(found[1]) > MAX_COUNT_DIGITS:
        raise FieldError("duration", f"{quote(text)} не похоже на срок", example)
    count, word = int(found[1]), found[2].casefold()
    if not word:
        fix = f"напишите {count} days (или {count} дней)"
        raise FieldError("duration-unit", f"{count} чего? Нужна единица", fix)
    unit = _UNIT_BY_WORD.get(word)
    if unit is None:
        near = closest(word, _UNIT_BY_WORD)
        fix = f"возможно, {count} {near}?" if near else "единицы: minutes, hours, days, months"
        raise FieldError("duration-unit", f"нет единицы {quote(found[2])}", fix)
    if count > MAX_COUNT[unit]:
        fix = f"для {unit} не больше {MAX_COUNT[unit]}"
        raise FieldError("duration-range", f"срок {quote(text)} слишком велик", fix)
    return Duration(count, unit)


def lifetime(text: str) -> Duration | None:
    """A duration above zero, or `never` for points that do not burn."""
    if text.casefold() in {"never", "никогда"}:
        return None
    value = duration(text)
    if value.is_zero:
        raise FieldError("duration-range", "баллы сгорят сразу", "напишите срок больше нуля или never")
    return value


def span(text: str) -> Duration:
    """A duration above zero."""
    value = duration(text)
    if value.is_zero:
        raise FieldError("duration-range", "срок должен быть больше нуля", "напишите, например, 30 days (или 30 дней)")
    return value


def whole_days(low: int, high: int) -> Callable[[str], Duration]:
    """A parser of durations that only make sense in days."""

    def parse(text: str) -> Duration:
        value = duration(text)
        if value.unit != "days":
            raise FieldError("duration-unit", "здесь считают целыми днями", "напишите, например, 7 days (или 7 дней)")
        if not low <= value.count <= high:
            fix = f"напишите от {low} до {high} days"
            raise FieldError("duration-range", f"{quote(text)} вне пределов", fix)
        return value

    return parse


def times_bps(text: str) -> int:
    """«2», «1.5», «x2» → basis points: x2 is 20000."""
    found = _TIMES.fullmatch(text)
    if not found:
        message = f"{quote(text)} не похоже на множитель"
        raise FieldError("times", message, "напишите, во сколько раз больше: 2 или 1.5")
    bps = Decimal(found[1].replace(",", ".")) * 10_000
    if not MIN_TIMES_BPS <= bps <= MAX_TIMES_BPS:
        low, high = (_plain(Decimal(limit) / 10_000) for limit in (MIN_TIMES_BPS, MAX_TIMES_BPS))
        raise FieldError("times-range", f"множитель {quote(text)} вне пределов", f"напишите от {low} до {high}")
    if bps % 100:
        raise FieldError("times-precision", "точнее сотых множитель не бывает", f"напишите {bps / 10_000:.2f}")
    return int(bps)


def money_kopecks(text: str) -> int:
    """«1 RUB», «0.50 ₽» → kopecks, above zero."""
    return money(MAX_KOPECKS)(text)


def money(max_kopecks: int) -> Callable[[str], int]:
    """A parser of sums above zero and up to a limit in kopecks."""

    def parse(text: str) -> int:
        found = _MONEY.fullmatch(text)
        if not found:
            if _NUMBER.fullmatch(text):
                raise FieldError("money-unit", f"{text} чего? Нужна валюта", f"напишите {text} RUB")
            raise FieldError("money", f"{quote(text)} не похоже на сумму в рублях", "напишите, например, 1 RUB")
        kopecks = int(found[1]) * 100 + int((found[2] or "0").ljust(2, "0"))
        if not 1 <= kopecks <= max_kopecks:
            fix = f"напишите от 0.01 RUB до {max_kopecks // 100} RUB"
            raise FieldError("money-range", "сумма вне пределов", fix)
        return kopecks

    return parse


def colour(text: str) -> str:
    """«#16382C», upper case."""
    if not _COLOUR.fullmatch(text):
        raise FieldError("colour", f"{quote(text)} не похоже на цвет", 'напишите шесть знаков: "#16382C"')
    return text.upper()


def time_zone(text: str) -> str:
    """A name of the IANA database; one that means «this machine's zone» or that is a second copy of another is none."""
    try:
        if _ZONE.fullmatch(text) and text.partition("/")[0] not in _NO_PLACES:
            return zoneinfo.ZoneInfo(text).key
    except (KeyError, ValueError, OSError):
        pass
    near = closest(text, zoneinfo.available_timezones() - _NO_PLACES)
    fix = f"возможно, «{near}»?" if near else "напишите город, например Europe/Moscow или Asia/Yekaterinburg"
    raise FieldError("timezone", f"нет часового пояса {quote(text)}", fix)


def yes_no(text: str) -> bool:
    if text.casefold() not in _YES_NO:
        raise FieldError("yes-no", f"{quote(text)}: здесь бывает только yes или no", "напишите yes или no")
    return _YES_NO[text.casefold()]


def whole(low: int, high: int) -> Callable[[str], int]:
    """A parser of integers within limits."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,12}", text):
            raise FieldError("number", f"{quote(text)} не целое число", f"напишите число от {low} до {high}")
        if not low <= int(text) <= high:
            raise FieldError("number-range", f"{text} вне пределов", f"напишите число от {low} до {high}")
        return int(text)

    return parse


def one_of(options: Mapping[str, T]) -> Callable[[str], T]:
    """A parser of words from a closed list."""

    def parse(text: str) -> T:
        if text not in options:
            near = closest(text, options)
            fix = f"возможно, «{near}»?" if near else f"здесь бывает: {', '.join(options)}"
            raise FieldError("unknown-value", f"неизвестное значение {quote(text)}", fix)
        return options[text]

    return parse


def words(max_chars: int, *, lines: bool = False) -> Callable[[str], str]:
    """A parser of text for people; several lines only where `lines` allows them."""

    def parse(text: str) -> str:
        value = text.strip()
        if not value:
            raise FieldError("empty", "пустой текст", "впишите текст")
        if len(value) > max_chars:
            raise FieldError("too-long", f"{len(value)} знаков, можно {max_chars}", "сократите текст")
        if not all(char.isprintable() or (lines and char == "\n") or char == "\u00a0" for char in value):
            raise FieldError("control-character", "в тексте невидимый управляющий знак", "перепечатайте текст")
        return value

    return parse


def matching(pattern: str, code: str, message: str, fix: str) -> Callable[[str], str]:
    """A parser of identifiers with a fixed shape."""
    compiled = re.compile(pattern)

    def parse(text: str) -> str:
        if not compiled.fullmatch(text):
            raise FieldError(code, f"{quote(text)}: {message}", fix)
        return text

    return parse


def _plain(value: Decimal) -> str:
    return f"{value:f}".rstrip("0").rstrip(".") if "." in f"{value:f}" else f"{value:f}"
