"""Verified callbacks per second of every acquirer, against the bare hash of the same bytes; and what a forgery costs.

The callbacks are the known examples of `tests/connector/vectors`, one for each acquirer. Verification and bare hash run
in this process by turns and are timed in CPU seconds, so the ratios hold on a busy machine. A forged callback goes
through the web application, down to its refusal; no database is there, because nothing may be stored.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO, StringIO
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from benchmarks.table import Line
from config.logs import configure_logging
from config.settings import load_settings
from connector.acquiring.base import Acquirer, Callback
from flows.payment_check import of_example
from flows.runtime import build_runtime
from webhooks.app import create_app

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

EXAMPLES = Path(__file__).resolve().parents[1] / "tests" / "connector" / "vectors" / "acquirers.json"
CHOSEN = {
    "tbank": "docs_notification_authorized",
    "cloudpayments": "pay_completed_content_hmac",
    "robokassa": "result_url_shp_vasia",
    "sber": "docs_symmetric_approved",
    "alfabank": "docs_asymmetric_public_key",
    "prodamus": "clay_1",
    "paykeeper": "plain",
    "stripe": "async_stripe_construct_event",
}
FORGED_US_MAX = 1_000
_SETTINGS = {
    "DATABASE_URL": "postgresql://nobody:nothing@127.0.0.1:1/nowhere",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "PUBLIC_URL": "https://bonus.sportgory.ru",
    "SECRET_KEY": "dGVzdHMtc2VjcmV0LWtleS10aGF0LWlzLWxvbmctZW5vdWdoLTMy",
    "SECRET": "a-word",
}
_PROGRAMME = """version: 1
programme: {name: Клуб, timezone: Europe/Moscow}
accrual: {rate: 10%}
acquirers:
  - {provider: yookassa, shop_id: env:SECRET, secret: env:SECRET}
  - {provider: tbank, terminal: env:SECRET, password: env:SECRET}
  - {provider: cloudpayments, public_id: env:SECRET, secret: env:SECRET}
  - {provider: robokassa, login: env:SECRET, password2: env:SECRET}
  - {provider: sber, token: env:SECRET, callback_key: env:SECRET}
  - {provider: alfabank, token: env:SECRET, callback_certificate: env:CERTIFICATE}
  - {provider: prodamus, secret: env:SECRET}
  - {provider: paykeeper, secret: env:SECRET}
  - {provider: stripe, webhook_secret: env:SECRET}
"""


@dataclass(frozen=True)
class Plan:
    rounds: int = 5
    seconds: float = 0.1


@dataclass(frozen=True)
class Case:
    """`bare` is the primitive under the verification, over the same bytes."""

    acquirer: Acquirer
    callback: Callback
    bare: Callable[[], object]
    bare_name: str


class NotVerified(Exception):
    """A genuine callback was refused, or a forged one taken."""


def measure(plan: Plan) -> list[Line]:
    """Raises NotVerified."""
    cases = [_yookassa(), *(_case(name, example) for name, example in CHOSEN.items())]
    return [*(_verified(case, plan) for case in cases), *_forged(cases, plan)]


def _case(name: str, example_name: str) -> Case:
    example = _example(name, example_name)
    acquirer, callback = of_example(example, now=datetime.now(UTC))
    data, secret = callback.body or callback.query, example["secret"].encode()
    bare: dict[str, tuple[str, Callable[[], object]]] = {
        "tbank": ("SHA-256", lambda: hashlib.sha256(data).hexdigest()),
        "robokassa": ("MD5", lambda: hashlib.md5(data).hexdigest()),
        "paykeeper": ("MD5", lambda: hashlib.md5(data).hexdigest()),
    }
    if name == "alfabank":
        bare[name] = ("RSA-2048 verify", _bare_rsa(example["secret"], callback))
    what, part = bare.get(name, ("HMAC-SHA256", lambda: hmac.new(secret, data, "sha256").hexdigest()))
    return Case(acquirer, callback, part, what)


def _yookassa() -> Case:
    """The one without a signature: a sender's address and a shape are all there is, so reading JSON is its floor."""
    thing = {"id": "22d6d597-000f-5000-9000-145f6df21d6f", "status": "succeeded"}
    body = json.dumps({"type": "notification", "event": "payment.succeeded", "object": thing})
    example = {"provider": "yookassa", "kind": "ip", "body": body, "headers": {"remote_addr": "77.75.156.11"}}
    acquirer, callback = of_example(example, now=datetime.now(UTC))
    return Case(acquirer, callback, lambda: json.loads(callback.body), "json.loads")


