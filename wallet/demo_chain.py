"""A self-made certificate chain for demonstrations and tests. No phone trusts it and every name in it says so.

Shaped like Apple's: root, worldwide-developer-relations intermediate, pass certificate (UID, OU, the pass EKU and the
pass type extension 1.2.840.113635.100.6.1.16). The keys are new at every call: the only chance in this package.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from wallet.signing import DEMO_MARK

RSA_KEY_BITS = 2048
# Far both ways: a demonstration moves its clock by years while `openssl verify` keeps to the machine's clock.
VALID_BEFORE_NOW = timedelta(days=5 * 365)
VALID_AFTER_NOW = timedelta(days=10 * 365)

_PASS_EKU = ObjectIdentifier("1.2.840.113635.100.4.14")
_PASS_TYPE_EXTENSION = ObjectIdentifier("1.2.840.113635.100.6.1.16")
_DER_UTF8_STRING = 0x0C
_DER_SHORT_LENGTH_LIMIT = 128


@dataclass(frozen=True)
class DemoChain:
    """PEM bytes. `ca_pem` is what `openssl cms -verify -CAfile` needs; the other three make a `Signer`."""

    ca_pem: bytes
    wwdr_pem: bytes
    certificate_pem: bytes
    key_pem: bytes = field(repr=False)


@dataclass(frozen=True)
class _Issuer:
    name: x509.Name
    key: RSAPrivateKey


def make_demo_chain(*, pass_type_id: str, team_id: str, now: datetime, rsa_bits: int = RSA_KEY_BITS) -> DemoChain:
    """Three new RSA keys and their certificates; Apple's have 2048 bits. ValueError if a name is too long for X.509."""
    root = _Issuer(_name("Root CA"), _new_key(rsa_bits))
    wwdr = _Issuer(_name("Worldwide Developer Relations"), _new_key(rsa_bits))
    key = _new_key(rsa_bits)
    root_certificate = _ca(_builder(root.name, root.key.public_key(), root, serial=1, now=now), root)
    wwdr_certificate = _ca(_builder(wwdr.name, wwdr.key.public_key(), root, serial=2, now=now), root)
    subject = _name("Pass Type ID", pass_type_id=pass_type_id, team_id=team_id)
    leaf = _pass_extensions(_builder(subject, key.public_key(), wwdr, serial=3, now=now), pass_type_id)
    return DemoChain(
        ca_pem=root_certificate.public_bytes(Encoding.PEM),
        wwdr_pem=wwdr_certificate.public_bytes(Encoding.PEM),
        certificate_pem=leaf.sign(wwdr.key, hashes.SHA256()).public_bytes(Encoding.PEM),
        key_pem=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


def _new_key(rsa_bits: int) -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=rsa_bits)


def _name(role: str, *, pass_type_id: str | None = None, team_id: str | None = None) -> x509.Name:
    parts = [(NameOID.USER_ID, pass_type_id), (NameOID.COMMON_NAME, f"{DEMO_MARK}: {role}")]
    parts += [(NameOID.ORGANIZATIONAL_UNIT_NAME, team_id), (NameOID.ORGANIZATION_NAME, DEMO_MARK)]
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts if value is not None])


def _builder(
    subject: x509.Name, public_key: RSAPublicKey, issuer: _Issuer, *, serial: int, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.name)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(now - VALID_BEFORE_NOW)
        .not_valid_after(now + VALID_AFTER_NOW)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
    )


def _ca(builder: x509.CertificateBuilder, issuer: _Issuer) -> x509.Certificate:
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(issuer.key, hashes.SHA256())
    )


def _pass_extensions(builder: x509.CertificateBuilder, pass_type_id: str) -> x509.CertificateBuilder:
    # Apple's certificates lack e-mail protection; with it a plain `openssl cms -verify` needs no -purpose option.
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.EMAIL_PROTECTION, _PASS_EKU]
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.UnrecognizedExtension(_PASS_TYPE_EXTENSION, _utf8_string(pass_type_id)), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _utf8_string(text: str) -> bytes:
    data = text.encode()
    if len(data) >= _DER_SHORT_LENGTH_LIMIT:
        raise ValueError(f"pass type id is longer than {_DER_SHORT_LENGTH_LIMIT - 1} bytes")
    return bytes((_DER_UTF8_STRING, len(data))) + data
