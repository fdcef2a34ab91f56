"""The `card` section: number, barcode, colours, images, texts, and the accounts of Apple and Google.

Owns its keys, defaults and limits. Checks that named image files exist and are PNG; what a card file contains beyond
that is the wallet package's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from config import fields
from config.masking import quote
from config.model import AppleConfig, Barcode, CardConfig, GoogleConfig
from config.secret_fields import Outside, is_file
from config.section import Keys, Section
from loyalty.wording import plural

MAX_NUMBER_LENGTH = 20
MIN_FREE_DIGITS = 6  # after the prefix: a million cards
MAX_NOTIFY_CHARS = 100
MAX_BACK_FIELDS = 20
MAX_LABEL_CHARS = 60
MAX_TEXT_CHARS = 4_000
MAX_IMAGE_BYTES = 1024 * 1024

CARD_KEYS = Keys(
    ("number", "barcode", "colors", "images", "notify_text", "back", "apple", "google"),
    planned=("front",),
)
NUMBER_KEYS = Keys(("prefix", "length"))
COLOUR_KEYS = Keys(("background", "text", "label"))
BACK_KEYS = Keys(("label", "text"))
APPLE_KEYS = Keys(("pass_type_id", "team_id", "certificate", "password", "wwdr"))
GOOGLE_KEYS = Keys(("issuer_id", "class_suffix", "key"))
IMAGE_NAMES = tuple(f"{name}{scale}" for name in ("icon", "logo", "strip") for scale in ("", "@2x", "@3x"))
IMAGE_KEYS = Keys(IMAGE_NAMES)

_BARCODES: Mapping[str, Barcode] = {"qr": "qr", "code128": "code128", "pdf417": "pdf417"}
_PNG_MARK = b"\x89PNG\r\n\x1a\n"
_PATH_FIX = "проверьте путь: он считается от папки файла правил"
_DEFAULT = CardConfig()


def read_card(root: Section, outside: Outside) -> CardConfig:
    section = root.sub("card", CARD_KEYS)
    if section is None:
        return _DEFAULT
    prefix, length = _number(section)
    colours = section.sub("colors", COLOUR_KEYS)
    return CardConfig(
        number_prefix=prefix,
        number_length=length,
        barcode=section.get("barcode", fields.one_of(_BARCODES), _DEFAULT.barcode),
        background=_colour(colours, "background", _DEFAULT.background),
        text=_colour(colours, "text", _DEFAULT.text),
        label=_colour(colours, "label", _DEFAULT.label),
        images=_images(section, outside.folder),
        notify_text=section.get("notify_text", _notify_text, _DEFAULT.notify_text),
        back=_back(section),
        apple=_apple(section, outside),
        google=_google(section, outside),
    )


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


def _colour(section: Section | None, key: str, default: str) -> str:
    return default if section is None else section.get(key, fields.colour, default)


def _images(card: Section, folder: Path) -> dict[str, Path]:
    section = card.sub("images", IMAGE_KEYS)
    if section is None:
        return {}

    def image(text: str) -> Path:
        path = (folder / text).absolute()
        if not is_file(path):
            raise fields.FieldError("file-missing", f"файла {quote(text)} нет", _PATH_FIX)
        if not _is_png(path):
            fix = f"сохраните картинку в PNG до {MAX_IMAGE_BYTES // 1024} КБ"
            raise fields.FieldError("not-png", "это не картинка PNG или она слишком велика", fix)
        return path

    found = {name: section.get(name, image, None) for name in IMAGE_NAMES if name in section}
    return {name: path for name, path in found.items() if path is not None}


def _is_png(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_PNG_MARK)) == _PNG_MARK and path.stat().st_size <= MAX_IMAGE_BYTES
    except OSError:
        return False


def _notify_text(text: str) -> str:
    value = fields.words(MAX_NOTIFY_CHARS)(text)
    if value.count("%@") != 1:
        fix = 'напишите, например, "Баланс: %@": вместо %@ встанет новое число'
        raise fields.FieldError("notify-text", "в тексте уведомления нужно одно %@", fix)
    return value


def _back(card: Section) -> tuple[tuple[str, str], ...]:
    members = card.items("back", "- {label: Телефон, text: +7 495 000-00-00}")
    if len(members) > MAX_BACK_FIELDS:
        message = f"полей на обороте больше {MAX_BACK_FIELDS}"
        card.notes.error_at_path(card.at("back"), "too-many", message, "уберите лишние")
        return ()
    rows = []
    for path, node in members:
        row = Section.open(card.notes, node, path, node.span, BACK_KEYS)
        label = row.need("label", fields.words(MAX_LABEL_CHARS), "Телефон")
        rows.append((label, row.need("text", fields.words(MAX_TEXT_CHARS, lines=True), "+7 495 000-00-00")))
    return tuple(rows)


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
    return None if key is None else GoogleConfig(issuer_id, class_suffix, key)
