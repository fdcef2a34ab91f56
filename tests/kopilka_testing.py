"""What tests of several packages share: a clock that stands, a bell that only remembers, a shop at the simulator."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import psycopg
import requests

from connector.acquiring.base import Callback
from flows import inbox, outbox
from flows.queue import Bell
from flows.runtime import Runtime

ROOT = Path(__file__).resolve().parent.parent
START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
"""Noon in Moscow on the first of March: when every test's day begins."""

TERMINAL = "1700000000000DEMO"
TERMINAL_PASSWORD = "tests-terminal-password"
SHOP_ID = "100500"
SHOP_SECRET = "tests-shop-secret"
CRM_TOKEN = "tests-long-lived-token"
SECRET_KEY = "dGVzdHMtc2VjcmV0LWtleS10aGF0LWlzLWxvbmctZW5vdWdoLTMy"
SUBDOMAIN = "sportgory"
ACCOUNT_ID = 28805383

SHOPS = {
    "cloudpayments": {"public_id": "pk_tests", "secret": "tests-cloudpayments-secret"},
    "robokassa": {
        "login": "tests-shop",
        "password2": "tests-password-2",
        "test_password2": "tests-test-password-2",
    },
    "sber": {
        "login": "tests-sber-api",
        "password": "tests-sber-password",
        "token": "tests-sber-token",
        "callback_key": "tests-sber-callback-key",
    },
    "alfabank": {
        "login": "tests-alfa-api",
        "password": "tests-alfa-password",
        "token": "tests-alfa-token",
        "callback_key": "tests-alfa-callback-key",
    },
    "prodamus": {"secret": "tests-prodamus-secret"},
    "paykeeper": {"secret": "tests-paykeeper-word", "login": "tests-user", "password": "tests-user-password"},
    "stripe": {"webhook_secret": "whsec_tests", "secret_key": "sk_live_tests"},
}
"""Credentials at the other acquirers, by the names that the rules file has for them too."""

Found = TypeVar("Found")


class StandingClock:
    """A clock that moves only when told."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **by: float) -> None:
        self.at += timedelta(**by)


_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"


class KeptDatabase:
    """One database for all tests that do not break theirs: emptying it takes 5 ms, cloning one takes 150."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = self._connect()
        tables = self._connection.execute(_TABLES).fetchall()
        self._forget = ";".join(f'DELETE FROM "{name}"' for (name,) in tables)

    def empty(self) -> None:
        # The ledger refuses to forget otherwise.
        forget = f"BEGIN; SET LOCAL session_replication_role = replica; {self._forget}; COMMIT"
        try:
            self._connection.execute(forget)
        except psycopg.OperationalError:  # some tests cut every connection there is; two deletions may deadlock
            self._connection.close()
            self._connection = self._connect()
            self._connection.execute(forget)

    def close(self) -> None:
        self._connection.close()

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(self.url.replace("+psycopg", ""), autocommit=True)


class SilentBell(Bell):
    """Remembers its rings and tells nobody."""

    def __init__(self) -> None:
        super().__init__("redis://127.0.0.1:1/0")
        self.rings: list[tuple[str, int]] = []

    def ring(self, name: str, row_id: int) -> None:
        self.rings.append((name, row_id))

    def flush(self, timeout_s: float = 1.0) -> None:
        del timeout_s


def settle(rt: Runtime) -> None:
    """Works everything that is due, as workers would."""
    while inbox.drain(rt) + outbox.drain(rt):
        pass


def posted(
    body: bytes, headers: Mapping[str, str] | None = None, *, remote_ip: str | None = None, at: datetime = START
) -> Callback:
    """An acquirer's POST."""
    return Callback("POST", b"", headers or {}, body, remote_ip, at)


def asked(query: bytes, headers: Mapping[str, str] | None = None, *, at: datetime = START) -> Callback:
    """An acquirer's GET."""
    return Callback("GET", query, headers or {}, b"", None, at)


def tbank_body(
    deal_id: int, status: str = "CONFIRMED", *, kopecks: int = 499_000, payment_id: int = 8742591, **extra: Any
) -> bytes:
    """A callback of T-Bank with a right Token, signed here from the bank's documentation."""
    body: dict[str, Any] = {
        "TerminalKey": TERMINAL,
        "OrderId": f"L{deal_id}-1",
        "Success": status not in ("REJECTED", "DEADLINE_EXPIRED"),
        "Status": status,
        "PaymentId": payment_id,
        "ErrorCode": "0",
        "Amount": kopecks,
        **extra,
    }
    signed = {name: value for name, value in body.items() if not isinstance(value, dict | list) and value is not None}
    words = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in signed.items()}
    words["Password"] = TERMINAL_PASSWORD
    token = hashlib.sha256("".join(words[name] for name in sorted(words)).encode()).hexdigest()
    return json.dumps({**body, "Token": token}).encode()