def _bare_rsa(pem: str, callback: Callback) -> Callable[[], object]:
    key = load_pem_public_key(pem.encode())
    assert isinstance(key, RSAPublicKey)
    fields = dict(pair.split("=", 1) for pair in callback.query.decode().split("&"))
    signature = bytes.fromhex(fields.pop("checksum"))
    message = "".join(f"{name};{fields[name]};" for name in sorted(fields)).encode()
    padding, digest = PKCS1v15(), SHA512()
    return lambda: key.verify(signature, message, padding, digest)


def _example(provider: str, name: str) -> dict[str, Any]:
    examples: list[dict[str, Any]] = json.loads(EXAMPLES.read_text("utf-8"))
    return next(one for one in examples if (one["provider"], one["name"]) == (provider, name))


def _verified(case: Case, plan: Plan) -> Line:
    acquirer, callback = case.acquirer, case.callback
    if not all(check.is_good for check in acquirer.checks(callback)):
        raise NotVerified(f"{acquirer.name}: a genuine callback was refused")
    table = [(_rate(lambda: acquirer.verify(callback), plan), _rate(case.bare, plan)) for _ in range(plan.rounds)]
    return Line(
        key=f"acquirers.{acquirer.name}",
        title=f"verified by {acquirer.name}",
        value=median(ours for ours, _ in table),
        unit="/s",
        ratio=median(ours / bare for ours, bare in table),
        against=f"bare {case.bare_name}",
    )


def _forged(cases: Sequence[Case], plan: Plan) -> list[Line]:
    """CPU of one forged callback each, from the WSGI request to the refusal and its line in the log."""
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        programme = Path(folder) / "programme.yaml"
        programme.write_text(_PROGRAMME, encoding="utf-8")
        foreign = _example("sber", "docs_asymmetric_certificate")["secret"]
        settings = {**_SETTINGS, "PROGRAMME": str(programme), "CERTIFICATE": foreign}
        configure_logging("info", human=False, stream=nowhere)
        try:
            app = create_app(build_runtime(load_settings(settings, dotenv=None)))
            return [_refused(app, case, plan) for case in cases]
        finally:
            configure_logging("error", human=False)


def _refused(app: WSGIApplication, case: Case, plan: Plan) -> Line:
    name = case.acquirer.name
    ask = _request(app, name, case.callback)
    if not ask().startswith(("400", "403")):
        raise NotVerified(f"{name}: a forged callback was not refused")
    cost_us = 1_000_000 / median(_rate(ask, plan) for _ in range(plan.rounds))
    return Line(
        key=f"acquirers.{name}.forged",
        title=f"  forged for {name}, CPU",
        value=cost_us,
        unit="us",
        target=f"target < {FORGED_US_MAX} us",
        is_reached=cost_us < FORGED_US_MAX,
    )


def _request(app: WSGIApplication, name: str, callback: Callback) -> Callable[[], str]:
    """One WSGI request with everything right but the secret (and for YooKassa the sender); its status."""
    headers = {f"HTTP_{key.upper().replace('-', '_')}": value for key, value in callback.headers.items()}
    environ = {
        "REQUEST_METHOD": callback.method,
        "PATH_INFO": f"/webhooks/payments/{name}",
        "QUERY_STRING": callback.query.decode("latin-1"),
        "CONTENT_LENGTH": str(len(callback.body)),
        "CONTENT_TYPE": callback.header("Content-Type"),
        "REMOTE_ADDR": "203.0.113.9",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        **headers,
    }

    def ask() -> str:
        statuses: list[str] = []

        def start(status: str, *_: object) -> Callable[[bytes], object]:
            statuses.append(status)
            return bytes

        b"".join(app({**environ, "wsgi.input": BytesIO(callback.body), "wsgi.errors": StringIO()}, start))
        return statuses[0]

    return ask


def _rate(part: Callable[[], object], plan: Plan) -> float:
    count, start = 0, time.process_time()
    while (spent := time.process_time() - start) < plan.seconds:
        part()
        count += 1
    return count / spent
