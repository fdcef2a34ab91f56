"""Every acquirer over HTTP: its exact reply, its own refusal, what is kept, and how little a forgery costs."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from flask.testing import FlaskClient
from kopilka_testing import ROOT, START, asked, posted, tbank_body, yookassa_body
from web_testing import metric

from connector.acquiring import ACQUIRERS
from flows.runtime import Runtime
from webhooks.app import create_app

Stored = Callable[[], list[Any]]
VECTORS = {
    (one["provider"], one["name"]): one
    for one in json.loads((ROOT / "tests/connector/vectors/acquirers.json").read_text("utf-8"))
}
STRIPE_SECRET = "whsec_tests"
TEXT = "text/plain; charset=utf-8"
FORGED_CPU_S_MAX = 0.001


@dataclass(frozen=True)
class Sent:
    """A genuine callback, with a change that makes it a forgery, and the two exact replies."""

    body: bytes
    reply: tuple[int, str, bytes]
    forge: tuple[bytes, bytes]
    refusal: tuple[int, str, bytes] = (403, TEXT, b"bad sign")
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)


def _vector(provider: str, name: str, reply: tuple[int, str, bytes], forge: tuple[bytes, bytes], **more: Any) -> Sent:
    vector = VECTORS[provider, name]
    headers = {**vector["headers"], **({"Content-Type": vector["content_type"]} if vector["content_type"] else {})}
    return Sent(vector["body"].encode(), reply, forge, method=vector["method"], headers=headers, **more)


def _stripe() -> Sent:
    event = {"id": "evt_1", "type": "payment_intent.succeeded", "data": {"object": {"id": "pi_1", "object": "x"}}}
    body, stamp = json.dumps(event).encode(), str(int(START.timestamp()))
    signature = hmac.new(STRIPE_SECRET.encode(), f"{stamp}.".encode() + body, "sha256").hexdigest()
    headers = {"Stripe-Signature": f"t={stamp},v1={signature}", "Content-Type": "application/json"}
    reply = (200, "application/json", b"{}")
    return Sent(
        body, reply, (b"pi_1", b"pi_2"), (400, "application/json", b'{"error":"bad signature"}'), headers=headers
    )


CODE_0, CODE_13 = b'{"code":0}', b'{"code":13}'
SENT = {
    "yookassa": Sent(yookassa_body("2d"), (200, TEXT, b""), (b"notification", b"notificatiom")),
    "tbank": Sent(tbank_body(1), (200, TEXT, b"OK"), (b"499000", b"499001")),
    "cloudpayments": _vector(
        "cloudpayments",
        "pay_completed_content_hmac",
        (200, "application/json", CODE_0),
        (b"123.00", b"124.00"),
        refusal=(403, "application/json", CODE_13),
    ),
    "robokassa": _vector("robokassa", "result_url_shp_vasia", (200, TEXT, b"OK58"), (b"OutSum=100", b"OutSum=999")),
    "sber": _vector("sber", "docs_symmetric_approved", (200, TEXT, b""), (b"approved", b"deposited")),
    "alfabank": _vector("alfabank", "docs_asymmetric_public_key", (200, TEXT, b""), (b"35000099", b"95000099")),
    "prodamus": _vector("prodamus", "docs_plain_payment_multipart", (200, TEXT, b"success"), (b"1000.00", b"9000.00")),
    "paykeeper": _vector(
        "paykeeper", "plain", (200, TEXT, b"OK cf8a89ed2d88a8fe45a10bd98fd9b5f1"), (b"1500.00", b"2500.00")
    ),
    "stripe": _stripe(),
}
PROGRAMME = """
  - {provider: cloudpayments, public_id: env:WORD, secret: env:CLOUDPAYMENTS_SECRET}
  - {provider: robokassa, login: env:WORD, password2: env:ROBOKASSA_PASSWORD2}
  - {provider: sber, token: env:WORD, callback_key: env:SBER_KEY}
  - {provider: alfabank, token: env:WORD, callback_certificate: env:ALFABANK_CERTIFICATE}
  - {provider: prodamus, secret: env:PRODAMUS_SECRET}
  - {provider: paykeeper, secret: env:PAYKEEPER_SECRET}
  - {provider: stripe, webhook_secret: env:STRIPE_SECRET}
