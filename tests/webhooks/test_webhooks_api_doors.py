"""Who may enter the API and how often; what every refusal at the door looks like."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from api_testing import ANNA, Program, is_problem, new_member, program
from flask import Flask
from kopilka_testing import StandingClock
from structlog.testing import capture_logs
from web_testing import DEAD_DATABASE

from flows import access
from flows.access import SCOPES
from flows.runtime import Runtime
from webhooks.api import examples
from webhooks.api.route import Route
from webhooks.api.routes import ROUTES
from webhooks.app import create_app

pytestmark = pytest.mark.slow

by_route = pytest.mark.parametrize("route", ROUTES, ids=[one.name for one in ROUTES])


@pytest.fixture
def app(rt: Runtime) -> Flask:
    return create_app(rt)


@pytest.fixture
def everything(app: Flask, rt: Runtime) -> Program:
    return program(app, rt)


def _call(caller: Program, route: Route) -> tuple[int, str | None]:
    """The status and the code of the route's own example."""
    address = examples.address(route, "")
    reply = caller.get(address) if not route.has_body else caller.post(address, _body(route), method=route.method)
    return reply.status_code, (reply.json or {}).get("code")


def _body(route: Route) -> object:
    return examples.BODIES[route.name]


@by_route
def test_every_route_lets_in_exactly_the_tokens_that_have_its_right(app: Flask, rt: Runtime, route: Route) -> None:
    nobody = (401, "unauthorized")
    assert _call(Program(app, ""), route) == nobody
    assert _call(Program(app, "kop_" + "x" * 43), route) == nobody
    revoked = program(app, rt, name="revoked")
    access.revoke_token(rt, "revoked")
    assert _call(revoked, route) == nobody

    for scope in SCOPES:
        status, code = _call(program(app, rt, scope, name=scope), route)
        if scope == route.scope:
            assert status not in (401, 403), (scope, code)
        else:
            assert (status, code) == (403, "insufficient_scope"), scope


def test_a_refusal_for_want_of_a_right_names_the_right(app: Flask, rt: Runtime) -> None:
    reply = program(app, rt, "read").post("/quotes", {})

    assert is_problem(reply, 403, "insufficient_scope")["scope"] == "quote"


def test_missing_unknown_and_revoked_tokens_cannot_be_told_apart(app: Flask, rt: Runtime) -> None:
    revoked = program(app, rt, name="revoked")
    access.revoke_token(rt, "revoked")
    replies = [Program(app, token).get("/members/1") for token in ("", "kop_unknown", revoked.token)]

    bodies = [is_problem(reply, 401, "unauthorized") for reply in replies]

    assert len({json.dumps({**body, "request_id": ""}, sort_keys=True) for body in bodies}) == 1
    assert {reply.headers["WWW-Authenticate"] for reply in replies} == {"Bearer"}


def test_a_right_that_was_taken_away_is_gone_at_once(app: Flask, rt: Runtime, everything: Program) -> None:
    assert everything.get("/members/1").status_code == 404

    access.revoke_token(rt, "tests")

    is_problem(everything.get("/members/1"), 401, "unauthorized")


