"""The certificates behind a card's signature: whose it is, who issued it, up to which root, and whether they are valid.

Owns reading certificate files that a person gives (PEM or Apple's .cer). Asks no network: a revoked certificate is not
noticed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID, ObjectIdentifier

from wallet.errors import CertificateUnreadableError
from wallet.verdict import shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from wallet.verdict import Faults
    from wallet.verify_signature import Signed

CLOCK_SLACK = timedelta(hours=24)
"""A server's clock may be wrong by so much before the signing time is called one of the future."""

PASS_EKU = ObjectIdentifier("1.2.840.113635.100.4.14")
PASS_TYPE_EXTENSION = ObjectIdentifier("1.2.840.113635.100.6.1.16")
APPLE = "Apple Inc."

_PEM_MARK = b"-----BEGIN"
_PHONE = "iPhone скажет только, что карту нельзя добавить"
_WWDR_HINT = "возьмите AppleWWDRCAG4.cer с apple.com/certificateauthority"


@dataclass(frozen=True)
class Trust:
    """What the person who checks relies on: roots, and the intermediate that must be inside. Empty: not given."""

    roots: tuple[x509.Certificate, ...] = ()
    wwdr: x509.Certificate | None = None

    def ca_pem(self) -> bytes | None:
        return b"".join(one.public_bytes(Encoding.PEM) for one in self.roots) or None


def read_certificates(data: bytes) -> tuple[x509.Certificate, ...]:
    """One or more of PEM, or one of DER. Raises CertificateUnreadableError."""
    try:
        if _PEM_MARK in data:
            return tuple(x509.load_pem_x509_certificates(data))
        return (x509.load_der_x509_certificate(data),)
    except (ValueError, x509.InvalidVersion) as error:
        raise CertificateUnreadableError("сертификат не читается: нужен файл .pem или .cer целиком") from error


def check_chain(signed: Signed, trust: Trust, *, now: datetime, faults: Faults) -> None:
    """Everything about the certificates but their names."""
    certificate = signed.certificate
    if certificate is None:
        return
    _check_purpose(certificate, faults)
    wwdr = _intermediate(certificate, signed.others, trust, faults)
    _check_root(wwdr, trust, faults)
    _check_dates(certificate, "сертификат карты", signed.signed_at, now=now, faults=faults)
    if wwdr is not None:
        _check_dates(wwdr, "промежуточный WWDR", signed.signed_at, now=now, faults=faults)
    if signed.signed_at is not None and signed.signed_at > now + CLOCK_SLACK:
        text = f"карта подписана {signed.signed_at:%d.%m.%Y}, это в будущем"
        faults.error("signing-time-future", text, "проверьте часы сервера и подпишите заново")


def check_names(content: dict[str, object], certificate: x509.Certificate, faults: Faults) -> None:
    """passTypeIdentifier and teamIdentifier are those of the certificate."""
    for key, oid, code in (
        ("passTypeIdentifier", NameOID.USER_ID, "certificate-pass-type"),
        ("teamIdentifier", NameOID.ORGANIZATIONAL_UNIT_NAME, "certificate-team"),
    ):
        found, stated = name_part(certificate, oid), content.get(key)
        if isinstance(stated, str) and stated != found:
            text = f"в карте {key} {shown(stated)}, а сертификат на {shown(found) or 'никого'}; {_PHONE}"
            faults.error(code, text, "впишите значение из сертификата или подпишите другим сертификатом")
    extended, pass_type = _extension(certificate, PASS_TYPE_EXTENSION), content.get("passTypeIdentifier")
    if extended is None:
        text = "в сертификате нет расширения Apple с типом карты"
        faults.warning("certificate-extension", text, "возьмите сертификат вида Pass Type ID в кабинете Apple")
    elif isinstance(pass_type, str) and extended[2:] != pass_type.encode(errors="replace"):
        text = f"расширение сертификата называет тип карты {shown(extended[2:].decode(errors='replace'))}; {_PHONE}"
        faults.error("certificate-extension", text, "подпишите сертификатом этого типа карты")


