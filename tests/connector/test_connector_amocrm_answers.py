from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from connector.amocrm.account import Account
from connector.amocrm.api import base_url_for
from connector.amocrm.client import AmoCrm
from connector.amocrm.contacts import ContactChange
from connector.amocrm.notes import NoteDraft
from connector.errors import (
    AccountUnpaid,
    BadReply,
    Blocked,
    ConnectorError,
    NeedsReauth,
    NotConfigured,
    NotFound,
    Problem,
    RateLimited,
    Refused,
    ServerFailed,
    Unreachable,
    WrongMode,
)
from connector.http import HttpClient

HAL = "application/hal+json"
PROBLEM = "application/problem+json"


class TwoTokens:
    """AccessTokens whose first token may be rejected once."""

    def __init__(self) -> None:
        self.rejected: list[str] = []

    def access_token(self) -> str:
        return "first"

    def replacement(self, rejected: str) -> str:
        self.rejected.append(rejected)
        return "second"


def test_every_call_takes_a_turn_and_carries_the_token(crm: AmoCrm, gate: Any, amo: Any) -> None:
    amo.hal("GET", "/account", {"id": 1, "subdomain": "example", "customers_mode": "segments"})

    account = crm.account()

    assert account == Account(1, "example", "segments")
    assert gate.turns == 1
    assert amo.web.calls[0].request.headers["Authorization"] == "Bearer tok"


@pytest.mark.parametrize(
    ("status", "content_type", "body", "error", "is_retryable"),
    [
        (301, "text/html", "", BadReply, False),
        (400, PROBLEM, '{"title":"Bad Request","status":400}', Refused, False),
        (401, PROBLEM, '{"title":"Unauthorized"}', NeedsReauth, False),
        (402, PROBLEM, '{"title":"Payment Required"}', AccountUnpaid, True),
        (403, PROBLEM, '{"title":"Forbidden"}', Refused, False),
        (403, "text/html", "<html>403 Forbidden nginx</html>", Blocked, True),
        (403, "text/html", "", Blocked, True),
        (404, PROBLEM, '{"title":"Not found"}', NotFound, False),
        (405, PROBLEM, '{"title":"Method"}', Refused, False),
        (422, PROBLEM, '{"title":"Не включен функционал"}', WrongMode, False),
        (429, "text/html", "<html>", RateLimited, True),
        (500, "text/html", "<html>", ServerFailed, True),
        (502, "text/html", "<html>", ServerFailed, True),
        (504, "text/html", "", ServerFailed, True),
        (200, "text/html", "<html>Аккаунт заблокирован</html>", BadReply, True),
        (200, HAL, "[1]", BadReply, True),
        (200, HAL, "[" * 50_000, BadReply, True),
    ],
)
def test_each_class_of_answers_has_its_error(
    crm: AmoCrm, amo: Any, status: int, content_type: str, body: str, error: type[ConnectorError], is_retryable: bool
) -> None:
    amo.web.add("GET", amo.api + "/account", status=status, body=body, content_type=content_type)

    with pytest.raises(ConnectorError) as caught:
        crm.account()

    assert type(caught.value) is error
    assert caught.value.retryable is is_retryable
    assert caught.value.ambiguous is False


def test_a_ban_opens_the_circuit_and_stops_the_next_call(crm: AmoCrm, gate: Any, amo: Any) -> None:
    amo.web.add("GET", amo.api + "/account", status=403, body="<html>", content_type="text/html")
    with pytest.raises(Blocked):
        crm.account()

    with pytest.raises(Blocked) as caught:
        crm.account()

    assert gate.circuit_s == caught.value.retry_after_s == 300.0
    assert len(amo.web.calls) == 1


@pytest.mark.parametrize(
    ("told", "pause_s"),
    [(None, 1.0), ("7", 7.0), ("0", 1.0), ("999999", 3600.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 1.0), ("²", 1.0)],
)
def test_a_429_pauses_everybody_for_as_long_as_it_says(
    crm: AmoCrm, gate: Any, amo: Any, told: str | None, pause_s: float
) -> None:
    headers = {} if told is None else {"Retry-After": told.encode("utf-8").decode("latin-1")}
    amo.web.add("GET", amo.api + "/account", status=429, body="slow down", headers=headers)

    with pytest.raises(RateLimited) as caught:
        crm.account()

    assert gate.pauses_s == [pause_s]
    assert caught.value.retry_after_s == pause_s


def test_a_401_is_answered_with_one_new_token_and_one_repetition(gate: Any, http: HttpClient, amo: Any) -> None:
    auth = TwoTokens()
    amo.web.add("PATCH", amo.api + "/contacts", status=401, json={"title": "Unauthorized"})
    amo.hal("PATCH", "/contacts", amo.rows("contacts", {"id": 1}))

    AmoCrm(amo.host, auth, gate, http).update_contacts([ContactChange(1, {5: 1})])

    assert auth.rejected == ["first"]
    assert [call.request.headers["Authorization"] for call in amo.web.calls] == ["Bearer first", "Bearer second"]
    assert gate.turns == 2


