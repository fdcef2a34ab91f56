"""The sections about foreign systems: `amocrm` and `acquirers`.

Owns their keys and limits and which hosts of amoCRM are believed. A new acquirer is one row of `acquirers.ACQUIRERS`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import SecretStr

from config import fields
from config.acquirers import ACQUIRERS, Credential
from config.lists import code, read_rows, refuse_same
from config.masking import is_reference, quote
from config.model import AcquirerConfig, AmoCrmConfig, ContactFieldRole, LeadFieldRole, OAuthConfig, Provider
from config.secret_fields import Outside
from config.section import Keys, Notes, Section, refuse_repeats
from config.strict_yaml import Node, Pairs, Scalar

Role = TypeVar("Role", bound=str)

MAX_CRM_NAME_CHARS = 255
MAX_URL_CHARS = 500
MAX_OPEN_CHARS = 200
MAX_BOT = 2**53
MAX_BOTS = 20

AMOCRM_KEYS = Keys(
    (
        "account",
        "pipeline",
        "paid_status",
        "refund_status",
        "create_missing_fields",
        "fields",
        "customers",
        "note_to_feed",
        "move_paid_deals",
        "mark_invoices",
        "purchases",
        "next_purchase",
        "bonus_points",
        "segment_bots",
        "token",
        "oauth",
    ),
)
CONTACT_FIELDS: tuple[ContactFieldRole, ...] = (
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
)
LEAD_FIELDS: tuple[LeadFieldRole, ...] = get_args(LeadFieldRole)
BOT_KEYS = Keys(("segment", "bot"))
OAUTH_KEYS = Keys(("client_id", "client_secret", "redirect_uri"))
FIELDS_KEYS = Keys(("contact", "lead"))
CONTACT_KEYS = Keys(CONTACT_FIELDS)
LEAD_KEYS = Keys(LEAD_FIELDS)

_ACCOUNT = re.compile(r"([a-z0-9-]{1,63})(\.(?:amocrm\.(?:ru|com)|kommo\.com))?")
_DEFAULT_DOMAIN = ".amocrm.ru"
_PROVIDERS: Mapping[str, Provider] = {name: name for name in get_args(Provider)}
_ANY_CREDENTIAL = tuple(dict.fromkeys(one.name for known in ACQUIRERS.values() for one in known.credentials))
_ANY_SECRET = tuple(
    dict.fromkeys(one.name for known in ACQUIRERS.values() for one in known.credentials if not one.is_open)
)
ACQUIRER_KEYS = Keys(("provider", *_ANY_CREDENTIAL))


def read_amocrm(root: Section, outside: Outside) -> AmoCrmConfig | None:
    section = root.sub("amocrm", AMOCRM_KEYS)
    if section is None:
        return None
    name = fields.words(MAX_CRM_NAME_CHARS)
    account, host = section.need("account", _account, "sportgory")
    token, oauth = _access(section, outside)
    crm_fields = section.sub("fields", FIELDS_KEYS)
    paid_status = section.need("paid_status", name, "Оплачен")
    refund_status = section.get("refund_status", name, None)
    _stages_differ(section, paid_status, refund_status)
    return AmoCrmConfig(
        account=account,
        host=host,
        pipeline=section.need("pipeline", name, "Интернет-магазин"),
        paid_status=paid_status,
        refund_status=refund_status,
        create_missing_fields=section.get("create_missing_fields", fields.yes_no, default=False),
        contact_fields=_field_names(crm_fields, "contact", CONTACT_KEYS, CONTACT_FIELDS),
        customers=section.get("customers", fields.yes_no, default=False),
        note_to_feed=section.get("note_to_feed", fields.yes_no, default=False),
        token=token,
        oauth=oauth,
        lead_fields=_field_names(crm_fields, "lead", LEAD_KEYS, LEAD_FIELDS),
        move_paid_deals=section.get("move_paid_deals", fields.yes_no, default=False),
        mark_invoices=section.get("mark_invoices", fields.yes_no, default=False),
        purchases=section.get("purchases", fields.yes_no, default=False),
        next_purchase=section.get("next_purchase", fields.yes_no, default=False),
        bonus_points=section.get("bonus_points", fields.yes_no, default=False),
        segment_bots=_bots(section),
    )


def read_acquirers(root: Section, outside: Outside) -> tuple[AcquirerConfig, ...]:
    """Every acquirer that the file names, complete or not."""
    members = root.items("acquirers", "- {provider: yookassa, shop_id: env:…, secret: env:…}")
    read = [(path, _acquirer(root.notes, node, path, outside)) for path, node in members]
    named = [(f"{path}.provider", acquirer.provider) for path, acquirer in read if acquirer is not None]
    refuse_repeats(root.notes, named, "duplicate-provider", "эквайринг", fix="оставьте одну запись")
    return tuple(acquirer for _, acquirer in read if acquirer is not None)


def complete(acquirers: Iterable[AcquirerConfig]) -> tuple[AcquirerConfig, ...]:
    """Those whose credentials are all at hand; in a mere check the others are left out with a warning."""
    return tuple(one for one in acquirers if ACQUIRERS[one.provider].is_complete(one.credentials))


def _stages_differ(section: Section, paid: str, refund: str | None) -> None:
    path = section.at("refund_status")
    if refund is not None and refund.casefold() == paid.casefold() and section.notes.intact(path):
        message = f"этап возврата тот же, что и этап оплаты: {quote(refund)}; каждая оплата стала бы возвратом"
        section.notes.error_at_path(path, "same-stage", message, "назовите другой этап или уберите refund_status")


def _account(text: str) -> tuple[str, str]:
    found = _ACCOUNT.fullmatch(text)
    if found:
        return found[1], found[1] + (found[2] or _DEFAULT_DOMAIN)
    inside = _ACCOUNT.fullmatch(text.casefold().removeprefix("https://").partition("/")[0])
    fix = f"напишите {inside[0].removesuffix(_DEFAULT_DOMAIN)}" if inside else "напишите, например, sportgory"
    message = "нужно имя аккаунта amoCRM или его полный адрес без https://"
    raise fields.FieldError("amocrm-account", message, fix)


def _access(section: Section, outside: Outside) -> tuple[SecretStr | None, OAuthConfig | None]:
    oauth = section.sub("oauth", OAUTH_KEYS)
    if "token" in section and oauth is not None:
        message = "указаны и token, и oauth"
        section.notes.error_at_path(section.at("token"), "two-accesses", message, "оставьте что-то одно")
        return None, None
    if oauth is None:
        if "token" not in section:
            section.missing("token", "добавьте token: env:AMOCRM_TOKEN (долгосрочный ключ) или раздел oauth")
        return outside.secret(section, "token", rotate="в amoCRM", optional=True), None
    client_id = outside.secret(oauth, "client_id", rotate="в amoCRM")
    client_secret = outside.secret(oauth, "client_secret", rotate="в amoCRM")
    redirect_uri = oauth.need("redirect_uri", read_address, "https://bonus.sportgory.ru/amocrm/oauth")
    if client_id is None or client_secret is None:
        return None, None
    return None, OAuthConfig(client_id, client_secret, redirect_uri)


def read_address(text: str) -> str:
    """An https address; for tests and demos one of this machine."""
    try:
        url = urlsplit(text)
        host = url.hostname
    except ValueError:
        host = None
    if host and len(text) <= MAX_URL_CHARS and text.isascii() and (url.scheme == "https" or _local(url.scheme, host)):
        return text
    raise fields.FieldError("url", "нужен адрес, который начинается с https://", "возьмите его из настроек интеграции")


def _local(scheme: str, host: str) -> bool:
    try:
        return scheme == "http" and (host == "localhost" or ipaddress.ip_address(host).is_loopback)
    except ValueError:
        return False


def _bots(section: Section) -> dict[str, int]:
    """Numbers of Salesbots by the segment that a member comes into."""
    like = "- {segment: vip, bot: 501}"
    rows = [
        (row, row.need("segment", code("segment-code", "vip"), "vip"), row.need("bot", fields.whole(1, MAX_BOT), "501"))
        for row in read_rows(section, "segment_bots", BOT_KEYS, like, MAX_BOTS)
    ]
    named = [(row, name) for row, name, _ in rows]
    refuse_same(section.notes, named, "segment", "duplicate-bot", "сегмент", fix="оставьте одну запись")
    return {name: bot for _, name, bot in rows}


def _field_names(crm_fields: Section | None, entity: str, keys: Keys, roles: tuple[Role, ...]) -> dict[Role, str]:
    """The names of the fields of one kind of card by what we keep in them."""
    section = None if crm_fields is None else crm_fields.sub(entity, keys)
    if section is None:
        return {}
    name = fields.words(MAX_CRM_NAME_CHARS)
    found = {role: section.get(role, name, "") for role in roles if role in section}
    refuse_repeats(section.notes, [(section.at(role), found[role]) for role in found], "duplicate-field", "поле")
    return found


def _acquirer(notes: Notes, node: Node, path: str, outside: Outside) -> AcquirerConfig | None:
    provider = _provider(node)
    if provider is None:
        section = Section.open(notes, node, path, node.span, ACQUIRER_KEYS)
        section.need("provider", fields.one_of(_PROVIDERS), "yookassa")
        for name in _ANY_SECRET:
            outside.secret(section, name, rotate="у банка", optional=True)
        return None
    known = ACQUIRERS[provider]
    section = Section.open(notes, node, path, node.span, _keys(provider))
    section.need("provider", fields.one_of(_PROVIDERS), "yookassa")
    if known.needs_any and not any(all(name in section for name in group) for group in known.needs_any):
        groups = " или ".join(" и ".join(group) for group in known.needs_any)
        section.missing(known.needs_any[0][0], f"нужно: {groups}")
    values = {one.name: _credential(section, one, provider, outside) for one in known.credentials}
    return AcquirerConfig(provider, {name: value for name, value in values.items() if value is not None})


def _credential(section: Section, one: Credential, provider: Provider, outside: Outside) -> SecretStr | None:
    """A reference, or for what is no secret the value itself."""
    if one.is_open and one.name in section:
        literal = section.get(one.name, fields.words(MAX_OPEN_CHARS), "")
        if not is_reference(literal):
            return SecretStr(literal) if literal else None
    like = f"env:{provider.upper()}_{one.name.upper()}"
    return outside.secret(section, one.name, rotate="у банка", optional=one.is_optional, like=like, where=one.where_ru)


def _keys(provider: Provider) -> Keys:
    meant = {"secret": "password"} if provider == "tbank" else {}
    return Keys(("provider", *(one.name for one in ACQUIRERS[provider].credentials)), meant=meant)


def _provider(node: Node) -> Provider | None:
    """Which keys an acquirer has depends on its provider, so this looks ahead and leaves complaints to the reader."""
    if not isinstance(node, Pairs):
        return None
    values = {key.text: value for key, value in node.entries}
    misspelt = (name for name in values if name not in _ANY_CREDENTIAL and fields.closest(name, ("provider",)))
    value = values.get("provider", values.get(next(misspelt, "")))
    return _PROVIDERS.get(value.text) if isinstance(value, Scalar) else None
