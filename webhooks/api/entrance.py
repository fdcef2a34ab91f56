"""The door of the API: every call passes the same steps before its handler and after it.

Steps: the caller's token and rate; the right this address takes; the key of a write; the format (`reading.py`); then
the handler, at most once per key; the answer. A refusal at any step is a problem document, and nothing was changed.
"""

from __future__ import annotations

import hashlib
import math
import re
from typing import TYPE_CHECKING

from flask import Response, current_app, request

from flows import access, active_rules, idempotency
from flows.idempotency import Answer
from flows.refusals import Denied
from webhooks.api import problems, reading
from webhooks.api.calls import Call
from webhooks.shared import runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flows.access import Caller
    from flows.idempotency import Claimed
    from flows.runtime import Runtime
    from webhooks.api.route import Route

RATE_SETTING = "API_CALLS_PER_SECOND"
"""Flask's configuration may hold another rate than the usual one."""

_KEY = re.compile(r"[\x20-\x7e]{1,255}")


def handler(route: Route) -> Callable[..., Response]:
    """The Flask view of one line of the table."""

    def view(**path: str) -> Response:
        problems.request_id()  # named first: whatever fails later is found in the log by it
        try:
            return _respond(route, path)
        except Denied as denied:
            return problems.answered(denied)

    return view


def _respond(route: Route, path: Mapping[str, str]) -> Response:
    rt = runtime()
    active_rules.look(rt)
    caller = _caller(rt)
    if route.scope not in caller.scopes:
        raise problems.InsufficientScope(f"Нужно право {route.scope}", scope=route.scope)
    key = _key() if route.is_write else ""
    given = {**reading.path(path), **reading.rest(route)}

    def work(claimed: Claimed | None) -> Answer:
        call = Call(rt, caller, route.status, claimed)
        return call.answer(route.view(call, **given))

    if not route.is_write:
        return _response(work(None))
    answer = idempotency.once(
        rt, token_id=caller.id, key=key, digest=_digest(), work=lambda claimed: _final(lambda: work(claimed))
    )
    return _response(answer)


def _final(work: Callable[[], Answer]) -> Answer:
    """A refusal is forgotten with its key: nothing was done, and its cure may lie elsewhere. One that has counted
    something is an answer like any other."""
    try:
        return work()
    except Denied as denied:
        if not denied.is_kept:
            raise
        return Answer(denied.status, problems.document(denied))


def _response(answer: Answer) -> Response:
    content_type = problems.CONTENT_TYPE if answer.status >= 400 else "application/json"
    response = Response(answer.body, answer.status, content_type=content_type)
    response.headers["X-Request-Id"] = problems.request_id()
    if answer.is_replay:
        response.headers["Idempotent-Replayed"] = "true"
    return response


def _caller(rt: Runtime) -> Caller:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    per_second = current_app.config.get(RATE_SETTING, access.CALLS_PER_SECOND)
    found = access.admit(rt, token.strip(), per_second=per_second) if scheme.lower() == "bearer" else None
    if found is None:
        raise problems.Unauthorized
    if found.wait_s > 0:
        raise problems.RateLimited(
            f"Можно {per_second * access.WINDOW_S} запросов за {access.WINDOW_S} с",
            retry_after_s=math.ceil(found.wait_s),
        )
    active_rules.look(rt)
    return found.caller


def _key() -> str:
    key = request.headers.get("Idempotency-Key")
    if key is None or key == "":
        raise problems.KeyMissing
    if not _KEY.fullmatch(key):
        raise problems.KeyBad
    return key


def _digest() -> bytes:
    """What must be the same for a repetition: the method, the address, the body to the byte."""
    parts = (request.method.encode(), request.path.encode(), request.get_data())
    return hashlib.sha256(b"\n".join(parts)).digest()
