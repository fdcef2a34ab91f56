from __future__ import annotations

import hmac
import json
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import pytest
from acquirer_vectors import name_of, vectors
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from kopilka_testing import asked, posted

from connector.acquiring.base import MAX_BODY_BYTES, Ack, Ignored, NeedsFetch
from connector.acquiring.forms import form_fields
from connector.acquiring.rbs import AlfaBank, Rbs, Sber
from connector.errors import BadReply, BadSignature, ConnectorError, NotConfigured
from loyalty.events import Payer, PaymentFacts

KEY = "ooc7slpvc61k7sf7ma7p4hrefr"
ORDER = "06cf5599-3f17-7c86-bdbc-bd7d00a8b38b"
FIELDS: dict[str, str] = {
    "mdOrder": ORDER,
    "orderNumber": "L1234-1",
    "operation": "deposited",
    "status": "1",
    "amount": "300000",
    "depositedAmount": "249000",
    "callbackCreationDate": "Mon Jan 31 21:46:52 MSK 2022",
    "email": "a@b.ru",
    "phone": "79990000000",
}
PRIVATE = rsa.generate_private_key(65537, 2048)
PEM = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _adapter(bank: type[Rbs] = Sber, **more: str) -> Rbs:
    http: Any = None
    return bank.from_credentials({"token": "canary", **more}, api_url=bank.api_url, http=http, check_ip=True)


SIGNED = _adapter(callback_key=KEY)
UNSIGNED = _adapter()


def _fields(**changes: str | None) -> dict[str, str]:
    return {name: value for name, value in {**FIELDS, **changes}.items() if value is not None}


def _text(fields: dict[str, str]) -> bytes:
    return "".join(f"{name};{fields[name]};" for name in sorted(fields)).encode()


def _checksum(fields: dict[str, str], key: str = KEY) -> str:
    return hmac.new(key.encode(), _text(fields), sha256).hexdigest().upper()


def _query(**changes: str | None) -> bytes:
    """A callback as the bank signs it with a token."""
    fields = _fields(**changes)
    return urlencode({**fields, "checksum": _checksum(fields)}).encode()


GENUINE = _query()


@pytest.mark.parametrize(
    "vector",
    [one for name in ("sber", "alfabank") for one in vectors(name) if one["kind"] != "primitive"],
    ids=name_of,
)
def test_known_callbacks_are_accepted_or_refused(vector: dict[str, Any]) -> None:
    kind = "callback_certificate" if vector["secret"].startswith("-----") else "callback_key"
    adapter = _adapter(Sber if vector["provider"] == "sber" else AlfaBank, **{kind: vector["secret"]})
    raw = vector["body"].encode()

    for callback in (asked(raw), posted(raw)):
        assert all(check.is_good for check in adapter.checks(callback)) is vector["valid"]


@pytest.mark.parametrize("vector", vectors("alfabank", "primitive"), ids=name_of)
def test_the_digest_is_the_one_of_the_known_example(vector: dict[str, Any]) -> None:
    digest = hmac.new(vector["secret"].encode(), vector["body"].encode(), sha256).hexdigest().upper()

    assert digest == vector["expected"]


def test_the_checksum_is_explained_with_the_text_that_was_signed() -> None:
    raw = b"status=1&operation=approved&mdOrder=a-1&sign_alias=SHA-256+with+RSA&checksum=AB"

    check = SIGNED.checks(asked(raw))[-1]

    assert check.hashed == "mdOrder;a-1;operation;approved;status;1;"
    assert check.expected == hmac.new(KEY.encode(), check.hashed.encode(), sha256).hexdigest().upper()
    assert (check.given, check.is_good) == ("AB", False)


def test_query_form_and_json_say_the_same() -> None:
    fields = {**_fields(status="1"), "checksum": _checksum(_fields())}
    as_json = json.dumps({**fields, "status": 1, "depositedAmount": 249000}).encode()

    for callback in (asked(GENUINE), posted(GENUINE), posted(as_json)):
        SIGNED.verify(callback)
        raw = SIGNED.keep(callback)
        assert SIGNED.parse(raw) == SIGNED.parse(GENUINE)
        assert SIGNED.event_id(raw) == SIGNED.event_id(GENUINE)


def test_new_fields_are_signed_too_and_do_no_harm() -> None:
    raw = _query(paymentWay="SBP_C2B", cardholderName="ИВАН / Ы", enabled="", note="\u2028")

    SIGNED.verify(asked(raw))
    assert SIGNED.parse(raw) == SIGNED.parse(GENUINE)


