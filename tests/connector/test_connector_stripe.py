from __future__ import annotations

import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import responses
from acquirer_vectors import name_of, vectors
from hypothesis import given
from hypothesis import strategies as st
from kopilka_testing import START, asked, posted

from connector.acquiring.base import MAX_BODY_BYTES, Ack, Callback, Ignored, NeedsPerson, NotOurs
from connector.acquiring.stripe import Stripe
from connector.errors import (
    BadMoney,
    BadReply,
    BadSignature,
    ConnectorError,
    NeedsReauth,
    NotConfigured,
    RateLimited,
    ServerFailed,
)
from connector.http import HttpClient
from loyalty.events import Payer, PaymentFacts, RefundFacts

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden" / "acquirers" / "stripe.json").read_text("utf-8"))
URL = "https://api.stripe.com"
SECRET = "whsec_test"
REF = "pi_3Mt"
PAID = PaymentFacts(
    acquirer="stripe",
    payment_ref=REF,
    deal_ref=1234,
    captured_kopecks=249_000,
    refunded_kopecks=0,
    status="captured",
    occurred_at=datetime(2026, 3, 1, 8, 59, 40, tzinfo=UTC),
    is_test=False,
    order_ref="L1234-1",
    invoice_ref=771,
    payer=Payer("+79990000000", "anna@example.com"),
)
REFUNDED = replace(
    PAID, status="refunded", deal_ref=None, captured_kopecks=0, order_ref="", invoice_ref=None, payer=Payer()
)


def _adapter(http: Any = None, **credentials: str) -> Stripe:
    known = {"webhook_secret": SECRET, "secret_key": "rk_live_1", **credentials}
    return Stripe.from_credentials(known, api_url=URL, http=http, check_ip=False)


def _v1(body: bytes, at: datetime = START, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), b"%d." % int(at.timestamp()) + body, "sha256").hexdigest()


def _sent(body: bytes, header: str | None = None, at: datetime = START, secret: str = SECRET) -> Callback:
    usual = f"t={int(at.timestamp())},v1={_v1(body, at, secret)},v0={'0' * 64}"
    return posted(body, {"Stripe-Signature": usual if header is None else header})


def _event(kind: str, thing: object = None, **changes: object) -> bytes:
    thing = GOLDEN["event"]["data"]["object"] if thing is None else thing
    return json.dumps({**GOLDEN["event"], "type": kind, "data": {"object": thing}, **changes}).encode()


def _intent(**changes: object) -> dict[str, Any]:
    return {**GOLDEN["event"]["data"]["object"], **changes}


def _refund(**changes: object) -> dict[str, Any]:
    return {**GOLDEN["refund"], **changes}


def _dispute(**changes: object) -> dict[str, Any]:
    return {**GOLDEN["dispute"], **changes}


BODY = json.dumps(GOLDEN["event"]).encode()
STAMP = int(START.timestamp())


@pytest.mark.parametrize("vector", vectors("stripe"), ids=name_of)
def test_known_notifications_are_accepted_or_refused(vector: dict[str, Any]) -> None:
    callback = posted(vector["body"].encode(), vector["headers"], at=datetime.fromtimestamp(vector["now"], UTC))
    fresh, signature = _adapter(webhook_secret=vector["secret"]).checks(callback)

    assert fresh.is_good
    assert signature.is_good is vector["valid"]
    assert (signature.expected == vector["expected"]) is vector["valid"]
    assert signature.hashed == f"{vector['now']}.{vector['body']}"


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_a_signature_counts_for_five_minutes(seconds: int) -> None:
    _adapter().verify(_sent(BODY, at=START + timedelta(seconds=seconds)))


@pytest.mark.parametrize("seconds", [-301, 301, -10_000_000])
def test_a_stale_or_early_signature_is_turned_away(seconds: int) -> None:
    with pytest.raises(BadSignature, match="время"):
        _adapter().verify(_sent(BODY, at=START + timedelta(seconds=seconds)))


def test_one_good_signature_of_several_is_enough() -> None:
    old, new = _v1(BODY, secret="whsec_old"), _v1(BODY)

    for header in (f"t={STAMP},v1={old},v1={new}", f"v1={new}, v1={old}, t={STAMP}", f"t={STAMP},v1=,v1={new},v9=x"):
        _adapter().verify(_sent(BODY, header))


