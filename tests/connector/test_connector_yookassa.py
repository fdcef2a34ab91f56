from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import responses
from acquirer_vectors import name_of, vectors
from hypothesis import given
from hypothesis import strategies as st
from kopilka_testing import asked, posted

from connector.acquiring.base import MAX_BODY_BYTES, Ack, Ignored, NeedsFetch, NeedsPerson, NotOurs
from connector.acquiring.reading import is_within
from connector.acquiring.yookassa import SENDERS, YooKassa
from connector.errors import (
    BadMoney,
    BadReply,
    BadSignature,
    ConnectorError,
    NeedsReauth,
    RateLimited,
    ServerFailed,
)
from connector.http import HttpClient
from loyalty.events import Payer, PaymentFacts

URL = "https://api.yookassa.ru"
REF = "22d6d597-000f-5000-9000-145f6df21d6f"
PAYMENT: dict[str, Any] = {
    "id": REF,
    "status": "succeeded",
    "paid": True,
    "amount": {"value": "2490.00", "currency": "RUB"},
    "captured_at": "2026-03-01T10:00:05.123Z",
    "created_at": "2026-03-01T09:58:11.691Z",
    "metadata": {"lead_id": "1234", "attempt": "1", "order": "L1234-1", "invoice_id": "771", "phone": "+79990000000"},
    "merchant_customer_id": "anna@example.com",
    "refunded_amount": {"value": "0.00", "currency": "RUB"},
    "test": False,
}


def _adapter(http: HttpClient, *, check_ip: bool = False) -> YooKassa:
    credentials = {"shop_id": "100500", "secret": "s3cret"}
    return YooKassa.from_credentials(credentials, api_url=URL, http=http, check_ip=check_ip)


def _body(event: object = "payment.succeeded", **thing: object) -> bytes:
    return json.dumps({"type": "notification", "event": event, "object": {**PAYMENT, **thing}}).encode()


@pytest.fixture
def yookassa(http: HttpClient) -> YooKassa:
    return _adapter(http)


@pytest.mark.parametrize("vector", vectors("yookassa", "ip"), ids=name_of)
def test_senders_are_told_apart_by_address(http: HttpClient, vector: dict[str, Any]) -> None:
    callback = posted(_body(), remote_ip=vector["headers"]["remote_addr"])

    address, shape = _adapter(http, check_ip=True).checks(callback)

    assert (address.what_ru, address.is_good) == ("адрес отправителя", vector["valid"])
    assert shape.is_good
    if not vector["valid"]:
        with pytest.raises(BadSignature, match="адрес отправителя"):
            _adapter(http, check_ip=True).verify(callback)


@pytest.mark.parametrize("remote_ip", [None, "", "unix:", "77.75.153.5, 1.1.1.1", "::ffff:8.8.8.8", "2a02:5180::1"])
def test_no_readable_address_is_no_sender(remote_ip: str | None) -> None:
    assert is_within(remote_ip, SENDERS) is False


def test_without_the_check_any_address_may_hint(yookassa: YooKassa) -> None:
    yookassa.verify(posted(_body()))

    assert yookassa.is_hint(_body()) is True


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"not json",
        b"a=1&b=2",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"type":"notification","event":"payment.succeeded","object":{"id":"a","status":"x","amount":NaN}}',
        b'{"type":"notification","event":"payment.succeeded","object":{"id":"a","status":"x","n":'
        + b"9" * 5000
        + b"}}",
        b'{"type":"notification","type":"notification","event":"payment.succeeded","object":{"id":"a","status":"b"}}',
        b" " * (MAX_BODY_BYTES + 1),
        json.dumps({"type": "other", "event": "payment.succeeded", "object": PAYMENT}).encode(),
        json.dumps({"type": "notification", "event": "payment.succeeded", "object": [PAYMENT]}).encode(),
        _body(event=5),
        _body(event="payment.succeeded\n"),
        _body(event="a" * 100),
        _body(id=None),
        _body(id="../refunds/1"),
        _body(id="a" * 65),
        _body(id="a\u0000"),
        _body(id={"a": 1}),
        _body(status=True),
        _body(status="оплачен"),
    ],
    ids=lambda raw: repr(raw[:40]),
)
def test_a_body_of_another_shape_is_turned_away(yookassa: YooKassa, raw: bytes) -> None:
    with pytest.raises(BadSignature):
        yookassa.verify(posted(raw))
    with pytest.raises(BadSignature):
        yookassa.verify(asked(raw))
    with pytest.raises(BadReply):
        yookassa.event_id(raw)


def test_a_lone_surrogate_is_no_reason_to_turn_away(yookassa: YooKassa) -> None:
    raw = _body(description="\ud800")

    yookassa.verify(posted(raw))

    assert yookassa.parse(raw) == NeedsFetch(REF)


