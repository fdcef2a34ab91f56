"""The corpus: a genuine card spoilt in one thing at a time, signed anew where the signature is not that thing.

Every mutant must be refused for its own reason and for no other.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pass_forge import PASS_TYPE_ID, Authority, Content, Forged, Leaf, openssl_signature, packed, taken_apart

from wallet.card import Card, CardDesign
from wallet.card_apple import card_pkpass
from wallet.pictures import plain_images
from wallet.signing import Signer
from wallet.verify import Verdict, verify_pass
from wallet.verify_chain import Trust

LONG = "7" * 3000


@pytest.fixture(scope="module")
def authority(now: datetime) -> Authority:
    return Authority(now)


@pytest.fixture(scope="module")
def genuine(card: Card, design: CardDesign, signer: Signer, authority: Authority) -> Forged:
    return taken_apart(card_pkpass(card, design, signer), authority)


def errors(verdict: Verdict) -> set[str]:
    return {fault.code for fault in verdict.faults if fault.level == "error"}


def test_what_is_taken_apart_and_signed_anew_is_good(genuine: Forged, authority: Authority, now: datetime) -> None:
    verdict = verify_pass(packed(genuine.sealed()), now=now, trust=authority.trust)

    assert verdict.faults == ()
    assert verdict.openssl == "accepted"


# --- what pass.json says ---------------------------------------------------------------------------------------------


def put(**values: Any) -> Callable[[Content], None]:
    return lambda content: content.update(values)


def drop(key: str) -> Callable[[Content], object]:
    return lambda content: content.pop(key)


def field(group: str = "headerFields", **values: Any) -> Callable[[Content], None]:
    return lambda content: content["storeCard"][group][0].update(values)


def more(group: str, count: int) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        fields = content["storeCard"].setdefault(group, [])
        fields += [{"key": f"more_{number}", "value": "x"} for number in range(count)]

    return change


def below_the_code(content: Content) -> None:
    for group, count in (("secondaryFields", 2), ("auxiliaryFields", 3)):
        content["storeCard"][group] = [{"key": f"{group}_{number}", "value": "x"} for number in range(count)]


def code(**values: Any) -> Callable[[Content], None]:
    return lambda content: content["barcodes"][0].update(values)


PLACE = {"latitude": 55.75, "longitude": 37.61}
CONTENTS: Mapping[str, tuple[str, Callable[[Content], object]]] = {
    "no serial number": ("required-missing", drop("serialNumber")),
    "no pass type": ("required-missing", drop("passTypeIdentifier")),
    "a team as a number": ("wrong-type", put(teamIdentifier=5)),
    "an error behind a thousand oddities": (
        "colour",
        put(**{f"odd{number}": 1 for number in range(1000)}, labelColor="red"),
    ),
    "an empty description": ("required-missing", put(description="")),
    "no format version": ("required-missing", drop("formatVersion")),
    "format version 2": ("format-version", put(formatVersion=2)),
    "format version as text": ("wrong-type", put(formatVersion="1")),
    "a serial number as a number": ("wrong-type", put(serialNumber=7700012345)),
    "no style": ("style-missing", drop("storeCard")),
    "two styles": ("style-many", put(coupon={})),
    "a null": ("null", put(logoText=None)),
    "a null in a field": ("null", field(label=None)),
    "a colour that is none": ("colour", put(backgroundColor="green")),
    "a colour of 300": ("colour", put(backgroundColor="rgb(300, 0, 0)")),
    "a short token": ("token-short", put(authenticationToken="123456789012345")),
    "a token without an address": ("web-service-pair", drop("webServiceURL")),
    "an address without a token": ("web-service-pair", drop("authenticationToken")),
    "an address of http": ("web-service-url", put(webServiceURL="http://club.example.ru/passes")),
    "an address that is none": ("web-service-url", put(webServiceURL="https://[")),
    "a date without a zone": ("date", put(expirationDate="2027-01-31T10:00:00")),
    "a date without minutes": ("date", put(expirationDate="2027-01-31")),
    "a day that no calendar has": ("date", put(expirationDate="2027-02-31T10:00:00Z")),
    "eleven places": ("locations-many", put(locations=[PLACE] * 11)),
    "a place beyond the pole": ("location", put(locations=[{**PLACE, "latitude": 91}])),
    "a place without a longitude": ("location", put(locations=[{"latitude": 1}])),
    "an application's number in quotes": ("store-numbers", put(associatedStoreIdentifiers=["1"])),
    "an application's address alone": ("app-launch", put(appLaunchURL="app:x")),
    "a contactless message too long": ("nfc", put(nfc={"message": "x" * 65, "encryptionPublicKey": "k"})),
    "a beacon without its name": ("beacon", put(beacons=[{"major": 1}])),
    "a flag in quotes": ("wrong-type", put(voided="false")),
    "two fields of one key": ("field-repeated", field("backFields", key="balance")),
    "a field without a key": ("field-key", lambda content: content["storeCard"]["headerFields"][0].pop("key")),
    "a field without a value": ("field-value", lambda content: content["storeCard"]["headerFields"][0].pop("value")),
    "a field that is true": ("field-value", field(value=True)),
    "a field that is no object": ("wrong-type", lambda content: content["storeCard"]["backFields"].append("x")),
    "four header fields": ("fields-many", more("headerFields", 3)),
    "two primary fields": ("fields-many", more("primaryFields", 2)),
    "five below a square code": ("fields-square", below_the_code),
    "a change message without %@": ("change-message", field(changeMessage="Баланс изменился")),
    "an alignment of old libraries": ("field-choice", field(textAlignment="PKTextAlignmentJustified")),
    "a currency of a text": ("field-number", field(currencyCode="RUB")),
    "a currency that is none": ("field-currency", field(value=1, currencyCode="руб")),
    "a number's style of a text": ("field-number", field(numberStyle="PKNumberStyleDecimal")),
    "a date's style of a text": ("field-date", field(dateStyle="PKDateStyleShort")),
    "a date's style of a day without a zone": (
        "field-date",
        field(value="2027-01-31T10:00:00", timeStyle="PKDateStyleShort"),
    ),
    "a detector that is none": ("field-choice", field("backFields", dataDetectorTypes=["links"])),
    "a transit type on a store card": (
        "transit-type",
        lambda content: content["storeCard"].update(transitType="PKTransitTypeAir"),
    ),
    "a barcode's format that is none": ("barcode-format", code(format="PKBarcodeFormatEAN13")),
    "code 128 in the code of iOS 8": (
        "barcode-format",
        put(barcode={"format": "PKBarcodeFormatCode128", "message": "1", "messageEncoding": "utf-8"}),
    ),
    "a barcode without an encoding": ("barcode-missing", lambda content: content["barcodes"][0].pop("messageEncoding")),
    "an empty barcode": ("barcode-missing", code(message="")),
    "a Russian barcode in Latin-1": ("barcode-encoding", code(message="Анна")),
    "a barcode's encoding that is none": ("barcode-encoding", code(messageEncoding="koi-7-н0")),
    "a barcode in an encoding of Python's own": ("barcode-encoding", code(messageEncoding="unicode_escape")),
    "a barcode too long": ("barcode-long", code(message=LONG)),
    "half a character": ("text-broken", put(logoText="\ud83d")),
    "a pass type without pass.": ("pass-type-form", put(passTypeIdentifier="ru.sportgory.club")),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_a_card_that_says_something_wrong_is_refused(
    genuine: Forged, authority: Authority, now: datetime, name: str
) -> None:
    expected, change = CONTENTS[name]

    forged = genuine.saying(change)
    says = json.loads(forged.files["pass.json"]).get("passTypeIdentifier", PASS_TYPE_ID)
    forged = replace(forged, leaf=Leaf(pass_type_id=says, extension=says))
    verdict = verify_pass(packed(forged.sealed()), now=now, trust=authority.trust)

    assert errors(verdict) == {expected}


BYTES: Mapping[str, tuple[str, Callable[[bytes], bytes]]] = {
    "a byte order mark": ("pass-bom", lambda data: b"\xef\xbb\xbf" + data),
    "UTF-16": ("pass-encoding", lambda data: data.decode().encode("utf-16")),
    "a comma too many": ("pass-json", lambda data: data[:-1] + b",}"),
    "a number that is none": ("pass-json", lambda data: data[:-1] + b', "maxDistance": NaN}'),
    "a list": ("pass-form", lambda data: b"[" + data + b"]"),
    "a deep well": ("pass-json", lambda _: b"[" * 100_000),
    "a number of five thousand digits": (
        "pass-json",
        lambda data: data[:-1] + b', "maxDistance": ' + b"9" * 5000 + b"}",
    ),
    "a key twice": ("pass-repeated", lambda data: data[:-1] + b', "logoText": "x"}'),
    "two megabytes": ("pass-big", lambda data: data + b" " * 2_000_000),
}


@pytest.mark.parametrize("name", BYTES)
def test_a_pass_json_that_is_no_json_of_apple_is_refused(
    genuine: Forged, authority: Authority, now: datetime, name: str
) -> None:
    expected, change = BYTES[name]

    forged = genuine.with_file("pass.json", change(genuine.files["pass.json"]))
    verdict = verify_pass(packed(forged.sealed()), now=now, trust=authority.trust)

    assert errors(verdict) == {expected}


# --- files beside it -------------------------------------------------------------------------------------------------

ICONS = ("icon.png", "icon@2x.png", "icon@3x.png")
HUGE = plain_images("#000000", "#FFFFFF")
UTF16 = "utf-16"
FILES: Mapping[str, tuple[str, Callable[[Forged], Forged]]] = {
    "no pass.json": ("pass-missing", lambda one: one.without("pass.json")),
    "no icon": ("icon-missing", lambda one: one.without(*ICONS)),
    "a photograph as an icon": ("image-broken", lambda one: one.with_file("icon.png", b"\xff\xd8\xff\xe0JFIF")),
    "a picture of a wall": ("image-broken", lambda one: one.with_file("strip.png", wall(one.files["strip.png"]))),
    "half an icon": ("image-broken", lambda one: one.with_file("icon.png", one.files["icon.png"][:60])),
    "a spoilt icon": ("image-broken", lambda one: one.with_file("icon.png", spoilt(one.files["icon.png"], 40))),
    "an empty picture": ("image-broken", lambda one: one.with_file("logo.png", b"")),
    "an icon of the size of a strip": ("image-size", lambda one: one.with_file("icon.png", HUGE["strip.png"])),
    "a strip of three at one": ("image-size", lambda one: one.with_file("strip.png", HUGE["strip@3x.png"])),
    "an icon too small": ("image-size", lambda one: one.with_file("icon@3x.png", HUGE["icon.png"])),
    "a picture within and without": (
        "image-both",
        lambda one: one.with_file("ru.lproj/logo.png", HUGE["logo.png"]),
    ),
    "a language that is none": ("language", lambda one: one.with_file("RUSSIAN!.lproj/pass.strings", b'"a" = "b";')),
    "strings in a Russian code page": (
        "strings-encoding",
        lambda one: one.with_file("ru.lproj/pass.strings", '"a" = "Баланс";'.encode("cp1251")),
    ),
    "strings without a semicolon": (
        "strings-form",
        lambda one: one.with_file("ru.lproj/pass.strings", '"a" = "b"\n"c" = "d";'.encode(UTF16)),
    ),
    "strings with a bare quote": (
        "strings-form",
        lambda one: one.with_file("ru.lproj/pass.strings", '"a" = "Клуб "Горы"";'.encode(UTF16)),
    ),
    "a translation that lost %@": (
        "strings-change",
        lambda one: one.with_file("en.lproj/pass.strings", '"Баланс: %@" = "Balance changed";'.encode(UTF16)),
    ),
}


def wall(data: bytes) -> bytes:
    """Says that it is 60000 points wide: unpacked it would fill the memory."""
    header = b"IHDR" + struct.pack(">2L", 60_000, 60_000) + data[24:29]
    return data[:12] + header + struct.pack(">L", zlib.crc32(header)) + data[33:]


def spoilt(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


@pytest.mark.parametrize("name", FILES)
def test_a_card_with_a_wrong_file_is_refused(genuine: Forged, authority: Authority, now: datetime, name: str) -> None:
    expected, change = FILES[name]

    verdict = verify_pass(packed(change(genuine).sealed()), now=now, trust=authority.trust)

    assert errors(verdict) == {expected}


# --- manifest and signature ------------------------------------------------------------------------------------------


def listed(forged: Forged, **changed: Any) -> dict[str, bytes]:
    lines = {**json.loads(forged.manifest()), **changed}
    return forged.resealed(json.dumps({name: digest for name, digest in lines.items() if digest is not ...}).encode())


def signed_by(forged: Forged, **leaf: Any) -> dict[str, bytes]:
    return replace(forged, leaf=Leaf(**leaf)).sealed()


MANIFESTS: Mapping[str, tuple[str, Callable[[Forged], Mapping[str, bytes]]]] = {
    "a file that nobody listed": ("file-unlisted", lambda one: {**one.sealed(), "logo@9x.txt": b"x"}),
    "a list without the icon": ("file-unlisted", lambda one: listed(one, **{"icon.png": ...})),
    "a listed file that is not there": ("file-absent", lambda one: listed(one, **{"footer.png": "0" * 40})),
    "another sum": ("hash-wrong", lambda one: listed(one, **{"icon.png": "0" * 40})),
    "a sum of SHA-256": ("hash-wrong", lambda one: listed(one, **{"icon.png": "0" * 64})),
    "a sum that is a number": ("manifest-form", lambda one: listed(one, **{"icon.png": 5})),
    "a picture changed after signing": ("hash-wrong", lambda one: {**one.sealed(), "logo.png": HUGE["icon.png"]}),
    "a manifest that lists itself": ("manifest-itself", lambda one: listed(one, **{"manifest.json": "0" * 40})),
    "a manifest that is no JSON": ("manifest-json", lambda one: one.resealed(b"icon.png 0000")),
    "a manifest that is a list": ("manifest-form", lambda one: one.resealed(b"[]")),
    "no manifest": ("manifest-missing", lambda one: without(one.sealed(), "manifest.json")),
    "no signature": ("signature-missing", lambda one: without(one.sealed(), "signature")),
    "an empty signature": ("signature-unreadable", lambda one: {**one.sealed(), "signature": b""}),
    "half a signature": ("signature-unreadable", lambda one: half_signed(one.sealed())),
    "a manifest with another end of line": ("signature-manifest", lambda one: with_crlf(one.sealed())),
    "a signature with one bit off": ("signature-wrong", lambda one: with_last_bit_off(one.sealed())),
    "the certificate of another pass type": (
        "certificate-pass-type",
        lambda one: signed_by(one, pass_type_id="pass.ru.other"),
    ),
    "the certificate of another team": ("certificate-team", lambda one: signed_by(one, team_id="OTHERTEAM0")),
    "a certificate whose extension names another": (
        "certificate-extension",
        lambda one: signed_by(one, extension="pass.ru.other"),
    ),
    "a certificate for something else": ("certificate-purpose", lambda one: signed_by(one, is_for_passes=False)),
    "a certificate that may not sign": ("certificate-usage", lambda one: signed_by(one, may_sign=False)),
    "a certificate that has ended": (
        "certificate-expired",
        lambda one: replace(one, leaf=Leaf(ends_days=-1), signed_after=timedelta(days=-2)).sealed(),
    ),
    "a card signed before its certificate began": (
        "signed-outside",
        lambda one: replace(one, signed_after=timedelta(days=-101)).sealed(),
    ),
    "a card signed in the future": (
        "signing-time-future",
        lambda one: replace(one, signed_after=timedelta(days=3)).sealed(),
    ),
}


def without(files: dict[str, bytes], name: str) -> dict[str, bytes]:
    return {key: data for key, data in files.items() if key != name}


def half_signed(files: dict[str, bytes]) -> dict[str, bytes]:
    return {**files, "signature": files["signature"][: len(files["signature"]) // 2]}


def with_crlf(files: dict[str, bytes]) -> dict[str, bytes]:
    return {**files, "manifest.json": files["manifest.json"].replace(b"\n", b"\r\n")}


def with_last_bit_off(files: dict[str, bytes]) -> dict[str, bytes]:
    return {**files, "signature": spoilt(files["signature"], len(files["signature"]) - 1)}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_card_with_a_wrong_seal_is_refused(genuine: Forged, authority: Authority, now: datetime, name: str) -> None:
    expected, forge = MANIFESTS[name]

    verdict = verify_pass(packed(forge(genuine)), now=now, trust=authority.trust)

    assert errors(verdict) == {expected}


SIGNATURES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "the manifest within the signature": ("signature-attached", ("-nodetach",)),
    "no signing time": ("signing-time-missing", ("-noattr",)),
    "no certificate of the signer": ("signer-missing", ("-nocerts",)),
    "PEM instead of DER": ("signature-unreadable", ("-outform", "PEM")),
    "S/MIME instead of DER": ("signature-unreadable", ("-outform", "SMIME")),
    "two signers": ("signer-count", ("-signer", "other.pem", "-inkey", "key.pem")),
    "a signature of MD5": ("signature-algorithm", ("-md", "md5")),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_of_the_wrong_kind_is_refused(
    genuine: Forged, authority: Authority, now: datetime, tmp_path: Path, name: str
) -> None:
    expected, options = SIGNATURES[name]
    manifest = genuine.manifest()
    files = genuine.resealed(manifest)

    files["signature"] = openssl_signature(genuine, manifest, tmp_path, *options)
    verdict = verify_pass(packed(files), now=now, trust=authority.trust)

    assert errors(verdict) == {expected}


def test_a_signature_by_openssl_itself_is_accepted(
    genuine: Forged, authority: Authority, now: datetime, tmp_path: Path
) -> None:
    manifest = genuine.manifest()
    files = genuine.resealed(manifest)

    old = {**files, "signature": openssl_signature(genuine, manifest, tmp_path, "-md", "sha1")}
    new = {**files, "signature": openssl_signature(genuine, manifest, tmp_path, "-md", "sha256")}

    assert verify_pass(packed(new), now=now, trust=authority.trust).faults == ()
    [warned] = verify_pass(packed(old), now=now, trust=authority.trust).faults
    assert (warned.code, warned.level) == ("signature-sha1", "warning")


def test_a_card_without_its_intermediate_is_refused(
    genuine: Forged, authority: Authority, now: datetime, tmp_path: Path
) -> None:
    manifest = genuine.manifest()
    files = genuine.resealed(manifest)
    files["signature"] = openssl_signature(genuine, manifest, tmp_path, certfile="other.pem")

    verdict = verify_pass(packed(files), now=now, trust=authority.trust)

    assert errors(verdict) == {"wwdr-missing"}


def test_a_card_of_a_foreign_authority_is_refused(genuine: Forged, authority: Authority, now: datetime) -> None:
    """Its names are the very same: only its keys differ."""
    foreign = replace(genuine, authority=Authority(now))

    by_root = verify_pass(packed(foreign.sealed()), now=now, trust=authority.trust)
    by_wwdr = verify_pass(
        packed(foreign.sealed()), now=now, trust=Trust(roots=(foreign.authority.root,), wwdr=authority.wwdr)
    )

    assert errors(by_root) == {"chain-root"}
    assert errors(by_wwdr) == {"wwdr-other"}


def test_a_card_of_a_certificate_that_has_not_begun_is_refused(
    genuine: Forged, authority: Authority, now: datetime
) -> None:
    verdict = verify_pass(packed(genuine.sealed()), now=now - timedelta(days=101), trust=authority.trust)

    assert errors(verdict) == {"certificate-early", "signing-time-future"}


# --- the archive -----------------------------------------------------------------------------------------------------


def zipped(files: Mapping[str, bytes], change: Callable[[zipfile.ZipFile], object]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        change(archive)
    return target.getvalue()


def link(archive: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("logo@3x.png")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    archive.writestr(info, b"icon.png")


def twice(archive: zipfile.ZipFile) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("icon.png", HUGE["icon.png"])


def everywhere(data: bytes, offsets: tuple[int, int], value: int) -> bytes:
    """A two-byte number of the first entry, in its local header and in the directory."""
    changed = bytearray(data)
    for mark, offset in zip((b"PK\x03\x04", b"PK\x01\x02"), offsets, strict=True):
        struct.pack_into("<H", changed, data.index(mark) + offset, value)
    return bytes(changed)


def bomb(files: Mapping[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr("logo@3x.png", bytes(17 * 1024 * 1024))
    return target.getvalue()


def lying_bomb(files: Mapping[str, bytes]) -> bytes:
    """Says that it is small."""
    first = "logo@3x.png"
    data = bytearray(packed({first: bytes(17 * 1024 * 1024), **without(dict(files), first)}))
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<L", data, bytes(data).index(mark) + offset, 1000)
    return bytes(data)


def other_local_name(data: bytes) -> bytes:
    at = data.index(b"PK\x03\x04") + 30
    return data[:at] + b"X" + data[at + 1 :]


def overlapping(files: Mapping[str, bytes]) -> bytes:
    """The second row of the directory points into the first file."""
    data = bytearray(zipped(files, lambda _: None))
    second = bytes(data).index(b"PK\x01\x02", bytes(data).index(b"PK\x01\x02") + 4)
    struct.pack_into("<L", data, second + 42, 0)
    return bytes(data)


ARCHIVES: Mapping[str, tuple[set[str], Callable[[Forged], bytes]]] = {
    "a folder around everything": (
        {"parent-folder"},
        lambda one: packed({f"card/{name}": data for name, data in one.sealed().items()}),
    ),
    "a way out": ({"zip-path"}, lambda one: packed(one.with_file("../evil.sh", b"x").sealed())),
    "a way to the root": ({"zip-path"}, lambda one: packed(one.with_file("/etc/passwd", b"x").sealed())),
    "a way of another system": ({"zip-path"}, lambda one: packed(one.with_file("..\\evil.exe", b"x").sealed())),
    "a drive": ({"zip-path"}, lambda one: packed(one.with_file("C:evil.exe", b"x").sealed())),
    "a name of a thousand letters": ({"zip-path"}, lambda one: packed(one.with_file("x" * 1000, b"x").sealed())),
    "two files of one name": ({"zip-duplicate"}, lambda one: zipped(one.sealed(), twice)),
    "a link": (
        {"zip-link", "image-broken"},
        lambda one: zipped(without(one.with_file("logo@3x.png", b"icon.png").sealed(), "logo@3x.png"), link),
    ),
    "a password": ({"zip-encrypted"}, lambda one: everywhere(packed(one.sealed()), (6, 8), 1)),
    "an unknown packing": ({"zip-method"}, lambda one: everywhere(packed(one.sealed()), (8, 10), 12)),
    "a spoilt byte": ({"zip-damaged"}, lambda one: spoilt(packed(one.sealed(), method=zipfile.ZIP_STORED), 60)),
    "half of it": ({"zip-truncated"}, lambda one: packed(one.sealed())[:5_000]),
    "without its last byte": ({"zip-truncated"}, lambda one: packed(one.sealed())[:-1]),
    "something after it": ({"zip-form"}, lambda one: packed(one.sealed()) + b"<html>"),
    "something before it": ({"zip-form"}, lambda one: b"#!/bin/sh\n" + packed(one.sealed())),
    "another name in the file's own head": ({"zip-form"}, lambda one: other_local_name(packed(one.sealed()))),
    "one file over another": ({"zip-overlap", "zip-form"}, lambda one: overlapping(one.sealed())),
    "a bomb": ({"zip-bomb"}, lambda one: bomb(without(one.sealed(), "logo@3x.png"))),
    "a bomb that says it is small": ({"zip-damaged"}, lambda one: lying_bomb(one.sealed())),
    "ten thousand files": (
        {"zip-entries"},
        lambda one: packed({**one.sealed(), **{f"{number}.txt": b"" for number in range(10_000)}}),
    ),
    "a set of cards": ({"bundle"}, lambda one: packed({"one.pkpass": packed(one.sealed())})),
    "nothing": ({"empty"}, lambda _: b""),
    "a page": ({"not-zip"}, lambda _: b"<!doctype html><title>404</title>"),
    "an empty archive": (
        {"pass-missing", "manifest-missing", "signature-missing", "icon-missing"},
        lambda _: packed({}),
    ),
    "too much": ({"too-big"}, lambda _: bytes(33 * 1024 * 1024)),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_that_no_phone_should_open_is_refused(
    genuine: Forged, authority: Authority, now: datetime, name: str
) -> None:
    expected, forge = ARCHIVES[name]

    verdict = verify_pass(forge(genuine), now=now, trust=authority.trust)

    assert errors(verdict) == expected


def test_every_fault_is_named_and_not_only_the_first(genuine: Forged, authority: Authority, now: datetime) -> None:
    forged = genuine.saying(put(description="", backgroundColor="green")).without("icon.png").with_file("icon.png", b"")
    files = {f"card/{name}": data for name, data in {**forged.sealed(), "extra.txt": b"x"}.items()}

    verdict = verify_pass(packed(files), now=now, trust=Authority(now).trust)

    assert errors(verdict) == {
        "parent-folder",
        "required-missing",
        "colour",
        "image-broken",
        "file-unlisted",
        "chain-root",
    }


def test_every_fault_says_what_to_do(genuine: Forged, authority: Authority, now: datetime) -> None:
    forged = [genuine.saying(change) for _, change in CONTENTS.values()]
    spoilt_files = [packed(one.sealed()) for one in forged] + [forge(genuine) for _, forge in ARCHIVES.values()]

    faults = [fault for data in spoilt_files for fault in verify_pass(data, now=now, trust=authority.trust).faults]

    assert all(fault.text and fault.mend for fault in faults)
    assert all(fault.text.isprintable() and fault.mend.isprintable() for fault in faults)
