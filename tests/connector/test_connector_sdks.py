"""Other people's SDKs as oracles: what they compute, verify, parse and send, ours does too.

`yookassa` and `stripe` are official, `tbank` is the best of the community's. They are used in tests only. Where they
and we differ on purpose, a test names the difference.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, get_args

import pytest
import responses
import stripe
import yookassa
from hypothesis import example, given
from hypothesis import strategies as st
from kopilka_testing import SHOP_ID, SHOP_SECRET, SHOPS, START, TERMINAL, TERMINAL_PASSWORD, Shop, posted
from pydantic import ValidationError
from tbank.acquiring import enums as tbank_words
from tbank.acquiring.models import InitRequest
from tbank.acquiring.models import Receipt as TBankReceipt
from tbank.acquiring.models import ReceiptItem as TBankItem
from tbank.acquiring.signing import build_token
from tbank.acquiring.sync import AcquiringClient
from tbank.acquiring.webhooks import parse_notification, verify_notification
from yookassa.domain.common import SecurityHelper
from yookassa.domain.models import Amount
from yookassa.domain.models import Receipt as YooReceipt
from yookassa.domain.models.receipt_data.receipt_item import (
    PaymentMode,
    PaymentSubject,
    ReceiptItem,
    ReceiptItemMeasure,
)
from yookassa.domain.notification import WebhookNotificationFactory
from yookassa.domain.request.payment_request import PaymentRequest
from yookassa.domain.request.payment_request_builder import PaymentRequestBuilder

from connector.acquiring import ACQUIRERS
from connector.acquiring.base import NeedsFetch
from connector.acquiring.links import NewPayment, Receipt
from connector.acquiring.reading import is_within
from connector.acquiring.tbank import token
from connector.acquiring.yookassa import SENDERS
from connector.acquiring.yookassa_links import TAX_SYSTEMS, VAT_CODES
from connector.errors import Refused
from connector.http import HttpClient
from loyalty.events import Payer, PaymentFacts
from loyalty.receipts import PaymentMethod, ReceiptLine, TaxSystem, Vat

URL = "https://bank.test"
CREDENTIALS = {
    "yookassa": {"shop_id": SHOP_ID, "secret": SHOP_SECRET},
    "tbank": {"terminal": TERMINAL, "password": TERMINAL_PASSWORD},
    "stripe": SHOPS["stripe"],
}
SECRET = SHOPS["stripe"]["webhook_secret"]
RECEIPT = Receipt(
    (
        ReceiptLine("Лыжи «Быстрые»", 1, 199_999, "goods"),
        ReceiptLine("Мазь", 2, 33_333, "goods"),
        ReceiptLine("Заточка", 1, 50_000, "service"),
        ReceiptLine("Доставка", 1, 35_000, "delivery"),
    ),
    "anna@example.com",
    "+79161234567",
    "osn",
    "vat22",
    "full_prepayment",
)
PAYMENT = NewPayment(
    amount_kopecks=RECEIPT.total_kopecks,
    order="L1234-1",
    deal_ref=1234,
    attempt=1,
    description="Заказ 1234",
    return_url="https://shop.example/thanks",
    notify_url="https://bonus.example/webhooks/payments/tbank",
    expires_at=None,
    key="sdk-1",
    payer=Payer(),
    receipt=RECEIPT,
)
METHODS: tuple[PaymentMethod, ...] = get_args(PaymentMethod)


def _adapter(name: str, url: str = URL, http: Any = None) -> Any:
    return ACQUIRERS[name].from_credentials(CREDENTIALS[name], api_url=url, http=http, check_ip=False)


def _sent(name: str, path: str, payment: NewPayment) -> dict[str, Any]:
    """What our adapter asks the bank for."""
    http = HttpClient()
    with responses.RequestsMock() as mock:
        if name == "tbank":
            mock.add("POST", f"{URL}/v2/CheckOrder", json={"Success": False})
        mock.add("POST", URL + path, status=400, json={})
        with pytest.raises(Refused):
            _adapter(name, http=http).create_link(payment)
        sent = json.loads(mock.calls[-1].request.body or b"")
    http.close()
    return dict(sent)


# T-Bank

scalars = st.none() | st.booleans() | st.text() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False)
names = st.sampled_from(["Amount", "OrderId", "Token", "Password", "Data", "Receipt", "TerminalKey"]) | st.text()
parameters = st.dictionaries(names, scalars | st.lists(scalars) | st.dictionaries(st.text(), scalars), max_size=12)


@given(parameters, st.text(min_size=1))
@example({"Success": True, "Failed": False, "Data": {"Success": True}, "Shops": [1], "None": None, "": ""}, "p")
def test_tokens_are_those_of_the_sdk(content: dict[str, Any], password: str) -> None:
    assert token(content, password) == build_token(content, password)


notices = st.fixed_dictionaries(
    {
        "TerminalKey": st.just(TERMINAL),
        "OrderId": st.sampled_from(["L1234-1", "Заказ 5", "21050"]),
        "Success": st.booleans(),
        "Status": st.sampled_from(["AUTHORIZED", "CONFIRMED", "REVERSED", "REFUNDED", "REJECTED"]),
        "PaymentId": st.integers(1, 10**12),
        "ErrorCode": st.just("0"),
        "Amount": st.integers(1, 10**9),
    },
    optional={
        "Data": st.dictionaries(st.text(), st.text()),
        "Pan": st.text(),
        "CardId": st.integers(1, 10**9),
        "New": scalars.filter(lambda value: not isinstance(value, float)),
    },
)


@given(notices, st.sampled_from(["", "Amount", "Success", "OrderId", "Token", "password"]))
def test_a_notification_is_genuine_to_both_or_to_none(notice: dict[str, Any], spoilt: str) -> None:
    key = "another" if spoilt == "password" else TERMINAL_PASSWORD
    notice = {**notice, "Token": build_token(notice, key)}
    if spoilt and spoilt != "password":
        notice[spoilt] = {"Amount": notice["Amount"] + 1, "Success": not notice["Success"]}.get(spoilt, "another")

    is_good = all(check.is_good for check in _adapter("tbank").checks(posted(json.dumps(notice).encode())))

    assert is_good is verify_notification(notice, TERMINAL_PASSWORD)
    assert is_good is (spoilt == "")


def test_numbers_count_as_they_are_printed_while_the_sdk_prints_them_anew() -> None:
    raw = b'{"TerminalKey":"%s","Amount":1.50,"Token":"%%s"}' % TERMINAL.encode()
    printed = build_token({"TerminalKey": TERMINAL, "Amount": "1.50"}, TERMINAL_PASSWORD)
    notice = raw % printed.encode()

    _adapter("tbank").verify(posted(notice))

    assert verify_notification(json.loads(notice), TERMINAL_PASSWORD) is False


@given(notices)
def test_both_read_the_same_out_of_a_notification(notice: dict[str, Any]) -> None:
    theirs = parse_notification({**notice, "Pan": "430000******0777", "Token": "x"})

    ours = _adapter("tbank").parse(json.dumps(notice).encode())

    if isinstance(ours, PaymentFacts):
        captured = theirs.amount if theirs.status.value == "CONFIRMED" else 0
        assert (ours.payment_ref, ours.order_ref) == (str(theirs.payment_id), theirs.order_id)
        assert ours.captured_kopecks == captured
    else:
        assert not theirs.success


@pytest.mark.parametrize("ffd", ["1.05", "1.2"])
@pytest.mark.parametrize("method", METHODS)
def test_our_init_is_the_one_that_the_sdk_would_send(method: PaymentMethod, ffd: Any) -> None:
    payment = replace(PAYMENT, receipt=replace(RECEIPT, method=method, ffd=ffd))
    subjects = {"goods": tbank_words.PaymentObject.COMMODITY}
    items = [
        TBankItem(
            name=line.name,
            price=line.unit_kopecks,
            quantity=line.quantity,
            amount=line.quantity * line.unit_kopecks,
            tax=tbank_words.Tax.VAT_22,
            payment_method=tbank_words.PaymentMethod(method),
            payment_object=tbank_words.PaymentObject.PAYMENT
            if method == "advance"
            else subjects.get(line.kind, tbank_words.PaymentObject.SERVICE),
            measurement_unit="шт" if ffd == "1.2" else None,
        )
        for line in RECEIPT.lines
    ]
    theirs = InitRequest(
        amount=PAYMENT.amount_kopecks,
        order_id="L1234-1",
        description="Заказ 1234",
        success_url=PAYMENT.return_url,
        fail_url=PAYMENT.return_url,
        notification_url=PAYMENT.notify_url,
        pay_type="O",
        receipt=TBankReceipt(
            taxation=tbank_words.Taxation.OSN,
            items=items,
            email=RECEIPT.email,
            phone=RECEIPT.phone,
            ffd_version=tbank_words.FfdVersion(ffd),
        ),
    )

    ours = _sent("tbank", "/v2/Init", payment)

    signature = ours.pop("Token")
    assert signature == build_token(ours, TERMINAL_PASSWORD)
    assert ours == {"TerminalKey": TERMINAL, **theirs.model_dump(mode="json", by_alias=True, exclude_none=True)}


@pytest.mark.parametrize("word", [*get_args(Vat), *get_args(TaxSystem), *METHODS])
def test_our_words_for_receipts_are_t_banks(word: str) -> None:
    known = {one.value for kind in (tbank_words.Tax, tbank_words.Taxation, tbank_words.PaymentMethod) for one in kind}

    assert word in known


def test_the_simulated_bank_serves_the_sdk_and_ours_sees_the_same(shop: Shop, http: HttpClient) -> None:
    adapter = _adapter("tbank", shop.bank_url, http)
    with AcquiringClient(TERMINAL, TERMINAL_PASSWORD, base_url=f"{shop.bank_url}/v2") as bank:
        made = bank.init(InitRequest(amount=249_000, order_id="L1234-1", description="Заказ", pay_type="T"))
        assert made.payment_id is not None
        shop.bank("POST", f"/sim/payments/{made.payment_id}/authorize")
        held = adapter.fetch(made.payment_id)
        bank.confirm(made.payment_id, 200_000)
        captured = adapter.fetch(made.payment_id)
        state = bank.get_state(made.payment_id)
        bank.cancel(made.payment_id)

    assert (held.status, held.captured_kopecks, held.deal_ref) == ("authorised", 0, 1234)
    assert (captured.status, captured.captured_kopecks) == ("captured", state.amount)
    assert adapter.fetch(made.payment_id).refund_is_total


def test_the_sdk_cannot_read_the_documented_answer_about_an_order(shop: Shop, http: HttpClient) -> None:
    """The API of the bank (1.80) has a number in Payments[].ErrorCode, the SDK waits for a text."""
    link = _adapter("tbank", shop.bank_url, http).create_link(PAYMENT)

    with AcquiringClient(TERMINAL, TERMINAL_PASSWORD, base_url=f"{shop.bank_url}/v2") as bank:
        assert bank.get_state(link.payment_ref).status is tbank_words.PaymentStatus.NEW
        with pytest.raises(ValidationError, match=r"Payments\.0\.ErrorCode"):
            bank.check_order("L1234-1")


# YooKassa

ADDRESSES = st.ip_addresses() | st.sampled_from(
    [address for network in SENDERS for address in (network[0], network[-1], network[0] - 1, network[-1] + 1)]
)


@given(ADDRESSES.filter(lambda address: getattr(address, "ipv4_mapped", None) is None).map(str))
def test_senders_are_trusted_by_both_or_by_none(address: str) -> None:
    assert is_within(address, SENDERS) is SecurityHelper().is_ip_trusted(address)


def test_all_networks_of_the_sdk_are_ours() -> None:
    theirs = {name if "/" in name else f"{name}/32" for name in SecurityHelper.YOOKASSA_NETWORKS}

    assert {str(network) for network in SENDERS} == theirs


def test_an_ipv4_sender_on_a_dual_stack_socket_is_trusted_by_us_only() -> None:
    assert is_within("::ffff:77.75.156.11", SENDERS) is True
    assert SecurityHelper().is_ip_trusted("::ffff:77.75.156.11") is False


@pytest.mark.parametrize("event", ["payment.waiting_for_capture", "payment.succeeded", "payment.canceled"])
def test_both_find_the_payment_that_a_notification_is_about(event: str) -> None:
    thing = {
        "id": "22d6d597-000f-5000-9000-145f6df21d6f",
        "status": event.partition(".")[2],
        "amount": {"value": "2490.00", "currency": "RUB"},
        "metadata": {"lead_id": "1234"},
    }
    notice = {"type": "notification", "event": event, "object": thing}

    theirs = WebhookNotificationFactory().create(notice)

    assert _adapter("yookassa").parse(json.dumps(notice).encode()) == NeedsFetch(theirs.object.id)
    assert _adapter("yookassa").event_id(json.dumps(notice).encode()).startswith(f"{theirs.event}:{theirs.object.id}")


def test_both_find_the_payment_that_a_refund_belongs_to() -> None:
    thing = {
        "id": "21b23b5b-000f-5061-a000-0674e49a8c10",
        "payment_id": "22d6d597-000f-5000-9000-145f6df21d6f",
        "status": "succeeded",
        "amount": {"value": "490.00", "currency": "RUB"},
    }
    notice = {"type": "notification", "event": "refund.succeeded", "object": thing}

    theirs = WebhookNotificationFactory().create(notice)

    assert _adapter("yookassa").parse(json.dumps(notice).encode()) == NeedsFetch(theirs.object.payment_id)


def _plain(value: Any) -> Any:
    """JSON with numbers told apart by their value, not by their print; the SDK's empty lists say nothing."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items() if one != []}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    try:
        return value if isinstance(value, bool) else Decimal(str(value))
    except ArithmeticError:
        return value


