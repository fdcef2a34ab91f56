from __future__ import annotations

import hmac
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import pytest
from acquirer_vectors import name_of, vectors
from hypothesis import given
from hypothesis import strategies as st
from kopilka_testing import asked, posted

from connector.acquiring.base import MAX_BODY_BYTES, Ack, Callback, Ignored, NeedsPerson
from connector.acquiring.php_forms import php_form, php_json
from connector.acquiring.prodamus import Prodamus
from connector.errors import BadMoney, BadReply, BadSignature, ConnectorError, NotConfigured
from loyalty.events import Payer, PaymentFacts

SECRET = "2y2aw4oknnke80bp1a8fniwuuq7tdkwmmuq7vwi4nzbr8z1182ftbn6p8mhw3bhz"
FIELDS: dict[str, str] = {
    "date": "2026-05-15T12:30:00+03:00",
    "order_id": "26500811",
    "order_num": "L1234-1",
    "domain": "demo.payform.ru",
    "sum": "1000.00",
    "currency": "rub",
    "customer_phone": "+79999999999",
    "customer_email": "email@domain.com",
    "customer_extra": "тест",
    "payment_type": "Пластиковая карта Visa/MasterCard/МИР",
    "commission": "3.5",
    "commission_sum": "35.00",
    "attempt": "1",
    "products[0][name]": "Доступ\u2028к материалам",
    "products[0][price]": "1000.00",
    "products[0][quantity]": "1",
    "products[0][sum]": "1000.00",
    "payment_status": "success",
    "payment_status_description": "Успешная оплата",
}


def _adapter(secret: str = SECRET, **more: str) -> Prodamus:
    http: Any = None
    return Prodamus.from_credentials({"secret": secret, **more}, api_url="", http=http, check_ip=True)


def _body(**changes: str | None) -> bytes:
    fields = {**FIELDS, **changes}
    return urlencode({name: value for name, value in fields.items() if value is not None}).encode()


def _sign(raw: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), php_json(php_form(raw)).encode(), sha256).hexdigest()


def _sent(raw: bytes, secret: str = SECRET) -> Callback:
    return posted(raw, {"Sign": _sign(raw, secret)})


@pytest.mark.parametrize("vector", vectors("prodamus", "notification"), ids=name_of)
def test_known_notifications_are_accepted_or_refused(vector: dict[str, Any]) -> None:
    callback = posted(vector["body"].encode(), vector["headers"])

    checks = _adapter(vector["secret"]).checks(callback)

    assert all(check.is_good for check in checks) is vector["valid"]


def test_the_signature_is_explained_with_the_very_text_that_php_signed() -> None:
    raw = b"order_id=1&products%5B0%5D%5Bname%5D=a%2Fb&sum=1.00"

    check = _adapter("k").checks(posted(raw, {"Sign": "x"}))[-1]

    assert check.hashed == r'{"order_id":"1","products":[{"name":"a\/b"}],"sum":"1.00"}'
    assert check.expected == hmac.new(b"k", check.hashed.encode(), sha256).hexdigest()
    assert (check.given, check.is_good) == ("x", False)


def test_a_signature_in_capital_letters_is_the_same_signature() -> None:
    _adapter().verify(posted(_body(), {"sign": _sign(_body()).upper()}))


def test_new_and_nested_fields_do_no_harm() -> None:
    raw = _body(brand_new="1", **{"subscription[id]": "7"}) + b"&deep%5Ba%5D%5Bb%5D%5B0%5D=x%2Fy"

    _adapter().verify(_sent(raw))
    assert isinstance(_adapter().parse(raw), PaymentFacts)


GENUINE = _body()


