"""What the tests of the API share: a program with its token, rules in force, the ledger's entries without their ids."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa
from flask import Flask
from werkzeug.test import TestResponse

from flows import access
from flows.runtime import ActiveRules, Runtime
from loyalty.programme import Programme
from storage import rules
from webhooks.api.route import Route
from webhooks.api.routes import ROUTES

ANNA = "+79161234567"
_keys = itertools.count(1)


@dataclass
class Program:
    """A site, a till or a bot of the shop: calls the API with its token, each write under a key of its own."""

    app: Flask
    token: str
    base: str = "/api/v1"
    replies: list[TestResponse] = field(default_factory=list)

    def get(self, path: str) -> TestResponse:
        return self.app.test_client().get(self.base + path, headers=self.headers())

    def post(self, path: str, body: Any = None, *, key: str | None = None, method: str = "POST") -> TestResponse:
        data = json.dumps({} if body is None else body, ensure_ascii=False).encode()
        return self.send(method, path, data, key=key)

    def put(self, path: str, body: Any, *, key: str | None = None) -> TestResponse:
        return self.post(path, body, key=key, method="PUT")

    def send(self, method: str, path: str, data: bytes, *, key: str | None = None, **headers: str) -> TestResponse:
        """These very bytes."""
        given = {"Content-Type": "application/json", "Idempotency-Key": key or f"key-{next(_keys)}"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.app.test_client().open(
            self.base + path, method=method, data=data, headers={**self.headers(), **given}
        )

    def ok(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """What is answered to a call that must succeed."""
        reply = self.get(path) if method == "GET" else self.post(path, body, method=method)
        assert reply.status_code < 300, f"{method} {path}: {reply.status_code} {reply.text}"
        assert reply.json is not None
        return dict(reply.json)

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


def program(app: Flask, rt: Runtime, *scopes: str, name: str = "tests", channel: str = "site") -> Program:
    """A program with these rights, with all of them if none is named."""
    return Program(app, access.create_token(rt, name, scopes or access.SCOPES, channel))


def new_member(caller: Program, phone: str = ANNA, **more: Any) -> int:
    return int(caller.ok("POST", "/members", {"name": "Анна Петрова", "phone": phone, **more})["id"])


def give(rt: Runtime, member_id: int, points: int) -> None:
    """Available points out of nowhere, properly in the book."""
    from flows import adjusting

    rules_before = rt.active
    rich = replace(rt.programme.adjustments, max_points=10**6, max_points_per_day=10**9)
    rt.active = ActiveRules(rt.rules_version, replace(rt.programme, adjustments=rich), rt.active.lines)
    wanted = adjusting.Adjustment(points, "gift", "для теста", "tests", f"give-{next(_keys)}")
    adjusting.adjust(rt, member_id, wanted)
    rt.active = rules_before


def use_rules(rt: Runtime, programme: Programme) -> None:
    """These rules are in force from now on, as after `kopilka apply`."""
    version = replace(rt.file, programme=programme).version
    with rt.db.begin() as tx:
        rules.remember(tx, version, programme, now=rt.now())
        rules.apply(tx, version, source="", lines={}, by="tests", now=rt.now())
    rt.active = ActiveRules(version, programme, {})


def plain_rules(rt: Runtime, **changes: Any) -> Programme:
    """10 %, 30 %, no segments, no welcome: the rules of the worked examples."""
    base = replace(rt.programme, segments=(), welcome=None)
    return replace(base, **changes)


def entries(rt: Runtime) -> list[tuple[Any, ...]]:
    """What the ledger says, without ids and names of rows."""
    query = """
        SELECT t.move, t.debit, t.credit, t.points, t.rule, t.rules_version, l.source, l.activates_at, l.expires_at
        FROM transfer t LEFT JOIN lot l ON l.id = t.lot_id ORDER BY t.id
    """
    with rt.db.begin() as tx:
        return [tuple(row) for row in tx.execute(sa.text(query))]


def is_problem(reply: TestResponse, status: int, code: str) -> dict[str, Any]:
    """RFC 9457 with our stable code. Returns the document."""
    assert reply.content_type == "application/problem+json", reply.text
    assert reply.json is not None
    assert (reply.status_code, reply.json["status"], reply.json["code"]) == (status, status, code), reply.text
    assert reply.json["title"]
    assert reply.headers["X-Request-Id"]
    return dict(reply.json)


def route(method: str, path: str) -> Route:
    return next(one for one in ROUTES if (one.method, one.path) == (method, path))
