from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest
import responses
from acquirer_vectors import name_of, vectors
from hypothesis import given, settings
from hypothesis import strategies as st
from kopilka_testing import asked, posted

from connector.acquiring.base import MAX_BODY_BYTES, SECRET_MASK, Ack, Ignored, NeedsFetch, NeedsPerson
from connector.acquiring.tbank import TBank, token
from connector.errors import BadMoney, BadReply, BadSignature, ConnectorError, ServerFailed
from connector.http import HttpClient
from loyalty.events import Payer, PaymentFacts

URL = "https://securepay.tinkoff.ru"
TERMINAL = "1321054611234DEMO"
PASSWORD = "Dfsfh56dgKl"
CONFIRMED: dict[str, Any] = {
    "TerminalKey": TERMINAL,
    "OrderId": "L1234-1",
    "Success": True,
    "Status": "CONFIRMED",
    "PaymentId": 8742591,
    "ErrorCode": "0",
    "Amount": 249000,
    "Pan": "430000******0777",
    "Data": {"phone": "+79990000000"},
}


def _adapter(http: Any = None, terminal: str = TERMINAL, password: str = PASSWORD) -> TBank:
    credentials = {"terminal": terminal, "password": password}
    return TBank.from_credentials(credentials, api_url=URL, http=http, check_ip=True)


def _signed(password: str = PASSWORD, **changes: object) -> bytes:
    """A notification as the bank signs it: over the texts of its JSON."""
    content = {**CONFIRMED, **changes}
    texts = json.loads(json.dumps(content), parse_int=str, parse_float=str)
    return json.dumps({**content, "Token": token(texts, password)}).encode()


@pytest.mark.parametrize("vector", vectors("tbank"), ids=name_of)
def test_tokens_of_all_known_examples(vector: dict[str, Any]) -> None:
    content = json.loads(vector["body"], parse_int=str, parse_float=str)

    is_equal = token(content, vector["secret"]) == vector["expected"]

    assert is_equal is vector["valid"]


@pytest.mark.parametrize("vector", vectors("tbank", "notification"), ids=name_of)
def test_known_notifications_are_accepted_or_refused(vector: dict[str, Any]) -> None:
    raw = vector["body"].encode()
    adapter = _adapter(terminal=json.loads(raw)["TerminalKey"], password=vector["secret"])

    if vector["valid"]:
        adapter.verify(posted(raw))
    else:
        with pytest.raises(BadSignature):
            adapter.verify(posted(raw))


@pytest.mark.parametrize("vector", vectors("tbank", "request"), ids=name_of)
def test_requests_are_signed_as_in_the_known_examples(vector: dict[str, Any]) -> None:
    content = json.loads(vector["body"])
    expected = content.pop("Token")

    assert _adapter(password=vector["secret"]).signed(content)["Token"] == expected


@pytest.mark.parametrize(
    "raw",
    [
        *[b"", b"null", b"not json", b"\xff", b"\0", b"TerminalKey=1321054611234DEMO"],
        _signed() + b"\0",
        _signed()[:-1] + b"\xff}",
        _signed().replace(b"L1234-1", b"L1234-1\xd0"),
        _signed().replace(b"L1234-1", b"L1234-1\\u2028"),
        _signed().replace(b"249000", b"249000.000000"),
        _signed().replace(b"249000", b"2.49e5"),
        _signed().replace(b'"Amount": 249000', b'"Amount": {"Amount": 249000}'),
        _signed().replace(b'"Amount": 249000', b'"Amount": [249000]'),
        _signed().replace(b'"Amount": 249000, ', b""),
        _signed().replace(b'"Status": "CONFIRMED", ', b""),
        _signed().replace(b"8742591", b"8742592"),
        b'{"content":' + _signed() + b"}",
        b"[" + _signed() + b"]",
        b"[" * 100_000,
        b'{"Data":' * 100_000,
        b'{"TerminalKey":"' + TERMINAL.encode() + b'","Amount":NaN,"Token":"x"}',
        b'{"TerminalKey":"' + TERMINAL.encode() + b'","Amount":-Infinity,"Token":"x"}',
        b'{"TerminalKey":"' + TERMINAL.encode() + b'","Amount":' + b"9" * 10_000 + b',"Token":"x"}',
        b" " * (MAX_BODY_BYTES + 1),
        _signed(password="other"),
        _signed(TerminalKey="foreignDEMO"),
        _signed(TerminalKey=None),
        _signed(TerminalKey=[TERMINAL]),
        _signed().replace(b"249000", b"249001"),
        _signed().replace(b'"Success": true', b'"Success": false'),
        _signed().replace(b"CONFIRMED", b"REFUNDED"),
        _signed().replace(b"L1234-1", b"L1235-1"),
        _signed().replace(b'"Status"', b'"Status": "CONFIRMED", "Status"'),
        json.dumps(CONFIRMED).encode(),
        json.dumps({**CONFIRMED, "Token": None}).encode(),
        json.dumps({**CONFIRMED, "Token": ""}).encode(),
        json.dumps({**CONFIRMED, "Token": ["x"]}).encode(),
        json.dumps({**CONFIRMED, "Token": "\ud800"}).encode(),
        json.dumps({**CONFIRMED, "Pan": "\ud800", "Token": "x"}).encode(),
        json.dumps({**CONFIRMED, "Password": PASSWORD, "Token": "x"}).encode(),
    ],
    ids=lambda raw: repr(raw[:24]) + str(len(raw)),
)
def test_what_the_bank_did_not_sign_is_turned_away(raw: bytes) -> None:
    for callback in (posted(raw), asked(raw)):
        with pytest.raises(BadSignature) as refused:
            _adapter().verify(callback)
        assert not any(word in str(refused.value) for word in (PASSWORD, TERMINAL, "7999", "0777"))