def _built(receipt: Receipt) -> PaymentRequest:
    """Our payment as the SDK's own builder and constants make it."""
    modes = {
        "full_prepayment": PaymentMode.FULL_PREPAYMENT,
        "full_payment": PaymentMode.FULL_PAYMENT,
        "prepayment": PaymentMode.PARTIAL_PREPAYMENT,
        "advance": PaymentMode.ADVANCE,
    }
    subjects = {"goods": PaymentSubject.COMMODITY}
    slip = YooReceipt()
    slip.customer = {"email": receipt.email, "phone": "79161234567"}
    slip.tax_system_code = TAX_SYSTEMS[receipt.tax_system]
    slip.items = [
        ReceiptItem(
            {
                "description": line.name,
                "quantity": line.quantity,
                "amount": Amount({"value": line.unit_kopecks / 100, "currency": "RUB"}),
                "vat_code": VAT_CODES[receipt.vat],
                "payment_mode": modes[receipt.method],
                "payment_subject": PaymentSubject.PAYMENT
                if receipt.method == "advance"
                else subjects.get(line.kind, PaymentSubject.SERVICE),
                "measure": ReceiptItemMeasure.PIECE,
            }
        )
        for line in receipt.lines
    ]
    builder = PaymentRequestBuilder()
    builder.set_amount({"value": PAYMENT.amount_kopecks / 100, "currency": "RUB"}).set_capture(True)
    builder.set_confirmation({"type": "redirect", "return_url": PAYMENT.return_url})
    builder.set_description(PAYMENT.description).set_receipt(slip)
    builder.set_metadata({"lead_id": "1234", "order_id": "L1234-1", "attempt": "1"})
    request: PaymentRequest = builder.build()
    return request


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("vat", get_args(Vat))
def test_our_payment_is_the_one_that_the_sdk_would_send(vat: Vat, method: PaymentMethod) -> None:
    receipt = replace(RECEIPT, vat=vat, method=method)

    ours = _sent("yookassa", "/v3/payments", replace(PAYMENT, receipt=receipt))

    assert _plain(ours) == _plain(dict(_built(receipt)))