def name_part(certificate: x509.Certificate, oid: ObjectIdentifier) -> str:
    return next((str(part.value) for part in certificate.subject.get_attributes_for_oid(oid)), "")


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        if isinstance(certificate.signature_hash_algorithm, hashes.SHA1):
            return _is_issued_by_sha1(certificate, issuer)
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _is_issued_by_sha1(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Of Apple's certificates before 2016, for which the library has no word: all have ended, and that is their fault.
    Raises InvalidSignature."""
    key = issuer.public_key()
    if certificate.issuer != issuer.subject or not isinstance(key, RSAPublicKey):
        return False
    key.verify(certificate.signature, certificate.tbs_certificate_bytes, PKCS1v15(), hashes.SHA1())  # noqa: S303
    return True


def is_apples(wwdr: x509.Certificate) -> bool:
    """By its name, which anybody may write: only a root proves it."""
    return name_part(wwdr, NameOID.ORGANIZATION_NAME) == APPLE


def is_for_passes(certificate: x509.Certificate) -> bool:
    """Has the extended key usage of pass certificates."""
    try:
        return PASS_EKU in certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return False


def _check_purpose(certificate: x509.Certificate, faults: Faults) -> None:
    mend = "в кабинете Apple выпустите сертификат вида Pass Type ID"
    if not is_for_passes(certificate):
        faults.error("certificate-purpose", f"сертификат не для карт Wallet; {_PHONE}", mend)
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return
    if not usage.digital_signature:
        faults.error("certificate-usage", "сертификатом нельзя подписывать: нет digitalSignature", mend)


def _intermediate(
    certificate: x509.Certificate, others: Sequence[x509.Certificate], trust: Trust, faults: Faults
) -> x509.Certificate | None:
    """The certificate that issued this one; to be found inside the signature."""
    inside = next((one for one in others if is_issued_by(certificate, one)), None)
    if inside is None:
        text = f"в подписи нет промежуточного сертификата, выпустившего карту; {_PHONE}"
        issuer = certificate.issuer.rfc4514_string()
        faults.error("wwdr-missing", text, f"вложите в подпись «{shown(issuer)}»: {_WWDR_HINT}")
        return trust.wwdr if trust.wwdr is not None and is_issued_by(certificate, trust.wwdr) else None
    if trust.wwdr is not None and inside != trust.wwdr:
        faults.error("wwdr-other", "в подписи не тот промежуточный, что дан ключом --wwdr", _WWDR_HINT)
    try:
        is_ca = inside.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        is_ca = False
    if not is_ca:
        faults.error("wwdr-not-ca", f"выпустивший сертификат не удостоверяющий центр; {_PHONE}", _WWDR_HINT)
    return inside


def _check_root(wwdr: x509.Certificate | None, trust: Trust, faults: Faults) -> None:
    if wwdr is None:
        return
    if trust.roots:
        if not any(is_issued_by(wwdr, root) for root in trust.roots):
            text = f"цепочка не приводит к корню из --ca; {_PHONE}"
            faults.error("chain-root", text, f"подпишите сертификатом Apple и вложите его WWDR: {_WWDR_HINT}")
        return
    faults.warning(
        "ca-not-given", "цепочка до корня не проверена", "дайте корень Apple: --ca AppleIncRootCertificate.cer"
    )
    if not is_apples(wwdr):
        text = f"карту заверил не Apple, а «{shown(wwdr.subject.rfc4514_string())}»; {_PHONE}"
        faults.error("not-apple", text, "учебную карту проверяйте с её корнем: --ca ca.pem")


def _check_dates(
    certificate: x509.Certificate, title: str, signed_at: datetime | None, *, now: datetime, faults: Faults
) -> None:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    days = f"{begin:%d.%m.%Y}-{end:%d.%m.%Y}"
    if now > end:
        mend = "выпустите новый для того же типа карты: установленные карты продолжат жить"
        faults.error("certificate-expired", f"{title} истёк {end:%d.%m.%Y}; {_PHONE}", mend)
    if now < begin:
        faults.error("certificate-early", f"{title} действует с {begin:%d.%m.%Y}", "проверьте часы или подождите")
    if signed_at is not None and not begin <= signed_at <= end:
        text = f"карта подписана {signed_at:%d.%m.%Y}, когда {title} не действовал ({days})"
        faults.error("signed-outside", text, "проверьте часы сервера и подпишите заново")


def _extension(certificate: x509.Certificate, oid: ObjectIdentifier) -> bytes | None:
    """The DER of an extension that the library does not know."""
    try:
        value = certificate.extensions.get_extension_for_oid(oid).value
    except (x509.ExtensionNotFound, ValueError):
        return None
    return value.value if isinstance(value, x509.UnrecognizedExtension) else None
