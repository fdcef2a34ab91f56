"""Why an acquirer's callback is taken for genuine or not: the verification of the door, told step by step.

Owns the making of an acquirer and a callback from a known example («vector»), and the verdict. Stores nothing and asks
nobody outside. What it returns holds buyers' data: it is for the person who asked, never for a log.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from config.acquirers import ACQUIRERS as KNOWN
from connector.acquiring import ACQUIRERS
from connector.acquiring.base import Ack, Acquirer, Callback, Check, Parsed
from connector.errors import BadReply, NotConfigured
from connector.http import HttpClient

Example = Mapping[str, Any]

SENDER = "remote_addr"
"""In an example's headers: who sent it. No acquirer sends such a header."""

# What an example's `secret` is. The other credentials are no part of the proof, or stand in the example.
SECRETS = {
    "yookassa": "secret",
    "tbank": "password",
    "cloudpayments": "secret",
    "robokassa": "password2",
    "sber": "callback_key",
    "alfabank": "callback_key",
    "prodamus": "secret",
    "paykeeper": "secret",
    "stripe": "webhook_secret",
}
_STAND_IN = "-"
_PEM = "-----BEGIN "
UNIX_MAX = 2**33
_NOTIFICATIONS = ("notification", "ip", "doc_placeholder")
_ALSO_CHECKED = (("tbank", "request"),)  # T-Bank signs what we ask by the same rule


class BadExample(Exception):
    """It cannot be checked at all. The text says why, `mend` what to do."""

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(message)
        self.mend = mend


@dataclass(frozen=True)
class Verdict:
    """`event_id` and `meaning` are those of a genuine callback; `unreadable` says why it has none all the same."""

    acquirer: str
    title_ru: str
    checks: tuple[Check, ...]
    reply: Ack
    event_id: str = ""
    meaning: Parsed | None = None
    unreadable: str = ""

    @property
    def is_genuine(self) -> bool:
        return bool(self.checks) and all(check.is_good for check in self.checks)


def connected(name: str, credentials: Mapping[str, str], *, check_ip: bool) -> Acquirer:
    """An acquirer that can verify. Raises BadExample when a credential is missing or cannot be one."""
    kind = ACQUIRERS[name]
    try:
        return kind.from_credentials(credentials, api_url=kind.api_url, http=HttpClient(), check_ip=check_ip)
    except NotConfigured as failure:
        message = f"{kind.title_ru}: секреты не годятся ({failure})"
        raise BadExample(message, "kopilka check покажет, чего не хватает в файле правил и .env") from failure


def examine(acquirer: Acquirer, callback: Callback) -> Verdict:
    """The verification and, if it holds, what the callback says and what the acquirer is answered."""
    checks = tuple(acquirer.checks(callback))
    verdict = Verdict(acquirer.name, acquirer.title_ru, checks, acquirer.refusal())
    if not verdict.is_genuine:
        return verdict
    raw = acquirer.keep(callback)
    try:
        verdict = replace(verdict, reply=acquirer.ack(raw))
        return replace(verdict, event_id=acquirer.event_id(raw), meaning=acquirer.parse(raw))
    except BadReply as failure:  # at the door it is kept for a person
        return replace(verdict, unreadable=str(failure))


def examine_example(example: object, *, now: datetime) -> Verdict:
    """A known example: an object with `provider`, `method`, `headers`, `body` and `secret`; `content_type`, `query`,
    `now` (Unix seconds) and `credentials` if need be. Raises BadExample."""
    acquirer, callback = of_example(example, now=now)
    if isinstance(example, dict) and example.get("kind") == "ip":
        checks = tuple(acquirer.checks(callback)[:1])  # the sender's address; such an example has no body
        reply = acquirer.ack(b"") if checks[0].is_good else acquirer.refusal()
        return Verdict(acquirer.name, acquirer.title_ru, checks, reply)
    return examine(acquirer, callback)


def of_example(example: object, *, now: datetime) -> tuple[Acquirer, Callback]:
    """The acquirer that the example is meant for, and the callback. Raises BadExample."""
    if not isinstance(example, dict):
        raise BadExample("В файле не объект JSON", 'положите в него один пример: {"provider": "tbank", "body": …, …}')
    name, kind = example.get("provider"), example.get("kind", "notification")
    if not isinstance(name, str) or name not in ACQUIRERS:
        raise BadExample("provider примера неизвестен", f"он бывает: {', '.join(sorted(ACQUIRERS))}")
    if (name, kind) not in _ALSO_CHECKED and kind not in _NOTIFICATIONS:
        raise BadExample("Этот пример не уведомление", f"kind бывает: {', '.join(_NOTIFICATIONS)}")
    if not isinstance(example.get("body"), str):
        raise BadExample("В примере нет body", "впишите тело уведомления строкой, как оно пришло; для GET — параметры")
    acquirer = connected(name, _credentials(name, example), check_ip=kind == "ip")
    return acquirer, _callback(example, now=now)


def _credentials(name: str, example: Example) -> dict[str, str]:
    """The example's secret under its name, and something for what does not enter the proof."""
    known, secret, algorithm = KNOWN[name], example.get("secret"), example.get("algo")
    found = dict.fromkeys((*known.required, *(known.needs_any or ((),))[0]), _STAND_IN)
    if isinstance(secret, str) and secret:
        found["callback_certificate" if secret.startswith(_PEM) else SECRETS[name]] = secret
    if name == "tbank":
        found["terminal"] = _terminal(example["body"])
    if name == "robokassa" and isinstance(algorithm, str):
        found["algorithm"] = algorithm
    given = example.get("credentials")
    return {**found, **{key: str(value) for key, value in given.items()}} if isinstance(given, dict) else found


def _terminal(body: str) -> str:
    """The one that the callback names: an example does not tell ours."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    terminal = content.get("TerminalKey") if isinstance(content, dict) else None
    return terminal if isinstance(terminal, str) and terminal else _STAND_IN


def _callback(example: Example, *, now: datetime) -> Callback:
    given = example.get("headers")
    headers = {str(name): str(value) for name, value in given.items()} if isinstance(given, dict) else {}
    remote_ip = headers.pop(SENDER, None)
    if isinstance(example.get("content_type"), str):
        headers.setdefault("Content-Type", example["content_type"])
    unix = example.get("now")
    at = datetime.fromtimestamp(unix, UTC) if isinstance(unix, int) and 0 <= unix <= UNIX_MAX else now
    method, body = str(example.get("method") or "POST").upper(), example["body"].encode("utf-8", "surrogatepass")
    if method == "POST":
        return Callback(method, str(example.get("query") or "").encode(), headers, body, remote_ip, at)
    return Callback(method, body, headers, b"", remote_ip, at)