@pytest.mark.parametrize(
    "changes",
    [
        {"Data": {"a": [1, {"b": None}]}, "Receipt": {"Items": []}, "Shops": [1]},
        *[{"OrderId": 123}, {"Amount": 100.50}, {"Success": False}, {"Message": None}, {"Message": ""}],
        *[{"Pan": "Оплата 5 ₽"}, {"Pan": "\ud800"}, {"Unknown": "new field"}],
    ],
)
def test_the_token_covers_scalars_by_type_and_new_fields_do_no_harm(changes: dict[str, object]) -> None:
    _adapter().verify(posted(_signed(**changes)))


def test_only_root_scalars_enter_the_token_in_the_order_of_their_names() -> None:
    content = {"B": True, "A": "1", "Shops": ["x"], "Data": {"y": "z"}, "Z": None, "Token": "t", "C": False}

    assert token(content, "pass") == sha256(b"1truefalsepass").hexdigest()


def test_numbers_enter_the_token_as_they_are_printed() -> None:
    printed = b'{"Amount":1.50e1,"TerminalKey":"T"}'

    assert token(json.loads(printed, parse_float=str), "p") == token({"Amount": "1.50e1", "TerminalKey": "T"}, "p")


def test_the_check_shows_what_was_hashed_without_the_password() -> None:
    terminal, signature = _adapter(password="another").checks(posted(_signed()))

    assert terminal.is_good
    assert (signature.what_ru, signature.is_good) == ("подпись Token (SHA-256)", False)
    # Amount ErrorCode OrderId Pan Password PaymentId Status Success TerminalKey
    assert signature.hashed == f"2490000L1234-1430000******0777{SECRET_MASK}8742591CONFIRMEDtrue{TERMINAL}"
    assert signature.given == json.loads(_signed())["Token"]
    assert signature.expected == sha256(signature.hashed.replace(SECRET_MASK, "another").encode()).hexdigest()


def test_a_repeat_has_the_same_id() -> None:
    assert _adapter().event_id(_signed()) == _adapter().event_id(_signed(Data={}, Message="снова"))


def _signed_part(raw: bytes) -> str | None:
    """What the token covers, by an independent reading: values in the order of their names, but not the names."""
    try:
        content = json.loads(raw, parse_int=str, parse_float=str)
    except ValueError:
        return None
    words = {name: str(value) for name, value in content.items() if not isinstance(value, dict) and name != "Token"}
    return "".join(words[name] for name in sorted(words))


@settings(max_examples=500)
@given(st.integers(0, 2_000), st.integers(1, 255))
def test_a_flipped_byte_of_what_is_signed_never_verifies(place: int, change: int) -> None:
    raw = bytearray(_signed())
    raw[place % len(raw)] ^= change

    is_good = all(check.is_good for check in _adapter().checks(posted(bytes(raw))))

    assert not is_good or _signed_part(bytes(raw)) == _signed_part(_signed())