def test_the_sdk_knows_every_field_of_our_payment() -> None:
    ours = _sent("yookassa", "/v3/payments", PAYMENT)

    request = PaymentRequest(ours)

    request.validate()
    assert _plain(dict(request)) == _plain(ours)


@pytest.fixture
def yoo(shop: Shop) -> Iterator[None]:
    """The SDK's credentials are the class's own: they are taken away again."""
    yookassa.Configuration.configure(SHOP_ID, SHOP_SECRET, api_url=f"{shop.bank_url}/v3")
    yield
    yookassa.Configuration.account_id = yookassa.Configuration.secret_key = None


@pytest.mark.usefixtures("yoo")
def test_the_simulated_yookassa_serves_the_sdk_and_ours_sees_the_same(shop: Shop, http: HttpClient) -> None:
    adapter = _adapter("yookassa", shop.bank_url, http)
    made = yookassa.Payment.create(_built(RECEIPT), "sdk-key-1")
    again = yookassa.Payment.create(_built(RECEIPT), "sdk-key-1")
    assert made.id == again.id
    assert made.confirmation.confirmation_url.startswith(shop.bank_url)
    shop.bank("POST", f"/sim/payments/{made.id}/authorize")
    captured = adapter.fetch(made.id)
    yookassa.Refund.create({"payment_id": made.id, "amount": {"value": "490.00", "currency": "RUB"}}, "sdk-key-2")

    theirs, ours = yookassa.Payment.find_one(made.id), adapter.fetch(made.id)

    assert (captured.status, captured.captured_kopecks) == ("captured", PAYMENT.amount_kopecks)
    assert (captured.deal_ref, captured.order_ref) == (1234, "L1234-1")
    assert ours.refunded_kopecks == theirs.refunded_amount.value * 100 == 49_000


