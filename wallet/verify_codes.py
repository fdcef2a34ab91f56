"""Barcodes, places and beacons of a card: what a scanner and a phone can use."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Any

from wallet.verdict import shown
from wallet.verify_values import check_kinds, is_number, is_text, is_whole

if TYPE_CHECKING:
    from wallet.verdict import Faults

MAX_LOCATIONS = 10
MAX_BEACONS = 10
_SQUARE = ("PKBarcodeFormatQR", "PKBarcodeFormatAztec")
_CODE128 = "PKBarcodeFormatCode128"
_MAX_BYTES = {"PKBarcodeFormatQR": 2953, "PKBarcodeFormatAztec": 1914, "PKBarcodeFormatPDF417": 1108, _CODE128: 80}
"""What the symbol holds; of Code 128, which has no end of its own, what a phone's width can show."""

_NO_CHARSETS = frozenset({"punycode", "idna", "unicode-escape", "raw-unicode-escape", "undefined"})
"""Known to Python alone; the first takes minutes for a long text."""
_BARCODE_KINDS = dict.fromkeys(("format", "message", "messageEncoding", "altText"), is_text)
_LOCATION_KINDS = {**dict.fromkeys(("latitude", "longitude", "altitude"), is_number), "relevantText": is_text}
_BEACON_KINDS = {
    **dict.fromkeys(("major", "minor"), is_whole),
    **dict.fromkeys(("proximityUUID", "relevantText"), is_text),
}
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LIMITS = (("latitude", 90), ("longitude", 180))


def has_square_code(content: dict[str, Any]) -> bool:
    return any(isinstance(one, dict) and one.get("format") in _SQUARE for _, one in _codes(content))


def check_barcodes(content: dict[str, Any], faults: Faults) -> None:
    codes = _codes(content)
    for where, code in codes:
        _check_barcode(where, code, faults)
    formats = [code.get("format") for _, code in codes if isinstance(code, dict)]
    if formats and all(one == _CODE128 for one in formats):
        text = "Apple Watch не показывает Code 128: на часах карта будет без кода"
        faults.warning("barcode-watch", text, "добавьте вторым кодом QR")


def check_locations(content: dict[str, Any], faults: Faults) -> None:
    places = content.get("locations", [])
    if len(places) > MAX_LOCATIONS:
        text = f"мест {len(places)}, можно {MAX_LOCATIONS}"
        faults.error("locations-many", text, "оставьте главные магазины: лишние Wallet не возьмёт")
    for number, place in enumerate(places[: MAX_LOCATIONS + 1]):
        where = f"locations[{number}]"
        good = check_kinds(f"{where}.", place, _LOCATION_KINDS, faults) if isinstance(place, dict) else {}
        if not all(key in good and abs(good[key]) <= limit for key, limit in _LIMITS):
            text = f"{where} не место на Земле"
            faults.error("location", text, "нужны числа latitude от -90 до 90 и longitude от -180 до 180")
    if content.get("maxDistance", 0) < 0:
        faults.error("max-distance", "maxDistance меньше нуля", "впишите метры или уберите его")


def check_beacons(content: dict[str, Any], faults: Faults) -> None:
    beacons = content.get("beacons", [])
    if len(beacons) > MAX_BEACONS:
        faults.error("beacons-many", f"маячков {len(beacons)}, можно {MAX_BEACONS}", "оставьте десять")
    for number, beacon in enumerate(beacons[: MAX_BEACONS + 1]):
        where = f"beacons[{number}]"
        good = check_kinds(f"{where}.", beacon, _BEACON_KINDS, faults) if isinstance(beacon, dict) else {}
        if _UUID.fullmatch(good.get("proximityUUID", "")) is None:
            faults.error("beacon", f"у {where} нет proximityUUID", "впишите UUID маячка")


def _codes(content: dict[str, Any]) -> list[tuple[str, object]]:
    many: list[tuple[str, object]] = [
        (f"barcodes[{number}]", one) for number, one in enumerate(content.get("barcodes", []))
    ]
    return [*many, ("barcode", content["barcode"])] if "barcode" in content else many


def _check_barcode(where: str, code: object, faults: Faults) -> None:
    if not isinstance(code, dict):
        faults.error("wrong-type", f"{where} не код", "код это объект { } с format, message и messageEncoding")
        return
    good = check_kinds(f"{where}.", code, _BARCODE_KINDS, faults)
    for key in ("format", "message", "messageEncoding"):
        if code.get(key, "") == "":
            faults.error("barcode-missing", f"у {where} нет {key}", f"впишите {key}: без него кода не будет")
    format_ = good.get("format")
    if format_ and (format_ not in _MAX_BYTES or (where == "barcode" and format_ == _CODE128)):
        known = ", ".join(name for name in _MAX_BYTES if where != "barcode" or name != _CODE128)
        faults.error("barcode-format", f"вида кода {shown(format_)} в {where} не бывает", f"выберите из: {known}")
    if good.get("message") and good.get("messageEncoding"):
        _check_message(where, good, faults)


def _charset(name: str) -> str:
    """Raises LookupError, ValueError for what is no encoding."""
    if codecs.lookup(name).name.replace("_", "-") in _NO_CHARSETS:
        raise LookupError(name)
    return name


def _check_message(where: str, code: dict[str, Any], faults: Faults) -> None:
    message, encoding = code["message"], code["messageEncoding"]
    try:
        data = message.encode(_charset(encoding))
    except UnicodeError:
        text = f"текст {where} не записать в {shown(encoding)}: код выйдет пустым или с чужими знаками"
        faults.error("barcode-encoding", text, "оставьте цифры и латиницу или возьмите utf-8")
        return
    except (LookupError, ValueError):
        text = f"кодировки {shown(encoding)} в {where} не бывает"
        faults.error("barcode-encoding", text, "впишите iso-8859-1")
        return
    limit = _MAX_BYTES.get(code.get("format", ""))
    if limit is not None and len(data) > limit:
        text = f"текст {where} занимает {len(data)} байт, помещается {limit}"
        faults.error("barcode-long", text, "оставьте в коде только номер карты")
    if not message.isascii():
        text = f"в {where} не только латиница: многие сканеры прочтут её неверно"
        faults.warning("barcode-not-ascii", text, "оставьте цифры и латиницу")
