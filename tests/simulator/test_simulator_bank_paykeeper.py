"""The simulated PayKeeper: acquirers reference section 8, checked by the test's own arithmetic."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest
import requests
from bank_testing import DEAL, PAYER, calls, genuine, log, pay, polite, wait_for

from simulator.paykeeper import key

NAME = "paykeeper"
BASIC = ("pk-user", "pk-pw")
Eventually = Callable[..., None]


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def get(bank: Any, path: str, auth: Any = BASIC, **params: Any) -> Any:
    answer = requests.get(f"{bank.url}/info/{path}/", params=params, auth=auth, timeout=5)
    return answer.json() if answer.status_code == 200 else answer.status_code


def change(bank: Any, step: str, **form: Any) -> Any:
    form = {"token": get(bank, "settings/token")["token"], **form}
    return requests.post(f"{bank.url}/change/payment/{step}/", data=form, auth=BASIC, timeout=5).json()


@pytest.fixture(autouse=True)
def accepting(receiver: Any) -> None:
    receiver.answer = polite


@pytest.mark.parametrize("vector", genuine(NAME), ids=lambda vector: str(vector["name"]))
def test_known_examples_are_signed_just_so(vector: dict[str, Any]) -> None:
    told = dict(parse_qsl(vector["body"], keep_blank_values=True))
    told["sum"] = f"{float(told['sum']):.2f}"

    assert key(told, vector["secret"]) == vector["expected"]


def test_money_is_told_once_and_the_ack_is_exact(bank: Any, receiver: Any, eventually: Eventually) -> None:
    payment = pay(bank, NAME)

    [call] = wait_for(eventually, receiver, NAME, 1)

    told = call.fields
    assert (told["id"], told["sum"], told["orderid"]) == (payment["id"], "2990.00", f"L{DEAL}-1")
    assert (told["clientid"], told["client_phone"]) == (PAYER["name"], PAYER["phone"])
    assert told["key"] == md5(f"{payment['id']}2990.00{PAYER['name']}L{DEAL}-1secret-word")
    assert "batch_date" not in told
    eventually(lambda: log(bank)[0]["state"] == "accepted")
    [read] = get(bank, "payments/byid", id=payment["id"])
    assert (read["status"], read["pay_amount"], read["refund_amount"]) == ("success", "2990.00", "0.00")


@pytest.mark.parametrize("reply", ["OK", "OK {right}\n", "NO {right}", "ok {right}", "OK {wrong}"])
def test_any_other_reply_is_repeated_every_minute(bank: Any, receiver: Any, eventually: Eventually, reply: str) -> None:
    def answer(_path: str, body: bytes) -> bytes:
        number = dict(parse_qsl(body.decode()))["id"]
        return reply.format(right=md5(f"{number}secret-word"), wrong=md5(number)).encode()

    receiver.answer = answer
    payment = pay(bank, NAME)
    eventually(lambda: log(bank)[0]["tries"] == 1)

    assert get(bank, "payments/byid", id=payment["id"])[0]["status"] == "obtained"
    bank.post("/sim/clock", {"skip_s": 61})
    eventually(lambda: len(calls(receiver, NAME)) == 2)


def test_nobody_hears_of_holds_refusals_and_refunds(bank: Any, receiver: Any, eventually: Eventually) -> None:
    pay(bank, NAME, reject=True)
    held = pay(bank, NAME, two_stage=True)
    assert change(bank, "capture", id=held["id"]) == {"result": "success"}
    assert change(bank, "reverse", id=held["id"], amount="490.00", partial="true") == {"result": "success"}

    [call] = wait_for(eventually, receiver, NAME, 1)

    assert call.fields["batch_date"]
    assert len(log(bank)) == 1


def test_refunds_show_in_the_list_of_days(bank: Any) -> None:
    part, whole, other = (pay(bank, NAME) for _ in range(3))
    for _ in range(2):
        change(bank, "reverse", id=part["id"], amount="490.00", partial="true")
    bank.post(f"/sim/payments/{whole['id']}/refund")
    moscow = datetime.now(UTC) + timedelta(hours=3)
    days = {"start": f"{moscow - timedelta(days=1):%Y-%m-%d}", "end": f"{moscow:%Y-%m-%d}"}

    rows = get(bank, "payments/bydate", **days)
    picked = get(bank, "payments/bydate", **days, **{"status[]": ["refunded", "partially_refunded"]})
    page = get(bank, "payments/bydate", **days, limit=1, **{"from": 1})

    told = {row["id"]: (row["status"], row["refund_amount"]) for row in rows}
    assert told[part["id"]] == ("partially_refunded", "980.00")
    assert told[whole["id"]] == ("refunded", "2990.00")
    assert told[other["id"]][1] == "0.00"
    assert [row["id"] for row in picked] == [part["id"], whole["id"]]
    assert [row["id"] for row in page] == [whole["id"]]


def test_the_api_wants_a_password_and_changes_want_a_token(bank: Any) -> None:
    payment = pay(bank, NAME)

    assert get(bank, "payments/byid", None, id=payment["id"]) == 401
    assert get(bank, "payments/byid", ("pk-user", "no"), id=payment["id"]) == 401
    assert get(bank, "payments/byid", id="1")["result"] == "fail"
    assert change(bank, "reverse", id=payment["id"], amount="1.00", token="no")["result"] == "fail"
    assert change(bank, "reverse", id=payment["id"], amount="2990.01")["result"] == "fail"
