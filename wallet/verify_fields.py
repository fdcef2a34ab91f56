"""The fields of a card as Apple's PassFields demands them: how many, with which keys, of which values."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from wallet.verdict import shown
from wallet.verify_values import check_kinds, is_anything, is_flag, is_instant, is_list, is_number, is_object, is_text

if TYPE_CHECKING:
    from wallet.verdict import Faults

STYLES = ("storeCard", "coupon", "eventTicket", "generic", "boardingPass")
MAX_WITH_SQUARE_CODE = 4
"""Secondary and auxiliary together on a store card, a coupon or a generic pass."""

_FRONT = {"headerFields": 3, "primaryFields": 1, "secondaryFields": 4, "auxiliaryFields": 4}
_ROOMS = {"boardingPass": {**_FRONT, "primaryFields": 2, "auxiliaryFields": 5}}
_BACK = "backFields"
_SQUARE_STYLES = frozenset({"storeCard", "coupon", "generic"})
_GROUPS = (*_FRONT, _BACK, "additionalInfoFields")
_STYLE_KINDS = {**dict.fromkeys(_GROUPS, is_list), "transitType": is_text}
_TRANSIT = frozenset(f"PKTransitType{kind}" for kind in ("Air", "Boat", "Bus", "Generic", "Train"))

_KINDS = {
    **dict.fromkeys(("key", "label", "changeMessage", "textAlignment", "dateStyle", "timeStyle"), is_text),
    **dict.fromkeys(("currencyCode", "numberStyle"), is_text),
    **dict.fromkeys(("isRelative", "ignoresTimeZone"), is_flag),
    **dict.fromkeys(("value", "attributedValue"), is_anything),
    "dataDetectorTypes": is_list,
    "semantics": is_object,
    "row": is_number,
}
_CHOICES = {
    "textAlignment": ("PKTextAlignment", ("Left", "Center", "Right", "Natural")),
    "dateStyle": ("PKDateStyle", ("None", "Short", "Medium", "Long", "Full")),
    "timeStyle": ("PKDateStyle", ("None", "Short", "Medium", "Long", "Full")),
    "numberStyle": ("PKNumberStyle", ("Decimal", "Percent", "Scientific", "SpellOut")),
}
_DETECTORS = frozenset(f"PKDataDetectorType{kind}" for kind in ("PhoneNumber", "Link", "Address", "CalendarEvent"))
_DATE_KEYS = ("dateStyle", "timeStyle", "isRelative", "ignoresTimeZone")
_CURRENCY = re.compile("[A-Z]{3}")
_TAG = re.compile(r"<\s*/?\s*([A-Za-z][A-Za-z0-9]*)")


def check_style(style: str, groups: dict[str, Any], *, is_square: bool, faults: Faults) -> None:
    """Everything inside `storeCard` or its like."""
    good = check_kinds(f"{style}.", groups, _STYLE_KINDS, faults)
    _check_transit(style, good, faults)
    keys: list[str] = []
    for group in _GROUPS:
        fields = good.get(group, [])
        room = _ROOMS.get(style, _FRONT).get(group)
        if room is not None and len(fields) > room:
            text = f"полей {group} на карте {len(fields)}, помещается {room}"
            faults.error("fields-many", text, "уберите лишние или перенесите на оборот (backFields)")
        for number, field in enumerate(fields):
            keys += _check_field(f"{group}[{number}]", group, field, faults)
    for key in (key for key, count in Counter(keys).items() if count > 1):
        text = f"ключ поля {shown(key)} стоит на карте не один раз"
        faults.error("field-repeated", text, "дайте каждому полю свой ключ: по нему телефон замечает изменение")
    row = len(good.get("secondaryFields", [])) + len(good.get("auxiliaryFields", []))
    if is_square and style in _SQUARE_STYLES and row > MAX_WITH_SQUARE_CODE:
        text = f"с квадратным кодом secondary и auxiliary вместе помещается {MAX_WITH_SQUARE_CODE}, а их {row}"
        faults.error("fields-square", text, "уберите лишние или перенесите на оборот (backFields)")


def _check_transit(style: str, groups: dict[str, Any], faults: Faults) -> None:
    transit = groups.get("transitType")
    if style != "boardingPass" and transit is not None:
        faults.error("transit-type", "transitType бывает только у посадочного талона", "уберите его")
    if style == "boardingPass" and transit not in _TRANSIT:
        faults.error(
            "transit-type", "у посадочного талона нет верного transitType", "впишите, например, PKTransitTypeAir"
        )


def _check_field(where: str, group: str, field: object, faults: Faults) -> list[str]:
    """The field's key, if it has one."""
    if not isinstance(field, dict):
        faults.error("wrong-type", f"{where} не поле", "поле это объект { } с key и value")
        return []
    good = check_kinds(f"{where}.", field, _KINDS, faults)
    key = good.get("key")
    name = f"{where} ({shown(key)})" if key else where
    if not key and field.get("key") in (None, ""):
        faults.error("field-key", f"у поля {where} нет ключа", "впишите key: короткое имя латиницей")
    _check_value(name, field, good, faults)
    _check_choices(name, good, faults)
    _check_change_message(name, good, faults)
    _check_place(name, group, good, faults)
    _check_number(name, good, faults)
    _check_date(name, good, faults)
    return [key] if key else []


