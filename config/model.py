"""The rules file as frozen values.

Owns the shape of what `load_programme` returns beside the rules of points (`loyalty.programme.Programme`): the card,
amoCRM, mail and the acquirers. Secrets are SecretStr, so that no repr, log or error page shows them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import SecretStr

from loyalty.programme import Programme
from loyalty.receipts import PaymentMethod, TaxSystem, Vat

VERSION_CHARS = 12  # hex digits of the digest that name a version of the rules

Barcode = Literal["qr", "code128", "pdf417"]
CardLanguage = Literal["ru", "en"]
FrontField = Literal["segment", "pending", "nearest_burn", "next_segment"]
Provider = Literal[
    "yookassa", "tbank", "cloudpayments", "robokassa", "sber", "alfabank", "prodamus", "paykeeper", "stripe"
]
ContactFieldRole = Literal[
    "balance",
    "pending",
    "nearest_burn",
    "segment",
    "rfm",
    "birthday",
    "card_link",
    "card_status",
    "no_calls",
    "no_offers",
]
LinkProvider = Literal["yookassa", "tbank", "cloudpayments"]
Ffd = Literal["1.05", "1.2"]
LeadFieldRole = Literal[
    "redeem",
    "allowed",
    "total",
    "accrued",
    "redeem_code",
    "payment_status",
    "paid",
    "refunded",
    "acquirer",
    "paid_on",
    "payment_link",
]
GoogleButton = Literal["auto", "wallet", "save_to_phone"]
MailSecurity = Literal["none", "starttls", "tls"]


@dataclass(frozen=True)
class AppleConfig:
    """Files are absolute paths. `password` opens `certificate`; `wwdr` is Apple's intermediate certificate."""

    pass_type_id: str
    team_id: str
    certificate: Path
    password: SecretStr | None = None
    wwdr: Path | None = None


@dataclass(frozen=True)
class GoogleConfig:
    """`key` is the service account's JSON file. Until the issuer `is_published` only its test accounts can save."""

    issuer_id: str
    class_suffix: str
    key: Path
    button: GoogleButton = "auto"
    is_published: bool = False


@dataclass(frozen=True)
class CardLook:
    """`images` keys are file stems such as icon@2x; a stem without a scale, alone of its kind, is a source for all.
    `offers` stand on the back and never speak up."""

    background: str = "#16382C"
    text: str = "#FFFFFF"
    label: str = "#BFE3D0"
    images: Mapping[str, Path] = field(default_factory=dict)
    back: tuple[tuple[str, str], ...] = ()
    offers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Place:
    """Where the phone brings the card up; degrees. `text` stands on the locked screen."""

    lat: float
    lon: float
    text: str | None = None


@dataclass(frozen=True)
class CardConfig:
    """What every card looks like and says. `number_length` counts the prefix. `segments` are whole looks by the code of
    their segment. The balance is always on the face, beside `front`. `badges` are the official buttons by name."""

    MAX_FRONT_WITH_NAME: ClassVar = 3

    number_prefix: str = "77"
    number_length: int = 10
    barcode: Barcode = "qr"
    language: CardLanguage = "ru"
    front: tuple[FrontField, ...] = ("segment", "nearest_burn", "next_segment")
    show_name: bool = False
    look: CardLook = field(default_factory=CardLook)
    segments: Mapping[str, CardLook] = field(default_factory=dict)
    locations: tuple[Place, ...] = ()
    notify_text: str = "Баланс: %@"
    badges: Mapping[str, Path] = field(default_factory=dict)
    apple: AppleConfig | None = None
    google: GoogleConfig | None = None


@dataclass(frozen=True)
class OAuthConfig:
    """The integration's keys; the tokens themselves are kept encrypted in the database."""

    client_id: SecretStr
    client_secret: SecretStr
    redirect_uri: str


@dataclass(frozen=True)
class AmoCrmConfig:
    """`account` is the subdomain of `host`; `refund_status` stands after `paid_status` in the funnel but is not paid.
    After `load_programme` exactly one of `token` and `oauth` is set. `contact_fields` and `lead_fields` hold the names
    of the fields by what we keep in them; `redeem` and `redeem_code` are typed by the manager, the rest is ours."""

    account: str
    host: str
    pipeline: str
    paid_status: str
    refund_status: str | None
    create_missing_fields: bool
    contact_fields: Mapping[ContactFieldRole, str]
    customers: bool
    note_to_feed: bool
    token: SecretStr | None = None
    oauth: OAuthConfig | None = None
    lead_fields: Mapping[LeadFieldRole, str] = field(default_factory=dict)
    move_paid_deals: bool = False
    mark_invoices: bool = False
    purchases: bool = False
    next_purchase: bool = False
    bonus_points: bool = False
    segment_bots: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class AcquirerConfig:
    """`credentials` by their names in the file: `config/acquirers.py` lists them."""

    provider: Provider
    credentials: Mapping[str, SecretStr]


@dataclass(frozen=True)
class ReceiptConfig:
    """What every receipt says; `item` names the goods of a deal, which has no lines."""

    tax_system: TaxSystem
    vat: Vat
    method: PaymentMethod
    ffd: Ffd
    item: str


@dataclass(frozen=True)
class PaymentLinksConfig:
    """`receipt` is None where the acquirer's own cash desk needs nothing from us."""

    acquirer: LinkProvider
    return_url: str
    receipt: ReceiptConfig | None = None


@dataclass(frozen=True)
class MailConfig:
    """The SMTP server. `sender_name` may be empty; `username` and `password` are both there or neither."""

    host: str
    port: int
    security: MailSecurity
    sender_name: str
    sender_address: str
    username: str | None = None
    password: SecretStr | None = None


@dataclass(frozen=True)
class ProgrammeFile:
    """A rules file without errors.

    `lines` says on which line a rule stands, by its dotted path. An item of a list without order is known by its place
    in `programme` and by its name: `segments[1].rate` and `segments.vip.rate`, `accrual.multipliers.Выходные`,
    `accrual.steps.500000` (kopecks), `accrual.by_method.cash`, `gifts.holidays.8 Марта`, `gifts.actions.review`.
    `redeem_pin` is what the senior manager types to confirm a redemption.
    """

    programme: Programme
    card: CardConfig
    amocrm: AmoCrmConfig | None
    acquirers: tuple[AcquirerConfig, ...]
    path: Path
    lines: Mapping[str, int]
    mail: MailConfig | None = None
    redeem_pin: SecretStr | None = None
    payment_links: PaymentLinksConfig | None = None

    def line_of(self, rule: str) -> int:
        """The line of a rule by its path, 0 when it is not written: a default stands in for it."""
        return self.lines.get(rule, 0)

    @property
    def version(self) -> str:
        """The name of these rules of points: equal rules have equal names, whatever the comments and the order."""
        data = json.dumps(self.programme.to_data(), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(data.encode()).hexdigest()[:VERSION_CHARS]
