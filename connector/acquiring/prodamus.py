"""Prodamus: notifications signed as PHP prints them.

Owns its wire format: acquirers reference, sections 7 and 13. The signature covers every field, new ones too. Prodamus
cannot be asked for a payment, and documents no notice of a refund: what looks like one is handed to a person.
While a page is in demo mode it signs with the key and "demo". With the credential `demo` set to "yes" only such
notifications are genuine, and all of them are tests.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Self

from connector.acquiring.base import (
    Ack,
    Acquirer,
    Callback,
    Check,
    Ignored,
    NeedsPerson,
    Parsed,
    credential,
    deal_of_order,
)
from connector.acquiring.forms import not_in_roubles, told
from connector.acquiring.php_forms import PhpArray, php_form, php_json
from connector.acquiring.reading import compared, instant, matching, tried
from connector.errors import NotConfigured
from connector.http import HttpClient
from connector.money import kopecks_from_roubles
from loyalty.events import Payer, PaymentFacts, PaymentStatus

_REF = re.compile(r"[0-9A-Za-z_-]{1,64}")
_WORD = re.compile(r"[a-z_]{0,32}")
_ATTEMPT = re.compile(r"[0-9]{0,9}")
_STATUSES: dict[str, PaymentStatus] = {"success": "captured", "order_canceled": "voided", "order_denied": "failed"}
_ENDED = frozenset({"deactivation", "finish"})
_SHAPE = "order_id=…&order_num=…&sum=…&payment_status=… в UTF-8"


class Prodamus(Acquirer):
    name = "prodamus"
    title_ru = "Prodamus"
    credentials = ("secret",)
    optional_credentials = ("demo",)

    def __init__(self, secret: str, *, is_demo: bool) -> None:
        self._key = (secret + "demo" if is_demo else secret).encode()
        self._is_demo = is_demo

    @classmethod
    def from_credentials(
        cls, credentials: Mapping[str, str], *, api_url: str, http: HttpClient, check_ip: bool
    ) -> Self:
        """Nothing is asked of Prodamus, and its addresses are not published."""
        del api_url, http, check_ip
        demo = credentials.get("demo") or "no"
        if demo not in {"yes", "no"}:
            raise NotConfigured(f"{cls.name}: the credential 'demo' is neither yes nor no")
        return cls(credential(credentials, cls.name, "secret"), is_demo=demo == "yes")

    def checks(self, callback: Callback) -> Sequence[Check]:
        form, shape = tried(php_form, self.keep(callback), like=_SHAPE)
        if form is None:
            return [shape]
        text = php_json(form)
        expected = hmac.new(self._key, text.encode(), sha256).hexdigest()
        what_ru = "подпись Sign (HMAC-SHA256, ключ демо-режима)" if self._is_demo else "подпись Sign (HMAC-SHA256)"
        return [shape, compared(what_ru, expected=expected, given=callback.header("Sign").lower(), hashed=text)]

    def event_id(self, raw: bytes) -> str:
        form = php_form(raw)
        attempt = matching(_ATTEMPT, form.get("attempt", ""), "an attempt of Prodamus")
        subscription = matching(_WORD, _subscription(form).get("action_code", ""), "an action of Prodamus")
        return ":".join(filter(None, (_ref(form), _status(form) or "none", attempt or "0", subscription)))

    def is_hint(self, raw: bytes) -> bool:
        """Two equal partial refunds may look like a retry; a person should see both."""
        return _is_refund(_status(php_form(raw)))

    def ack(self, raw: bytes) -> Ack:  # noqa: ARG002
        return Ack(200, "text/plain; charset=utf-8", b"success")

    def parse(self, raw: bytes) -> Parsed:
        form = php_form(raw)
        status, subscription = _status(form), _subscription(form)
        if subscription.get("type") == "notification" or subscription.get("action_code") in _ENDED:
            return Ignored("news of a subscription")
        if _is_refund(status):
            return NeedsPerson(
                "Prodamus сообщил о возврате, но его формат не описан и сумма неизвестна. Баллы не тронуты: "
                "сверьте возврат в кабинете Prodamus и отметьте его в сделке."
            )
        if status not in _STATUSES:
            return Ignored(f"status {status or 'missing'}")
        if told(form.get("currency", "rub")).lower() not in {"rub", ""}:
            return not_in_roubles(self.title_ru)
        return PaymentFacts(
            acquirer=self.name,
            payment_ref=_ref(form),
            deal_ref=deal_of_order(form.get("order_num")),
            captured_kopecks=kopecks_from_roubles(form.get("sum")) if status == "success" else 0,
            refunded_kopecks=0,
            status=_STATUSES[status],
            occurred_at=instant(form.get("date")),
            is_test=self._is_demo,
            order_ref=told(form.get("order_num")),
            payer=Payer(phone=told(form.get("customer_phone")), email=told(form.get("customer_email"))),
        )


def _ref(form: PhpArray) -> str:
    return matching(_REF, form.get("order_id"), "an order of Prodamus")


def _status(form: PhpArray) -> str:
    return matching(_WORD, form.get("payment_status", ""), "a status of Prodamus")


def _subscription(form: PhpArray) -> PhpArray:
    found = form.get("subscription")
    return found if isinstance(found, dict) else {}


def _is_refund(status: str) -> bool:
    return "refund" in status
