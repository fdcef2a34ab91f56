"""`kopilka web` as its user runs it: the real server's own reading of HTTP, and what it and the sweep leave in logs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from kopilka_testing import (
    CRM_TOKEN,
    ROOT,
    SECRET_KEY,
    SHOP_SECRET,
    TERMINAL_PASSWORD,
    Shop,
    hook_body,
    tbank_body,
    yookassa_body,
)
from web_testing import Server, StartServer

from flows import access, lookup
from flows.runtime import Runtime

pytestmark = pytest.mark.slow

LIMIT = 256 * 1024
YOOKASSA_IP = "77.75.156.11"
FOREIGN_IP = "203.0.113.9"

Stored = Callable[[], list[Any]]


def test_hooks_and_callbacks_are_stored_through_the_real_server(
    server: StartServer, http: requests.Session, rt: Runtime, stored: Stored
) -> None:
    web = server()
    body = hook_body(1).ljust(LIMIT, b"&")

    hook = http.post(web.url + rt.hook_path(), data=body)
    chunked = http.post(web.url + rt.hook_path(), data=iter([hook_body(2), b"&x=1"]))
    callback = http.post(web.url + "/webhooks/payments/tbank", data=tbank_body(1))

    assert (hook.status_code, hook.content) == (204, b"")
    assert chunked.status_code == 204
    assert (callback.status_code, callback.content) == (200, b"OK")
    assert callback.headers["Content-Type"].startswith("text/plain")
    assert [bytes(row.body) for row in stored()] == [body, hook_body(2) + b"&x=1", tbank_body(1)]
    assert http.get(web.url + "/readyz").json()["ready"] is True


def test_bodies_over_the_limit_are_refused_by_length_and_in_chunks(
    server: StartServer, http: requests.Session, rt: Runtime, stored: Stored
) -> None:
    url = server().url + rt.hook_path()

    one_byte_more = http.post(url, data=b"x" * (LIMIT + 1))
    in_chunks = http.post(url, data=iter([b"x" * LIMIT, b"x"]))
    endless = _endless_chunks(url)

    assert one_byte_more.status_code == 413
    assert in_chunks.status_code == 413
    assert endless in (b"413", b""), "the server must answer or hang up, never read on"
    assert stored() == []


def test_smuggling_shapes_are_refused_and_store_nothing(server: StartServer, rt: Runtime, stored: Stored) -> None:
    web, path = server(), rt.hook_path().encode()
    shapes = {
        "length and chunks": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        "chunks by another name": b"Transfer-Encoding: xchunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        "two lengths": b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
        "a negative length": b"Content-Length: -1\r\n\r\n",
        "a length with a plus": b"Content-Length: +4\r\n\r\nabcd",
        "a header with a space": b"Content-Length : 4\r\n\r\nabcd",
        "a chunk that lies": b"Transfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n",
    }

    statuses = {
        name: _raw(web, b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + rest)
        for name, rest in shapes.items()
    }

    accepted = {name for name, status in statuses.items() if status.startswith(b"2")}
    # RFC 9112, 6.3: with both headers chunked framing wins, provided the connection is closed afterwards.
    assert accepted <= {"length and chunks"}
    assert {bytes(row.body) for row in stored()} <= {b"x"}


def test_slow_and_silent_clients_do_not_stop_the_server(server: StartServer, http: requests.Session) -> None:
    web = server()
    starts = (b"", b"POST /webhooks/payments/tbank HTTP/1.1\r\nHost: x\r\n")
    starts += (starts[1] + b"Content-Length: 1000\r\n\r\nhalf",)
    sleepers = [_connect(web, starts[number % 3]) for number in range(150)]

    began = time.monotonic()
    reply = http.get(web.url + "/readyz", timeout=5)
    took_s = time.monotonic() - began
    for sleeper in sleepers:
        sleeper.close()

    assert reply.status_code == 200
    assert took_s < 1


@pytest.mark.parametrize(
    ("proxies", "answers"),
    [("0", {YOOKASSA_IP: 403, None: 403}), ("1", {YOOKASSA_IP: 200, f"{YOOKASSA_IP}, {FOREIGN_IP}": 403, None: 403})],
    ids=["no proxy", "one proxy"],
)
def test_the_proxys_word_about_the_sender_reaches_the_check(
    server: StartServer, http: requests.Session, rt: Runtime, proxies: str, answers: dict[str | None, int]
) -> None:
    web = server(YOOKASSA_CHECK_IP="yes", TRUSTED_PROXIES=proxies)

    given = {
        forwarded: http.post(
            f"{web.url}/webhooks/payments/yookassa",
            data=yookassa_body("22d6d597-000f-5000-9000-145f6df21d6f"),
            headers={"X-Forwarded-For": forwarded},
        ).status_code
        for forwarded in answers
    }

    assert given == answers


@pytest.mark.usefixtures("wallets")
def test_no_secret_and_no_person_reaches_the_logs(
    server: StartServer, http: requests.Session, rt: Runtime, shop: Shop, environment: dict[str, str]
) -> None:
    web = server()
    person = {"name": "Канарейкина Зинаида", "phone": "+79167654321"}
    made = shop.crm("POST", "/sim/deals", {"name": "Заказ", "price_roubles": 4_990, "contact": person})
    token = access.create_token(rt, "tests")
    callback = tbank_body(made["deal_id"], Pan="430000******0777", Data={"phone": person["phone"]})
    for data in (callback, b"{}", b"\xff"):
        http.post(f"{web.url}/webhooks/payments/tbank", data=data)
    hook = hook_body(made["deal_id"]) + b"&leads[status][0][name]=%2B79167654321"
    http.post(web.url + rt.hook_path(), data=hook)
    http.post(web.url + rt.hook_path() + "x", data=hook)
    worked = _sweep(environment)
    account = lookup.by_contact(rt, made["contact_id"])
    assert account is not None, worked
    card = account.member
    for path in ("", "/card.pkpass", "/google", "/qr.svg", "/nothing"):
        http.get(f"{web.url}/c/{card.card_token}{path}", allow_redirects=False)
    http.get(f"{web.url}/api/v1/members/{card.id}", headers={"Authorization": f"Bearer {token}"})
    http.get(f"{web.url}/api/v1/members/{card.id}?token={token}", headers={"Authorization": f"Bearer {token}x"})
    for change in ("inbox RENAME TO hidden", "hidden RENAME TO inbox"):
        with rt.db.begin() as tx:
            tx.execute(sa.text(f"ALTER TABLE {change}"))
        http.post(f"{web.url}/webhooks/payments/tbank", data=callback)
    web.stop()

    logs = web.log.read_text(encoding="utf-8") + worked

    assert logs.count('"event": "request"') >= 10
    assert '"event": "http_call"' in logs
    assert '"event": "unexpected"' in logs
    canaries = {
        "hook key": rt.keys.secret_path("amocrm hook"),
        "card link": card.card_token,
        "card number": card.card_number,
        "name": "Канарейкина",
        "name in JSON": "\\u041a\\u0430\\u043d",
        "phone": "9167654321",
        "api token": token,
        "terminal password": TERMINAL_PASSWORD,
        "shop secret": SHOP_SECRET,
        "crm token": CRM_TOKEN,
        "secret key": SECRET_KEY,
        "callback's token": json.loads(callback)["Token"],
        "masked card": "430000",
        "database password": environment["DATABASE_URL"].split(":")[2].split("@")[0],
    }
    assert [name for name, canary in canaries.items() if canary in logs] == []


def test_another_wsgi_server_gets_the_application_from_its_environment(environment: dict[str, str]) -> None:
    ask = "from wsgi import create; print(create().test_client().get('/readyz').json['ready'])"

    done = _python("-c", ask, environment=environment)

    assert done.stdout.split() == [b"True"]


def _sweep(environment: dict[str, str]) -> str:
    """One round of `kopilka sweep`, which works everything itself while Redis is away; its log."""
    return _python("-m", "cli.main", "sweep", environment={**environment, "LOG_LEVEL": "debug"}).stderr.decode()


def _python(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    given = {"PATH": os.environ["PATH"], **environment}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done


def _connect(web: Server, start: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", web.port), timeout=5)
    connection.sendall(start)
    return connection


def _raw(web: Server, request: bytes) -> bytes:
    """The status of an answer to these very bytes; nothing if the server hung up."""
    with _connect(web, request) as connection:
        head = connection.recv(4_096)
    return head.split(b" ")[1] if head.startswith(b"HTTP/1.") else b""


def _endless_chunks(url: str) -> bytes:
    """Sends chunks until the server has had enough, at most 8 MB."""
    host, _, path = url.removeprefix("http://").partition("/")
    name, _, port = host.partition(":")
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    with socket.create_connection((name, int(port)), timeout=5) as connection:
        connection.sendall(f"POST /{path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        try:
            for _ in range(128):
                connection.sendall(chunk)
            head = connection.recv(4_096)
        except OSError:
            return b""
    return head.split(b" ")[1] if head else b""


def test_a_restart_of_the_database_costs_the_next_callers_no_503(
    environment: dict[str, str], server: StartServer, http: requests.Session, rt: Runtime
) -> None:
    started = server()
    hook = f"{started.url}{rt.hook_path()}"
    assert http.post(hook, data=hook_body(1), timeout=5).status_code == 204
    assert http.get(f"{started.url}/readyz", timeout=5).status_code == 200
    with rt.db.begin() as tx:
        tx.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )

    answers = [
        http.post(hook, data=hook_body(2), timeout=5).status_code,
        http.get(f"{started.url}/readyz", timeout=5).status_code,
    ]

    assert answers == [204, 200]
