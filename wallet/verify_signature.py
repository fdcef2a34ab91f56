"""The signature of a card as a phone judges it: detached, over exactly the manifest, with a time, by a pass certificate
whose names are those of pass.json. Bytes and certificates in, faults out; whose root it must be is `verify_chain`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from wallet import verify_der as der
from wallet.verify_cms import MESSAGE_DIGEST, SIGNING_TIME, name_of, read_signature
from wallet.verify_der import DerError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from wallet.verdict import Faults
    from wallet.verify_cms import SignedData, SignerInfo

MAX_SIGNATURE_BYTES = 256 * 1024
"""A genuine one is a few kilobytes; each pair of bytes may be an element of its own when it is read."""

_DIGESTS: Mapping[str, hashes.HashAlgorithm] = {
    "1.3.14.3.2.26": hashes.SHA1(),  # noqa: S303 - named, to be warned of
    "2.16.840.1.101.3.4.2.1": hashes.SHA256(),
    "2.16.840.1.101.3.4.2.2": hashes.SHA384(),
    "2.16.840.1.101.3.4.2.3": hashes.SHA512(),
}
_RSA = frozenset(
    f"1.2.840.113549.1.1.{last}" for last in (1, 5, 11, 12, 13)
)  # rsaEncryption, then with SHA-1, SHA-256, SHA-384 and SHA-512
_ODD = (x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
_SIGN_AGAIN = "подпишите карту заново"


@dataclass(frozen=True)
class Signed:
    """Who signed and when; None: not known. `others`: the certificates that came with his."""

    certificate: x509.Certificate | None
    others: tuple[x509.Certificate, ...]
    signed_at: datetime | None


def check_signature(manifest: bytes, signature: bytes, faults: Faults) -> Signed | None:
    """None when it cannot be read at all."""
    if len(signature) > MAX_SIGNATURE_BYTES:
        text = f"подпись больше {MAX_SIGNATURE_BYTES // 1024} КБ"
        faults.error("signature-big", text, f"{_SIGN_AGAIN}: подписи хватает нескольких килобайт")
        return None
    try:
        found = read_signature(signature)
        certificates = {name_of(one): _certificate(one) for one in found.certificates}
    except (DerError, IndexError):
        mend = f"нужна подпись PKCS#7 в DER, а не PEM и не S/MIME: {_SIGN_AGAIN}"
        faults.error("signature-unreadable", "подпись не читается", mend)
        return None
    if found.is_attached:
        mend = "подписывайте отсоединённо (detached): манифест лежит рядом"
        faults.error("signature-attached", "манифест вложен внутрь подписи", mend)
    signer = _one_signer(found, faults)
    if signer is None:
        return None
    certificate = certificates.get((signer.issuer, signer.serial))
    if certificate is None:
        mend = "вложите в подпись сертификат карты и WWDR"
        faults.error("signer-missing", "в подписи нет сертификата того, кто подписал", mend)
    else:
        _check_seal(manifest, signer, certificate, faults)
    others = tuple(one for one in certificates.values() if one is not certificate)
    return Signed(certificate, others, _signed_at(signer, faults))


def _certificate(data: bytes) -> x509.Certificate:
    """One all of whose parts can be read: the library looks at each only when it is asked for. Raises DerError."""
    try:
        certificate = x509.load_der_x509_certificate(data)
        certificate.public_key()
        _ = certificate.subject, certificate.issuer, certificate.extensions, certificate.not_valid_after_utc
    except (ValueError, TypeError, UnsupportedAlgorithm, *_ODD) as error:
        raise DerError("certificate") from error
    return certificate


def _one_signer(found: SignedData, faults: Faults) -> SignerInfo | None:
    if len(found.signers) == 1:
        return found.signers[0]
    text = f"подписавших {len(found.signers)}, нужен один"
    faults.error("signer-count", text, f"{_SIGN_AGAIN} одним сертификатом карты")
    return None


def _check_seal(manifest: bytes, signer: SignerInfo, certificate: x509.Certificate, faults: Faults) -> None:
    digest, key = _DIGESTS.get(signer.digest), certificate.public_key()
    if digest is None or signer.algorithm not in _RSA or not isinstance(key, RSAPublicKey):
        text = f"подпись сделана незнакомым способом {signer.digest}, {signer.algorithm}"
        faults.error("signature-algorithm", text, "нужны RSA (PKCS#1 v1.5) и SHA-256")
        return
    if isinstance(digest, hashes.SHA1):
        faults.warning("signature-sha1", "подпись на устаревшей SHA-1", "подписывайте с SHA-256")
    stated = signer.attributes.get(MESSAGE_DIGEST)
    if signer.attributes and (stated is None or stated.body != hashlib.new(digest.name, manifest).digest()):
        text = "подписан другой манифест: после подписи его меняли"
        faults.error("signature-manifest", text, f"{_SIGN_AGAIN}; переводы строк манифеста не меняйте")
    try:
        key.verify(signer.signature, signer.signed_bytes or manifest, PKCS1v15(), digest)
    except InvalidSignature:
        text = "подпись не сходится с ключом сертификата"
        faults.error("signature-wrong", text, f"{_SIGN_AGAIN} ключом этого же сертификата")


def _signed_at(signer: SignerInfo, faults: Faults) -> datetime | None:
    stated = signer.attributes.get(SIGNING_TIME)
    if stated is None:
        faults.error(
            "signing-time-missing", "в подписи нет времени (signing-time)", "добавьте его: Wallet без него не примет"
        )
        return None
    try:
        return der.moment(stated)
    except DerError:
        faults.error("signing-time-unreadable", "время подписи не читается", "запишите его в UTC по RFC 5652")
        return None
