"""The `mail` section: the server that sends our letters.

Owns its keys, defaults and limits. Opens no connection; whether the server answers is `kopilka doctor`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping

from pydantic import SecretStr

from config import fields
from config.masking import quote
from config.model import MailConfig, MailSecurity
from config.secret_fields import Outside
from config.section import Keys, Section
from loyalty import mail_address

MAX_HOST_CHARS = 253
MAX_SENDER_CHARS = 200
MAX_USERNAME_CHARS = 200
PORTS: Mapping[MailSecurity, int] = {"none": 25, "starttls": 587, "tls": 465}

MAIL_KEYS = Keys(("host", "port", "security", "username", "password", "from"))

_SECURITY: Mapping[str, MailSecurity] = {name: name for name in PORTS}
_SENDER = re.compile(r"(?:\"?(?P<name>[^<>\"]{1,100}?)\"?\s*<(?P<inside>[^<>\s]+)>|(?P<bare>\S+))")


def read_mail(root: Section, outside: Outside) -> MailConfig | None:
    """None without the section, and in a mere check also without the password that it names."""
    section = root.sub("mail", MAIL_KEYS)
    if section is None:
        return None
    host = section.need("host", _host, "smtp.shop.ru")
    security: MailSecurity = section.get("security", fields.one_of(_SECURITY), "starttls")
    username = section.get("username", _username, None)
    password = _password(section, outside)
    name, address = section.need("from", _sender, "Клуб <bonus@shop.ru>")
    _both_or_neither(section)
    if security == "none" and "password" in section and not _is_local(host):
        message = "пароль почты уйдёт по сети открытым текстом"
        section.notes.warn(section.at("security"), "open-password", message, "напишите security: starttls или tls")
    if "password" in section and password is None:
        return None
    return MailConfig(
        host=host,
        port=section.get("port", fields.whole(1, 65_535), PORTS[security]),
        security=security,
        sender_name=name,
        sender_address=address,
        username=username,
        password=password,
    )


def _host(text: str) -> str:
    if len(text) > MAX_HOST_CHARS or not mail_address.is_host_name(text):
        fix = "напишите имя сервера без порта и без «://», например smtp.shop.ru"
        raise fields.FieldError("mail-host", f"{quote(text)} не похоже на имя почтового сервера", fix)
    return text


def _sender(text: str) -> tuple[str, str]:
    """«Клуб <bonus@shop.ru>» or a bare address → name (may be empty) and address."""
    value = fields.words(MAX_SENDER_CHARS)(text)
    found = _SENDER.fullmatch(value)
    written = (found["inside"] or found["bare"]) if found else ""
    fix = 'напишите, например, "Клуб <bonus@shop.ru>"'
    if found is None or "@" not in written:
        raise fields.FieldError("mail-from", "нужны имя отправителя и адрес в угловых скобках", fix)
    address = mail_address.as_sent(written)
    if address is None or "." not in address.partition("@")[2]:
        raise fields.FieldError("mail-from", f"{quote(written)} не похоже на адрес почты", fix)
    return (found["name"] or "").strip(), address


def _username(text: str) -> str:
    value = fields.words(MAX_USERNAME_CHARS)(text)
    if not value.isascii():
        fix = "напишите имя так, как его дала почтовая служба, обычно это адрес: bonus@shop.ru"
        raise fields.FieldError("mail-username", "имя для входа на почтовый сервер пишется латиницей", fix)
    return value


def _password(section: Section, outside: Outside) -> SecretStr | None:
    """SMTP has no way to send another letter, so the login would fail at every letter."""
    password = outside.secret(section, "password", rotate="у почтовой службы", optional=True)
    if password is None or password.get_secret_value().isascii():
        return password
    message = "в пароле почты есть знаки не из латиницы: почтовый сервер такой не примет"
    section.notes.error_at_path(section.at("password"), "mail-password", message, "задайте почте другой пароль")
    return None


def _both_or_neither(section: Section) -> None:
    for key, other in (("username", "password"), ("password", "username")):
        if key in section and other not in section:
            example = "env:MAIL_PASSWORD" if other == "password" else "bonus@shop.ru"
            section.missing(other, f"добавьте {other}: {example} или уберите {key}")


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
