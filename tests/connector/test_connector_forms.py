from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from connector.acquiring.base import MAX_BODY_BYTES
from connector.acquiring.forms import (
    MAX_AHEAD_S,
    MAX_FIELDS,
    can_hash,
    form_fields,
    fresh,
    is_same,
    is_signed,
    json_field,
    rsa_key,
    told,
    unix_instant,
)
from connector.errors import BadReply, NotConfigured

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


def test_fields_are_decoded_in_their_order_and_empty_ones_are_kept() -> None:
    raw = b"b=%d0%98%2e+x&a=&Shp_x=1%262&c&products[0][name]=%2F"

    assert list(form_fields(raw).items()) == [
        ("b", "И. x"),
        ("a", ""),
        ("Shp_x", "1&2"),
        ("c", ""),
        ("products[0][name]", "/"),
    ]


def test_an_empty_form_has_no_fields() -> None:
    assert form_fields(b"") == {}


@pytest.mark.parametrize(
    "raw",
    [
        b"a=1&a=1",
        b"a=1&%61=2",
        b"a=\xff",
        b"a=%ff",
        b"a=%c8%e2%e0%ed",
        b"a=1%002",
        b"a\x00=1",
        b"a=" + b"x" * MAX_BODY_BYTES,
        b"&".join(b"f%d=1" % number for number in range(MAX_FIELDS + 1)),
        "a=\ud800".encode("utf-8", "surrogatepass"),
    ],
    ids=lambda raw: repr(raw[:24]),
)
def test_a_form_that_readers_may_disagree_about_is_refused(raw: bytes) -> None:
    with pytest.raises(BadReply) as failure:
        form_fields(raw)

    assert "x" * 10 not in str(failure.value)


def test_as_many_fields_as_allowed_are_read() -> None:
    raw = b"&".join(b"f%d=1" % number for number in range(MAX_FIELDS))

    assert len(form_fields(raw)) == MAX_FIELDS


@given(
    st.dictionaries(st.text().filter(lambda name: "\0" not in name), st.text().filter(lambda text: "\0" not in text))
)
def test_what_was_encoded_is_read_back(fields: dict[str, str]) -> None:
    try:
        raw = urlencode(fields).encode()
    except UnicodeEncodeError:
        return

    assert form_fields(raw) == fields


@given(st.binary(max_size=200))
def test_any_bytes_are_a_form_or_refused(raw: bytes) -> None:
    try:
        fields = form_fields(raw)
    except BadReply:
        return
    assert all("\0" not in name + value for name, value in fields.items())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("  Анна\n", "Анна"),
        ("a\0b\ud800c\x7f", "abc"),
        ("x" * 500, "x" * 200),
        *[(value, "") for value in (None, 5, True, ["a"], {"a": "b"}, b"a")],
    ],
)
def test_foreign_words_are_cut_and_cleaned(value: object, expected: str) -> None:
    assert told(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('{"lead_id":1234,"x":{"y":1.50}}', {"lead_id": "1234", "x": {"y": "1.50"}}),
        *[(value, {}) for value in ("", "нет", "[1]", "[" * 100_000, "5", '"a"', None, 5, {"a": 1})],
    ],
)
def test_garbage_in_a_json_field_is_as_good_as_nothing(value: object, expected: object) -> None:
    assert json_field(value) == expected


@pytest.mark.parametrize(
    ("stamp", "is_good"),
    [
        (0, True),
        (300, True),
        (301, False),
        (-MAX_AHEAD_S, True),
        (-MAX_AHEAD_S - 1, False),
    ],
)
def test_a_signature_is_fresh_within_its_window(stamp: int, is_good: bool) -> None:
    check = fresh(str(int((NOW - timedelta(seconds=stamp)).timestamp())), NOW, max_age_s=300)

    assert check.is_good is is_good


@pytest.mark.parametrize("stamp", ["", "-1", "1e3", "²", "9" * 13, "1772355600,1772355600", None, 1772355600, ["1"]])
def test_a_stamp_that_is_no_number_of_seconds_is_never_fresh(stamp: object) -> None:
    assert fresh(stamp, NOW, max_age_s=300).is_good is False


@pytest.mark.parametrize("seconds", [None, "1772355600", 0, -5, 10**30, 1.5, [1]])
def test_odd_seconds_are_no_instant(seconds: object) -> None:
    assert unix_instant(seconds) is None
    assert unix_instant(1772355600) == NOW


@given(st.text(), st.text())
def test_signatures_are_compared_without_exceptions(given_text: str, expected: str) -> None:
    assert is_same(given_text, expected) is (given_text == expected)


def test_an_unknown_algorithm_is_known_not_to_work() -> None:
    assert can_hash("md5") is True
    assert can_hash("crc1000") is False


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def _certificate(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bank")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 5, NOW, NOW + timedelta(days=1))
    return builder.sign(key, hashes.SHA256())


def test_a_certificate_is_read_however_it_was_pasted(private_key: rsa.RSAPrivateKey) -> None:
    certificate = _certificate(private_key)
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    der = certificate.public_bytes(serialization.Encoding.DER)
    bare = private_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signature = private_key.sign(b"message", padding.PKCS1v15(), hashes.SHA256())

    for text in (
        pem,
        pem.replace("\n", "\r\n"),
        pem.replace("\n", "\\n"),
        base64.b64encode(der).decode(),
        bare.decode(),
    ):
        key = rsa_key(text, "bank")
        assert is_signed(key, b"message", signature, hashes.SHA256())
        assert not is_signed(key, b"massage", signature, hashes.SHA256())
        assert not is_signed(key, b"message", signature, hashes.SHA512())
        assert not is_signed(key, b"message", b"", hashes.SHA256())


def test_a_weak_or_foreign_key_is_no_key() -> None:
    weak = _certificate(rsa.generate_private_key(65537, 1024)).public_bytes(serialization.Encoding.PEM).decode()
    curve = _certificate(ec.generate_private_key(ec.SECP256R1())).public_bytes(serialization.Encoding.PEM).decode()

    for text in (weak, curve, "", "secret", "сертификат", base64.b64encode(b"abc").decode()):
        with pytest.raises(NotConfigured) as failure:
            rsa_key(text, "bank")
        assert "secret" not in str(failure.value)
