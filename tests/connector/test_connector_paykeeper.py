from __future__ import annotations

from base64 import b64encode
from hashlib import md5
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
import responses
from acquirer_vectors import name_of, vectors
from hypothesis import given
from hypothesis import strategies as st
from kopilka_testing import asked, posted

from connector.acquiring.base import MAX_BODY_BYTES, SECRET_MASK, Ack, Fetched, Ignored, NotOurs
from connector.acquiring.paykeeper import PayKeeper
from connector.errors import (
    BadMoney,
    BadReply,
    BadSignature,
    ConnectorError,
    NeedsReauth,
    NotConfigured,
    Refused,
    ServerFailed,
)
from connector.http import HttpClient
from loyalty.events import Payer, PaymentFacts

SECRET = "verysecretseed"
SERVER = "https://shop.server.paykeeper.ru"
ACCESS = {"server": SERVER, "login": "api", "password": "canary"}
FIELDS: dict[str, str] = {
    "id": "240711111",
    "sum": "1500.00",
    "clientid": "Иванов И. И.",
    "orderid": "L1234-1",
    "service_name": "",
    "client_email": "a@b.ru",
    "client_phone": "79990000000",
    "ps_id": "120",
    "obtain_datetime": "2026-03-01 10:00:05",
}


def _adapter(http: Any = None, secret: str = SECRET, **access: str) -> PayKeeper:
    return PayKeeper.from_credentials({"secret": secret, **access}, api_url="", http=http, check_ip=True)


def _md5(text: str) -> str:
    return md5(text.encode()).hexdigest()


def _body(secret: str = SECRET, **changes: str | None) -> bytes:
    """A notification as PayKeeper signs it."""
    fields = {name: value for name, value in {**FIELDS, **changes}.items() if value is not None}
    glued = "".join(fields.get(name, "") for name in ("id", "sum", "clientid", "orderid"))
    return urlencode({**fields, "key": _md5(glued + secret)}).encode()


GENUINE = _body()


@pytest.mark.parametrize("vector", vectors("paykeeper", "notification"), ids=name_of)
def test_known_notifications_are_accepted_or_refused(vector: dict[str, Any]) -> None:
    adapter, raw = _adapter(secret=vector["secret"]), vector["body"].encode()

    assert all(check.is_good for check in adapter.checks(posted(raw))) is vector["valid"]
    if "ack" in vector:
        assert adapter.ack(raw).body == vector["ack"].encode()


def test_the_reply_is_ok_and_a_digest_of_the_payment() -> None:
    digest = _md5("240711111" + SECRET)

    assert _adapter().ack(GENUINE) == Ack(200, "text/plain; charset=utf-8", f"OK {digest}".encode())
    assert _adapter().refusal().status == 403


def test_the_signature_is_explained_without_the_secret_word() -> None:
    check = _adapter().checks(posted(_body(secret="another")))[-1]

    assert check.hashed == "2407111111500.00Иванов И. И.L1234-1" + SECRET_MASK
    assert check.expected == _md5("2407111111500.00Иванов И. И.L1234-1" + SECRET)
    assert SECRET not in repr(check)
    assert not check.is_good


@pytest.mark.parametrize(
    "raw",
    [
        *[b"", b"null", b"{}", b"\xff", b"\0", b"id=240711111", b"id=240711111&key=", b"key=" + b"0" * 32],
        GENUINE.replace(b"1500.00", b"1500.01"),
        GENUINE.replace(b"1500.00", b"15000.00"),
        GENUINE.replace(b"1500.00", b""),
        GENUINE.replace(b"240711111", b"240711112"),
        GENUINE.replace(b"L1234-1", b"L1235-1"),
        GENUINE.replace(b"%D0%98%D0%B2", b"%D0%98%D0%B3"),
        GENUINE.replace(b"&sum=1500.00", b""),
        GENUINE.replace(b"&sum=1500.00", b"&sum%5B0%5D=1500.00"),
        GENUINE.replace(b"&sum=1500.00", b"&sum=1500.00&sum=1500.00"),
        GENUINE.replace(b"&sum=1500.00", b"&sum=9000.00&sum=1500.00"),
        GENUINE.replace(b"id=240711111", b"id=240711111&id=240711111"),
        GENUINE.replace(b"id=240711111", b"id=%00240711111"),
        GENUINE.replace(b"id=240711111", b"id=240711111%20"),
        GENUINE.replace(b"id=240711111", b"id%5B%5D=240711111"),
        GENUINE.replace(b"L1234-1", b"L1234-1%E2%80%A8"),
        GENUINE.replace(b"L1234-1", b"L1234%2F1"),
        GENUINE.replace(b"&key=", b"&KEY="),
        GENUINE.replace(b"&key=", b"&key=x&key="),
        GENUINE[:-1],
        GENUINE + b"0",
        GENUINE + b"\0",
        GENUINE + b"&x=\xff",
        GENUINE + b"&x=%ff",
        GENUINE.replace(b"%D0%98", b"%C8"),
        _body(secret="another"),
        _body(secret=""),
        _body(id=""),
        _body(id="1:2"),
        _body(id="²"),
        _body(id="9" * 21),
        b"id=1&x=" + b"y" * MAX_BODY_BYTES,
        b"&".join(b"a%d=" % number for number in range(5000)),
    ],
    ids=lambda raw: repr(raw[:12] + raw[-12:]) + str(len(raw)),
)
def test_what_paykeeper_did_not_sign_is_turned_away(raw: bytes) -> None:
    for callback in (posted(raw), asked(raw)):
        with pytest.raises(BadSignature):
            _adapter().verify(callback)


