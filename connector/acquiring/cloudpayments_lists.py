"""CloudPayments' lists: operations of a time, refunds among them, and the claims of buyers' banks.

Owns their queries and the putting together of a payment from its operations. Chargebacks are told nowhere else:
acquirers reference, section 4. How one operation is read is `cloudpayments.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from connector.acquiring.listing import Item, Listed, next_number, put, row, walked
from connector.errors import BadReply
from connector.money import kopecks_from_roubles
from loyalty.events import PaymentFacts, RefundFacts

Ask = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
"""`ask(path, body)`: one answer."""

PAYMENT, REFUND = 0, 1
"""Kinds of operations; a payout of the shop's own money is another and none of ours."""

CLAIMS_BACK = timedelta(days=180)
"""A claim may be withdrawn long after it was made."""

OPERATIONS_MAX = 100_000
_DATE = re.compile(r"/Date\(([0-9]{1,15})\)/")


def listed(
    ask: Ask,
    read: Callable[[Mapping[str, Any], Mapping[str, Any] | None], object],
    since: datetime,
    until: datetime,
) -> Iterator[Listed]:
    """`read(payment, refund)`: facts of a payment's row, or of a refund's row that names its payment. A payment is told
    at the end, put together from its rows."""
    found: dict[str, PaymentFacts] = {}
    for number, operation in enumerate(_rows(ask, "/v2/payments/list", since, until)):
        if number >= OPERATIONS_MAX:
            raise BadReply(f"CloudPayments /v2/payments/list: more than {OPERATIONS_MAX} operations")
        kind = operation.get("Type", PAYMENT)
        if kind == PAYMENT:
            yield put(found, row(partial(read, operation, None), operation.get("TransactionId")))
        elif kind == REFUND:
            payment = operation.get("OriginalTransactionId")
            about = {**operation, "PaymentTransactionId": payment}
            yield put(found, row(partial(read, about, operation), payment))
    for claim in _rows(ask, "/chargebacks/list", min(since, until - CLAIMS_BACK), until):
        if claim.get("Type") == "Chargeback" and (_is_withdrawn(claim) or _is_since(claim, since)):
            yield put(found, row(partial(_claimed, claim), claim.get("TransactionId")))
    yield from found.values()


def _rows(ask: Ask, path: str, since: datetime, until: datetime) -> Iterator[Item]:
    span = {"CreatedDateGte": _stamp(since), "CreatedDateLte": _stamp(until), "TimeZone": "UTC"}

    def page(cursor: str) -> tuple[object, str]:
        items = ask(path, {**span, "PageNumber": int(cursor or "1")}).get("Model")
        return items, next_number(cursor, items)

    return walked(page)


def _claimed(claim: Item) -> PaymentFacts:
    """The claimed sum is gone from the shop; a withdrawn claim (Representment) brings it back."""
    name, payment = f"claim-{claim.get('ChargeBackId')}", str(claim.get("TransactionId"))
    if not payment.isdecimal():
        raise BadReply("CloudPayments /chargebacks/list: a claim about no payment")
    kopecks, is_undone = kopecks_from_roubles(claim.get("Amount")), _is_withdrawn(claim)
    refund = RefundFacts(name[:255], kopecks, "chargeback", is_undone)
    return PaymentFacts("cloudpayments", payment, None, 0, 0, "refunded", None, is_test=False, refunds=(refund,))


def _is_withdrawn(claim: Item) -> bool:
    return claim.get("Operation") == "Representment"


def _is_since(claim: Item, since: datetime) -> bool:
    """Dates are like /Date(1700000000000)/; one that cannot be read hides no claim."""
    told = _DATE.fullmatch(str(claim.get("Date")))
    return told is None or int(told[1]) >= since.timestamp() * 1000


def _stamp(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
