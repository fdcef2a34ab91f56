"""Apple's signature of a manifest: PKCS#7, detached, DER, SHA-256, intermediate included, with a signing time.

Implements just that of RFC 5652 (SignedData, one signer by issuer and serial number, three signed attributes).
Written by hand because the builder of `cryptography` takes the machine's clock for the signing time: with a given time
equal content has equal bytes. What does not depend on the content is laid out once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

_INTEGER, _OCTETS, _NULL, _OID, _UTC_TIME, _GENERALIZED_TIME = 0x02, 0x04, 0x05, 0x06, 0x17, 0x18
_SEQUENCE, _SET, _CONTEXT_0 = 0x30, 0x31, 0xA0
_SHORT_LENGTH_MAX = 0x7F
_UTC_TIME_LAST_YEAR = 2049
"""RFC 5652, 11.3: later years are written with four digits."""

_SIGNED_DATA = "1.2.840.113549.1.7.2"
_DATA = "1.2.840.113549.1.7.1"
_CONTENT_TYPE = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
_SIGNING_TIME = "1.2.840.113549.1.9.5"
_SHA256 = "2.16.840.1.101.3.4.2.1"
_RSA = "1.2.840.113549.1.1.1"


@dataclass(frozen=True)
class CmsSigner:
    """One certificate, its key and its intermediate. Immutable and safe to share between threads."""

    _key: RSAPrivateKey = field(repr=False)
    _head: bytes = field(repr=False)
    """What stands in SignedData before the signers."""
    _signer_head: bytes = field(repr=False)
    """What stands in SignerInfo before the signed attributes."""

    @classmethod
    def of(cls, certificate: x509.Certificate, wwdr: x509.Certificate, key: RSAPrivateKey) -> CmsSigner:
        sha256 = _tlv(_SEQUENCE, _oid(_SHA256) + _tlv(_NULL, b""))  # with NULL, as OpenSSL writes it
        encoded = sorted(one.public_bytes(Encoding.DER) for one in (certificate, wwdr))
        name = certificate.issuer.public_bytes()
        return cls(
            _key=key,
            _head=_integer(1) + _tlv(_SET, sha256) + _tlv(_SEQUENCE, _oid(_DATA)) + _tlv(_CONTEXT_0, b"".join(encoded)),
            _signer_head=_integer(1) + _tlv(_SEQUENCE, name + _integer(certificate.serial_number)) + sha256,
        )

    def sign(self, content: bytes, *, signed_at: datetime) -> bytes:
        """The detached signature; `signed_at` is kept to the second."""
        attributes = sorted(
            (
                _attribute(_CONTENT_TYPE, _oid(_DATA)),
                _attribute(_SIGNING_TIME, _time(signed_at)),
                _attribute(_MESSAGE_DIGEST, _tlv(_OCTETS, hashlib.sha256(content).digest())),
            )
        )
        signed = b"".join(attributes)
        # RFC 5652, 5.4: signed as a SET, sent with the tag of its place.
        signature = self._key.sign(_tlv(_SET, signed), PKCS1v15(), SHA256())
        signer = _tlv(
            _SEQUENCE,
            self._signer_head
            + _tlv(_CONTEXT_0, signed)
            + _tlv(_SEQUENCE, _oid(_RSA) + _tlv(_NULL, b""))
            + _tlv(_OCTETS, signature),
        )
        signed_data = _tlv(_SEQUENCE, self._head + _tlv(_SET, signer))
        return _tlv(_SEQUENCE, _oid(_SIGNED_DATA) + _tlv(_CONTEXT_0, signed_data))


def _attribute(name: str, value: bytes) -> bytes:
    return _tlv(_SEQUENCE, _oid(name) + _tlv(_SET, value))


def _time(at: datetime) -> bytes:
    moment = at.astimezone(UTC)
    if moment.year <= _UTC_TIME_LAST_YEAR:
        return _tlv(_UTC_TIME, f"{moment:%y%m%d%H%M%S}Z".encode())
    return _tlv(_GENERALIZED_TIME, f"{moment:%Y%m%d%H%M%S}Z".encode())


def _integer(value: int) -> bytes:
    """A positive one: the first bit is the sign's."""
    return _tlv(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _oid(text: str) -> bytes:
    first, second, *rest = map(int, text.split("."))
    return _tlv(_OID, b"".join(_base_128(arc) for arc in (40 * first + second, *rest)))


def _base_128(arc: int) -> bytes:
    digits = [arc & 0x7F]
    while arc := arc >> 7:
        digits.append(arc & 0x7F | 0x80)
    return bytes(reversed(digits))


def _tlv(tag: int, value: bytes) -> bytes:
    size = len(value)
    if size <= _SHORT_LENGTH_MAX:
        return bytes((tag, size)) + value
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + value
