from __future__ import annotations

import hmac
import json
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import responses
from acquirer_vectors import name_of, vectors
from hypothesis import given
from hypothesis import strategies as st
from kopilka_testing import asked, posted

from connector.acquiring.base import MAX_BODY_BYTES, Ack, Callback, Ignored, NeedsFetch, NeedsPerson, NotOurs
from connector.acquiring.cloudpayments import CloudPayments
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

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parent / "golden" / "acquirers" / "cloudpayments.json").read_text("utf-8")
)
URL = "https://api.cloudpayments.ru"
SECRET = "api-secret"
REF = "1802394551"
PAID = PaymentFacts(
    acquirer="cloudpayments",
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


def _adapter(http: Any = None, secret: str = SECRET) -> CloudPayments:
    credentials = {"public_id": "pk_1", "secret": secret}
    return CloudPayments.from_credentials(credentials, api_url=URL, http=http, check_ip=True)


def _signature(message: bytes, secret: str = SECRET) -> str:
    return b64encode(hmac.digest(secret.encode(), message, "sha256")).decode()


def _sent(body: bytes | str, kind: str = "pay", secret: str = SECRET) -> Callback:
    raw = body if isinstance(body, bytes) else body.encode()
    callback = posted(raw, {"Content-HMAC": _signature(raw, secret)})
    return replace(callback, query=f"type={kind}".encode() if kind else b"")


def _kept(name: str, kind: str | None = None) -> bytes:
    return _adapter().keep(_sent(GOLDEN[name], name if kind is None else kind))


def _pay(**changes: str) -> bytes:
    fields = {"TransactionId": REF, "Amount": "2490.00", "Currency": "RUB", "Status": "Completed", "AuthCode": "A1"}
    return b"pay\n" + urlencode({**fields, **changes}).encode()


@pytest.mark.parametrize("vector", vectors("cloudpayments"), ids=name_of)
def test_known_notifications_are_accepted_or_refused(vector: dict[str, Any]) -> None:
    raw = vector["body"].encode()
    callback = (asked if vector["method"] == "GET" else posted)(raw, vector["headers"])
    (check,) = _adapter(secret=vector["secret"]).checks(callback)

    assert check.is_good is vector["valid"]
    assert (check.expected == vector["expected"]) is vector["valid"]
    assert check.hashed
    if not vector["valid"]:
        with pytest.raises(BadSignature, match="Content-HMAC"):
            _adapter(secret=vector["secret"]).verify(callback)


def _with_headers(**headers: str) -> Callback:
    raw = GOLDEN["pay"].encode()
    return posted(raw, {name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    "callback",
    [
        posted(b""),
        posted(GOLDEN["pay"].encode()),
        _sent(GOLDEN["pay"], secret="other"),
        replace(_sent(GOLDEN["pay"]), body=GOLDEN["pay"].replace("2490.00", "9490.00").encode()),
        replace(_sent(GOLDEN["pay"]), body=GOLDEN["pay"].replace("%2f", "%2F").encode()),
        replace(_sent(GOLDEN["pay"]), body=GOLDEN["pay"].replace("+", "%20").encode()),
        replace(_sent(GOLDEN["pay"]), body=GOLDEN["pay"].encode() + b"&Amount=9"),
        replace(_sent(GOLDEN["pay"]), body=b"", query=GOLDEN["pay"].encode()),
        replace(_sent(GOLDEN["pay"]), method="GET"),
        _with_headers(Content_HMAC=""),
        _with_headers(Content_HMAC="x", X_Content_HMAC=_signature(GOLDEN["pay"].encode())),
        _with_headers(X_Content_HMAC=_signature(GOLDEN["pay"].encode())),
        _with_headers(Content_HMAC=_signature(GOLDEN["pay"].encode()).rstrip("=")),
        _with_headers(Content_HMAC=_signature(GOLDEN["pay"].encode()).lower()),
        _with_headers(Content_HMAC="подпись\ud800"),
        posted(b"x" * (MAX_BODY_BYTES + 1), {"Content-HMAC": "x"}),
        posted(b"a=\xff\0", {"Content-HMAC": "x"}),
    ],
    ids=lambda one: f"{one.method} {one.headers}"[:60],
)
def test_what_cloudpayments_did_not_sign_is_turned_away(callback: Callback) -> None:
    with pytest.raises(BadSignature) as failure:
        _adapter().verify(callback)

    assert "anna" not in str(failure.value)


def test_the_decoded_message_proves_only_without_the_other_signature() -> None:
    decoded = b"AccountId=user+42&Description=Hello World"
    callback = posted(b"AccountId=user%2B42&Description=Hello+World", {"x-content-hmac": _signature(decoded)})

    _adapter().verify(callback)


@given(st.binary(max_size=300), st.text(max_size=60), st.binary(max_size=40))
def test_any_bytes_are_only_ever_a_bad_check(raw: bytes, header: str, query: bytes) -> None:
    callback = replace(posted(raw, {"Content-HMAC": header}), query=query)

    assert [check.is_good for check in _adapter().checks(callback)] == [False]
    kept = _adapter().keep(callback)
    for call in (_adapter().event_id, _adapter().parse, _adapter().is_hint):
        try:
            assert len(repr(call(kept))) < 2500
        except ConnectorError:
            continue


@given(st.data())
def test_a_flipped_byte_never_verifies(data: st.DataObject) -> None:
    callback = _sent(GOLDEN["pay"])
    body = bytearray(callback.body)
    body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))

    _adapter().verify(callback)
    assert not _adapter().checks(replace(callback, body=bytes(body)))[0].is_good


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pay", PAID),
        ("hold", replace(PAID, status="authorised", captured_kopecks=0)),
        ("confirm", replace(PAID, captured_kopecks=199_000)),
        ("fail", replace(PAID, status="failed", captured_kopecks=0)),
        (
            "cancel",
            replace(
                PAID,
                status="voided",
                captured_kopecks=0,
                occurred_at=datetime(2026, 3, 1, 8, 59, 59, tzinfo=UTC),
                invoice_ref=None,
                payer=Payer(email="anna@example.com"),
            ),
        ),
        (
            "refund",
            replace(
                PAID,
                status="refunded",
                captured_kopecks=0,
                occurred_at=datetime(2026, 3, 1, 8, 59, 59, tzinfo=UTC),
                invoice_ref=None,
                payer=Payer(email="anna@example.com"),
                refunds=(RefundFacts("1802399001", 49_000),),
            ),
        ),
        ("check", Ignored("not news about a payment")),
        ("recurrent", Ignored("not news about a payment")),
        ("receipt", Ignored("not news about a payment")),
    ],
)
def test_each_kind_of_notification_has_its_meaning(name: str, expected: object) -> None:
    raw = _kept(name, "pay" if name == "hold" else None)

    assert _adapter().parse(raw) == expected
    assert _adapter().is_hint(raw) is False
    assert _adapter().ack(raw) == Ack(200, "application/json", b'{"code":0}')


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("pay", ""),
        ("pay", "unknown"),
        ("pay", "check"),
        ("pay", "cancel"),
        ("pay", "receipt"),
        ("pay", "recurrent"),
        ("pay", "refund"),
        ("pay", "fail"),
        ("check", ""),
        ("check", "pay"),
        ("check", "confirm"),
        ("check", "cancel"),
        ("cancel", "pay"),
        ("cancel", ""),
    ],
)
def test_an_address_that_does_not_fit_the_fields_leads_to_a_question(name: str, kind: str) -> None:
    raw = _kept(name, kind)

    assert _adapter().parse(raw) == NeedsFetch(REF)
    assert _adapter().is_hint(raw) is True
    assert _adapter().event_id(raw) == f"unclear:{REF}"


