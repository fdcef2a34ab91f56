from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import responses
from hypothesis import given
from hypothesis import strategies as st

from connector.acquiring.base import Fetched, Ignored, NeedsPerson, NotOurs
from connector.acquiring.rbs import AlfaBank, Rbs, Sber
from connector.errors import BadMoney, BadReply, ConnectorError, NeedsReauth, RateLimited, Refused, ServerFailed
from connector.http import HttpClient
from loyalty.events import Payer, PaymentFacts, RefundFacts

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden" / "rbs" / "order.json").read_text("utf-8"))
ORDER = "06cf5599-3f17-7c86-bdbc-bd7d00a8b38b"
METHOD = "getOrderStatusExtended.do"
ALFA = f"https://pay.alfabank.ru/payment/rest/{METHOD}"


def _order(sums: dict[str, object] | None = None, **changes: object) -> dict[str, Any]:
    return {**GOLDEN, "paymentAmountInfo": {**GOLDEN["paymentAmountInfo"], **(sums or {})}, **changes}


def _fetch(http: HttpClient, answer: object, status: int = 200) -> Fetched:
    with responses.RequestsMock() as mock:
        mock.add("POST", ALFA, json=answer, status=status)
        return _bank(AlfaBank, http).fetch(ORDER)


def _bank(bank: type[Rbs], http: HttpClient, api_url: str = "", **more: str) -> Rbs:
    credentials = more or {"token": "canary"}
    return bank.from_credentials(credentials, api_url=api_url or bank.api_url, http=http, check_ip=False)


def test_a_deposited_order_is_captured(http: HttpClient) -> None:
    assert _fetch(http, GOLDEN) == PaymentFacts(
        acquirer="alfabank",
        payment_ref=ORDER,
        deal_ref=1234,
        captured_kopecks=249_000,
        refunded_kopecks=0,
        status="captured",
        occurred_at=datetime(2026, 3, 1, 10, 0, 5, 123_000, tzinfo=UTC),
        is_test=False,
        order_ref="L1234-1",
        invoice_ref=77,
        payer=Payer("79990000000", "a@b.ru"),
        is_whole=True,
    )


@pytest.mark.parametrize(
    ("sums", "changes", "expected"),
    [
        ({"depositedAmount": 0}, {"orderStatus": 1}, ("authorised", 0, 0, False)),
        ({}, {"orderStatus": 1, "paymentAmountInfo": None}, ("authorised", 0, 0, False)),
        ({"depositedAmount": 200_000}, {}, ("captured", 200_000, 0, False)),
        ({"depositedAmount": 200_000}, {"orderStatus": 8}, ("captured", 200_000, 0, False)),
        ({"depositedAmount": "249000"}, {"orderStatus": "2"}, ("captured", 249_000, 0, False)),
        ({"depositedAmount": 200_000, "refundedAmount": 49_000}, {}, ("captured", 249_000, 49_000, False)),
        (
            {"depositedAmount": 200_000, "refundedAmount": 49_000},
            {"orderStatus": 4},
            ("captured", 249_000, 49_000, False),
        ),
        ({"refundedAmount": 49_000}, {"orderStatus": 4}, ("captured", 249_000, 49_000, False)),
        ({"depositedAmount": 0, "refundedAmount": 249_000}, {"orderStatus": 4}, ("refunded", 249_000, 249_000, True)),
        ({"depositedAmount": 249_000, "refundedAmount": 249_000}, {}, ("refunded", 249_000, 249_000, True)),
        ({"depositedAmount": 0}, {"orderStatus": 4}, ("refunded", 0, 0, True)),
        ({"depositedAmount": 0}, {"orderStatus": 3}, ("voided", 0, 0, True)),
        ({"depositedAmount": 0}, {"orderStatus": 6, "errorCode": "2"}, ("failed", 0, 0, False)),
        ({"refundedAmount": None}, {}, ("captured", 249_000, 0, False)),
        ({}, {"amount": 100_000}, ("captured", 100_000, 0, False)),
    ],
)
def test_what_was_captured_is_what_is_left_and_what_was_refunded(
    http: HttpClient, sums: dict[str, object], changes: dict[str, object], expected: tuple[object, ...]
) -> None:
    facts = _fetch(http, _order(sums, **changes))

    assert isinstance(facts, PaymentFacts)
    assert (facts.status, facts.captured_kopecks, facts.refunded_kopecks, facts.refund_is_total) == expected


def test_a_chargeback_takes_everything_that_was_left(http: HttpClient) -> None:
    facts = _fetch(http, _order({"depositedAmount": 200_000, "refundedAmount": 49_000}, chargeback=True))

    assert isinstance(facts, PaymentFacts)
    assert (facts.status, facts.refund_is_total) == ("refunded", True)
    assert facts.refunds == (RefundFacts("chargeback", 200_000, "chargeback"),)


@pytest.mark.parametrize("status", [0, 5, 7, "0"])
def test_an_order_that_is_not_paid_counts_nothing(http: HttpClient, status: object) -> None:
    assert isinstance(_fetch(http, _order(orderStatus=status, amount=None)), Ignored)


def test_sums_that_are_not_told_are_for_a_person(http: HttpClient) -> None:
    meaning = _fetch(http, _order(paymentAmountInfo=None))

    assert isinstance(meaning, NeedsPerson)
    assert "getOrderStatusExtended" in meaning.reason_ru
    assert "Альфа-Банк" in meaning.reason_ru


@pytest.mark.parametrize(
    ("currency", "is_known"), [("810", True), ("643", True), (None, True), ("840", False), (978, False)]
)
def test_another_currency_is_for_a_person(http: HttpClient, currency: object, is_known: bool) -> None:
    assert isinstance(_fetch(http, _order(currency=currency)), PaymentFacts if is_known else NeedsPerson)


