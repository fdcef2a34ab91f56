"""T-Bank's payment links: Init, and what to do when nobody knows whether it happened.

Owns the request, its receipt and the cancelling. There is no idempotency key: OrderId is unique for each attempt, so
the bank is asked for the order first, and again after an answer that was lost. Source: T-Kassa API 1.80.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from connector.acquiring.link_account import LinkAccount, address, known, own_words, succeeded
from connector.acquiring.links import BadPayment, Link, LinkLost, NewPayment, Receipt
from connector.acquiring.reading import matching
from connector.errors import BadReply, ConnectorError, Refused
from loyalty.receipts import Kind

ORDER_CHARS_MAX = 36
DATA_CHARS_MAX = 100
PIECE = "шт"
_REF = re.compile(r"[0-9]{1,20}")
_A_PAYMENT = "a payment id of T-Bank"
_OPEN = frozenset({"NEW", "FORM_SHOWED", "AUTH_FAIL"})
"""The buyer may still pay, and has not begun to."""
_OVER = frozenset({"CANCELED", "DEADLINE_EXPIRED", "REJECTED", "REVERSED", "REFUNDED"})
_SUBJECTS: dict[Kind, str] = {"goods": "commodity", "service": "service", "delivery": "service"}


class TBankLinks(LinkAccount):
    @abstractmethod
    def signed(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """A request's parameters with their Token."""

    def create_link(self, payment: NewPayment) -> Link:
        """Raises LinkLost for an order that the bank knows."""
        if len(payment.order) > ORDER_CHARS_MAX:
            raise BadPayment(f"T-Bank takes order numbers of at most {ORDER_CHARS_MAX} characters")
        if (lost := self._lost(payment.order)) is not None:
            raise lost
        try:
            return self._made(payment)
        except ConnectorError as failure:
            lost = self._lost_perhaps(payment.order) if failure.ambiguous else None
            if lost is None:
                raise
            lost.is_new = True
            raise lost from failure

    def cancel_link(self, link: Link) -> bool:
        """Asks for the state first: Cancel gives paid money back. It does so still if the buyer pays in this moment."""
        asked = {"PaymentId": matching(_REF, link.payment_ref, _A_PAYMENT)}
        state = self._asked("/v2/GetState", asked)
        _refuse(state, "T-Bank /v2/GetState")
        if state.get("Status") not in _OPEN:
            return state.get("Status") in _OVER
        if succeeded(self._sent("/v2/Cancel", asked), "T-Bank /v2/Cancel"):
            return True
        return self._asked("/v2/GetState", asked).get("Status") in _OVER  # another process may have cancelled it

    def _made(self, payment: NewPayment) -> Link:
        made, what = self._sent("/v2/Init", _init(payment)), "T-Bank /v2/Init"
        _refuse(made, what)
        if made.get("OrderId") != payment.order or made.get("Amount") != payment.amount_kopecks:
            raise BadReply(f"{what}: another payment came back", ambiguous=True)
        ref = known(_REF, str(made.get("PaymentId")), _A_PAYMENT)
        return Link(address(made.get("PaymentURL"), "a payment page of T-Bank"), ref, ref)

    def _lost(self, order: str) -> LinkLost | None:
        """The payment of this order that matters most: paid or being paid, else open, else over. What the bank does not
        know it refuses to tell of; the error's code for that is not documented."""
        answer = self._asked("/v2/CheckOrder", {"OrderId": order})
        listed = answer.get("Payments") if answer.get("Success") is True else None
        rows = [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []
        if not rows:
            return None
        first = min(rows, key=lambda row: (row.get("Status") in _OVER, row.get("Status") in _OPEN))
        ref = matching(_REF, str(first.get("PaymentId")), _A_PAYMENT)
        return LinkLost("T-Bank has a payment of this order already", Link("", ref, ref))

    def _lost_perhaps(self, order: str) -> LinkLost | None:
        try:
            return self._lost(order)
        except ConnectorError:
            return None

    def _asked(self, path: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self._sent(path, parameters)
        except ConnectorError as failure:
            failure.ambiguous = False  # a question changes nothing, though it is sent by POST
            raise

    def _sent(self, path: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        content = self.signed({"TerminalKey": self._secrets["terminal"], **parameters})
        return self._write(path, content, route=path, what=f"T-Bank {path}", headers={})


def _refuse(answer: Mapping[str, Any], what: str) -> None:
    if succeeded(answer, what):
        return
    words = f"{answer.get('Message') or ''} {answer.get('Details') or ''}"
    raise Refused(f"{what}: refused", status=200, problems=(own_words(answer.get("ErrorCode"), "", words),))


def _init(payment: NewPayment) -> dict[str, Any]:
    told = {"Phone": payment.payer.phone, "Email": payment.payer.email}
    data = {name: value for name, value in told.items() if 0 < len(value) <= DATA_CHARS_MAX}
    until = payment.expires_at and payment.expires_at.astimezone(UTC).isoformat(timespec="seconds")
    optional = {
        "NotificationURL": payment.notify_url,
        "RedirectDueDate": until,
        "DATA": data,
        "Receipt": payment.receipt and _receipt(payment.receipt),
    }
    return {
        "Amount": payment.amount_kopecks,
        "OrderId": payment.order,
        "Description": payment.description,
        "PayType": "O",
        "SuccessURL": payment.return_url,
        "FailURL": payment.return_url,
        **{name: value for name, value in optional.items() if value},
    }


def _receipt(receipt: Receipt) -> dict[str, Any]:
    """Points are inside Price: `Payments` with AdvancePayment is for shops that sell at full prices."""
    items = [
        {
            "Name": line.name,
            "Price": line.unit_kopecks,
            "Quantity": line.quantity,
            "Amount": line.sum_kopecks,
            "Tax": receipt.vat,
            "PaymentMethod": receipt.method,
            # The law has no goods yet when an advance is taken.
            "PaymentObject": "payment" if receipt.method == "advance" else _SUBJECTS[line.kind],
            **({"MeasurementUnit": PIECE} if receipt.ffd == "1.2" else {}),
        }
        for line in receipt.lines
    ]
    customer = {name: value for name, value in (("Email", receipt.email), ("Phone", receipt.phone)) if value}
    return {"FfdVersion": receipt.ffd, "Taxation": receipt.tax_system, **customer, "Items": items}
