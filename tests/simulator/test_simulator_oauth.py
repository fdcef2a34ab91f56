"""OAuth of the simulated amoCRM: amoCRM reference sections 1.1 to 1.4."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import requests

CLIENT = {"client_id": "c-id", "client_secret": "c-secret", "redirect_uri": "http://127.0.0.1/cb"}


def exchange(crm: Any, *, as_form: bool = False, **grant: str) -> requests.Response:
    body = {**CLIENT, **grant}
    how: dict[str, Any] = {"data": body} if as_form else {"json": body}
    return requests.post(f"{crm.url}/oauth2/access_token", timeout=5, **how)


def first_pair(crm: Any) -> dict[str, Any]:
    code = crm.post("/sim/grant")["code"]
    pair: dict[str, Any] = exchange(crm, grant_type="authorization_code", code=code).json()
    return pair


def account_status(crm: Any, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return requests.get(f"{crm.url}/api/v4/account", headers=headers, timeout=5).status_code


@pytest.mark.parametrize("as_form", [False, True])
def test_a_code_becomes_a_pair_in_json_and_in_form_encoding(crm: Any, as_form: bool) -> None:
    code = crm.post("/sim/grant")["code"]

    answer = exchange(crm, as_form=as_form, grant_type="authorization_code", code=code)

    assert answer.status_code == 200
    pair = answer.json()
    assert (pair["token_type"], pair["expires_in"]) == ("Bearer", 86400)
    assert account_status(crm, pair["access_token"]) == 200
    claims = json.loads(base64.urlsafe_b64decode(pair["access_token"].split(".")[1] + "=="))
    assert claims["account_id"] == 31337
    assert claims["api_domain"] == crm.url.removeprefix("http://")


def test_a_refresh_token_works_once_and_then_answers_the_real_error_body(crm: Any) -> None:
    pair = first_pair(crm)
    fresh = exchange(crm, grant_type="refresh_token", refresh_token=pair["refresh_token"])

    again = exchange(crm, grant_type="refresh_token", refresh_token=pair["refresh_token"])

    assert fresh.status_code == 200
    assert fresh.json()["refresh_token"] != pair["refresh_token"]
    assert again.status_code == 401
    assert again.json() == {
        "hint": "Token has been revoked",
        "title": "Некорректный запрос",
        "type": "https://developers.amocrm.ru/v3/errors/OAuthProblemJson",
        "status": 401,
        "detail": "В запросе отсутствует ряд параметров или параметры невалидны",
    }


@pytest.mark.parametrize(
    ("skip_s", "uses", "hint"),
    [
        (1201, 0, "Authorization code has expired"),
        (0, 1, "Authorization code has been revoked"),
    ],
)
def test_a_code_lives_twenty_minutes_and_one_use(crm: Any, skip_s: int, uses: int, hint: str) -> None:
    code = crm.post("/sim/grant")["code"]
    for _ in range(uses):
        exchange(crm, grant_type="authorization_code", code=code)
    crm.post("/sim/clock", {"skip_s": skip_s})

    answer = exchange(crm, grant_type="authorization_code", code=code)

    assert (answer.status_code, answer.json()["hint"]) == (400, hint)


def test_an_access_token_dies_after_a_day_of_virtual_time(crm: Any) -> None:
    token = first_pair(crm)["access_token"]
    before = account_status(crm, token)

    crm.post("/sim/clock", {"skip_s": 86_401})

    assert (before, account_status(crm, token)) == (200, 401)
    assert crm.get("/sim/state")["tokens"] == {
        "access_valid": False,
        "refresh_valid": True,
        "long_lived_valid": True,
        "issued": 1,
    }


def test_a_lost_answer_has_burnt_the_refresh_token(crm: Any) -> None:
    pair = first_pair(crm)
    crm.post("/sim/faults", {"drop_token_answer": True})

    with pytest.raises(requests.ConnectionError):
        exchange(crm, grant_type="refresh_token", refresh_token=pair["refresh_token"])

    retry = exchange(crm, grant_type="refresh_token", refresh_token=pair["refresh_token"])
    assert (retry.status_code, retry.json()["hint"]) == (401, "Token has been revoked")


def test_a_foreign_redirect_uri_and_a_wrong_secret_are_refused(crm: Any) -> None:
    code = crm.post("/sim/grant")["code"]

    foreign = exchange(crm, grant_type="authorization_code", code=code, redirect_uri="http://evil/cb")
    wrong = exchange(crm, grant_type="authorization_code", code=code, client_secret="x")

    assert (foreign.status_code, wrong.status_code) == (400, 401)
    assert exchange(crm, grant_type="authorization_code", code=code).status_code == 200


def test_the_grant_page_sends_the_owner_back_with_code_referer_and_state(crm: Any) -> None:
    page = requests.get(f"{crm.url}/oauth?client_id=c-id&state=csrf1", timeout=5)

    answer = requests.post(
        f"{crm.url}/oauth", data={"answer": "allow", "state": "csrf1"}, allow_redirects=False, timeout=5
    )

    assert "Разрешить" in page.text
    assert answer.status_code == 302
    location = answer.headers["Location"]
    assert location.startswith("http://127.0.0.1/cb?code=def50200")
    assert "state=csrf1" in location
    assert "platform=1" in location


def test_a_moved_account_is_found_by_its_refresh_token(crm: Any) -> None:
    pair = first_pair(crm)

    answer = requests.get(
        f"{crm.url}/oauth2/account/current/subdomain",
        headers={"X-Refresh-Token": pair["refresh_token"]},
        timeout=5,
    )

    assert (answer.json()["id"], answer.json()["subdomain"]) == (31337, "testshop")
