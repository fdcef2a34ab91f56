"""Certificates of cards looked at by a person who sets them up: everything right and wrong, not only the first fault.

Signing itself reads them in `wallet.signing`, which stops at the first fault; this only tells. Bytes in, findings out:
texts are Russian, each trouble says what the phone would never say, and its mend.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12
from cryptography.x509.oid import NameOID

from wallet.errors import (
    CertificateUnreadableError,
    KeyUnreadableError,
    NotAPassCertificateError,
    PasswordError,
    SigningError,
)
from wallet.verify_chain import is_apples, is_for_passes, is_issued_by, name_part, read_certificates

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

ALERT_DAYS = (30, 14, 3)
"""So many days before its end a certificate is spoken of."""

PHONE = "iPhone скажет только, что карту нельзя добавить"
RENEW = "kopilka wallet renew --dry-run покажет, как выпустить новый: установленные карты продолжат жить"
WWDR_HINT = "скачайте AppleWWDRCAG4.cer с apple.com/certificateauthority и назовите файл в card.apple.wwdr"
_EXPORT = "выгрузите из Keychain сертификат вместе с ключом одним .p12"
_PEM_MARK = b"-----BEGIN"
_DEMO = "DEMO"
_TYPE_PREFIX = "pass."


@dataclass(frozen=True)
class Finding:
    """One line of a check; `code` is the stable English name, `mend` is empty only for `ok`."""

    level: Literal["ok", "warning", "error"]
    code: str
    text: str
    mend: str = ""


@dataclass(frozen=True)
class Bundle:
    """What is in the owner's file: his certificate and its key."""

    certificate: x509.Certificate
    key: RSAPrivateKey = field(repr=False)

    @property
    def pass_type_id(self) -> str:
        return name_part(self.certificate, NameOID.USER_ID)

    @property
    def team_id(self) -> str:
        return name_part(self.certificate, NameOID.ORGANIZATIONAL_UNIT_NAME)

    @property
    def expires_at(self) -> datetime:
        return self.certificate.not_valid_after_utc


def is_p12_name(name: str) -> bool:
    """By its name a file is read as .p12, else as PEM."""
    return name.lower().endswith((".p12", ".pfx"))


def read_bundle(data: bytes, password: str | None, *, name: str) -> Bundle:
    """`name` says how the file will be read. Raises SigningError."""
    if is_p12_name(name):
        return _read_p12(data, password)
    if _PEM_MARK not in data:
        raise CertificateUnreadableError(f"{name} не PEM: если это .p12 из Keychain, назовите файл с окончанием .p12")
    return Bundle(_first_certificate(data), _read_pem_key(data, password))


def examine(
    bundle: Bundle, wwdr: x509.Certificate | None, *, pass_type_id: str, team_id: str, now: datetime
) -> list[Finding]:
    """Everything about the owner's certificate against the rules file; `wwdr` None: there is none."""
    return [
        _key(bundle),
        _kind(bundle),
        _same("wallet-pass-type", "тип карты", bundle.pass_type_id, pass_type_id, "card.apple.pass_type_id"),
        _same("wallet-team-mismatch", "команда", bundle.team_id, team_id, "card.apple.team_id"),
        lasting("сертификат карты", bundle.certificate, now, mend=RENEW),
        *_intermediate(bundle, wwdr, now),
    ]