def test_a_token_may_call_so_often_and_then_waits(
    app: Flask, rt: Runtime, everything: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.config["API_CALLS_PER_SECOND"] = 1
    other = program(app, rt, name="other")

    replies = [everything.get("/members/1") for _ in range(access.WINDOW_S + 1)]

    assert {reply.status_code for reply in replies[:-1]} == {404}
    is_problem(replies[-1], 429, "rate_limited")
    assert 1 <= int(replies[-1].headers["Retry-After"]) <= access.WINDOW_S
    assert other.get("/members/1").status_code == 404, "each token has its own limit"
    with rt.db.begin() as tx:
        tx.execute(sa.text(f"UPDATE api_rate SET window_at = window_at - interval '{access.WINDOW_S} seconds'"))
    assert everything.get("/members/1").status_code == 404


@by_route
def test_every_write_wants_a_key_and_nothing_else_does(everything: Program, route: Route) -> None:
    if not route.has_body:
        assert not route.is_write
        return
    address = examples.address(route, everything.base)
    headers = {**everything.headers(), "Content-Type": "application/json"}

    reply = everything.app.test_client().open(
        address, method=route.method, data=json.dumps(_body(route)), headers=headers
    )

    assert (reply.json or {}).get("code") != "idempotency_key_missing" or route.is_write
    if route.is_write:
        is_problem(reply, 400, "idempotency_key_missing")


@pytest.mark.parametrize("key", ["x" * 256, "таблетка", "a\x7fb", "a\tb"])
def test_a_key_that_is_no_plain_text_is_refused(everything: Program, key: str) -> None:
    is_problem(everything.post("/members", {}, key=key), 400, "idempotency_key_bad")


@pytest.mark.parametrize(
    ("given", "encoding"),
    [("text/plain", None), ("application/x-www-form-urlencoded", None), ("", None), ("application/json", "gzip")],
)
def test_a_body_that_is_not_json_is_refused_by_its_type(everything: Program, given: str, encoding: str | None) -> None:
    more = {"Content_Encoding": encoding} if encoding else {}

    reply = everything.send("POST", "/members", b'{"name": "A"}', Content_Type=given, **more)

    is_problem(reply, 415, "unsupported_media_type")


def test_a_body_that_is_too_large_is_refused(everything: Program) -> None:
    is_problem(everything.send("POST", "/members", b" " * 300_000), 413, "body_too_large")


def test_an_unknown_address_and_another_method_are_problems_too(everything: Program) -> None:
    is_problem(everything.get("/nothing"), 404, "not_found")
    is_problem(everything.get("/members/1/"), 404, "not_found")
    for method in ("DELETE", "PATCH", "OPTIONS", "TRACE"):
        reply = everything.post("/members", method=method)
        is_problem(reply, 405, "method_not_allowed")
        assert set(reply.headers["Allow"].split(", ")) >= {"GET", "POST"}


def test_a_failure_of_ours_is_a_problem_that_shows_nothing_and_can_be_found_in_the_log(
    everything: Program, rt: Runtime
) -> None:
    with rt.db.begin() as tx:
        tx.execute(sa.text("ALTER TABLE member RENAME TO hidden"))
    try:
        with capture_logs() as logs:
            reply = everything.get("/members/1")
    finally:
        with rt.db.begin() as tx:
            tx.execute(sa.text("ALTER TABLE hidden RENAME TO member"))

    problem = is_problem(reply, 500, "internal_error")
    assert "hidden" not in reply.text
    assert "SELECT" not in reply.text
    assert {entry.get("request_id") for entry in logs} == {problem["request_id"]}


def test_without_a_database_the_caller_is_told_to_come_back(another_runtime: Callable[..., Runtime]) -> None:
    reply = Program(create_app(another_runtime(DATABASE_URL=DEAD_DATABASE)), "kop_x").get("/members/1")

    is_problem(reply, 503, "unavailable")
    assert int(reply.headers["Retry-After"]) > 0


def test_every_answer_has_a_name_and_the_callers_own_is_kept(everything: Program) -> None:
    own = everything.send("POST", "/quotes", b"{}", X_Request_Id="order-77.try_2")
    foreign = everything.send("POST", "/quotes", b"{}", X_Request_Id="<script>")

    assert own.headers["X-Request-Id"] == is_problem(own, 400, "bad_request")["request_id"] == "order-77.try_2"
    assert foreign.headers["X-Request-Id"].startswith("req_")


def test_the_log_of_calls_holds_no_order_no_phone_and_no_key(everything: Program) -> None:
    with capture_logs() as logs:
        everything.get("/members?phone=%2B79161234567")
        everything.post("/orders/SECRET-7/paid", {"phone": ANNA}, key="SECRET-KEY")

    text = json.dumps(logs, default=str)
    assert "/api/v1/orders/<order>/paid" in text
    assert [word for word in ("9161234567", "SECRET-7", "SECRET-KEY", everything.token) if word in text] == []


def test_it_is_known_when_a_token_was_used_last(everything: Program, rt: Runtime, clock: StandingClock) -> None:
    assert access.tokens(rt)[0].last_used_at is None

    new_member(everything)
    first = access.tokens(rt)[0].last_used_at
    clock.forward(seconds=30)
    everything.get("/members/1")
    soon = access.tokens(rt)[0].last_used_at
    clock.forward(minutes=2)
    everything.get("/members/1")

    assert first == soon == clock.at.replace(minute=0, second=0)
    assert access.tokens(rt)[0].last_used_at == clock.at
