"""Text of one setting into its meaning, and the reader that collects what is wrong.

Owns the notation and the limits of settings. A parser raises `ValueFault`; neither it nor the reader ever repeats the
value, because a misplaced password looks like any other text.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar, cast
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr

from config.environment import EnvironmentFaultError, look_up

T = TypeVar("T")

MIN_KEY_BYTES = 32
MAX_KEYS = 10
MAX_VALUE_CHARS = 2_000

LOG_LEVELS = ("debug", "info", "warning", "error")
_POSTGRES_SCHEMES = frozenset({"postgresql", "postgres", "postgresql+psycopg"})
_REDIS_SCHEMES = frozenset({"redis", "rediss", "unix"})
_YES_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


@dataclass(frozen=True)
class Fault:
    """One setting that is wrong."""

    name: str
    message: str
    fix: str


class ValueFault(Exception):
    """A value cannot be used; carries no value."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


class Reader:
    """Reads settings by name and goes on after a fault; its caller looks at `faults` in the end."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        self.faults: list[Fault] = []

    def need(self, name: str, parse: Callable[[str], T], example: str) -> T:
        """A required setting. After a fault the returned value is not to be used."""
        text = self._text(name)
        if text is None and not self._is_faulty(name):
            written = f"или впишите в .env: {name}={example}" if example else "он создаст ключ в .env"
            self.faults.append(Fault(name, "не задано", f"запустите kopilka init; {written}"))
        return self._parse(name, text, parse, cast("T", None))

    def get(self, name: str, parse: Callable[[str], T], default: T) -> T:
        return self._parse(name, self._text(name), parse, default)

    def _text(self, name: str) -> str | None:
        try:
            text = look_up(self.env, name)
        except EnvironmentFaultError as fault:
            self.faults.append(Fault(name, fault.message, fault.fix))
            return None
        return text.strip() or None if text else None

    def _parse(self, name: str, text: str | None, parse: Callable[[str], T], default: T) -> T:
        if text is None:
            return default
        if len(text) > MAX_VALUE_CHARS or not text.isprintable():
            self.faults.append(Fault(name, "слишком длинно или есть невидимые знаки", "впишите значение заново"))
            return default
        try:
            return parse(text)
        except ValueFault as fault:
            self.faults.append(Fault(name, fault.message, fault.fix))
            return default

    def _is_faulty(self, name: str) -> bool:
        return any(fault.name == name for fault in self.faults)


def secret_keys(text: str) -> tuple[SecretStr, ...]:
    """A comma list; the first key signs and encrypts, the others only read what they once wrote."""
    keys = [key.strip() for key in text.split(",")]
    if len(keys) > MAX_KEYS:
        raise ValueFault(f"ключей больше {MAX_KEYS}", "уберите самые старые")
    for number, key in enumerate(keys, start=1):
        if len(decode_key(key)) < MIN_KEY_BYTES:
            message = f"ключ {number} из {len(keys)} не годится: нужно не меньше {MIN_KEY_BYTES} байт в base64url"
            raise ValueFault(message, "верните прежний ключ из копии; для новой установки запустите kopilka init")
    return tuple(SecretStr(key) for key in keys)


def decode_key(key: str) -> bytes:
    """The bytes of one key; empty when it is not base64url."""
    plain = key.rstrip("=")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", plain):
        return b""
    try:
        return base64.urlsafe_b64decode(plain + "=" * (-len(plain) % 4))
    except (binascii.Error, ValueError):
        return b""


def database_url(text: str) -> str:
    url = _split(text)
    if url is None or url.scheme not in _POSTGRES_SCHEMES or not url.path.strip("/"):
        raise ValueFault("нужен адрес базы PostgreSQL", "напишите postgresql://имя:пароль@сервер:5432/база")
    return text


def redis_url(text: str) -> str:
    url = _split(text)
    if url is None or url.scheme not in _REDIS_SCHEMES or not (url.hostname or url.path):
        raise ValueFault("нужен адрес Redis или Valkey", "напишите redis://сервер:6379/0")
    return text


def public_url(text: str) -> str:
    """https, or http inside one's own machine and network; without a slash at the end."""
    url = _split(text)
    fix = "напишите, например, https://bonus.sportgory.ru"
    if url is None or url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueFault("нужен адрес, по которому сервис виден снаружи", fix)
    if url.query or url.fragment or url.username or url.password:
        raise ValueFault("в адресе лишнее: нужны только сервер, порт и путь", fix)
    if url.scheme == "http" and not _is_private(url.hostname):
        raise ValueFault("снаружи нужен https: по http телефон не обновит карту", fix)
    return text.rstrip("/")


def loopback_url(text: str) -> str:
    """Foreign systems may be replaced only by ones on this machine: anything else would receive our secrets."""
    url = _split(text)
    if url is None or url.scheme not in {"http", "https"} or not _is_loopback(url.hostname or ""):
        message = "подменить чужую систему можно только на этой машине"
        raise ValueFault(message, "уберите переменную или напишите http://127.0.0.1:порт")
    return text.rstrip("/")


def loopback_host_port(text: str) -> tuple[str, int]:
    """A mail server on this machine in place of the one the rules file names."""
    host, _, port = text.rpartition(":")
    if not _is_loopback(host) or not port.isdigit() or not 1 <= int(port) <= 65_535:
        raise ValueFault("подменить почтовый сервер можно только на этой машине", "напишите 127.0.0.1:1025")
    return host, int(port)


def official_or_loopback(official: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        return official if text.rstrip("/") == official else loopback_url(text)

    return parse


def whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueFault("нужно целое число", f"напишите число от {low} до {high}")
        return int(text)

    return parse


def seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text) or not low <= float(text) <= high:
            raise ValueFault("нужно число секунд", f"напишите число от {low:g} до {high:g}")
        return float(text)

    return parse


def yes_no(text: str) -> bool:
    if text.casefold() not in _YES_NO:
        raise ValueFault("нужно yes или no", "напишите yes или no")
    return _YES_NO[text.casefold()]


def log_level(text: str) -> str:
    if text.casefold() not in LOG_LEVELS:
        raise ValueFault("нет такого уровня", f"напишите одно из: {', '.join(LOG_LEVELS)}")
    return text.casefold()


def host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.:_-]{1,253}", text):
        raise ValueFault("нужно имя или адрес без порта", "напишите 127.0.0.1 или 0.0.0.0")
    return text


def failpoint(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:,=-]{1,200}", text):
        raise ValueFault("не похоже на имя точки отказа", "уберите переменную: она нужна только испытаниям")
    return text


def _split(text: str) -> SplitResult | None:
    try:
        url = urlsplit(text)
        _ = url.port  # urllib looks at the port only when it is asked for
    except ValueError:
        return None
    return None if " " in text else url


def _is_loopback(name: str) -> bool:
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_private(name: str) -> bool:
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_private
    except ValueError:
        return False
