"""Acquirers' callbacks: verify on the raw bytes, keep, answer with that acquirer's exact reply."""

from __future__ import annotations

from flask import Blueprint, Response, abort, request

from flows import inbox
from webhooks.shared import counters, runtime

blueprint = Blueprint("payments", __name__)


@blueprint.route("/webhooks/payments/<acquirer>", methods=["GET", "POST"])
def receive(acquirer: str) -> Response:
    rt = runtime()
    if acquirer not in rt.acquirers:
        abort(404)
    raw = request.get_data(cache=False) if request.method == "POST" else request.query_string
    ack = inbox.accept_payment(rt, acquirer, dict(request.headers), raw, request.remote_addr)
    counters().accepted.labels(acquirer).inc()
    return Response(ack.body, ack.status, content_type=ack.content_type)
