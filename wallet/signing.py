"""The pass signer: certificate, key and Apple's intermediate, read once and checked. Owns no pass content, no files.

The form of the signature is `wallet.cms`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12
from cryptography.x509.oid import NameOID

from wallet.cms import CmsSigner
from wallet.errors import (
    CertificateExpiredError,
    CertificateNotYetValidError,
    CertificateUnreadableError,
    IssuerMismatchError,
    KeyMismatchError,
    KeyUnreadableError,
    NotAPassCertificateError,
    PassTypeMismatchError,
    PasswordError,
    TeamMismatchError,
)

DEMO_MARK = "DEMO / не Apple"
"""Stands in every name of the self-made chain (`wallet.demo_chain`)."""

_TYPE_ID_PREFIX = "pass."
_PEM_MARK = b"-----BEGIN"
_WWDR_HINT = "скачайте AppleWWDRCAG4.cer с apple.com/certificateauthority"


@dataclass(frozen=True)
class Signer:
    """Signs passes of one pass type. Immutable and safe to share between threads."""

    pass_type_id: str
    team_id: str
    expires_at: datetime
    is_demo: bool
    _certificate: x509.Certificate = field(repr=False)
    _wwdr: x509.Certificate = field(repr=False)
    _key: RSAPrivateKey = field(repr=False)
    _cms: CmsSigner = field(repr=False)

    @classmethod
    def from_pem(
        cls,
        certificate_pem: bytes,
        key_pem: bytes,
        wwdr_pem: bytes,
        *,
        now: datetime | None,
        password: str | None = None,
    ) -> Signer:
        """Reads PEM files (the two certificates may be Apple's .cer as they are). `now` None leaves the dates to
        `require_valid`, before each signature. Raises SigningError."""
        key = _read_key(key_pem, password)
        return _checked(_read_certificate(certificate_pem, "карты"), key, _read_certificate(wwdr_pem, "Apple"), now)

    @classmethod
    def from_p12(cls, p12_bytes: bytes, password: str | None, wwdr_pem: bytes, *, now: datetime | None) -> Signer:
        """Reads the .p12 that Keychain exports. Raises SigningError."""
        try:
            bundle = load_pkcs12(p12_bytes, None if password is None else password.encode())
        except ValueError as error:
            raise PasswordError("файл .p12 не открылся: проверьте пароль и что это .p12 целиком") from error
        if bundle.cert is None:
            raise CertificateUnreadableError("в .p12 нет сертификата: выгрузите из Keychain сертификат вместе с ключом")
        if not isinstance(bundle.key, RSAPrivateKey):
            raise KeyUnreadableError("в .p12 нет ключа RSA: выгрузите из Keychain сертификат вместе с ключом")
        return _checked(bundle.cert.certificate, bundle.key, _read_certificate(wwdr_pem, "Apple"), now)

    @property
    def ends(self) -> dict[str, datetime]:
        """When each certificate ends: the card's (`pass`) and Apple's intermediate (`wwdr`)."""
        return {"pass": self._certificate.not_valid_after_utc, "wwdr": self._wwdr.not_valid_after_utc}

    def require_identity(self, *, pass_type_id: str, team_id: str) -> None:
        """Raises PassTypeMismatchError or TeamMismatchError. A phone would only say that the card cannot be added."""
        if pass_type_id != self.pass_type_id:
            raise PassTypeMismatchError(
                f"сертификат выписан на {self.pass_type_id}, а в правилах pass_type_id {pass_type_id}: "
                "впишите тип из сертификата или возьмите другой сертификат"
            )
        if team_id != self.team_id:
            raise TeamMismatchError(
                f"сертификат команды {self.team_id}, а в правилах team_id {team_id}: "
                "впишите команду из сертификата или возьмите другой сертификат"
            )

    def require_valid(self, now: datetime) -> None:
        """Raises CertificateExpiredError or CertificateNotYetValidError."""
        _check_dates(self._certificate, now, mend="выпустите новый для того же типа карты: старые карты продолжат жить")
        _check_dates(self._wwdr, now, mend=_WWDR_HINT)

    def sign(self, manifest_json: bytes, *, signed_at: datetime | None = None) -> bytes:
        """The content of the file `signature`: equal for equal content and time. The time is never before the
        certificate's first day, which also stands where none is given."""
        begin = self._certificate.not_valid_before_utc
        return self._cms.sign(manifest_json, signed_at=begin if signed_at is None else max(begin, signed_at))

    def client_pem(self, password: bytes) -> bytes:
        """Certificate, intermediate and key, locked with this password: what TLS wants of a client of Apple's push
        service, which knows a pass by its certificate."""
        certificates = [one.public_bytes(Encoding.PEM) for one in (self._certificate, self._wwdr)]
        key = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))
        return b"".join((*certificates, key))