@pytest.mark.parametrize(
    "raw",
    [
        *[b"", b"null", b"{}", b"\xff", b"\0", b"&", b"=", b"--x\r\n"],
        GENUINE.replace(b"1000.00", b"1000.01"),
        GENUINE.replace(b"1000.00", b"1000.000000"),
        GENUINE.replace(b"sum=1000.00", b"sum%5B0%5D=1000.00"),
        GENUINE.replace(b"sum=1000.00", b"sum[]=1000.00"),
        GENUINE.replace(b"&sum=1000.00", b""),
        GENUINE.replace(b"&sum=1000.00", b"&sum=1000.00&sum=1000.00"),
        GENUINE.replace(b"&sum=1000.00", b"&sum=9000.00&sum=1000.00"),
        GENUINE.replace(b"L1234-1", b"L1235-1"),
        GENUINE.replace(b"demo.payform.ru", b"foreign.payform.ru"),
        GENUINE.replace(b"success", b"order_refunded"),
        GENUINE.replace(b"%E2%80%A8", b"%5Cu2028"),
        GENUINE.replace(b"Visa%2F", b"Visa%5C%2F"),
        GENUINE.replace(b"products%5B0%5D", b"products%5B1%5D"),
        GENUINE.replace(b"products%5B0%5D%5Bname%5D", b"products%5Bname%5D"),
        GENUINE + b"&extra=1",
        GENUINE + b"\0",
        GENUINE + b"%00",
        GENUINE + b"\xff",
        GENUINE + b"&x=%ff",
        GENUINE.replace("тест".encode(), "тест".encode("cp1251")),
        b"x=" + b"y" * MAX_BODY_BYTES,
        b"a" + b"[b]" * 5000 + b"=1",
        b"&".join(b"a%d=" % number for number in range(5000)),
    ],
    ids=lambda raw: repr(raw[-24:]) + str(len(raw)),
)
def test_what_prodamus_did_not_sign_is_turned_away(raw: bytes) -> None:
    headers = {"Sign": _sign(GENUINE)}

    if raw != GENUINE:
        for callback in (posted(raw, headers), asked(raw, headers), posted(raw)):
            with pytest.raises(BadSignature):
                _adapter().verify(callback)


@pytest.mark.parametrize(
    "sign", [None, "", "x", "0" * 64, "я", "\ud800", _sign(GENUINE)[:-1], _sign(GENUINE) + " ", "ß" * 64]
)
def test_a_wrong_or_missing_signature_is_turned_away(sign: str | None) -> None:
    with pytest.raises(BadSignature):
        _adapter().verify(posted(GENUINE, {} if sign is None else {"Sign": sign}))


def test_another_page_s_signature_is_turned_away() -> None:
    with pytest.raises(BadSignature):
        _adapter().verify(_sent(GENUINE, "another secret"))


def test_lower_case_percent_escapes_say_the_same() -> None:
    lower = GENUINE.replace(b"%2B", b"%2b").replace(b"%2F", b"%2f")

    assert lower != GENUINE
    _adapter().verify(posted(lower, {"Sign": _sign(GENUINE)}))


def test_a_page_in_demo_mode_is_refused_unless_the_owner_says_so() -> None:
    callback = _sent(GENUINE, SECRET + "demo")

    with pytest.raises(BadSignature):
        _adapter().verify(callback)
    _adapter(demo="yes").verify(callback)
    facts = _adapter(demo="yes").parse(GENUINE)
    assert isinstance(facts, PaymentFacts)
    assert facts.is_test


def test_in_demo_mode_a_real_payment_is_not_taken_for_a_test() -> None:
    with pytest.raises(BadSignature):
        _adapter(demo="yes").verify(_sent(GENUINE))


@pytest.mark.parametrize("credentials", [{}, {"secret": ""}, {"secret": "k", "demo": "да"}])
def test_credentials_that_make_no_sense_are_told_at_the_start(credentials: dict[str, str]) -> None:
    http: Any = None
    with pytest.raises(NotConfigured):
        Prodamus.from_credentials(credentials, api_url="", http=http, check_ip=False)


def test_the_reply_is_success() -> None:
    assert _adapter().ack(GENUINE) == Ack(200, "text/plain; charset=utf-8", b"success")
    assert _adapter().refusal().status == 403


def test_a_successful_payment_is_captured() -> None:
    assert _adapter().parse(GENUINE) == PaymentFacts(
        acquirer="prodamus",
        payment_ref="26500811",
        deal_ref=1234,
        captured_kopecks=100_000,
        refunded_kopecks=0,
        status="captured",
        occurred_at=datetime(2026, 5, 15, 9, 30, tzinfo=UTC),
        is_test=False,
        order_ref="L1234-1",
        payer=Payer("+79999999999", "email@domain.com"),
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"payment_status": "order_canceled"}, {"status": "voided", "captured_kopecks": 0}),
        ({"payment_status": "order_denied", "sum": "x"}, {"status": "failed", "captured_kopecks": 0}),
        ({"order_num": "test"}, {"deal_ref": None, "order_ref": "test"}),
        ({"order_num": None}, {"deal_ref": None, "order_ref": ""}),
        ({"order_num": "L1234-1\n"}, {"deal_ref": None, "order_ref": "L1234-1"}),
        ({"sum": "990.000000"}, {"captured_kopecks": 99_000}),
        ({"sum": "10.5"}, {"captured_kopecks": 1050}),
        ({"currency": "RUB"}, {"captured_kopecks": 100_000}),
        ({"currency": None}, {"captured_kopecks": 100_000}),
        ({"date": "2026-05-15"}, {"occurred_at": None}),
        ({"date": "вчера"}, {"occurred_at": None}),
        ({"customer_phone": None, "customer_email": "x" * 500}, {"payer": Payer("", "x" * 200)}),
        ({"customer_phone": "+7\u2028\x01999"}, {"payer": Payer("+7\u2028999", "email@domain.com")}),
        ({"subscription[type]": "action", "subscription[action_code]": "auto_payment"}, {"status": "captured"}),
    ],
)
def test_each_field_has_its_meaning(changes: dict[str, str | None], expected: dict[str, object]) -> None:
    facts = _adapter().parse(_body(**changes))

    assert {name: getattr(facts, name) for name in expected} == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"payment_status": None},
        {"payment_status": "order_approved"},
        {"subscription[type]": "notification"},
        {"subscription[type]": "action", "subscription[action_code]": "deactivation"},
        {"subscription[type]": "action", "subscription[action_code]": "finish"},
    ],
)
def test_what_is_no_news_about_money_is_ignored(changes: dict[str, str | None]) -> None:
    assert isinstance(_adapter().parse(_body(**changes)), Ignored)


