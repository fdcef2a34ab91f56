"""Reading of forms, words as we keep them, and the proofs by time, text and key.

Owns the limits on a form. Must not know any acquirer, and must not repair anything: two readers that disagree about one
body are a way around a signature. Implements the acquirers reference, sections 13.1 and 14.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import HashAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509 import load_der_x509_certificate

from connector.acquiring.base import MAX_BODY_BYTES, Check, NeedsPerson
from connector.errors import BadReply, NotConfigured

MAX_FIELDS = 200
MAX_TOLD_CHARS = 200
MIN_RSA_BITS = 2048
MAX_AHEAD_S = 300
# Neither our database nor UTF-8 takes these; nobody has them in a name or a number.
_UNWRITABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_STAMP = re.compile(r"[0-9]{1,12}")
_AROUND_BASE64 = re.compile(r"-----(BEGIN|END) [A-Z ]+-----|\\n|\s")


def form_fields(raw: bytes) -> dict[str, str]:
    """The fields of a form body or a query string in their order, values decoded, empty ones kept.

    Raises BadReply for doubled names, bytes that are not UTF-8 before or after decoding, NUL, too much of anything.
    """
    if len(raw) > MAX_BODY_BYTES:
        raise BadReply(f"the notification is larger than {MAX_BODY_BYTES} bytes")
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        pairs = None
    if pairs is None:
        # Raised outside the handler: the library's exception quotes the body.
        raise BadReply(f"the notification is not a form in UTF-8 of at most {MAX_FIELDS} fields")
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise BadReply("the notification has two fields of one name")
    if any("\0" in name or "\0" in value for name, value in pairs):
        raise BadReply("the notification has a NUL in it")
    return fields


def json_field(value: object) -> dict[str, Any]:
    """An object that came as JSON in a field, numbers as their texts; empty for anything else."""
    try:
        content = json.loads(value, parse_int=str, parse_float=str) if isinstance(value, str) else None
    except (ValueError, RecursionError):
        content = None
    return content if isinstance(content, dict) else {}


def told(value: object) -> str:
    """A foreign text as we keep it: without control characters, at most 200 characters; "" for anything but a text."""
    return _UNWRITABLE.sub("", value).strip()[:MAX_TOLD_CHARS] if isinstance(value, str) else ""


def not_in_roubles(title_ru: str) -> NeedsPerson:
    return NeedsPerson(
        f"Платёж {title_ru} не в рублях: баллы за него не начисляются сами. Сверьте сумму и начислите баллы вручную."
    )


def is_same(given: str, expected: str) -> bool:
    """Compares signatures in constant time; never raises."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass"))


def can_hash(algorithm: str) -> bool:
    """Some systems name ripemd160 and can no longer do it."""
    try:
        hashlib.new(algorithm)
    except ValueError:
        return False
    return True


def unix_instant(seconds: object) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int) and 0 < seconds < 2**33 else None


def fresh(stamp: object, received_at: datetime, *, max_age_s: int) -> Check:
    """The verdict on a signature's own time: seconds since 1970 as a text."""
    is_stamp = isinstance(stamp, str) and _STAMP.fullmatch(stamp) is not None
    age_s = received_at.timestamp() - int(str(stamp)) if is_stamp else float("inf")
    given = f"{stamp}, {age_s:.0f} с назад" if is_stamp else ""
    is_good = -MAX_AHEAD_S <= age_s <= max_age_s
    return Check("время подписи", is_good, expected=f"не старше {max_age_s} с", given=given)


def rsa_key(text: str, acquirer: str) -> RSAPublicKey:
    """The key of a certificate or a public key: PEM, on one line too, or the base64 of the binary file.

    Raises NotConfigured.
    """
    try:
        binary = b64decode(_AROUND_BASE64.sub("", text), validate=True)
        is_bare = "PUBLIC KEY" in text
        key = load_der_public_key(binary) if is_bare else load_der_x509_certificate(binary).public_key()
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPublicKey) or key.key_size < MIN_RSA_BITS:
        raise NotConfigured(f"{acquirer}: the certificate is not one with an RSA key of at least {MIN_RSA_BITS} bits")
    return key


def is_signed(key: RSAPublicKey, message: bytes, signature: bytes, algorithm: HashAlgorithm) -> bool:
    """Whether the key's owner signed the message (PKCS#1 v1.5)."""
    try:
        key.verify(signature, message, PKCS1v15(), algorithm)
    except InvalidSignature:
        return False
    return True
