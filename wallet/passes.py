"""An Apple pass of the storeCard style: pass.json and the signed .pkpass. Owns the rules that join its parts.

Implements Apple's Pass and PassFields (pass.json). Emits only keys that Wallet knows and never a null. Texts stand in
pass.json itself: with .lproj folders a phone of a third language would choose one of them by chance.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from urllib.parse import urlsplit

from wallet.archive import ICON_NAME, NO_IMAGES, ImageBundle, manifest, package
from wallet.colours import apple_colour
from wallet.errors import ImageError, LayoutError, LocationError, PassError, WebServiceError
from wallet.fields import SQUARE_BARCODES, Barcode, Field, Json, Location, without_none
from wallet.signing import Signer

MAX_HEADER_FIELDS = 3
MAX_PRIMARY_FIELDS = 1
MAX_SECONDARY_FIELDS = 4
MAX_AUXILIARY_FIELDS = 4
MAX_FIELDS_WITH_SQUARE_BARCODE = 4
"""Secondary and auxiliary together: a square code leaves room for one row."""
MAX_LOCATIONS = 10
MIN_TOKEN_CHARS = 16

_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class StoreCard:
    """The fields of a loyalty card by place. Only the header is seen in the stack of cards. Raises LayoutError."""

    _: KW_ONLY
    header_fields: tuple[Field, ...] = ()
    primary_fields: tuple[Field, ...] = ()
    secondary_fields: tuple[Field, ...] = ()
    auxiliary_fields: tuple[Field, ...] = ()
    back_fields: tuple[Field, ...] = ()

    def __post_init__(self) -> None:
        limits = (
            ("header", self.header_fields, MAX_HEADER_FIELDS),
            ("primary", self.primary_fields, MAX_PRIMARY_FIELDS),
            ("secondary", self.secondary_fields, MAX_SECONDARY_FIELDS),
            ("auxiliary", self.auxiliary_fields, MAX_AUXILIARY_FIELDS),
        )
        for place, fields, limit in limits:
            if len(fields) > limit:
                raise LayoutError(f"полей {place} на карте {len(fields)}, помещается {limit}: уберите лишние")
        front = self.header_fields + self.primary_fields + self.secondary_fields + self.auxiliary_fields
        repeated = [key for key, count in Counter(field.key for field in front + self.back_fields).items() if count > 1]
        if repeated:
            raise LayoutError(f"ключи полей повторяются: {', '.join(repeated)}; у каждого поля карты свой ключ")
        if any(field.text_alignment is not None for field in self.primary_fields + self.back_fields):
            raise LayoutError("выравнивание нельзя задать главному полю и полям на обороте: уберите его")
        if any(field.data_detectors is not None for field in front):
            raise LayoutError("распознавание ссылок и телефонов бывает только на обороте: уберите его с лица карты")

    def to_json(self) -> Json:
        groups = {
            "headerFields": self.header_fields,
            "primaryFields": self.primary_fields,
            "secondaryFields": self.secondary_fields,
            "auxiliaryFields": self.auxiliary_fields,
            "backFields": self.back_fields,
        }
        return {name: [field.to_json() for field in fields] for name, fields in groups.items() if fields}


@dataclass
class Pass:
    """One pass being put together; `create` checks it and gives the .pkpass bytes. Colours: #RRGGBB or rgb(r, g, b)."""

    store_card: StoreCard
    _: KW_ONLY
    pass_type_identifier: str
    team_identifier: str
    serial_number: str
    organization_name: str
    description: str
    logo_text: str | None = None
    background_color: str | None = None
    foreground_color: str | None = None
    label_color: str | None = None
    barcodes: tuple[Barcode, ...] = ()
    locations: tuple[Location, ...] = ()
    max_distance_m: int | None = None
    expiration_date: datetime | None = None
    voided: bool | None = None
    sharing_prohibited: bool | None = None
    suppress_strip_shine: bool | None = None
    web_service_url: str | None = None
    authentication_token: str | None = None
    images: ImageBundle = NO_IMAGES

    def add_file(self, name: str, data: bytes) -> None:
        """Adds a picture (icon, logo, strip). For many passes share one `ImageBundle`. Raises ImageError."""
        self.images = self.images.adding(name, data)

    def create(self, signer: Signer, *, signed_at: datetime | None = None) -> bytes:
        """The .pkpass file, the same bytes for the same content and time (see `Signer.sign`). Raises PassError,
        ImageError, ColourError, or SigningError if the signer is for others."""
        signer.require_identity(pass_type_id=self.pass_type_identifier, team_id=self.team_identifier)
        pass_json = self.pass_json()
        manifest_json = manifest(self.images, pass_json)
        signature = signer.sign(manifest_json, signed_at=signed_at)
        return package(self.images, pass_json=pass_json, manifest_json=manifest_json, signature=signature)

    def digest(self) -> str:
        """Of everything that a phone shows: equal for passes that differ in their tokens alone. Raises as `create`."""
        pass_json = self.pass_json()
        token = self.authentication_token
        shown = pass_json if token is None else pass_json.replace(token.encode(), b"")
        return hashlib.sha256(manifest(self.images, shown)).hexdigest()

    def pass_json(self) -> bytes:
        """The checked content of pass.json, UTF-8. Raises PassError, ImageError, ColourError."""
        self._check()
        try:
            return json.dumps(self._to_json(), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        except UnicodeEncodeError as error:
            raise PassError("в тексте карты есть половина символа (одиночный суррогат): исправьте текст") from error

    def _to_json(self) -> Json:
        return without_none(
            {
                "formatVersion": 1,
                "passTypeIdentifier": self.pass_type_identifier,
                "teamIdentifier": self.team_identifier,
                "serialNumber": self.serial_number,
                "organizationName": self.organization_name,
                "description": self.description,
                "logoText": self.logo_text,
                "backgroundColor": _colour(self.background_color),
                "foregroundColor": _colour(self.foreground_color),
                "labelColor": _colour(self.label_color),
                "barcodes": [barcode.to_json() for barcode in self.barcodes] or None,
                "locations": [location.to_json() for location in self.locations] or None,
                "maxDistance": self.max_distance_m,
                "expirationDate": self.expiration_date and self.expiration_date.isoformat(timespec="seconds"),
                "voided": self.voided,
                "sharingProhibited": self.sharing_prohibited,
                "suppressStripShine": self.suppress_strip_shine,
                "webServiceURL": self.web_service_url,
                "authenticationToken": self.authentication_token,
                "storeCard": self.store_card.to_json(),
            }
        )

    def _check(self) -> None:
        for name in ("serial_number", "organization_name", "description"):
            if not getattr(self, name):
                raise PassError(f"у карты пусто {name}: Wallet такую не откроет")
        if ICON_NAME not in self.images.files:
            raise ImageError("у карты нет icon.png: без значка iPhone карту не откроет")
        self._check_room()
        if len(self.locations) > MAX_LOCATIONS:
            raise LocationError(f"мест на карте {len(self.locations)}, можно {MAX_LOCATIONS}")
        if self.expiration_date is not None and self.expiration_date.utcoffset() is None:
            raise PassError(f"у срока карты {self.expiration_date} нет часового пояса, укажите его")
        self._check_web_service()

    def _check_room(self) -> None:
        fields = len(self.store_card.secondary_fields) + len(self.store_card.auxiliary_fields)
        is_square = any(barcode.format in SQUARE_BARCODES for barcode in self.barcodes)
        if is_square and fields > MAX_FIELDS_WITH_SQUARE_BARCODE:
            raise LayoutError(
                f"с квадратным кодом помещается {MAX_FIELDS_WITH_SQUARE_BARCODE} поля secondary и auxiliary вместе, "
                f"а их {fields}: уберите лишние"
            )

    def _check_web_service(self) -> None:
        if self.web_service_url is None and self.authentication_token is None:
            return
        if self.web_service_url is None or self.authentication_token is None:
            raise WebServiceError("адрес обновлений и токен карты нужны вместе: задайте оба или ни одного")
        if len(self.authentication_token) < MIN_TOKEN_CHARS:
            raise WebServiceError(f"токен карты короче {MIN_TOKEN_CHARS} знаков: Wallet его не примет")
        address = urlsplit(self.web_service_url)
        is_local = address.scheme == "http" and address.hostname in _LOOPBACK_HOSTS
        if not address.hostname or not (address.scheme == "https" or is_local):
            raise WebServiceError(
                f"адрес обновлений {self.web_service_url!r} должен начинаться с https:// (http можно на localhost)"
            )


def _colour(text: str | None) -> str | None:
    return None if text is None else apple_colour(text)