def _check_value(name: str, field: dict[str, Any], good: dict[str, Any], faults: Faults) -> None:
    mend = "впишите строку, число или дату с часовым поясом"
    if "value" not in field:
        faults.error("field-value", f"у поля {name} нет значения", mend)
    for key in ("value", "attributedValue"):
        if key in good and not (is_text(good[key]) or is_number(good[key])):
            faults.error("field-value", f"{key} поля {name} не текст и не число: {shown(good[key])}", mend)
    tags = set(_TAG.findall(str(good.get("attributedValue", "")))) - {"a", "A"}
    if tags:
        text = f"в attributedValue поля {name} тег {shown(min(tags))}: Wallet понимает только ссылку <a href>"
        faults.warning("field-tags", text, "уберите другие теги")


def _check_choices(name: str, good: dict[str, Any], faults: Faults) -> None:
    for key, (prefix, choices) in _CHOICES.items():
        if key in good and good[key] not in {f"{prefix}{choice}" for choice in choices}:
            mend = f"выберите из {prefix}…: {', '.join(choices)}"
            faults.error("field-choice", f"{key} поля {name}: {shown(good[key])} не бывает", mend)
    for detector in good.get("dataDetectorTypes", []):
        if not isinstance(detector, str) or detector not in _DETECTORS:
            mend = f"выберите из: {', '.join(sorted(_DETECTORS))}"
            faults.error("field-choice", f"dataDetectorTypes поля {name}: {shown(detector)} не бывает", mend)


def _check_change_message(name: str, good: dict[str, Any], faults: Faults) -> None:
    message = good.get("changeMessage")
    if message is None or "%@" in message:
        return
    mend = "добавьте %@ на место нового значения или уберите changeMessage"
    if message:
        text = f"в changeMessage поля {name} нет %@: телефон покажет лишь «карта изменилась»"
        faults.error("change-message", text, mend)
    else:
        faults.warning("change-message-empty", f"changeMessage поля {name} пуст", mend)


def _check_place(name: str, group: str, good: dict[str, Any], faults: Faults) -> None:
    if "textAlignment" in good and group in ("primaryFields", _BACK):
        faults.warning("field-alignment", f"полю {name} выравнивание не положено", "уберите textAlignment")
    if "dataDetectorTypes" in good and group != _BACK:
        text = f"ссылки и телефоны распознаются только на обороте, а {name} спереди"
        faults.warning("field-detectors", text, "уберите dataDetectorTypes")
    if "row" in good and group != "auxiliaryFields":
        faults.warning("field-row", f"row бывает у auxiliaryFields, а не у {name}", "уберите row")


def _check_number(name: str, good: dict[str, Any], faults: Faults) -> None:
    asked = [key for key in ("currencyCode", "numberStyle") if key in good]
    if asked and "value" in good and not is_number(good["value"]):
        text = f"{asked[0]} поля {name} годится только для числа, а там {shown(good['value'])}"
        faults.error("field-number", text, f"уберите кавычки вокруг числа или уберите {asked[0]}")
    if "currencyCode" in good and _CURRENCY.fullmatch(good["currencyCode"]) is None:
        text = f"валюта {shown(good['currencyCode'])} поля {name} не из ISO 4217"
        faults.error("field-currency", text, "впишите три заглавные буквы, например RUB")


def _check_date(name: str, good: dict[str, Any], faults: Faults) -> None:
    asked = [key for key in _DATE_KEYS if key in good]
    if asked and "value" in good and not is_instant(good["value"]):
        text = f"{asked[0]} поля {name} годится только для времени с часовым поясом, а там {shown(good['value'])}"
        faults.error("field-date", text, f"запишите 2027-01-31T23:59:00+03:00 или уберите {asked[0]}")