def test_what_json_nests_is_covered_by_the_checksum_and_harmless_without_one() -> None:
    fields = {**_fields(), "checksum": _checksum(_fields())}

    for nested in ({"a": [1, {"b": None}]}, [], True, None):
        raw = json.dumps({**fields, "extra": nested}).encode()
        with pytest.raises(BadSignature):
            SIGNED.verify(posted(raw))
        UNSIGNED.verify(posted(raw))
        assert UNSIGNED.parse(raw) == NeedsFetch(ORDER)


@pytest.mark.parametrize(
    "raw",
    [
        *[b"", b"null", b"{}", b"[]", b"\xff", b"\0", b"&", b"=", b"mdOrder=" + ORDER.encode()],
        GENUINE.replace(b"status=1", b"status=0"),
        GENUINE.replace(b"249000", b"249001"),
        GENUINE.replace(b"249000", b"249000.000000"),
        GENUINE.replace(b"deposited&", b"refunded&"),
        GENUINE.replace(b"L1234-1", b"L1235-1"),
        GENUINE.replace(b"L1234-1", b"L1234-1%E2%80%A8"),
        GENUINE.replace(b"L1234-1", b"L1234%2F1"),
        GENUINE.replace(b"06cf5599", b"06cf5590"),
        GENUINE.replace(b"2022", b"2023"),
        GENUINE.replace(b"&status=1", b""),
        GENUINE.replace(b"&status=1", b"&status=1&status=1"),
        GENUINE.replace(b"&status=1", b"&status%5B%5D=1"),
        GENUINE.replace(b"&status=1", b"&status=1%3Bz%3B1"),
        GENUINE.replace(b"&checksum=", b"&CHECKSUM="),
        GENUINE.replace(b"&checksum=", b"&checksum=x&checksum="),
        GENUINE.partition(b"&checksum")[0],
        GENUINE[:-1],
        GENUINE + b"0",
        GENUINE + b"&extra=1",
        GENUINE + b"\0",
        GENUINE + b"&x=%ff",
        GENUINE + b"&x=\xff",
        json.dumps({**_fields(), "checksum": [_checksum(_fields())]}).encode(),
        json.dumps({**_fields(), "mdOrder": [ORDER], "checksum": _checksum(_fields())}).encode(),
        json.dumps({**_fields(), "status": True, "checksum": _checksum(_fields())}).encode(),
        json.dumps({**_fields(), "email": "\ud800", "checksum": "\ud800"}).encode(),
        b'{"status": "1", ' + json.dumps({**_fields(), "checksum": _checksum(_fields())}).encode()[1:],
        b'{"a":' * 100_000,
        b'{"a":' + b"[" * 700 + b"]" * 700 + b"}",
        urlencode({**_fields(), "checksum": _checksum(_fields(), "another key")}).encode(),
        urlencode({**_fields(), "checksum": ""}).encode(),
        urlencode({**_fields(), "checksum": "я" * 64}).encode(),
        b"mdOrder=1&x=" + b"y" * MAX_BODY_BYTES,
        b"&".join(b"a%d=" % number for number in range(5000)),
    ],
    ids=lambda raw: repr(raw[:12] + raw[-12:]) + str(len(raw)),
)
def test_what_the_bank_did_not_sign_is_turned_away(raw: bytes) -> None:
    for callback in (posted(raw), asked(raw)):
        with pytest.raises(BadSignature):
            SIGNED.verify(callback)
        with pytest.raises(BadSignature):
            _adapter(callback_certificate=PEM).verify(callback)


def test_lower_case_percent_escapes_and_digits_of_the_checksum_say_the_same() -> None:
    raw = _query(orderNumber="L1234/1")
    head, checksum = raw.split(b"checksum=")

    SIGNED.verify(asked(head.replace(b"%2F", b"%2f").replace(b"%3A", b"%3a") + b"checksum=" + checksum.lower()))


def test_a_certificate_proves_and_its_alias_is_not_believed() -> None:
    fields = _fields()
    signature = PRIVATE.sign(_text(fields), padding.PKCS1v15(), SHA512()).hex().upper()
    raw = urlencode({**fields, "sign_alias": "SHA-256 with RSA", "checksum": signature}).encode()

    for pem in (PEM, PEM.replace("\n", "\\n")):
        adapter = _adapter(callback_certificate=pem)
        adapter.verify(asked(raw))
        assert isinstance(adapter.parse(raw), PaymentFacts)
        for forged in (raw.replace(b"249000", b"249001"), raw[:-2], raw + b"00", raw[:-2] + b"+0", raw[:-2] + b"zz"):
            with pytest.raises(BadSignature):
                adapter.verify(asked(forged))