@pytest.mark.parametrize(
    "callback",
    [
        posted(BODY),
        asked(BODY, {"Stripe-Signature": f"t={STAMP},v1={_v1(BODY)}"}),
        _sent(BODY, secret="whsec_other"),
        replace(_sent(BODY), body=BODY.replace(b"249000", b"249001")),
        replace(_sent(BODY), body=BODY.replace(b" ", b"")),
        replace(_sent(BODY), body=BODY + b"\n"),
        replace(_sent(BODY), body=b""),
        replace(_sent(BODY), body=b"x" * (MAX_BODY_BYTES + 1)),
        replace(_sent(BODY), body=b"\xff\0"),
        *[
            _sent(BODY, header)
            for header in (
                "",
                "t=,v1=",
                f"t={STAMP}",
                f"t={STAMP},v1=",
                f"v1={_v1(BODY)}",
                f"t={STAMP},v0={_v1(BODY)}",
                f"t={STAMP},v1={_v1(BODY).upper()}",
                f"t={STAMP},v1={_v1(BODY)}0",
                f"t={STAMP + 1},v1={_v1(BODY)}",
                f"t={STAMP},t={STAMP},v1={_v1(BODY)}",
                f"t=0{STAMP},v1={_v1(BODY)}",
                f"t= {STAMP},v1={_v1(BODY)}",
                f"t=²,v1={_v1(BODY)}",
                "t=\ud800,v1=\ud800",
                "t=" + "9" * 5000 + ",v1=x",
                ",=,=," * 1000,
            )
        ],
    ],
    ids=lambda one: f"{one.method} {one.header('Stripe-Signature')[:50]!r}",
)
def test_what_stripe_did_not_sign_is_turned_away(callback: Callback) -> None:
    with pytest.raises(BadSignature) as failure:
        _adapter().verify(callback)

    assert "anna" not in str(failure.value)


def test_a_stamp_in_the_far_future_of_one_doubled_header_never_counts() -> None:
    text = f"{STAMP},{STAMP}"
    signature = hmac.new(SECRET.encode(), text.encode() + b"." + BODY, "sha256").hexdigest()

    with pytest.raises(BadSignature):
        _adapter().verify(_sent(BODY, f"t={STAMP},t={STAMP},v1={signature}"))


@given(st.data())
def test_a_flipped_byte_never_verifies(data: st.DataObject) -> None:
    body = bytearray(BODY)
    body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))

    assert not all(check.is_good for check in _adapter().checks(replace(_sent(BODY), body=bytes(body))))


_JSON = st.recursive(
    st.none() | st.booleans() | st.text() | st.integers() | st.sampled_from(["refund.created", "event", "refund"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "object", "data", "id", "status", "amount"]), inner)
    ),
    max_leaves=12,
)


@given(st.binary(max_size=300) | _JSON.map(json.dumps).map(str.encode), st.text(max_size=80))
def test_any_bytes_are_only_ever_a_bad_check(raw: bytes, header: str) -> None:
    assert not all(check.is_good for check in _adapter().checks(_sent(raw, header)))
    for call in (_adapter().event_id, _adapter().parse):
        try:
            assert len(repr(call(raw))) < 2500
        except ConnectorError:
            continue


def test_an_event_has_stripes_own_name_and_an_empty_reply() -> None:
    assert _adapter().event_id(BODY) == "evt_1"
    assert _adapter().is_hint(BODY) is False
    assert _adapter().ack(BODY) == Ack(200, "application/json", b"{}")
    assert _adapter().refusal().status == 400