@pytest.mark.usefixtures("yoo")
def test_a_payment_of_ours_is_read_by_the_sdk(shop: Shop, http: HttpClient) -> None:
    link = _adapter("yookassa", shop.bank_url, http).create_link(PAYMENT)

    theirs = yookassa.Payment.find_one(link.payment_ref)

    assert (theirs.status, theirs.amount.value * 100) == ("pending", PAYMENT.amount_kopecks)
    assert theirs.metadata == {"lead_id": "1234", "order_id": "L1234-1", "attempt": "1"}


# Stripe

EVENT = {
    "id": "evt_1",
    "object": "event",
    "type": "payment_intent.succeeded",
    "created": 1_772_355_600,
    "livemode": True,
    "data": {"object": {"id": "pi_1", "object": "payment_intent", "amount_received": 249_000, "currency": "rub"}},
}


def _is_good(body: str, header: str, now: datetime) -> bool:
    callback = posted(body.encode(), {"Stripe-Signature": header}, at=now)
    return all(check.is_good for check in _adapter("stripe").checks(callback))


def _is_good_to_the_sdk(body: str, header: str) -> bool:
    try:
        event = stripe.Webhook.construct_event(body, header, SECRET)
    except stripe.SignatureVerificationError:
        return False
    return bool(event["id"] == "evt_1")