@pytest.mark.parametrize("kind", ["", "pay", "cancel", "check"])
@pytest.mark.parametrize("name", ["refund", "fail"])
def test_refunds_and_failures_are_known_by_their_fields(name: str, kind: str) -> None:
    assert _adapter().parse(_kept(name, kind)) == _adapter().parse(_kept(name))
    assert _adapter().event_id(_kept(name, kind)) == _adapter().event_id(_kept(name))


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        (b"type=Pay", b"pay"),
        (b"a=1&type=refund", b"refund"),
        (b"mytype=pay", b""),
        (b"type=pay%0a", b""),
        (b"type=" + b"x" * 17, b""),
        (b"", b""),
    ],
)
def test_the_kind_is_kept_beside_the_form(query: bytes, kind: bytes) -> None:
    assert _adapter().keep(replace(_sent("a=1"), query=query)) == kind + b"\na=1"


def test_a_get_is_signed_and_kept_as_its_whole_query() -> None:
    query = b"type=pay&" + GOLDEN["pay"].encode()
    callback = asked(query, {"Content-HMAC": _signature(query)})

    _adapter().verify(callback)
    assert _adapter().parse(_adapter().keep(callback)) == PAID


def test_event_ids_tell_kinds_and_operations_apart_and_repeats_together() -> None:
    ids = [_adapter().event_id(_kept(name)) for name in ("pay", "confirm", "refund", "cancel", "check", "pay")]

    assert ids == [f"pay:{REF}", f"confirm:{REF}", "refund:1802399001", f"cancel:{REF}", f"check:{REF}", f"pay:{REF}"]
    assert _adapter().event_id(_kept("recurrent")).startswith("other:")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"Amount": "990.000000"}, {"captured_kopecks": 99_000}),
        ({"Amount": "10.5"}, {"captured_kopecks": 1_050}),
        ({"InvoiceId": "L77-2"}, {"deal_ref": 77, "order_ref": "L77-2"}),
        ({"InvoiceId": "15/А"}, {"deal_ref": None, "order_ref": "15/А"}),
        ({"InvoiceId": "x" * 500}, {"order_ref": "x" * 200}),
        ({"Data": '{"lead_id":"78"}', "InvoiceId": "L77-2"}, {"deal_ref": 78}),
        ({"Data": '{"lead_id":[78]}'}, {"deal_ref": None}),
        ({"Data": "не JSON"}, {"deal_ref": None, "invoice_ref": None}),
        ({"Data": "[" * 10_000}, {"deal_ref": None}),
        ({"AccountId": "+79991112233", "Email": "a@b.ru"}, {"payer": Payer("+79991112233", "a@b.ru")}),
        ({"TestMode": "1"}, {"is_test": True}),
        ({"TestMode": ""}, {"is_test": False}),
        ({"DateTime": "вчера"}, {"occurred_at": None}),
        ({"NewField": "новое/\u2028"}, {"captured_kopecks": 249_000}),
    ],
)
def test_a_payment_tells_what_its_fields_say(changes: dict[str, str], expected: dict[str, object]) -> None:
    facts = _adapter().parse(_pay(**changes))

    assert {name: getattr(facts, name) for name in expected} == expected