"""
SECRETS = {
    "WORD": "a-word",
    "CLOUDPAYMENTS_SECRET": VECTORS["cloudpayments", "pay_completed_content_hmac"]["secret"],
    "ROBOKASSA_PASSWORD2": VECTORS["robokassa", "result_url_shp_vasia"]["secret"],
    "SBER_KEY": VECTORS["sber", "docs_symmetric_approved"]["secret"],
    "ALFABANK_CERTIFICATE": VECTORS["alfabank", "docs_asymmetric_public_key"]["secret"],
    "PRODAMUS_SECRET": VECTORS["prodamus", "docs_plain_payment_multipart"]["secret"],
    "PAYKEEPER_SECRET": VECTORS["paykeeper", "plain"]["secret"],
    "STRIPE_SECRET": STRIPE_SECRET,
}


@pytest.fixture
def all_banks(another_runtime: Callable[..., Runtime], rt: Runtime, environment: dict[str, str]) -> Runtime:
    """The product with every acquirer, over the database of `rt`."""
    path = Path(environment["PROGRAMME"])
    tbank = "  - {provider: tbank, terminal: env:TBANK_TERMINAL, password: env:TBANK_PASSWORD}\n"
    text = path.read_text(encoding="utf-8")
    assert tbank in text
    path.write_text(text.replace(tbank, tbank + PROGRAMME.lstrip("\n")), encoding="utf-8")
    return another_runtime(**SECRETS)


@pytest.fixture
def door(all_banks: Runtime) -> FlaskClient:
    return create_app(all_banks).test_client()


def _send(door: FlaskClient, name: str, sent: Sent, body: bytes) -> tuple[int, str, bytes]:
    path = f"/webhooks/payments/{name}"
    if sent.method == "GET":
        query = {"QUERY_STRING": body.decode("latin-1")}  # as WSGI hands the raw bytes over
        reply = door.get(path, environ_overrides=query, headers=dict(sent.headers))
    else:
        reply = door.post(path, data=body, headers=dict(sent.headers))
    return reply.status_code, reply.headers["Content-Type"], reply.data


def test_no_acquirer_is_left_out(all_banks: Runtime) -> None:
    assert set(SENT) == set(all_banks.acquirers) == set(ACQUIRERS)


@pytest.mark.parametrize("name", sorted(SENT))
def test_a_genuine_callback_gets_the_exact_reply_and_is_kept_once(
    door: FlaskClient, all_banks: Runtime, stored: Stored, name: str
) -> None:
    sent = SENT[name]
    callback = posted(sent.body, sent.headers) if sent.method == "POST" else asked(sent.body, sent.headers)

    replies = [_send(door, name, sent, sent.body) for _ in range(3)]

    assert replies == [sent.reply] * 3
    assert [(row.source, bytes(row.body), row.arrivals) for row in stored()] == [
        (name, all_banks.acquirers[name].keep(callback), 3)
    ]


@pytest.mark.parametrize("name", sorted(SENT))
def test_a_forged_callback_gets_the_acquirers_own_refusal_and_leaves_nothing(
    door: FlaskClient, stored: Stored, name: str
) -> None:
    sent = SENT[name]
    forged = sent.body.replace(*sent.forge, 1)
    assert forged != sent.body

    replies = [_send(door, name, sent, body) for body in (forged, b"", b"\0", b"\xff\xfe", b"a=1&a=1", b"[" * 5_000)]

    assert replies == [sent.refusal] * len(replies)
    assert stored() == []
    assert metric(door.get("/metrics").text, "kopilka_forged_total") == len(replies)


@pytest.mark.parametrize("name", sorted(SENT))
def test_the_callback_of_one_acquirer_is_refused_at_the_door_of_another(
    door: FlaskClient, stored: Stored, name: str
) -> None:
    others = [other for other in SENT if other != name]

    replies = {other: _send(door, other, SENT[name], SENT[name].body)[0] for other in others}

    assert replies == {other: SENT[other].refusal[0] for other in others}
    assert stored() == []


@pytest.mark.parametrize("name", sorted(SENT))
def test_a_forged_callback_costs_less_than_a_millisecond_of_cpu(all_banks: Runtime, name: str) -> None:
    acquirer, sent = all_banks.acquirers[name], SENT[name]
    forged = sent.body.replace(*sent.forge, 1)
    callback = posted(forged, sent.headers) if sent.method == "POST" else asked(forged, sent.headers)

    def cpu_s() -> float:
        began = time.process_time()
        for _ in range(20):
            assert not all(check.is_good for check in acquirer.checks(callback))
        return (time.process_time() - began) / 20

    assert median(cpu_s() for _ in range(5)) < FORGED_CPU_S_MAX