def _signed(body: str, age_s: float, secret: str = SECRET) -> str:
    at = int(datetime.now(UTC).timestamp() - age_s)
    return str(stripe.WebhookSignature.generate_signature_header(body, secret, at))


@given(
    st.dictionaries(st.text(), st.text() | st.integers(), max_size=3),
    st.sampled_from([0, 1, 150, 290, 310, 4000]),
    st.sampled_from(["", "body", "secret", "no v1", "no t", "two v1", "v0", "empty", "words"]),
)
def test_events_are_genuine_to_both_or_to_none(more: dict[str, Any], age_s: int, spoilt: str) -> None:
    body = json.dumps({**EVENT, "metadata": more}, ensure_ascii=False)
    header = _signed(body, age_s, "whsec_other" if spoilt == "secret" else SECRET)
    stamp, _, signature = header.partition(",")
    header = {
        "no v1": stamp,
        "no t": signature,
        "two v1": f"{stamp},v1={'0' * 64},{signature}",
        "v0": header.replace("v1=", "v0="),
        "empty": "",
        "words": "t=now,v1=yes",
    }.get(spoilt, header)
    sent = body.replace("249000", "249001") if spoilt == "body" else body

    is_good = _is_good(sent, header, datetime.now(UTC))

    assert is_good is _is_good_to_the_sdk(sent, header)
    assert is_good is (age_s < 300 and spoilt in ("", "two v1"))


