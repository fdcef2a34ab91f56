from __future__ import annotations

import hashlib
import json
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import responses
from acquirer_vectors import name_of, vectors
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given
from hypothesis import strategies as st
from kopilka_testing import START, asked, posted

from connector.acquiring.base import MAX_BODY_BYTES, Ack, Callback, Ignored, NeedsFetch, NeedsPerson, NotOurs
from connector.acquiring.jws import compact_jws
from connector.acquiring.robokassa import ALGORITHMS, Robokassa, signed_text
from connector.errors import BadMoney, BadReply, BadSignature, ConnectorError, NeedsReauth, NotConfigured, ServerFailed
from connector.http import HttpClient
from loyalty.events import Payer, PaymentFacts

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parent / "golden" / "acquirers" / "robokassa.json").read_text("utf-8")
)
RESULT: str = GOLDEN["result"]
URL = "https://auth.robokassa.ru"
STATE_URL = f"{URL}/Merchant/WebService/Service.asmx/OpStateExt"
KEY = rsa.generate_private_key(65537, 2048)
PUBLIC = (
    KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
)
PAID = PaymentFacts(
    acquirer="robokassa",
    payment_ref="7",
    deal_ref=1234,
    captured_kopecks=99_000,
    refunded_kopecks=0,
    status="captured",
    occurred_at=None,
    is_test=False,
    order_ref="7",
    payer=Payer("+79990000000", "anna@example.com"),
)


def _adapter(http: Any = None, **credentials: str) -> Robokassa:
    known = {"login": "sportgory", "password2": "p2", "result2_certificate": PUBLIC, **credentials}
    return Robokassa.from_credentials(known, api_url=URL, http=http, check_ip=False)


def _signed(form: str = RESULT, password: str = "p2", algorithm: str = "md5") -> bytes:
    """As the documentation tells it, for fields that are in order already."""
    fields = dict(parse_qsl(form, keep_blank_values=True))
    own = "".join(f":{name}={value}" for name, value in fields.items() if name.lower().startswith("shp"))
    text = f"{fields.get('OutSum', '')}:{fields.get('InvId', '')}:{password}{own}"
    return f"{form}&SignatureValue={hashlib.new(algorithm, text.encode()).hexdigest().upper()}".encode()


def _part(content: object) -> bytes:
    return urlsafe_b64encode(content if isinstance(content, bytes) else json.dumps(content).encode()).rstrip(b"=")


def _jws(payload: object = None, header: object = None, key: rsa.RSAPrivateKey = KEY) -> bytes:
    head = {"typ": "JWT", "alg": "RS256"} if header is None else header
    signed = _part(head) + b"." + _part(GOLDEN["notice"] if payload is None else payload)
    return signed + b"." + _part(key.sign(signed, padding.PKCS1v15(), hashes.SHA256()))


def _notice(at: datetime = START, **changes: object) -> dict[str, Any]:
    notice: dict[str, Any] = json.loads(json.dumps(GOLDEN["notice"]))
    notice["header"]["timestamp"] = str(int(at.timestamp()))
    notice["data"].update(changes)
    return notice


@pytest.mark.parametrize("vector", vectors("robokassa", "notification"), ids=name_of)
@pytest.mark.parametrize("sent", [posted, asked])
def test_known_notifications_are_accepted_or_refused(vector: dict[str, Any], sent: Callable[..., Callback]) -> None:
    adapter = _adapter(password2=vector["secret"], algorithm=vector["algo"])
    (check,) = adapter.checks(sent(vector["body"].encode()))

    assert check.is_good is vector["valid"]
    assert (check.expected == vector["expected"].upper()) is vector["valid"]
    assert vector["secret"] not in check.hashed
    assert ":••••" in check.hashed


