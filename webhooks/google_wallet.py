"""What Google asks of us: its callbacks (somebody has saved his card or deleted it) and the wide picture of the card.

A callback is answered with 200 once it is kept (or was before), 403 if it is not Google's, 503 while Google's own keys
cannot be had.
"""

from __future__ import annotations

from flask import Blueprint, Response, abort, request

from flows import cards, google_callbacks
from flows.errors import BadSignature, ConnectorError
from webhooks.shared import counters, runtime

RETRY_AFTER_S = 60

blueprint = Blueprint("google_wallet", __name__)


@blueprint.post("/webhooks/google-wallet")
def receive() -> Response:
    rt = runtime()
    if rt.google is None:
        abort(404)
    raw = request.get_data(cache=False)
    if len(raw) > google_callbacks.BODY_BYTES_MAX:
        abort(413)
    try:
        google_callbacks.receive(rt, raw)
    except BadSignature:
        counters().forged.inc()
        return _plain("forged", 403)
    except ConnectorError:
        response = _plain("try again", 503)
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
        return response
    counters().accepted.labels("google").inc()
    return _plain("ok", 200)


@blueprint.get("/c/hero.png")
def hero() -> Response:
    picture = cards.hero_png(runtime())
    if picture is None:
        abort(404)
    return Response(picture, content_type="image/png", headers={"Cache-Control": "max-age=3600"})


def _plain(text: str, status: int) -> Response:
    return Response(text, status, content_type="text/plain; charset=utf-8")
