"""PayKeeper: signed notifications of payments, and a payment by the JSON API of the shop's own PayKeeper.

Owns its wire format: acquirers reference, sections 8 and 13. The key is an md5 over texts without separators: who has
seen one genuine notification can move digits from one field to the next, and only `fetch` would not find that payment.
Refunds are not notified: `fetch` reads their total, with the optional credentials, from the shop's own server. What
`refund_amount` says while a refund is still going on is not documented, so it counts when that is done.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from hashlib import md5
from typing import Any, Self

from connector.acquiring import base, paykeeper_lists
from connector.acquiring.base import Ack, Acquirer, Callback, Check, Fetched, Ignored, NotOurs, Parsed
from connector.acquiring.forms import form_fields
from connector.acquiring.listing import Listed, Lists
from connector.acquiring.paykeeper_payments import REF, answer, facts_of, told
from connector.acquiring.reading import compared, matching, tried
from connector.errors import BadMoney, BadReply, NotConfigured
from connector.http import HttpClient
from connector.money import kopecks_from_roubles

_SERVER = re.compile(r"(?:https://)?([0-9a-z-]+(?:\.[0-9a-z-]+)+)/?")
_PATH = "/info/payments/byid/"


class PayKeeper(Acquirer, Lists):
    name = "paykeeper"
    title_ru = "PayKeeper"
    credentials = ("secret",)
    optional_credentials = ("server", "login", "password")

    def __init__(self, secret: str, *, server: str, authorization: str, http: HttpClient) -> None:
        self._secret = secret
        self._server = server
        self._headers = {"Authorization": authorization, "Accept": "application/json"}
        self._http = http

    @classmethod
    def from_credentials(
        cls, credentials: Mapping[str, str], *, api_url: str, http: HttpClient, check_ip: bool
    ) -> Self:
        """`api_url` stands in for the shop's server. `check_ip` is not used: PayKeeper publishes no addresses."""
        del check_ip
        secret = base.credential(credentials, cls.name, "secret")
        if not any(credentials.get(name) for name in cls.optional_credentials):
            return cls(secret, server="", authorization="", http=http)
        server, login, password = (base.credential(credentials, cls.name, name) for name in cls.optional_credentials)
        host = _SERVER.fullmatch(server)
        if host is None:
            raise NotConfigured(f"{cls.name}: the server is not like https://shop.server.paykeeper.ru")
        access = "Basic " + b64encode(f"{login}:{password}".encode()).decode()
        return cls(secret, server=api_url.rstrip("/") or f"https://{host[1]}", authorization=access, http=http)

    def checks(self, callback: Callback) -> Sequence[Check]:
        fields, shape = tried(_read, self.keep(callback), like="id=…&sum=…&clientid=…&orderid=…&key=…")
        if fields is None:
            return [shape]
        after = fields.get("clientid", "") + fields.get("orderid", "")
        proofs = [self._proof(fields["id"] + told + after, fields.get("key")) for told in _printed(fields["sum"])]
        return [shape, next((proof for proof in proofs if proof.is_good), proofs[0])]

    def event_id(self, raw: bytes) -> str:
        return _read(raw)["id"]

    def is_hint(self, raw: bytes) -> bool:  # noqa: ARG002
        """Only accepted payments are notified: a repeat is a repeat."""
        return False

    def ack(self, raw: bytes) -> Ack:
        return Ack(200, "text/plain; charset=utf-8", f"OK {_md5(_read(raw)['id'] + self._secret)}".encode())

    def parse(self, raw: bytes) -> Parsed:
        fields = _read(raw)
        kopecks = kopecks_from_roubles(fields["sum"])
        return facts_of(fields, "captured", captured=kopecks) if kopecks else Ignored("nothing was paid")

    def fetch(self, payment_ref: str) -> Fetched:
        payments = self._got(_PATH, [("id", matching(REF, payment_ref, "a payment of PayKeeper"))])
        if payments and str(payments[0].get("id")) != payment_ref:
            raise BadReply(f"PayKeeper GET {_PATH}: not the payment that was asked for")
        return told(payments[0]) if payments else NotOurs(payment_ref)

    def listed(self, since: datetime, until: datetime) -> Iterator[Listed]:
        return paykeeper_lists.listed(partial(self._got, paykeeper_lists.PATH), told, since, until)

    def _got(self, path: str, query: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
        if not self._server:
            raise NotConfigured("paykeeper: server, login and password are needed to ask for a payment")
        reply = self._http.send("GET", self._server + path, route=path, headers=self._headers, query=query)
        return answer(reply, f"PayKeeper GET {path}")

    def _proof(self, text: str, key: str | None) -> Check:
        hashed, expected = text + base.SECRET_MASK, _md5(text + self._secret)
        return compared("подпись key (MD5)", expected=expected, given=key, hashed=hashed)


def _read(raw: bytes) -> dict[str, str]:
    fields = form_fields(raw)
    matching(REF, fields.get("id"), "a payment of PayKeeper")
    return {"sum": "", **fields}


def _md5(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


def _printed(told: str) -> list[str]:
    """The sum as it came, and with two decimals as in PayKeeper's own example: both are in use."""
    try:
        kopecks = kopecks_from_roubles(told)
    except BadMoney:
        return [told]
    return [told, f"{kopecks // 100}.{kopecks % 100:02d}"]
