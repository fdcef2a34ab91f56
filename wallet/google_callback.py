"""Is this callback Google's, for this issuer, and still good? And what does it say.

Implements the protocol ECv2SigningOnly (wallet reference, A10): a root key signs an intermediate key, that one signs
the message; lengths are those of bytes. Touches neither network nor clock nor memory: root keys and time are given, and
whether a nonce was seen before is the caller's question.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from wallet.errors import ForgedCallbackError, UnknownSignerError

SENDER = "GooglePayPasses"
PROTOCOL = "ECv2SigningOnly"
BODY_BYTES_MAX = 16 * 1024
SIGNATURES_MAX = 10
ID_CHARS_MAX = 256
NONCE_CHARS_MAX = 256
_MS_MAX = 253_402_300_799_000  # the year 9999

Event = Literal["save", "del"]
_EVENTS: dict[str, Event] = {"save": "save", "del": "del"}


@dataclass(frozen=True)
class SaveEvent:
    """A phone's owner has saved the object or deleted it. `at_ms` orders the events of one object."""

    event: Event
    class_id: str
    object_id: str
    nonce: str
    at_ms: int

    @property
    def expires_at(self) -> datetime:
        return datetime.fromtimestamp(self.at_ms / 1000, UTC)


def verified(body: bytes, *, root_keys: Iterable[bytes], issuer_id: str, now: datetime) -> SaveEvent:
    """The message of a genuine callback. Raises UnknownSignerError (no root key has signed it: a newer one might),
    ForgedCallbackError."""
    if len(body) > BODY_BYTES_MAX:
        raise ForgedCallbackError("longer than any callback is")
    outer = _object(body)
    protocol = _text(outer, "protocolVersion")
    if protocol != PROTOCOL:
        raise ForgedCallbackError("another protocol")
    signing = outer.get("intermediateSigningKey")
    if not isinstance(signing, dict):
        raise ForgedCallbackError("no intermediate key")
    signed_key = _text(signing, "signedKey")
    vouched = _signed(SENDER, protocol, signed_key)
    signatures = _signatures(signing.get("signatures"))
    roots = [key for der in root_keys if (key := _public_key(der)) is not None]
    if not any(_is_signed(key, signature, vouched) for key in roots for signature in signatures):
        raise UnknownSignerError("no root key has signed the intermediate key")
    vouched_key = _object(signed_key.encode())
    if _milliseconds(vouched_key, "keyExpiration") <= _ms(now):
        raise ForgedCallbackError("the intermediate key has expired")
    intermediate = _public_key(_base64(_text(vouched_key, "keyValue")))
    message = _text(outer, "signedMessage")
    signature = _base64(_text(outer, "signature"))
    if intermediate is None or not _is_signed(intermediate, signature, _signed(SENDER, issuer_id, protocol, message)):
        raise ForgedCallbackError("the intermediate key has not signed the message")
    return _event(_object(message.encode()), now)


def _event(message: dict[str, Any], now: datetime) -> SaveEvent:
    event = _EVENTS.get(_text(message, "eventType"))
    if event is None:
        raise ForgedCallbackError("an unknown event")
    found = SaveEvent(
        event=event,
        class_id=_text(message, "classId", chars_max=ID_CHARS_MAX),
        object_id=_text(message, "objectId", chars_max=ID_CHARS_MAX),
        nonce=_text(message, "nonce", chars_max=NONCE_CHARS_MAX),
        at_ms=_milliseconds(message, "expTimeMillis"),
    )
    if found.at_ms <= _ms(now):
        raise ForgedCallbackError("the message has expired")
    return found


def _signed(*parts: str) -> bytes:
    """Each part after its length: four bytes, the lowest first, counting bytes and not letters."""
    try:
        encoded = [part.encode() for part in parts]
    except UnicodeEncodeError as failure:
        raise ForgedCallbackError("half a letter") from failure
    return b"".join(struct.pack("<I", len(part)) + part for part in encoded)


def _is_signed(key: ec.EllipticCurvePublicKey, signature: bytes, content: bytes) -> bool:
    try:
        key.verify(signature, content, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _public_key(der: bytes) -> ec.EllipticCurvePublicKey | None:
    try:
        key = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1) else None


def _signatures(told: object) -> Sequence[bytes]:
    if not isinstance(told, list) or not 0 < len(told) <= SIGNATURES_MAX:
        raise ForgedCallbackError("no signatures of the intermediate key")
    return [_base64(one) for one in told]


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as failure:
        raise ForgedCallbackError("not JSON") from failure
    if not isinstance(found, dict):
        raise ForgedCallbackError("not an object of JSON")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two readers of a repeated name could see two things."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _text(found: dict[str, Any], name: str, *, chars_max: int = BODY_BYTES_MAX) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= chars_max:
        raise ForgedCallbackError(f"no {name}")
    try:
        value.encode()
    except UnicodeEncodeError as failure:
        raise ForgedCallbackError("half a letter") from failure
    return value


def _base64(text: object) -> bytes:
    if not isinstance(text, str):
        raise ForgedCallbackError("not base64")
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as failure:
        raise ForgedCallbackError("not base64") from failure


def _milliseconds(found: dict[str, Any], name: str) -> int:
    """Google writes them as a number in one place and as a text in another."""
    value = found.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 15:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _MS_MAX:
        raise ForgedCallbackError(f"no {name}")
    return value


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