_JSON = st.recursive(
    st.none() | st.booleans() | st.text() | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "event", "object", "id"]), inner)
    ),
    max_leaves=8,
)


@given(st.binary(max_size=400) | _JSON.map(json.dumps).map(str.encode))
def test_any_bytes_lead_to_our_errors_only(raw: bytes) -> None:
    adapter = YooKassa({}, api_url=URL, http=None, check_ip=False)  # type: ignore[arg-type]

    assert all(not check.is_good for check in adapter.checks(posted(raw)))
    for call in (adapter.event_id, adapter.parse, lambda raw: adapter.verify(posted(raw))):
        with pytest.raises(ConnectorError):
            call(raw)


def test_a_repeat_has_the_same_id_and_asks_for_another_look(yookassa: YooKassa) -> None:
    raw = _body("refund.succeeded", id="21b23b5b", payment_id=REF)

    assert yookassa.event_id(raw) == yookassa.event_id(_body("refund.succeeded", id="21b23b5b", payment_id=REF, new=1))
    assert yookassa.is_hint(raw) is True


def test_the_event_id_is_event_object_and_status(yookassa: YooKassa) -> None:
    assert yookassa.event_id(_body()) == f"payment.succeeded:{REF}:succeeded"


def test_the_reply_is_an_empty_200(yookassa: YooKassa) -> None:
    assert yookassa.ack(_body()) == Ack(200, "text/plain; charset=utf-8", b"")


@pytest.mark.parametrize(
    ("raw", "meaning"),
    [
        (_body("payment.succeeded"), NeedsFetch(REF)),
        (_body("payment.waiting_for_capture", status="waiting_for_capture"), NeedsFetch(REF)),
        (_body("payment.canceled", status="canceled"), NeedsFetch(REF)),
        (_body("refund.succeeded", id="21b23b5b", payment_id=REF), NeedsFetch(REF)),
        (_body("payout.succeeded"), Ignored("event payout.succeeded")),
        (_body("deal.closed"), Ignored("event deal.closed")),
    ],
)
def test_a_notification_is_only_ever_a_hint(yookassa: YooKassa, raw: bytes, meaning: object) -> None:
    assert yookassa.parse(raw) == meaning


@pytest.mark.parametrize("payment_id", [None, "", "a/b", 5])
def test_a_refund_without_its_payment_is_a_bad_notification(yookassa: YooKassa, payment_id: object) -> None:
    with pytest.raises(BadReply):
        yookassa.parse(_body("refund.succeeded", payment_id=payment_id))


def _fetch(yookassa: YooKassa, payment: object, status: int = 200) -> Any:
    with responses.RequestsMock() as mock:
        mock.add("GET", f"{URL}/v3/payments/{REF}", json=payment, status=status)
        result = yookassa.fetch(REF)
        assert mock.calls[0].request.headers["Authorization"] == "Basic MTAwNTAwOnMzY3JldA=="
        return result