@pytest.mark.parametrize("changes", [{"Currency": "USD"}, {"Currency": ""}, {"Currency": "rub"}])
def test_another_currency_is_for_a_person(changes: dict[str, str]) -> None:
    meaning = _adapter().parse(_pay(**changes))

    assert isinstance(meaning, NeedsPerson)
    assert "не в рублях" in meaning.reason_ru


def test_a_payout_to_a_card_is_no_payment() -> None:
    assert isinstance(_adapter().parse(_pay(OperationType="CardPayout")), Ignored)


@pytest.mark.parametrize("amount", ["", "1.005", "-1.00", "1e3", "NaN", "1,50", "9" * 20, " 1.00"])
def test_an_amount_that_is_no_money_is_refused(amount: str) -> None:
    with pytest.raises(BadMoney):
        _adapter().parse(_pay(Amount=amount))


@pytest.mark.parametrize("number", ["", "0", "-5", "1:2", "x", "9" * 20, "1\n"])
def test_an_operation_without_a_number_is_a_bad_notification(number: str) -> None:
    for call in (_adapter().event_id, _adapter().parse):
        with pytest.raises(BadReply):
            call(_pay(TransactionId=number))


@pytest.mark.parametrize(
    "raw", [b"pay\na=1&a=2", b"pay\na=\xff", b"pay\na=%00", b"pay\n" + b"x" * (MAX_BODY_BYTES + 1)]
)
def test_a_form_that_readers_may_disagree_about_is_a_bad_notification(raw: bytes) -> None:
    for call in (_adapter().event_id, _adapter().is_hint, _adapter().parse):
        with pytest.raises(BadReply):
            call(raw)


def test_a_refusal_declines_a_check_too() -> None:
    assert _adapter().refusal() == Ack(403, "application/json", b'{"code":13}')


