"""Payment links against the simulated bank over HTTP; the bank's rarer answers from `responses`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from hypothesis import given
from hypothesis import strategies as st
from kopilka_testing import (
    SHOP_ID,
    SHOP_SECRET,
    SHOPS,
    START,
    TERMINAL,
    TERMINAL_PASSWORD,
    start_simulator,
    until,
)

from connector.acquiring import ACQUIRERS
from connector.acquiring.base import Callback, NeedsFetch
from connector.acquiring.cloudpayments_links import number
from connector.acquiring.links import BadPayment, Link, LinkLost, MakesLinks, NewPayment, Receipt
from connector.acquiring.tbank import TBank
from connector.errors import (
    BadReply,
    ConnectorError,
    NeedsReauth,
    NotFound,
    RateLimited,
    Refused,
    ServerFailed,
    TimedOut,
    Unreachable,
)
from connector.http import HttpClient
from connector.money import MAX_KOPECKS, kopecks_from_roubles
from loyalty.events import Payer, PaymentFacts
from loyalty.receipts import Line, ReceiptLine, reduced

pytestmark = pytest.mark.slow

CREDENTIALS = {
    "yookassa": {"shop_id": SHOP_ID, "secret": SHOP_SECRET},
    "tbank": {"terminal": TERMINAL, "password": TERMINAL_PASSWORD},
    "cloudpayments": SHOPS["cloudpayments"],
}
NAMES = list(CREDENTIALS)
ACKS = {"tbank": b"OK", "cloudpayments": b'{"code":0}', "yookassa": b""}
ORDER = [
    Line("Лыжи беговые", 1, 299_000),
    Line("Мазь «−5»", 3, 100_000),
    Line("Подарочная карта", 1, 50_000, may_be_reduced=False),
    Line("Доставка", 1, 35_000, "delivery"),
]
PRICE, AMOUNT = 484_000, 400_001
RECEIPT = Receipt(reduced(ORDER, AMOUNT), "anna@example.com", "+79161234567", "usn_income", "none", "full_prepayment")
PAYMENT = NewPayment(
    amount_kopecks=AMOUNT,
    order="L1234-1",
    deal_ref=1234,
    attempt=1,
    description="Заказ 1234",
    return_url="https://shop.example/thanks",
    notify_url="",
    expires_at=None,
    key="5f1b6e0c-link-1",
    payer=Payer("+79161234567", "anna@example.com"),
    receipt=RECEIPT,
)
CREATE = {"yookassa": "/v3/payments", "tbank": "/v2/Init", "cloudpayments": "/orders/create"}


def _adapter(name: str, http: HttpClient, url: str) -> Any:
    adapter = ACQUIRERS[name].from_credentials(CREDENTIALS[name], api_url=url, http=http, check_ip=False)
    assert isinstance(adapter, MakesLinks)
    return adapter


@dataclass
class Bank:
    """A simulated bank of this module, and the place its callbacks come to."""

    url: str
    server: Any

    def call(self, path: str, body: Any = None, *, method: str = "POST") -> Any:
        reply = requests.request(method, self.url + path, json=body, timeout=10)
        assert reply.status_code < 300, reply.text
        return reply.json()

    def payments(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("/sim/state", method="GET")["payments"]
        return found

    def step(self, link: Link, step: str) -> requests.Response:
        ref = link.payment_ref or link.link_ref
        return requests.post(f"{self.url}/sim/payments/{ref}/{step}", json={}, timeout=10)

    def callback(self, name: str, event: str = "") -> Callback:
        """The last callback that came for an acquirer."""

        def came() -> Callback | None:
            found = [
                Callback("POST", path.partition("?")[2].encode(), headers, body, None, START)
                for _, path, headers, body in list(self.server.seen)
                if path.startswith(f"/pay/{name}") and event.encode() in body
            ]
            return found[-1] if found else None

        return until(came, f"a callback of {name}")


@pytest.fixture(scope="module")
def bank_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("bank")
    config = folder / "config.json"
    config.write_text(json.dumps({"bank": CREDENTIALS}))
    process, url = start_simulator("bank", Path(folder), config)
    yield url
    process.terminate()
    process.wait(10)
    assert process.stdout is not None
    process.stdout.close()


@pytest.fixture
def bank(bank_url: str, local_server: Any) -> Bank:
    acks = {f"/pay/{name}": ack for name, ack in ACKS.items()}
    local_server.answer = lambda _method, path, _body: (200, {}, acks[path.partition("?")[0]])
    bank = Bank(bank_url, local_server)
    bank.call("/sim/reset")
    bank.call("/sim/peers", {"payments_url": f"{local_server.url}/pay"})
    return bank


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def adapter(name: str, bank: Bank, http: HttpClient) -> Any:
    return _adapter(name, http, bank.url)


def _told(adapter: Any, callback: Callback) -> PaymentFacts:
    """What a callback leads to, as the worker goes about it."""
    adapter.verify(callback)
    parsed = adapter.parse(adapter.keep(callback))
    facts = adapter.fetch(parsed.payment_ref) if isinstance(parsed, NeedsFetch) else parsed
    assert isinstance(facts, PaymentFacts)
    return facts


def test_three_acquirers_make_links() -> None:
    assert {name for name, kind in ACQUIRERS.items() if issubclass(kind, MakesLinks)} == set(NAMES)


@given(st.integers(1, MAX_KOPECKS))
def test_a_number_in_roubles_is_printed_to_the_kopeck(kopecks: int) -> None:
    printed = json.loads(json.dumps(number(kopecks)), parse_float=Decimal)

    assert kopecks_from_roubles(printed) == kopecks


def test_a_buyer_pays_the_lower_price_and_the_callback_finds_the_deal(name: str, adapter: Any, bank: Bank) -> None:
    link = adapter.create_link(PAYMENT)
    page = requests.get(link.url, timeout=10).text
    assert "Оплатить" in page

    assert bank.step(link, "authorize").status_code == 200

    facts = _told(adapter, bank.callback(name, "CONFIRMED" if name == "tbank" else ""))
    assert (facts.deal_ref, facts.order_ref, facts.captured_kopecks) == (1234, "L1234-1", AMOUNT)
    assert facts.status == "captured"
    assert facts.payment_ref == (link.payment_ref or facts.payment_ref)
    assert (link.payment_ref == "") is (name == "cloudpayments")


def test_an_order_of_the_shops_own_is_paid_under_its_number(name: str, adapter: Any, bank: Bank) -> None:
    link = adapter.create_link(replace(PAYMENT, order="SG-2026/17", deal_ref=None, receipt=None))
    bank.step(link, "authorize")

    facts = _told(adapter, bank.callback(name, "CONFIRMED" if name == "tbank" else ""))

    assert (facts.deal_ref, facts.order_ref) == (None, "SG-2026/17")


@pytest.mark.parametrize("name", ["yookassa", "cloudpayments"])
def test_the_same_key_is_the_same_payment(name: str, adapter: Any, bank: Bank) -> None:
    first, second = adapter.create_link(PAYMENT), adapter.create_link(PAYMENT)
    other = adapter.create_link(replace(PAYMENT, key="another", order="L1234-2", attempt=2))

    assert first == second != other
    assert len(bank.payments()) == 2


@pytest.mark.parametrize("name", ["yookassa", "cloudpayments"])
def test_an_answer_that_was_lost_is_found_again_by_its_key(name: str, adapter: Any, bank: Bank) -> None:
    bank.call("/sim/faults", {"apply_then_drop": 1.0})
    with pytest.raises(ConnectorError) as lost:
        adapter.create_link(PAYMENT)
    bank.call("/sim/faults", {"apply_then_drop": 0.0})

    link = adapter.create_link(PAYMENT)

    assert lost.value.ambiguous
    assert lost.value.retryable
    assert [row["id"] for row in bank.payments()] == [bank.payments()[0]["id"]]
    assert bank.step(link, "authorize").status_code == 200


@pytest.mark.parametrize("name", ["tbank"])
def test_an_order_that_the_bank_knows_gets_no_second_payment(name: str, adapter: Any, bank: Bank) -> None:
    first = adapter.create_link(PAYMENT)

    with pytest.raises(LinkLost) as lost:
        adapter.create_link(PAYMENT)

    assert (lost.value.link, lost.value.ambiguous) == (replace(first, url=""), False)
    assert len(bank.payments()) == 1
    assert adapter.cancel_link(lost.value.link) is True
    second = adapter.create_link(replace(PAYMENT, order="L1234-2", attempt=2))
    assert bank.step(first, "authorize").status_code == 400
    assert bank.step(second, "authorize").status_code == 200


@pytest.mark.parametrize("name", ["tbank"])
def test_an_order_that_is_paid_is_told_apart_by_cancelling(name: str, adapter: Any, bank: Bank) -> None:
    bank.step(adapter.create_link(PAYMENT), "authorize")

    with pytest.raises(LinkLost) as lost:
        adapter.create_link(PAYMENT)

    assert adapter.cancel_link(lost.value.link) is False
    assert bank.payments()[0]["refunded"] == 0


def test_a_cancelled_link_cannot_be_paid(name: str, adapter: Any, bank: Bank) -> None:
    link = adapter.create_link(PAYMENT)

    is_cancelled = adapter.cancel_link(link)

    # YooKassa's documentation knows the cancelling of held payments only.
    assert is_cancelled is (name != "yookassa")
    assert (bank.step(link, "authorize").status_code == 400) is is_cancelled
    assert adapter.cancel_link(link) is is_cancelled


def test_a_paid_link_is_not_cancelled_and_no_money_moves(name: str, adapter: Any, bank: Bank) -> None:
    link = adapter.create_link(PAYMENT)
    bank.step(link, "authorize")

    assert adapter.cancel_link(link) is False
    assert [(row["status"], row["captured"], row["refunded"]) for row in bank.payments()] == [("captured", AMOUNT, 0)]


def test_the_receipt_reaches_the_bank_with_points_inside_the_prices(name: str, adapter: Any, bank: Bank) -> None:
    adapter.create_link(PAYMENT)

    receipt = bank.payments()[0]["receipt"]

    assert receipt["total"] == AMOUNT
    assert [(row["name"], row["price"], row["quantity"], row["sum"]) for row in receipt["lines"]] == [
        (line.name, line.unit_kopecks, str(line.quantity), line.sum_kopecks) for line in RECEIPT.lines
    ]
    assert receipt["customer"]["email"] == "anna@example.com"
    assert receipt["paid"] == {"electronic": AMOUNT}


@pytest.mark.parametrize("ffd", ["1.05", "1.2"])
@pytest.mark.parametrize("method", ["full_prepayment", "full_payment", "prepayment", "advance"])
@pytest.mark.parametrize("vat", ["none", "vat0", "vat5", "vat7", "vat10", "vat20", "vat22"])
def test_every_word_of_a_receipt_is_one_that_the_bank_knows(
    name: str, adapter: Any, vat: Any, method: Any, ffd: Any
) -> None:
    for count, tax_system in enumerate(("osn", "usn_income", "usn_income_outcome", "esn", "patent")):
        receipt = replace(RECEIPT, vat=vat, method=method, ffd=ffd, tax_system=tax_system)

        link = adapter.create_link(replace(PAYMENT, receipt=receipt, key=f"k{count}", order=f"L1-{count + 1}"))

        assert link.url.startswith("http://127.0.0.1")


@pytest.mark.parametrize("name", ["tbank"])
def test_a_link_dies_at_its_time_and_tells_where_it_was_asked_to(name: str, adapter: Any, bank: Bank) -> None:
    now = datetime.fromisoformat(bank.call("/sim/clock", method="GET")["now"])
    notify_url = f"{bank.server.url}/pay/tbank?own"
    payment = replace(PAYMENT, expires_at=now + timedelta(minutes=20), notify_url=notify_url)
    link = adapter.create_link(payment)
    bank.call("/sim/clock", {"skip_s": 1300})

    assert bank.payments()[0]["notify_url"] == notify_url
    assert bank.step(link, "authorize").status_code == 400
    assert adapter.cancel_link(link) is True


@pytest.mark.parametrize("name", ["yookassa", "tbank"])
def test_a_receipt_that_the_bank_refuses_comes_with_its_words(name: str, adapter: Any, bank: Bank) -> None:
    receipt = replace(RECEIPT, email="не почта")

    with pytest.raises(Refused) as refused:
        adapter.create_link(replace(PAYMENT, receipt=receipt))

    assert not refused.value.ambiguous
    assert refused.value.problems[0].detail
    assert bank.payments() == []


@pytest.mark.parametrize(
    "change",
    [
        *[{"amount_kopecks": 0}, {"amount_kopecks": 10**12 + 1}, {"amount_kopecks": AMOUNT + 1}, {"attempt": 0}],
        *[{"key": ""}, {"key": "я"}, {"key": "k" * 65}, {"key": "a b"}],
        *[{"order": ""}, {"order": "L1\n"}, {"order": "L" * 65}],
        *[{"description": ""}, {"description": "я" * 129}],
        {"receipt": replace(RECEIPT, email="", phone="")},
        {"receipt": replace(RECEIPT, lines=(ReceiptLine("Лыжи", 1, AMOUNT - 1, "goods"),))},
        {"receipt": replace(RECEIPT, lines=(ReceiptLine("Лыжи", 1, 1, "goods"),) * 101), "amount_kopecks": 101},
    ],
)
def test_a_payment_that_cannot_be_is_refused_before_anything_is_sent(change: dict[str, Any]) -> None:
    with pytest.raises(BadPayment):
        replace(PAYMENT, **change)


def test_an_order_number_too_long_for_tbank_is_not_sent(http: HttpClient) -> None:
    with pytest.raises(BadPayment, match="36"):
        _adapter("tbank", http, "https://bank.test").create_link(replace(PAYMENT, order="L" * 37))


URL = "https://bank.test"
ANSWERS: dict[str, dict[str, Any]] = {
    "yookassa": {
        "id": "22d6d597-000f-5000-9000-145f6df21d6f",
        "status": "pending",
        "amount": {"value": "4000.01", "currency": "RUB"},
        "confirmation": {"type": "redirect", "confirmation_url": "https://yoomoney.ru/pay?x=1"},
    },
    "tbank": {
        "Success": True,
        "ErrorCode": "0",
        "TerminalKey": TERMINAL,
        "Status": "NEW",
        "PaymentId": "13660",
        "OrderId": "L1234-1",
        "Amount": AMOUNT,
        "PaymentURL": "https://securepay.tinkoff.ru/new/1B63Y1",
    },
    "cloudpayments": {
        "Success": True,
        "Message": None,
        "Model": {"Id": "gASGZVgUN21hcpPF", "Amount": 4000.01, "Url": "https://orders.cloudpayments.ru/d/gASGZVgUN21h"},
    },
}
UNKNOWN = {"Success": False, "ErrorCode": "255", "Message": "Платёж не найден"}


@dataclass
class Web:
    """Answers as given to one adapter."""

    mock: responses.RequestsMock
    name: str

    def create(self, answer: object = None, **more: Any) -> None:
        if self.name == "tbank":
            self.mock.add("POST", f"{URL}/v2/CheckOrder", json=UNKNOWN)
        body = more if "body" in more else {"json": answer, **more}
        self.mock.add("POST", URL + CREATE[self.name], **body)

    def sent(self, path: str = "") -> Any:
        wanted = URL + (path or CREATE[self.name])
        [request] = [call.request for call in self.mock.calls if call.request.url == wanted]
        return json.loads(request.body or b""), request.headers


@pytest.fixture
def web(name: str) -> Iterator[Web]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield Web(mock, name)


@pytest.fixture
def far(name: str, http: HttpClient) -> Any:
    return _adapter(name, http, URL)


def _changed(name: str, **changes: object) -> dict[str, Any]:
    answer = json.loads(json.dumps(ANSWERS[name]))
    place = answer["Model"] if name == "cloudpayments" else answer
    place.update(changes)
    return dict(answer)


def test_the_documented_answer_gives_a_link(name: str, far: Any, web: Web) -> None:
    web.create(ANSWERS[name])

    link = far.create_link(PAYMENT)

    assert (
        link
        == {
            "yookassa": Link("https://yoomoney.ru/pay?x=1", ANSWERS[name].get("id", ""), ANSWERS[name].get("id", "")),
            "tbank": Link("https://securepay.tinkoff.ru/new/1B63Y1", "13660", "13660"),
            "cloudpayments": Link("https://orders.cloudpayments.ru/d/gASGZVgUN21h", "", "gASGZVgUN21hcpPF"),
        }[name]
    )


def test_the_requests_say_what_the_documentation_asks_for(name: str, far: Any, web: Web) -> None:
    web.create(ANSWERS[name])
    until_then = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    far.create_link(replace(PAYMENT, expires_at=until_then, notify_url="https://bonus.example/webhooks/payments/tbank"))

    content, headers = web.sent()

    golden = json.loads((Path(__file__).parent / "golden" / "links" / f"{name}.json").read_text(encoding="utf-8"))
    assert content == golden
    keys = {"yookassa": "Idempotence-Key", "cloudpayments": "X-Request-ID"}
    assert headers.get(keys.get(name, ""), PAYMENT.key) == PAYMENT.key
    assert (name in keys) is any(PAYMENT.key == value for value in headers.values())


@pytest.mark.parametrize(
    ("answer", "error", "is_ambiguous"),
    [
        ({"body": requests.ReadTimeout()}, TimedOut, True),
        ({"body": requests.ConnectTimeout()}, TimedOut, False),
        ({"body": requests.ConnectionError("reset")}, Unreachable, True),
        ({"status": 500}, ServerFailed, True),
        ({"status": 502, "body": "<html>"}, ServerFailed, True),
        ({"status": 429}, RateLimited, False),
        ({"status": 401}, NeedsReauth, False),
        ({"status": 400}, Refused, False),
        ({"status": 404}, NotFound, False),
        ({"status": 200, "body": "<html>wait</html>"}, BadReply, True),
        ({"status": 302}, BadReply, True),
        ({"json": []}, BadReply, True),
        ({"json": {}}, BadReply, True),
    ],
)
def test_what_may_have_happened_is_ambiguous(
    name: str, far: Any, web: Web, answer: dict[str, Any], error: type[ConnectorError], is_ambiguous: bool
) -> None:
    web.create(answer.get("json", {}), **{key: value for key, value in answer.items() if key != "json"})

    with pytest.raises(error) as failed:
        far.create_link(PAYMENT)

    assert failed.value.ambiguous is is_ambiguous
    text = f"{failed.value!r} {failed.value}"
    assert not any(secret in text for secret in ("anna", "7916", *CREDENTIALS[name].values()))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        *[("yookassa", {"id": value}) for value in (None, "../x", 5)],
        *[("yookassa", {"amount": value}) for value in (None, {"value": "4000.00"}, {"value": []})],
        ("yookassa", {"confirmation": None}),
        ("yookassa", {"confirmation": {"confirmation_url": "javascript:alert(1)"}}),
        *[("tbank", {"PaymentId": value}) for value in (None, "1;", ["1"])],
        *[("tbank", {"PaymentURL": value}) for value in (None, "ftp://x", "https://a b")],
        *[("tbank", {"Amount": value}) for value in (None, 400_000, {})],
        *[("tbank", {"OrderId": "L1234-2"}), ("tbank", {"Success": None})],
        *[("cloudpayments", {"Id": value}) for value in ("", ["x"], None)],
        *[("cloudpayments", {"Url": 5}), ("cloudpayments", {"Amount": 4000.1})],
    ],
)
def test_an_answer_that_is_not_understood_is_ambiguous(
    name: str, far: Any, web: Web, changes: dict[str, object]
) -> None:
    web.create(_changed(name, **changes))

    with pytest.raises(BadReply) as failed:
        far.create_link(PAYMENT)

    assert failed.value.ambiguous


@pytest.mark.parametrize("name", ["yookassa"])
def test_yookassas_own_words_are_kept_without_the_buyer(name: str, far: Any, web: Web) -> None:
    said = {
        "type": "error",
        "id": "ab5a11cd-13cc-4e33-af8b-75a74e18dd09",
        "code": "invalid_request",
        "description": "Bad receipt for anna@example.com, +7 916 123-45-67\u0000",
        "parameter": "receipt.customer.email",
    }
    web.create(said, status=400)

    with pytest.raises(Refused) as refused:
        far.create_link(PAYMENT)

    [problem] = refused.value.problems
    assert (problem.code, problem.path) == ("invalid_request", "receipt.customer.email")
    assert problem.detail == "Bad receipt for … …"
    assert "invalid_request at receipt.customer.email" in str(refused.value)


@pytest.mark.parametrize("name", ["yookassa"])
def test_a_payment_that_is_canceled_at_once_is_a_refusal(name: str, far: Any, web: Web) -> None:
    details = {"party": "yoo_money", "reason": "country_forbidden"}
    web.create(_changed(name, status="canceled", cancellation_details=details))

    with pytest.raises(Refused) as refused:
        far.create_link(PAYMENT)

    assert (refused.value.problems[0].code, refused.value.ambiguous) == ("country_forbidden", False)


@pytest.mark.parametrize(
    ("name", "answer", "detail"),
    [
        (
            "tbank",
            {"Success": False, "ErrorCode": "9999", "Message": "Неверные параметры.", "Details": "Поле a@b.ru"},
            "Неверные параметры. Поле …",
        ),
        ("cloudpayments", {"Success": False, "Message": "Invalid Amount value"}, "Invalid Amount value"),
    ],
)
def test_a_refusal_under_status_200_keeps_its_words(
    name: str, far: Any, web: Web, answer: dict[str, Any], detail: str
) -> None:
    web.create(answer)

    with pytest.raises(Refused) as refused:
        far.create_link(PAYMENT)

    assert refused.value.problems[0].detail == detail
    assert (refused.value.ambiguous, refused.value.retryable) == (False, False)


def _order(mock: responses.RequestsMock, *payments: tuple[str, str]) -> None:
    rows = [{"PaymentId": ref, "Amount": AMOUNT, "Status": status, "Success": "true"} for ref, status in payments]
    answer = {"Success": True, "ErrorCode": "0", "OrderId": "L1234-1", "Payments": rows} if rows else UNKNOWN
    mock.add("POST", f"{URL}/v2/CheckOrder", json=answer)


@pytest.fixture
def tbank(http: HttpClient) -> TBank:
    found: TBank = _adapter("tbank", http, URL)
    return found


@pytest.mark.parametrize(
    ("payments", "ref"),
    [
        ((("1", "NEW"),), "1"),
        ((("1", "CANCELED"), ("2", "NEW")), "2"),
        ((("1", "NEW"), ("2", "CONFIRMED"), ("3", "REJECTED")), "2"),
        ((("1", "REFUNDED"),), "1"),
    ],
)
def test_after_a_lost_answer_the_bank_is_asked_what_it_has(
    tbank: TBank, payments: tuple[tuple[str, str], ...], ref: str
) -> None:
    with responses.RequestsMock() as mock:
        _order(mock)
        mock.add("POST", f"{URL}/v2/Init", body=requests.ReadTimeout())
        _order(mock, *payments)

        with pytest.raises(LinkLost) as lost:
            tbank.create_link(PAYMENT)

    assert lost.value.link == Link("", ref, ref)
    assert not lost.value.ambiguous


@pytest.mark.parametrize("answer", [{"json": UNKNOWN}, {"body": requests.ReadTimeout()}, {"status": 503}])
def test_what_the_bank_cannot_tell_stays_ambiguous(tbank: TBank, answer: dict[str, Any]) -> None:
    with responses.RequestsMock() as mock:
        _order(mock)
        mock.add("POST", f"{URL}/v2/Init", body=requests.ReadTimeout())
        mock.add("POST", f"{URL}/v2/CheckOrder", **answer)

        with pytest.raises(TimedOut) as failed:
            tbank.create_link(PAYMENT)

    assert failed.value.ambiguous


def test_a_question_that_was_not_answered_has_made_nothing(tbank: TBank) -> None:
    with responses.RequestsMock() as mock:
        mock.add("POST", f"{URL}/v2/CheckOrder", body=requests.ReadTimeout())

        with pytest.raises(TimedOut) as failed:
            tbank.create_link(PAYMENT)

    assert not failed.value.ambiguous


@pytest.mark.parametrize(
    ("status", "is_cancelled"),
    [
        *[(status, True) for status in ("CANCELED", "DEADLINE_EXPIRED", "REJECTED", "REVERSED", "REFUNDED")],
        *[(status, False) for status in ("AUTHORIZING", "AUTHORIZED", "CONFIRMED", "PARTIAL_REFUNDED", "3DS_CHECKING")],
    ],
)
def test_tbank_is_told_to_cancel_only_what_is_open(tbank: TBank, status: str, is_cancelled: bool) -> None:
    with responses.RequestsMock() as mock:
        mock.add("POST", f"{URL}/v2/GetState", json={"Success": True, "Status": status})

        assert tbank.cancel_link(Link("", "13660", "13660")) is is_cancelled


@pytest.mark.parametrize(("success", "is_cancelled"), [(True, True), (False, False)])
def test_tbank_cancels_what_is_open(tbank: TBank, success: bool, is_cancelled: bool) -> None:
    with responses.RequestsMock() as mock:
        mock.add("POST", f"{URL}/v2/GetState", json={"Success": True, "Status": "NEW"})
        mock.add("POST", f"{URL}/v2/Cancel", json={"Success": success, "ErrorCode": "0", "Status": "CANCELED"})

        assert tbank.cancel_link(Link("", "13660", "13660")) is is_cancelled


@pytest.mark.parametrize(("afterwards", "is_cancelled"), [("CANCELED", True), ("NEW", False), ("CONFIRMED", False)])
def test_a_refused_cancel_at_tbank_is_no_harm_if_another_was_quicker(
    tbank: TBank, afterwards: str, is_cancelled: bool
) -> None:
    with responses.RequestsMock() as mock:
        mock.add("POST", f"{URL}/v2/GetState", json={"Success": True, "Status": "NEW"})
        mock.add("POST", f"{URL}/v2/Cancel", json={"Success": False, "ErrorCode": "4"})
        mock.add("POST", f"{URL}/v2/GetState", json={"Success": True, "Status": afterwards})

        assert tbank.cancel_link(Link("", "13660", "13660")) is is_cancelled


@pytest.mark.parametrize(
    ("state", "answer", "is_cancelled"),
    [
        ("pending", {"status": 200, "json": {"status": "canceled"}}, True),
        ("pending", {"status": 400, "json": {"type": "error", "code": "invalid_request"}}, False),
        *[(state, None, state == "canceled") for state in ("canceled", "succeeded", "waiting_for_capture")],
    ],
)
def test_yookassa_is_told_to_cancel_only_what_is_pending(
    http: HttpClient, state: str, answer: dict[str, Any] | None, is_cancelled: bool
) -> None:
    link = Link("", "22d6d597-000f-5000-9000-145f6df21d6f", "")
    with responses.RequestsMock() as mock:
        mock.add("GET", f"{URL}/v3/payments/{link.payment_ref}", json={"status": state})
        if answer is not None:
            mock.add("POST", f"{URL}/v3/payments/{link.payment_ref}/cancel", **answer)

        assert _adapter("yookassa", http, URL).cancel_link(link) is is_cancelled


@pytest.mark.parametrize(("answer", "is_cancelled"), [({"Success": True}, True), ({"Success": False}, False)])
def test_cloudpayments_cancels_an_order_by_its_own_id(
    http: HttpClient, answer: dict[str, Any], is_cancelled: bool
) -> None:
    with responses.RequestsMock() as mock:
        mock.add("POST", f"{URL}/orders/cancel", json=answer)

        assert _adapter("cloudpayments", http, URL).cancel_link(Link("", "", "f2K8LV6reGE9WBFn")) is is_cancelled
        assert json.loads(mock.calls[0].request.body or b"") == {"Id": "f2K8LV6reGE9WBFn"}
        assert mock.calls[0].request.headers["X-Request-ID"]


@pytest.mark.parametrize("ref", ["", "../me", "a/b", "1\n", "x" * 65])
def test_a_reference_that_is_no_id_never_reaches_the_bank(name: str, far: Any, ref: str) -> None:
    with pytest.raises(BadReply):
        far.cancel_link(Link("", ref, ref))


def test_a_cancelling_that_may_have_happened_is_ambiguous(name: str, far: Any, web: Web) -> None:
    ref = "13660"
    web.mock.add("GET", f"{URL}/v3/payments/{ref}", json={"status": "pending"})
    web.mock.add("POST", f"{URL}/v2/GetState", json={"Success": True, "Status": "NEW"})
    for path in (f"/v3/payments/{ref}/cancel", "/v2/Cancel", "/orders/cancel"):
        web.mock.add("POST", URL + path, body=requests.ReadTimeout())

    with pytest.raises(TimedOut) as failed:
        far.cancel_link(Link("", ref, ref))

    assert failed.value.ambiguous
