"""Google's JSON keeps to its lengths, and the save link is a valid RS256 JWT."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from wallet.card import BarcodeKind, Card, CardDesign
from wallet.demo_chain import DemoChain
from wallet.errors import GoogleError, GoogleKeyError, GoogleLimitError
from wallet.google import (
    MAX_BALANCE_POINTS,
    MAX_SAVE_JWT_CHARS,
    SAVE_URL_PREFIX,
    GoogleSigner,
    loyalty_class,
    loyalty_object,
    resource_id,
    save_link,
)

ISSUER = "3388000000012345678"
EMAIL = "kopilka@project.iam.gserviceaccount.com"
LOGO = "https://club.example.ru/logo.png"
NOW = datetime(2026, 3, 14, 12, 0, 0, 999_999, tzinfo=UTC)


def key_file(chain: DemoChain, **changes: Any) -> bytes:
    content = {
        "type": "service_account",
        "private_key_id": "abc123",
        "private_key": chain.key_pem.decode(),
        "client_email": EMAIL,
    }
    return json.dumps({name: value for name, value in {**content, **changes}.items() if value is not None}).encode()


@pytest.fixture(scope="module")
def google_signer(chain: DemoChain) -> GoogleSigner:
    return GoogleSigner.from_service_account_json(key_file(chain))


def part(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def make_object(card: Card, design: CardDesign, **changes: Any) -> dict[str, Any]:
    return loyalty_object(card, design, object_id=f"{ISSUER}.m1", class_id=f"{ISSUER}.club", **changes)


def test_the_save_link_is_a_skinny_jwt_signed_by_the_service_account(
    google_signer: GoogleSigner, chain: DemoChain
) -> None:
    link = save_link(
        EMAIL,
        google_signer,
        object_id=f"{ISSUER}.m1",
        class_id=f"{ISSUER}.club",
        now=NOW,
        origins=["https://club.example.ru"],
    )

    assert link.startswith(SAVE_URL_PREFIX)
    header, claims, signature = link.removeprefix(SAVE_URL_PREFIX).split(".")
    key = load_pem_private_key(chain.key_pem, None).public_key()
    assert isinstance(key, RSAPublicKey)
    key.verify(part(signature), f"{header}.{claims}".encode(), PKCS1v15(), hashes.SHA256())
    with pytest.raises(InvalidSignature):
        key.verify(part(signature), f"{header}.{claims}x".encode(), PKCS1v15(), hashes.SHA256())
    assert json.loads(part(header)) == {"alg": "RS256", "typ": "JWT", "kid": "abc123"}
    assert json.loads(part(claims)) == {
        "iss": EMAIL,
        "aud": "google",
        "typ": "savetowallet",
        "iat": 1773489600,
        "origins": ["https://club.example.ru"],
        "payload": {"loyaltyObjects": [{"id": f"{ISSUER}.m1", "classId": f"{ISSUER}.club"}]},
    }
    assert len(link) < 1000


def test_a_save_link_over_googles_length_is_refused(google_signer: GoogleSigner) -> None:
    origins = ["https://club.example.ru"] * 60

    with pytest.raises(GoogleLimitError, match=str(MAX_SAVE_JWT_CHARS)):
        save_link(EMAIL, google_signer, object_id="1.a", class_id="1.b", now=NOW, origins=origins)


def test_the_class_says_what_all_cards_share(design: CardDesign) -> None:
    body = loyalty_class(
        design, ISSUER, "club", logo_url=LOGO, hero_url=LOGO, callback_url="https://club.example.ru/webhooks/google"
    )

    assert body["id"] == f"{ISSUER}.club"
    assert (body["issuerName"], body["programName"]) == ("Спорт и горы", "Клуб «Спорт и горы»")
    assert body["programLogo"]["sourceUri"] == {"uri": LOGO}
    assert body["reviewStatus"] == "UNDER_REVIEW"
    assert body["hexBackgroundColor"] == "#16382C"
    assert body["callbackOptions"] == {"url": "https://club.example.ru/webhooks/google"}
    assert body["textModulesData"][0] == {
        "id": "back_0",
        "header": "Правила",
        "body": "10 % баллами с каждой покупки",
    }


def test_what_is_not_given_is_not_in_the_class(design: CardDesign) -> None:
    body = loyalty_class(design, ISSUER, "club", logo_url=LOGO)

    assert not {"heroImage", "callbackOptions"} & body.keys()
    assert None not in body.values()


def test_long_names_are_cut_to_what_google_shows(design: CardDesign) -> None:
    long = replace(design, programme_name="П" * 21, organization_name="О" * 20, back=(("Л" * 40, "т" * 600),) * 12)

    body = loyalty_class(long, ISSUER, "club", logo_url=LOGO)

    assert body["programName"] == "П" * 19 + "…"
    assert body["issuerName"] == "О" * 20
    assert len(body["textModulesData"]) == 10
    assert (len(body["textModulesData"][0]["header"]), len(body["textModulesData"][0]["body"])) == (35, 500)
    assert len(body["accountIdLabel"]) <= 15


def test_the_object_says_the_members_state(card: Card, design: CardDesign) -> None:
    body = make_object(card, design)

    assert (body["id"], body["classId"], body["state"]) == (f"{ISSUER}.m1", f"{ISSUER}.club", "ACTIVE")
    assert body["accountId"] == "7700012345"
    assert body["loyaltyPoints"] == {"label": "Баллы", "balance": {"int": 1240}}
    assert body["secondaryLoyaltyPoints"] == {"label": "Ожидают", "balance": {"int": 468}}
    assert body["barcode"] == {
        "type": "QR_CODE",
        "value": "7700012345",
        "alternateText": "77 0001 2345",
        "renderEncoding": "UTF_8",
    }
    assert body["textModulesData"] == [
        {"id": "segment", "header": "Сегмент", "body": "Стартовый"},
        {"id": "burn", "header": "Сгорят 02.04.2026", "body": "341"},
    ]
    link = body["linksModuleData"]["uris"][0]
    assert link["uri"] == card.card_url
    assert len(link["description"]) <= 20


def test_the_persons_name_goes_to_google_only_on_demand(card: Card, design: CardDesign) -> None:
    assert "Анна" not in json.dumps(make_object(card, design), ensure_ascii=False)
    assert make_object(card, design, account_name="Анна Константинопольская")["accountName"] == "Анна Константинопол…"


def test_a_member_without_extras_has_empty_lists_that_clear_old_ones(card: Card, design: CardDesign) -> None:
    bare = replace(card, segment_title=None, nearest_burn=None, pending_points=0)

    body = make_object(bare, design)

    assert body["textModulesData"] == []
    assert body["secondaryLoyaltyPoints"]["balance"] == {"int": 0}


@pytest.mark.parametrize(("kind", "expected"), [("qr", "QR_CODE"), ("code128", "CODE_128"), ("pdf417", "PDF_417")])
def test_the_barcode_is_the_designs(card: Card, design: CardDesign, kind: BarcodeKind, expected: str) -> None:
    assert make_object(card, replace(design, barcode=kind))["barcode"]["type"] == expected


@pytest.mark.parametrize(
    "change",
    [
        {"number": "1" * 21},
        {"available_points": MAX_BALANCE_POINTS + 1},
        {"pending_points": MAX_BALANCE_POINTS + 1},
    ],
)
def test_what_google_would_refuse_is_refused_here(card: Card, design: CardDesign, change: dict[str, Any]) -> None:
    changed = replace(card, **{"nearest_burn": (1, date(2026, 1, 1)), **change})

    with pytest.raises(GoogleLimitError):
        make_object(changed, design)


@pytest.mark.parametrize(
    ("issuer", "suffix"), [("x1", "club"), ("", "club"), ("1", ""), ("1", "клуб"), ("1", "a/b"), ("1", "a\n")]
)
def test_a_resource_name_that_google_forbids_is_refused(issuer: str, suffix: str) -> None:
    with pytest.raises(GoogleError):
        resource_id(issuer, suffix)


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "authorized_user"},
        {"private_key": None},
        {"client_email": None},
        {"private_key": "not a key"},
        {"private_key": 5},
    ],
)
def test_a_key_file_of_another_kind_is_refused(chain: DemoChain, changes: dict[str, Any]) -> None:
    with pytest.raises(GoogleKeyError):
        GoogleSigner.from_service_account_json(key_file(chain, **changes))


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff\xfe\x00", b"not json"])
def test_a_file_that_is_no_key_is_refused(data: bytes) -> None:
    with pytest.raises(GoogleKeyError):
        GoogleSigner.from_service_account_json(data)


def test_the_google_key_is_not_printed(google_signer: GoogleSigner) -> None:
    assert google_signer.service_account_email == EMAIL
    assert "rsa" not in repr(google_signer)
