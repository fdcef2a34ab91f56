"""One member's card for Google Wallet: loyalty class, loyalty object, save link. Builds JSON and signs; sends nothing.

Implements walletobjects v1 LoyaltyClass / LoyaltyObject (discovery document, revision 20260806) and the "save to
Google Wallet" JWT. Sending them over REST belongs to connector/.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from google.auth import jwt
from google.auth.crypt import RSASigner

from wallet.card import Card, CardDesign, spaced_number
from wallet.errors import GoogleError, GoogleKeyError, GoogleLimitError
from wallet.labels import Labels, labels_of

Json = dict[str, Any]
ObjectState = Literal["ACTIVE", "INACTIVE"]
"""INACTIVE: the phone puts the card among those that are over. There is no delete."""

MAX_NAME_CHARS = 20
"""issuerName, programName, accountName, accountId, link description: what the phone shows of them."""
MAX_POINTS_LABEL_CHARS = 9
MAX_ACCOUNT_LABEL_CHARS = 15
MAX_MODULE_HEADER_CHARS = 35
MAX_MODULE_BODY_CHARS = 500
MAX_TEXT_MODULES = 10
MAX_PLACES = 10
MAX_BALANCE_POINTS = 2**31 - 1
MAX_SAVE_JWT_CHARS = 1800

SAVE_URL_PREFIX = "https://pay.google.com/gp/v/save/"

_RESOURCE_SUFFIX = re.compile(r"[A-Za-z0-9._-]+")
_BARCODE_TYPES = {"qr": "QR_CODE", "code128": "CODE_128", "pdf417": "PDF_417"}


@dataclass(frozen=True)
class GoogleSigner:
    """The service account's key, parsed once."""

    service_account_email: str
    rsa: RSASigner = field(repr=False)

    @classmethod
    def from_service_account_json(cls, data: bytes) -> GoogleSigner:
        """Reads the key file that Google Cloud gives. Raises GoogleKeyError."""
        hint = "скачайте в Google Cloud ключ сервисного аккаунта в JSON"
        try:
            content = json.loads(data)
        except ValueError as error:
            raise GoogleKeyError(f"ключ Google не читается как JSON: {hint}") from error
        if not isinstance(content, dict) or content.get("type") != "service_account":
            raise GoogleKeyError(f"это не ключ сервисного аккаунта: {hint}")
        try:
            key, key_id = content["private_key"], content.get("private_key_id")
            signer: RSASigner = RSASigner.from_string(key, key_id)  # type: ignore[no-untyped-call]
            return cls(service_account_email=str(content["client_email"]), rsa=signer)
        except KeyError as error:
            raise GoogleKeyError(f"в ключе Google нет {error}: {hint}") from error
        except (ValueError, TypeError) as error:
            raise GoogleKeyError(f"закрытый ключ Google не читается: {hint}") from error


def resource_id(issuer_id: str, suffix: str) -> str:
    """`issuerId.suffix`. Raises GoogleError for signs that Google forbids."""
    if not issuer_id.isascii() or not issuer_id.isdigit() or _RESOURCE_SUFFIX.fullmatch(suffix) is None:
        raise GoogleError(
            f"имя {issuer_id}.{suffix} не подходит Google: номер издателя цифрами, дальше латиница, цифры, точка, _ и -"
        )
    return f"{issuer_id}.{suffix}"


def loyalty_class(
    design: CardDesign,
    issuer_id: str,
    class_suffix: str,
    *,
    logo_url: str,
    hero_url: str | None = None,
    callback_url: str | None = None,
    country_code: str = "RU",
) -> Json:
    """The body of loyaltyClass insert or patch: what all cards share. Raises GoogleError.

    Names longer than Google shows are cut with an ellipsis. The pictures' URLs must be public and HTTPS.
    """
    labels = labels_of(design.language)
    body: Json = {
        "id": resource_id(issuer_id, class_suffix),
        "issuerName": _shown(design.organization_name, MAX_NAME_CHARS),
        "programName": _shown(design.programme_name, MAX_NAME_CHARS),
        "programLogo": _image(logo_url, design),
        # Google wants this state in every write, also of a class that it has approved.
        "reviewStatus": "UNDER_REVIEW",
        "hexBackgroundColor": design.background,
        "countryCode": country_code,
        "accountNameLabel": _shown(labels.member, MAX_ACCOUNT_LABEL_CHARS),
        "accountIdLabel": _shown(labels.number, MAX_ACCOUNT_LABEL_CHARS),
        "multipleDevicesAndHoldersAllowedStatus": "ONE_USER_ALL_DEVICES",
    }
    # What the design does not have is left out: an empty list would wipe what the owner set in Google's console.
    if texts := (design.offers + design.back)[:MAX_TEXT_MODULES]:
        body["textModulesData"] = [_text_module(f"back_{index}", *text) for index, text in enumerate(texts)]
    if places := design.places[:MAX_PLACES]:
        body["merchantLocations"] = [
            {"latitude": latitude, "longitude": longitude} for latitude, longitude, _ in places
        ]
    if hero_url is not None:
        body["heroImage"] = _image(hero_url, design)
    if callback_url is not None:
        body["callbackOptions"] = {"url": callback_url}
    return body