def _checked(certificate: x509.Certificate, key: RSAPrivateKey, wwdr: x509.Certificate, now: datetime | None) -> Signer:
    if certificate.public_key() != key.public_key():
        raise KeyMismatchError("ключ не от этого сертификата: выгрузите их парой, лучше одним .p12")
    try:
        certificate.verify_directly_issued_by(wwdr)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise IssuerMismatchError(
            f"сертификат карты выпустил не «{wwdr.subject.rfc4514_string()}»; нужен промежуточный "
            f"«{certificate.issuer.rfc4514_string()}»: {_WWDR_HINT}"
        ) from error
    pass_type_id = _name_part(certificate, NameOID.USER_ID)
    team_id = _name_part(certificate, NameOID.ORGANIZATIONAL_UNIT_NAME)
    if not pass_type_id.startswith(_TYPE_ID_PREFIX) or not team_id:
        raise NotAPassCertificateError("это не сертификат карты: в кабинете Apple выберите вид Pass Type ID")
    signer = Signer(
        pass_type_id=pass_type_id,
        team_id=team_id,
        expires_at=min(certificate.not_valid_after_utc, wwdr.not_valid_after_utc),
        is_demo=DEMO_MARK in _name_part(wwdr, NameOID.COMMON_NAME),
        _certificate=certificate,
        _wwdr=wwdr,
        _key=key,
        _cms=CmsSigner.of(certificate, wwdr, key),
    )
    if now is not None:
        signer.require_valid(now)
    return signer


def _read_certificate(data: bytes, whose: str) -> x509.Certificate:
    try:
        if _PEM_MARK in data:
            return x509.load_pem_x509_certificate(data)
        return x509.load_der_x509_certificate(data)
    except ValueError as error:
        raise CertificateUnreadableError(f"сертификат {whose} не читается: нужен файл .pem или .cer целиком") from error


def _read_key(data: bytes, password: str | None) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(data, None if password is None else password.encode())
    except TypeError as error:
        hint = "ключ зашифрован, укажите пароль" if password is None else "ключ не зашифрован, уберите пароль"
        raise PasswordError(hint) from error
    except ValueError as error:
        if password is not None:
            raise PasswordError("ключ не открылся: проверьте пароль") from error
        raise KeyUnreadableError("ключ не читается: нужен файл .pem с BEGIN PRIVATE KEY") from error
    if not isinstance(key, RSAPrivateKey):
        raise KeyUnreadableError("ключ не RSA: сертификаты карт Apple выпускает только на RSA")
    return key


def _name_part(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> str:
    return next((str(part.value) for part in certificate.subject.get_attributes_for_oid(oid)), "")


def _check_dates(certificate: x509.Certificate, now: datetime, *, mend: str) -> None:
    name = _name_part(certificate, NameOID.COMMON_NAME)
    if now > certificate.not_valid_after_utc:
        raise CertificateExpiredError(f"сертификат «{name}» истёк {certificate.not_valid_after_utc:%d.%m.%Y}: {mend}")
    if now < certificate.not_valid_before_utc:
        raise CertificateNotYetValidError(
            f"сертификат «{name}» действует с {certificate.not_valid_before_utc:%d.%m.%Y}: проверьте часы сервера"
        )
