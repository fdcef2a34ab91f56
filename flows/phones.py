"""Phones and e-mail addresses as the one text by which a member is found: E.164, lower case.

Owns what counts as a member's address. Toll-free and other service numbers belong to no person.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType

from flows.refusals import BadEmail, BadPhone
from loyalty import mail_address

if TYPE_CHECKING:
    from collections.abc import Iterable

HOME_REGION = "RU"
TEXT_CHARS_MAX = 64
PHONES_MAX = 20
"""Phones of one contact that are read; more of them are no person's."""

_PERSONAL = frozenset(
    {PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE, PhoneNumberType.FIXED_LINE_OR_MOBILE, PhoneNumberType.VOIP}
)
_PLAIN = r"[^@\s\x00-\x1f\x7f,;<>\"]"
_EMAIL = re.compile(rf"{_PLAIN}{{1,64}}@{_PLAIN}{{1,189}}\.[^\W\d_]{{2,63}}")
_BETWEEN = re.compile(r"[,;/\n]+")


def normalised(text: str) -> str:
    """One phone as E.164: «8 (916) 123-45-67» -> +79161234567; an extension is dropped. Raises BadPhone."""
    try:
        number = phonenumbers.parse(text[:TEXT_CHARS_MAX], HOME_REGION)
    except NumberParseException as failure:
        raise BadPhone("Это не номер телефона") from failure
    if not phonenumbers.is_valid_number(number):
        raise BadPhone("Номер слишком короткий, слишком длинный или такого кода нет")
    kind = phonenumbers.number_type(number)
    if kind not in _PERSONAL:
        raise BadPhone("Это номер организации, а не человека (например 8-800)")
    return str(phonenumbers.format_number(number, PhoneNumberFormat.E164))


def all_in(texts: Iterable[str]) -> tuple[str, ...]:
    """Every phone that can be read in these texts, several in one text too, without repeats. What cannot is left out:
    the CRM's fields hold anything."""
    found: dict[str, None] = {}
    for text in texts:
        for part in _BETWEEN.split(text):
            if len(found) >= PHONES_MAX:
                return tuple(found)
            try:
                found[normalised(part)] = None
            except BadPhone:
                continue
    return tuple(found)


def email(text: str) -> str:
    """An address in lower case to which a letter can be sent. Raises BadEmail."""
    address = text.strip().lower()
    if len(address) > mail_address.ADDRESS_CHARS_MAX or not _EMAIL.fullmatch(address):
        raise BadEmail("Это не адрес почты")
    if mail_address.as_sent(address) is None:
        raise BadEmail("На такой адрес письмо не отправить: до @ нужны латинские буквы, без двух точек подряд")
    return address


def emails_in(texts: Iterable[str]) -> tuple[str, ...]:
    """Every address that can be read, without repeats."""
    found: dict[str, None] = {}
    for text in texts:
        for part in _BETWEEN.split(text)[:PHONES_MAX]:
            try:
                found[email(part)] = None
            except BadEmail:
                continue
    return tuple(found)


def masked(phone: str) -> str:
    """A phone that may be shown: «+7 916 ···-··-67»."""
    return f"{phone[:2]} {phone[2:5]} ···-··-{phone[-2:]}" if len(phone) > 8 else "···"
