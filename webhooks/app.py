"""The Flask application: blueprints, limits, the table of errors, security headers.

Every failure that a flow may raise has its answer here; what is not in the table is a bug and becomes a plain 500
with a log line, never a page with a traceback.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.middleware.proxy_fix import ProxyFix

from flows.errors import BadReply, BadSignature, DatabaseAway
from webhooks import amocrm, api, cards, operations, payments
from webhooks.counters import Counters
from webhooks.shared import runtime

if TYPE_CHECKING:
    from flows.runtime import Runtime

BODY_BYTES_MAX = 256 * 1024
RETRY_AFTER_S = 5
QUIET_PATHS = ("/healthz", "/readyz", "/metrics")
HTTPS_ONLY = "max-age=31536000"

_log = structlog.get_logger(__name__)


def create_app(rt: Runtime) -> Flask:
    """The WSGI application over a prepared Runtime."""
    app = Flask("webhooks", root_path=_root(), template_folder="templates", static_folder="static")
    app.config.update(MAX_CONTENT_LENGTH=BODY_BYTES_MAX, MAX_FORM_MEMORY_SIZE=BODY_BYTES_MAX)
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.extensions["runtime"] = rt
    app.extensions["counters"] = Counters()
    if rt.settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=rt.settings.trusted_proxies, x_proto=1, x_host=0)  # type: ignore[method-assign]
    for blueprint in (amocrm.blueprint, payments.blueprint, cards.blueprint, api.blueprint, operations.blueprint):
        app.register_blueprint(blueprint)
    app.before_request(_begin)
    app.after_request(_finish)
    _register_errors(app)
    return app


def _root() -> str:
    from pathlib import Path  # noqa: PLC0415 - only here

    return str(Path(__file__).parent)


def _begin() -> None:
    g.started = time.monotonic()


def _finish(response: Response) -> Response:
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    response.headers.setdefault("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'")
    response.headers.setdefault("Cache-Control", "no-store")
    if runtime().settings.public_url.startswith("https://"):
        response.headers.setdefault("Strict-Transport-Security", HTTPS_ONLY)
    if request.path not in QUIET_PATHS:
        # The route, never the path: paths hold the hook's key and card tokens.
        _log.info(
            "request",
            method=request.method,
            route=str(request.url_rule) if request.url_rule else "unknown",
            status=response.status_code,
            ms=round((time.monotonic() - g.started) * 1000, 1) if "started" in g else None,
        )
    return response


def _register_errors(app: Flask) -> None:
    @app.errorhandler(BadSignature)
    def bad_signature(_: BadSignature) -> Response:
        app.extensions["counters"].forged.inc()
        return _refused(403, "forged")

    @app.errorhandler(BadReply)
    def unreadable(_: BadReply) -> Response:
        return _refused(400, "unreadable")

    @app.errorhandler(DatabaseAway)
    def away(_: DatabaseAway) -> Response:
        response = _refused(503, "try again")
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
        return response

    @app.errorhandler(HTTPException)
    def http(failure: HTTPException) -> Response:
        response = _refused(failure.code or 500, failure.name.lower())
        if isinstance(failure, MethodNotAllowed):
            response.headers["Allow"] = ", ".join(sorted(failure.valid_methods or ()))
        return response

    @app.errorhandler(Exception)
    def bug(failure: Exception) -> Response:
        _log.error("unexpected", exc_info=failure)
        return _refused(500, "internal error")


def _refused(status: int, text: str) -> Response:
    """A word for senders who look at the status alone, a problem document for callers of the API."""
    if request.path.startswith(f"{api.PREFIX}/"):
        return api.problem(status, text.replace(" ", "_"), api.TITLES.get(status, api.TITLES[400]))
    return Response(text, status, content_type="text/plain; charset=utf-8")
