"""The independent check on genuine cards, on garbage, and with an openssl that is missing or says no."""

from __future__ import annotations

import json
import shutil
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pass_forge import Authority, Forged, packed, taken_apart
from test_wallet_peer import peer_pkpass

from wallet.card import BarcodeKind, Card, CardDesign
from wallet.card_apple import apple_pass, card_pkpass
from wallet.demo_chain import DemoChain
from wallet.openssl import Judgement, judge
from wallet.signing import Signer
from wallet.verify import Verdict, verify_pass
from wallet.verify_chain import Trust, read_certificates

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def trust(chain: DemoChain) -> Trust:
    return Trust(roots=read_certificates(chain.ca_pem))


@pytest.fixture(scope="module")
def pkpass(card: Card, design: CardDesign, signer: Signer) -> bytes:
    return card_pkpass(card, design, signer)


@pytest.fixture(scope="module")
def genuine(pkpass: bytes, now: datetime) -> Forged:
    return taken_apart(pkpass, Authority(now))


def codes(verdict: Verdict) -> set[tuple[str, str]]:
    return {(fault.level, fault.code) for fault in verdict.faults}


@pytest.mark.parametrize("barcode", ["qr", "code128", "pdf417"])
def test_cards_of_our_builder_are_good_without_a_word(
    card: Card, design: CardDesign, signer: Signer, trust: Trust, now: datetime, barcode: BarcodeKind
) -> None:
    verdict = verify_pass(card_pkpass(card, replace(design, barcode=barcode), signer), now=now, trust=trust)

    assert verdict.faults == ()
    assert (verdict.serial, verdict.openssl) == (card.serial, "accepted")


def test_a_card_of_py_pkpass_is_good_and_its_noise_is_named(
    card: Card, design: CardDesign, chain: DemoChain, signer: Signer, trust: Trust, now: datetime, tmp_path: Path
) -> None:
    model = apple_pass(card, design, pass_type_id=signer.pass_type_id, team_id=signer.team_id)

    verdict = verify_pass(peer_pkpass(model, chain, tmp_path), now=now, trust=trust)

    assert verdict.is_good
    assert codes(verdict) == {("warning", "change-message-empty"), ("warning", "field-alignment")}


def test_without_a_root_the_lack_is_said_and_only_apples_name_passes(pkpass: bytes, now: datetime) -> None:
    verdict = verify_pass(pkpass, now=now)

    assert codes(verdict) == {("warning", "ca-not-given"), ("error", "not-apple")}


def test_an_intermediate_is_no_root(pkpass: bytes, chain: DemoChain, now: datetime) -> None:
    verdict = verify_pass(pkpass, now=now, trust=Trust(roots=read_certificates(chain.wwdr_pem)))

    assert codes(verdict) == {("error", "chain-root")}


def test_a_card_is_judged_by_the_day(pkpass: bytes, trust: Trust, now: datetime) -> None:
    verdict = verify_pass(pkpass, now=now + timedelta(days=11 * 365), trust=trust)

    assert codes(verdict) == {("error", "certificate-expired")}


def test_tolerated_oddities_are_warnings(genuine: Forged, now: datetime) -> None:
    odd = genuine.saying(
        lambda content: content.update(
            {
                "colour": "red",
                "nothing": None,
                "backgroundColor": "#16382C",
                "labelColor": "rgba(255, 255, 255, 0.75)",
                "webServiceURL": "http://127.0.0.1/passes",
            }
        )
    ).with_file("thumbnail.png", genuine.files["icon.png"])
    odd = odd.with_file(".DS_Store", b"x").with_file("ru.lproj/pass.strings", b'/* x */ "a" = "\\"b\\"";\n// end\n')

    verdict = verify_pass(packed(odd.sealed()), now=now, trust=odd.authority.trust)

    assert verdict.is_good
    assert {fault.code for fault in verdict.faults} == {
        "unknown-key",
        "colour-form",
        "web-service-local",
        "image-unused",
        "file-unknown",
        "language-one",
    }


