"""The checksum of a callback of RBS/BPC: by a token (HMAC-SHA256) or by the bank's certificate (RSA with SHA-512).

Owns what is signed and how: acquirers reference, section 6. Every field that came enters, so a new one does no harm.
`sign_alias` is not signed and not believed: it names SHA-256 where the bank uses SHA-512.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from hashlib import sha256

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

from connector.acquiring.base import Check
from connector.acquiring.forms import is_signed
from connector.acquiring.reading import compared
from connector.errors import NotConfigured

_HEX = re.compile(r"(?:[0-9A-F]{2}){1,1024}")
_UNSIGNED = {"checksum", "sign_alias"}


class Checksum:
    """How one shop's callbacks are proved; by nothing if neither key is given. Raises NotConfigured."""

    def __init__(self, acquirer: str, *, key: str, certificate: str) -> None:
        if key and certificate:
            raise NotConfigured(f"{acquirer}: 'callback_key' and 'callback_certificate' cannot both be in use")
        self._key = key.encode()
        self._certificate = _public_key(certificate, acquirer) if certificate else None

    def check(self, fields: Mapping[str, str]) -> Check:
        names = sorted(fields.keys() - _UNSIGNED)
        text, given = "".join(f"{name};{fields[name]};" for name in names), fields.get("checksum", "").upper()
        signed = text.encode("utf-8", "surrogatepass")
        if self._certificate is not None:
            signature = bytes.fromhex(given) if _HEX.fullmatch(given) else b""
            is_good = is_signed(self._certificate, signed, signature, SHA512())
            return Check("подпись checksum (RSA, SHA-512)", is_good, text, given=given)
        if self._key:
            expected = hmac.new(self._key, signed, sha256).hexdigest().upper()
            return compared("подпись checksum (HMAC-SHA256)", expected=expected, given=given, hashed=text)
        return Check("подпись не проверяется: ключ банка не задан, и о заказе спросят у банка", is_good=True)

    def proves(self, fields: Mapping[str, str]) -> bool:
        """Whether a callback that passed `check` says what it seems to say. A text of `name;value;` can be read in one
        way only if there is no semicolon in a name or a value: a buyer may have put one into his order."""
        is_used = bool(self._key) or self._certificate is not None
        return is_used and not any(";" in part for pair in fields.items() for part in pair)


def _public_key(pem: str, acquirer: str) -> RSAPublicKey:
    """Of any length: the bank chooses it, and its own example has 1024 bits. `\\n` may stand for the ends of lines."""
    text = pem.replace("\\n", "\n").encode()
    try:
        is_certificate = b"BEGIN CERTIFICATE" in text
        key = load_pem_x509_certificate(text).public_key() if is_certificate else load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPublicKey):
        raise NotConfigured(f"{acquirer}: the credential 'callback_certificate' is no PEM with an RSA key")
    return key