def test_without_a_key_every_callback_is_only_a_hint() -> None:
    for raw in (GENUINE, _query(operation="approved"), _query(status="0"), _query(operation="refunded", status="0")):
        UNSIGNED.verify(asked(raw))
        assert UNSIGNED.parse(raw) == NeedsFetch(ORDER)
        assert UNSIGNED.is_hint(raw)
    assert "подпись не проверяется" in UNSIGNED.checks(asked(GENUINE))[-1].what_ru
    assert isinstance(UNSIGNED.parse(_query(operation="bindingCreated", mdOrder=None)), Ignored)


def test_a_semicolon_in_a_field_makes_the_callback_a_hint() -> None:
    """The signed text has no bounds but semicolons: who may write one can say another thing with the same checksum."""
    tail = {"mdOrder": ORDER, "operation": "deposited", "orderNumber": "L1-1", "status": "0"}
    wanted = {"depositedAmount": "99900000", "mdOrder": "other", "operation": "deposited", "status": "1"}
    honest = {"clientId": "c;" + _text(wanted).decode() + "z", **tail}
    forged = {"clientId": "c", **wanted, "z": _text(tail).decode().removesuffix(";")}
    assert _text(honest) == _text(forged)

    for fields, order in ((honest, ORDER), (forged, "other")):
        raw = urlencode({**fields, "checksum": _checksum(honest)}).encode()
        SIGNED.verify(asked(raw))
        assert SIGNED.parse(raw) == NeedsFetch(order)
        assert SIGNED.is_hint(raw)


def test_a_told_deposit_is_captured() -> None:
    assert SIGNED.parse(GENUINE) == PaymentFacts(
        acquirer="sber",
        payment_ref=ORDER,
        deal_ref=1234,
        captured_kopecks=249_000,
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
        ({"operation": "approved"}, {"status": "authorised", "captured_kopecks": 0}),
        ({"operation": "approved", "status": "0"}, {"status": "failed", "captured_kopecks": 0}),
        ({"status": "0"}, {"status": "failed", "captured_kopecks": 0}),
        ({"operation": "declinedByTimeout"}, {"status": "failed", "captured_kopecks": 0}),
        ({"operation": "declinedCardpresent", "status": "0"}, {"status": "failed"}),
        ({"operation": "declinedCardPresent"}, {"status": "failed"}),
        ({"currency": "643"}, {"captured_kopecks": 249_000}),
        ({"currency": "810"}, {"captured_kopecks": 249_000}),
        ({"orderNumber": "2003"}, {"deal_ref": None, "order_ref": "2003"}),
        ({"orderNumber": None}, {"deal_ref": None, "order_ref": ""}),
        ({"phone": None, "email": "x" * 500}, {"payer": Payer("", "x" * 200)}),
    ],
)
def test_each_operation_has_its_meaning(changes: dict[str, str | None], expected: dict[str, object]) -> None:
    facts = SIGNED.parse(_query(**changes))

    assert {name: getattr(facts, name) for name in expected} == expected


@pytest.mark.parametrize(
    "changes",
    [
        *[{"depositedAmount": None}, {"depositedAmount": ""}, {"depositedAmount": "2490.00"}, {"depositedAmount": "²"}],
        *[{"depositedAmount": "-1"}, {"depositedAmount": "9" * 13}, {"currency": "840"}, {"currency": "USD"}],
        *[{"operation": "refunded"}, {"operation": "refunded", "operationRefundedAmount": "500"}],
        {"operation": "reversed"},
    ],
)
def test_what_the_callback_does_not_tell_is_asked_for(changes: dict[str, str | None]) -> None:
    raw = _query(**changes)

    assert SIGNED.parse(raw) == NeedsFetch(ORDER)
    assert SIGNED.is_hint(raw)


@pytest.mark.parametrize(
    "changes",
    [
        {"operation": "refunded", "status": "0"},
        {"operation": "reversed", "status": "0"},
        {"operation": "bindingCreated", "mdOrder": None, "status": None, "bindingId": "b"},
        {"operation": "bindingActivityChanged"},
        {"operation": "cardPresentNews"},
    ],
)
def test_what_is_no_news_about_money_is_ignored(changes: dict[str, str | None]) -> None:
    raw = _query(**changes)

    SIGNED.verify(asked(raw))
    assert isinstance(SIGNED.parse(raw), Ignored)
    assert not SIGNED.is_hint(raw)