def test_a_machine_without_openssl_checks_the_rest_itself(
    pkpass: bytes, trust: Trust, now: datetime, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("openssl") is None

    good = verify_pass(pkpass, now=now, trust=trust)
    bad = verify_pass(pkpass.replace(b'"serialNumber":"k', b'"serialNumber":"K'), now=now, trust=trust)

    assert codes(good) == {("warning", "openssl-absent")}
    assert not bad.is_good


def test_an_openssl_that_refuses_is_believed(pkpass: bytes, trust: Trust, now: datetime) -> None:
    refused = verify_pass(pkpass, now=now, trust=trust, judge=lambda *_, **__: Judgement("refused", "because"))
    unable = verify_pass(pkpass, now=now, trust=trust, judge=lambda *_, **__: Judgement("unable", "unknown option"))

    assert codes(refused) == {("error", "openssl-refused")}
    assert codes(unable) == {("warning", "openssl-unable")}


def test_openssl_is_asked_about_the_exact_bytes(pkpass: bytes, trust: Trust, unpacked: Callable[[bytes], dict]) -> None:
    files = unpacked(pkpass)
    manifest, signature = files["manifest.json"], files["signature"]

    assert judge(manifest, signature, ca_pem=trust.ca_pem()).verdict == "accepted"
    assert judge(manifest + b"\n", signature, ca_pem=trust.ca_pem()).verdict == "refused"
    assert judge(manifest, b"garbage", ca_pem=trust.ca_pem()).verdict == "refused"


def test_the_check_shares_nothing_with_the_builder() -> None:
    for path in (ROOT / "wallet").glob("verify*.py"):
        text = path.read_text(encoding="utf-8")
        for name in ("signing", "passes", "archive", "cms", "card", "card_apple", "fields", "colours", "pictures"):
            assert f"from wallet.{name} import" not in text, path.name


def quiet(*_: bytes, **__: bytes | None) -> Judgement:
    """Fuzzing asks openssl nothing: it is a process per card."""
    return Judgement("accepted")


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=400) | st.binary(max_size=200).map(lambda tail: b"PK\x03\x04" + tail + b"PK\x05\x06"))
def test_garbage_ends_in_a_fault_and_never_in_a_traceback(data: bytes, now: datetime) -> None:
    assert not verify_pass(data, now=now, judge=quiet).is_good


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_changed_byte_of_a_card_makes_it_raise(data: st.DataObject, pkpass: bytes, now: datetime) -> None:
    """The directory and the signature are what a forger writes into."""
    at = data.draw(st.integers(len(pkpass) - 8_000, len(pkpass) - 1))
    changed = bytearray(pkpass)
    changed[at : at + 1] = data.draw(st.binary(min_size=1, max_size=3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a library that reads odd certificates
        verify_pass(bytes(changed), now=now, judge=quiet)


def der(tag: int, body: bytes) -> bytes:
    return bytes([tag, 0x84]) + len(body).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    ("signature", "code"),
    [
        (der(0x30, der(0x06, b"\xff" * 3_000 + b"\x7f") + der(0xA0, b"\x05\x00")), "signature-unreadable"),
        (der(0x30, der(0x06, b"\xff" * 300_000 + b"\x7f") + der(0xA0, b"\x05\x00")), "signature-big"),
        (der(0x30, b"\x05\x00" * 5_000_000), "signature-big"),
    ],
    ids=["a name of 6000 digits", "a name that takes seconds", "ten megabytes of nothing"],
)
def test_a_signature_made_to_choke_the_reader_is_a_fault(
    genuine: Forged, now: datetime, signature: bytes, code: str
) -> None:
    verdict = verify_pass(packed({**genuine.sealed(), "signature": signature}), now=now, judge=quiet)

    assert ("error", code) in codes(verdict)


@pytest.mark.parametrize("version", [1, 3, 127])
def test_a_certificate_of_no_known_version_is_a_fault(genuine: Forged, now: datetime, version: int) -> None:
    sealed = genuine.sealed()
    marked = sealed["signature"].replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01" + bytes([version]))

    verdict = verify_pass(packed({**sealed, "signature": marked}), now=now, judge=quiet)

    assert marked != sealed["signature"]
    assert ("error", "signature-unreadable") in codes(verdict)


def test_no_encoding_of_a_barcode_takes_minutes(packed_with: Callable[[object], bytes], now: datetime) -> None:
    many = "".join(chr(0x4E00 + number) for number in range(20_000))
    content = {"barcodes": [{"format": "PKBarcodeFormatQR", "message": many, "messageEncoding": "Punycode"}]}
    began = time.process_time()

    verdict = verify_pass(packed_with(content), now=now, judge=quiet)

    assert ("error", "barcode-encoding") in codes(verdict)
    assert time.process_time() - began < 5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    [
        *("formatVersion", "storeCard", "coupon", "boardingPass", "barcodes", "barcode", "locations", "beacons", "nfc"),
        *("relevantDates", "expirationDate", "webServiceURL", "authenticationToken", "maxDistance", "userInfo"),
        *("associatedStoreIdentifiers", "appLaunchURL", "backgroundColor", "passTypeIdentifier", "teamIdentifier"),
    ]
)
FIELD = st.dictionaries(
    st.sampled_from(["key", "value", "label", "changeMessage", "textAlignment", "dateStyle", "currencyCode", "row"])
    | st.sampled_from(["dataDetectorTypes", "attributedValue", "numberStyle", "isRelative"]),
    JSON,
    max_size=6,
)
CODE = st.dictionaries(st.sampled_from(["format", "message", "messageEncoding", "altText"]), JSON, max_size=4)


@pytest.fixture(scope="module")
def packed_with(genuine: Forged) -> Callable[[object], bytes]:
    """A card with this in pass.json, not sealed anew."""
    return lambda content: packed({**genuine.files, "pass.json": json.dumps(content).encode()})


@settings(max_examples=300, deadline=None)
@given(
    content=st.dictionaries(KEYS, JSON, max_size=6),
    fields=st.lists(FIELD | JSON, max_size=4),
    barcodes=st.lists(CODE | JSON, max_size=3),
)
def test_no_json_makes_it_raise(
    packed_with: Callable[[object], bytes], now: datetime, content: dict, fields: list, barcodes: list
) -> None:
    whole = {"storeCard": {"headerFields": fields, "backFields": fields}, "barcodes": barcodes, **content}

    assert not verify_pass(packed_with(whole), now=now, judge=quiet).is_good
