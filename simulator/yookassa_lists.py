"""YooKassa's lists of payments and refunds: filters by time and state, newest first, pages by cursor.

Implements «Работа со списками объектов» of YooKassa's documentation.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import Response, request

from simulator.answers import Json, plain
from simulator.bank_world import the_bank
from simulator.yookassa_objects import NAME, STATUSES, Refusal, payment_object, refund_object, wrong

LIMIT, LIMIT_MAX = 10, 100
COMPARED: dict[str, Callable[[datetime, datetime], bool]] = {
    "gte": lambda told, bound: told >= bound,
    "gt": lambda told, bound: told > bound,
    "lte": lambda told, bound: told <= bound,
    "lt": lambda told, bound: told < bound,
}
OF_PAYMENTS = ("created_at", "captured_at")
CURSOR_MARK = "37a5c87d-"


def payments() -> Response:
    """GET /v3/payments"""
    bank = the_bank()
    status = _status(set(STATUSES.values()))
    with bank.store.lock:
        rows = [payment_object(bank, row) for row in bank.payments_of(NAME)]
    return _page([row for row in rows if status in (None, row["status"])], OF_PAYMENTS)


def refunds() -> Response:
    """GET /v3/refunds"""
    bank, payment_id = the_bank(), request.args.get("payment_id")
    status = _status({"pending", "succeeded", "canceled"})
    with bank.store.lock:
        told = [row for row in bank.payments_of(NAME) if payment_id in (None, row["id"])]
        rows = [refund_object(row, refund) for row in told for refund in row["refunds"]]
    return _page([row for row in rows if status in (None, row["status"])], ("created_at",))


def refund(refund_id: str) -> Response:
    """GET /v3/refunds/{id}"""
    bank = the_bank()
    with bank.store.lock:
        for payment in bank.payments_of(NAME):
            for row in payment["refunds"]:
                if row["id"] == refund_id:
                    return plain(refund_object(payment, row))
    raise Refusal(404, "not_found", "Refund doesn't exist or access denied", "refund_id")


def _page(rows: list[Json], times: tuple[str, ...]) -> Response:
    """The rows that the time filters leave, from where the cursor points."""
    bounds = [
        (name, compare, _instant(f"{name}.{edge}"))
        for name in times
        for edge, compare in COMPARED.items()
        if f"{name}.{edge}" in request.args
    ]
    found = [
        row
        for row in rows
        if all(name in row and compare(datetime.fromisoformat(row[name]), at) for name, compare, at in bounds)
    ]
    found.sort(key=lambda row: row["created_at"], reverse=True)
    limit = request.args.get("limit", LIMIT, type=_whole)
    if not 1 <= limit <= LIMIT_MAX:
        raise wrong(f"limit must be from 1 to {LIMIT_MAX}", "limit")
    cursor = request.args.get("cursor")
    if cursor is not None:
        ids = [row["id"] for row in found]
        last = cursor.removeprefix(CURSOR_MARK)
        if last not in ids:
            raise wrong("Invalid cursor", "cursor")
        found = found[ids.index(last) + 1 :]
    body: dict[str, Any] = {"type": "list", "items": found[:limit]}
    if len(found) > limit:
        body["next_cursor"] = f"{CURSOR_MARK}{found[limit - 1]['id']}"
    return plain(body)


def _instant(parameter: str) -> datetime:
    try:
        at = datetime.fromisoformat(request.args[parameter])
    except ValueError as nonsense:
        raise wrong("Invalid date and time", parameter) from nonsense
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _status(known: set[str]) -> str | None:
    status = request.args.get("status")
    if status is not None and status not in known:
        raise wrong("Unknown status", "status")
    return status


def _whole(text: str) -> int:
    """What is no number is no limit either: 0."""
    return int(text) if text.isascii() and text.isdecimal() else 0
