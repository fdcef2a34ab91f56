"""One example of each request, and of each answer as its model's own examples make it.

Shown on the docs page and in the OpenAPI document; a test sends every one of them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhooks.api.route import Route

_SALE: Mapping[str, Any] = {
    "phone": "+79161234567",
    "items": [{"sku": "TENT-2", "category": "Палатки", "qty": 1, "gross_kopecks": 540_000}],
}
BODIES: Mapping[str, Any] = {
    "members_create": {"name": "Анна Петрова", "phone": "+79161234567", "birthday": "1990-05-20"},
    "orders_quote": {**_SALE, "redeem": 1_500},
    "orders_hold": {"order": "A-1001", **_SALE, "points": 1_500},
    "orders_confirm": {"code": "4821"},
    "orders_release": {},
    "orders_cancel": {},
    "orders_link": {},
    "orders_pay": {**_SALE, "paid_kopecks": 390_000},
    "orders_refund": {"items": [{"line": 1, "qty": 1}]},
    "members_adjust": {"points": 100, "reason": "complaint", "comment": "Не пришли баллы за заказ A-1001"},
    "members_reward": {"code": "review"},
    "members_merge": {"into": 1204},
    "members_put_in_segment": {"code": "vip"},
}
QUERIES: Mapping[str, str] = {
    "members_ring": "phone=%2B79161234567",
    "members_find": "phone=%2B79161234567",
    "members_statement": "limit=20",
}
PATHS: Mapping[str, str] = {"member_id": "1204", "hold_id": "hold_k5Yw0pXc7bT2n9QfLr3sVg", "order": "A-1001"}


def address(route: Route, base: str) -> str:
    """The address with its parts filled in."""
    query = QUERIES.get(route.name)
    return f"{base}{route.path.format(**PATHS)}" + (f"?{query}" if query else "")


def curl(route: Route, base: str) -> str:
    """A command that works in any shell."""
    parts = [f"curl -X {route.method} '{address(route, base)}'", '-H "Authorization: Bearer $TOKEN"']
    if route.is_write:
        parts.append(f"-H 'Idempotency-Key: {key(route)}'")
    if route.has_body:
        parts += ["-H 'Content-Type: application/json'", f"-d '{json.dumps(BODIES[route.name], ensure_ascii=False)}'"]
    return " \\\n  ".join(parts)


def key(route: Route) -> str:
    """A key that says what it is for."""
    return f"A-1001-{route.path.rsplit('/', 1)[-1].strip('{}')}"


def of(schema: Mapping[str, Any], known: Mapping[str, Any]) -> Any:
    """A value of this schema, from the examples in it."""
    if "$ref" in schema:
        return of(known[schema["$ref"].rsplit("/", 1)[-1]], known)
    for name in ("examples", "enum"):
        if schema.get(name):
            return schema[name][0]
    if "const" in schema:
        return schema["const"]
    if "anyOf" in schema:
        return _of_choice(schema["anyOf"], known)
    if schema.get("type") == "object" or "properties" in schema:
        return {name: of(one, known) for name, one in schema.get("properties", {}).items()}
    if schema.get("type") == "array":
        return [of(schema["items"], known)]
    return _PLAIN.get(schema.get("format") or schema.get("type") or "")


def _of_choice(choices: Any, known: Mapping[str, Any]) -> Any:
    """What may be null is null unless it has an example."""
    for one in choices:
        if one.get("type") != "null" and ("$ref" in one or "examples" in one):
            return of(one, known)
    return None


_PLAIN: Mapping[str, Any] = {
    "date": "2026-03-28",
    "date-time": "2026-03-28T00:00:00Z",
    "integer": 0,
    "string": "",
    "boolean": False,
}
