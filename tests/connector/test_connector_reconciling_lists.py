"""Lists of acquirers as they might come: odd rows, other days, payments told twice. Asking is over HTTP elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from connector.acquiring import cloudpayments_lists, paykeeper_lists, stripe_lists, yookassa_lists
from connector.acquiring.cloudpayments import _row_facts
from connector.acquiring.listing import Listed, Unread
from connector.acquiring.paykeeper_payments import told as paykeeper_told
from connector.acquiring.stripe import _dispute, _intent
from connector.acquiring.yookassa import _fetched
from loyalty.events import PaymentFacts

DAY = datetime(2026, 3, 1, tzinfo=UTC) - timedelta(hours=3)
"""Midnight in Moscow."""
NEXT_DAY = DAY + timedelta(days=1)
SUM = {"value": "1.00", "currency": "RUB"}
PAID = {"id": "a-1", "status": "succeeded", "amount": SUM, "captured_at": "2026-03-01T10:00:00Z"}


def found(listed: Any) -> list[PaymentFacts | Unread]:
    rows: list[Listed] = list(listed)
    return [row for row in rows if row is not None]


@pytest.mark.parametrize(
    ("odd", "ref"),
    [
        ({**PAID, "id": "a-0", "status": "on_the_way"}, "a-0"),
        ({**PAID, "id": "a-0", "amount": {"value": "a lot", "currency": "RUB"}}, "a-0"),
        ({**PAID, "id": "=1+1"}, ""),
        ({name: value for name, value in PAID.items() if name != "id"}, ""),
    ],
    ids=["status", "sum", "id", "no id"],
)
def test_a_row_of_yookassa_that_cannot_be_read_hides_none_after_it(odd: dict[str, Any], ref: str) -> None:
    def get(path: str, _route: str) -> Mapping[str, Any]:
        return {"items": [odd, PAID] if "payments" in path else [{"id": "r-1"}]}

    first, second, refund = found(yookassa_lists.listed(get, _fetched, _fetched, DAY, NEXT_DAY))  # type: ignore[arg-type]

    assert isinstance(first, Unread)
    assert first.payment_ref == ref
    assert isinstance(second, PaymentFacts)
    assert second.payment_ref == "a-1"
    assert isinstance(refund, Unread)


def test_a_row_of_paykeeper_whose_state_is_unknown_hides_none_after_it() -> None:
    rows = [{"id": "1", "status": "new_one", "pay_amount": "1"}, {"id": "2", "status": "success", "pay_amount": "1"}]

    first, second = found(paykeeper_lists.listed(lambda _query: rows, paykeeper_told, DAY, NEXT_DAY))

    assert isinstance(first, Unread)
    assert (first.payment_ref, second.payment_ref) == ("1", "2")


def test_paykeepers_day_is_the_day_of_paying_by_moscows_clock() -> None:
    """A buyer who began before midnight and paid after it belongs to the next day."""
    asked: list[dict[str, str]] = []
    times = {
        "1": "2026-02-28 23:59:59",
        "2": "2026-03-01 00:00:00",
        "3": "2026-03-01 23:59:59",
        "4": "2026-03-02 00:00:00",
    }
    rows = [
        {
            "id": ref,
            "status": "success",
            "pay_amount": "1",
            "obtain_datetime": at,
            "pending_datetime": "2026-02-28 23:50:00",
        }
        for ref, at in times.items()
    ]

    told = found(paykeeper_lists.listed(lambda query: asked.append(dict(query)) or rows, paykeeper_told, DAY, NEXT_DAY))

    assert (asked[0]["start"], asked[0]["end"]) == ("2026-02-28", "2026-03-01")
    assert [one.payment_ref for one in told] == ["2", "3"]
    assert isinstance(told[0], PaymentFacts)
    assert told[0].occurred_at == DAY


@pytest.mark.parametrize(("status", "is_whole"), [("partially_refunded", True), ("refunding", False)])
def test_what_paykeeper_says_during_a_refund_is_not_the_whole_truth(status: str, is_whole: bool) -> None:
    told = paykeeper_told({"id": "1", "status": status, "pay_amount": "5", "refund_amount": "1"})

    assert isinstance(told, PaymentFacts)
    assert told.is_whole is is_whole


def operation(number: int, kind: int, **more: Any) -> dict[str, Any]:
    known = {"TransactionId": number, "Type": kind, "Amount": 10, "Currency": "RUB", "Status": "Completed"}
    return {**known, "TestMode": False, **more}


def of_cloudpayments(operations: list[dict[str, Any]], claims: list[dict[str, Any]]) -> list[PaymentFacts | Unread]:
    def ask(path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        if path == "/v2/payments/list":
            return {"Model": operations}
        since, until = (datetime.fromisoformat(body[f"CreatedDate{edge}"]) for edge in ("Gte", "Lte"))
        assert (since, until) == (NEXT_DAY - timedelta(days=180), NEXT_DAY)
        return {"Model": claims}

    return found(cloudpayments_lists.listed(ask, _row_facts, DAY, NEXT_DAY))


def test_a_payout_of_cloudpayments_is_no_refund_and_an_odd_row_hides_none() -> None:
    rows = [operation(8, 2), operation(9, 0, Amount="a lot"), operation(7, 0), operation(6, 1, OriginalTransactionId=7)]

    odd, paid = of_cloudpayments(rows, [])

    assert isinstance(odd, Unread)
    assert odd.payment_ref == "9"
    assert isinstance(paid, PaymentFacts)
    assert (paid.payment_ref, paid.captured_kopecks, [one.kopecks for one in paid.refunds]) == ("7", 1_000, [1_000])


def test_a_claim_withdrawn_long_after_it_was_made_is_seen_and_an_old_one_is_not_told_anew() -> None:
    long_ago, today = (f"/Date({int(at.timestamp() * 1000)})/" for at in (DAY - timedelta(days=90), DAY))

    def claim(payment: int, operation: str, at: str) -> dict[str, Any]:
        return {
            "ChargeBackId": f"c{payment}",
            "TransactionId": payment,
            "Amount": 10,
            "Type": "Chargeback",
            "Operation": operation,
            "Date": at,
        }

    told = of_cloudpayments(
        [], [claim(1, "Presentment", long_ago), claim(2, "Representment", long_ago), claim(3, "Presentment", today)]
    )

    refunds = {one.payment_ref: one.refunds[0].is_undone for one in told if isinstance(one, PaymentFacts)}
    assert refunds == {"2": True, "3": False}


def test_stripe_tells_a_payment_once_with_its_dispute_by_the_day_it_was_paid_on() -> None:
    paths: list[str] = []
    intent = {"id": "pi_1", "status": "succeeded", "currency": "rub", "amount_received": 499_000}
    charge = {"id": "ch_1", "status": "succeeded", "payment_intent": intent, "livemode": True, "created": 1_772_400_000}
    dispute = {
        "object": "dispute",
        "id": "dp_1",
        "payment_intent": "pi_1",
        "status": "lost",
        "amount": 100_000,
        "currency": "rub",
    }

    def get(path: str, route: str) -> Mapping[str, Any]:
        paths.append(path)
        rows = {"/v1/charges": [{**charge, "id": "ch_0", "status": "failed"}, charge], "/v1/disputes": [dispute]}
        return {"data": rows.get(route, []), "has_more": False}

    [told] = found(stripe_lists.listed(get, None, _intent, _dispute, DAY, NEXT_DAY))  # type: ignore[arg-type]

    assert isinstance(told, PaymentFacts)
    assert (told.captured_kopecks, told.refunds[0].kopecks) == (499_000, 100_000)
    [asked] = [parse_qs(urlsplit(path).query) for path in paths if path.startswith("/v1/charges")]
    assert asked["expand[]"] == ["data.payment_intent", "data.refunds"]
    assert asked["created[gte]"] == [str(int(DAY.timestamp()))]
