"""A callback is Google's, for this issuer, whole and in time, or it is nothing."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google_vectors import Google, new_key, public_der, signed
from hypothesis import given, settings
from hypothesis import strategies as st

from wallet.errors import ForgedCallbackError, UnknownSignerError
from wallet.google_callback import BODY_BYTES_MAX, PROTOCOL, SENDER, SaveEvent, verified

ISSUER = "3388000000012345678"
NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
GOOGLE = Google(ISSUER, NOW_MS)
OTHER = new_key()

Envelope = dict[str, Any]


def read(body: bytes | Envelope, *, keys: list[bytes] | None = None, issuer: str = ISSUER, at: datetime = NOW) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return verified(raw, root_keys=[GOOGLE.root_der] if keys is None else keys, issuer_id=issuer, now=at)


def changed(**parts: Any) -> Envelope:
    return {**GOOGLE.envelope(), **parts}


def with_key(**parts: Any) -> Envelope:
    whole = GOOGLE.envelope()
    return {**whole, "intermediateSigningKey": {**whole["intermediateSigningKey"], **parts}}


def flipped(text: str) -> str:
    """The same base64 with one bit of the content turned."""
    data = bytearray(base64.b64decode(text))
    data[-1] ^= 1
    return base64.b64encode(bytes(data)).decode()


def test_a_genuine_callback_says_who_saved_what() -> None:
    assert read(GOOGLE.body()) == SaveEvent(
        "save", f"{ISSUER}.club", f"{ISSUER}.club.serial1", "nonce-1", NOW_MS + 3_600_000
    )
    assert read(GOOGLE.body(GOOGLE.message(eventType="del"))).event == "del"
    assert read(GOOGLE.body()).expires_at == NOW + timedelta(hours=1)


def test_one_of_several_root_keys_and_of_several_signatures_is_enough() -> None:
    whole = GOOGLE.envelope()
    own = whole["intermediateSigningKey"]["signatures"][0]
    foreign = signed(OTHER, SENDER, PROTOCOL, whole["intermediateSigningKey"]["signedKey"])

    assert read(with_key(signatures=[foreign, own]), keys=[public_der(OTHER), b"junk", GOOGLE.root_der]).event == "save"


def test_lengths_are_those_of_bytes() -> None:
    message = GOOGLE.message(nonce="одноразовое-\U0001f37a")

    assert read(GOOGLE.body(message)).nonce == message["nonce"]
    with pytest.raises(ForgedCallbackError):
        read(GOOGLE.body(message, by_characters=True))


def test_times_may_be_numbers_or_texts() -> None:
    assert read(GOOGLE.body(GOOGLE.message(expTimeMillis=str(NOW_MS + 5)))).at_ms == NOW_MS + 5
    assert read(GOOGLE.body(key={"keyExpiration": NOW_MS + 5})).event == "save"


def test_names_that_we_do_not_know_do_no_harm() -> None:
    assert read(GOOGLE.body(GOOGLE.message(somethingNew={"a": 1}))).event == "save"
    assert read(changed(more=1)).event == "save"


def pem_free(key: Any) -> str:
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


FORGED: dict[str, Callable[[], bytes | Envelope]] = {
    "nothing": lambda: b"",
    "not JSON": lambda: b"{",
    "not an object": lambda: b"[]",
    "a number": lambda: b"1",
    "null": lambda: b"null",
    "not UTF-8": lambda: b'{"a": "\xff\xfe"}',
    "nested without end": lambda: b"[" * 9_000,
    "a name twice": lambda: json.dumps(GOOGLE.envelope()).encode().replace(b"{", b'{"signature": "AA==", ', 1),
    "too large": lambda: changed(more="x" * BODY_BYTES_MAX),
    "another protocol": lambda: changed(protocolVersion="ECv2"),
    "no protocol": lambda: changed(protocolVersion=None),
    "a protocol that is a list": lambda: changed(protocolVersion=[PROTOCOL]),
    "no signature": lambda: changed(signature=None),
    "an empty signature": lambda: changed(signature=""),
    "a signature that is a list": lambda: changed(signature=[GOOGLE.envelope()["signature"]]),
    "a signature that is not base64": lambda: changed(signature="!!!!"),
    "a signature that is not DER": lambda: changed(signature="AAAA"),
    "a signature in other letters": lambda: changed(signature="подпись"),
    "a turned bit of the signature": lambda: changed(signature=flipped(GOOGLE.envelope()["signature"])),
    "another message": lambda: changed(signedMessage=json.dumps(GOOGLE.message(eventType="del"))),
    "a message that is an object": lambda: changed(signedMessage=GOOGLE.message()),
    "half a letter in the message": lambda: changed(signedMessage='{"nonce": "\ud800"}'),
    "no intermediate key": lambda: changed(intermediateSigningKey=None),
    "an intermediate key that is a text": lambda: changed(intermediateSigningKey="x"),
    "no signed key": lambda: with_key(signedKey=None),
    "a signed key that is an object": lambda: with_key(signedKey={"keyValue": "x"}),
    "another signed key": lambda: with_key(
        signedKey=Google(ISSUER, NOW_MS).envelope()["intermediateSigningKey"]["signedKey"]
    ),
    "no signatures of the key": lambda: with_key(signatures=[]),
    "signatures that are a text": lambda: with_key(signatures="AAAA"),
    "too many signatures": lambda: with_key(signatures=GOOGLE.envelope()["intermediateSigningKey"]["signatures"] * 11),
    "a turned bit of the key's signature": lambda: with_key(
        signatures=[flipped(GOOGLE.envelope()["intermediateSigningKey"]["signatures"][0])]
    ),
    "a foreign root": lambda: GOOGLE.envelope(root=OTHER),
    "a foreign recipient": lambda: GOOGLE.envelope(recipient="3388000000099999999"),
    "no recipient": lambda: GOOGLE.envelope(recipient=""),
    "a foreign sender": lambda: GOOGLE.envelope(sender="GooglePayments"),
    "an expired key": lambda: GOOGLE.envelope(key={"keyExpiration": str(NOW_MS)}),
    "a key without an end": lambda: GOOGLE.envelope(key={"keyExpiration": None}),
    "a key whose end is true": lambda: GOOGLE.envelope(key={"keyExpiration": True}),
    "a key without end of digits": lambda: GOOGLE.envelope(key={"keyExpiration": "9" * 400}),
    "a key of another curve": lambda: GOOGLE.envelope(
        key={"keyValue": pem_free(ec.generate_private_key(ec.SECP384R1()).public_key())}
    ),
    "a key of another kind": lambda: GOOGLE.envelope(
        key={"keyValue": pem_free(rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key())}
    ),
    "a key that is none": lambda: GOOGLE.envelope(key={"keyValue": "AAAA"}),
    "an expired message": lambda: GOOGLE.envelope(GOOGLE.message(expTimeMillis=NOW_MS)),
    "a message without an end": lambda: GOOGLE.envelope(GOOGLE.message(expTimeMillis=None)),
    "a message that ends as a fraction": lambda: GOOGLE.envelope(GOOGLE.message(expTimeMillis=NOW_MS + 0.5)),
    "a message that ends after time": lambda: GOOGLE.envelope(GOOGLE.message(expTimeMillis=10**30)),
    "an unknown event": lambda: GOOGLE.envelope(GOOGLE.message(eventType="erase")),
    "an event that is a list": lambda: GOOGLE.envelope(GOOGLE.message(eventType=["save"])),
    "no object": lambda: GOOGLE.envelope(GOOGLE.message(objectId=None)),
    "an object that is a number": lambda: GOOGLE.envelope(GOOGLE.message(objectId=5)),
    "an object with an endless name": lambda: GOOGLE.envelope(GOOGLE.message(objectId="1." + "x" * 400)),
    "no nonce": lambda: GOOGLE.envelope(GOOGLE.message(nonce=None)),
    "an empty nonce": lambda: GOOGLE.envelope(GOOGLE.message(nonce="")),
    "half a letter in the nonce": lambda: GOOGLE.envelope('{"eventType": "save", "nonce": "\\ud800"}'),
    "a message that is a list": lambda: GOOGLE.envelope("[1]"),
    "a message with a name twice": lambda: GOOGLE.envelope('{"eventType": "save", "eventType": "del"}'),
}


@pytest.mark.parametrize("name", FORGED)
def test_what_is_not_whole_is_refused(name: str) -> None:
    with pytest.raises(ForgedCallbackError):
        read(FORGED[name]())


def test_a_callback_for_another_issuer_is_not_ours() -> None:
    with pytest.raises(ForgedCallbackError):
        read(GOOGLE.body(), issuer="3388000000099999999")


def test_without_the_right_root_key_it_may_be_a_newer_one() -> None:
    for keys in ([], [public_der(OTHER)], [b"", b"junk"]):
        with pytest.raises(UnknownSignerError):
            read(GOOGLE.body(), keys=keys)


def test_it_is_good_until_its_end_and_not_after() -> None:
    body = GOOGLE.body()

    assert read(body, at=NOW + timedelta(minutes=59)).event == "save"
    with pytest.raises(ForgedCallbackError):
        read(body, at=NOW + timedelta(hours=1))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    path=st.sampled_from(
        [
            ("signature",),
            ("intermediateSigningKey",),
            ("intermediateSigningKey", "signedKey"),
            ("intermediateSigningKey", "signatures"),
            ("protocolVersion",),
            ("signedMessage",),
        ]
    ),
    value=json_values,
)
@settings(max_examples=200, deadline=None)
def test_nothing_in_any_place_of_a_callback_is_taken_for_google_or_breaks_us(path: tuple[str, ...], value: Any) -> None:
    whole = copy.deepcopy(GOOGLE.envelope())
    place = whole
    for name in path[:-1]:
        place = place[name]
    if place[path[-1]] == value:
        return
    place[path[-1]] = value

    with pytest.raises(ForgedCallbackError):
        read(whole)


@given(st.binary(max_size=400))
@settings(max_examples=100, deadline=None)
def test_rubbish_is_refused_and_nothing_else_happens(body: bytes) -> None:
    with pytest.raises(ForgedCallbackError):
        read(body)
