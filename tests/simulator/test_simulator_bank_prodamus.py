"""The simulated Prodamus: acquirers reference section 7, checked by the test's own arithmetic."""

from __future__ import annotations

import email
import email.policy
import hashlib
import hmac
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import pytest
from bank_testing import DEAL, PAYER, Call, calls, genuine, log, pay, wait_for

from simulator.prodamus import sign

NAME = "prodamus"
GAPS_MIN = [1, 1, 1, 5, 5, 5, 10, 10, 10, 30, 30, 30, 60, 60, 60, 180, 180, 180, 360, 360, 360, 720, 1440]
Eventually = Callable[..., None]


def pairs_of(content_type: str, body: bytes) -> list[tuple[str, str]]:
    """A form's names and values, multipart read by Python's own mail parser."""
    if content_type.startswith("application/"):
        return parse_qsl(body.decode(), keep_blank_values=True)
    letter = email.message_from_bytes(
        b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body, policy=email.policy.HTTP
    )
    return [
        (str(part.get_param("name", header="content-disposition")), part.get_payload(decode=True).decode())
        for part in letter.iter_parts()
    ]


def nested(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """As PHP reads products[0][name]; keys 0..n-1 make a list."""
    tree: dict[str, Any] = {}
    for name, value in pairs:
        steps = re.findall(r"[^\[\]]+", name)
        place = tree
        for step in steps[:-1]:
            place = place.setdefault(step, {})
        place[steps[-1]] = value
    return {name: as_list(value) for name, value in tree.items()}


def as_list(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {key: as_list(one) for key, one in value.items()}
    numbers = [str(number) for number in range(len(inner))]
    return [inner[number] for number in numbers] if sorted(inner) == sorted(numbers) else inner


def php_sign(values: dict[str, Any], secret: str) -> str:
    """The rule, written once more: sorted JSON as PHP prints it."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    text = text.replace("/", r"\/").replace("\u2028", r"\u2028").replace("\u2029", r"\u2029")
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def told(call: Call) -> dict[str, Any]:
    return nested(pairs_of(call.headers["Content-Type"], call.body))


@pytest.mark.parametrize("vector", genuine(NAME), ids=lambda vector: str(vector["name"]))
def test_known_examples_are_signed_just_so(vector: dict[str, Any]) -> None:
    values = nested(pairs_of(vector["content_type"], vector["body"].encode()))

    assert php_sign(values, vector["secret"]) == vector["expected"]
    assert sign(values, vector["secret"]) == vector["expected"]


@pytest.mark.parametrize("form", ["multipart", "urlencoded"])
def test_money_is_told_by_a_signed_nested_form(bank: Any, receiver: Any, eventually: Eventually, form: str) -> None:
    bank.post(f"/sim/cabinet/{NAME}", {"form": form})
    payment = pay(bank, NAME)

    [call] = wait_for(eventually, receiver, NAME, 1)

    kind = "multipart/form-data; boundary=" if form == "multipart" else "application/x-www-form-urlencoded"
    assert call.headers["Content-Type"].startswith(kind)
    values = told(call)
    assert call.headers["Sign"] == php_sign(values, "page-secret")
    assert (values["order_id"], values["order_num"], values["sum"]) == (payment["id"], f"L{DEAL}-1", "2990.00")
    assert (values["customer_phone"], values["customer_email"]) == (PAYER["phone"], PAYER["email"])
    assert (values["payment_status"], values["attempt"], values["currency"]) == ("success", "1", "rub")
    assert values["products"] == [{"name": f"Заказ {DEAL}", "price": "2990.00", "quantity": "1", "sum": "2990.00"}]
    assert "/" in values["payment_type"]
    eventually(lambda: log(bank)[0]["state"] == "accepted")


def test_a_page_in_demo_mode_signs_with_another_key(bank: Any, receiver: Any, eventually: Eventually) -> None:
    bank.post(f"/sim/cabinet/{NAME}", {"demo": True})
    pay(bank, NAME)

    [call] = wait_for(eventually, receiver, NAME, 1)

    assert call.headers["Sign"] == php_sign(told(call), "page-secretdemo")


def test_refusals_are_told_and_refunds_only_if_the_cabinet_says_how(
    bank: Any, receiver: Any, eventually: Eventually
) -> None:
    pay(bank, NAME, reject=True)
    payment = pay(bank, NAME)
    bank.post(f"/sim/payments/{payment['id']}/refund", {"amount_kopecks": 49_000})
    bank.post(f"/sim/cabinet/{NAME}", {"refund_status": "order_refunded"})
    bank.post(f"/sim/payments/{payment['id']}/refund", {"amount_kopecks": 50_000})

    came = [told(call) for call in wait_for(eventually, receiver, NAME, 3)]

    assert sorted((row["payment_status"], row["sum"]) for row in came) == [
        ("order_denied", "2990.00"),
        ("order_refunded", "500.00"),
        ("success", "2990.00"),
    ]


def test_there_are_no_holds(bank: Any) -> None:
    with pytest.raises(AssertionError, match="двухстадийной оплаты нет"):
        pay(bank, NAME, two_stage=True)


def test_the_published_schedule_is_kept_to_the_end(bank: Any, receiver: Any, eventually: Eventually) -> None:
    receiver.status = 503
    pay(bank, NAME)
    gaps = []
    for minutes in GAPS_MIN:
        tries = len(gaps) + 1
        eventually(lambda tries=tries: log(bank)[0]["tries"] == tries)
        row = log(bank)[0]
        gaps.append(round((row["due_at"] - row["attempts"][-1]["at"]) / 60))
        bank.post("/sim/clock", {"skip_s": minutes * 60 + 1})

    assert gaps == GAPS_MIN
    eventually(lambda: log(bank)[0]["state"] == "gave_up")
    assert len(calls(receiver, NAME)) == 24