@pytest.mark.parametrize("vector", vectors("robokassa", "request"), ids=name_of)
def test_start_links_are_signed_by_the_same_rule(vector: dict[str, Any]) -> None:
    fields = dict(parse_qsl(vector["body"]))
    own = {name: value for name, value in fields.items() if name.startswith("shp")}
    text = signed_text(fields["MerchantLogin"], fields["OutSum"], fields["InvId"], vector["secret"], own=own)

    assert hashlib.new(vector["algo"], text.encode()).hexdigest().upper() == vector["expected"].upper()


@pytest.mark.parametrize("vector", vectors("robokassa", "parse"), ids=name_of)
def test_the_documented_notice_is_read(vector: dict[str, Any]) -> None:
    for raw in (vector["body"].encode(), b'"%b"\r\n' % vector["body"].encode()):
        assert compact_jws(raw).claims == vector["expected"]
        assert _adapter().parse(raw) == NeedsFetch("1234829")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_of_the_cabinet_proves(algorithm: str) -> None:
    adapter = _adapter(algorithm=algorithm.upper())

    adapter.verify(posted(_signed(algorithm=algorithm)))
    adapter.verify(asked(_signed(algorithm=algorithm)))
    adapter.verify(
        posted(
            _signed(algorithm=algorithm)
            .lower()
            .replace(b"outsum", b"OutSum")
            .replace(b"invid", b"InvId")
            .replace(b"shp_", b"Shp_")
            .replace(b"signaturevalue", b"SignatureValue")
        )
    )
    with pytest.raises(BadSignature):
        adapter.verify(posted(_signed(algorithm="sha1" if algorithm == "md5" else "md5")))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        RESULT.encode(),
        RESULT.encode() + b"&SignatureValue=",
        _signed(password="p1"),
        _signed(password=""),
        _signed().replace(b"990.000000", b"990.00"),
        _signed().replace(b"InvId=7", b"InvId=8"),
        _signed().replace(b"Shp_lead=1234", b"Shp_lead=1235"),
        _signed().replace(b"&Shp_lead=1234", b""),
        _signed().replace(b"Shp_lead", b"shp_lead"),
        _signed() + b"&Shp_more=1",
        _signed() + b"&OutSum=1",
        _signed() + b"&IsTest=1",
        _signed() + b"&x=%ff",
        _signed() + b"&x=%00",
        _signed() + b"&x=" + b"y" * MAX_BODY_BYTES,
        _signed().replace(b"OutSum=", b"outsum="),
        _signed().replace(b"SignatureValue=", b"SignatureValue=%D0%90"),
        b"OutSum[]=1&InvId[]=7&SignatureValue[]=x",
        b"eyJ",
        b"eyJ.eyJ.eyJ",
        json.dumps({"OutSum": "1", "InvId": "7"}).encode(),
    ],
    ids=lambda raw: repr(raw[-30:]),
)
def test_what_robokassa_did_not_sign_is_turned_away(raw: bytes) -> None:
    for callback in (posted(raw), asked(raw)):
        with pytest.raises(BadSignature) as failure:
            _adapter().verify(callback)
        assert "anna" not in str(failure.value)


def test_a_test_payment_needs_the_password_of_the_test_mode() -> None:
    raw = _signed(RESULT + "&IsTest=1", password="t2")
    adapter = _adapter(test_password2="t2")

    adapter.verify(posted(raw))
    facts = adapter.parse(raw)
    assert isinstance(facts, PaymentFacts)
    assert facts.is_test is True
    for forged in (raw.replace(b"&IsTest=1", b""), raw.replace(b"IsTest=1", b"IsTest=0"), _signed() + b"&IsTest=1"):
        with pytest.raises(BadSignature):
            adapter.verify(posted(forged))
    with pytest.raises(BadSignature, match="test_password2"):
        _adapter().verify(posted(raw))


@given(st.data())
def test_a_flipped_byte_never_changes_what_a_verified_form_means(data: st.DataObject) -> None:
    raw = bytearray(_signed("OutSum=990.00&InvId=7&Shp_lead=1234"))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))

    if all(check.is_good for check in _adapter().checks(posted(bytes(raw)))):  # the case of a hexadecimal digit
        assert bytes(raw).upper() == _signed("OutSum=990.00&InvId=7&Shp_lead=1234").upper()
        assert _adapter().parse(bytes(raw)) == replace(PAID, payer=Payer())


