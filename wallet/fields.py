"""The parts of an Apple pass: fields, barcodes, places. Each part refuses at once what Wallet would refuse silently.

Implements Apple's PassFields, Pass.Barcodes and Pass.Locations. Rules that need several parts live in `wallet.passes`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from wallet.card import CHANGED_VALUE
from wallet.errors import BarcodeError, FieldError, LocationError

Json = dict[str, Any]
FieldValue = str | int | float | datetime

DEFAULT_BARCODE_ENCODING = "iso-8859-1"


class TextAlignment(StrEnum):
    LEFT = "PKTextAlignmentLeft"
    CENTER = "PKTextAlignmentCenter"
    RIGHT = "PKTextAlignmentRight"
    NATURAL = "PKTextAlignmentNatural"


class DateStyle(StrEnum):
    """Also the values of a time style."""

    NONE = "PKDateStyleNone"
    SHORT = "PKDateStyleShort"
    MEDIUM = "PKDateStyleMedium"
    LONG = "PKDateStyleLong"
    FULL = "PKDateStyleFull"


class NumberStyle(StrEnum):
    DECIMAL = "PKNumberStyleDecimal"
    PERCENT = "PKNumberStylePercent"
    SCIENTIFIC = "PKNumberStyleScientific"
    SPELL_OUT = "PKNumberStyleSpellOut"


class DataDetector(StrEnum):
    PHONE_NUMBER = "PKDataDetectorTypePhoneNumber"
    LINK = "PKDataDetectorTypeLink"
    ADDRESS = "PKDataDetectorTypeAddress"
    CALENDAR_EVENT = "PKDataDetectorTypeCalendarEvent"


class BarcodeFormat(StrEnum):
    QR = "PKBarcodeFormatQR"
    PDF417 = "PKBarcodeFormatPDF417"
    AZTEC = "PKBarcodeFormatAztec"
    CODE128 = "PKBarcodeFormatCode128"


SQUARE_BARCODES = frozenset({BarcodeFormat.QR, BarcodeFormat.AZTEC})


@dataclass(frozen=True)
class Field:
    """One line of the card. A `datetime` value must know its zone. Raises FieldError."""

    key: str
    value: FieldValue
    label: str | None = None
    _: KW_ONLY
    change_message: str | None = None
    text_alignment: TextAlignment | None = None
    attributed_value: str | None = None
    data_detectors: tuple[DataDetector, ...] | None = None
    date_style: DateStyle | None = None
    time_style: DateStyle | None = None
    is_relative: bool | None = None
    ignores_time_zone: bool | None = None
    currency_code: str | None = None
    number_style: NumberStyle | None = None

    def __post_init__(self) -> None:
        if not self.key:
            raise FieldError("у поля карты нет ключа: дайте ему короткое имя латиницей")
        if self.change_message is not None and CHANGED_VALUE not in self.change_message:
            raise FieldError(f"поле {self.key}: в тексте изменения нет %@, телефон не покажет уведомление; добавьте %@")
        self._check_number()
        self._check_date()

    def to_json(self) -> Json:
        value = self.value.isoformat(timespec="seconds") if isinstance(self.value, datetime) else self.value
        return without_none(
            {
                "key": self.key,
                "value": value,
                "label": self.label,
                "changeMessage": self.change_message,
                "textAlignment": self.text_alignment,
                "attributedValue": self.attributed_value,
                "dataDetectorTypes": None if self.data_detectors is None else list(self.data_detectors),
                "dateStyle": self.date_style,
                "timeStyle": self.time_style,
                "isRelative": self.is_relative,
                "ignoresTimeZone": self.ignores_time_zone,
                "currencyCode": self.currency_code,
                "numberStyle": self.number_style,
            }
        )

    def _check_number(self) -> None:
        is_number = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        if isinstance(self.value, bool) or not isinstance(self.value, str | int | float | date):
            raise FieldError(f"поле {self.key}: значение может быть строкой, числом или датой, а не {self.value!r}")
        if isinstance(self.value, float) and not math.isfinite(self.value):
            raise FieldError(f"поле {self.key}: число {self.value} нельзя записать в карту")
        if not is_number and (self.currency_code is not None or self.number_style is not None):
            raise FieldError(f"поле {self.key}: валюта и вид числа годятся только для числа, уберите их")
        if self.currency_code is not None and self.number_style is not None:
            raise FieldError(f"поле {self.key}: оставьте что-то одно, валюту или вид числа")

    def _check_date(self) -> None:
        is_instant = isinstance(self.value, datetime)
        if isinstance(self.value, datetime) and self.value.utcoffset() is None:
            raise FieldError(f"поле {self.key}: у времени {self.value} нет часового пояса, укажите его")
        if isinstance(self.value, date) and not is_instant:
            raise FieldError(f"поле {self.key}: дате {self.value} нужны время и часовой пояс; или передайте её строкой")
        styles = (self.date_style, self.time_style, self.is_relative, self.ignores_time_zone)
        if not is_instant and any(style is not None for style in styles):
            raise FieldError(f"поле {self.key}: вид даты годится только для времени с часовым поясом, уберите его")


@dataclass(frozen=True)
class Barcode:
    """A code for the till's scanner. Raises BarcodeError if `message_encoding` cannot hold the message."""

    message: str
    format: BarcodeFormat
    _: KW_ONLY
    alt_text: str | None = None
    message_encoding: str = DEFAULT_BARCODE_ENCODING

    def __post_init__(self) -> None:
        if not self.message:
            raise BarcodeError("штрихкод пуст: передайте номер карты")
        try:
            self.message.encode(self.message_encoding)
        except LookupError as error:
            raise BarcodeError(f"кодировка штрихкода {self.message_encoding!r} неизвестна") from error
        except UnicodeEncodeError as error:
            raise BarcodeError(
                f"текст штрихкода {self.message!r} не записать в {self.message_encoding}: оставьте цифры и латиницу"
            ) from error

    def to_json(self) -> Json:
        return without_none(
            {
                "format": self.format,
                "message": self.message,
                "messageEncoding": self.message_encoding,
                "altText": self.alt_text,
            }
        )


@dataclass(frozen=True)
class Location:
    """A place near which the card comes up. Degrees, altitude in metres. Raises LocationError."""

    latitude: float
    longitude: float
    _: KW_ONLY
    altitude: float | None = None
    relevant_text: str | None = None

    def __post_init__(self) -> None:
        if not (-90 <= self.latitude <= 90 and -180 <= self.longitude <= 180):
            raise LocationError(f"место ({self.latitude}, {self.longitude}) не на Земле: широта ±90, долгота ±180")
        if self.altitude is not None and not math.isfinite(self.altitude):
            raise LocationError(f"высота {self.altitude} не число")

    def to_json(self) -> Json:
        return without_none(
            {
                "latitude": self.latitude,
                "longitude": self.longitude,
                "altitude": self.altitude,
                "relevantText": self.relevant_text,
            }
        )


def without_none(values: Mapping[str, Any]) -> Json:
    """Wallet reads a null as a broken key, so absent values are left out."""
    return {key: value for key, value in values.items() if value is not None}
