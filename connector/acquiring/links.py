"""Making a payment at an acquirer: what is asked for, what comes back, and what an adapter that can do it must do.

Owns the contract and its limits. Knows no acquirer and sends nothing. Points are a discount inside the prices of the
receipt (acquirers reference, section 13.7); how the order's number is made is section 13.6.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from connector.errors import ConnectorError
from connector.money import MAX_KOPECKS
from loyalty.events import Payer
from loyalty.receipts import LINES_MAX, PaymentMethod, ReceiptLine, TaxSystem, Vat

DESCRIPTION_CHARS_MAX = 128
ORDER_CHARS_MAX = 64
_KEY = re.compile(r"[!-~]{1,64}")


class BadPayment(ConnectorError):
    """What was asked for cannot be asked of this acquirer; nothing was sent."""

    code: ClassVar[str] = "bad_payment"


@dataclass(frozen=True)
class Receipt:
    """A cash receipt (54-FZ). `ffd` is the format of the shop's cash desk: 1.2 names the unit of measure too."""

    lines: tuple[ReceiptLine, ...]
    email: str
    phone: str
    tax_system: TaxSystem
    vat: Vat
    method: PaymentMethod
    ffd: Literal["1.05", "1.2"] = "1.2"

    @property
    def total_kopecks(self) -> int:
        return sum(line.sum_kopecks for line in self.lines)


@dataclass(frozen=True)
class NewPayment:
    """`order` is ours («L1234-1», deal and attempt) or the shop's own, unique for each attempt. `return_url` is where
    the buyer's browser goes afterwards; `notify_url` our callback, "" for what is set in the cabinet; `expires_at` is
    kept by those that can. The same `key` again gives the same payment. Raises BadPayment."""

    amount_kopecks: int
    order: str
    deal_ref: int | None
    attempt: int
    description: str
    return_url: str
    notify_url: str
    expires_at: datetime | None
    key: str
    payer: Payer
    receipt: Receipt | None

    def __post_init__(self) -> None:
        if not 0 < self.amount_kopecks <= MAX_KOPECKS or self.attempt < 1:
            raise BadPayment("the amount or the attempt is out of bounds")
        if _KEY.fullmatch(self.key) is None:
            raise BadPayment("the idempotency key is not 1 to 64 printable ASCII characters")
        if not 0 < len(self.order) <= ORDER_CHARS_MAX or not self.order.isprintable():
            raise BadPayment(f"the order's number is not 1 to {ORDER_CHARS_MAX} printable characters")
        if not 0 < len(self.description) <= DESCRIPTION_CHARS_MAX:
            raise BadPayment(f"the description is not 1 to {DESCRIPTION_CHARS_MAX} characters")
        if self.receipt is None:
            return
        if self.receipt.total_kopecks != self.amount_kopecks or len(self.receipt.lines) > LINES_MAX:
            raise BadPayment(f"the receipt's lines are more than {LINES_MAX} or do not add up to the amount")
        if not (self.receipt.email or self.receipt.phone):
            raise BadPayment("the receipt has nobody to go to")


@dataclass(frozen=True)
class Link:
    """`payment_ref` is the acquirer's name of the payment, "" where it has none before somebody pays; `link_ref` is
    what the link is cancelled by."""

    url: str
    payment_ref: str
    link_ref: str


class LinkLost(ConnectorError):
    """The acquirer has a payment of this order already, and tells its address only once.

    `is_new`: this very call has made it; otherwise it may be somebody else's of the same number. To answer: cancel
    `link` (its `url` is "") if it is ours. If that is True, make the next attempt; if not, it is being paid or is paid,
    and its callback will tell."""

    code: ClassVar[str] = "link_lost"

    def __init__(self, message: str, link: Link, *, is_new: bool = False) -> None:
        super().__init__(message)
        self.link = link
        self.is_new = is_new


class MakesLinks(ABC):
    """An acquirer that can be asked for a payment. `ends_by_itself`: a link that nobody has begun to pay may refuse to
    be cancelled, and dies soon."""

    ends_by_itself: ClassVar[bool] = False

    @abstractmethod
    def create_link(self, payment: NewPayment) -> Link:
        """Raises ConnectorError, `ambiguous` if the payment may have been made; Refused with the acquirer's words."""

    @abstractmethod
    def cancel_link(self, link: Link) -> bool:
        """True: nobody can pay by it any more. False: it cannot be cancelled here, or it is paid or being paid.
        Raises ConnectorError."""
