"""Reading a PKCS#7 signature (RFC 5652, SignedData): what it holds, not whether it is right. Shares nothing with the
writer (`wallet.cms`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wallet import verify_der as der
from wallet.verify_der import DerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wallet.verify_der import Node

SIGNING_TIME = "1.2.840.113549.1.9.5"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
CONTENT_TYPE = "1.2.840.113549.1.9.3"

_SIGNED_DATA = "1.2.840.113549.1.7.2"
_SET_TAG = bytes([der.SET])


@dataclass(frozen=True)
class SignerInfo:
    """One signature. `issuer` and `serial` name its certificate (b"" where it is named otherwise); `attributes` are the
    signed ones by object name; `signed_bytes` are what was signed, b"" where that is the content itself."""

    issuer: bytes
    serial: int
    digest: str
    attributes: Mapping[str, Node]
    signed_bytes: bytes
    algorithm: str
    signature: bytes


@dataclass(frozen=True)
class SignedData:
    """`is_attached`: the content stands inside, which Wallet does not want. Certificates are DER."""

    is_attached: bool
    certificates: tuple[bytes, ...]
    signers: tuple[SignerInfo, ...]


def read_signature(data: bytes) -> SignedData:
    """Raises DerError when this is not a DER SignedData."""
    outer = der.read_all(data)
    kind, wrapped = _exactly(outer, der.SEQUENCE, 2)
    if der.oid(kind) != _SIGNED_DATA or wrapped.tag != der.CONTEXT_0:
        raise DerError("not signed data")
    [signed] = _exactly(wrapped, der.CONTEXT_0, 1)
    parts = signed.children() if signed.tag == der.SEQUENCE else []
    if len(parts) < 4:
        raise DerError("signed data")
    content, last = parts[2], parts[-1]
    if content.tag != der.SEQUENCE or last.tag != der.SET:
        raise DerError("signed data")
    certificates = [one for part in parts[3:-1] if part.tag == der.CONTEXT_0 for one in part.children()]
    return SignedData(
        is_attached=len(content.children()) > 1,
        certificates=tuple(one.whole for one in certificates if one.tag == der.SEQUENCE),
        signers=tuple(_signer(one) for one in last.children()),
    )


def name_of(certificate: bytes) -> tuple[bytes, int]:
    """The issuer, as its bytes stand there, and the serial number: by which a signature names it. Raises DerError."""
    body = der.read_all(certificate).children()[0].children()
    parts = body[1:] if body and body[0].tag == der.CONTEXT_0 else body
    if len(parts) < 3:
        raise DerError("certificate")
    return parts[2].whole, int.from_bytes(parts[0].body, "big", signed=True)


def _signer(node: Node) -> SignerInfo:
    parts = node.children()
    if len(parts) < 5:
        raise DerError("signer")
    issuer, serial = b"", 0
    if parts[1].tag == der.SEQUENCE:
        name, number = _exactly(parts[1], der.SEQUENCE, 2)
        issuer, serial = name.whole, int.from_bytes(number.body, "big", signed=True)
    attributes = parts[3] if parts[3].tag == der.CONTEXT_0 else None
    rest = parts[4:] if attributes is not None else parts[3:]
    if len(rest) < 2 or rest[1].tag != der.OCTETS:
        raise DerError("signer")
    return SignerInfo(
        issuer=issuer,
        serial=serial,
        digest=_algorithm(parts[2]),
        attributes={} if attributes is None else _attributes(attributes),
        # RFC 5652, 5.4: signed as a SET, sent with the tag of its place.
        signed_bytes=b"" if attributes is None else _SET_TAG + attributes.whole[1:],
        algorithm=_algorithm(rest[0]),
        signature=rest[1].body,
    )


def _attributes(node: Node) -> dict[str, Node]:
    found: dict[str, Node] = {}
    for attribute in node.children():
        name, values = _exactly(attribute, der.SEQUENCE, 2)
        [value] = _exactly(values, der.SET, 1)
        if found.setdefault(der.oid(name), value) is not value:
            raise DerError("repeated attribute")
    return found


def _algorithm(node: Node) -> str:
    parts = node.children() if node.tag == der.SEQUENCE else []
    if not parts:
        raise DerError("algorithm")
    return der.oid(parts[0])


def _exactly(node: Node, tag: int, count: int) -> list[Node]:
    parts = node.children() if node.tag == tag else []
    if len(parts) != count:
        raise DerError("another shape")
    return parts