_NAMES = st.sampled_from(sorted(CONFIRMED)) | st.text()
_OBJECTS = st.dictionaries(_NAMES, st.none() | st.booleans() | st.text() | st.integers() | st.floats())


@given(st.binary(max_size=400) | _OBJECTS.map(json.dumps).map(str.encode))
def test_any_bytes_lead_to_our_errors_or_to_a_short_id(raw: bytes) -> None:
    adapter = _adapter()

    assert not all(check.is_good for check in adapter.checks(posted(raw)))
    for call in (adapter.event_id, adapter.parse, adapter.is_hint):
        try:
            result = call(raw)
        except ConnectorError:
            continue
        assert len(repr(result)) < 200


@pytest.mark.parametrize(
    ("changes", "event_id"),
    [
        ({}, "8742591:CONFIRMED:249000:true"),
        ({"PaymentId": "8742591", "Amount": "249000"}, "8742591:CONFIRMED:249000:true"),
        ({"Success": False, "Status": "REJECTED"}, "8742591:REJECTED:249000:false"),
    ],
)
def test_the_event_id_is_payment_status_amount_and_success(changes: dict[str, object], event_id: str) -> None:
    assert _adapter().event_id(_signed(**changes)) == event_id


@pytest.mark.parametrize("changes", [{"PaymentId": "1:2"}, {"Status": "A\u0000"}, {"PaymentId": 1.5}, {"Status": None}])
def test_an_event_id_is_never_made_of_odd_parts(changes: dict[str, object]) -> None:
    with pytest.raises(BadReply):
        _adapter().event_id(_signed(**changes))


def test_a_binding_without_payment_has_an_id_and_no_meaning() -> None:
    raw = _signed(PaymentId=None, Status="COMPLETED", CustomerKey="c", RequestKey="r")

    assert _adapter().event_id(raw).startswith("other:")
    assert isinstance(_adapter().parse(raw), Ignored)


def test_the_reply_is_ok_in_upper_case() -> None:
    assert _adapter().ack(_signed()) == Ack(200, "text/plain; charset=utf-8", b"OK")


def test_a_confirmed_payment_is_captured() -> None:
    assert _adapter().parse(_signed()) == PaymentFacts(
        acquirer="tbank",
        payment_ref="8742591",
        deal_ref=1234,
        captured_kopecks=249_000,
        refunded_kopecks=0,
        status="captured",
        occurred_at=None,
        is_test=False,
        order_ref="L1234-1",
        payer=Payer(phone="+79990000000"),
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"Status": "AUTHORIZED"}, {"status": "authorised", "captured_kopecks": 0}),
        ({"Status": "REVERSED"}, {"status": "voided", "captured_kopecks": 0}),
        ({"Status": "CANCELED", "Success": False}, {"status": "voided"}),
        ({"Status": "REJECTED", "Success": False}, {"status": "failed", "captured_kopecks": 0}),
        ({"Status": "DEADLINE_EXPIRED", "Success": False}, {"status": "failed"}),
        (
            {"Status": "REFUNDED"},
            {"status": "refunded", "refund_is_total": True, "captured_kopecks": 0, "refunded_kopecks": 0},
        ),
        ({"OrderId": "201709"}, {"deal_ref": None, "order_ref": "201709"}),
        ({"OrderId": 1234}, {"deal_ref": None, "order_ref": "1234"}),
        ({"OrderId": ["L1234-1"]}, {"deal_ref": None, "order_ref": ""}),
        ({"OrderId": None}, {"deal_ref": None, "order_ref": ""}),
        ({"Data": {"phone": {"a": 1}, "email": "\ud800"}}, {"payer": Payer()}),
        ({"Data": ["phone"]}, {"payer": Payer()}),
        ({"Data": {"phone": "9" * 500}}, {"payer": Payer(phone="9" * 200)}),
        ({"Data": {"invoice_id": "5", "lead_id": "77"}}, {"deal_ref": 1234, "invoice_ref": None}),
        ({"OrderId": "L1234-1\n"}, {"deal_ref": None}),
        ({"OrderId": "L²-1"}, {"deal_ref": None}),
        ({"OrderId": "L99999999999999999999-1"}, {"deal_ref": None}),
        ({"Amount": "249000"}, {"captured_kopecks": 249_000}),
    ],
)
def test_each_status_has_its_meaning(changes: dict[str, object], expected: dict[str, object]) -> None:
    facts = _adapter().parse(_signed(**changes))

    assert {name: getattr(facts, name) for name in expected} == expected