@given(st.data())
def test_a_flipped_byte_never_verifies_as_a_notice(data: st.DataObject) -> None:
    raw = bytearray(_jws(_notice()))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))

    assert not all(check.is_good for check in _adapter().checks(posted(bytes(raw))))


@given(st.binary(max_size=300) | st.binary(max_size=100).map(lambda tail: b"eyJ" + tail))
def test_any_bytes_are_only_ever_a_bad_check(raw: bytes) -> None:
    assert not all(check.is_good for check in _adapter().checks(posted(raw)))
    _adapter().ack(raw)
    for call in (_adapter().event_id, _adapter().parse, _adapter().is_hint):
        try:
            assert len(repr(call(raw))) < 2500
        except ConnectorError:
            continue


def test_a_paid_invoice_is_captured() -> None:
    raw = _signed()

    assert _adapter().parse(raw) == PAID
    assert _adapter().event_id(raw) == "7"
    assert _adapter().is_hint(raw) is False
    assert _adapter().ack(raw) == Ack(200, "text/plain; charset=utf-8", b"OK7")
    assert _adapter().refusal() == Ack(403, "text/plain; charset=utf-8", b"bad sign")


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("OutSum=10.5&InvId=9&SHP_LEAD=77", {"captured_kopecks": 1_050, "deal_ref": 77, "payment_ref": "9"}),
        ("OutSum=10&InvId=9&Shp_lead_id=77&Shp_invoice_id=5", {"deal_ref": 77, "invoice_ref": 5}),
        ("OutSum=10&InvId=9&Shp_order=L78-1", {"deal_ref": 78, "order_ref": "L78-1"}),
        ("OutSum=10&InvId=9&Shp_order=15%2F%D0%90", {"deal_ref": None, "order_ref": "15/А"}),
        ("OutSum=10&InvId=9", {"deal_ref": None, "order_ref": "9", "payer": Payer()}),
        ("OutSum=10&InvId=9&lead=77&EMail=" + "x" * 300, {"deal_ref": None, "payer": Payer(email="x" * 200)}),
        ("OutSum=10&InvId=9&Shp_lead=%C2%B2", {"deal_ref": None}),
        ("OutSum=10&InvId=9&New=%E2%80%A8/&out_summ=9999&inv_id=1&crc=x", {"captured_kopecks": 1_000}),
        ("OutSum=10&InvId=9&OutSumCurrency=RUB", {"captured_kopecks": 1_000}),
    ],
)
def test_a_payment_tells_what_its_fields_say(form: str, expected: dict[str, object]) -> None:
    facts = _adapter().parse(_signed(form))

    assert {name: getattr(facts, name) for name in expected} == expected


def test_another_currency_is_for_a_person() -> None:
    assert isinstance(_adapter().parse(_signed(RESULT + "&OutSumCurrency=USD")), NeedsPerson)


@pytest.mark.parametrize("amount", ["", "1.005", "-1", "1e3", "1,5", "NaN", "9" * 20])
def test_an_amount_that_is_no_money_is_refused(amount: str) -> None:
    with pytest.raises(BadMoney):
        _adapter().parse(_signed(f"OutSum={amount}&InvId=7"))


@pytest.mark.parametrize("invoice", ["", "0", "-7", "7.0", "07", "x", "9" * 19, "%C2%B2", "7%0A"])
def test_an_odd_invoice_number_is_a_bad_notification_with_a_plain_reply(invoice: str) -> None:
    raw = _signed(f"OutSum=1&InvId={invoice}")

    for call in (_adapter().event_id, _adapter().parse):
        with pytest.raises(BadReply):
            call(raw)
    assert _adapter().ack(raw).body.startswith(b"OK")