def test_a_captured_payment_tells_its_totals(yookassa: YooKassa) -> None:
    assert _fetch(yookassa, PAYMENT) == PaymentFacts(
        acquirer="yookassa",
        payment_ref=REF,
        deal_ref=1234,
        captured_kopecks=249_000,
        refunded_kopecks=0,
        status="captured",
        occurred_at=datetime(2026, 3, 1, 10, 0, 5, 123000, tzinfo=UTC),
        is_test=False,
        order_ref="L1234-1",
        invoice_ref=771,
        payer=Payer("+79990000000", "anna@example.com"),
        is_whole=True,
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"refunded_amount": {"value": "490.00", "currency": "RUB"}},
            {"status": "captured", "refunded_kopecks": 49_000},
        ),
        (
            {"refunded_amount": {"value": 2490.0, "currency": "RUB"}},
            {"status": "refunded", "refunded_kopecks": 249_000},
        ),
        ({"refunded_amount": None}, {"refunded_kopecks": 0}),
        (
            {"status": "waiting_for_capture", "captured_at": None},
            {
                "status": "authorised",
                "captured_kopecks": 0,
                "occurred_at": datetime(2026, 3, 1, 9, 58, 11, 691000, tzinfo=UTC),
            },
        ),
        (
            {"status": "canceled", "cancellation_details": {"reason": "expired_on_capture"}},
            {"status": "voided", "captured_kopecks": 0},
        ),
        ({"status": "canceled", "cancellation_details": {"reason": "card_expired"}}, {"status": "failed"}),
        ({"status": "canceled", "cancellation_details": {"reason": ["card_expired"]}}, {"status": "failed"}),
        ({"status": "canceled"}, {"status": "failed", "captured_kopecks": 0}),
        ({"test": True}, {"is_test": True}),
        ({"metadata": {"order": "L77-2"}}, {"deal_ref": 77}),
        ({"metadata": {"lead_id": "0"}}, {"deal_ref": None}),
        ({"metadata": {"lead_id": 5}}, {"deal_ref": None}),
        ({"metadata": {"lead_id": "²"}}, {"deal_ref": None}),
        ({"metadata": {"order": "L77-2\n"}}, {"deal_ref": None}),
        ({"metadata": {"lead_id": "9" * 19}}, {"deal_ref": None}),
        ({"metadata": {"order_id": "L78-1"}}, {"deal_ref": 78, "order_ref": "L78-1"}),
        ({"metadata": {"order_id": "Заказ 15"}}, {"deal_ref": None, "order_ref": "Заказ 15"}),
        ({"metadata": {"order_id": {"L78-1": 1}}}, {"deal_ref": None, "order_ref": ""}),
        ({"metadata": {"lead_id": ["1234"]}}, {"deal_ref": None}),
        ({"metadata": ["lead_id", "1234"]}, {"deal_ref": None, "order_ref": "", "invoice_ref": None}),
        ({"metadata": {"invoice_id": "-5"}}, {"invoice_ref": None}),
        ({"metadata": {"invoice_id": 5}}, {"invoice_ref": None}),
        ({"metadata": {}, "merchant_customer_id": "79990000000"}, {"payer": Payer(phone="79990000000")}),
        ({"metadata": {}, "merchant_customer_id": "клиент 5"}, {"payer": Payer()}),
        ({"metadata": {"email": "a\u0000@b"}, "merchant_customer_id": 5}, {"payer": Payer(email="a@b")}),
        ({"metadata": {"phone": "9" * 500}}, {"payer": Payer("9" * 200, "anna@example.com")}),
        ({"metadata": None}, {"deal_ref": None}),
        ({"amount": {"value": "2490.000000", "currency": "RUB"}}, {"captured_kopecks": 249_000}),
        ({"amount": {"value": 2490.0, "currency": "RUB", "new": {"a": 1}}}, {"captured_kopecks": 249_000}),
        ({"captured_at": "вчера", "created_at": "2026-03-01T10:00:05"}, {"occurred_at": None}),
    ],
)
def test_the_fetched_payment_is_the_truth(yookassa: YooKassa, change: dict[str, Any], expected: dict[str, Any]) -> None:
    facts = _fetch(yookassa, {**PAYMENT, **change})

    assert {name: getattr(facts, name) for name in expected} == expected


def test_a_pending_payment_says_nothing_yet(yookassa: YooKassa) -> None:
    assert isinstance(_fetch(yookassa, {**PAYMENT, "status": "pending"}), Ignored)


def test_another_currency_is_for_a_person(yookassa: YooKassa) -> None:
    payment = {**PAYMENT, "amount": {"value": "10.00", "currency": "USD"}}

    assert isinstance(_fetch(yookassa, payment), NeedsPerson)


def test_an_unknown_payment_is_not_ours(yookassa: YooKassa) -> None:
    assert _fetch(yookassa, {"type": "error"}, status=404) == NotOurs(REF)


@pytest.mark.parametrize(
    ("payment", "status", "error"),
    [
        ({**PAYMENT, "id": "other"}, 200, BadReply),
        ({**PAYMENT, "status": "teleported"}, 200, BadReply),
        ({**PAYMENT, "amount": None}, 200, BadReply),
        ({**PAYMENT, "amount": {"value": True, "currency": "RUB"}}, 200, BadMoney),
        ({**PAYMENT, "amount": {"value": "1.005", "currency": "RUB"}}, 200, BadMoney),
        ({**PAYMENT, "amount": {"value": "-1.00", "currency": "RUB"}}, 200, BadMoney),
        ({**PAYMENT, "amount": {"value": ["2490.00"], "currency": "RUB"}}, 200, BadMoney),
        ({**PAYMENT, "amount": {"value": {"value": "2490.00"}, "currency": "RUB"}}, 200, BadMoney),
        ({**PAYMENT, "amount": "2490.00"}, 200, BadReply),
        ({**PAYMENT, "status": ["succeeded"]}, 200, BadReply),
        ([], 200, BadReply),
        ({}, 401, NeedsReauth),
        ({}, 429, RateLimited),
        ({}, 500, ServerFailed),
    ],
)
def test_an_unusable_answer_is_a_typed_error(
    yookassa: YooKassa, payment: object, status: int, error: type[ConnectorError]
) -> None:
    with pytest.raises(error):
        _fetch(yookassa, payment, status)


@pytest.mark.parametrize("ref", ["", "../me", "a/b", "a?b", "a" * 65, "a\n"])
def test_a_reference_that_is_no_id_never_reaches_the_address(yookassa: YooKassa, ref: str) -> None:
    with pytest.raises(BadReply):
        yookassa.fetch(ref)