@pytest.mark.parametrize(
    "changes",
    [
        *[{"Success": False}, {"Success": "true"}, {"Success": 1}, {"Success": None}],
        {"Status": "REFUNDED", "Success": False},
        {"Status": "RECEIPT"},
        {"Status": "PARTIAL_REVERSED"},
        {"Status": "CHECKED"},
        {"NotificationType": "LINKACCOUNT"},
    ],
)
def test_what_is_no_news_about_money_is_ignored(changes: dict[str, object]) -> None:
    assert isinstance(_adapter().parse(_signed(**changes)), Ignored)


@pytest.mark.parametrize("changes", [{}, {"Amount": 5000}, {"Success": False}, {"Amount": None}])
def test_a_partial_refund_asks_for_another_look(changes: dict[str, object]) -> None:
    assert _adapter().parse(_signed(Status="PARTIAL_REFUNDED", **changes)) == NeedsFetch("8742591")


@pytest.mark.parametrize("status", ["REFUNDED", "PARTIAL_REFUNDED"])
def test_a_repeated_refund_may_be_news(status: str) -> None:
    assert _adapter().is_hint(_signed(Status=status)) is True
    assert _adapter().is_hint(_signed()) is False


@pytest.mark.parametrize("amount", [True, None, 100.5, -1, 1e30, "1e3", [5], {"a": 1}, 10**13, ""])
def test_an_amount_that_is_no_money_is_refused(amount: object) -> None:
    with pytest.raises(BadMoney):
        _adapter().parse(_signed(Amount=amount))


def _state(**changes: object) -> dict[str, object]:
    known = {"Success": True, "ErrorCode": "0", "TerminalKey": TERMINAL, "OrderId": "L1234-1", "PaymentId": "8742591"}
    return {**known, "Status": "CONFIRMED", "Amount": 249000, **changes}


def _fetch(http: HttpClient, answer: object, status: int = 200) -> Any:
    with responses.RequestsMock() as mock:
        mock.add("POST", f"{URL}/v2/GetState", json=answer, status=status)
        result = _adapter(http).fetch("8742591")
        sent = json.loads(mock.calls[0].request.body or b"")
    assert sent.pop("Token") == token(sent, PASSWORD)
    assert sent == {"TerminalKey": TERMINAL, "PaymentId": "8742591"}
    return result


def test_the_state_of_a_payment_is_asked_with_a_signed_request(http: HttpClient) -> None:
    assert _fetch(http, _state()) == _adapter().parse(_signed(Data=None))


def test_a_payment_that_was_refunded_in_full_meanwhile_is_refunded(http: HttpClient) -> None:
    facts = _fetch(http, _state(Status="REFUNDED"))

    assert isinstance(facts, PaymentFacts)
    assert (facts.status, facts.refund_is_total, facts.deal_ref, facts.captured_kopecks) == ("refunded", True, 1234, 0)


def test_a_sum_that_was_refunded_in_part_is_never_guessed(http: HttpClient) -> None:
    meaning = _fetch(http, _state(Status="PARTIAL_REFUNDED", Amount=5000))

    assert isinstance(meaning, NeedsPerson)
    assert "частичном возврате" in meaning.reason_ru


@pytest.mark.parametrize(
    ("answer", "status", "error"),
    [
        (_state(PaymentId="1"), 200, BadReply),
        (_state(Status=["CONFIRMED"]), 200, BadReply),
        (_state(Amount="2490.00"), 200, BadMoney),
        (_state(TerminalKey="other"), 200, BadReply),
        ({"Success": False, "ErrorCode": "204"}, 200, BadReply),
        ([], 200, BadReply),
        ({}, 503, ServerFailed),
    ],
)
def test_an_unusable_state_is_a_typed_error(
    http: HttpClient, answer: object, status: int, error: type[ConnectorError]
) -> None:
    with pytest.raises(error):
        _fetch(http, answer, status)


def test_a_reference_that_is_no_payment_id_is_not_asked(http: HttpClient) -> None:
    with pytest.raises(BadReply):
        _adapter(http).fetch("1; drop")
