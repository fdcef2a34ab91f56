"""T-Bank internet acquiring: signed notifications and the state of a payment by API.

Owns its wire format: acquirers reference, sections 3 and 13. What `Amount` means in PARTIAL_REFUNDED is documented
nowhere: that notification asks for another look, and while the payment is refunded in part only, a person decides. The
bank has no test flag: `is_test` is always False, for terminals that end in DEMO too (our own demo uses one). The token
does not cover `Data`: nothing but the payer is taken from it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from connector.acquiring import base
from connector.acquiring.base import Ack, Callback, Check, Fetched, Ignored, NeedsFetch, NeedsPerson, Parsed
from connector.acquiring.forms import told
from connector.acquiring.reading import compared, matching, tried
from connector.acquiring.tbank_links import TBankLinks
from connector.errors import BadReply
from connector.money import kopecks_from_int
from loyalty.events import Payer, PaymentFacts, PaymentStatus

_REF = re.compile(r"[0-9]{1,20}")
_STATUS = re.compile(r"[A-Z0-9_]{1,32}")
_A_PAYMENT = "a payment id of T-Bank"
_WHAT = "T-Bank GetState"
_STATUSES: dict[str, PaymentStatus] = {
    "AUTHORIZED": "authorised",
    "CONFIRMED": "captured",
    "REVERSED": "voided",
    "CANCELED": "voided",
    "REJECTED": "failed",
    "DEADLINE_EXPIRED": "failed",
    "REFUNDED": "refunded",
}
# These say that no money moved; they come with Success false.
_VALID_WITHOUT_SUCCESS = frozenset({"CANCELED", "REJECTED", "DEADLINE_EXPIRED"})
_ASK_RU = (
    "Т-Банк сообщил о частичном возврате, но не говорит, какая сумма возвращена. "
    "Баллы не тронуты: сверьте платёж tbank:{ref}, Amount {amount}, в кабинете банка; возврат целиком учтётся сам."
)


class TBank(TBankLinks):
    name = "tbank"
    title_ru = "Т-Банк"
    api_url = "https://securepay.tinkoff.ru"
    credentials = ("terminal", "password")

    def checks(self, callback: Callback) -> Sequence[Check]:
        content, shape = tried(_read, self.keep(callback), like='{"TerminalKey":"…","Token":"…",…}')
        if content is None:
            return [shape]
        terminal, given = content.get("TerminalKey"), content.get("Token")
        hashed, expected = _signed_text(content, base.SECRET_MASK), token(content, self._secrets["password"])
        return [
            compared("терминал (TerminalKey)", expected=self._secrets["terminal"], given=terminal),
            compared("подпись Token (SHA-256)", expected=expected, given=given, hashed=hashed),
        ]

    def event_id(self, raw: bytes) -> str:
        content = _read(raw)
        if content.get("PaymentId") is None:
            # Card and account bindings have no payment; nothing is done with them, so bytes are id enough.
            return f"other:{sha256(raw).hexdigest()}"
        success = "true" if content.get("Success") is True else "false"
        return f"{_ref(content)}:{_status(content)}:{kopecks_from_int(content.get('Amount'))}:{success}"

    def is_hint(self, raw: bytes) -> bool:
        """Two equal partial refunds are byte for byte like a retry (section 13.4)."""
        return _read(raw).get("Status") in ("PARTIAL_REFUNDED", "REFUNDED")

    def ack(self, raw: bytes) -> Ack:  # noqa: ARG002
        return Ack(200, "text/plain; charset=utf-8", b"OK")

    def parse(self, raw: bytes) -> Parsed:
        content = _read(raw)
        if content.get("PaymentId") is None or "NotificationType" in content:
            return Ignored("not about a payment")
        is_unclear = _status(content) == "PARTIAL_REFUNDED"
        return NeedsFetch(_ref(content)) if is_unclear else _facts(content, _ref(content))

    def fetch(self, payment_ref: str) -> Fetched:
        """Asks GetState. Never returns NotOurs: which error code would mean that is not documented."""
        asked = {"TerminalKey": self._secrets["terminal"], "PaymentId": matching(_REF, payment_ref, _A_PAYMENT)}
        body, headers = json.dumps(self.signed(asked)).encode(), {"Content-Type": "application/json"}
        reply = self._ask("POST", "/v2/GetState", route="/v2/GetState", what=_WHAT, headers=headers, body=body)
        content = _read(reply.body)
        if content.get("ErrorCode") not in (None, "0") and not content.get("Status"):
            raise BadReply(f"{_WHAT}: refused")
        if content.get("PaymentId") != payment_ref or content.get("TerminalKey") != self._secrets["terminal"]:
            raise BadReply(f"{_WHAT}: another payment came back")
        if _status(content) == "PARTIAL_REFUNDED":
            return NeedsPerson(_ASK_RU.format(ref=payment_ref, amount=kopecks_from_int(content.get("Amount"))))
        return _facts(content, payment_ref)

    def signed(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """A request's parameters with their Token."""
        return {**parameters, "Token": token(parameters, self._secrets["password"])}


def token(parameters: Mapping[str, Any], password: str) -> str:
    # A lone surrogate is legal in JSON and must give a wrong token, not a crash.
    return sha256(_signed_text(parameters, password).encode("utf-8", "surrogatepass")).hexdigest()


def _signed_text(parameters: Mapping[str, Any], password: str) -> str:
    """The sorted root-level scalars and the password; objects and arrays are left out by type: the bank adds some."""
    scalars = {name: value for name, value in parameters.items() if not isinstance(value, dict | list | None)}
    scalars.pop("Token", None)
    scalars["Password"] = password
    values = (scalars[name] for name in sorted(scalars))
    return "".join(str(value).lower() if isinstance(value, bool) else str(value) for value in values)


def _read(raw: bytes) -> dict[str, Any]:
    """The notification with every number as its own text, because the token is made of texts."""
    return base.json_notification(raw, numbers=str)


def _facts(content: dict[str, Any], payment_ref: str) -> PaymentFacts | Ignored:
    status = _status(content)
    meaning = _STATUSES.get(status)
    if meaning is None or (content.get("Success") is not True and status not in _VALID_WITHOUT_SUCCESS):
        return Ignored(f"status {status}" if meaning is None else f"status {status} without success")
    data = content["Data"] if isinstance(content.get("Data"), dict) else {}
    return PaymentFacts(
        acquirer=TBank.name,
        payment_ref=payment_ref,
        deal_ref=base.deal_of_order(content.get("OrderId")),
        captured_kopecks=kopecks_from_int(content.get("Amount")) if meaning == "captured" else 0,
        refunded_kopecks=0,
        status=meaning,
        occurred_at=None,
        is_test=False,
        refund_is_total=meaning == "refunded",
        order_ref=told(content.get("OrderId")),
        payer=Payer(told(data.get("phone")), told(data.get("email"))),
    )


def _ref(content: Mapping[str, Any]) -> str:
    return matching(_REF, content.get("PaymentId"), _A_PAYMENT)


def _status(content: Mapping[str, Any]) -> str:
    return matching(_STATUS, content.get("Status"), "a status of T-Bank")
