"""REST API v1, so far its reading half: a member's balance and statement, for the shop's own programs.

Bearer tokens; errors are problem+json (RFC 9457) with a stable English `code` and a Russian `title`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, jsonify, request

from flows import access, lookup
from webhooks.shared import runtime

if TYPE_CHECKING:
    from flows.lookup import Account

PREFIX = "/api/v1"
REF_MAX = 2**63 - 1
TITLES = {
    400: "Запрос не принят",
    404: "Нет такого адреса",
    405: "Этот метод здесь не работает",
    413: "Запрос слишком велик",
    500: "Внутренняя ошибка",
    503: "База данных недоступна, повторите позже",
}
"""What a failure is called when the table of errors in app.py answers for a caller of the API."""

blueprint = Blueprint("api", __name__, url_prefix=PREFIX)


@blueprint.before_request
def authenticate() -> Response | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or access.caller(runtime(), token.strip()) is None:
        hint = "kopilka token create --name ИМЯ"
        response = problem(401, "unauthorized", "Нужен действующий ключ API", hint=hint)
        response.headers["WWW-Authenticate"] = "Bearer"
        return response
    return None


@blueprint.get("/members")
def find() -> Response:
    """`?contact=N`: the member of this CRM contact."""
    contact = _whole(request.args.get("contact", ""))
    if contact is None:
        return problem(400, "bad_request", "Укажите номер контакта: ?contact=123")
    return _answer(lookup.by_contact(runtime(), contact))


@blueprint.get("/members/<member_id>")
def show(member_id: str) -> Response:
    number = _whole(member_id)
    return _answer(None if number is None else lookup.by_id(runtime(), number))


def problem(status: int, code: str, title: str, *, hint: str | None = None) -> Response:
    """RFC 9457 with our `code`."""
    body = {"type": f"about:blank#{code}", "status": status, "code": code, "title": title}
    response = jsonify({**body, **({"hint": hint} if hint else {})})
    response.status_code = status
    response.content_type = "application/problem+json"
    return response


def _answer(account: Account | None) -> Response:
    if account is None:
        return problem(404, "member_not_found", "Участник не найден")
    member = account.member
    return jsonify(
        id=member.id,
        contact=member.contact_ref,
        card={"number": member.card_number, "url": runtime().card_url(member.card_token)},
        segment=member.segment_code,
        balance={
            "available": member.balance.available,
            "pending": member.balance.pending,
            "reserved": member.balance.reserved,
            "debt": member.balance.debt,
        },
        statement=[_line(line) for line in account.lines],
    )


def _line(line: Any) -> dict[str, Any]:
    return {
        "recorded_at": line.recorded_at.isoformat(),
        "occurred_at": line.occurred_at.isoformat(),
        "move": line.move,
        "from": line.debit,
        "to": line.credit,
        "points": line.points,
        "source": line.lot_source,
        "deal": line.deal_ref,
        "rules_version": line.rules_version,
        "activates_at": line.activates_at.isoformat(),
        "expires_at": line.expires_at.isoformat() if line.expires_at else None,
    }


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= REF_MAX else None