def loyalty_object(
    card: Card,
    design: CardDesign,
    *,
    object_id: str,
    class_id: str,
    account_name: str | None = None,
    state: ObjectState = "ACTIVE",
) -> Json:
    """The body of loyaltyObject insert or patch: one member's card. Raises GoogleLimitError.

    The person's name is sent to Google only if the caller says so with `account_name`; without it a name that was
    sent before is cleared.
    """
    if len(card.number) > MAX_NAME_CHARS:
        raise GoogleLimitError(f"номер карты {card.number} длиннее {MAX_NAME_CHARS} знаков: Google его не примет")
    labels = labels_of(design.language)
    is_english = labels.language == "en"
    body: Json = {
        "id": object_id,
        "classId": class_id,
        "state": state,
        "accountId": card.number,
        "accountName": None if account_name is None else _shown(account_name, MAX_NAME_CHARS),
        "loyaltyPoints": _points("Points" if is_english else "Баллы", card.available_points),
        # Always sent, also as zero: a patch without it would leave the former number on the card.
        "secondaryLoyaltyPoints": _points(labels.pending, card.pending_points),
        "barcode": {
            "type": _BARCODE_TYPES[design.barcode],
            "value": card.number,
            "alternateText": spaced_number(card.number),
            "renderEncoding": "UTF_8",
        },
        "textModulesData": _object_modules(card, design, labels),
        "linksModuleData": {
            "uris": [{"id": "card", "uri": card.card_url, "description": _shown(labels.link, MAX_NAME_CHARS)}]
        },
    }
    return body


def retired_object(*, object_id: str, class_id: str) -> Json:
    """The body that leaves nothing of a person in an object: there is no delete, it only expires."""
    nothing: Json = {"textModulesData": [], "linksModuleData": {"uris": []}, "messages": []}
    named = ("accountId", "accountName", "loyaltyPoints", "secondaryLoyaltyPoints", "barcode")
    return {"id": object_id, "classId": class_id, "state": "EXPIRED", **dict.fromkeys(named), **nothing}


def save_link(
    service_account_email: str,
    signer: GoogleSigner,
    *,
    object_id: str,
    class_id: str,
    now: datetime,
    origins: Sequence[str] = (),
    prefix: str = SAVE_URL_PREFIX,
) -> str:
    """The address behind «Добавить в Google Wallet». The object must already exist. Raises GoogleLimitError."""
    claims = {
        "iss": service_account_email,
        "aud": "google",
        "typ": "savetowallet",
        "iat": int(now.timestamp()),
        "origins": list(origins),
        "payload": {"loyaltyObjects": [{"id": object_id, "classId": class_id}]},
    }
    encoded: bytes = jwt.encode(signer.rsa, claims)  # type: ignore[no-untyped-call]
    token = encoded.decode("ascii")
    if len(token) > MAX_SAVE_JWT_CHARS:
        raise GoogleLimitError(
            f"ссылка Google вышла длиной {len(token)} знаков при пределе {MAX_SAVE_JWT_CHARS}: уберите лишние origins"
        )
    return prefix + token


def _object_modules(card: Card, design: CardDesign, labels: Labels) -> list[Json]:
    modules = []
    if card.segment_title:
        modules.append(_text_module("segment", labels.segment, card.segment_title))
    if card.nearest_burn is not None:
        points, day = card.nearest_burn
        modules.append(_text_module("burn", labels.burn.format(labels.short_date(day)), labels.number_text(points)))
    if card.next_segment is not None and "next_segment" in design.front:
        goal = card.next_segment
        modules.append(_text_module("next", labels.next_segment.format(goal.title), labels.left_to(goal)))
    return modules


def _points(label: str, points: int) -> Json:
    if abs(points) > MAX_BALANCE_POINTS:
        raise GoogleLimitError(f"{points} баллов Google показать не может: предел {MAX_BALANCE_POINTS}")
    return {"label": _shown(label, MAX_POINTS_LABEL_CHARS), "balance": {"int": points}}


def _text_module(identifier: str, header: str, text: str) -> Json:
    return {
        "id": identifier,
        "header": _shown(header, MAX_MODULE_HEADER_CHARS),
        "body": _shown(text, MAX_MODULE_BODY_CHARS),
    }


def _image(url: str, design: CardDesign) -> Json:
    return {
        "sourceUri": {"uri": url},
        "contentDescription": {"defaultValue": {"language": design.language, "value": design.programme_name}},
    }


def _shown(text: str, limit_chars: int) -> str:
    return text if len(text) <= limit_chars else text[: limit_chars - 1].rstrip() + "…"
