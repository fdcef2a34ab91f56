"""The signer refuses every pair of files that would give a card no phone opens, and says what to do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import PBES, serialize_key_and_certificates
from cryptography.x509.oid import NameOID, ObjectIdentifier

from wallet import errors
from wallet.demo_chain import VALID_AFTER_NOW, VALID_BEFORE_NOW, DemoChain, make_demo_chain
from wallet.signing import DEMO_MARK, Signer

PASSWORD = "пароль"


def load(chain: DemoChain, now: datetime, **changes: bytes) -> Signer:
    return Signer.from_pem(
        changes.get("certificate", chain.certificate_pem),
        changes.get("key", chain.key_pem),
        changes.get("wwdr", chain.wwdr_pem),
        now=now,
    )


def locked_key(chain: DemoChain) -> bytes:
    key = rsa_key(chain)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD.encode()))


def p12(chain: DemoChain, *, with_certificate: bool = True) -> bytes:
    """Encrypted as Keychain does: 3DES, which new tools refuse by default."""
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(2048)
        .key_cert_algorithm(PBES.PBESv1SHA1And3KeyTripleDESCBC)
        .hmac_hash(hashes.SHA1())
        .build(PASSWORD.encode())
    )
    certificate = x509.load_pem_x509_certificate(chain.certificate_pem) if with_certificate else None
    return serialize_key_and_certificates(b"pass", rsa_key(chain), certificate, None, encryption)


def issue(
    subject: x509.Name, key: rsa.RSAPublicKey, issuer: x509.Name, issuer_key: rsa.RSAPrivateKey, *, end: datetime
) -> bytes:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key).serial_number(7)
    builder = builder.not_valid_before(end - timedelta(days=30)).not_valid_after(end)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(Encoding.PEM)


def self_signed(chain: DemoChain, now: datetime) -> bytes:
    """A good certificate of another kind, on the same key."""
    key = rsa_key(chain)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Apple Development")])
    return issue(name, key.public_key(), name, key, end=now + timedelta(days=1))


def rsa_key(chain: DemoChain) -> rsa.RSAPrivateKey:
    key = load_pem_private_key(chain.key_pem, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def test_the_certificate_says_whose_passes_it_signs(signer: Signer, now: datetime) -> None:
    assert (signer.pass_type_id, signer.team_id) == ("pass.ru.sportgory.club", "A1B2C3D4E5")
    assert abs(signer.expires_at - (now + VALID_AFTER_NOW)) < timedelta(seconds=2)
    assert signer.is_demo


def test_a_signer_does_not_print_its_key(signer: Signer) -> None:
    assert "_key" not in repr(signer)


def test_apples_binary_certificates_are_read_as_they_are(chain: DemoChain, now: datetime) -> None:
    binary = {
        name: x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
        for name, pem in {"certificate": chain.certificate_pem, "wwdr": chain.wwdr_pem}.items()
    }

    assert load(chain, now, **binary).team_id == "A1B2C3D4E5"


def test_a_p12_from_keychain_is_read(chain: DemoChain, signer: Signer, now: datetime) -> None:
    from_p12 = Signer.from_p12(p12(chain), PASSWORD, chain.wwdr_pem, now=now)

    assert (from_p12.pass_type_id, from_p12.expires_at) == (signer.pass_type_id, signer.expires_at)


def test_an_encrypted_key_is_read_with_its_password(chain: DemoChain, now: datetime) -> None:
    signer = Signer.from_pem(chain.certificate_pem, locked_key(chain), chain.wwdr_pem, password=PASSWORD, now=now)

    assert signer.team_id == "A1B2C3D4E5"


@pytest.mark.parametrize(
    ("read", "error"),
    [
        (lambda c, f, now: load(c, now, key=f.key_pem), errors.KeyMismatchError),
        (lambda c, f, now: load(c, now, wwdr=f.wwdr_pem), errors.IssuerMismatchError),
        (lambda c, f, now: load(c, now, wwdr=c.ca_pem), errors.IssuerMismatchError),
        (lambda c, f, now: load(c, now + VALID_AFTER_NOW + timedelta(days=1)), errors.CertificateExpiredError),
        (lambda c, f, now: load(c, now - VALID_BEFORE_NOW - timedelta(days=1)), errors.CertificateNotYetValidError),
        (
            lambda c, f, now: load(c, now, certificate=self_signed(c, now), wwdr=self_signed(c, now)),
            errors.NotAPassCertificateError,
        ),
        (lambda c, f, now: load(c, now, certificate=b"not a certificate"), errors.CertificateUnreadableError),
        (lambda c, f, now: load(c, now, certificate=c.key_pem), errors.CertificateUnreadableError),
        (lambda c, f, now: load(c, now, wwdr=b""), errors.CertificateUnreadableError),
        (lambda c, f, now: load(c, now, key=b"not a key"), errors.KeyUnreadableError),
        (lambda c, f, now: load(c, now, key=elliptic_key()), errors.KeyUnreadableError),
        (lambda c, f, now: load(c, now, key=locked_key(c)), errors.PasswordError),
        (
            lambda c, f, now: Signer.from_pem(c.certificate_pem, c.key_pem, c.wwdr_pem, password="x", now=now),
            errors.PasswordError,
        ),
        (
            lambda c, f, now: Signer.from_pem(c.certificate_pem, locked_key(c), c.wwdr_pem, password="x", now=now),
            errors.PasswordError,
        ),
        (lambda c, f, now: Signer.from_p12(p12(c), "x", c.wwdr_pem, now=now), errors.PasswordError),
        (lambda c, f, now: Signer.from_p12(p12(c), None, c.wwdr_pem, now=now), errors.PasswordError),
        (
            lambda c, f, now: Signer.from_p12(p12(c, with_certificate=False), PASSWORD, c.wwdr_pem, now=now),
            errors.CertificateUnreadableError,
        ),
    ],
)
def test_files_that_cannot_sign_are_refused_by_name(
    chain: DemoChain,
    foreign_chain: DemoChain,
    now: datetime,
    read: Callable[[DemoChain, DemoChain, datetime], Signer],
    error: type[errors.SigningError],
) -> None:
    with pytest.raises(error) as caught:
        read(chain, foreign_chain, now)

    assert type(caught.value) is error
    assert any("а" <= letter <= "я" for letter in str(caught.value))


def test_an_expired_intermediate_is_refused_although_the_certificate_lives(
    chain: DemoChain, foreign_chain: DemoChain, now: datetime
) -> None:
    wwdr = x509.load_pem_x509_certificate(chain.wwdr_pem)
    wwdr_key = wwdr.public_key()
    assert isinstance(wwdr_key, rsa.RSAPublicKey)
    expired = issue(wwdr.subject, wwdr_key, wwdr.issuer, rsa_key(foreign_chain), end=now - timedelta(days=1))

    with pytest.raises(errors.CertificateExpiredError, match="AppleWWDRCAG4"):
        load(chain, now, wwdr=expired)


def test_a_signer_is_valid_to_its_last_second(signer: Signer) -> None:
    signer.require_valid(signer.expires_at)

    with pytest.raises(errors.CertificateExpiredError):
        signer.require_valid(signer.expires_at + timedelta(seconds=1))


def test_a_chain_of_apple_is_not_taken_for_a_demo(chain: DemoChain, foreign_chain: DemoChain, now: datetime) -> None:
    apple_key, own_key, end = rsa_key(foreign_chain), rsa_key(chain), now + timedelta(days=9)
    apple = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Apple Worldwide Developer Relations")])
    parts = ((NameOID.USER_ID, "pass.ru.real"), (NameOID.ORGANIZATIONAL_UNIT_NAME, "REALTEAM00"))
    subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])

    real = load(
        chain,
        now,
        certificate=issue(subject, own_key.public_key(), apple, apple_key, end=end),
        wwdr=issue(apple, apple_key.public_key(), apple, apple_key, end=end + timedelta(days=9)),
    )

    assert not real.is_demo
    assert (real.pass_type_id, real.team_id) == ("pass.ru.real", "REALTEAM00")
    assert real.expires_at == end.replace(microsecond=0)


def test_another_team_or_type_is_refused_with_both_names(signer: Signer) -> None:
    with pytest.raises(errors.TeamMismatchError, match=r"A1B2C3D4E5.*ZX98Y76W54"):
        signer.require_identity(pass_type_id=signer.pass_type_id, team_id="ZX98Y76W54")
    with pytest.raises(errors.PassTypeMismatchError, match=r"sportgory\.club.*sportgory\.test"):
        signer.require_identity(pass_type_id="pass.ru.sportgory.test", team_id=signer.team_id)


def test_every_name_of_the_demo_chain_says_demo(chain: DemoChain) -> None:
    for pem in (chain.ca_pem, chain.wwdr_pem, chain.certificate_pem):
        common_name = x509.load_pem_x509_certificate(pem).subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0]
        assert DEMO_MARK in str(common_name.value)


def test_the_demo_certificate_has_the_shape_of_apples(chain: DemoChain) -> None:
    certificate = x509.load_pem_x509_certificate(chain.certificate_pem)

    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    pass_type = certificate.extensions.get_extension_for_oid(ObjectIdentifier("1.2.840.113635.100.6.1.16")).value
    assert {"1.3.6.1.5.5.7.3.2", "1.2.840.113635.100.4.14"} <= {purpose.dotted_string for purpose in purposes}
    assert isinstance(pass_type, x509.UnrecognizedExtension)
    assert pass_type.value == b"\x0c\x16pass.ru.sportgory.club"


def test_a_pass_type_too_long_for_the_demo_certificate_is_refused(now: datetime) -> None:
    with pytest.raises(ValueError, match="longer"):
        make_demo_chain(pass_type_id="pass." + "x" * 200, team_id="T", now=now)


def elliptic_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
