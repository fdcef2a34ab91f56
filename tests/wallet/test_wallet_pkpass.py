"""The signed file as a stranger sees it: openssl, zipfile and a recomputed manifest."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wallet.archive import ImageBundle, manifest, package
from wallet.card import BarcodeKind, Card, CardDesign
from wallet.card_apple import DEMO_LABEL, apple_pass, card_pkpass, design_images
from wallet.demo_chain import DemoChain
from wallet.errors import PassTypeMismatchError, TeamMismatchError
from wallet.pictures import plain_images
from wallet.signing import Signer

ACCEPTED = {"cms": 0, "smime": 0}
HARD_TEXT = st.text(max_size=40) | st.sampled_from(
    ["«Ёлка» \"кавычки\" \\ 'апостроф'", "👩‍👩‍👧‍👦 эмодзи", "\x00\u2028", "</a>&%@"]
)

Verify = Callable[[bytes], dict[str, int]]
Openssl = Callable[[bytes, bytes], dict[str, int]]
Unpack = Callable[[bytes], dict[str, bytes]]


@pytest.mark.parametrize("barcode", ["qr", "code128", "pdf417"])
@pytest.mark.parametrize("full", [True, False])
def test_openssl_accepts_every_kind_of_card(
    card: Card, design: CardDesign, signer: Signer, verify_pkpass: Verify, barcode: BarcodeKind, full: bool
) -> None:
    bare = replace(card, member_name=None, segment_title=None, pending_points=0, nearest_burn=None)

    pkpass = card_pkpass(card if full else bare, replace(design, barcode=barcode), signer)

    assert verify_pkpass(pkpass) == ACCEPTED


@settings(max_examples=12, deadline=None)
@given(texts=st.tuples(HARD_TEXT, HARD_TEXT, HARD_TEXT))
def test_any_text_arrives_unharmed_in_a_valid_pass(
    card: Card,
    design: CardDesign,
    signer: Signer,
    verify_pkpass: Verify,
    unpacked: Unpack,
    texts: tuple[str, str, str],
) -> None:
    title, label, value = texts

    pkpass = card_pkpass(replace(card, segment_title=f"-{title}"), replace(design, back=((label, value),)), signer)

    content = json.loads(unpacked(pkpass)["pass.json"])
    assert content["storeCard"]["secondaryFields"][0]["value"] == f"-{title}"
    assert content["storeCard"]["backFields"][-1] == {"key": "back_0", "label": label, "value": value}
    assert verify_pkpass(pkpass) == ACCEPTED


def test_the_manifest_lists_the_hash_of_every_file(
    card: Card, design: CardDesign, signer: Signer, unpacked: Unpack
) -> None:
    files = unpacked(card_pkpass(card, design, signer))

    listed = json.loads(files["manifest.json"])
    del files["manifest.json"], files["signature"]
    assert listed == {name: hashlib.sha1(data).hexdigest() for name, data in files.items()}
    assert len(listed) == 10


def test_openssl_refuses_a_changed_manifest(
    card: Card, design: CardDesign, signer: Signer, openssl: Openssl, unpacked: Unpack
) -> None:
    files = unpacked(card_pkpass(card, design, signer))
    forged = files["manifest.json"].replace(b'"pass.json":"', b'"pass.json":"0', 1)

    verdict = openssl(forged, files["signature"])

    assert all(code != 0 for code in verdict.values())


def test_openssl_refuses_a_pass_of_a_foreign_chain(
    card: Card, design: CardDesign, foreign_chain: DemoChain, now: datetime, verify_pkpass: Verify
) -> None:
    foreign = Signer.from_pem(foreign_chain.certificate_pem, foreign_chain.key_pem, foreign_chain.wwdr_pem, now=now)

    verdict = verify_pkpass(card_pkpass(card, design, foreign))

    assert all(code != 0 for code in verdict.values())


def test_line_ends_are_signed_as_they_are(signer: Signer, openssl: Openssl) -> None:
    content = b'{\n"a": 1,\r\n"b": 2\r}\n'

    assert openssl(content, signer.sign(content)) == ACCEPTED
    assert openssl(content.replace(b"\r\n", b"\n"), signer.sign(content))["cms"] != 0


def test_the_signature_is_detached_sha256_with_signing_time_and_intermediate(signer: Signer, tmp_path: Path) -> None:
    (tmp_path / "signature").write_bytes(signer.sign(b"manifest"))

    printed = subprocess.run(
        ["openssl", "cms", "-cmsout", "-print", "-inform", "DER", "-in", "signature"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
        timeout=30,
    ).stdout.decode(errors="replace")

    assert "eContent: <ABSENT>" in printed
    digests = [line for line in printed.splitlines() if "algorithm: sha" in line and "RSA" not in line]
    assert len(digests) == 2
    assert all("sha256 (" in line for line in digests)
    assert "signingTime" in printed
    assert printed.count("d.certificate:") == 2


def test_two_builds_differ_in_nothing_but_the_signature(
    card: Card, design: CardDesign, signer: Signer, unpacked: Unpack
) -> None:
    first, second = (card_pkpass(card, design, signer) for _ in range(2))

    one, two = unpacked(first), unpacked(second)
    del one["signature"], two["signature"]
    assert one == two
    assert len(first) == len(second)


@settings(max_examples=30, deadline=None)
@given(data=st.lists(st.binary(max_size=300), min_size=5, max_size=5))
def test_the_archive_reads_back_by_the_standard_library(data: list[bytes]) -> None:
    images = ImageBundle.of(
        {name: b"\x89PNG\r\n\x1a\n" + data[i] for i, name in enumerate(("icon.png", "logo@2x.png"))}
    )

    first, second = (package(images, pass_json=data[2], manifest_json=data[3], signature=data[4]) for _ in range(2))

    assert first == second
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert archive.testzip() is None
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {name: archive.read(name) for name in archive.namelist()} == {
            **images.files,
            "pass.json": data[2],
            "manifest.json": data[3],
            "signature": data[4],
        }


def test_a_pass_built_file_by_file_equals_one_from_a_bundle(card: Card, design: CardDesign, signer: Signer) -> None:
    whole = apple_pass(card, design, pass_type_id=signer.pass_type_id, team_id=signer.team_id)
    pieces = replace(whole, images=ImageBundle.of({}))

    for name, data in sorted(whole.images.files.items(), reverse=True):
        pieces.add_file(name, data)

    assert pieces.images.region == whole.images.region
    assert manifest(pieces.images, b"{}") == manifest(whole.images, b"{}")


def test_a_pass_for_another_certificate_is_not_signed(card: Card, design: CardDesign, signer: Signer) -> None:
    other_type = apple_pass(card, design, pass_type_id="pass.ru.other", team_id=signer.team_id)
    other_team = apple_pass(card, design, pass_type_id=signer.pass_type_id, team_id="OTHERTEAM0")

    with pytest.raises(PassTypeMismatchError, match=r"pass\.ru\.other"):
        other_type.create(signer)
    with pytest.raises(TeamMismatchError, match="OTHERTEAM0"):
        other_team.create(signer)


def test_the_card_shows_the_members_state(card: Card, design: CardDesign, signer: Signer, unpacked: Unpack) -> None:
    content = json.loads(unpacked(card_pkpass(card, design, signer))["pass.json"])

    fields = {
        field["key"]: (field.get("label"), field["value"]) for group in content["storeCard"].values() for field in group
    }
    assert content["storeCard"]["headerFields"] == [
        {"key": "balance", "label": "Баланс", "value": "1\u00a0240", "changeMessage": "Баланс: %@"}
    ]
    assert "primaryFields" not in content["storeCard"]
    assert fields["segment"] == ("Сегмент", "Стартовый")
    assert "member" not in fields
    assert fields["burn"] == ("Сгорят 02.04.2026", "341")
    assert fields["link"] == ("Карта в интернете", "https://club.example.ru/c/7Q2M9X")
    assert fields["pending_detail"][1] == "468\u00a0баллов, ближайшие 28\u00a0марта\u00a02026"
    assert fields["burn_detail"][1] == "341\u00a0балл 2\u00a0апреля\u00a02026"
    assert fields["back_1"] == ("Телефон", "+7 495 000-00-00")
    assert content["barcodes"][0]["message"] == "7700012345"
    assert content["barcodes"][0]["altText"] == "77 0001 2345"


def test_only_the_balance_can_ring(card: Card, design: CardDesign, signer: Signer, unpacked: Unpack) -> None:
    content = json.loads(unpacked(card_pkpass(card, design, signer))["pass.json"])

    ringing = [field["key"] for group in content["storeCard"].values() for field in group if "changeMessage" in field]
    assert ringing == ["balance"]


def test_without_a_strip_the_name_stands_on_the_front(card: Card, design: CardDesign, signer: Signer) -> None:
    icon = plain_images("#000000", "#FFFFFF")["icon.png"]

    bare = replace(design, images={"icon.png": icon})
    pass_ = apple_pass(card, replace(bare, show_name=True), pass_type_id="pass.x", team_id="T")
    nameless = apple_pass(card, bare, pass_type_id="pass.x", team_id="T")

    assert [field.value for field in pass_.store_card.primary_fields] == ["Анна П."]
    assert [field.value for field in nameless.store_card.primary_fields] == ["Стартовый"]
    assert list(pass_.images.files) == ["icon.png"]


def test_a_code_for_old_scanners_is_followed_by_one_for_the_watch(card: Card, design: CardDesign) -> None:
    pass_ = apple_pass(card, replace(design, barcode="code128"), pass_type_id="pass.x", team_id="T")

    assert [barcode.format for barcode in pass_.barcodes] == ["PKBarcodeFormatCode128", "PKBarcodeFormatQR"]


def test_a_demo_card_says_so_in_three_places(card: Card, design: CardDesign, signer: Signer, unpacked: Unpack) -> None:
    files = unpacked(card_pkpass(card, design, signer))

    content = json.loads(files["pass.json"])
    assert content["description"].startswith(DEMO_LABEL)
    assert content["storeCard"]["backFields"][0]["label"] == DEMO_LABEL
    assert "DEMO / не Apple".encode() in files["signature"]


def test_a_real_card_is_not_called_a_demo(card: Card, design: CardDesign) -> None:
    pass_ = apple_pass(card, design, pass_type_id="pass.x", team_id="T")

    assert DEMO_LABEL not in pass_.pass_json().decode()


def test_the_owners_pictures_are_used_and_only_the_missing_icon_is_made(design: CardDesign) -> None:
    logo = plain_images("#000000", "#FFFFFF")["logo.png"]

    images = design_images(replace(design, images={"logo.png": logo}))

    assert images.files["logo.png"] == logo
    assert sorted(images.files) == ["icon.png", "icon@2x.png", "icon@3x.png", "logo.png"]


def test_designs_that_differ_in_pictures_only_do_not_share_them(design: CardDesign) -> None:
    black, white = (replace(design, images=plain_images(colour, "#777777")) for colour in ("#000000", "#FFFFFF"))

    assert design_images(black).sha1 != design_images(white).sha1
    assert design_images(black) is design_images(replace(black))


def test_pass_json_is_utf8_without_a_mark_and_without_nulls(card: Card, design: CardDesign) -> None:
    bare = replace(card, authentication_token=None, web_service_url=None, nearest_burn=(5, date(2026, 1, 1)))

    raw = apple_pass(bare, design, pass_type_id="pass.x", team_id="T").pass_json()

    assert raw.startswith(b'{"formatVersion":1')
    assert "Стартовый".encode() in raw
    assert b"null" not in raw
    assert b"webServiceURL" not in raw
