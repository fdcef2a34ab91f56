"""Acquirers' callbacks, in a POST's body or a GET's query: verify on the raw bytes, keep, answer with that acquirer's
exact reply."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, abort, request
from werkzeug.datastructures import EnvironHeaders

from flows import inbox
from webhooks.shared import Taken, Taker, counters, runtime

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

    from flows.runtime import Runtime

PREFIX = "/webhooks/payments/"

blueprint = Blueprint("payments", __name__)


@blueprint.route(f"{PREFIX}<acquirer>", methods=["GET", "POST"])
def receive(acquirer: str) -> Response:
    rt = runtime()
    if not _is_known(rt, acquirer):
        abort(404)
    raw = request.get_data(cache=False) if request.method == "POST" else b""
    taken = _take(rt, acquirer, request.environ, raw)
    counters().accepted.labels(acquirer).inc()
    return Response(taken.body, taken.status, content_type=taken.content_type)


def refused() -> Response:
    """What the acquirer wants to hear when the callback at hand is not genuine."""
    ack = inbox.refusal(runtime(), request.path.removeprefix(PREFIX))
    return Response(ack.body, ack.status, content_type=ack.content_type)


def _is_known(rt: Runtime, acquirer: str) -> bool:
    return acquirer in rt.acquirers


def _take(rt: Runtime, acquirer: str, environ: WSGIEnvironment, raw: bytes) -> Taken:
    callback = inbox.callback_of(
        rt,
        method=environ["REQUEST_METHOD"],
        query=environ.get("QUERY_STRING", "").encode("latin-1"),
        headers=dict(EnvironHeaders(environ)),
        body=raw,
        remote_ip=environ.get("REMOTE_ADDR"),
    )
    ack = inbox.accept_payment(rt, acquirer, callback)
    return Taken(acquirer, ack.status, ack.content_type, ack.body)


TAKER = Taker(PREFIX, _is_known, _take)