@pytest.mark.parametrize("name", [None, 5, "", "evt 1", "evt_1\n", "x" * 101, ["evt_1"]])
def test_an_odd_name_of_an_event_is_refused(name: object) -> None:
    with pytest.raises(BadReply):
        _adapter().event_id(_event("payment_intent.succeeded", id=name))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (BODY, PAID),
        (
            _event("payment_intent.amount_capturable_updated", _intent(status="requires_capture", amount_received=0)),
            replace(PAID, status="authorised", captured_kopecks=0),
        ),
        (_event("payment_intent.succeeded", _intent(amount_received=199_000)), replace(PAID, captured_kopecks=199_000)),
        (_event("payment_intent.canceled"), replace(PAID, status="voided", captured_kopecks=0)),
        (_event("payment_intent.payment_failed"), replace(PAID, status="failed", captured_kopecks=0)),
        (_event("payment_intent.succeeded", livemode=False), replace(PAID, is_test=True)),
        (_event("payment_intent.succeeded", livemode="true"), replace(PAID, is_test=True)),
        (_event("payment_intent.succeeded", created="вчера"), replace(PAID, occurred_at=None)),
        (_event("refund.created", _refund()), replace(REFUNDED, refunds=(RefundFacts("re_1", 49_000),))),
        (_event("refund.updated", _refund()), replace(REFUNDED, refunds=(RefundFacts("re_1", 49_000),))),
        (
            _event("refund.created", _refund(status="pending", metadata={"lead_id": "5"})),
            replace(REFUNDED, deal_ref=5, refunds=(RefundFacts("re_1", 49_000),)),
        ),
        (
            _event("refund.failed", _refund(status="failed")),
            replace(REFUNDED, refunds=(RefundFacts("re_1", 49_000, is_undone=True),)),
        ),
        (
            _event("refund.updated", _refund(status="canceled")),
            replace(REFUNDED, refunds=(RefundFacts("re_1", 49_000, is_undone=True),)),
        ),
        *[
            (
                _event(f"charge.dispute.{step}", _dispute(status=status)),
                replace(REFUNDED, refunds=(RefundFacts("dp_1", 249_000, "chargeback", is_undone=status == "won"),)),
            )
            for step, status in (
                ("created", "needs_response"),
                ("funds_withdrawn", "needs_response"),
                ("updated", "under_review"),
                ("closed", "lost"),
                ("closed", "won"),
                ("funds_reinstated", "won"),
            )
        ],
    ],
)
def test_each_event_has_its_meaning(raw: bytes, expected: PaymentFacts) -> None:
    assert _adapter().parse(raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        _event("checkout.session.completed"),
        _event("charge.succeeded"),
        _event("charge.captured"),
        _event("charge.refunded"),
        _event("charge.refund.updated", _refund()),
        _event("payment_intent.created"),
        _event("payment_intent.processing"),
        _event("invoice.paid"),
        _event("new.event", [1, {"a": []}]),
        _event("charge.dispute.created", _dispute(status="warning_needs_response")),
        _event("charge.dispute.closed", _dispute(status="warning_closed")),
        _event("charge.dispute.closed", _dispute(status="prevented")),
        _event("refund.created", _refund(status="new")),
        _event("refund.created", _refund(payment_intent=None)),
        _event("refund.created", _intent()),
        _event("payment_intent.canceled", _intent(currency="eur")),
        json.dumps({"object": "v2.core.event", "id": "evt_2", "type": "v1.payment_intent.succeeded"}).encode(),
        b"{}",
    ],
)
def test_what_tells_nothing_or_tells_it_twice_is_ignored(raw: bytes) -> None:
    assert isinstance(_adapter().parse(raw), Ignored)


@pytest.mark.parametrize(
    "raw",
    [
        _event("payment_intent.succeeded", _intent(currency="eur")),
        _event("payment_intent.succeeded", _intent(currency="jpy")),
        _event("payment_intent.succeeded", _intent(currency=None)),
        _event("refund.created", _refund(currency="usd")),
        _event("charge.dispute.created", _dispute(currency="usd")),
    ],
)
def test_money_in_another_currency_is_for_a_person(raw: bytes) -> None:
    meaning = _adapter().parse(raw)

    assert isinstance(meaning, NeedsPerson)
    assert "не в рублях" in meaning.reason_ru


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"order": "L77-2"}, {"deal_ref": 77, "order_ref": "L77-2"}),
        ({"order_id": "15/А\u2028"}, {"deal_ref": None, "order_ref": "15/А"}),
        ({"lead_id": ["1"]}, {"deal_ref": None}),
        ({"email": "b@example.com"}, {"payer": Payer("", "b@example.com")}),
        ([], {"deal_ref": None, "payer": Payer("", "anna@example.com")}),
        (None, {"invoice_ref": None}),
        ({"phone": "\ud8009\0"}, {"payer": Payer("9", "anna@example.com")}),
    ],
)
def test_a_payment_leads_to_its_deal_by_metadata(metadata: object, expected: dict[str, object]) -> None:
    facts = _adapter().parse(_event("payment_intent.succeeded", _intent(metadata=metadata)))

    assert {name: getattr(facts, name) for name in expected} == expected


@pytest.mark.parametrize("amount", [None, True, 249000.0, -1, "2490.00", [1], {"a": 1}, 10**13])
def test_an_amount_that_is_no_money_is_refused(amount: object) -> None:
    for raw in (
        _event("payment_intent.succeeded", _intent(amount_received=amount)),
        _event("refund.created", _refund(amount=amount)),
        _event("charge.dispute.created", _dispute(amount=amount)),
    ):
        with pytest.raises(BadMoney):
            _adapter().parse(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"\xff",
        b"{" + b'"id":1,' * 2 + b'"a":1}',
        b'{"id":NaN}',
        b"[" * 10_000,
        b" " * (MAX_BODY_BYTES + 1),
        _event("payment_intent.succeeded", _intent(id=None)),
        _event("payment_intent.succeeded", _intent(id="../v1/refunds")),
        _event("refund.created", _refund(id=5)),
        _event("refund.created", _refund(payment_intent={"id": REF})),
    ],
    ids=lambda raw: repr(raw[:30]),
)
def test_an_event_of_another_shape_is_a_bad_notification(raw: bytes) -> None:
    with pytest.raises(BadReply):
        _adapter().parse(raw)


