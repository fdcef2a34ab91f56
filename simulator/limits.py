"""Who may call the API now: rate limits, bans, injected faults, and the Bearer check.

Implements the amoCRM reference sections 1.7 and 2.1. Limits run on real time, token lifetimes on virtual time.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections import deque

from flask import Flask, Response, g, request

from simulator.answers import html, problem
from simulator.faults import Faults
from simulator.settings import CrmSettings
from simulator.world import ADMIN_ID, Crm

# A client that paces itself to exactly 7 a second must not be caught by the jitter of the network.
WINDOW_S = 0.95
BAN_COUNT_WITHIN_S = 60.0
ACCOUNT_RPS_FACTOR = 50 / 7
WRITES = frozenset({"POST", "PATCH", "DELETE"})
TOO_MANY = (
    "<html>\r\n<head><title>429 Too Many Requests</title></head>\r\n<body>\r\n"
    "<center><h1>429 Too Many Requests</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
FORBIDDEN = (
    "<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body>\r\n"
    "<center><h1>403 Forbidden</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)


class Limiter:
    """7 requests a second per integration, 50 per account; too many refusals in a minute ban the caller."""

    def __init__(self, settings: CrmSettings) -> None:
        self._settings = settings
        self._calls: dict[str, deque[float]] = {}
        self._refusals: deque[float] = deque()
        self._banned_until = 0.0

    def banned(self) -> bool:
        return time.monotonic() < self._banned_until

    def banned_left_s(self) -> float:
        return max(0.0, round(self._banned_until - time.monotonic(), 1))

    def allows(self, integration: str) -> bool:
        """Counts a call. Refused calls do not fill the window, but lead to a ban."""
        limit = self._settings.requests_per_second
        if not limit:
            return True
        now = time.monotonic()
        for key, most in ((integration, limit), ("account", int(limit * ACCOUNT_RPS_FACTOR))):
            calls = self._calls.setdefault(key, deque())
            while calls and calls[0] <= now - WINDOW_S:
                calls.popleft()
            if len(calls) >= most:
                self._refuse(now)
                return False
        for key in (integration, "account"):
            self._calls[key].append(now)
        return True

    def forgive(self) -> None:
        """Lifts a ban (reset)."""
        self._calls.clear()
        self._refusals.clear()
        self._banned_until = 0.0

    def _refuse(self, now: float) -> None:
        self._refusals.append(now)
        while self._refusals[0] <= now - BAN_COUNT_WITHIN_S:
            self._refusals.popleft()
        if len(self._refusals) > self._settings.ban_after:
            self._banned_until = now + self._settings.ban_s
            self._refusals.clear()


def guard(app: Flask, crm: Crm) -> None:
    """Puts the checks in front of every /api/v4 call, and the world's lock around it."""
    limiter = Limiter(crm.settings.crm)
    crm.limiter = limiter

    def before() -> Response | None:
        if request.path.startswith("/oauth2/"):
            return html(403, FORBIDDEN) if crm.faults.forbidden() or limiter.banned() else None
        if not request.path.startswith("/api/v4/"):
            return None
        refusal = _refusal(crm, limiter)
        if refusal is not None:
            return refusal
        time.sleep(crm.faults.delay_s())
        crm.store.lock.acquire()
        g.locked = True
        return None

    def teardown(_error: BaseException | None) -> None:
        if g.pop("locked", False):
            crm.store.lock.release()

    app.before_request(before)
    app.after_request(lambda response: _finished(crm, response))
    app.teardown_request(teardown)


def _finished(crm: Crm, response: Response) -> Response:
    """Names the request, and loses the answer of an applied write when the profile says so."""
    if request.path.startswith("/api/v4/"):
        response.headers["X-Request-Id"] = secrets.token_hex(16)
        written = request.method in WRITES and g.get("locked", False) and response.status_code < 300
        if written and crm.faults.happens("apply_then_drop"):
            drop_connection()
    return response


def _refusal(crm: Crm, limiter: Limiter) -> Response | None:
    if limiter.banned():
        return html(403, FORBIDDEN)
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    with crm.store.lock:
        user_id = _user_of(crm, token)
        if not limiter.allows("integration" if user_id else "stranger"):
            return html(429, TOO_MANY)
    injected = injected_error(crm.faults)
    if injected is not None:
        return injected
    if not user_id or crm.faults.spend("unauthorized"):
        return problem(401, "Неверный логин или пароль")
    g.user_id = user_id
    return None


def injected_error(faults: Faults) -> Response | None:
    """A ban, a 429 or a 500 that the profile asked for."""
    if faults.forbidden():
        return html(403, FORBIDDEN)
    if faults.happens("error_429"):
        return html(429, TOO_MANY)
    if faults.happens("error_500"):
        return problem(500, "Внутренняя ошибка сервера")
    return None


def drop_connection() -> None:
    """Closes the caller's socket, so that a finished request has no answer. Works under waitress only."""
    channel = request.environ["waitress.client_disconnected"].__self__
    channel.socket.shutdown(socket.SHUT_RDWR)


def _user_of(crm: Crm, token: str) -> int:
    """The user of a live access token, 0 if there is none."""
    if not token:
        return 0
    long_lived = crm.rows("tokens").get("long_lived", {"revoked": False})
    if token == crm.settings.crm.long_lived_token and not long_lived["revoked"]:
        return ADMIN_ID
    row = crm.rows("access_tokens").get(token)
    alive = row is not None and not row["revoked"] and row["expires_at"] > crm.clock.now()
    return ADMIN_ID if alive else 0
