"""What the simulated banks let a shop read afterwards: lists, filters, pages; and what is done without telling it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from bank_testing import DEAL, KOPECKS, calls, log, pay

YOOKASSA = ("100500", "shop-secret")
CLOUDPAYMENTS = ("pk_test", "cp-secret")
STRIPE = ("sk_live_test", "")
PAYKEEPER = ("pk-user", "pk-pw")
Eventually = Callable[..., None]


def yookassa(bank: Any, path: str, **params: Any) -> Any:
    answer = requests.get(f"{bank.url}/v3/{path}", params=params, auth=YOOKASSA, timeout=5)
    return answer.json() if answer.status_code == 200 else (answer.status_code, answer.json()["parameter"])


def stripe(bank: Any, path: str, **params: Any) -> Any:
    answer = requests.get(f"{bank.url}/v1/{path}", params=params, auth=STRIPE, timeout=5)
    return answer.json() if answer.status_code == 200 else (answer.status_code, answer.json()["error"].get("param"))


def cloudpayments(bank: Any, path: str, **asked: Any) -> Any:
    return requests.post(bank.url + path, json=asked, auth=CLOUDPAYMENTS, timeout=5).json()


def ids(page: Any, key: str = "items") -> list[Any]:
    return [row["id"] for row in page[key]]


def later(bank: Any, seconds: float = 60) -> None:
    bank.post("/sim/clock", {"skip_s": seconds})


@pytest.fixture(autouse=True)
def real_time_again(bank: Any) -> Any:
    yield
    bank.post("/sim/clock", {})


def test_yookassa_pages_through_its_payments_from_new_to_old(bank: Any) -> None:
    made = []
    for _ in range(5):
        made.append(pay(bank, "yookassa")["id"])
        later(bank)

    first = yookassa(bank, "payments", limit=2)
    second = yookassa(bank, "payments", limit=2, cursor=first["next_cursor"])
    last = yookassa(bank, "payments", limit=2, cursor=second["next_cursor"])

    assert first["type"] == "list"
    assert [*ids(first), *ids(second), *ids(last)] == made[::-1]
    assert "next_cursor" not in last
    assert len(ids(yookassa(bank, "payments"))) == 5


def test_yookassa_filters_by_time_and_state(bank: Any) -> None:
    old = pay(bank, "yookassa")["id"]
    later(bank)
    held = pay(bank, "yookassa", two_stage=True)["id"]
    later(bank)
    new = pay(bank, "yookassa")["id"]
    at = {key: yookassa(bank, f"payments/{key}")["created_at"] for key in (old, held, new)}

    assert ids(yookassa(bank, "payments", **{"created_at.gte": at[held]})) == [new, held]
    assert ids(yookassa(bank, "payments", **{"created_at.gt": at[held]})) == [new]
    assert ids(yookassa(bank, "payments", **{"created_at.lte": at[held], "created_at.gt": at[old]})) == [held]
    assert ids(yookassa(bank, "payments", **{"captured_at.lt": at[new]})) == [old]
    assert ids(yookassa(bank, "payments", status="waiting_for_capture")) == [held]
    later(bank, 3600)
    requests.post(f"{bank.url}/sim/payments/{held}/capture", timeout=5)
    assert ids(yookassa(bank, "payments", **{"captured_at.gt": at[new]})) == [held]


def test_yookassa_lists_refunds_of_a_time_or_a_payment(bank: Any) -> None:
    first, second = pay(bank, "yookassa")["id"], pay(bank, "yookassa")["id"]
    for payment in (first, second, first):
        bank.post(f"/sim/payments/{payment}/refund", {"amount_kopecks": 10_000})
        later(bank)

    rows = yookassa(bank, "refunds")["items"]

    assert [row["payment_id"] for row in rows] == [first, second, first]
    assert [row["payment_id"] for row in yookassa(bank, "refunds", payment_id=second)["items"]] == [second]
    since = {"created_at.gte": rows[1]["created_at"], "created_at.lt": rows[0]["created_at"]}
    assert ids(yookassa(bank, "refunds", **since)) == [rows[1]["id"]]
    page = yookassa(bank, "refunds", limit=1)
    assert ids(yookassa(bank, "refunds", limit=1, cursor=page["next_cursor"])) == [rows[1]["id"]]


@pytest.mark.parametrize(
    ("path", "params", "parameter"),
    [
        ("payments", {"limit": 101}, "limit"),
        ("payments", {"limit": 0}, "limit"),
        ("payments", {"cursor": "37a5c87d-nobody"}, "cursor"),
        ("payments", {"status": "paid"}, "status"),
        ("payments", {"created_at.gte": "yesterday"}, "created_at.gte"),
        ("refunds", {"status": "waiting_for_capture"}, "status"),
    ],
)
def test_yookassa_refuses_a_list_it_does_not_understand(
    bank: Any, path: str, params: dict[str, Any], parameter: str
) -> None:
    assert yookassa(bank, path, **params) == (400, parameter)


def test_stripe_lists_disputes_refunds_and_intents_of_a_time(bank: Any) -> None:
    first = pay(bank, "stripe")["id"]
    later(bank)
    second = pay(bank, "stripe")["id"]
    for payment in (first, second):
        bank.post(f"/sim/payments/{payment}/refund", {"amount_kopecks": 10_000})
        bank.post(f"/sim/payments/{payment}/chargeback", {"amount_kopecks": 50_000})
        later(bank)

    disputes, refunds = stripe(bank, "disputes"), stripe(bank, "refunds")

    for path, page in (("disputes", disputes), ("refunds", refunds)):
        assert [row["payment_intent"] for row in page["data"]] == [second, first]
        at = page["data"][0]["created"]
        assert ids(stripe(bank, path, **{"created[gte]": at}), "data") == [page["data"][0]["id"]]
        assert ids(stripe(bank, path, **{"created[lt]": at}), "data") == [page["data"][1]["id"]]
        assert [row["payment_intent"] for row in stripe(bank, path, payment_intent=first)["data"]] == [first]
        page_one = stripe(bank, path, limit=1)
        rest = stripe(bank, path, limit=1, starting_after=page_one["data"][0]["id"])
        assert (page_one["has_more"], rest["has_more"], ids(rest, "data")) == (True, False, [page["data"][1]["id"]])
        assert ids(stripe(bank, path, ending_before=rest["data"][0]["id"]), "data") == ids(page_one, "data")
    assert stripe(bank, f"disputes/{disputes['data'][0]['id']}")["status"] == "needs_response"
    expanded = stripe(bank, "payment_intents", **{"expand[]": "data.latest_charge.refunds", "created[lte]": 1 << 40})
    refunded = [row["latest_charge"]["refunds"]["data"][0]["id"] for row in expanded["data"]]
    assert refunded == ids(refunds, "data")


def test_stripe_lists_charges_of_a_time_with_the_intent_and_the_refunds_for_who_asks(bank: Any) -> None:
    first = pay(bank, "stripe")["id"]
    later(bank)
    second = pay(bank, "stripe")["id"]
    pay(bank, "stripe", reject=True)
    refund = bank.post(f"/sim/payments/{first}/refund", {"amount_kopecks": 10_000})

    plainly = stripe(bank, "charges")
    whole = stripe(bank, "charges?expand[]=data.payment_intent&expand[]=data.refunds")

    assert refund is not None
    assert [row["payment_intent"] for row in plainly["data"]] == [second, first]
    assert [row["payment_intent"]["id"] for row in whole["data"]] == [second, first]
    assert "refunds" not in plainly["data"][0]
    assert [row["refunds"]["data"][0]["amount"] for row in whole["data"] if row["refunds"]["data"]] == [10_000]
    at = plainly["data"][0]["created"]
    assert ids(stripe(bank, "charges", **{"created[lt]": at}), "data") == [plainly["data"][1]["id"]]


@pytest.mark.parametrize(
    ("path", "params", "parameter"),
    [
        ("disputes", {"limit": 101}, "limit"),
        ("refunds", {"created[gte]": "2026-01-01"}, "created[gte]"),
        ("payment_intents", {"starting_after": "pi_nobody"}, "starting_after"),
    ],
)
def test_stripe_refuses_a_list_it_does_not_understand(
    bank: Any, path: str, params: dict[str, Any], parameter: str
) -> None:
    assert stripe(bank, path, **params) == (400, parameter)


def test_cloudpayments_lists_a_period_by_pages_and_a_day_by_its_zone(bank: Any) -> None:
    bank.post("/sim/clock", {"at": "2026-03-09T21:30:00+00:00"})
    numbers = [int(pay(bank, "cloudpayments", amount_kopecks=100)["id"]) for _ in range(101)]
    begun = {"Amount": 10, "Description": "Ещё не оплачен"}
    cloudpayments(bank, "/orders/create", **begun)
    bank.post(f"/sim/payments/{numbers[0]}/refund")
    rejected = int(pay(bank, "cloudpayments", reject=True)["id"])
    period = {"CreatedDateGte": "2026-03-09", "CreatedDateLte": "2026-03-10"}

    pages = [cloudpayments(bank, "/v2/payments/list", **period, PageNumber=page)["Model"] for page in (1, 2, 3)]

    assert [len(page) for page in pages] == [100, 3, 0]
    refund = next(row for row in pages[1] if row["OriginalTransactionId"])
    assert (refund["OriginalTransactionId"], refund["Type"], refund["Amount"]) == (numbers[0], 1, 1.0)
    declined = cloudpayments(bank, "/v2/payments/list", **period, PageNumber=1, Statuses=["Declined"])["Model"]
    assert [row["TransactionId"] for row in declined] == [rejected]
    # Half past nine of the evening in London is the next day in Moscow.
    for zone, day, count in (("UTC", "09", 103), ("UTC", "10", 0), ("MSK", "10", 103), ("MSK", "09", 0)):
        listed = cloudpayments(bank, "/payments/list", Date=f"2026-03-{day}", TimeZone=zone)["Model"]
        assert len(listed) == count
    moscow = {"CreatedDateGte": "2026-03-10T00:00:00", "CreatedDateLte": "2026-03-10T01:00:00", "PageNumber": 1}
    assert len(cloudpayments(bank, "/v2/payments/list", **moscow, TimeZone="MSK")["Model"]) == 100
    assert cloudpayments(bank, "/v2/payments/list", **moscow)["Model"] == []


@pytest.mark.parametrize(
    "asked",
    [
        {"CreatedDateGte": "2026-03-09", "CreatedDateLte": "2026-03-10"},
        {"CreatedDateGte": "2026-03-09", "CreatedDateLte": "2026-03-10", "PageNumber": 0},
        {"CreatedDateLte": "2026-03-10", "PageNumber": 1},
        {"CreatedDateGte": "2026-03-09", "CreatedDateLte": "2026-03-10", "PageNumber": 1, "TimeZone": "Mars"},
        {"CreatedDateGte": "2026-03-09", "CreatedDateLte": "2026-03-10", "PageNumber": 1, "Statuses": ["Paid"]},
    ],
)
def test_cloudpayments_refuses_a_list_it_does_not_understand(bank: Any, asked: dict[str, Any]) -> None:
    assert cloudpayments(bank, "/v2/payments/list", **asked)["Success"] is False


def tbank_amount(bank: Any, payment: str) -> int:
    body = {"TerminalKey": "1321054611234DEMO", "PaymentId": payment, "Password": "Dfsfh56dgKl"}
    token = hashlib.sha256("".join(body[key] for key in sorted(body)).encode()).hexdigest()
    del body["Password"]
    told: int = requests.post(f"{bank.url}/v2/GetState", json={**body, "Token": token}, timeout=5).json()["Amount"]
    return KOPECKS - told


def rbs_amount(bank: Any, payment: str) -> int:
    name = bank.get(f"/sim/payments/{payment}")["acquirer"]
    who = {"token": "sber-token" if name == "sber" else "alfa-token", "orderId": payment}
    answer = requests.post(f"{bank.url}/payment/rest/getOrderStatusExtended.do", data=who, timeout=5).json()
    return int(answer["paymentAmountInfo"]["refundedAmount"])


def paykeeper_amount(bank: Any, payment: str) -> int:
    day = (datetime.now(UTC) + timedelta(hours=3)).date().isoformat()
    params = {"start": day, "end": day}
    rows = requests.get(f"{bank.url}/info/payments/bydate/", params=params, auth=PAYKEEPER, timeout=5).json()
    return round(100 * float(next(row["refund_amount"] for row in rows if row["id"] == payment)))


def cloudpayments_amount(bank: Any, payment: str) -> int:
    period = {"CreatedDateGte": "2020-01-01", "CreatedDateLte": "2100-01-01", "PageNumber": 1}
    rows = cloudpayments(bank, "/v2/payments/list", **period)["Model"]
    return round(100 * sum(row["Amount"] for row in rows if row["OriginalTransactionId"] == int(payment)))


READ: dict[str, Callable[[Any, str], int]] = {
    "tbank": tbank_amount,
    "yookassa": lambda bank, payment: round(
        100 * float(yookassa(bank, f"payments/{payment}")["refunded_amount"]["value"])
    ),
    "cloudpayments": cloudpayments_amount,
    "sber": rbs_amount,
    "alfabank": rbs_amount,
    "paykeeper": paykeeper_amount,
    "stripe": lambda bank, payment: sum(
        row["amount"] for row in stripe(bank, "refunds", payment_intent=payment)["data"]
    ),
}


@pytest.mark.parametrize("name", READ)
def test_a_silent_refund_reaches_no_shop_but_can_be_read(bank: Any, receiver: Any, name: str) -> None:
    payment = pay(bank, name, lost=True)
    before = len(log(bank))

    done = bank.post(f"/sim/payments/{payment['id']}/refund", {"amount_kopecks": 99_000, "silent": True})

    assert done["refunded"] == 99_000
    assert len(log(bank)) == before
    assert READ[name](bank, payment["id"]) == 99_000
    assert calls(receiver, name) == []


@pytest.mark.parametrize("step", ["capture", "void"])
def test_a_hold_may_be_ended_without_a_word(bank: Any, receiver: Any, eventually: Eventually, step: str) -> None:
    held = pay(bank, "stripe", two_stage=True)
    eventually(lambda: len(calls(receiver, "stripe")) == 1)

    done = bank.post(f"/sim/payments/{held['id']}/{step}", {"silent": True})

    assert done["status"] == {"capture": "captured", "void": "canceled"}[step]
    assert len(log(bank)) == 1
    told = bank.post(f"/sim/payments/{pay(bank, 'stripe')['id']}/refund", {"amount_kopecks": 1})
    assert (told["refunded"], len(log(bank))) == (1, 4)


def test_a_deal_may_be_refunded_silently_and_the_board_still_knows(crm: Any, bank: Any, eventually: Eventually) -> None:
    crm.post(f"/sim/deals/{DEAL}/pay", {"acquirer": "yookassa", "lost": True, "amount_kopecks": KOPECKS})

    crm.post(f"/sim/deals/{DEAL}/refund", {"amount_kopecks": 1000, "silent": True})

    assert len(log(bank)) == 1
    eventually(lambda: crm.get(f"/sim/state?deal={DEAL}")["deals"][0]["payments"][0]["refunded"] == 1000)