@pytest.mark.parametrize("key", ["0", "0e462097431906509019562988736854", "true", "я", ""])
def test_a_key_that_only_a_loose_comparison_would_take_is_turned_away(key: str) -> None:
    with pytest.raises(BadSignature):
        _adapter().verify(posted(GENUINE.partition(b"&key=")[0] + urlencode({"": "", "key": key}).encode()))


@pytest.mark.parametrize("told", ["10.5", "10.50", "10.500000", "10"])
def test_a_sum_may_be_signed_as_it_came_or_with_two_decimals(told: str) -> None:
    two = "10.50" if told != "10" else "10.00"
    glued = _body(sum=two).replace(f"sum={two}".encode(), f"sum={told}".encode())

    _adapter().verify(posted(glued))
    _adapter().verify(posted(_body(sum=told)))


def test_absent_fields_are_signed_as_empty_ones_and_new_ones_do_no_harm() -> None:
    raw = _body(clientid=None, orderid=None, invoice_id="20251204001844212", RRN="17647967655130")

    _adapter().verify(posted(raw))
    facts = _adapter().parse(raw)
    assert isinstance(facts, PaymentFacts)
    assert (facts.deal_ref, facts.order_ref) == (None, "")


def test_lower_case_percent_escapes_say_the_same() -> None:
    _adapter().verify(posted(GENUINE.replace(b"%D0", b"%d0")))


def test_an_accepted_payment_is_captured() -> None:
    assert _adapter().parse(GENUINE) == PaymentFacts(
        acquirer="paykeeper",
        payment_ref="240711111",
        deal_ref=1234,
        captured_kopecks=150_000,
        refunded_kopecks=0,
        status="captured",
        occurred_at=None,
        is_test=False,
        order_ref="L1234-1",
        payer=Payer("79990000000", "a@b.ru"),
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"orderid": "43024149"}, {"deal_ref": None, "order_ref": "43024149"}),
        ({"orderid": "L1234-1 "}, {"deal_ref": None, "order_ref": "L1234-1"}),
        ({"sum": "990.000000"}, {"captured_kopecks": 99_000}),
        ({"clientid": "79991112233", "client_phone": ""}, {"payer": Payer("79991112233", "a@b.ru")}),
        ({"client_phone": None, "client_email": "x" * 500}, {"payer": Payer("", "x" * 200)}),
    ],
)
def test_each_field_has_its_meaning(changes: dict[str, str | None], expected: dict[str, object]) -> None:
    facts = _adapter().parse(_body(**changes))

    assert {name: getattr(facts, name) for name in expected} == expected


def test_the_binding_of_a_card_pays_nothing() -> None:
    assert isinstance(_adapter().parse(_body(sum="0.00")), Ignored)


@pytest.mark.parametrize("told", ["", "-1", "1e3", "1.005", "1 000", "1,5", "9" * 12, "NaN", None])
def test_an_amount_that_is_no_money_is_refused(told: str | None) -> None:
    raw = _body(sum=told)

    _adapter().verify(posted(raw))
    with pytest.raises(BadMoney):
        _adapter().parse(raw)


def test_a_repeat_is_known_by_the_payment() -> None:
    assert _adapter().event_id(GENUINE) == _adapter().event_id(_body(client_phone="1")) == "240711111"
    assert _adapter().is_hint(GENUINE) is False


@given(
    st.binary(max_size=300)
    | st.dictionaries(st.sampled_from([*FIELDS, "key"]), st.text()).map(urlencode).map(str.encode)
)
def test_any_bytes_lead_to_a_bad_check_and_to_our_errors(raw: bytes) -> None:
    adapter = _adapter()

    assert not all(check.is_good for check in adapter.checks(posted(raw)))
    for call in (adapter.event_id, adapter.parse, adapter.ack):
        try:
            call(raw)
        except ConnectorError:
            continue


@given(st.integers(0, len(GENUINE) - 1), st.integers(1, 255))
def test_a_changed_byte_never_verifies_unless_what_is_signed_stays_the_same(place: int, change: int) -> None:
    raw = bytearray(GENUINE)
    raw[place] ^= change

    if all(check.is_good for check in _adapter().checks(posted(bytes(raw)))):
        before, after = (dict(parse_qsl(one.decode(), keep_blank_values=True)) for one in (GENUINE, bytes(raw)))
        assert [before[name] for name in ("id", "sum", "clientid", "orderid", "key")] == [
            after[name] for name in ("id", "sum", "clientid", "orderid", "key")
        ]


