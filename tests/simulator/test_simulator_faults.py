"""Limits and faults on request: amoCRM reference section 2.1 and the checklist's faults."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

pytestmark = pytest.mark.slow

BEARER = {"Authorization": "Bearer ll-token"}


def account(crm: Any) -> requests.Response:
    return requests.get(f"{crm.url}/api/v4/account", headers=BEARER, timeout=5)


def test_the_eighth_call_of_a_second_gets_429_in_html(start_server: Callable[..., Any]) -> None:
    crm = start_server("crm", requests_per_second=7)

    answers = [account(crm) for _ in range(8)]
    time.sleep(1)

    assert [answer.status_code for answer in answers] == [200] * 7 + [429]
    assert answers[-1].headers["Content-Type"] == "text/html"
    assert "429 Too Many Requests" in answers[-1].text
    assert account(crm).status_code == 200


def test_too_many_refusals_ban_the_caller_for_a_while_tokens_included(start_server: Callable[..., Any]) -> None:
    crm = start_server("crm", requests_per_second=1, crm={"ban_after": 5, "ban_s": 1.0})
    statuses = [account(crm).status_code for _ in range(8)]

    banned = account(crm)
    token = requests.post(f"{crm.url}/oauth2/access_token", json={}, timeout=5)
    time.sleep(1.1)

    assert statuses == [200] + [429] * 6 + [403]
    assert banned.status_code == 403
    assert "<center>nginx</center>" in banned.text
    assert token.status_code == 403
    assert account(crm).status_code == 200


@pytest.mark.parametrize(
    ("fault", "status", "content_type"),
    [
        ({"error_500": 1}, 500, "application/problem+json"),
        ({"error_429": 1}, 429, "text/html"),
        ({"forbidden_html_s": 5}, 403, "text/html"),
        ({"unauthorized": 1}, 401, "application/problem+json"),
    ],
)
def test_a_fault_comes_on_request_and_goes_with_reset(
    crm: Any, fault: dict[str, Any], status: int, content_type: str
) -> None:
    crm.post("/sim/faults", fault)

    broken = account(crm)
    crm.post("/sim/faults", {"reset": True})

    assert (broken.status_code, broken.headers["Content-Type"]) == (status, content_type)
    assert account(crm).status_code == 200


def test_unauthorized_counts_down(crm: Any) -> None:
    crm.post("/sim/faults", {"unauthorized": 2})

    assert [account(crm).status_code for _ in range(3)] == [401, 401, 200]


def test_a_write_can_be_applied_though_the_connection_drops(crm: Any, api: Any) -> None:
    crm.post("/sim/faults", {"apply_then_drop": 1})

    with pytest.raises(requests.ConnectionError):
        api("PATCH", "/contacts/20000001", {"name": "Дошло"})

    assert api("GET", "/contacts/20000001").json()["name"] == "Дошло"


def test_a_slow_answer_waits_and_holds_up_nobody_else(crm: Any) -> None:
    crm.post("/sim/faults", {"slow_s": [1, 0.4]})
    started = time.monotonic()

    answer = account(crm)

    assert answer.status_code == 200
    assert time.monotonic() - started >= 0.4


def test_the_same_seed_throws_the_same_dice(start_server: Callable[..., Any]) -> None:
    def throw() -> list[int]:
        crm = start_server("crm")
        crm.post("/sim/faults", {"error_500": 0.5})
        statuses = [account(crm).status_code for _ in range(12)]
        crm.stop()
        return statuses

    first, second = throw(), throw()

    assert first == second
    assert set(first) == {200, 500}


def test_an_unknown_fault_is_refused_by_name(crm: Any) -> None:
    answer = requests.post(f"{crm.url}/sim/faults", json={"eror_500": 1}, timeout=5)

    assert (answer.status_code, answer.json()["error"]) == (400, "нет такой неисправности: eror_500")


def test_naughty_mode_reaches_the_bank(crm: Any, bank: Any) -> None:
    crm.post("/sim/faults", {"naughty": True})
    on = bank.get("/sim/faults")
    crm.post("/sim/faults", {"naughty": False})

    assert (on["naughty"], on["hook_duplicates"], on["hook_shuffle"]) == (True, [1, 3], True)
    assert bank.get("/sim/faults")["hook_duplicates"] == [1, 1]
