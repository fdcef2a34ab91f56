"""T-Bank internet acquiring: signed notifications and the state of a payment by API.

Owns its wire format: acquirers reference, sections 3 and 13. What `Amount` means in PARTIAL_REFUNDED is documented
nowhere, so a partial refund is handed to a person and never guessed. The bank has no test flag: `is_test` is always
False, for terminals that end in DEMO too (our own demo uses one). Credentials: `terminal`, `password`.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Self

from connector.acquiring.base import (
    Ack,
    Acquirer,
    Fetched,
    Ignored,
    NeedsPerson,
    Parsed,
    credential,
    deal_of_order,
    json_notification,
)
from connector.errors import BadReply, BadSignature
from connector.http import HttpClient, Reply
from connector.money import kopecks_from_int
from connector.replies import json_object, raise_for_status
from loyalty.events import PaymentFacts, PaymentStatus

_REF = re.compile(r"[0-9]{1,20}")
_STATUS = re.compile(r"[A-Z0-9_]{1,32}")
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
_REFUNDS = frozenset({"REFUNDED", "PARTIAL_REFUNDED"})


class TBank(Acquirer):
    name = "tbank"

    def __init__(self, terminal_key: str, password: str, *, api_url: str, http: HttpClient) -> None:
        self._terminal_key = terminal_key
        self._password = password
        self._api_url = api_url.rstrip("/")
        self._http = http

    @classmethod
    def from_credentials(
        cls, credentials: Mapping[str, str], *, api_url: str, http: HttpClient, check_ip: bool
    ) -> Self:
        """`check_ip` is not used: the token proves the origin."""
        del check_ip
        terminal_key = credential(credentials, cls.name, "terminal")
        password = credential(credentials, cls.name, "password")
        return cls(terminal_key, password, api_url=api_url, http=http)

    def verify(self, headers: Mapping[str, str], raw: bytes, remote_ip: str | None) -> None:  # noqa: ARG002
        try:
            content = _read(raw)
        except BadReply as failure:
            raise BadSignature(f"tbank: {failure}") from None
        if not _equal(content.get("TerminalKey"), self._terminal_key):
            raise BadSignature("tbank: a foreign terminal")
        if not _equal(content.get("Token"), token(content, self._password)):
            raise BadSignature("tbank: the token does not match")

    def event_id(self, raw: bytes) -> str:
        content = _read(raw)
        if content.get("PaymentId") is None:
            # Card and account bindings have no payment; nothing is done with them, so bytes are id enough.
            return f"other:{sha256(raw).hexdigest()}"
        success = "true" if content.get("Success") is True else "false"
        return f"{_ref(content)}:{_status(content)}:{_amount(content)}:{success}"

    def is_hint(self, raw: bytes) -> bool:
        """Two equal partial refunds are byte for byte like a retry (section 13.4)."""
        return _read(raw).get("Status") in _REFUNDS

    def ack(self, raw: bytes) -> Ack:  # noqa: ARG002
        return Ack(200, "text/plain; charset=utf-8", b"OK")

    def parse(self, raw: bytes) -> Parsed:
        content = _read(raw)
        if content.get("PaymentId") is None or "NotificationType" in content:
            return Ignored("not about a payment")
        return _told(content, _ref(content))

    def fetch(self, payment_ref: str) -> Fetched:
        """Asks GetState. Its partial refunds are as ambiguous as the notification's. Never returns NotOurs: which error
        code would mean that is not documented, and a signed notification is ours."""
        if _REF.fullmatch(payment_ref) is None:
            raise BadReply("not a payment id of T-Bank")
        body = self.signed({"TerminalKey": self._terminal_key, "PaymentId": payment_ref})
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        url = f"{self._api_url}/v2/GetState"
        reply = self._http.send("POST", url, route="/v2/GetState", headers=headers, body=json.dumps(body).encode())
        raise_for_status(reply, _WHAT, is_write=False)
        content = _state(reply)
        if content.get("ErrorCode") not in (None, "0") and not content.get("Status"):
            raise BadReply(f"{_WHAT}: refused")
        if content.get("PaymentId") != payment_ref or content.get("TerminalKey") != self._terminal_key:
            raise BadReply(f"{_WHAT}: another payment came back")
        return _told(content, payment_ref)

    def signed(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """A request's parameters with their Token."""
        return {**parameters, "Token": token(parameters, self._password)}


def token(parameters: Mapping[str, Any], password: str) -> str:
    """SHA-256 over the sorted root-level scalars and the password. Objects and arrays are left out by type, not by
    name: the bank adds new ones."""
    scalars = {name: _printed(value) for name, value in parameters.items() if not isinstance(value, dict | list | None)}
    scalars.pop("Token", None)
    scalars["Password"] = password
    text = "".join(scalars[name] for name in sorted(scalars))
    # A lone surrogate is legal in JSON and must give a wrong token, not a crash.
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _printed(value: object) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _read(raw: bytes) -> dict[str, Any]:
    """The notification with every number as its own text, because the token is made of texts."""
    return json_notification(raw, numbers=str)


def _state(reply: Reply) -> dict[str, Any]:
    json_object(reply, _WHAT, is_write=False)
    return _read(reply.body)


def _told(content: dict[str, Any], payment_ref: str) -> PaymentFacts | Ignored | NeedsPerson:
    status = _status(content)
    if status == "PARTIAL_REFUNDED":
        return NeedsPerson(
            "Т-Банк сообщил о частичном возврате, но не говорит, какая сумма возвращена. "
            "Баллы не тронуты: сверьте сумму в кабинете банка; возврат целиком учтётся сам."
        )
    if status not in _STATUSES:
        return Ignored(f"status {status}")
    if content.get("Success") is not True and status not in _VALID_WITHOUT_SUCCESS:
        return Ignored(f"status {status} without success")
    meaning = _STATUSES[status]
    return PaymentFacts(
        acquirer=TBank.name,
        payment_ref=payment_ref,
        deal_ref=deal_of_order(content.get("OrderId")),
        captured_kopecks=_amount(content) if meaning == "captured" else 0,
        refunded_kopecks=0,
        status=meaning,
        occurred_at=None,
        is_test=False,
        refund_is_total=meaning == "refunded",
    )


def _amount(content: dict[str, Any]) -> int:
    return kopecks_from_int(content.get("Amount"))


def _ref(content: dict[str, Any]) -> str:
    value = content.get("PaymentId")
    if not isinstance(value, str) or _REF.fullmatch(value) is None:
        raise BadReply("not a payment id of T-Bank")
    return value


def _status(content: dict[str, Any]) -> str:
    value = content.get("Status")
    if not isinstance(value, str) or _STATUS.fullmatch(value) is None:
        raise BadReply("not a status of T-Bank")
    return value


def _equal(given: object, expected: str) -> bool:
    if not isinstance(given, str):
        return False
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass"))
