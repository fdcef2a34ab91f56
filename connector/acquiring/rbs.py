"""The gateway of RBS/BPC, which Sber and Alfa-Bank run under their own names.

Owns its callbacks: acquirers reference, sections 6 and 13; `rbs_checksum` proves them, `rbs_orders` asks for an order.
If the owner has set no key of the bank, a callback proves nothing: every one is a hint then, and only the order asked
for with our own credentials counts. So it does for everything after a deposit, for a deposit whose sum is not told, and
where the signed text has several readings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import ClassVar, Self

from connector.acquiring import base
from connector.acquiring.base import Ack, Acquirer, Callback, Check, Fetched, Ignored, NeedsFetch, Parsed
from connector.acquiring.forms import form_fields
from connector.acquiring.rbs_checksum import Checksum
from connector.acquiring.rbs_orders import REF, ROUBLES, Gateway
from connector.acquiring.reading import matching, tried, with_metadata
from connector.errors import BadReply
from connector.http import HttpClient
from connector.money import kopecks_from_int
from loyalty.events import PaymentFacts, PaymentStatus

_WORD = re.compile(r"[A-Za-z]{1,40}")
_BIT = re.compile(r"[01]")
_SUM = re.compile(r"[0-9]{1,12}")
_PRINTABLE = re.compile(r"[ -~]{1,200}")
_DONE: dict[str, PaymentStatus] = {"approved": "authorised", "deposited": "captured"}
_DECLINED = {"declinedbytimeout", "declinedcardpresent"}  # the documents differ in their capital letters


class Rbs(Acquirer):
    """The gateway itself; a bank adds its name and its addresses."""

    credentials = ()
    optional_credentials = ("login", "password", "token", "callback_key", "callback_certificate", "gateway")
    domains: ClassVar[tuple[str, ...]]
    gateway: ClassVar[str]

    def __init__(self, gateway: Gateway, checksum: Checksum) -> None:
        self._gateway = gateway
        self._checksum = checksum

    @classmethod
    def from_credentials(
        cls, credentials: Mapping[str, str], *, api_url: str, http: HttpClient, check_ip: bool
    ) -> Self:
        """`token` or both `login` and `password`. `check_ip` is not used: the banks publish no addresses."""
        del check_ip
        names = {"token": "token"} if credentials.get("token") else {"userName": "login", "password": "password"}
        access = {field: base.credential(credentials, cls.name, name) for field, name in names.items()}
        key, certificate = credentials.get("callback_key", ""), credentials.get("callback_certificate", "")
        checksum = Checksum(cls.name, key=key, certificate=certificate)
        address = (credentials.get("gateway") or cls.gateway) if api_url in {"", cls.api_url} else api_url
        return cls(Gateway(cls.name, address, domains=cls.domains, access=access, http=http), checksum)

    def keep(self, callback: Callback) -> bytes:
        return (callback.body if callback.method == "POST" else b"") or callback.query

    def checks(self, callback: Callback) -> Sequence[Check]:
        fields, shape = tried(_read, self.keep(callback), like="mdOrder=…&orderNumber=…&operation=deposited&status=1")
        return [shape] if fields is None else [shape, self._checksum.check(fields)]

    def event_id(self, raw: bytes) -> str:
        fields = _read(raw)
        names = ("mdOrder", "operation", "status", "operationRefundedAmount", "callbackCreationDate")
        text = ":".join(fields.get(name, "") for name in names)
        return text if "mdOrder" in fields and _PRINTABLE.fullmatch(text) else f"other:{sha256(raw).hexdigest()}"

    def is_hint(self, raw: bytes) -> bool:
        return isinstance(self.parse(raw), NeedsFetch)

    def ack(self, raw: bytes) -> Ack:  # noqa: ARG002
        return Ack(200, "text/plain; charset=utf-8", b"")

    def parse(self, raw: bytes) -> Parsed:
        fields = _read(raw)
        operation, is_done = fields["operation"], fields.get("status") == "1"
        is_given_back = operation in {"reversed", "refunded"}
        if not (is_given_back or operation in _DONE or operation.lower() in _DECLINED):
            return Ignored(f"operation {operation}")
        captured = _captured(fields) if operation == "deposited" and is_done else 0
        if captured is None or (is_given_back and is_done) or not self._checksum.proves(fields):
            return NeedsFetch(fields["mdOrder"])
        if is_given_back:
            return Ignored(f"operation {operation} failed")
        facts = PaymentFacts(
            acquirer=self.name,
            payment_ref=fields["mdOrder"],
            deal_ref=None,
            captured_kopecks=captured,
            refunded_kopecks=0,
            status=_DONE.get(operation, "failed") if is_done else "failed",
            occurred_at=None,
            is_test=False,
        )
        order = {"order": fields.get("orderNumber"), "phone": fields.get("phone"), "email": fields.get("email")}
        return with_metadata(facts, order)

    def fetch(self, payment_ref: str) -> Fetched:
        return self._gateway.order(payment_ref, self.title_ru)


class Sber(Rbs):
    name = "sber"
    title_ru = "Сбер"
    api_url = "https://ecommerce.sberbank.ru"
    gateway = "https://ecommerce.sberbank.ru/ecomm/gw/partner/api/v1"
    domains = ("sberbank.ru",)


class AlfaBank(Rbs):
    name = "alfabank"
    title_ru = "Альфа-Банк"
    api_url = "https://pay.alfabank.ru"
    gateway = "https://pay.alfabank.ru/payment"
    domains = ("alfabank.ru", "rbsuat.com")


def _read(raw: bytes) -> dict[str, str]:
    """The fields of a query, a form or (Sber's newer gateway) a JSON object, every value as a text. Raises BadReply."""
    if raw.lstrip()[:1] == b"{":
        fields = {name: _printed(value) for name, value in base.json_notification(raw, numbers=str).items()}
    else:
        fields = form_fields(raw)
    if not matching(_WORD, fields.get("operation"), "an operation").startswith("binding"):
        matching(REF, fields.get("mdOrder"), "an order of the bank")
        matching(_BIT, fields.get("status"), "a status of the bank")
    return fields


def _printed(value: object) -> str:
    """Nobody knows how the bank would sign what is nested: printed as JSON it is at least covered."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value)
    except RecursionError:
        raise BadReply("the notification is nested too deep") from None


def _captured(fields: Mapping[str, str]) -> int | None:
    """What the deposit told; `amount` is the sum of the order, which is more than that of a deposit in part."""
    told = fields.get("depositedAmount", "")
    is_told = _SUM.fullmatch(told) is not None and fields.get("currency", "") in {"", *ROUBLES}
    return kopecks_from_int(told) if is_told else None
