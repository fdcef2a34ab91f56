"""What an e-mail address must look like for a letter to reach it: one definition for members, letters and the sender.

Owns the shape alone. Whether somebody reads that mailbox only a letter can tell.
"""

from __future__ import annotations

import re

ADDRESS_CHARS_MAX = 254
LOCAL_CHARS_MAX = 64

_WORD = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL_PART = re.compile(rf"{_WORD}(?:\.{_WORD})*")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def as_sent(address: str) -> str | None:
    """The address as a mail server wants it, a national domain in its ASCII form; None if no letter can go there."""
    local, _, domain = address[: ADDRESS_CHARS_MAX + 1].partition("@")
    try:
        ascii_domain = domain if domain.isascii() else domain.encode("idna").decode()
    except UnicodeError:
        return None
    whole = f"{local}@{ascii_domain}"
    is_one = len(whole) <= ADDRESS_CHARS_MAX and len(local) <= LOCAL_CHARS_MAX and _LOCAL_PART.fullmatch(local)
    return whole if is_one and is_host_name(ascii_domain) else None


def is_host_name(name: str) -> bool:
    """Labels of letters, digits and inner hyphens, none of them empty or too long."""
    return _HOST.fullmatch(name) is not None