@pytest.mark.parametrize(
    ("changes", "event_id"),
    [
        ({}, f"{ORDER}:deposited:1::Mon Jan 31 21:46:52 MSK 2022"),
        (
            {"operation": "refunded", "operationRefundedAmount": "500", "callbackCreationDate": None},
            f"{ORDER}:refunded:1:500:",
        ),
    ],
)
def test_the_event_id_is_order_operation_status_sum_and_date(changes: dict[str, str | None], event_id: str) -> None:
    assert SIGNED.event_id(_query(**changes)) == event_id


@pytest.mark.parametrize(
    "changes",
    [
        {"callbackCreationDate": "Пн янв 31"},
        {"callbackCreationDate": "x" * 500},
        {"operation": "bindingCreated", "mdOrder": None},
    ],
)
def test_odd_parts_never_enter_an_event_id(changes: dict[str, str | None]) -> None:
    event_id = SIGNED.event_id(_query(**changes))

    assert event_id.startswith("other:")
    assert event_id.isascii()
    assert len(event_id) < 100


def test_a_replay_has_the_same_event_id_and_is_no_news() -> None:
    assert SIGNED.event_id(GENUINE) == SIGNED.event_id(GENUINE.replace(b"%3A", b"%3a"))
    assert not SIGNED.is_hint(GENUINE)


def test_the_reply_is_empty() -> None:
    assert SIGNED.ack(GENUINE) == Ack(200, "text/plain; charset=utf-8", b"")
    assert SIGNED.refusal().status == 403


@pytest.mark.parametrize(
    "credentials",
    [
        *[{}, {"login": "a"}, {"password": "canary"}, {"token": "", "login": "", "password": "canary"}],
        {"token": "t", "callback_key": "canary", "callback_certificate": PEM},
        *[{"token": "t", "callback_certificate": pem} for pem in ("canary", "-----BEGIN CERTIFICATE-----\ncanary\n")],
        {
            "token": "t",
            "callback_certificate": ec.generate_private_key(ec.SECP256R1())
            .public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            .decode(),
        },
        *[
            {"token": "t", "gateway": gateway}
            for gateway in (
                "http://ecommerce.sberbank.ru",
                "https://sberbank.ru.canary.example",
                "https://evilsberbank.ru",
                "https://sberbank.ru@canary.example/",
                "https://[canary",
                "ftp://sberbank.ru",
                "ecommerce.sberbank.ru",
            )
        ],
    ],
)
def test_credentials_that_make_no_sense_are_told_at_the_start(credentials: dict[str, str]) -> None:
    http: Any = None
    with pytest.raises(NotConfigured) as failed:
        Sber.from_credentials(credentials, api_url=Sber.api_url, http=http, check_ip=False)

    assert "canary" not in str(failed.value)


_OBJECTS = st.dictionaries(
    st.sampled_from([*FIELDS, "checksum"]), st.none() | st.booleans() | st.text() | st.integers()
)


@given(
    st.binary(max_size=300)
    | st.dictionaries(st.sampled_from([*FIELDS, "checksum"]), st.text()).map(urlencode).map(str.encode)
    | _OBJECTS.map(json.dumps).map(str.encode)
)
def test_any_bytes_lead_to_a_bad_check_and_to_our_errors(raw: bytes) -> None:
    assert not all(check.is_good for check in SIGNED.checks(posted(raw)))
    UNSIGNED.checks(posted(raw))
    for adapter in (SIGNED, UNSIGNED):
        for call in (adapter.event_id, adapter.parse, adapter.is_hint):
            try:
                call(raw)
            except ConnectorError:
                continue


@given(st.integers(0, len(GENUINE) - 1), st.integers(1, 255))
def test_a_changed_byte_never_verifies_unless_it_says_the_same(place: int, change: int) -> None:
    raw = bytearray(GENUINE)
    raw[place] ^= change

    if all(check.is_good for check in SIGNED.checks(asked(bytes(raw)))):
        before, after = form_fields(GENUINE), form_fields(bytes(raw))
        assert after.pop("checksum").upper() == before.pop("checksum")
        assert after == before


@pytest.mark.parametrize("reference", ["1&orderId=2", "", "я", "a" * 65])
def test_a_reference_that_is_no_order_of_the_bank_is_not_asked(reference: str) -> None:
    with pytest.raises(BadReply):
        UNSIGNED.fetch(reference)
