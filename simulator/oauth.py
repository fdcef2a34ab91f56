"""OAuth of amoCRM: the grant page, the token endpoint with one-time refresh tokens, the moved-account look-up, and the
hook of an integration that was switched off.

Implements the amoCRM reference sections 1.1 to 1.4 and 1.6. Lifetimes run on the virtual clock. An account moves
between the names of this machine (127.0.0.1, localhost), which are different hosts to a client.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from typing import Any
from urllib.parse import urlencode

import requests
from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from simulator.answers import Json, plain, problem
from simulator.limits import drop_connection
from simulator.shared_controls import asked_object
from simulator.store import Record
from simulator.world import ADMIN_ID, Crm, the_crm

ACCESS_TOKEN_S = 86_400
REFRESH_TOKEN_S = 90 * 86_400
CODE_S = 20 * 60
TOKEN_PROBLEM = "https://developers.amocrm.ru/v3/errors/OAuthProblemJson"  # noqa: S105 - an address

UNINSTALL_TIMEOUT_S = 10.0

bp = Blueprint("oauth", __name__)
_session = requests.Session()
_session.trust_env = False


class TokenRefused(Exception):
    """What the token endpoint objects to, in its own words."""

    def __init__(self, hint: str, status: int) -> None:
        super().__init__(hint)
        self.hint = hint
        self.status = status


@bp.get("/oauth")
def grant_page() -> str:
    crm = the_crm()
    return render_template("oauth.html", crm=crm.settings.crm, state=request.args.get("state", ""))


@bp.post("/oauth")
def grant() -> AnyResponse:
    """The button «Разрешить» or «Отказать»: back to the integration with a code, or with an error."""
    crm = the_crm()
    state = request.form.get("state", "")
    if request.form.get("answer") != "allow":
        query = {"error": "access_denied", "client_id": crm.settings.crm.client_id, "state": state}
    else:
        query = {
            "code": new_code(crm),
            "referer": request.host,
            "state": state,
            "client_id": crm.settings.crm.client_id,
            "platform": "1",
        }
    return redirect(f"{crm.settings.crm.redirect_uri}?{urlencode(query)}")


@bp.post("/oauth2/access_token")
def access_token() -> Response:
    crm = the_crm()
    asked: Any = request.get_json(silent=True) if request.is_json else request.form.to_dict()
    try:
        with crm.store.lock:
            answer = _exchange(crm, asked if isinstance(asked, dict) else {})
    except TokenRefused as refused:
        body = {
            "hint": refused.hint,
            "title": "Некорректный запрос",
            "type": TOKEN_PROBLEM,
            "status": refused.status,
            "detail": "В запросе отсутствует ряд параметров или параметры невалидны",
        }
        response = plain(body, refused.status)
        response.content_type = "application/problem+json"
        return response
    if crm.faults.spend("drop_token_answer"):
        drop_connection()
    return plain(answer)


@bp.get("/oauth2/account/current/subdomain")
def current_subdomain() -> Response:
    """Where an account lives now; the moved-account check asks with its refresh token."""
    crm = the_crm()
    with crm.store.lock:
        row = crm.rows("refresh_tokens").get(request.headers.get("X-Refresh-Token", ""))
    if row is None or row["used"]:
        return problem(401, "Неверный логин или пароль")
    domain = _moved_to(crm) or request.host
    subdomain = crm.settings.crm.subdomain if domain == request.host else domain.partition(".")[0]
    body = {"id": crm.settings.crm.account_id, "subdomain": subdomain, "domain": domain, "top_level_domain": "ru"}
    return plain(body)


@bp.before_app_request
def nobody_at_the_former_host() -> Response | None:
    """404 at the token endpoint; that the API answers 401 there is an assumption."""
    moved_to = _moved_to(the_crm())
    if moved_to in (None, request.host):
        return None
    if request.path.startswith("/api/v4/"):
        return problem(401, "Неверный логин или пароль")
    return problem(404, "Not found") if request.path == "/oauth2/access_token" else None


@bp.post("/sim/move")
def move() -> Response:
    """`{"host": "localhost:8001"}`: the account has that host from now on; `{}` brings it back."""
    crm, asked = the_crm(), asked_object()
    with crm.store.lock:
        crm.store.put("account", "moved", {"host": str(asked.get("host") or "")})
    return plain({"ok": True})


@bp.post("/sim/uninstall")
def uninstall() -> Response:
    """`{"url": …}`: the owner switches the integration off; the hook goes to that address, old ones named the id
    `client_id` (`"old": true`)."""
    crm, asked = the_crm(), asked_object()
    config = crm.settings.crm
    revoke_all(crm)
    message = f"{config.client_id}|{config.account_id}".encode()
    query = {
        "account_id": str(config.account_id),
        "client_id" if asked.get("old") else "client_uuid": config.client_id,
        "signature": hmac.new(config.client_secret.encode(), message, hashlib.sha256).hexdigest(),
    }
    answer = _session.get(str(asked.get("url")), params=query, timeout=UNINSTALL_TIMEOUT_S, allow_redirects=False)
    return plain({"status": answer.status_code})


def new_code(crm: Crm) -> str:
    """A one-time authorisation code."""
    code = "def50200" + secrets.token_hex(32)
    with crm.store.lock:
        crm.store.put("codes", code, {"expires_at": crm.clock.now() + CODE_S, "used": False})
    return code


def revoke_all(crm: Crm) -> None:
    """What an uninstalled integration or a blocked user looks like from outside."""
    with crm.store.lock:
        for table, flag in (("access_tokens", "revoked"), ("refresh_tokens", "used")):
            for key, row in crm.rows(table).items():
                row[flag] = True
                crm.store.touch(table, key)
        crm.store.put("tokens", "long_lived", {"revoked": True})


def summary(crm: Crm) -> Json:
    """Whether anybody can still call the API, and with what."""
    now = crm.clock.now()
    access = [row for row in crm.rows("access_tokens").values() if not row["revoked"] and row["expires_at"] > now]
    refresh = [row for row in crm.rows("refresh_tokens").values() if not row["used"] and row["expires_at"] > now]
    return {
        "access_valid": bool(access),
        "refresh_valid": bool(refresh),
        "long_lived_valid": not crm.rows("tokens").get("long_lived", {"revoked": False})["revoked"],
        "issued": len(crm.rows("access_tokens")),
    }


def _moved_to(crm: Crm) -> str | None:
    with crm.store.lock:
        return str(crm.rows("account").get("moved", {"host": ""})["host"]) or None


def _exchange(crm: Crm, asked: Json) -> Json:
    config = crm.settings.crm
    known = hmac.compare_digest(str(asked.get("client_secret", "")).encode(), config.client_secret.encode())
    if asked.get("client_id") != config.client_id or not known:
        raise TokenRefused("Client authentication failed", 401)
    if asked.get("redirect_uri") != config.redirect_uri:
        raise TokenRefused("Check the `redirect_uri` parameter", 400)
    if asked.get("grant_type") == "authorization_code":
        _spend_code(crm, str(asked.get("code", "")))
    elif asked.get("grant_type") == "refresh_token":
        _spend_refresh(crm, str(asked.get("refresh_token", "")))
    else:
        raise TokenRefused("Check that all required parameters have been provided", 400)
    return _issue(crm)


def _spend_code(crm: Crm, code: str) -> None:
    row = crm.rows("codes").get(code)
    if row is None:
        raise TokenRefused("Cannot decrypt the authorization code", 400)
    if row["used"]:
        raise TokenRefused("Authorization code has been revoked", 400)
    if row["expires_at"] <= crm.clock.now():
        raise TokenRefused("Authorization code has expired", 400)
    row["used"] = True
    crm.store.touch("codes", code)


def _spend_refresh(crm: Crm, token: str) -> None:
    row = crm.rows("refresh_tokens").get(token)
    if row is None:
        raise TokenRefused("Cannot decrypt the refresh token", 400)
    if row["used"] or row["expires_at"] <= crm.clock.now():
        raise TokenRefused("Token has been revoked", 401)
    row["used"] = True
    crm.store.touch("refresh_tokens", token)


def _issue(crm: Crm) -> Json:
    access, refresh = _jwt(crm), "def502" + secrets.token_hex(48)
    now = crm.clock.now()
    crm.store.put("access_tokens", access, {"expires_at": now + ACCESS_TOKEN_S, "revoked": False})
    crm.store.put("refresh_tokens", refresh, {"expires_at": now + REFRESH_TOKEN_S, "used": False})
    return {
        "token_type": "Bearer",
        "expires_in": ACCESS_TOKEN_S,
        "server_time": int(now),
        "access_token": access,
        "refresh_token": refresh,
    }


def _jwt(crm: Crm) -> str:
    now_s = crm.clock.now_s()
    claims: Record = {
        "aud": crm.settings.crm.client_id,
        "jti": secrets.token_hex(16),
        "iat": now_s,
        "nbf": now_s,
        "exp": now_s + ACCESS_TOKEN_S,
        "sub": str(ADMIN_ID),
        "account_id": crm.settings.crm.account_id,
        "base_domain": "amocrm.ru",
        "api_domain": request.host,
        "scopes": ["crm", "notifications"],
    }
    parts = [_part({"typ": "JWT", "alg": "RS256"}), _part(claims)]
    # Nobody may check amoCRM's signature (the key is not published), so random bytes are as good as real ones.
    return ".".join([*parts, base64.urlsafe_b64encode(secrets.token_bytes(64)).rstrip(b"=").decode()])


def _part(data: Json) -> str:
    return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()
