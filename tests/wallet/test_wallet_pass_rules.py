"""Each rule of Apple's format is refused by its own error, before anything is signed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest

from wallet.apple import (
    Barcode,
    BarcodeFormat,
    DataDetector,
    DateStyle,
    Field,
    ImageBundle,
    Location,
    NumberStyle,
    Pass,
    StoreCard,
    TextAlignment,
)
from wallet.archive import MAX_IMAGE_BYTES
from wallet.errors import (
    BarcodeError,
    ColourError,
    FieldError,
    ImageError,
    LayoutError,
    LocationError,
    PassError,
    WebServiceError,
)
from wallet.pictures import plain_icons

ICONS = ImageBundle.of(plain_icons("#000000", "#FFFFFF"))
QR = Barcode("123", BarcodeFormat.QR)
HTTPS = "https://club.example.ru/passes"
TOKEN = "0123456789abcdef"
WITHOUT_ZONE = datetime.fromisoformat("2027-01-01T12:00:00")


def make_pass(store_card: StoreCard | None = None, **changes: Any) -> Pass:
    values: dict[str, Any] = {
        "pass_type_identifier": "pass.ru.example",
        "team_identifier": "TEAM",
        "serial_number": "1",
        "organization_name": "Магазин",
        "description": "Карта",
        "images": ICONS,
    }
    return Pass(store_card or StoreCard(), **{**values, **changes})


def fields(count: int, prefix: str = "f") -> tuple[Field, ...]:
    return tuple(Field(f"{prefix}{index}", "x") for index in range(count))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Field("", "x"),
        lambda: Field("k", "x", change_message="Баланс изменился"),
        lambda: Field("k", "12", currency_code="RUB"),
        lambda: Field("k", "12", number_style=NumberStyle.DECIMAL),
        lambda: Field("k", 12, currency_code="RUB", number_style=NumberStyle.DECIMAL),
        lambda: Field("k", True),
        lambda: Field("k", float("nan")),
        lambda: Field("k", None),  # type: ignore[arg-type]
        lambda: Field("k", WITHOUT_ZONE),
        lambda: Field("k", date(2026, 3, 1)),  # type: ignore[arg-type]
        lambda: Field("k", "x", date_style=DateStyle.SHORT),
        lambda: Field("k", 1, is_relative=True),
    ],
)
def test_a_field_that_wallet_would_not_show_is_refused(make: Callable[[], Field]) -> None:
    with pytest.raises(FieldError):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: StoreCard(header_fields=fields(4)),
        lambda: StoreCard(primary_fields=fields(2)),
        lambda: StoreCard(secondary_fields=fields(5)),
        lambda: StoreCard(auxiliary_fields=fields(5)),
        lambda: StoreCard(header_fields=fields(1), back_fields=fields(1)),
        lambda: StoreCard(primary_fields=(Field("k", "x", text_alignment=TextAlignment.LEFT),)),
        lambda: StoreCard(back_fields=(Field("k", "x", text_alignment=TextAlignment.LEFT),)),
        lambda: StoreCard(secondary_fields=(Field("k", "x", data_detectors=(DataDetector.LINK,)),)),
        lambda: make_pass(
            StoreCard(secondary_fields=fields(3), auxiliary_fields=fields(2, "a")), barcodes=(QR,)
        ).pass_json(),
    ],
)
def test_fields_that_do_not_fit_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(LayoutError):
        make()


def test_a_wide_barcode_leaves_room_for_more_fields_than_a_square_one() -> None:
    store_card = StoreCard(secondary_fields=fields(4), auxiliary_fields=fields(4, "a"))

    wide = make_pass(store_card, barcodes=(Barcode("123", BarcodeFormat.CODE128),))

    assert len(json.loads(wide.pass_json())["storeCard"]["auxiliaryFields"]) == 4


@pytest.mark.parametrize(
    "make",
    [
        lambda: Barcode("", BarcodeFormat.QR),
        lambda: Barcode("карта", BarcodeFormat.QR),
        lambda: Barcode("1", BarcodeFormat.QR, message_encoding="no-such-encoding"),
    ],
)
def test_a_barcode_that_cannot_be_drawn_is_refused(make: Callable[[], Barcode]) -> None:
    with pytest.raises(BarcodeError):
        make()


def test_a_cyrillic_barcode_is_accepted_in_an_encoding_that_holds_it() -> None:
    assert Barcode("карта", BarcodeFormat.QR, message_encoding="utf-8").to_json()["messageEncoding"] == "utf-8"


@pytest.mark.parametrize(
    ("url", "token"),
    [
        (None, TOKEN),
        (HTTPS, None),
        (HTTPS, TOKEN[:-1]),
        ("http://club.example.ru/passes", TOKEN),
        ("http://localhost.example.ru/passes", TOKEN),
        ("ftp://127.0.0.1/passes", TOKEN),
        ("https://", TOKEN),
    ],
)
def test_an_update_address_that_wallet_would_not_call_is_refused(url: str | None, token: str | None) -> None:
    with pytest.raises(WebServiceError):
        make_pass(web_service_url=url, authentication_token=token).pass_json()


@pytest.mark.parametrize("url", [HTTPS, "http://127.0.0.1:8000/passes", "http://localhost/x", "http://[::1]:1/x"])
def test_an_update_address_is_https_or_this_machine(url: str) -> None:
    content = json.loads(make_pass(web_service_url=url, authentication_token=TOKEN).pass_json())

    assert (content["webServiceURL"], content["authenticationToken"]) == (url, TOKEN)


@pytest.mark.parametrize(("latitude", "longitude"), [(91, 0), (0, -181), (float("nan"), 0)])
def test_a_place_outside_the_globe_is_refused(latitude: float, longitude: float) -> None:
    with pytest.raises(LocationError):
        Location(latitude, longitude)


def test_ten_places_are_the_limit() -> None:
    ten = make_pass(locations=(Location(43.6, 39.7),) * 10)
    eleven = make_pass(locations=(Location(43.6, 39.7),) * 11)

    assert len(json.loads(ten.pass_json())["locations"]) == 10
    with pytest.raises(LocationError):
        eleven.pass_json()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"serial_number": ""}, PassError),
        ({"description": ""}, PassError),
        ({"organization_name": ""}, PassError),
        ({"description": "половина \ud83d"}, PassError),
        ({"expiration_date": WITHOUT_ZONE}, PassError),
        ({"background_color": "зелёный"}, ColourError),
        ({"images": ImageBundle.of({})}, ImageError),
    ],
)
def test_a_pass_that_no_phone_opens_is_refused(changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        make_pass(**changes).pass_json()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("thumbnail.png", b"\x89PNG\r\n\x1a\n"),
        ("pass.json", b"\x89PNG\r\n\x1a\n"),
        ("../icon.png", b"\x89PNG\r\n\x1a\n"),
        ("ru.lproj/icon.png", b"\x89PNG\r\n\x1a\n"),
        ("icon.png\n", b"\x89PNG\r\n\x1a\n"),
        ("icon@4x.png", b"\x89PNG\r\n\x1a\n"),
        ("icon.png", b"\xff\xd8\xff JPEG"),
        ("icon.png", b"\x89PNG\r\n\x1a\n" + bytes(MAX_IMAGE_BYTES)),
    ],
)
def test_a_picture_that_a_store_card_cannot_use_is_refused(name: str, data: bytes) -> None:
    with pytest.raises(ImageError):
        make_pass().add_file(name, data)


def test_an_empty_pass_emits_only_what_wallet_demands() -> None:
    content = json.loads(make_pass().pass_json())

    assert content == {
        "formatVersion": 1,
        "passTypeIdentifier": "pass.ru.example",
        "teamIdentifier": "TEAM",
        "serialNumber": "1",
        "organizationName": "Магазин",
        "description": "Карта",
        "storeCard": {},
    }


def test_every_key_that_is_set_is_emitted_under_apples_name() -> None:
    instant = datetime(2027, 1, 1, 12, tzinfo=UTC)
    money = Field("money", 12.5, "Сумма", currency_code="RUB", change_message="Теперь %@")
    day = Field("day", instant, date_style=DateStyle.LONG, time_style=DateStyle.NONE, is_relative=False)
    link = Field("link", "сайт", attributed_value="<a href='https://x'>x</a>", data_detectors=())

    content = json.loads(
        make_pass(
            StoreCard(primary_fields=(money,), secondary_fields=(day,), back_fields=(link,)),
            background_color="#16382C",
            foreground_color="rgb(255,255,255)",
            barcodes=(Barcode("7", BarcodeFormat.CODE128, alt_text="7"),),
            locations=(Location(43.6, 39.7, relevant_text="Вы рядом"),),
            max_distance_m=200,
            expiration_date=instant,
            voided=False,
            sharing_prohibited=True,
        ).pass_json()
    )

    assert content["storeCard"] == {
        "primaryFields": [
            {"key": "money", "value": 12.5, "label": "Сумма", "changeMessage": "Теперь %@", "currencyCode": "RUB"}
        ],
        "secondaryFields": [
            {
                "key": "day",
                "value": "2027-01-01T12:00:00+00:00",
                "dateStyle": "PKDateStyleLong",
                "timeStyle": "PKDateStyleNone",
                "isRelative": False,
            }
        ],
        "backFields": [
            {
                "key": "link",
                "value": "сайт",
                "attributedValue": "<a href='https://x'>x</a>",
                "dataDetectorTypes": [],
            }
        ],
    }
    assert content["backgroundColor"] == "rgb(22, 56, 44)"
    assert content["foregroundColor"] == "rgb(255, 255, 255)"
    assert content["barcodes"] == [
        {"format": "PKBarcodeFormatCode128", "message": "7", "messageEncoding": "iso-8859-1", "altText": "7"}
    ]
    assert content["locations"] == [{"latitude": 43.6, "longitude": 39.7, "relevantText": "Вы рядом"}]
    assert (content["maxDistance"], content["expirationDate"]) == (200, "2027-01-01T12:00:00+00:00")
    assert (content["voided"], content["sharingProhibited"]) == (False, True)


def test_files_of_one_pass_do_not_leak_into_another() -> None:
    names: dict[str, Any] = {"pass_type_identifier": "pass.ru.example", "team_identifier": "TEAM", "serial_number": "1"}
    first, second = (Pass(StoreCard(), organization_name="Магазин", description="Карта", **names) for _ in range(2))

    first.add_file("icon.png", ICONS.files["icon.png"])

    assert first.pass_json()
    with pytest.raises(ImageError, match=r"icon\.png"):
        second.pass_json()
