"""No secret, phone, e-mail or card number reaches a log line, whoever writes it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from config.logs import configure_logging, mask_event
from config.masking import mask_text


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure_logging("info", human=False, stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


CANARIES = [
    "Authorization: Bearer canary-canary-canary",
    "ApplePass canarycanarycanary",
    "POST /webhooks/amocrm/canary0123456789?x=1 HTTP/1.1",
    "GET /c/canary0123456789/card.pkpass",
    "postgresql://kopilka:canary@127.0.0.1/db",
    "redis://:canary@127.0.0.1",
    "password=canary&x=1",
    "{'client_secret': 'canary', 'grant_type': 'x'}",
    '{"refresh_token": "canary"}',
    "https://example.com/cb?code=canarycanarycanarycanary",
    "eyJhbGciOiJI.canary.canary",
    "live_canary0123456789ABCDEF",
    "key kop_canary-canary_canarycanarycanary refused",
    "secret whsec_canary/canary+canary-canary==",
    "def50200aaaaaaaaaaaaaaaacanary".replace("canary", "") + "0000",
    "canaryCANARY0123456789canaryCANARY0123",
    "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----",
    "canary@mail.ru",
    "+7 916 123-45-67",
    "8 (916) 123 45 67",
    "79161234567",
    "4111 1111 1111 1111",
    "2200123456789019",
]
MARKS = ("canary", "def50200", "4567", "45 67", "45-67", "1111", "9019")


@pytest.mark.parametrize("text", CANARIES)
def test_a_secret_in_free_text_is_hidden(lines: io.StringIO, text: str) -> None:
    structlog.get_logger("test").info(text, note=f"before {text} after", nested={"a": [text, (text,)]})
    logging.getLogger("waitress").warning("seen %s", text)
    try:
        int(f"no number: {text}")
    except ValueError:
        logging.getLogger("worker").exception("failed")
        structlog.get_logger("test").exception("failed")

    rows = [json.loads(row) for row in lines.getvalue().splitlines()]
    assert len(rows) == 4
    assert all(row.pop("at") for row in rows)  # a time may hold any digits
    assert not [mark for mark in MARKS if mark in json.dumps(rows)]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("token", "canary"),
        ("AMOCRM_CLIENT_SECRET", "canary"),
        ("password", 1234567),
        ("set-cookie", ["canary"]),
        ("phone", 79161234567),
        ("email", b"canary"),
        ("database_url", "canary"),
        ("anything", SecretStr("canary")),
        ("body", b"canary"),
        ("headers", {"Authorization": "canary", "X-Api-Key": "canary"}),
        ("object", type("Thing", (), {"__str__": lambda _: "secret=canary"})()),
    ],
)
def test_a_secret_under_its_name_is_hidden(key: str, value: Any) -> None:
    written = json.dumps(mask_event(None, "info", {"event": "x", key: value}))

    assert "canary" not in written
    assert "1234567" not in written


@pytest.mark.parametrize(
    "text",
    [
        "lead 30112451 paid 540000 kopecks at 2026-03-08T10:00:00.123456Z",
        "payment 22e12f66-000f-5000-8000-18db351245c7 captured",
        "digest 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "GET /readyz 200 in 12 ms from 192.168.100.101",
        "/opt/kopilka/.venv/lib/python3.11/site-packages/sqlalchemy/engine/base.py",
        "1773000000000 ms",
    ],
)
def test_what_an_operator_needs_stays_readable(text: str) -> None:
    assert mask_text(text) == text


def test_numbers_of_the_domain_stay_numbers() -> None:
    event = {"event": "x", "lead_id": 30112451, "amount_kopecks": 540000, "ok": True, "ms": 1.25, "none": None}

    assert mask_event(None, "info", dict(event)) == event


def test_a_record_that_cannot_be_formatted_does_not_spill_its_arguments(
    lines: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = next(one for one in logging.getLogger().handlers if getattr(one, "stream", None) is lines)

    handler.handle(logging.makeLogRecord({"msg": "number %d", "args": ("canary",)}))

    assert "could not be formatted" in lines.getvalue()
    assert "canary" not in lines.getvalue() + "".join(capsys.readouterr())


def test_a_huge_value_is_cut_without_leaving_half_a_secret() -> None:
    text = "x " * 7_990 + "live_canary0123456789ABCDEF" * 2

    shown = mask_event(None, "info", {"event": text})["event"]

    assert len(shown) <= 16_001
    assert "canary" not in shown


def test_libraries_that_log_parameters_speak_only_of_trouble(lines: io.StringIO) -> None:
    logging.getLogger("sqlalchemy.engine").info("INSERT")
    logging.getLogger("rq.worker").info("job")
    logging.getLogger("rq.worker").error("job failed")

    assert [json.loads(row)["event"] for row in lines.getvalue().splitlines()] == ["job failed"]


def test_lines_for_people_are_masked_too() -> None:
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    configure_logging("info", human=True, stream=stream)

    logging.getLogger("x").warning("phone +79161234567")

    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    assert "[phone]" in stream.getvalue()
    assert not stream.getvalue().startswith("{")