@pytest.mark.parametrize(
    "changes",
    [
        *[{"depositedDate": None}, {"depositedDate": "yesterday"}, {"depositedDate": True}, {"depositedDate": 10**30}],
        {"depositedDate": -1},
    ],
)
def test_an_odd_date_gives_way_to_the_next(http: HttpClient, changes: dict[str, object]) -> None:
    facts = _fetch(http, _order(**changes))
    without = _fetch(http, _order(**changes, authDateTime=None, date=None))

    assert isinstance(facts, PaymentFacts)
    assert isinstance(without, PaymentFacts)
    assert facts.occurred_at == datetime(2026, 3, 1, 9, 59, 10, tzinfo=UTC)
    assert without.occurred_at is None


@pytest.mark.parametrize(
    "changes",
    [
        *[{"merchantOrderParams": None}, {"merchantOrderParams": [1, {}, {"name": ["x"]}, {"name": "invoice_id"}]}],
        *[{"payerData": None}, {"payerData": []}, {"payerData": {"phone": {"a": 1}}}, {"orderNumber": 5}],
        *[{"attributes": None}, {"attributes": "x"}, {"attributes": [{"name": "mdOrder"}][:0]}],
    ],
)
def test_odd_extras_are_left_out(http: HttpClient, changes: dict[str, object]) -> None:
    assert isinstance(_fetch(http, _order(**changes)), PaymentFacts)


@pytest.mark.parametrize(
    ("answer", "status", "error"),
    [
        (_order(attributes=[{"name": "mdOrder", "value": "other"}]), 200, BadReply),
        (_order(orderStatus=9), 200, BadReply),
        (_order(orderStatus=[2]), 200, BadReply),
        (_order({"depositedAmount": None}), 200, BadMoney),
        (_order({"depositedAmount": 10.5}), 200, BadMoney),
        (_order({"depositedAmount": -5}), 200, BadMoney),
        (_order({"refundedAmount": "5.00"}), 200, BadMoney),
        (_order(amount=None), 200, BadMoney),
        ({"errorCode": "5", "errorMessage": "canary"}, 200, NeedsReauth),
        ({"errorCode": 5}, 200, NeedsReauth),
        ({"errorCode": "7"}, 200, ServerFailed),
        ({"errorCode": "1"}, 200, BadReply),
        *[({}, 200, BadReply), ([], 200, BadReply), (None, 200, BadReply)],
        *[
            ({}, 401, NeedsReauth),
            ({}, 403, Refused),
            ({}, 429, RateLimited),
            ({}, 503, ServerFailed),
            ({}, 302, BadReply),
        ],
    ],
)
def test_an_unusable_answer_is_a_typed_error(
    http: HttpClient, answer: object, status: int, error: type[ConnectorError]
) -> None:
    with pytest.raises(error) as failed:
        _fetch(http, answer, status)

    assert "canary" not in str(failed.value)


def test_an_order_that_the_bank_does_not_know_is_not_ours(http: HttpClient) -> None:
    assert _fetch(http, {"errorCode": "6", "errorMessage": "Заказ не найден"}) == NotOurs(ORDER)


@pytest.mark.parametrize(
    ("bank", "api_url", "credentials", "url", "is_json"),
    [
        (AlfaBank, "", {"token": "t"}, ALFA, False),
        (AlfaBank, "", {"login": "shop-api", "password": "p&p"}, ALFA, False),
        (
            AlfaBank,
            "",
            {"token": "t", "gateway": "https://ecom.alfabank.ru/api/"},
            f"https://ecom.alfabank.ru/api/rest/{METHOD}",
            False,
        ),
        (
            Sber,
            "",
            {"login": "shop-api", "password": "p&p"},
            f"https://ecommerce.sberbank.ru/ecomm/gw/partner/api/v1/{METHOD}",
            True,
        ),
        (
            Sber,
            "",
            {"token": "t", "gateway": "https://securepayments.sberbank.ru"},
            f"https://securepayments.sberbank.ru/payment/rest/{METHOD}",
            False,
        ),
        (
            Sber,
            "http://127.0.0.1:8002",
            {"token": "t", "gateway": "https://securepayments.sberbank.ru"},
            f"http://127.0.0.1:8002/payment/rest/{METHOD}",
            False,
        ),
    ],
)
def test_the_bank_s_gateway_is_asked_in_its_own_way(
    http: HttpClient, bank: type[Rbs], api_url: str, credentials: dict[str, str], url: str, is_json: bool
) -> None:
    with responses.RequestsMock() as mock:
        mock.add("POST", url, json=GOLDEN)
        assert isinstance(_bank(bank, http, api_url, **credentials).fetch(ORDER), PaymentFacts)
        request = mock.calls[0].request

    sent = json.loads(request.body or b"") if is_json else dict(parse_qsl((request.body or b"").decode()))  # type: ignore[union-attr]
    access = {"token": "t"} if "token" in credentials else {"userName": "shop-api", "password": "p&p"}
    assert sent == {**access, "orderId": ORDER}
    assert request.headers["Content-Type"] == ("application/json" if is_json else "application/x-www-form-urlencoded")
    assert request.url == url


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda one: st.lists(one) | st.dictionaries(st.text(), one)
)


@given(st.dictionaries(st.sampled_from(sorted(GOLDEN)), _JSON, max_size=4))
def test_any_answer_leads_to_facts_or_to_our_errors(changes: dict[str, object]) -> None:
    client = HttpClient()
    try:
        _fetch(client, {**GOLDEN, **changes})
    except ConnectorError:
        return
    finally:
        client.close()
