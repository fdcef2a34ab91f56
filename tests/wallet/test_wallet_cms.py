"""Our signature against that of `cryptography` and the openssl command; equal content and time have equal bytes."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7Options, PKCS7SignatureBuilder
from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates as certificates_in
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wallet.card import Card, CardDesign
from wallet.card_apple import card_pkpass, signers_pass
from wallet.cms import _integer, _oid, _tlv
from wallet.demo_chain import DemoChain
from wallet.signing import Signer

AT = datetime(2026, 3, 1, 9, 30, 15, tzinfo=UTC)
ACCEPTED = {"smime": 0, "cms": 0}


def parsed(signature: bytes, folder: Path) -> list[str]:
    """Openssl's reading without positions, times and the signature itself."""
    path = folder / "signature"
    path.write_bytes(signature)
    command = ["openssl", "asn1parse", "-inform", "DER", "-in", str(path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [line.partition(":d=")[2].replace(" ", "") for line in lines]


def test_the_signature_is_built_like_that_of_cryptography(signer: Signer, chain: DemoChain, tmp_path: Path) -> None:
    certificate = x509.load_pem_x509_certificate(chain.certificate_pem)
    key = load_pem_private_key(chain.key_pem, None)
    builder = PKCS7SignatureBuilder().set_data(b"manifest").add_signer(certificate, key, hashes.SHA256())  # type: ignore[arg-type]
    builder = builder.add_certificate(x509.load_pem_x509_certificate(chain.wwdr_pem))
    options = [PKCS7Options.DetachedSignature, PKCS7Options.Binary, PKCS7Options.NoCapabilities]
    theirs = parsed(builder.sign(Encoding.DER, options), tmp_path)
    ours = parsed(signer.sign(b"manifest", signed_at=AT), tmp_path)

    different = [(one, other) for one, other in zip(theirs, ours, strict=True) if one != other]

    assert len(different) <= 1 + 1  # the time, and what is signed with it
    assert all("UTCTIME" in one or "OCTETSTRING[HEXDUMP]" in one for one, _ in different)


def test_equal_content_and_time_have_equal_bytes(signer: Signer, card: Card, design: CardDesign) -> None:
    first = card_pkpass(card, design, signer, signed_at=AT)

    assert card_pkpass(card, design, signer, signed_at=AT) == first
    assert card_pkpass(card, design, signer, signed_at=AT + timedelta(seconds=1)) != first


@pytest.mark.parametrize("year", [2049, 2050])
def test_both_notations_of_time_are_accepted(signer: Signer, openssl, year: int) -> None:  # type: ignore[no-untyped-def]
    assert openssl(b"manifest", signer.sign(b"manifest", signed_at=AT.replace(year=year))) == ACCEPTED


def test_nothing_is_signed_before_the_certificates_first_day(signer: Signer) -> None:
    long_ago = AT.replace(year=1990)

    assert signer.sign(b"manifest", signed_at=long_ago) == signer.sign(b"manifest")


def test_both_certificates_are_in_it(signer: Signer) -> None:
    assert len(certificates_in(signer.sign(b"manifest"))) == 2


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=3_000))
def test_openssl_accepts_whatever_was_signed_and_nothing_else(signer: Signer, openssl, content: bytes) -> None:  # type: ignore[no-untyped-def]
    signature = signer.sign(content, signed_at=AT)

    assert openssl(content, signature) == ACCEPTED
    assert openssl(content + b"\n", signature) != ACCEPTED


def test_the_digest_is_of_what_is_shown_and_not_of_the_token(signer: Signer, card: Card, design: CardDesign) -> None:
    from dataclasses import replace

    service = replace(card, web_service_url="https://x.ru/passes", authentication_token="a" * 43)
    digest = signers_pass(service, design, signer).digest()

    assert signers_pass(replace(service, authentication_token="b" * 43), design, signer).digest() == digest
    assert signers_pass(replace(service, available_points=7), design, signer).digest() != digest
    assert signers_pass(service, replace(design, background="#123456"), signer).digest() != digest


@pytest.mark.parametrize(
    ("made", "der"),
    [
        (_integer(1), "020101"),
        (_integer(127), "02017f"),
        (_integer(128), "02020080"),
        (_integer(2**64), "0209010000000000000000"),
        (_oid("1.2.840.113549.1.7.2"), "06092a864886f70d010702"),
        (_oid("2.16.840.1.101.3.4.2.1"), "0609608648016503040201"),
        (_tlv(4, b"x" * 127)[:3], "047f78"),
        (_tlv(4, b"x" * 128)[:4], "04818078"),
        (_tlv(4, b"x" * 256)[:4], "04820100"),
    ],
)
def test_der(made: bytes, der: str) -> None:
    assert made.hex() == der