def test_a_signed_notice_asks_for_another_look() -> None:
    raw = _jws(_notice())

    assert all(check.is_good for check in _adapter().checks(posted(raw)))
    assert all(check.is_good for check in _adapter().checks(posted(b' "%b" ' % raw)))
    assert _adapter().parse(raw) == NeedsFetch("7")
    assert _adapter().parse(_jws(_notice(state="HOLD", invId=7))) == NeedsFetch("7")
    assert isinstance(_adapter().parse(_jws(_notice(state="CANCEL"))), Ignored)
    assert _adapter().event_id(raw) == "jws:14D2B521-4EAB-492A-9D91-00D12FF24D57-1NvHENLwgp:OK"
    assert _adapter().is_hint(raw) is True
    assert _adapter().ack(raw) == Ack(200, "text/plain; charset=utf-8", b"OK")


def _unsigned(header: object) -> bytes:
    return _part(header) + b"." + _part(_notice()) + b"."


@pytest.mark.parametrize(
    "raw",
    [
        _jws(_notice(shop="other")),
        _jws(_notice(shop=["sportgory"])),
        _jws(_notice(START - timedelta(days=7, seconds=1))),
        _jws(_notice(START + timedelta(seconds=301))),
        _jws({**_notice(), "header": {"type": "PaymentStateNotification"}}),
        _jws({**_notice(), "header": {**_notice()["header"], "type": "Other"}}),
        _jws({**_notice(), "header": {**_notice()["header"], "timestamp": int(START.timestamp())}}),
        _jws({**_notice(), "header": []}),
        _jws({**_notice(), "data": None}),
        _jws({}),
        _jws(_notice(), header={"typ": "JWT", "alg": "none"}),
        _jws(_notice(), header={"typ": "JWT", "alg": "HS256"}),
        _jws(_notice(), header={}),
        _jws(_notice(), header=[]),
        _jws(b"not json"),
        _jws(b'{"data":{},"data":{}}'),
        _jws(_notice(), key=rsa.generate_private_key(65537, 2048)),
        _unsigned({"alg": "none"}),
        _unsigned({"alg": "RS256"}) + b"AAAA",
        _jws(_notice())[:-8],
        _jws(_notice()) + b"=",
        b"JWS=" + _jws(_notice()),
        _jws(_notice()) + b"\xff",
        _jws(b"x" * MAX_BODY_BYTES),
    ],
    ids=range(24),
)
def test_a_notice_that_does_not_prove_its_origin_is_turned_away(raw: bytes) -> None:
    with pytest.raises(BadSignature):
        _adapter().verify(posted(raw))


def test_without_a_certificate_no_notice_is_believed() -> None:
    with pytest.raises(BadSignature, match="result2_certificate"):
        _adapter(result2_certificate="").verify(posted(_jws(_notice())))


@pytest.mark.parametrize("changes", [{"opKey": None}, {"opKey": "a b"}, {"state": "OK:1"}, {"opKey": "x" * 81}])
def test_a_notice_of_odd_words_has_no_event_id(changes: dict[str, object]) -> None:
    with pytest.raises(BadReply):
        _adapter().event_id(_jws(_notice(**changes)))


@pytest.mark.parametrize(
    "credentials",
    [
        {"login": ""},
        {"password2": ""},
        {"algorithm": "crc32"},
        {"algorithm": "sha3_256"},
        {"test_password2": "p2"},
        {"result2_certificate": "нет"},
        {"result2_certificate": b64encode(b"abc").decode()},
    ],
)
def test_credentials_that_cannot_work_are_refused_at_the_start(credentials: dict[str, str]) -> None:
    with pytest.raises(NotConfigured):
        _adapter(**credentials)


def _fetch(http: HttpClient, xml: str | bytes, status: int = 200, ref: str = "7") -> Any:
    with responses.RequestsMock() as mock:
        mock.add("GET", STATE_URL, body=xml, status=status, content_type="text/xml; charset=utf-8")
        result = _adapter(http).fetch(ref)
        sent = dict(parse_qsl((mock.calls[0].request.url or "").partition("?")[2]))
    assert sent.pop("Signature").lower() == hashlib.md5(b"sportgory:7:p2").hexdigest()
    assert sent == {"MerchantLogin": "sportgory", "InvoiceID": "7"}
    return result


