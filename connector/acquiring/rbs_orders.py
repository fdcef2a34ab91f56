"""The state of an order at a gateway of RBS/BPC, by its method getOrderStatusExtended.

Owns the asking and the reading of the answer: acquirers reference, sections 6 and 13; callbacks are in `rbs`.
`depositedAmount` shrinks with every refund, so what was captured is both together, and never more than the order's sum.
Sums are told since version 3 of the method, chargebacks since version 6; the version is set for the shop by the bank.
The newer gateway of Sber takes JSON, all others take a form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from connector.acquiring.base import Fetched, Ignored, NeedsPerson, NotOurs
from connector.acquiring.forms import not_in_roubles
from connector.acquiring.reading import matching, with_metadata
from connector.errors import BadReply, NeedsReauth, NotConfigured, ServerFailed
from connector.http import HttpClient
from connector.money import kopecks_from_int
from connector.replies import json_object, raise_for_status
from loyalty.events import PaymentFacts, PaymentStatus, RefundFacts

REF = re.compile(r"[0-9A-Za-z-]{1,64}")
ROUBLES = frozenset({"643", "810", "RUB", "RUR"})
_METHOD = "getOrderStatusExtended.do"
_UNPAID = {"0", "5", "7"}
_MEANINGS: dict[str, PaymentStatus] = {"1": "authorised", "3": "voided", "6": "failed"}
_PAID = {"2", "4", "8"}
_ADDRESS = re.compile(r"(https?)://([0-9a-z.-]+)(:[0-9]{1,5})?(/[0-9A-Za-z/_-]*)?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MIN_MS, _MAX_MS = 946_684_800_000, 4_102_444_800_000  # the years 2000 and 2100


class Gateway:
    """One shop's account at one bank: `access` are the fields that prove who asks. Raises NotConfigured."""

    def __init__(
        self, acquirer: str, address: str, *, domains: tuple[str, ...], access: Mapping[str, str], http: HttpClient
    ) -> None:
        match = _ADDRESS.fullmatch(address.rstrip("/"))
        scheme, host, port, path = match.groups(default="") if match else ("", "", "", "")
        is_of_the_bank = scheme == "https" and f".{host}".endswith(tuple(f".{domain}" for domain in domains))
        if not is_of_the_bank and host not in {"127.0.0.1", "localhost"}:
            raise NotConfigured(f"{acquirer}: the gateway is not an https address of the bank")
        self._is_json = path.endswith("/v1")
        self._url = f"{scheme}://{host}{port}{path if self._is_json else (path or '/payment') + '/rest'}/{_METHOD}"
        self._acquirer = acquirer
        self._access = access
        self._http = http

    def order(self, order_ref: str, title_ru: str) -> Fetched:
        """Raises ConnectorError."""
        what = f"{self._acquirer} {_METHOD}"
        asked = {**self._access, "orderId": matching(REF, order_ref, "an order of the bank")}
        kind = "json" if self._is_json else "x-www-form-urlencoded"
        body = (json.dumps(asked) if self._is_json else urlencode(asked)).encode()
        headers = {"Content-Type": f"application/{kind}", "Accept": "application/json"}
        reply = self._http.send("POST", self._url, route=f"/{_METHOD}", headers=headers, body=body)
        raise_for_status(reply, what, is_write=False)
        content = json_object(reply, what, is_write=False)
        if content.get("orderStatus") is None:
            return _refusal(str(content.get("errorCode")), order_ref, what)
        if _named(content.get("attributes")).get("mdOrder", order_ref) != order_ref:
            raise BadReply(f"{what}: another order came back")
        return _told(content, order_ref, self._acquirer, title_ru)


def _refusal(code: str, order_ref: str, what: str) -> NotOurs:
    if code == "6":
        return NotOurs(order_ref)
    if code == "5":
        raise NeedsReauth(f"{what}: the credentials are not accepted")
    if code == "7":
        raise ServerFailed(f"{what}: an error of the gateway")
    raise BadReply(f"{what}: refused")


def _told(content: Mapping[str, Any], order_ref: str, acquirer: str, title_ru: str) -> Fetched:
    code, sums = str(content["orderStatus"]), content.get("paymentAmountInfo")
    if code in _UNPAID:
        return Ignored("the order is not paid")
    if str(content.get("currency") or "643") not in ROUBLES:
        return not_in_roubles(title_ru)
    if code in _PAID and not isinstance(sums, dict):
        return NeedsPerson(
            f"{title_ru} не говорит, сколько списано и возвращено по заказу. Попросите поддержку банка включить "
            "getOrderStatusExtended версии 21 или новее и повторите событие."
        )
    if code not in _MEANINGS and code not in _PAID:
        raise BadReply(f"{acquirer} {_METHOD}: unknown status")
    left, refunded = _left(sums) if code in _PAID and sums else (0, 0)
    captured = min(kopecks_from_int(content.get("amount")), left + refunded) if left + refunded else 0
    is_charged_back = content.get("chargeback") is True
    is_over = code == "3" or is_charged_back or (code == "4" and left == 0) or 0 < captured <= refunded
    chargeback = RefundFacts("chargeback", max(captured - refunded, 0), "chargeback")
    facts = PaymentFacts(
        acquirer=acquirer,
        payment_ref=order_ref,
        deal_ref=None,
        captured_kopecks=captured,
        refunded_kopecks=refunded,
        status=_MEANINGS.get(code, "refunded" if is_over else "captured"),
        occurred_at=_instant(content),
        is_test=False,
        refund_is_total=is_over,
        refunds=(chargeback,) if is_charged_back and chargeback.kopecks else (),
        is_whole=True,
    )
    payer = content.get("payerData")
    buyer = {name: payer.get(name) for name in ("phone", "email")} if isinstance(payer, dict) else {}
    params = _named(content.get("merchantOrderParams"))
    return with_metadata(facts, {**params, **buyer, "order": content.get("orderNumber")})


def _left(sums: Mapping[str, Any]) -> tuple[int, int]:
    return kopecks_from_int(sums.get("depositedAmount")), kopecks_from_int(sums.get("refundedAmount") or 0)


def _named(pairs: object) -> dict[str, object]:
    """[{"name": …, "value": …}] as a mapping."""
    found = [one for one in pairs if isinstance(one, dict)] if isinstance(pairs, list) else []
    return {one["name"]: one.get("value") for one in found if isinstance(one.get("name"), str)}


def _instant(content: Mapping[str, Any]) -> datetime | None:
    """When it was paid, or held, or ordered: milliseconds since 1970."""
    told = (content.get(name) for name in ("depositedDate", "authDateTime", "date"))
    known = [value for value in told if isinstance(value, int) and _MIN_MS < value < _MAX_MS]
    return _EPOCH + timedelta(milliseconds=known[0]) if known else None