def _payment(**changes: object) -> dict[str, object]:
    known: dict[str, object] = {
        "id": "240711111",
        "pay_amount": "1500.00",
        "refund_amount": "0.00",
        "status": "success",
    }
    more = {"clientid": "Иванов И. И.", "orderid": "L1234-1", "payment_system_id": "120", "repeat_counter": "0"}
    return {**known, **more, **changes}


def _fetch(http: HttpClient, answer: object, **more: Any) -> Fetched:
    with responses.RequestsMock() as mock:
        url = f"{SERVER}/info/payments/byid/"
        mock.add("GET", url, **({"json": answer} if answer is not None else {}), **more)
        fetched = _adapter(http, **ACCESS).fetch("240711111")
        request = mock.calls[0].request
    assert request.url == f"{url}?id=240711111"
    assert request.headers["Authorization"] == "Basic " + b64encode(b"api:canary").decode()
    return fetched


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("captured", 150_000, 0, False)),
        ({"status": "obtained"}, ("captured", 150_000, 0, False)),
        ({"status": "stuck", "id": 240711111, "pay_amount": 1500.5}, ("captured", 150_050, 0, False)),
        ({"status": "partially_refunded", "refund_amount": "490.00"}, ("captured", 150_000, 49_000, False)),
        ({"status": "refunding", "refund_amount": "490.00"}, ("captured", 150_000, 0, False)),
        ({"status": "refunded", "refund_amount": "1500.00"}, ("refunded", 150_000, 150_000, True)),
        ({"status": "refunded", "refund_amount": None}, ("refunded", 150_000, 0, True)),
        ({"status": "failed", "pay_amount": None}, ("failed", 0, 0, False)),
        ({"status": "canceled"}, ("failed", 0, 0, False)),
    ],
)
def test_the_payment_s_totals_are_read(
    http: HttpClient, changes: dict[str, object], expected: tuple[object, ...]
) -> None:
    facts = _fetch(http, [_payment(**changes)])

    assert isinstance(facts, PaymentFacts)
    assert (facts.status, facts.captured_kopecks, facts.refunded_kopecks, facts.refund_is_total) == expected
    assert (facts.payment_ref, facts.deal_ref, facts.order_ref) == ("240711111", 1234, "L1234-1")


def test_a_payment_that_is_not_done_or_not_there_counts_nothing(http: HttpClient) -> None:
    assert isinstance(_fetch(http, [_payment(status="pending")]), Ignored)
    assert _fetch(http, []) == NotOurs("240711111")


@pytest.mark.parametrize(
    ("answer", "more", "error"),
    [
        ([_payment(id="1")], {}, BadReply),
        ([_payment(status="news")], {}, BadReply),
        ([_payment(status=["success"])], {}, BadReply),
        ([_payment(pay_amount=None)], {}, BadMoney),
        ([_payment(pay_amount="1.005")], {}, BadMoney),
        ([[]], {}, BadReply),
        ([None], {}, BadReply),
        ({"result": "fail", "msg": "canary"}, {}, BadReply),
        (None, {"body": "<html>canary</html>"}, NeedsReauth),
        (None, {"status": 303, "headers": {"Location": "/login"}}, NeedsReauth),
        (None, {"body": "not json"}, BadReply),
        ({}, {"status": 401}, NeedsReauth),
        ({}, {"status": 403}, Refused),
        ({}, {"status": 503}, ServerFailed),
    ],
)
def test_an_unusable_answer_is_a_typed_error(
    http: HttpClient, answer: object, more: dict[str, Any], error: type[ConnectorError]
) -> None:
    with pytest.raises(error) as failed:
        _fetch(http, answer, **more)

    assert "canary" not in str(failed.value)


def test_a_reference_that_is_no_payment_id_is_not_asked(http: HttpClient) -> None:
    with pytest.raises(BadReply):
        _adapter(http, **ACCESS).fetch("1&id=2")


def test_without_access_to_the_shop_s_server_a_payment_cannot_be_asked_for() -> None:
    with pytest.raises(NotConfigured):
        _adapter().fetch("240711111")


@pytest.mark.parametrize(
    "access",
    [
        {"server": SERVER},
        {"server": SERVER, "login": "api"},
        {"login": "api", "password": "canary"},
        *[
            {**ACCESS, "server": server}
            for server in ("http://a.ru", "https://a.ru/x", "https://u@a.ru", "a", "a.ru:1")
        ],
    ],
)
def test_access_that_makes_no_sense_is_told_at_the_start(access: dict[str, str]) -> None:
    with pytest.raises(NotConfigured) as failed:
        _adapter(**access)

    assert "canary" not in str(failed.value)


def test_a_server_may_be_named_without_https(http: HttpClient) -> None:
    with responses.RequestsMock() as mock:
        mock.add("GET", f"{SERVER}/info/payments/byid/", json=[])
        access = {**ACCESS, "server": "shop.server.paykeeper.ru/"}
        assert _adapter(http, **access).fetch("1") == NotOurs("1")