def test_a_signature_of_the_future_is_good_to_the_sdk_only() -> None:
    body = json.dumps(EVENT)
    header = _signed(body, -4000)

    assert _is_good_to_the_sdk(body, header) is True
    assert _is_good(body, header, datetime.now(UTC)) is False


def test_spaces_between_the_parts_are_good_to_us_only() -> None:
    body = json.dumps(EVENT)
    header = _signed(body, 0).replace(",", ", ")

    assert _is_good_to_the_sdk(body, header) is False
    assert _is_good(body, header, datetime.now(UTC)) is True


def test_two_stamps_are_good_to_the_sdk_only() -> None:
    body = json.dumps(EVENT)
    header = f"{_signed(body, 0)},t=1"

    assert _is_good_to_the_sdk(body, header) is True
    assert _is_good(body, header, datetime.now(UTC)) is False


def test_both_read_the_same_out_of_an_event() -> None:
    body = json.dumps(EVENT)

    theirs = stripe.Webhook.construct_event(body, _signed(body, 0), SECRET)

    ours = _adapter("stripe").parse(body.encode())
    intent = theirs["data"]["object"]
    assert (ours.payment_ref, ours.captured_kopecks) == (intent["id"], intent["amount_received"])
    assert _adapter("stripe").event_id(body.encode()) == theirs["id"]


def test_the_simulated_stripe_serves_the_sdk_and_ours_sees_the_same(shop: Shop, http: HttpClient) -> None:
    adapter = _adapter("stripe", shop.bank_url, http)
    ref = shop.pay(1234, 249_000, "stripe")
    transport = stripe.RequestsClient()
    client = stripe.StripeClient(
        SHOPS["stripe"]["secret_key"], base_addresses={"api": shop.bank_url}, http_client=transport
    )
    refund = client.v1.refunds.create({"payment_intent": ref, "amount": 49_000}, {"idempotency_key": "sdk-1"})
    again = client.v1.refunds.create({"payment_intent": ref, "amount": 49_000}, {"idempotency_key": "sdk-1"})
    intent = client.v1.payment_intents.retrieve(ref, {"expand": ["latest_charge.refunds"]})
    transport.close()

    ours = adapter.fetch(ref)

    assert refund.id == again.id
    assert (ours.captured_kopecks, ours.deal_ref) == (intent.amount_received, 1234)
    assert [(one.ref, one.kopecks) for one in ours.refunds] == [(refund.id, refund.amount)]
    assert isinstance(intent.latest_charge, stripe.Charge)
    assert intent.latest_charge.amount_refunded == 49_000


def test_an_old_signature_stays_stale_whatever_our_clock_says_of_its_arrival() -> None:
    """The SDK asks the machine's clock, ours the moment of arrival: both refuse what is older than 300 s."""
    body = json.dumps(EVENT)
    at = int((START - timedelta(seconds=301)).timestamp())
    header = str(stripe.WebhookSignature.generate_signature_header(body, SECRET, at))

    assert _is_good(body, header, START) is False
    assert _is_good(body, header, START - timedelta(seconds=1)) is True
    assert _is_good_to_the_sdk(body, header) is False