STATE: str = GOLDEN["state"]
FETCHED = replace(PAID, occurred_at=datetime(2026, 3, 1, 8, 59, 40, tzinfo=UTC), invoice_ref=771, payer=Payer())


def test_the_state_of_a_paid_invoice_is_its_sum_without_a_commission(http: HttpClient) -> None:
    assert _fetch(http, STATE) == FETCHED
    assert _fetch(http, b"\xef\xbb\xbf" + STATE.encode()) == FETCHED
    assert _fetch(http, STATE.replace(' xmlns="http://merchant.roboxchange.com/WebService/"', "")) == FETCHED


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("50", {}),
        ("10", {"status": "failed", "captured_kopecks": 0}),
        ("20", {"status": "authorised", "captured_kopecks": 0}),
        ("60", {"status": "refunded", "captured_kopecks": 0, "refund_is_total": True}),
    ],
)
def test_each_state_has_its_meaning(http: HttpClient, code: str, changes: dict[str, Any]) -> None:
    assert _fetch(http, STATE.replace("<Code>100<", f"<Code>{code}<")) == replace(FETCHED, **changes)


@pytest.mark.parametrize("code", ["5", "80"])
def test_a_payment_under_way_is_no_news(http: HttpClient, code: str) -> None:
    assert isinstance(_fetch(http, STATE.replace("<Code>100<", f"<Code>{code}<")), Ignored)


def _result(code: str) -> str:
    return f"<OperationStateResponse><Result><Code>{code}</Code></Result></OperationStateResponse>"


def test_an_unknown_invoice_is_not_ours(http: HttpClient) -> None:
    assert _fetch(http, _result("3")) == NotOurs("7")


@pytest.mark.parametrize(
    ("xml", "status", "error"),
    [
        ("", 200, BadReply),
        ("<html><body>", 200, BadReply),
        ("{}", 200, BadReply),
        (STATE.replace("<Code>100<", "<Code>101<"), 200, BadReply),
        (STATE.replace("990.000000", "990.005"), 200, BadMoney),
        (STATE.replace("<OutSum>990.000000</OutSum>", ""), 200, BadMoney),
        (STATE.replace("?>", '?><!DOCTYPE a [<!ENTITY b "990">]>').replace("990.000000", "&b;"), 200, BadReply),
        (STATE.encode("utf-16"), 200, BadReply),
        (STATE.encode() + b"\xff", 200, BadReply),
        (STATE + " " * MAX_BODY_BYTES, 200, BadReply),
        (_result("0"), 200, BadReply),
        (_result("4"), 200, BadReply),
        (_result(""), 200, BadReply),
        (_result("1"), 200, NeedsReauth),
        (_result("2"), 200, NeedsReauth),
        (_result("1000"), 200, ServerFailed),
        (STATE, 503, ServerFailed),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_an_unusable_answer_is_a_typed_error(
    http: HttpClient, xml: str | bytes, status: int, error: type[ConnectorError]
) -> None:
    with pytest.raises(error):
        _fetch(http, xml, status)


@pytest.mark.parametrize("ref", ["", "0", "7&x=1", "7\n", "-7", "9" * 19])
def test_a_reference_that_is_no_invoice_number_is_not_asked(http: HttpClient, ref: str) -> None:
    with pytest.raises(BadReply):
        _adapter(http).fetch(ref)


def test_what_is_read_of_a_jws_has_one_text_only() -> None:
    header, payload, signature = _jws(_notice()).split(b".")
    other = signature[:-1] + bytes([signature[-1] + 1])
    is_same = urlsafe_b64decode(other + b"==") == urlsafe_b64decode(signature + b"==")

    assert is_same
    with pytest.raises(BadReply):
        compact_jws(b".".join([header, payload, other]))
