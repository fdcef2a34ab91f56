"""What iPhones ask of installed cards: the five endpoints of Apple's PassKit web service (wallet reference, A6).

Owns statuses, headers and limits; what is true is `flows/apple_service.py`. Wherever a card is named, a wrong token, an
unknown card and a foreign pass type get one and the same 401. Nothing that a phone sends is kept but its push token;
its complaints go to the log, few and short.
"""

from __future__ import annotations

import json
import re
import threading
import time
from typing import TYPE_CHECKING, Any

import structlog
from flask import Blueprint, Response, current_app, jsonify, request
from werkzeug.http import http_date, parse_date

from flows import apple_service
from flows.apple_service import NotAllowed
from flows.errors import WalletError
from webhooks.shared import counters, runtime

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from flask.blueprints import BlueprintSetupState

PKPASS = "application/vnd.apple.pkpass"
SCHEME = "ApplePass"
REGISTRATION_BYTES_MAX = 4 * 1024
LOG_BYTES_MAX = 16 * 1024
LOG_LINES_MAX = 10
LOG_LINE_CHARS_MAX = 300
LOG_LINES_PER_MINUTE = 60
LIMIT = "phones_log_limit"
RETRY_AFTER_S = 300

_LONG_WORD = re.compile(r"[A-Za-z0-9_-]{16,}")
"""Serials, tokens and the phone's own secret name look like this."""

_REGISTRATION = "/devices/<library_id>/registrations/<pass_type_id>/<serial>"
_log = structlog.get_logger(__name__)

blueprint = Blueprint("passes", __name__, url_prefix="/passes/v1")


class LogLimit:
    """So many lines a minute for all phones together: anybody may write here."""

    def __init__(self, lines_per_minute: int) -> None:
        self._per_minute = lines_per_minute
        self._lock = threading.Lock()
        self._left = float(lines_per_minute)
        self._looked_at = time.monotonic()

    def take(self, wanted: int) -> int:
        """How many of these lines may be written."""
        with self._lock:
            now = time.monotonic()
            gained = (now - self._looked_at) * self._per_minute / 60
            self._left = min(float(self._per_minute), self._left + gained)
            self._looked_at = now
            taken = min(wanted, int(self._left))
            self._left -= taken
            return taken


@blueprint.record
def set_up(state: BlueprintSetupState) -> None:
    state.app.extensions[LIMIT] = LogLimit(LOG_LINES_PER_MINUTE)


@blueprint.post(_REGISTRATION)
def register(library_id: str, pass_type_id: str, serial: str) -> Response:
    _allow(pass_type_id, serial)
    request.max_content_length = REGISTRATION_BYTES_MAX
    asked = _json(request.get_data(cache=False))
    push_token = asked.get("pushToken") if isinstance(asked, dict) else None
    if not isinstance(push_token, str) or not apple_service.is_push_token(push_token):
        return _plain(400)
    is_new = apple_service.register(runtime(), library_id, serial, push_token)
    return _plain(201 if is_new else 200)


@blueprint.delete(_REGISTRATION)
def unregister(library_id: str, pass_type_id: str, serial: str) -> Response:
    _allow(pass_type_id, serial)
    apple_service.unregister(runtime(), library_id, serial)
    return _plain(200)


@blueprint.get("/devices/<library_id>/registrations/<pass_type_id>")
def updated(library_id: str, pass_type_id: str) -> Response:
    """Without a token, as Apple has it: who asks must know the phone's own secret name."""
    found = apple_service.updated(runtime(), library_id, pass_type_id, request.args.get("passesUpdatedSince"))
    if found is None:
        return _plain(204)
    return jsonify(serialNumbers=list(found.serials), lastUpdated=found.tag)


@blueprint.get("/passes/<pass_type_id>/<serial>")
def fetch(pass_type_id: str, serial: str) -> Response:
    token = _allow(pass_type_id, serial)
    since = _date(request.headers.get("If-Modified-Since"))
    found = apple_service.fetch(runtime(), serial, token, since)
    response = _plain(304) if found.content is None else Response(found.content, content_type=PKPASS)
    response.headers["Cache-Control"] = "private, no-cache"
    if found.modified_at is not None:
        response.headers["Last-Modified"] = http_date(found.modified_at)
    if found.fresh_s is not None:
        counters().card_fresh.observe(found.fresh_s)
    return response


@blueprint.post("/log")
def log() -> Response:
    """Always 200: a phone whose complaint is refused only repeats it."""
    size = request.content_length
    if size is None or size > LOG_BYTES_MAX:
        return _plain(200)
    asked = _json(request.get_data(cache=False))
    lines = asked.get("logs") if isinstance(asked, dict) else None
    if isinstance(lines, list):
        _write(lines)
    return _plain(200)


@blueprint.errorhandler(NotAllowed)
def not_allowed(_: NotAllowed) -> Response:
    response = _plain(401)
    response.headers["WWW-Authenticate"] = SCHEME
    return response


@blueprint.errorhandler(WalletError)
def cannot_build(failure: WalletError) -> Response:
    """An expired certificate, a design that breaks a rule: the phone keeps what it has and asks later."""
    _log.error("apple_card_not_built", error=str(failure))
    response = _plain(503)
    response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def _allow(pass_type_id: str, serial: str) -> str:
    """The token that was shown. Raises NotAllowed."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    given = token.strip() if scheme.casefold() == SCHEME.casefold() else ""
    apple_service.allow(runtime(), pass_type_id, serial, given)
    return given


def _write(lines: Sequence[Any]) -> None:
    words = [line for line in lines[:LOG_LINES_MAX] if isinstance(line, str)]
    limit: LogLimit = current_app.extensions[LIMIT]
    for line in words[: limit.take(len(words))]:
        printable = "".join(char if char.isprintable() else " " for char in line[:LOG_LINE_CHARS_MAX])
        _log.info("phone_says", text=_LONG_WORD.sub("…", printable))


def _date(text: str | None) -> datetime | None:
    """None for none, and for what is none: the library stumbles over a year of twenty digits."""
    try:
        return parse_date(text)
    except OverflowError:
        return None


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _plain(status: int) -> Response:
    return Response(status=status, content_type="text/plain; charset=utf-8")
