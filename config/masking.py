"""What a secret looks like, and how text loses it before anybody prints it.

Owns the names and patterns of secrets, phones, e-mails and card numbers. Used by the printer of rules-file mistakes and
by the logs. Must not know where the text goes.
"""

from __future__ import annotations

import difflib
import re

STARS = "***"
MAX_QUOTED_CHARS = 60
MIN_LOOKALIKE = 0.75  # difflib ratio: «pasword» and «secert» still count as names of secrets

_FILE_SECRET_NAMES = (
    "secret",
    "password",
    "token",
    "client_secret",
    "client_id",
    "shop_id",
    "terminal",
    "public_id",
    "callback_key",
    "login",
)
_PIN_NAMES = frozenset({"pin_code", "pincode", "redeem_pin", "пин", "пинкод"})
MAX_PIN_NAME_CHARS = 4  # «pim», «pinn»: short names are compared with «pin» alone, or «point» would look like it
MIN_PIN_LOOKALIKE = 0.66
_SECRET_WORDS = (
    "secret",
    "password",
    "passwd",
    "token",
    "credential",
    "authorization",
    "cookie",
    "apikey",
    "api_key",
    "private_key",
    "hook_key",
    "пароль",
    "секрет",
    "токен",
)
_PERSONAL_KEYS = frozenset({"phone", "phones", "email", "e_mail", "emails", "pan", "card_pan", "pin"})
_CONNECTION_KEYS = frozenset({"dsn", "database_url", "redis_url"})

_REFERENCE = re.compile(r"env:[A-Z][A-Z0-9_]*|file:\S.*")
# No pattern here may take more than linear time on a hostile line: each starts at the edge of a word or is bounded.
_VALUE_PATTERNS = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)",
        r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?",
        r"\b(?:live|test)_[A-Za-z0-9_-]{20,}",
        r"(?<![A-Za-z0-9])(?:kop_[A-Za-z0-9_-]{16,}|whsec_[A-Za-z0-9+/_-]{16,}={0,2})",
        r"\bdef50200[0-9a-f]{16,}",
        r"(?<![A-Za-z0-9_-])(?=[A-Z0-9_-]*[a-z])(?=[a-z0-9_-]*[A-Z])(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{32,}",
    )
)
_FILE_PAIR = re.compile(
    r"""(?<![\w-])(?P<name>[\w-]++)(?P<colon>["']?\s*[:=]\s*)"""
    r"""(?P<value>"(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s,}\]#"'](?:[^,}\]\s]|[ ](?![#\s]))*)"""
)

_SCHEME = re.compile(r"(?i)\b(Bearer|Basic|ApplePass)\s+[A-Za-z0-9._~+/=-]{6,}")
_SECRET_PATHS = re.compile(r"(/webhooks/amocrm/|/c/)[^/?\s\"'<>]{4,}")
_USERINFO = re.compile(r"://[^/\s@]*@")
_LOG_PAIR = re.compile(
    r"""(?ix)((?:secret|password|passwd|token|api[_-]?key|private[_-]?key|credential|authorization)[\w-]{0,40}
        ["']?\s*[:=]\s*)("[^"]*"?|'[^']*'?|[^\s,;&}\])"']+)"""
)
_LONG_QUERY_VALUE = re.compile(r"([?&][\w.\[\]%-]+=)[^&\s\"'#]{16,}")
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_CARD_DIGITS = re.compile(r"(?<![\w.-])[2-6](?:[ -]?[0-9]){12,18}(?![\w-])")
_PHONE = re.compile(
    r"(?<![\w.-])(?:\+[0-9](?:[\s().-]{0,2}[0-9]){8,14}"
    r"|[78][\s(-]{0,2}[0-9]{3}[\s)-]{0,2}[0-9]{3}[\s-]?[0-9]{2}[\s-]?[0-9]{2})(?![\w-])"
)


def is_reference(value: str) -> bool:
    """True for `env:NAME` and `file:path`, the only two ways a rules file may point at a secret."""
    return _REFERENCE.fullmatch(value.strip("\"'")) is not None


def is_secret_name(name: str) -> bool:
    """True when a key of the rules file holds a secret, also when its name is misspelt."""
    plain = name.casefold()
    if plain in _PIN_NAMES or any(word in plain for word in _SECRET_WORDS):
        return True
    if len(plain) <= MAX_PIN_NAME_CHARS and difflib.get_close_matches(plain, ("pin",), cutoff=MIN_PIN_LOOKALIKE):
        return True
    return bool(difflib.get_close_matches(plain[:64], _FILE_SECRET_NAMES, n=1, cutoff=MIN_LOOKALIKE))


def mask_source_line(line: str) -> str:
    """Replaces secrets in one line of the rules file by as many stars, so that carets below it still fit."""
    return mask_values(_FILE_PAIR.sub(_star_pair, line), keep_length=True)


def mask_values(text: str, *, keep_length: bool = False) -> str:
    """Hides tokens that are recognisable by their own shape."""
    for pattern in _VALUE_PATTERNS:
        text = pattern.sub(lambda found: "*" * len(found[0]) if keep_length else STARS, text)
    return text


def quote(value: str) -> str:
    """A value of the file as it may stand in a sentence: masked, short, on one line."""
    shown = mask_values(value[: MAX_QUOTED_CHARS * 4])
    shown = "".join(char if char.isprintable() else "·" for char in shown)
    return f"«{shown if len(shown) <= MAX_QUOTED_CHARS else shown[:MAX_QUOTED_CHARS] + '…'}»"


def is_hidden_key(name: str) -> bool:
    """True when a log field of this name must never show its value."""
    plain = name.casefold().replace("-", "_")
    return plain in _PERSONAL_KEYS | _CONNECTION_KEYS | _PIN_NAMES or any(word in plain for word in _SECRET_WORDS)


def mask_text(text: str) -> str:
    """Hides secrets, phones, e-mails and card numbers anywhere in free text, such as a log message or a traceback."""
    text = _SCHEME.sub(rf"\1 {STARS}", text)
    text = _SECRET_PATHS.sub(rf"\1{STARS}", text)
    text = _USERINFO.sub(f"://{STARS}@", text)
    text = _LOG_PAIR.sub(rf"\1{STARS}", text)
    text = _LONG_QUERY_VALUE.sub(rf"\1{STARS}", text)
    text = mask_values(text)
    text = _EMAIL.sub("[email]", text)
    text = _CARD_DIGITS.sub(_mask_card, text)
    return _PHONE.sub("[phone]", text)


def _star_pair(found: re.Match[str]) -> str:
    value = found["value"]
    if is_reference(value) or not is_secret_name(found["name"]):
        return found[0]
    return f"{found['name']}{found['colon']}{'*' * len(value)}"


def _mask_card(found: re.Match[str]) -> str:
    digits = [int(char) for char in found[0] if char.isdecimal()]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return "[card]" if (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0 else found[0]
