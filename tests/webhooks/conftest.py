"""Fixtures of the web tests: a test client, what the inbox holds, and the real server as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from flask.testing import FlaskClient
from kopilka_testing import ROOT, Shop, SilentBell, StandingClock, posted, settle, tbank_body
from web_testing import Server, StartServer

from config.settings import load_settings
from flows import inbox, lookup
from flows.runtime import Runtime, build_runtime
from storage.members import Member
from webhooks.app import create_app


@pytest.fixture
def wallets() -> None:
    """Asked for by tests that need Apple and Google: reading their keys takes longer than most tests."""


@pytest.fixture
def environment(environment: dict[str, str], request: pytest.FixtureRequest) -> dict[str, str]:
    if "wallets" not in request.fixturenames:
        del environment["DEMO_WALLET_DIR"]
    return environment


@pytest.fixture
def client(rt: Runtime) -> FlaskClient:
    return create_app(rt).test_client()


@pytest.fixture
def hook_path(rt: Runtime) -> str:
    return rt.hook_path()


@pytest.fixture
def stored(rt: Runtime) -> Callable[[], list[Any]]:
    """The inbox's rows, oldest first."""

    def read() -> list[Any]:
        with rt.db.begin() as tx:
            return list(tx.execute(sa.text("SELECT * FROM inbox ORDER BY id")))

    return read


@pytest.fixture
def another_runtime(environment: dict[str, str], clock: StandingClock) -> Iterator[Callable[..., Runtime]]:
    """Builds a Runtime with other settings over the same database, or over a dead one."""
    built: list[Runtime] = []

    def build(**settings: str) -> Runtime:
        given = load_settings({**environment, **settings}, dotenv=None)
        built.append(build_runtime(given, bell=SilentBell(), clock=clock))
        return built[-1]

    yield build
    for runtime in built:
        runtime.db.close()


@pytest.fixture
def pay(rt: Runtime, shop: Shop) -> Callable[..., Member]:
    """A buyer who has paid through T-Bank; everything has settled."""

    def paid(buyer: str = "Анна Петрова", *, kopecks: int = 499_000) -> Member:
        deal_id, contact_id = shop.deal(kopecks / 100, buyer=buyer)
        inbox.accept_payment(rt, "tbank", posted(tbank_body(deal_id, kopecks=kopecks)))
        settle(rt)
        account = lookup.by_contact(rt, contact_id)
        assert account is not None, "the payment did not settle"
        return account.member

    return paid


@pytest.fixture
def paid_deal(shop: Shop) -> Callable[[int], tuple[int, int]]:
    """Deal and contact of buyer number N, a person of his own, on the paid stage."""

    def make(number: int) -> tuple[int, int]:
        person = {"name": f"Покупатель {number}", "phone": f"+7900100{number:04d}"}
        body = {"name": "Заказ", "price_roubles": 4_990, "contact": person, "status": "Оплачен"}
        made = shop.crm("POST", "/sim/deals", body)
        return made["deal_id"], made["contact_id"]

    return make


@pytest.fixture
def server(environment: dict[str, str], tmp_path: Path) -> Iterator[StartServer]:
    """Starts real servers; `settings` are changes of the environment."""
    started: list[Server] = []

    def start(**settings: str) -> Server:
        own = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        given = {**own, **environment, "WEB_PORT": "0", "LOG_LEVEL": "debug", **settings}
        log = tmp_path / f"web-{len(started)}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", "web", "--ready-line"],
                cwd=ROOT,
                env=given,
                stdout=subprocess.PIPE,
                stderr=stream,
            )
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"the server did not start: {log.read_text()[-500:]}"
        port = json.loads(line)["port"]
        started.append(Server(f"http://127.0.0.1:{port}", port, log, process))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session