@pytest.mark.parametrize("name", ["public_id", "secret"])
def test_both_credentials_are_needed(name: str) -> None:
    with pytest.raises(NotConfigured):
        CloudPayments.from_credentials({name: "x"}, api_url=URL, http=None, check_ip=False)  # type: ignore[arg-type]


def _fetch(http: HttpClient, got: object, found: object = None, status: int = 200) -> Any:
    with responses.RequestsMock() as mock:
        mock.add("POST", f"{URL}/payments/get", json=got, status=status)
        if found is not None:
            mock.add("POST", f"{URL}/v2/payments/find", json=found)
        result = _adapter(http).fetch(REF)
        assert mock.calls[0].request.headers["Authorization"] == "Basic " + b64encode(b"pk_1:api-secret").decode()
        assert json.loads(mock.calls[0].request.body or b"") == {"TransactionId": int(REF)}
    return result


def _got(**changes: object) -> dict[str, Any]:
    return {"Success": True, "Message": None, "Model": {**GOLDEN["got"]["Model"], **changes}}


def test_the_answer_of_the_api_says_the_same_as_the_notification(http: HttpClient) -> None:
    assert _fetch(http, GOLDEN["got"]) == PAID


@pytest.mark.parametrize(
    ("found", "refunds"),
    [
        (
            _got(TransactionId=5, OriginalTransactionId=int(REF), Amount=490.5, Type=1),
            (RefundFacts("5", 49_050),),
        ),
        (_got(TransactionId=5, OriginalTransactionId=77, Amount=490, Type=1), ()),
        (_got(TransactionId=5, OriginalTransactionId=int(REF), Status="AwaitingAuthentication"), ()),
        (_got(), ()),
        ({"Success": False, "Message": "Not found"}, ()),
    ],
)
def test_a_refunded_payment_names_its_last_refund(http: HttpClient, found: object, refunds: object) -> None:
    assert _fetch(http, _got(Refunded=True), found) == replace(PAID, status="refunded", refunds=refunds)


def test_a_refunded_payment_without_an_order_names_no_refund(http: HttpClient) -> None:
    facts = _fetch(http, _got(Refunded=True, InvoiceId=None))

    assert (facts.status, facts.captured_kopecks, facts.refunds) == ("refunded", 249_000, ())


@pytest.mark.parametrize(
    ("changes", "status"),
    [({"Status": "Authorized"}, "authorised"), ({"Status": "Cancelled"}, "voided"), ({"Status": "Declined"}, "failed")],
)
def test_a_payment_without_money_is_told_as_it_stands(http: HttpClient, changes: dict[str, Any], status: str) -> None:
    assert _fetch(http, _got(**changes)) == replace(PAID, status=status, captured_kopecks=0)


def test_a_payment_under_way_and_an_unknown_one_are_no_facts(http: HttpClient) -> None:
    assert isinstance(_fetch(http, _got(Status="AwaitingAuthentication")), Ignored)
    assert _fetch(http, {"Success": False, "Message": "Not found"}) == NotOurs(REF)
    assert isinstance(_fetch(http, _got(Currency="USD")), NeedsPerson)


@pytest.mark.parametrize(
    ("answer", "status", "error"),
    [
        (_got(TransactionId=5), 200, BadReply),
        (_got(Type=1), 200, BadReply),
        (_got(Amount="x"), 200, BadMoney),
        (_got(Amount=[1]), 200, BadMoney),
        ({"Success": True, "Model": []}, 200, BadReply),
        ({"Success": False, "Message": "Invalid"}, 200, BadReply),
        ([], 200, BadReply),
        ({}, 401, NeedsReauth),
        ({}, 429, RateLimited),
        ({}, 502, ServerFailed),
    ],
)
def test_an_unusable_answer_is_a_typed_error(
    http: HttpClient, answer: object, status: int, error: type[ConnectorError]
) -> None:
    with pytest.raises(error):
        _fetch(http, answer, status=status)


@pytest.mark.parametrize("ref", ["", "0", "1;2", "x", "1\n", "9" * 20])
def test_a_reference_that_is_no_number_is_not_asked(http: HttpClient, ref: str) -> None:
    with pytest.raises(BadReply):
        _adapter(http).fetch(ref)
