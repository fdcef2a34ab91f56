"""Everything derived from SECRET_KEY: sealing of stored secrets, secret addresses, fingerprints.

The first key seals and derives; every key opens and is accepted, so keys can be rotated. Each purpose has its own
derived key (HKDF). Holds keys in memory only.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FORMAT = b"v1"
NONCE_BYTES = 12
KEY_ID_BYTES = 4
PATHS_IN_CACHE = 32


class CannotOpen(Exception):
    """A sealed value was made with a key that SECRET_KEY does not hold, or was changed since."""


class Keys:
    """`secrets`: the values of SECRET_KEY, the current one first. `random_bytes` makes nonces."""

    def __init__(self, secrets: Sequence[str], *, random_bytes: Callable[[int], bytes]) -> None:
        if not secrets:
            raise ValueError("SECRET_KEY is empty")
        self._secrets = [secret.encode() for secret in secrets]
        self._random_bytes = random_bytes
        self._sealers = {self._key_id(secret): AESGCM(_derive(secret, "seal")) for secret in self._secrets}

    @property
    def fingerprints(self) -> list[str]:
        """Printable names of the keys, the current one first; they reveal nothing of the keys."""
        return [_fingerprint(secret) for secret in self._secrets]

    def seal(self, value: bytes, *, context: str) -> bytes:
        """AES-256-GCM under the current key; `context` (table and row) must be given again to open."""
        key_id = self._key_id(self._secrets[0])
        nonce = self._random_bytes(NONCE_BYTES)
        return FORMAT + key_id + nonce + self._sealers[key_id].encrypt(nonce, value, context.encode())

    def open(self, sealed: bytes, *, context: str) -> bytes:
        """Raises CannotOpen."""
        head = len(FORMAT) + KEY_ID_BYTES
        sealer = self._sealers.get(sealed[len(FORMAT) : head])
        if sealer is None or not sealed.startswith(FORMAT):
            raise CannotOpen(f"{context}: sealed with a key that SECRET_KEY does not hold")
        nonce, secret = sealed[head : head + NONCE_BYTES], sealed[head + NONCE_BYTES :]
        try:
            return sealer.decrypt(nonce, secret, context.encode())
        except InvalidTag as failure:
            raise CannotOpen(f"{context}: the sealed value was changed") from failure

    def secret_path(self, purpose: str) -> str:
        """The secret part of an address, by the current key: 256 bits, base64url."""
        return _path(self._secrets[0], purpose)

    def is_secret_path(self, purpose: str, given: str) -> bool:
        """Constant-time check against every key."""
        candidate = given.encode(errors="replace")
        return any([hmac.compare_digest(_path(secret, purpose).encode(), candidate) for secret in self._secrets])

    def code(self, purpose: str, text: str, *, key_name: str | None = None) -> str:
        """256 bits that only we can make of this text, base64url: by the key of that fingerprint, by the current one
        where it is gone or none is named."""
        names = self.fingerprints
        return _code(self._secrets[names.index(key_name) if key_name in names else 0], purpose, text)

    def key_of_code(self, purpose: str, text: str, given: str) -> str | None:
        """The fingerprint of the key that made this code, None for none; compared with every key in constant time."""
        candidate = given.encode(errors="replace")
        fits = [hmac.compare_digest(_code(secret, purpose, text).encode(), candidate) for secret in self._secrets]
        return next((name for name, is_it in zip(self.fingerprints, fits, strict=True) if is_it), None)

    @staticmethod
    def _key_id(secret: bytes) -> bytes:
        return _derive(secret, "key id")[:KEY_ID_BYTES]


def token_digest(token: str) -> bytes:
    """What is stored of an API token: tokens are random 256-bit values, so one hash is enough."""
    return hashlib.sha256(token.encode()).digest()


@lru_cache(maxsize=PATHS_IN_CACHE)
def _fingerprint(secret: bytes) -> str:
    return _derive(secret, "fingerprint")[:8].hex(":")


def _derive(secret: bytes, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"kopilka {purpose}".encode()).derive(secret)


@lru_cache(maxsize=PATHS_IN_CACHE)
def _code_key(secret: bytes, purpose: str) -> bytes:
    return _derive(secret, f"code {purpose}")


def _code(secret: bytes, purpose: str, text: str) -> str:
    mac = hmac.digest(_code_key(secret, purpose), text.encode(errors="replace"), "sha256")
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


@lru_cache(maxsize=PATHS_IN_CACHE)
def _path(secret: bytes, purpose: str) -> str:
    return base64.urlsafe_b64encode(_derive(secret, f"path {purpose}")).rstrip(b"=").decode()
