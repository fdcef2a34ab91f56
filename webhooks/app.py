"""The Flask application: blueprints, limits, the table of errors, security headers.

Every failure that a flow may raise has its answer here; what is not in the table is a bug and becomes a plain 500
with a log line, never a page with a traceback.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING

import structlog
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.middleware.proxy_fix import ProxyFix

from flows.errors import BadReply, BadSignature, DatabaseAway, SchemaMismatch, is_busy, is_too_large
from flows.refusals import PointsOutOfRange
from webhooks import amocrm, amocrm_install, api, card_page, google_wallet, operations, passes, payments
from webhooks.counters import Counters
from webhooks.shared import runtime

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from flows.runtime import Runtime

BODY_BYTES_MAX = 256 * 1024
LENGTH_DIGITS_MAX = 12
RETRY_AFTER_S = 5
QUIET_PATHS = ("/healthz", "/readyz", "/metrics")
SAFE_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'"),
    ("Cache-Control", "no-store"),
)
HTTPS_ONLY = ("Strict-Transport-Security", "max-age=31536000")
TAKERS = (amocrm.TAKER, payments.TAKER)

_log = structlog.get_logger(__name__)


def create_app(rt: Runtime) -> Flask:
    """The WSGI application over a prepared Runtime."""
    app = Flask("webhooks", root_path=_root(), template_folder="templates", static_folder="static")
    app.url_map.merge_slashes = False  # a doubled slash is another address, not a redirect that loses the body
    app.config.update(MAX_CONTENT_LENGTH=BODY_BYTES_MAX, MAX_FORM_MEMORY_SIZE=BODY_BYTES_MAX)
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.extensions["runtime"] = rt
    app.extensions["counters"] = Counters()
    app.wsgi_app = _direct(app, rt)  # type: ignore[assignment, method-assign]
    if rt.settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=rt.settings.trusted_proxies, x_proto=1, x_host=0)  # type: ignore[method-assign]
    for one in (amocrm, amocrm_install, payments, card_page, google_wallet, passes, api, operations):
        app.register_blueprint(one.blueprint)
    app.register_blueprint(api.docs)
    app.before_request(_begin)
    app.after_request(_finish)
    _register_errors(app)
    return app


def _root() -> str:
    from pathlib import Path  # noqa: PLC0415 - only here

    return str(Path(__file__).parent)


def _direct(app: Flask, rt: Runtime) -> WSGIApplication:
    """Takes webhooks without Flask, whose part is dearer than storing them; what is unusual or fails is Flask's.

    They leave no line in the log: each is a row of the inbox and a count in /metrics.
    """
    through_flask, safe_headers, counters = app.wsgi_app, _safe_headers(rt), app.extensions["counters"]

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path, size = environ["PATH_INFO"], _plain_body_bytes(environ)
        taker = next((one for one in TAKERS if path.startswith(one.prefix)), None)
        name = "" if taker is None else path.removeprefix(taker.prefix)
        if taker is None or size is None or not taker.is_known(rt, name):
            return through_flask(environ, start_response)
        raw = environ["wsgi.input"].read(size)
        if len(raw) < size:
            return through_flask({**environ, "wsgi.input": BytesIO(raw)}, start_response)
        try:
            taken = taker.take(rt, name, environ, raw)
        except Exception as failure:  # noqa: BLE001 - the table of errors below has the answer
            with app.request_context(environ):
                return app.finalize_request(app.handle_user_exception(failure))(environ, start_response)
        counters.accepted.labels(taken.source).inc()
        headers = [("Content-Type", taken.content_type), ("Content-Length", str(len(taken.body))), *safe_headers]
        start_response(f"{taken.status} {HTTPStatus(taken.status).phrase}", headers)
        return [taken.body]

    return serve


def _plain_body_bytes(environ: WSGIEnvironment) -> int | None:
    """The size of a POST's body that is announced and allowed; None is for Flask to answer."""
    size = environ.get("CONTENT_LENGTH") or ""
    if environ["REQUEST_METHOD"] != "POST" or "HTTP_TRANSFER_ENCODING" in environ:
        return None
    if not size.isdecimal() or len(size) > LENGTH_DIGITS_MAX:
        return None
    return int(size) if int(size) <= BODY_BYTES_MAX else None


def _safe_headers(rt: Runtime) -> Sequence[tuple[str, str]]:
    return (*SAFE_HEADERS, HTTPS_ONLY) if rt.settings.public_url.startswith("https://") else SAFE_HEADERS


def _begin() -> None:
    g.started = time.monotonic()


def _finish(response: Response) -> Response:
    for name, value in _safe_headers(runtime()):
        response.headers.setdefault(name, value)
    if request.path not in QUIET_PATHS:
        # The route, never the path: paths hold the hook's key and card tokens.
        _log.info(
            "request",
            method=request.method,
            route=str(request.url_rule) if request.url_rule else "unknown",
            status=response.status_code,
            ms=round((time.monotonic() - g.started) * 1000, 1) if "started" in g else None,
            **_named(),
        )
    return response


def _register_errors(app: Flask) -> None:
    @app.errorhandler(BadSignature)
    def bad_signature(_: BadSignature) -> Response:
        app.extensions["counters"].forged.inc()
        return payments.refused()

    @app.errorhandler(BadReply)
    def unreadable(_: BadReply) -> Response:
        return _refused(400, "unreadable")

    @app.errorhandler(DatabaseAway)
    def away(_: DatabaseAway) -> Response:
        return _later()

    @app.errorhandler(SchemaMismatch)
    def outdated(failure: SchemaMismatch) -> Response:
        _log.error("schema_moved", error=str(failure), **_named())
        return _later()

    @app.errorhandler(HTTPException)
    def http(failure: HTTPException) -> Response:
        response = _refused(failure.code or 500, failure.name.lower())
        if isinstance(failure, MethodNotAllowed):
            response.headers["Allow"] = ", ".join(sorted(failure.valid_methods or ()))
        return response

    app.register_error_handler(Exception, _database_said_no_or_bug)


def _database_said_no_or_bug(failure: Exception) -> Response:
    if is_busy(failure):
        _log.warning("database_busy", **_named())
        return _later()
    if is_too_large(failure) and _is_api():
        return api.answered(PointsOutOfRange())
    _log.error("unexpected", exc_info=failure, **_named())
    return _refused(500, "internal error")


def _refused(status: int, text: str) -> Response:
    """A word for senders who look at the status alone, a problem document for callers of the API."""
    if _is_api():
        return api.refused(status)
    return Response(text, status, content_type="text/plain; charset=utf-8")


def _later() -> Response:
    response = _refused(503, "try again")
    response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def _is_api() -> bool:
    return request.path == api.PREFIX or request.path.startswith(f"{api.PREFIX}/")


def _named() -> dict[str, str]:
    """The name of a call of the API, which its caller was told."""
    return {"request_id": g.request_id} if "request_id" in g else {}
