"""/healthz, /readyz, /metrics, headers and error pages; and the whole site while the database is away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from kopilka_testing import CRM_TOKEN, SECRET_KEY, SHOP_SECRET, TERMINAL_PASSWORD, hook_body, tbank_body
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs
from web_testing import DEAD_DATABASE, metric

from flows.runtime import Runtime
from storage import schema
from storage.members import Member
from webhooks.app import create_app

QUICKLY_S = 3.0


@pytest.fixture
def client_without_database(another_runtime: Callable[..., Runtime]) -> FlaskClient:
    return create_app(another_runtime(DATABASE_URL=DEAD_DATABASE)).test_client()


def test_a_living_process_says_so(client: FlaskClient) -> None:
    reply = client.get("/healthz")

    assert (reply.status_code, reply.text) == (200, "ok")


def test_the_server_is_ready_while_only_redis_is_away(client: FlaskClient) -> None:
    reply = client.get("/readyz")

    assert reply.status_code == 200
    assert reply.json == {"ready": True, "database": "ok", "redis": "недоступен"}


def test_the_server_is_not_ready_with_a_schema_of_another_version(client: FlaskClient, rt: Runtime) -> None:
    with _changed(
        rt,
        "UPDATE alembic_version SET version_num = '0000'",
        f"UPDATE alembic_version SET version_num = '{schema.expected()}'",
    ):
        reply = client.get("/readyz")

    assert reply.status_code == 503
    assert reply.json is not None
    assert reply.json["ready"] is False
    assert "0000" in reply.json["database"]


def test_without_a_database_the_process_lives_and_is_not_ready(client_without_database: FlaskClient) -> None:
    alive = client_without_database.get("/healthz")
    ready = client_without_database.get("/readyz")

    assert alive.status_code == 200
    assert ready.status_code == 503
    assert ready.json is not None
    assert ready.json["ready"] is False
    assert ready.json["database"].startswith("недоступна")


def test_without_a_database_every_sender_is_soon_told_to_come_back(
    client_without_database: FlaskClient, rt: Runtime
) -> None:
    began = time.monotonic()

    replies = [
        client_without_database.post(rt.hook_path(), data=hook_body(1)),
        client_without_database.post("/webhooks/payments/tbank", data=tbank_body(1)),
        client_without_database.get("/c/some-card"),
        client_without_database.get("/api/v1/members/1", headers={"Authorization": "Bearer kop_x"}),
    ]

    assert [(reply.status_code, reply.headers["Retry-After"]) for reply in replies] == [(503, "5")] * len(replies)
    assert time.monotonic() - began < QUICKLY_S


def test_without_a_database_a_forgery_is_still_a_forgery(client_without_database: FlaskClient) -> None:
    reply = client_without_database.post("/webhooks/payments/tbank", data=b"{}")

    assert reply.status_code == 403


def test_metrics_count_what_came_and_what_lies_in_the_boxes(
    client: FlaskClient, hook_path: str, pay: Callable[..., Member]
) -> None:
    pay()
    client.post(hook_path, data=hook_body(1))
    client.post(hook_path, data=hook_body(2))
    client.post("/webhooks/payments/tbank", data=tbank_body(3, payment_id=3))

    page = client.get("/metrics")

    assert page.content_type.startswith("text/plain; version=0.0.4")
    assert metric(page.text, "kopilka_members") == 1
    assert metric(page.text, "kopilka_rows", box="inbox", state="waiting") == 3
    assert metric(page.text, "kopilka_rows", box="inbox", state="done") == 2
    assert metric(page.text, "kopilka_webhooks_received_total", source="amocrm") == 2
    assert metric(page.text, "kopilka_webhooks_received_total", source="tbank") == 1
    assert metric(page.text, "kopilka_forged_total") == 0
    assert metric(page.text, "kopilka_crm_stale_seconds") == 0
    assert metric(page.text, "kopilka_crm_connected") == 1
    assert metric(page.text, "kopilka_database_up") == 1


def test_metrics_hold_no_secret_and_no_person(
    client: FlaskClient, hook_path: str, pay: Callable[..., Member], rt: Runtime
) -> None:
    member = pay(buyer="Канарейкина Зинаида")
    client.post(hook_path, data=hook_body(1))

    text = client.get("/metrics").text

    secrets = (
        rt.keys.secret_path("amocrm hook"),
        member.card_token,
        member.card_number,
        "Канарейкина",
        "79000000001",
        TERMINAL_PASSWORD,
        SHOP_SECRET,
        CRM_TOKEN,
        SECRET_KEY,
    )
    assert [secret for secret in secrets if secret in text] == []


def test_without_a_database_metrics_still_tell_what_this_process_refused(client_without_database: FlaskClient) -> None:
    client_without_database.post("/webhooks/payments/tbank", data=b"{}")

    page = client_without_database.get("/metrics")

    assert page.status_code == 200
    assert metric(page.text, "kopilka_forged_total") == 1
    assert metric(page.text, "kopilka_database_up") == 0
    names = {family.name for family in text_string_to_metric_families(page.text)}
    assert "kopilka_rows" not in names, "numbers that are not known must not be shown as zeros"


@pytest.mark.usefixtures("wallets")
def test_every_answer_carries_the_security_headers(client: FlaskClient, pay: Callable[..., Member]) -> None:
    token = pay().card_token

    replies = {
        "card": client.get(f"/c/{token}"),
        "pass": client.get(f"/c/{token}/card.pkpass"),
        "qr": client.get(f"/c/{token}/qr.svg"),
        "unknown card": client.get("/c/unknown"),
        "unknown page": client.get("/nothing"),
        "api": client.get("/api/v1/members/1"),
        "method": client.put(f"/c/{token}"),
        "too large": client.post("/webhooks/payments/tbank", data=b"x" * 300_000),
        "health": client.get("/healthz"),
    }

    for name, reply in replies.items():
        assert reply.headers["X-Content-Type-Options"] == "nosniff", name
        assert reply.headers["Referrer-Policy"] == "no-referrer", name
        assert reply.headers["Content-Security-Policy"] == "default-src 'self'; frame-ancestors 'none'", name
        assert reply.headers["Cache-Control"] == "no-store", name
        assert reply.headers["Strict-Transport-Security"].startswith("max-age="), name
        assert "Server" not in reply.headers, name
        assert "Set-Cookie" not in reply.headers, name


def test_a_site_without_https_does_not_promise_it(another_runtime: Callable[..., Runtime]) -> None:
    client = create_app(another_runtime(PUBLIC_URL="http://127.0.0.1:8000")).test_client()

    reply = client.get("/healthz")

    assert "Strict-Transport-Security" not in reply.headers


def test_an_unexpected_failure_shows_nothing_of_itself_and_is_logged(
    client: FlaskClient, hook_path: str, rt: Runtime
) -> None:
    with (
        capture_logs() as logs,
        _changed(rt, "ALTER TABLE inbox RENAME TO hidden", "ALTER TABLE hidden RENAME TO inbox"),
    ):
        reply = client.post(hook_path, data=hook_body(1))

    assert (reply.status_code, reply.text) == (500, "internal error")
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["unexpected"]


@contextmanager
def _changed(rt: Runtime, change: str, undo: str) -> Iterator[None]:
    """The schema spoilt for a while."""
    with rt.db.begin() as tx:
        tx.execute(sa.text(change))
    try:
        yield
    finally:
        with rt.db.begin() as tx:
            tx.execute(sa.text(undo))
