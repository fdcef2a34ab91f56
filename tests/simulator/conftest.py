"""Fixtures of the simulator's tests: real processes on free ports, and a receiver that plays the product."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

CONFIG: dict[str, Any] = {
    "crm": {
        "subdomain": "testshop",
        "account_id": 31337,
        "client_id": "c-id",
        "client_secret": "c-secret",
        "redirect_uri": "http://127.0.0.1/cb",
        "long_lived_token": "ll-token",
        "customers_mode": "segments",
    },
    "bank": {
        "tbank": {"terminal": "1321054611234DEMO", "password": "Dfsfh56dgKl"},
        "yookassa": {"shop_id": "100500", "secret": "shop-secret"},
        "cloudpayments": {"public_id": "pk_test", "secret": "cp-secret"},
        "robokassa": {"login": "shop", "password2": "robo-2", "test_password2": "robo-test-2"},
        "sber": {"login": "sber-api", "password": "sber-pw", "token": "sber-token", "callback_key": "sber-key"},
        "alfabank": {"login": "alfa-api", "password": "alfa-pw", "token": "alfa-token", "callback_key": "alfa-key"},
        "prodamus": {"secret": "page-secret", "domain": "shop.payform.ru"},
        "paykeeper": {"secret": "secret-word", "login": "pk-user", "password": "pk-pw"},
        "stripe": {"webhook_secret": "whsec_test", "secret_key": "sk_live_test"},
    },
    "requests_per_second": 0,
    "seed": 7,
}
READY_WITHIN_S = 15.0


class Server:
    """One simulator process."""

    def __init__(self, name: str, folder: Path, config: dict[str, Any]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.config.json"
        path.write_text(json.dumps(config), encoding="utf-8")
        command = [sys.executable, "-m", "simulator", name, "--port", "0", "--state", str(folder)]
        self.process = subprocess.Popen(
            [*command, "--config", str(path), "--die-with-parent"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.ready = json.loads(self.process.stdout.readline())
        self.url = str(self.ready["url"])

    def stop(self) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.terminate()
        code = self.process.wait(timeout=READY_WITHIN_S)
        self.process.stdin.close()
        self.process.stdout.close()
        return code

    def post(self, path: str, body: Any = None) -> Any:
        """A control call; fails the test unless it succeeds."""
        answer = requests.post(self.url + path, json=body, timeout=10)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def get(self, path: str) -> Any:
        answer = requests.get(self.url + path, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()


@dataclass
class Receiver:
    """A stand-in for the product: remembers what came and answers as told, `answer` by what was sent."""

    url: str = ""
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    status: int = 200
    reply: Callable[[str], bytes] = lambda path: b"OK" if path.endswith("/tbank") else b""
    answer: Callable[[str, bytes], bytes] | None = None

    def bodies(self, path: str) -> list[bytes]:
        return [body for got_path, _headers, body in list(self.got) if got_path == path]

    def wait_for(self, path: str, count: int) -> list[bytes]:
        """The bodies that came to a path, once there are `count` of them."""
        until(lambda: len(self.bodies(path)) >= count)
        return self.bodies(path)


def until(condition: Callable[[], Any], within_s: float = 5.0) -> None:
    """Waits for a condition; fails after a while."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def sim_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    folder = tmp_path_factory.mktemp("simulator")
    crm, bank = Server("crm", folder, CONFIG), Server("bank", folder, CONFIG)
    yield crm, bank
    assert crm.stop() == 0
    assert bank.stop() == 0


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    told = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.take(self.rfile.read(int(self.headers["Content-Length"])))

        def do_GET(self) -> None:
            self.take(b"")

        def take(self, body: bytes) -> None:
            reply = told.answer(self.path, body) if told.answer else told.reply(self.path)
            told.got.append((self.path, dict(self.headers), body))
            self.send_response(told.status)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield told
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def sim_pair(sim_processes: tuple[Server, Server], receiver: Receiver) -> tuple[Server, Server]:
    """The shared CRM and bank as new, pointed at each other and at the receiver.

    The bank first: a notice of the former test's payment must not come to the CRM's new world.
    """
    crm, bank = sim_processes
    crm.post("/sim/clock", {})
    for server in (bank, crm):
        server.post("/sim/reset")
    crm.post("/sim/peers", {"bank_url": bank.url})
    bank.post("/sim/peers", {"crm_url": crm.url, "payments_url": f"{receiver.url}/pay"})
    return crm, bank


@pytest.fixture
def crm(sim_pair: tuple[Server, Server]) -> Server:
    return sim_pair[0]


@pytest.fixture
def bank(sim_pair: tuple[Server, Server]) -> Server:
    return sim_pair[1]


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts a private process; `config` is merged into the usual one section by section."""
    started: list[Server] = []

    def start(name: str, **config: Any) -> Server:
        merged = {**CONFIG, **config, "crm": {**CONFIG["crm"], **config.get("crm", {})}}
        server = Server(name, tmp_path / "state", merged)
        started.append(server)
        return server

    yield start
    for server in started:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture
def api(crm: Server) -> Iterator[Callable[..., requests.Response]]:
    """Calls the CRM's API with the long-lived token."""
    with requests.Session() as session:
        session.headers["Authorization"] = "Bearer ll-token"

        def call(method: str, path: str, body: Any = None) -> requests.Response:
            return session.request(method, f"{crm.url}/api/v4{path}", json=body, timeout=10)

        yield call


@pytest.fixture
def eventually() -> Callable[..., None]:
    return until
