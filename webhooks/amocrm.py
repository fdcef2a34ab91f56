"""amoCRM's hook: 204 once the bytes are durable, 404 for an unknown key. Nothing of the body is looked at here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, abort, request

from flows import inbox
from webhooks.shared import Taken, Taker, counters, runtime

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

    from flows.runtime import Runtime

PREFIX = "/webhooks/amocrm/"
SOURCE = "amocrm"

blueprint = Blueprint("amocrm", __name__)


@blueprint.post(f"{PREFIX}<key>")
def receive(key: str) -> Response:
    rt = runtime()
    if not _is_known(rt, key):
        abort(404)
    taken = _take(rt, key, request.environ, request.get_data(cache=False))
    counters().accepted.labels(SOURCE).inc()
    return Response(taken.body, taken.status, content_type=taken.content_type)


def _is_known(rt: Runtime, key: str) -> bool:
    return rt.hook_paths.is_known(key)


def _take(rt: Runtime, key: str, _environ: WSGIEnvironment, raw: bytes) -> Taken:
    inbox.accept_hook(rt, raw)
    rt.hook_paths.note(key)
    return Taken(SOURCE, 204, "text/html; charset=utf-8", b"")


TAKER = Taker(PREFIX, _is_known, _take)
