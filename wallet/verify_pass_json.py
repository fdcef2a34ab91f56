"""The top level of pass.json as Apple's Pass object demands it. Fields, codes and places have their own modules."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from wallet.verdict import shown
from wallet.verify_codes import check_barcodes, check_beacons, check_locations, has_square_code
from wallet.verify_fields import STYLES, check_style
from wallet.verify_json import read_json
from wallet.verify_values import (
    check_kinds,
    is_anything,
    is_flag,
    is_instant,
    is_list,
    is_number,
    is_object,
    is_other_colour,
    is_text,
    is_triple,
    is_whole,
)

if TYPE_CHECKING:
    from wallet.verdict import Faults

PASS = "pass.json"  # noqa: S105 - a name
MIN_TOKEN_CHARS = 16
MAX_NFC_BYTES = 64

_REQUIRED = ("passTypeIdentifier", "serialNumber", "teamIdentifier", "organizationName", "description")
_COLOURS = ("backgroundColor", "foregroundColor", "labelColor", "stripColor")
_DATES = ("date", "startDate", "endDate", "relevantDate")
_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_PASS_TYPE = re.compile(r"pass\.[A-Za-z0-9.-]+")
_TEXTS = (*_REQUIRED, *_COLOURS, "logoText", "authenticationToken", "webServiceURL", "appLaunchURL")
_KINDS = {
    **dict.fromkeys(_TEXTS, is_text),
    **dict.fromkeys(("relevantDate", "expirationDate", "groupingIdentifier"), is_text),
    **dict.fromkeys(("voided", "sharingProhibited", "suppressStripShine"), is_flag),
    **dict.fromkeys(("barcodes", "locations", "beacons", "relevantDates", "associatedStoreIdentifiers"), is_list),
    **dict.fromkeys(("barcode", "nfc", "semantics", *STYLES), is_object),
    "formatVersion": is_whole,
    "maxDistance": is_number,
    "userInfo": is_anything,
}
_PHONE = "iPhone скажет только, что карту нельзя добавить"


def check_pass_json(data: bytes, faults: Faults) -> dict[str, Any] | None:
    """The content, checked; None when it is no JSON object."""
    raw = read_json(data, PASS, faults)
    if raw is None:
        return None
    content = check_kinds("", raw, _KINDS, faults)
    _check_texts(raw, faults)
    _check_required(raw, content, faults)
    _check_colours(content, faults)
    _check_dates(content, faults)
    _check_web_service(content, faults)
    _check_apps(content, faults)
    check_barcodes(content, faults)
    check_locations(content, faults)
    check_beacons(content, faults)
    _check_styles([name for name in STYLES if name in raw], content, faults)
    for style in STYLES:
        if style in content:
            check_style(style, content[style], is_square=has_square_code(content), faults=faults)
    return content


def _check_texts(raw: dict[str, Any], faults: Faults) -> None:
    """A lone half of a surrogate pair is JSON but no text."""
    if _has_half(raw):
        faults.error("text-broken", "в тексте карты есть половина символа (одиночный суррогат)", "исправьте текст")


def _has_half(value: object) -> bool:
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str) and any("\ud800" <= char <= "\udfff" for char in one):
            return True
        if isinstance(one, dict):
            left += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            left += one
    return False


def _check_required(raw: dict[str, Any], content: dict[str, Any], faults: Faults) -> None:
    for key in ("formatVersion", *_REQUIRED):
        if key not in raw or content.get(key) == "":
            faults.error("required-missing", f"в карте нет {key}; {_PHONE}", f"впишите {key}")
    if content.get("formatVersion", 1) != 1:
        faults.error(
            "format-version", f"formatVersion {shown(content['formatVersion'])}", "напишите 1: других версий нет"
        )
    pass_type = content.get("passTypeIdentifier")
    if pass_type and _PASS_TYPE.fullmatch(pass_type) is None:
        text = f"тип карты {shown(pass_type)} не начинается с «pass.»"
        faults.error("pass-type-form", text, "впишите тип из сертификата Apple")


def _check_colours(content: dict[str, Any], faults: Faults) -> None:
    for key in _COLOURS:
        value = content.get(key)
        if value is None or is_triple(value):
            continue
        mend = "напишите, например, rgb(22, 56, 44): каждая часть от 0 до 255"
        if is_other_colour(value):
            faults.warning("colour-form", f"цвет {key} записан как {shown(value)}: Apple обещает только rgb()", mend)
        else:
            faults.error("colour", f"цвет {key} не понят: {shown(value)}", mend)


def _check_dates(content: dict[str, Any], faults: Faults) -> None:
    mend = "напишите, например, 2027-01-31T23:59:00+03:00: с минутами и часовым поясом"
    for key in ("expirationDate", "relevantDate"):
        if key in content and not is_instant(content[key]):
            faults.error("date", f"{key} не дата с часовым поясом: {shown(content[key])}", mend)
    for number, one in enumerate(content.get("relevantDates", [])):
        dates = [one[key] for key in _DATES if key in one] if isinstance(one, dict) else []
        if not dates or not all(map(is_instant, dates)):
            faults.error("date", f"relevantDates[{number}] без даты с часовым поясом", mend)
    if "storeCard" in content and "relevantDate" in content:
        faults.warning("relevant-date", "relevantDate карте магазина ничего не даёт", "уберите его")


def _check_web_service(content: dict[str, Any], faults: Faults) -> None:
    url, token = content.get("webServiceURL"), content.get("authenticationToken")
    if (url is None) != (token is None):
        text = "webServiceURL и authenticationToken бывают только вместе"
        faults.error("web-service-pair", text, "задайте оба или ни одного: иначе карта не обновится")
    if token is not None and len(token) < MIN_TOKEN_CHARS:
        text = f"authenticationToken короче {MIN_TOKEN_CHARS} знаков; {_PHONE}"
        faults.error("token-short", text, "возьмите случайный токен из 16 знаков и длиннее")
    if url is not None:
        _check_url(url, faults)


def _check_url(url: str, faults: Faults) -> None:
    try:
        address = urlsplit(url)
        host, _ = address.hostname, address.port
    except ValueError:
        host, address = None, urlsplit("")
    if host and address.scheme == "https":
        return
    if host in _LOOPBACK_HOSTS and address.scheme == "http":
        text = f"адрес обновлений {shown(url)} виден только на этой машине"
        faults.warning("web-service-local", text, "задайте PUBLIC_URL=https://…")
        return
    text = f"адрес обновлений {shown(url)} не https: карта не обновится"
    faults.error("web-service-url", text, "дайте адрес, который начинается с https://")


def _check_apps(content: dict[str, Any], faults: Faults) -> None:
    """Applications by their store numbers, and contactless cards."""
    stores = content.get("associatedStoreIdentifiers")
    if stores is not None and not all(map(is_whole, stores)):
        text = "associatedStoreIdentifiers: номера приложений бывают только числами"
        faults.error("store-numbers", text, "уберите кавычки вокруг номеров")
    if "appLaunchURL" in content and not stores:
        text = "appLaunchURL ничего не значит без associatedStoreIdentifiers"
        faults.error("app-launch", text, "добавьте номер приложения или уберите адрес")
    nfc = content.get("nfc")
    if nfc is None:
        return
    message, key = nfc.get("message"), nfc.get("encryptionPublicKey")
    is_good = isinstance(message, str) and isinstance(key, str) and message and key
    if not is_good or len(message.encode(errors="replace")) > MAX_NFC_BYTES:
        text = f"в nfc нужны message до {MAX_NFC_BYTES} байт и encryptionPublicKey"
        faults.error("nfc", text, "исправьте nfc или уберите его: нужен ещё и особый сертификат Apple")


def _check_styles(styles: list[str], content: dict[str, Any], faults: Faults) -> None:
    if not styles:
        faults.error("style-missing", f"не сказано, какая это карта; {_PHONE}", "добавьте storeCard с полями")
    elif len(styles) > 1:
        faults.error("style-many", f"видов карты несколько: {', '.join(styles)}", "оставьте один")
    if "groupingIdentifier" in content and not {"boardingPass", "eventTicket"} & set(styles):
        faults.warning("grouping", "groupingIdentifier бывает у билетов", "уберите его")
