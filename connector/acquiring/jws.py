"""Compact JWS (RFC 7515): three parts in base64url, two of them JSON.

Owns its reading. Checks no signature: whoever reads must first pin the algorithm, never believe the one in the header.
Knows no acquirer.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Any

from connector.acquiring.base import MAX_BODY_BYTES, json_notification
from connector.errors import BadReply

# Some services send it as a JSON string.
_COMPACT = re.compile(rb'\s*"?([\w-]+)\.([\w-]+)\.([\w-]+)"?\s*')


@dataclass(frozen=True)
class Jws:
    """`signed` are the bytes that `signature` is of."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signed: bytes
    signature: bytes


def is_jws(raw: bytes) -> bool:
    """Whether it claims to be one: the header's `{"` in base64."""
    return raw.lstrip(b'" \t\r\n').startswith(b"eyJ")


def compact_jws(raw: bytes) -> Jws:
    """Raises BadReply for anything else."""
    match = _COMPACT.fullmatch(raw) if len(raw) <= MAX_BODY_BYTES else None
    if match is None:
        raise BadReply("the notification is not a compact JWS")
    header, claims, signature = (_decoded(part) for part in match.groups())
    return Jws(json_notification(header), json_notification(claims), match[1] + b"." + match[2], signature)


def _decoded(part: bytes) -> bytes:
    try:
        content = urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except ValueError:
        content = b""
    if urlsafe_b64encode(content).rstrip(b"=") != part:  # one content, one text
        raise BadReply("the notification is not a compact JWS")
    return content
