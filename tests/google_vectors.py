"""Callbacks of Google as its protocol describes them, signed here with a root key of our own."""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SENDER = "GooglePayPasses"
PROTOCOL = "ECv2SigningOnly"


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def public_der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def signed(key: ec.EllipticCurvePrivateKey, *parts: str, by_characters: bool = False) -> str:
    """`by_characters` makes the mistake that some libraries make."""
    content = b""
    for part in parts:
        encoded = part.encode()
        content += struct.pack("<I", len(part) if by_characters else len(encoded)) + encoded
    return base64.b64encode(key.sign(content, ec.ECDSA(hashes.SHA256()))).decode()


@dataclass
class Google:
    """Whoever holds the root key. Times in milliseconds."""

    issuer_id: str
    now_ms: int
    root: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    intermediate: ec.EllipticCurvePrivateKey = field(default_factory=new_key)

    @property
    def root_der(self) -> bytes:
        return public_der(self.root)

    def keys_document(self) -> dict[str, Any]:
        key = base64.b64encode(self.root_der).decode()
        expires = str(self.now_ms + 10**10)
        return {"keys": [{"keyValue": key, "protocolVersion": PROTOCOL, "keyExpiration": expires}]}

    def message(self, **changes: Any) -> dict[str, Any]:
        told = {
            "classId": f"{self.issuer_id}.club",
            "objectId": f"{self.issuer_id}.club.serial1",
            "eventType": "save",
            "expTimeMillis": self.now_ms + 3_600_000,
            "count": 1,
            "nonce": "nonce-1",
        }
        return {name: value for name, value in {**told, **changes}.items() if value is not None}

    def envelope(
        self,
        message: dict[str, Any] | str | None = None,
        *,
        root: ec.EllipticCurvePrivateKey | None = None,
        key: dict[str, Any] | None = None,
        sender: str = SENDER,
        recipient: str | None = None,
        by_characters: bool = False,
    ) -> dict[str, Any]:
        """The whole callback as an object; `key` changes what the root vouches for."""
        text = message if isinstance(message, str) else json.dumps(message or self.message(), ensure_ascii=False)
        vouched = {
            "keyValue": base64.b64encode(public_der(self.intermediate)).decode(),
            "keyExpiration": str(self.now_ms + 86_400_000),
            **(key or {}),
        }
        signed_key = json.dumps({name: value for name, value in vouched.items() if value is not None})
        issuer = self.issuer_id if recipient is None else recipient
        return {
            "signature": signed(self.intermediate, sender, issuer, PROTOCOL, text, by_characters=by_characters),
            "intermediateSigningKey": {
                "signedKey": signed_key,
                "signatures": [signed(root or self.root, sender, PROTOCOL, signed_key)],
            },
            "protocolVersion": PROTOCOL,
            "signedMessage": text,
        }

    def body(self, message: dict[str, Any] | str | None = None, **changes: Any) -> bytes:
        return json.dumps(self.envelope(message, **changes)).encode()
