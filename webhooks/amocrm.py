"""amoCRM's hook: 204 once the bytes are durable, 404 for an unknown key. Nothing of the body is looked at here."""

from __future__ import annotations

from flask import Blueprint, abort, request

from flows import inbox
from webhooks.shared import counters, runtime

blueprint = Blueprint("amocrm", __name__)


@blueprint.post("/webhooks/amocrm/<key>")
def receive(key: str) -> tuple[str, int]:
    rt = runtime()
    if not rt.keys.is_secret_path("amocrm hook", key):
        abort(404)
    inbox.accept_hook(rt, request.get_data(cache=False))
    counters().accepted.labels("amocrm").inc()
    return "", 204
