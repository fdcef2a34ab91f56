"""How the API says no: one problem document (RFC 9457) for every refusal, with a stable `code` and Russian words.

Refusals of use cases come from `flows`; those of the door itself (token, format, limits) are named here. The class is
the one source of code, status and words: answers, the OpenAPI document and the docs page all read it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from flask import Response, g, request

from flows.refusals import Denied, RedeemRefused
from webhooks.shared import runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT_TYPE = "application/problem+json"
TYPE_PREFIX = "/api/docs#"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class BadRequest(Denied):
    code, status = "bad_request", 400
    title, hint = "Запрос не принят", "сверьте поля с описанием: /api/docs"


class KeyMissing(Denied):
    code, status = "idempotency_key_missing", 400
    title, hint = "Нужен заголовок Idempotency-Key", "для каждого действия свой, например номер заказа и слово paid"


class KeyBad(Denied):
    code, status = "idempotency_key_bad", 400
    title, hint = "Idempotency-Key не годится", "от 1 до 255 печатных знаков ASCII"


class Unauthorized(Denied):
    code, status = "unauthorized", 401
    title, hint = "Нужен действующий ключ API", "kopilka token create --name ИМЯ"


class InsufficientScope(Denied):
    code, status = "insufficient_scope", 403
    title, hint = "У ключа нет такого права", "создайте ключ с этим правом: kopilka token create --scope …"


class NoSuchAddress(Denied):
    code, status = "not_found", 404
    title, hint = "Нет такого адреса", "адреса описаны на /api/docs"


class MethodNotAllowed(Denied):
    code, status = "method_not_allowed", 405
    title, hint = "Этот метод здесь не работает", "годные методы названы в заголовке Allow"


class BodyTooLarge(Denied):
    code, status = "body_too_large", 413
    title, hint = "Запрос слишком велик", "тело запроса не больше 256 КБ"


class NotJson(Denied):
    code, status = "unsupported_media_type", 415
    title, hint = "Тело запроса должно быть JSON", "заголовок Content-Type: application/json, без сжатия"


class RateLimited(Denied):
    code, status = "rate_limited", 429
    title, hint = "Слишком много запросов", "повторите через столько секунд, сколько указано в Retry-After"


class InternalError(Denied):
    code, status = "internal_error", 500
    title, hint = "Внутренняя ошибка", "сообщите нам request_id; повтор с тем же Idempotency-Key безопасен"


class Unavailable(Denied):
    code, status = "unavailable", 503
    title, hint = "База данных недоступна или занята", "повторите тот же запрос позже, ничего не потеряно"


_BY_STATUS: dict[int, type[Denied]] = {
    one.status: one
    for one in (BadRequest, NoSuchAddress, MethodNotAllowed, BodyTooLarge, NotJson, InternalError, Unavailable)
}


def request_id() -> str:
    """The name of this request in the answer and in the log: the caller's own if it is a plain one."""
    if "request_id" not in g:
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if _REQUEST_ID.fullmatch(given) else runtime().new_id("req")
    return str(g.request_id)


def refused(status: int) -> Response:
    """The answer to a failure that has no class of its own: no such address, no such method, a bug."""
    response = answered(_BY_STATUS.get(status, BadRequest if status < 500 else InternalError)())
    response.status_code = status
    return response


def answered(denied: Denied) -> Response:
    """The whole answer, headers included."""
    retry_after_s = denied.details.get("retry_after_s")
    response = Response(document(denied), denied.status, content_type=CONTENT_TYPE)
    response.headers["X-Request-Id"] = request_id()
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    if denied.status == Unauthorized.status:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def document(denied: Denied) -> bytes:
    """The problem as JSON: what is stored for a refusal that is final, too."""
    extra = {name: value for name, value in denied.details.items() if name != "hint"}
    body: dict[str, Any] = {
        "type": f"{runtime().settings.public_url}{TYPE_PREFIX}{denied.code}",
        "status": denied.status,
        "code": denied.code,
        "title": denied.title,
        "detail": denied.detail,
        "hint": denied.details.get("hint") or denied.hint,
        "request_id": request_id(),
        **extra,
    }
    given = {name: value for name, value in body.items() if value not in (None, "")}
    return json.dumps(given, ensure_ascii=False).encode()


def codes_of(kind: type[Denied]) -> tuple[str, ...]:
    """The codes a class may answer with: one, but for the refusal that says why nothing can be spent."""
    return tuple(RedeemRefused.words) if kind is RedeemRefused else (kind.code,)


def title_of(kind: type[Denied], code: str) -> str:
    return RedeemRefused.words[code] if kind is RedeemRefused else kind.title


def every_refusal() -> Iterator[type[Denied]]:
    """All that the API may refuse with, each code once."""
    waiting = [Denied]
    while waiting:
        one = waiting.pop()
        waiting += one.__subclasses__()
        if one is not Denied:
            yield one
