"""What the tests of the simulated bank's acquirers share: known examples, payments, callbacks as they came."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

VECTORS = Path(__file__).parent.parent / "connector" / "vectors" / "acquirers.json"
DEAL, KOPECKS = 10_000_001, 299_000
PAYER = {"name": "Анна Смирнова", "phone": "+79161234567", "email": "anna+1@example.ru"}


@dataclass(frozen=True)
class Call:
    """A callback as it came: `query` and `body` untouched, `fields` decoded."""

    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def raw(self) -> str:
        return self.body.decode() or self.query

    @property
    def fields(self) -> dict[str, str]:
        return dict(parse_qsl(self.raw, keep_blank_values=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def genuine(*providers: str) -> list[dict[str, Any]]:
    """Notifications of known examples that a receiver must believe."""
    rows = json.loads(VECTORS.read_text(encoding="utf-8"))
    return [row for row in rows if row["provider"] in providers and row["kind"] == "notification" and row["valid"]]


def pay(bank: Any, acquirer: str, **more: Any) -> dict[str, Any]:
    order = {"acquirer": acquirer, "deal_id": DEAL, "amount_kopecks": KOPECKS, "payer": PAYER, **more}
    payment: dict[str, Any] = bank.post("/sim/pay", order)
    return payment


def calls(receiver: Any, acquirer: str) -> list[Call]:
    """The callbacks that came for an acquirer so far."""
    found = []
    for target, headers, body in list(receiver.got):
        parts = urlsplit(target)
        if parts.path == f"/pay/{acquirer}":
            found.append(Call(parts.path, parts.query, headers, body))
    return found


def wait_for(eventually: Callable[..., None], receiver: Any, acquirer: str, count: int) -> list[Call]:
    eventually(lambda: len(calls(receiver, acquirer)) >= count)
    return calls(receiver, acquirer)


def polite(target: str, body: bytes) -> bytes:
    """The acknowledgement that each acquirer wants to see."""
    parts = urlsplit(target)
    name = parts.path.rpartition("/")[2]
    if name in ("robokassa", "paykeeper"):
        told = dict(parse_qsl(body.decode() or parts.query))
        md5 = hashlib.md5(f"{told.get('id', '')}secret-word".encode()).hexdigest()
        return f"OK{told.get('InvId', '')}".encode() if name == "robokassa" else f"OK {md5}".encode()
    return {"tbank": b"OK", "cloudpayments": b'{"code":0}'}.get(name, b"")


def log(bank: Any) -> list[dict[str, Any]]:
    """The bank's own log of callbacks, oldest first."""
    rows: list[dict[str, Any]] = bank.get("/sim/callbacks")["callbacks"][::-1]
    return rows