def lasting(title: str, certificate: x509.Certificate, now: datetime, *, mend: str) -> Finding:
    """How long it is still valid."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begin:
        text = f"{title} действует только с {begin:%d.%m.%Y}"
        return Finding("error", "wallet-certificate-not-yet-valid", text, "проверьте часы сервера")
    if now > end:
        text = f"{title} истёк {end:%d.%m.%Y}: новые карты не добавить, старые не обновляются"
        return Finding("error", "wallet-certificate-expired", text, mend)
    left = f"{title} годен до {end:%d.%m.%Y} (осталось дней: {(end - now).days})"
    if end - now > timedelta(days=ALERT_DAYS[0]):
        return Finding("ok", "wallet-certificate-lasting", left)
    level: Literal["warning", "error"] = "error" if end - now <= timedelta(days=ALERT_DAYS[-1]) else "warning"
    return Finding(level, "wallet-certificate-ending", left, mend)


def read_wwdr(data: bytes) -> x509.Certificate:
    """Raises CertificateUnreadableError."""
    return read_certificates(data)[0]


def refusal(failure: SigningError) -> Finding:
    """A file that cannot be read, in the words of the failure: text and mend stand in one sentence there."""
    text, _, mend = str(failure).partition(": ")
    return Finding("error", failure.code, text, mend or _EXPORT)


def _key(bundle: Bundle) -> Finding:
    if bundle.certificate.public_key() == bundle.key.public_key():
        return Finding("ok", "wallet-key", "закрытый ключ подходит к сертификату")
    return Finding("error", "wallet-key-mismatch", f"ключ не от этого сертификата; {PHONE}", _EXPORT)


def _kind(bundle: Bundle) -> Finding:
    if bundle.pass_type_id.startswith(_TYPE_PREFIX) and bundle.team_id and is_for_passes(bundle.certificate):
        return Finding("ok", "wallet-kind", "это сертификат карт Wallet (Pass Type ID)")
    mend = "в кабинете Apple: Certificates, +, Pass Type ID Certificate"
    return Finding("error", NotAPassCertificateError.code, f"это сертификат другого вида; {PHONE}", mend)


def _same(code: str, title: str, found: str, stated: str, rule: str) -> Finding:
    if found == stated:
        return Finding("ok", code, f"{title} {found}: как в {rule}")
    text = f"в правилах {rule} {stated}, а сертификат на {found or 'неизвестно что'}; {PHONE}"
    return Finding("error", code, text, f"впишите {rule}: {found} или возьмите другой сертификат")


def _intermediate(bundle: Bundle, wwdr: x509.Certificate | None, now: datetime) -> list[Finding]:
    if wwdr is None:
        text = f"нет промежуточного сертификата Apple WWDR; {PHONE}"
        return [Finding("error", "wallet-wwdr-missing", text, WWDR_HINT)]
    if not is_issued_by(bundle.certificate, wwdr):
        needed = bundle.certificate.issuer.rfc4514_string()
        text = f"промежуточный не тот: сертификат карты выпустил «{needed}»; {PHONE}"
        return [Finding("error", "wallet-issuer-mismatch", text, WWDR_HINT)]
    found = [
        Finding("ok", "wallet-wwdr", "промежуточный WWDR выпустил этот сертификат"),
        lasting("промежуточный WWDR", wwdr, now, mend=WWDR_HINT),
    ]
    if _DEMO in name_part(wwdr, NameOID.COMMON_NAME):
        mend = "получите сертификат в кабинете Apple и назовите его в card.apple"
        found.append(Finding("warning", "wallet-demo", "сертификат учебный: iPhone карту не примет", mend))
    elif not is_apples(wwdr):
        text = f"промежуточный выпустил не Apple: «{wwdr.subject.rfc4514_string()}»; {PHONE}"
        found.append(Finding("warning", "wallet-not-apple", text, WWDR_HINT))
    return found


def _read_p12(data: bytes, password: str | None) -> Bundle:
    if _PEM_MARK in data:
        raise CertificateUnreadableError("это PEM, а не .p12: назовите файл с окончанием .pem")
    try:
        found = load_pkcs12(data, None if password is None else password.encode())
    except ValueError as error:
        lack = "пароль не задан, впишите card.apple.password: env:ИМЯ" if password is None else "проверьте пароль"
        raise PasswordError(f"файл .p12 не открылся: {lack} и что это .p12 целиком") from error
    if found.cert is None:
        raise CertificateUnreadableError(f"в .p12 нет сертификата: {_EXPORT}")
    if not isinstance(found.key, RSAPrivateKey):
        raise KeyUnreadableError(f"в .p12 нет закрытого ключа RSA: {_EXPORT}")
    return Bundle(found.cert.certificate, found.key)


def _first_certificate(data: bytes) -> x509.Certificate:
    """The one that signing takes too."""
    if b"-----BEGIN CERTIFICATE" not in data:
        raise CertificateUnreadableError("в файле нет сертификата: положите в .pem и сертификат, и ключ")
    return read_certificates(data)[0]


def _read_pem_key(data: bytes, password: str | None) -> RSAPrivateKey:
    """The same file holds certificate and key."""
    try:
        key = load_pem_private_key(data, None if password is None else password.encode())
    except TypeError as error:
        hint = (
            "ключ зашифрован: впишите card.apple.password" if password is None else "ключ не зашифрован: уберите пароль"
        )
        raise PasswordError(hint) from error
    except ValueError as error:
        if password is not None:
            raise PasswordError("ключ не открылся: проверьте пароль") from error
        raise KeyUnreadableError("в файле .pem нет ключа: допишите в него BEGIN PRIVATE KEY") from error
    if not isinstance(key, RSAPrivateKey):
        raise KeyUnreadableError("ключ не RSA: сертификаты карт Apple выпускает только на RSA")
    return key
