"""The `card` section: number, barcode, texts, what is on the face, and the accounts of Apple and Google.

Owns its keys, defaults and limits. How the card looks is `card_look.py`, its pictures `card_pictures.py`, the shops
`card_places.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from config import fields
from config.card_badges import read_badges
from config.card_look import read_look, read_looks
from config.card_places import read_places
from config.model import (
    AppleConfig,
    Barcode,
    CardConfig,
    CardLanguage,
    CardLook,
    FrontField,
    GoogleButton,
    GoogleConfig,
)
from config.secret_fields import Outside
from config.section import Keys, Section, read_list
from loyalty.wording import plural

MAX_NUMBER_LENGTH = 20
MIN_FREE_DIGITS = 6  # after the prefix: a million cards
MAX_NOTIFY_CHARS = 100

CARD_KEYS = Keys(
    (
        "number",
        "barcode",
        "language",
        "front",
        "show_name",
        "colors",
        "images",
        "back",
        "offers",
        "segments",
        "locations",
        "notify_text",
        "badges",
        "apple",
        "google",
    )
)
NUMBER_KEYS = Keys(("prefix", "length"))
APPLE_KEYS = Keys(("pass_type_id", "team_id", "certificate", "password", "wwdr"))
GOOGLE_KEYS = Keys(("issuer_id", "class_suffix", "key", "button", "published"))

_BARCODES: Mapping[str, Barcode] = {"qr": "qr", "code128": "code128", "pdf417": "pdf417"}
_LANGUAGES: Mapping[str, CardLanguage] = {"ru": "ru", "en": "en"}
_FRONT: Mapping[str, FrontField] = {
    "segment": "segment",
    "pending": "pending",
    "nearest_burn": "nearest_burn",
    "next_segment": "next_segment",
}
_BUTTONS: Mapping[str, GoogleButton] = {"auto": "auto", "wallet": "wallet", "save_to_phone": "save_to_phone"}
_NOTIFY_TEXTS: Mapping[CardLanguage, str] = {"ru": "Баланс: %@", "en": "Balance: %@"}
_DEFAULT = CardConfig()


def read_card(root: Section, outside: Outside) -> CardConfig:
    section = root.sub("card", CARD_KEYS)
    if section is None:
        return _DEFAULT
    prefix, length = _number(section)
    look = read_look(section, outside.folder, CardLook())
    language = section.get("language", fields.one_of(_LANGUAGES), _DEFAULT.language)
    return CardConfig(
        number_prefix=prefix,
        number_length=length,
        barcode=section.get("barcode", fields.one_of(_BARCODES), _DEFAULT.barcode),
        language=language,
        front=_front(section),
        show_name=section.get("show_name", fields.yes_no, default=False),
        look=look,
        segments=read_looks(section, outside.folder, look),
        locations=read_places(section),
        notify_text=section.get("notify_text", _notify_text, _NOTIFY_TEXTS[language]),
        badges=read_badges(section, outside.folder),
        apple=_apple(section, outside),
        google=_google(section, outside),
    )


def _front(card: Section) -> tuple[FrontField, ...]:
    """In the order of the file. More than three hardly fit beside each other on a phone."""
    return read_list(card, "front", fields.one_of(_FRONT), _DEFAULT.front, like="[segment]")


def _number(card: Section) -> tuple[str, int]:
    section = card.sub("number", NUMBER_KEYS)
    if section is None:
        return _DEFAULT.number_prefix, _DEFAULT.number_length
    digits = fields.matching("[0-9]{0,12}", "card-number", "в начале номера бывают только цифры", 'напишите "77"')
    prefix = section.get("prefix", digits, _DEFAULT.number_prefix)
    length = section.get("length", fields.whole(MIN_FREE_DIGITS, MAX_NUMBER_LENGTH), _DEFAULT.number_length)
    if section.notes.intact(section.path) and length - len(prefix) < MIN_FREE_DIGITS:
        free = max(0, length - len(prefix))
        left = f"{free} {plural(free, ('цифра', 'цифры', 'цифр'))}"
        message = f"после «{prefix}» остаётся {left}, нужно не меньше {MIN_FREE_DIGITS}"
        fix = f"напишите length: {len(prefix) + MIN_FREE_DIGITS} или больше"
        key = "length" if "length" in section else "prefix"
        section.notes.error_at_path(section.at(key), "card-number", message, fix)
    return prefix, length


def _notify_text(text: str) -> str:
    value = fields.words(MAX_NOTIFY_CHARS)(text)
    if value.count("%@") != 1:
        fix = 'напишите, например, "Баланс: %@": вместо %@ встанет новое число'
        raise fields.FieldError("notify-text", "в тексте уведомления нужно одно %@", fix)
    return value


def _apple(card: Section, outside: Outside) -> AppleConfig | None:
    section = card.sub("apple", APPLE_KEYS)
    if section is None:
        return None
    pass_type = fields.matching(
        r"pass\.[A-Za-z0-9.-]{1,100}",
        "pass-type",
        "тип карты начинается с «pass.»",
        "возьмите его из сертификата Apple",
    )
    team = fields.matching(
        "[A-Z0-9]{10}", "team-id", "в коде команды 10 латинских букв и цифр", "возьмите его из сертификата Apple"
    )
    pass_type_id = section.need("pass_type_id", pass_type, "pass.ru.sportgory.club")
    team_id = section.need("team_id", team, "A1B2C3D4E5")
    certificate = outside.file(section, "certificate")
    password = outside.secret(section, "password", rotate="у владельца сертификата", optional=True)
    wwdr = outside.file(section, "wwdr", optional=True)
    lacking = ("password" in section and password is None) or ("wwdr" in section and wwdr is None)
    if certificate is None or lacking:
        return None
    return AppleConfig(pass_type_id, team_id, certificate, password, wwdr)


def _google(card: Section, outside: Outside) -> GoogleConfig | None:
    section = card.sub("google", GOOGLE_KEYS)
    if section is None:
        return None
    issuer = fields.matching("[0-9]{5,25}", "issuer-id", "номер издателя из одних цифр", "возьмите его в Google Wallet")
    suffix = fields.matching(
        "[A-Za-z0-9._-]{1,60}", "class-suffix", "латинские буквы, цифры, точка, «_» и «-»", "напишите, например, club"
    )
    issuer_id = section.need("issuer_id", issuer, "3388000000012345678")
    class_suffix = section.need("class_suffix", suffix, "club")
    key = outside.file(section, "key")
    button = section.get("button", fields.one_of(_BUTTONS), GoogleConfig.button)
    is_published = section.get("published", fields.yes_no, default=False)
    if section.notes.intact(section.path) and not is_published:
        message = "издатель Google в режиме показа: карты с пометкой [TEST ONLY] и только тестовым учётным записям"
        fix = "запросите publishing access в Google Wallet Console; когда его дадут, напишите published: yes"
        section.notes.warn(section.path, "google-demo-mode", message, fix)
    return None if key is None else GoogleConfig(issuer_id, class_suffix, key, button, is_published)
