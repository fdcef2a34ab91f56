"""Everything we send to Google fits the resources of its discovery document, in every design and state."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from wallet.card import Card, CardDesign, NextSegment
from wallet.google import loyalty_class, loyalty_object, retired_object

SCHEMA = json.loads((Path(__file__).parent / "google_schema.json").read_text(encoding="utf-8"))
ISSUER = "3388000000012345678"
LOGO = "https://club.example.ru/c/logo.png?v=1"
REQUIRED = {
    "LoyaltyClass": {"id", "issuerName", "programName", "programLogo", "reviewStatus"},
    "LoyaltyObject": {"id", "classId", "state"},
}


def check(kind: str, body: Mapping[str, Any], *, is_patch: bool = False) -> None:
    """An insert has what is required and no nulls; a patch names nothing that it may not change, null clears."""
    if is_patch:
        assert not {"id", "classId"} & body.keys()
        unknown = body.keys() - SCHEMA["$defs"][kind]["properties"].keys()
        assert not unknown
        body = {name: value for name, value in body.items() if value is not None}
    else:
        assert body.keys() >= REQUIRED[kind]
    jsonschema_rs.validator_for({**SCHEMA, "$ref": f"#/$defs/{kind}"}).validate(body)


def inserted(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}


def patched(body: Mapping[str, Any], cleared: tuple[str, ...] = ()) -> dict[str, Any]:
    return {name: value for name, value in {**dict.fromkeys(cleared), **body}.items() if name not in ("id", "classId")}


def designs(base: CardDesign) -> list[CardDesign]:
    kinds = itertools.product(("qr", "code128", "pdf417"), ("ru", "en"), (False, True))
    return [
        replace(
            base,
            barcode=barcode,
            language=language,
            show_name=has_more,
            back=(("Л" * 60, "т" * 4_000),) * 20 if has_more else (),
            offers=(("Скидка", "на всё"),) if has_more else (),
            places=((55.75, 37.61, "Магазин"),) * 12 if has_more else (),
        )
        for barcode, language, has_more in kinds
    ]


def test_the_check_itself_refuses_what_google_would() -> None:
    for wrong in ({"state": "GONE"}, {"points": 5}, {"loyaltyPoints": {"balance": {"int_": 5}}}, {"state": "active"}):
        with pytest.raises(jsonschema_rs.ValidationError):
            check("LoyaltyObject", {"id": "1.a", "classId": "1.b", "state": "ACTIVE", **wrong})


def test_the_class_fits_in_every_design(design: CardDesign) -> None:
    for one, has_more in itertools.product(designs(design), (False, True)):
        more = {"hero_url": LOGO, "callback_url": "https://club.example.ru/webhooks/google-wallet"} if has_more else {}
        body = loyalty_class(one, ISSUER, "club", logo_url=LOGO, **more)

        check("LoyaltyClass", inserted(body))
        check("LoyaltyClass", patched(body, cleared=("heroImage", "callbackOptions")), is_patch=True)
        assert len(body.get("merchantLocations", [])) <= 10
        assert body["reviewStatus"] == "UNDER_REVIEW"
        assert "messages" not in body


def test_the_object_fits_in_every_design_and_state(card: Card, design: CardDesign) -> None:
    bare = replace(card, segment_title=None, nearest_burn=None, pending_points=0, available_points=-500)
    rich = replace(card, next_segment=NextSegment("Золотой", 2, 1_240_000, False))
    for one, shown, name, state in itertools.product(
        designs(design), (card, bare, rich), (None, "Анна Константинопольская"), ("ACTIVE", "INACTIVE")
    ):
        body = loyalty_object(
            shown, one, object_id=f"{ISSUER}.m1", class_id=f"{ISSUER}.club", account_name=name, state=state
        )

        check("LoyaltyObject", inserted(body))
        check("LoyaltyObject", patched(body), is_patch=True)
        check("LoyaltyObject", {**patched(body), "notifyPreference": "NOTIFY_ON_UPDATE"}, is_patch=True)
        assert "messages" not in body


def test_an_erased_persons_object_says_nothing_of_him() -> None:
    body = retired_object(object_id=f"{ISSUER}.m1", class_id=f"{ISSUER}.club")

    check("LoyaltyObject", inserted(body))
    check("LoyaltyObject", patched(body), is_patch=True)
    assert body["state"] == "EXPIRED"
    assert patched(body)["accountName"] is None


def test_the_schema_names_its_source() -> None:
    assert SCHEMA["revision"] == "20260806"
    assert "discovery document" in SCHEMA["$comment"]