@pytest.mark.parametrize("status", ["refund", "refunded", "order_refunded", "partial_refund"])
def test_a_refund_is_never_guessed_and_never_lost_as_a_repeat(status: str) -> None:
    raw = _body(payment_status=status)
    meaning = _adapter().parse(raw)

    assert isinstance(meaning, NeedsPerson)
    assert "возврат" in meaning.reason_ru
    assert _adapter().is_hint(raw)
    assert not _adapter().is_hint(GENUINE)


def test_another_currency_is_for_a_person() -> None:
    meaning = _adapter().parse(_body(currency="kzt"))

    assert isinstance(meaning, NeedsPerson)
    assert "не в рублях" in meaning.reason_ru


@pytest.mark.parametrize("total", ["", "-1", "1e3", "1.005", "1 000", "9" * 12, "NaN", None])
def test_an_amount_that_is_no_money_is_refused(total: str | None) -> None:
    with pytest.raises(BadMoney):
        _adapter().parse(_body(sum=total))


@pytest.mark.parametrize(
    ("changes", "event_id"),
    [
        ({}, "26500811:success:1"),
        ({"attempt": None}, "26500811:success:0"),
        ({"payment_status": None, "attempt": "2"}, "26500811:none:2"),
        ({"subscription[action_code]": "deactivation"}, "26500811:success:1:deactivation"),
    ],
)
def test_the_event_id_is_order_status_and_attempt(changes: dict[str, str | None], event_id: str) -> None:
    assert _adapter().event_id(_body(**changes)) == event_id


def test_a_replay_has_the_same_event_id() -> None:
    assert _adapter().event_id(GENUINE) == _adapter().event_id(GENUINE.replace(b"%2B", b"%2b"))


@pytest.mark.parametrize(
    "changes",
    [
        *[{"order_id": None}, {"order_id": ""}, {"order_id": "1:2"}, {"order_id": "я"}, {"order_id": "9" * 65}],
        *[{"payment_status": "Success"}, {"payment_status": "a\n"}, {"attempt": "-1"}, {"attempt": "²"}],
        {"order_id": None, "order_id[0]": "1"},
        {"payment_status": None, "payment_status[a]": "success"},
    ],
)
def test_an_event_id_is_never_made_of_odd_parts(changes: dict[str, str | None]) -> None:
    with pytest.raises(BadReply):
        _adapter().event_id(_body(**changes))


@given(
    st.binary(max_size=300) | st.dictionaries(st.sampled_from(sorted(FIELDS)), st.text()).map(urlencode).map(str.encode)
)
def test_any_bytes_lead_to_a_bad_check_and_to_our_errors(raw: bytes) -> None:
    adapter = _adapter()

    assert not all(check.is_good for check in adapter.checks(posted(raw, {"Sign": "0" * 64})))
    for call in (adapter.event_id, adapter.parse, adapter.is_hint):
        try:
            call(raw)
        except ConnectorError:
            continue


@given(st.integers(0, len(GENUINE) - 1), st.integers(1, 255))
def test_a_changed_byte_never_verifies_unless_it_says_the_same(place: int, change: int) -> None:
    raw = bytearray(GENUINE)
    raw[place] ^= change

    checks = _adapter().checks(posted(bytes(raw), {"Sign": _sign(GENUINE)}))

    if all(check.is_good for check in checks):
        assert php_form(bytes(raw)) == php_form(GENUINE)
