"""What an acquirer's adapter is, and the reading of JSON notifications.

Owns the contract, the outcomes of reading and the limits on a notification. Knows no acquirer. Implements the
acquirers reference, sections 13.1 to 13.6 and 14.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Self

from connector.errors import BadReply, BadSignature, NotConfigured
from connector.http import HttpClient
from loyalty.events import PaymentFacts

MAX_BODY_BYTES = 256 * 1024
SECRET_MASK = "••••"  # noqa: S105 - what stands where a secret was
MAX_DEAL_ID = 2**63 - 1
_ORDER = re.compile(r"L([0-9]{1,19})-[0-9]{1,9}")
_DEAL_ID = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True)
class Callback:
    """One request of an acquirer, as it came. `headers` are looked up by their usual spelling, whatever was sent;
    `remote_ip` is the sender as far as our proxy is trusted."""

    method: str
    query: bytes
    headers: Mapping[str, str]
    body: bytes
    remote_ip: str | None
    received_at: datetime

    def header(self, name: str) -> str:
        """ "" if there is none."""
        wanted = name.casefold()
        return next((value for key, value in self.headers.items() if key.casefold() == wanted), "")


@dataclass(frozen=True)
class Check:
    """One proof that a callback is genuine, and how it came out, for the integrator who wonders why it is refused.

    `what_ru` names it («подпись Token (SHA-256)», «терминал», «адрес отправителя»). `hashed` is the very text that was
    hashed or signed, with SECRET_MASK where a secret stood; `expected` and `given` are what should have come and what
    came, both "" where there is nothing to compare (an RSA signature has no expected text)."""

    what_ru: str
    is_good: bool
    hashed: str = ""
    expected: str = ""
    given: str = ""


@dataclass(frozen=True)
class Ack:
    """The exact reply that stops the acquirer's retries."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True)
class NeedsFetch:
    """The notification is only a hint: `fetch(payment_ref)` tells the truth."""

    payment_ref: str


@dataclass(frozen=True)
class Ignored:
    """Genuine, and of no meaning for points."""

    reason: str


@dataclass(frozen=True)
class NeedsPerson:
    """Genuine, but its meaning cannot be known from outside: a person decides. The reason is shown in the console."""

    reason_ru: str


@dataclass(frozen=True)
class NotOurs:
    """The acquirer knows no such payment of this shop."""

    payment_ref: str


Parsed = PaymentFacts | NeedsFetch | Ignored | NeedsPerson
Fetched = PaymentFacts | NotOurs | Ignored | NeedsPerson


class Acquirer(ABC):
    """One merchant account at one acquirer.

    `checks` is cheap, offline and comes first. What `keep` returns is stored; `event_id`, `is_hint`, `ack` and `parse`
    read only that and are pure. `fetch` calls the network and is never used while the acquirer waits for its reply.
    """

    name: ClassVar[str]
    title_ru: ClassVar[str]
    """As managers call it: «ЮKassa»."""
    api_url: ClassVar[str] = ""
    """The official address of its API, "" if we never ask it."""
    credentials: ClassVar[tuple[str, ...]]
    optional_credentials: ClassVar[tuple[str, ...]] = ()

    @classmethod
    @abstractmethod
    def from_credentials(
        cls, credentials: Mapping[str, str], *, api_url: str, http: HttpClient, check_ip: bool
    ) -> Self:
        """Raises NotConfigured when a credential is missing."""

    @abstractmethod
    def checks(self, callback: Callback) -> Sequence[Check]:
        """Every proof there is, at least one; those after a failed one may be left out. Never raises for content."""

    def verify(self, callback: Callback) -> None:
        """Raises BadSignature for everything that does not prove its origin, whatever its shape."""
        for check in self.checks(callback):
            if not check.is_good:
                raise BadSignature(f"{self.name}: {check.what_ru}")

    def keep(self, callback: Callback) -> bytes:
        """The bytes that hold all that `parse` will need."""
        return callback.body if callback.method == "POST" else callback.query

    @abstractmethod
    def event_id(self, raw: bytes) -> str:
        """The dedupe key of section 13.4: short printable ASCII. Raises BadReply."""

    @abstractmethod
    def is_hint(self, raw: bytes) -> bool:
        """A repeat with the same event_id must lead to another reading: it may be news that looks like a retry."""

    @abstractmethod
    def ack(self, raw: bytes) -> Ack:
        """The reply, for duplicates too."""

    def refusal(self) -> Ack:
        """The reply to a callback that is not genuine."""
        return Ack(403, "text/plain; charset=utf-8", b"bad sign")

    @abstractmethod
    def parse(self, raw: bytes) -> Parsed:
        """What a verified notification says. Raises BadReply."""

    def fetch(self, payment_ref: str) -> Fetched:
        """The payment's state by API. Raises ConnectorError, NotConfigured where it cannot be asked."""
        raise NotConfigured(f"{self.name}: there is no way to ask for {payment_ref}")


def json_notification(raw: bytes, *, numbers: Callable[[str], Any] | None = None) -> dict[str, Any]:
    """The JSON object of a notification. Fractions are Decimal, or every number is `numbers(its text)`.

    Raises BadReply for anything else: too long, not UTF-8, NaN, doubled names, too deep, a number without end.
    """
    if len(raw) > MAX_BODY_BYTES:
        raise BadReply(f"the notification is larger than {MAX_BODY_BYTES} bytes")
    try:
        content = json.loads(
            raw.decode(),
            parse_float=numbers or Decimal,
            parse_int=numbers or int,
            parse_constant=_refuse_constant,
            object_pairs_hook=_single_names,
        )
    except (ValueError, ArithmeticError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise BadReply("the notification is not a JSON object")
    return content


def credential(credentials: Mapping[str, str], acquirer: str, name: str) -> str:
    value = credentials.get(name, "")
    if not value:
        raise NotConfigured(f"{acquirer}: the credential {name!r} is missing")
    return value


def deal_of_order(order: object) -> int | None:
    """`L1234-2` (deal and attempt, section 13.6) -> 1234; an order of somebody else's making -> None."""
    match = _ORDER.fullmatch(order) if isinstance(order, str) else None
    return None if match is None else deal_id(match.group(1))


def deal_id(digits: object) -> int | None:
    if not isinstance(digits, str) or _DEAL_ID.fullmatch(digits) is None:
        return None
    return int(digits) if 0 < int(digits) <= MAX_DEAL_ID else None


def _single_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Two readers that disagree on which of two equal names counts are a way around a signature.
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("doubled name")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(name)
