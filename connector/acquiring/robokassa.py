"""Robokassa: ResultURL (a form signed with a password), ResultUrl2 (a signed JWS) and the state of an invoice by API.

Owns its wire format: acquirers reference, sections 5 and 13. A payment is named by the shop's invoice number (InvId) in
all three. ResultUrl2 names neither the deal nor the sum without a buyer's commission, so it only asks for another look.
Refunds are told nowhere. Nobody signs IsTest, but test payments are signed with a password of their own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256

from connector.acquiring.account import Account
from connector.acquiring.base import SECRET_MASK, Ack, Callback, Check, Fetched, Ignored, NeedsFetch, NotOurs, Parsed
from connector.acquiring.forms import can_hash, form_fields, fresh, is_signed, not_in_roubles, rsa_key, told
from connector.acquiring.jws import compact_jws, is_jws
from connector.acquiring.reading import compared, matching, tried, with_metadata
from connector.acquiring.robokassa_state import ROUTE, WHAT, read_state
from connector.errors import BadReply, NotConfigured
from connector.http import HttpClient
from connector.money import kopecks_from_roubles
from connector.replies import raise_for_status
from loyalty.events import PaymentFacts

ALGORITHMS = ("md5", "ripemd160", "sha1", "sha256", "sha384", "sha512")
MAX_JWS_AGE_S = 7 * 24 * 3600
_INVOICE = re.compile(r"[1-9][0-9]{0,17}")
_WORD = re.compile(r"[0-9A-Za-z-]{1,80}")


class Robokassa(Account):
    name = "robokassa"
    title_ru = "Robokassa"
    api_url = "https://auth.robokassa.ru"
    credentials = ("login", "password2")
    optional_credentials = ("algorithm", "test_password2", "result2_certificate")

    def __init__(self, secrets: Mapping[str, str], *, api_url: str, http: HttpClient, check_ip: bool) -> None:
        super().__init__(secrets, api_url=api_url, http=http, check_ip=check_ip)
        self._algorithm = (secrets.get("algorithm") or "md5").lower()
        if self._algorithm not in ALGORITHMS or not can_hash(self._algorithm):
            raise NotConfigured(f"{self.name}: the algorithm is none of {', '.join(ALGORITHMS)}, or not known here")
        if secrets.get("test_password2") == secrets["password2"]:
            raise NotConfigured(f"{self.name}: test payments need a password of their own")
        certificate = secrets.get("result2_certificate")
        self._key = rsa_key(certificate, self.name) if certificate else None

    def checks(self, callback: Callback) -> Sequence[Check]:
        raw = self.keep(callback)
        if is_jws(raw):
            return self._jws_checks(raw, callback.received_at)
        fields, shape = tried(form_fields, raw, like="OutSum=…&InvId=…&SignatureValue=…")
        if fields is None:
            return [shape]
        secret = "test_password2" if fields.get("IsTest") == "1" else "password2"
        if not self._secrets.get(secret):
            return [Check(f"тестовый платёж: не задан {secret}", is_good=False)]
        start, own = (fields.get("OutSum", ""), fields.get("InvId", "")), _own(fields)
        expected = self._hash(signed_text(*start, self._secrets[secret], own=own))
        given, hashed = fields.get("SignatureValue", "").upper(), signed_text(*start, SECRET_MASK, own=own)
        return [compared("SignatureValue", expected=expected, given=given, hashed=hashed)]

    def _jws_checks(self, raw: bytes, received_at: datetime) -> Sequence[Check]:
        jws, shape = tried(compact_jws, raw, like="eyJ….eyJ….…")
        if jws is None or self._key is None or jws.header.get("alg") != "RS256":
            return [shape, Check("алгоритм RS256 и сертификат result2_certificate", is_good=False)]
        is_good = is_signed(self._key, jws.signed, jws.signature, SHA256())
        about, data = jws.claims.get("header"), jws.claims.get("data")
        if not (is_good and isinstance(about, dict) and isinstance(data, dict)):
            return [Check("подпись ResultUrl2 (RS256)", is_good=False, hashed=jws.signed.decode())]
        return [
            compared("вид уведомления", expected="PaymentStateNotification", given=about.get("type")),
            compared("магазин", expected=self._secrets["login"], given=data.get("shop")),
            fresh(about.get("timestamp"), received_at, max_age_s=MAX_JWS_AGE_S),
        ]

    def event_id(self, raw: bytes) -> str:
        if not is_jws(raw):
            return _invoice(form_fields(raw).get("InvId"))
        data = _data(raw)
        return ":".join(["jws", *(matching(_WORD, data.get(name), "an operation") for name in ("opKey", "state"))])

    def is_hint(self, raw: bytes) -> bool:
        return is_jws(raw)

    def ack(self, raw: bytes) -> Ack:
        fields = None if is_jws(raw) else tried(form_fields, raw, like="")[0]
        return Ack(200, "text/plain; charset=utf-8", f"OK{told((fields or {}).get('InvId'))}".encode())

    def parse(self, raw: bytes) -> Parsed:
        if is_jws(raw):
            data = _data(raw)
            is_news = data.get("state") in ("OK", "HOLD")
            return NeedsFetch(_invoice(str(data.get("invId")))) if is_news else Ignored("a state of no meaning")
        fields = form_fields(raw)
        if fields.get("OutSumCurrency", "RUB") != "RUB":
            return not_in_roubles(self.title_ru)
        kopecks, invoice = kopecks_from_roubles(fields.get("OutSum")), _invoice(fields.get("InvId"))
        facts = PaymentFacts(self.name, invoice, None, kopecks, 0, "captured", None, fields.get("IsTest") == "1")
        return _with_own(facts, fields)

    def fetch(self, payment_ref: str) -> Fetched:
        login, invoice = self._secrets["login"], _invoice(payment_ref)
        signature = self._hash(signed_text(login, invoice, self._secrets["password2"], own={}))
        query = (("MerchantLogin", login), ("InvoiceID", invoice), ("Signature", signature))
        reply = self._http.send("GET", self._api_url + ROUTE, route=ROUTE, query=query)
        raise_for_status(reply, WHAT, is_write=False)
        state = read_state(reply.body)
        if state is None or state.status is None:
            return NotOurs(payment_ref) if state is None else Ignored("the payment is under way")
        kopecks, is_total = state.captured_kopecks, state.status == "refunded"
        facts = PaymentFacts(self.name, invoice, None, kopecks, 0, state.status, state.changed_at, False, is_total)
        return _with_own(facts, state.shop_fields)

    def _hash(self, text: str) -> str:
        """In upper case, as Robokassa prints it."""
        return hashlib.new(self._algorithm, text.encode("utf-8", "surrogatepass")).hexdigest().upper()


def signed_text(*parts: str, own: Mapping[str, str]) -> str:
    """What Robokassa's signatures are made of; the shop's fields by their names whatever the case."""
    pairs = sorted(own.items(), key=lambda pair: (pair[0].casefold(), pair))
    return ":".join([*parts, *(f"{name}={value}" for name, value in pairs)])


def _data(raw: bytes) -> dict[str, Any]:
    data = compact_jws(raw).claims.get("data")
    if not isinstance(data, dict):
        raise BadReply("not a notification of Robokassa")
    return data


def _own(fields: Mapping[str, str]) -> dict[str, str]:
    """The fields that the shop itself put into the payment; the underscore is younger than some shops."""
    return {name: value for name, value in fields.items() if name.casefold().startswith("shp")}


def _with_own(facts: PaymentFacts, fields: Mapping[str, str]) -> PaymentFacts:
    own = {name.casefold().removeprefix("shp_"): value for name, value in _own(fields).items()}
    lead = own.get("lead") or own.get("lead_id")
    return with_metadata(facts, {"order": facts.payment_ref, "email": fields.get("EMail"), **own, "lead_id": lead})


def _invoice(value: object) -> str:
    return matching(_INVOICE, value, "an invoice number of Robokassa")
