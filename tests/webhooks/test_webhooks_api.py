"""The reading half of the REST API: who may ask, what is answered, how a mistake looks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flows import access
from flows.runtime import Runtime
from storage.members import Member


@pytest.fixture
def bearer(rt: Runtime) -> dict[str, str]:
    return {"Authorization": f"Bearer {access.create_token(rt, 'tests')}"}


def test_nobody_asks_without_a_valid_token(client: FlaskClient, bearer: dict[str, str]) -> None:
    token = bearer["Authorization"].removeprefix("Bearer ")
    wrong = ["", "Bearer", "Bearer ", f"Basic {token}", f"Bearer {token}x", "Bearer " + "x" * 10_000, "Bearer é"]

    replies = [client.get("/api/v1/members/1", headers={"Authorization": given}) for given in wrong]

    for reply in replies:
        _is_problem(reply, 401, "unauthorized")
        assert reply.headers["WWW-Authenticate"] == "Bearer"


def test_a_replaced_token_no_longer_works(client: FlaskClient, rt: Runtime, bearer: dict[str, str]) -> None:
    access.create_token(rt, "tests")

    _is_problem(client.get("/api/v1/members/1", headers=bearer), 401, "unauthorized")


def test_a_member_is_found_by_contact_with_balance_and_statement(
    client: FlaskClient, bearer: dict[str, str], pay: Callable[..., Member]
) -> None:
    member = pay()

    reply = client.get(f"/api/v1/members?contact={member.contact_ref}", headers=bearer)

    assert reply.status_code == 200
    assert reply.json is not None
    assert reply.json["balance"] == {"available": 300, "pending": 499, "reserved": 0, "debt": 0}
    assert reply.json["card"]["url"] == f"https://bonus.sportgory.ru/c/{member.card_token}"
    assert {(line["move"], line["points"]) for line in reply.json["statement"]} == {
        ("accrue", 499),
        ("welcome", 300),
        ("activate", 300),
    }
    same = client.get(f"/api/v1/members/{member.id}", headers=bearer)
    assert same.json == reply.json


WRONG_QUESTIONS = {
    "/api/v1/members/999": (404, "member_not_found"),
    "/api/v1/members/abc": (404, "member_not_found"),
    "/api/v1/members/%D9%A1": (404, "member_not_found"),
    "/api/v1/members/%00": (404, "member_not_found"),
    "/api/v1/members/99999999999999999999": (404, "member_not_found"),
    "/api/v1/members?contact=9223372036854775808": (400, "bad_request"),
    "/api/v1/members?contact=-1": (400, "bad_request"),
    "/api/v1/members": (400, "bad_request"),
    "/api/v1/nothing": (404, "not_found"),
}


def test_a_wrong_question_gets_a_problem_with_its_code(client: FlaskClient, bearer: dict[str, str]) -> None:
    for path, (status, code) in WRONG_QUESTIONS.items():
        _is_problem(client.get(path, headers=bearer), status, code)


def test_another_method_gets_a_problem_too(client: FlaskClient, bearer: dict[str, str]) -> None:
    _is_problem(client.delete("/api/v1/members/1", headers=bearer), 405, "method_not_allowed")


def _is_problem(reply: TestResponse, status: int, code: str) -> None:
    """RFC 9457 with our stable code."""
    assert reply.content_type == "application/problem+json"
    assert reply.json is not None
    assert (reply.status_code, reply.json["status"], reply.json["code"]) == (status, status, code)
    assert reply.json["title"]