def test_a_second_401_is_final(gate: Any, http: HttpClient, amo: Any) -> None:
    amo.web.add("GET", amo.api + "/account", status=401, json={})

    with pytest.raises(NeedsReauth):
        AmoCrm(amo.host, TwoTokens(), gate, http).account()

    assert len(amo.web.calls) == 2


def test_a_read_is_repeated_once_after_a_broken_connection(crm: AmoCrm, gate: Any, amo: Any) -> None:
    amo.web.add("GET", amo.api + "/account", body=requests.ConnectionError("reset"))
    amo.hal("GET", "/account", {"id": 1})

    assert crm.account().id == 1
    assert gate.turns == 2


def test_a_read_is_not_repeated_twice(crm: AmoCrm, amo: Any) -> None:
    amo.web.add("GET", amo.api + "/account", body=requests.ConnectionError("reset"))

    with pytest.raises(Unreachable):
        crm.account()

    assert len(amo.web.calls) == 2


@pytest.mark.parametrize(
    "failure", [{"body": requests.ConnectionError("reset")}, {"status": 500}, {"status": 200, "body": "<html>"}]
)
def test_a_write_is_never_repeated_and_may_have_been_applied(crm: AmoCrm, amo: Any, failure: dict[str, Any]) -> None:
    amo.web.add("POST", amo.api + "/leads/notes", **failure)

    with pytest.raises(ConnectorError) as caught:
        crm.add_notes([NoteDraft(1, "x")])

    assert caught.value.ambiguous is True
    assert len(amo.web.calls) == 1


def test_the_complaints_of_a_refusal_are_typed_and_stay_out_of_the_message(crm: AmoCrm, amo: Any) -> None:
    error = {"code": "InvalidType", "path": "custom_fields_values.0", "detail": "Анна is not int"}
    body = {"validation-errors": [{"request_id": "0", "errors": [error, "odd"]}, "odd"], "status": 400}
    amo.web.add("PATCH", amo.api + "/contacts", status=400, body=json.dumps(body), content_type=PROBLEM)

    with pytest.raises(Refused) as caught:
        crm.update_contacts([ContactChange(1, {5: 1})])

    assert caught.value.problems == (Problem("InvalidType", "custom_fields_values.0", "Анна is not int", "0"),)
    assert "InvalidType at custom_fields_values.0" in str(caught.value)
    assert "Анна" not in str(caught.value)


@pytest.mark.parametrize("told", [{"validation-errors": None}, {"validation-errors": [{"errors": 5}]}, {"detail": 5}])
def test_an_odd_problem_body_is_still_a_refusal(crm: AmoCrm, amo: Any, told: object) -> None:
    amo.web.add("GET", amo.api + "/account", status=400, body=json.dumps(told), content_type=PROBLEM)

    with pytest.raises(Refused) as caught:
        crm.account()

    assert caught.value.problems == ()


@pytest.mark.parametrize(
    ("account", "url"),
    [
        ("example", "https://example.amocrm.ru"),
        ("example.amocrm.ru", "https://example.amocrm.ru"),
        ("https://Example.kommo.com/", "https://example.kommo.com"),
        ("x.amocrm.com", "https://x.amocrm.com"),
    ],
)
def test_an_account_becomes_its_https_address(account: str, url: str) -> None:
    assert base_url_for(account) == url


@pytest.mark.parametrize(
    "account",
    [
        *["evil.com", "amocrm.ru.evil.com", "a.b.amocrm.ru", "x@amocrm.ru", "example.amocrm.ru:8080", "", "a/b"],
        *["http://example.amocrm.ru", "example.amocrm.ru\n.evil.com", "example.amocrm.ru#", "127.0.0.1", "пример"],
    ],
)
def test_a_foreign_host_gets_no_token(account: str) -> None:
    with pytest.raises(NotConfigured):
        base_url_for(account)


@pytest.mark.parametrize("override", ["http://127.0.0.1:5001", "http://localhost:5001/", "http://[::1]:5001"])
def test_a_simulator_on_this_machine_may_be_named(override: str) -> None:
    assert base_url_for("example", override=override) == override.rstrip("/")


@pytest.mark.parametrize(
    "override",
    ["http://10.0.0.1", "http://127.0.0.1.evil.com", "http://127.0.0.1@evil.com", "file:///x", "http://[::1"],
)
def test_no_other_address_may_be_named(override: str) -> None:
    with pytest.raises(NotConfigured):
        base_url_for("example", override=override)