def _fetch(http: HttpClient, answer: object, status: int = 200) -> Any:
    with responses.RequestsMock() as mock:
        mock.add("GET", f"{URL}/v1/payment_intents/{REF}", json=answer, status=status)
        result = _adapter(http).fetch(REF)
        request = mock.calls[0].request
    assert request.headers["Authorization"] == "Bearer rk_live_1"
    assert (request.url or "").endswith("?expand%5B%5D=latest_charge.refunds")
    return result


def _fetched(charge: dict[str, Any] | None = None, **changes: object) -> dict[str, Any]:
    intent = {**GOLDEN["fetched"], **changes}
    return intent if charge is None else {**intent, "latest_charge": {**intent["latest_charge"], **charge}}


KNOWN = replace(
    PAID,
    occurred_at=datetime.fromtimestamp(1772355501, UTC),
    refunds=(RefundFacts("re_1", 49_000), RefundFacts("re_2", 20_000), RefundFacts("re_3", 100, is_undone=True)),
)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (_fetched(), KNOWN),
        (_fetched({"refunded": True}), replace(KNOWN, status="refunded")),
        (_fetched({"refunds": None}), replace(KNOWN, refunds=())),
        (_fetched({"refunds": {"data": "x"}}), replace(KNOWN, refunds=())),
        (
            _fetched({"refunds": {"data": [5, None, {}], "has_more": True}}),
            replace(KNOWN, refunds=(), refunded_kopecks=69_000),
        ),
        (
            _fetched(metadata={"lead_id": "1234"}, receipt_email=None),
            replace(KNOWN, order_ref="", invoice_ref=None, payer=Payer("+79991112233", "card@example.com")),
        ),
        (
            _fetched(status="requires_capture", latest_charge="ch_3Mt"),
            replace(
                PAID,
                status="authorised",
                captured_kopecks=0,
                occurred_at=datetime.fromtimestamp(1772355500, UTC),
            ),
        ),
        (_fetched({"refunds": {}}, status="canceled"), replace(KNOWN, status="voided", captured_kopecks=0, refunds=())),
        (_fetched({"livemode": False}), replace(KNOWN, is_test=True)),
    ],
)
def test_the_fetched_payment_tells_its_refunds_by_name(http: HttpClient, answer: object, expected: object) -> None:
    assert _fetch(http, answer) == expected


@pytest.mark.parametrize("status", ["processing", "requires_action", "requires_payment_method", "new", None])
def test_a_payment_under_way_is_no_news(http: HttpClient, status: object) -> None:
    assert isinstance(_fetch(http, _fetched(status=status)), Ignored)


def test_an_unknown_payment_is_not_ours_and_a_foreign_currency_is_for_a_person(http: HttpClient) -> None:
    assert _fetch(http, {"error": {"code": "resource_missing"}}, status=404) == NotOurs(REF)
    assert isinstance(_fetch(http, _fetched(currency="usd")), NeedsPerson)


@pytest.mark.parametrize(
    ("answer", "status", "error"),
    [
        (_fetched(id="pi_other"), 200, BadReply),
        (_fetched(amount_received="x"), 200, BadMoney),
        ([], 200, BadReply),
        ({}, 401, NeedsReauth),
        ({}, 429, RateLimited),
        ({}, 500, ServerFailed),
    ],
)
def test_an_unusable_answer_is_a_typed_error(
    http: HttpClient, answer: object, status: int, error: type[ConnectorError]
) -> None:
    with pytest.raises(error):
        _fetch(http, answer, status)


@pytest.mark.parametrize("ref", ["", "pi_1/capture", "pi_1?x", "../x", "pi_1\n", "x" * 101])
def test_a_reference_that_is_no_id_never_reaches_the_address(http: HttpClient, ref: str) -> None:
    with pytest.raises(BadReply):
        _adapter(http).fetch(ref)


def test_events_need_one_secret_and_questions_another(http: HttpClient) -> None:
    with pytest.raises(NotConfigured):
        _adapter(webhook_secret="")
    with pytest.raises(NotConfigured, match="secret_key"):
        _adapter(http, secret_key="").fetch(REF)
