"""CloudPayments' lists: operations of a time, refunds among them, and the claims of buyers' banks.

Owns their queries and the putting together of a payment from its operations. Chargebacks are told nowhere else:
acquirers reference, section 4. How one operation is read is `cloudpayments.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from connector.acquiring.listing import Item, next_number, walked
from connector.errors import BadReply
from connector.money import kopecks_from_roubles
from loyalty.events import PaymentFacts, RefundFacts, together

Ask = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
"""`ask(path, body)`: one answer."""

PAYMENT = 0
OPERATIONS_MAX = 100_000


def listed(
    ask: Ask,
    read: Callable[[Mapping[str, Any], Mapping[str, Any] | None], object],
    since: datetime,
    until: datetime,
) -> Iterator[PaymentFacts]:
    """`read(payment, refund)`: facts of a payment's row, or of a refund's row that names its payment."""
    found: dict[str, PaymentFacts] = {}
    for number, row in enumerate(_rows(ask, "/v2/payments/list", since, until)):
        if number >= OPERATIONS_MAX:
            raise BadReply(f"CloudPayments /v2/payments/list: more than {OPERATIONS_MAX} operations")
        is_payment = row.get("Type", PAYMENT) == PAYMENT
        about = row if is_payment else {**row, "PaymentTransactionId": row.get("OriginalTransactionId")}
        facts = read(about, None if is_payment else row)
        if isinstance(facts, PaymentFacts):
            _put(found, facts)
    for claim in _rows(ask, "/chargebacks/list", since, until):
        if claim.get("Type") == "Chargeback":
            _put(found, _claimed(claim))
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
    kopecks, is_undone = kopecks_from_roubles(claim.get("Amount")), claim.get("Operation") == "Representment"
    refund = RefundFacts(name[:255], kopecks, "chargeback", is_undone)
    return PaymentFacts("cloudpayments", payment, None, 0, 0, "refunded", None, is_test=False, refunds=(refund,))


def _put(found: dict[str, PaymentFacts], facts: PaymentFacts) -> None:
    before = found.get(facts.payment_ref)
    found[facts.payment_ref] = facts if before is None else together(before, facts)


def _stamp(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