def yookassa_body(payment_id: str, event: str = "payment.succeeded") -> bytes:
    """A YooKassa notice about a payment: a hint, the truth is read from the bank."""
    kind, _, status = event.partition(".")
    thing = (
        {"id": payment_id, "status": status}
        if kind == "payment"
        else {"id": f"r-{payment_id}", "payment_id": payment_id, "status": status}
    )
    return json.dumps({"type": "notification", "event": event, "object": thing}).encode()


def hook_body(
    *deal_ids: int, action: str = "status", account_id: int = ACCOUNT_ID, subdomain: str = SUBDOMAIN
) -> bytes:
    """An amoCRM hook that names deals."""
    pairs = [
        (f"leads[{action}][{index}][{name}]", value)
        for index, deal_id in enumerate(deal_ids)
        for name, value in (("id", deal_id), ("status_id", 142), ("pipeline_id", 7), ("name", "Заказ"))
    ]
    pairs += [("account[subdomain]", subdomain), ("account[id]", account_id)]
    return "&".join(f"{quote(name)}={quote(str(value))}" for name, value in pairs).encode()


def until(look: Callable[[], Found | None], what: str, *, patience_s: float = 30.0) -> Found:
    """Waits for something of other processes."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {patience_s:.0f} s in vain: {what}")


@dataclass
class Shop:
    """The simulated amoCRM and bank of a test session, over HTTP."""

    crm_url: str
    bank_url: str
    session: requests.Session = field(default_factory=requests.Session)

    def deal(
        self, roubles: float = 4_990, *, buyer: str = "Анна Петрова", status: str | None = None
    ) -> tuple[int, int]:
        """A new deal with a new contact; their ids."""
        body: dict[str, Any] = {
            "name": "Заказ",
            "price_roubles": roubles,
            "contact": {"name": buyer, "phone": "+79000000001"},
        }
        made = self.crm("POST", "/sim/deals", body if status is None else {**body, "status": status})
        return made["deal_id"], made["contact_id"]

    def move(self, deal_id: int, status: str) -> None:
        self.crm("POST", f"/sim/deals/{deal_id}/move", {"status": status})

    def pay(self, deal_id: int, kopecks: int, acquirer: str = "yookassa") -> str:
        """A payment at the bank; its id. The bank's own callbacks go nowhere in tests without a web server."""
        made = self.bank("POST", "/sim/pay", {"acquirer": acquirer, "deal_id": deal_id, "amount_kopecks": kopecks})
        return str(made.get("payment_id") or made["id"])

    def refund(self, payment_id: str, kopecks: int | None = None) -> None:
        body = {} if kopecks is None else {"amount_kopecks": kopecks}
        self.bank("POST", f"/sim/payments/{payment_id}/refund", body)

    def fields(self, deal_id: int) -> dict[str, Any]:
        """The custom fields of the deal's contact, by name."""
        return dict(self.crm("GET", f"/sim/state?deal={deal_id}")["contacts"][0]["fields"])

    def state(self, deal_id: int) -> dict[str, Any]:
        return dict(self.crm("GET", f"/sim/state?deal={deal_id}"))

    def faults(self, **faults: Any) -> None:
        self.crm("POST", "/sim/faults", faults)

    def crm(self, method: str, path: str, body: Any = None) -> Any:
        return self._call(method, self.crm_url + path, body)

    def bank(self, method: str, path: str, body: Any = None) -> Any:
        return self._call(method, self.bank_url + path, body)

    def reset(self) -> None:
        self.bank("POST", "/sim/reset", {})
        self.crm("POST", "/sim/reset", {})

    def _call(self, method: str, url: str, body: Any) -> Any:
        reply = self.session.request(method, url, json=body, timeout=10)
        assert reply.status_code < 300, f"{method} {url}: {reply.status_code} {reply.text[:300]}"
        return reply.json() if reply.content else None


def start_simulator(name: str, folder: Path, config: Path) -> tuple[subprocess.Popen[bytes], str]:
    """One server of the simulator on a free port; its process and URL."""
    command = [sys.executable, "-m", "simulator", name, "--port", "0", "--state", str(folder), "--config", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, f"the simulator's {name} did not start"
    return process, json.loads(line)["url"]


def programme_with_token(folder: Path) -> Path:
    """The shipped rules file, connected with a long-lived token instead of OAuth."""
    text = (ROOT / "config" / "programme.yaml").read_text(encoding="utf-8")
    head, _, rest = text.partition("  oauth:\n")
    _, _, tail = rest.partition("\n\n")
    path = folder / "programme.yaml"
    path.write_text(f"{head}  token: env:AMOCRM_TOKEN\n\n{tail}", encoding="utf-8")
    return path
