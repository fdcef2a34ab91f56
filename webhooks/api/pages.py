"""The API's own description: the OpenAPI document for programs, one page for people. Needs no token, shows no data.

The page is made here from the same table; it loads nothing from anywhere else and works without JavaScript.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, render_template

from flows.access import CALLS_PER_SECOND, SCOPE_WORDS, WINDOW_S
from webhooks.api import examples, openapi, problems
from webhooks.api.routes import ROUTES
from webhooks.shared import runtime

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from webhooks.api.route import Route

ADDRESSES_IN_CACHE = 4

blueprint = Blueprint("api_docs", __name__, url_prefix="/api")


@blueprint.get("/openapi.json")
def openapi_json() -> Response:
    return Response(_document(runtime().settings.public_url), content_type="application/json")


@blueprint.get("/docs")
def docs() -> str:
    base = f"{runtime().settings.public_url}/api/v1"
    known = openapi.schemas()
    return render_template(
        "api_docs.html",
        base=base,
        scopes=SCOPE_WORDS,
        calls=CALLS_PER_SECOND * WINDOW_S,
        window_s=WINDOW_S,
        routes=[_shown(route, base, known) for route in ROUTES],
        codes=codes(),
        problem=_pretty(examples.of(known["Problem"], known)),
    )


def codes() -> list[dict[str, Any]]:
    """Every code the API may answer with, by status."""
    found = [
        {"code": code, "status": one.status, "title": problems.title_of(one, code), "hint": one.hint}
        for one in problems.every_refusal()
        for code in problems.codes_of(one)
    ]
    return sorted(found, key=lambda one: (one["status"], one["code"]))


@lru_cache(maxsize=ADDRESSES_IN_CACHE)
def _document(public_url: str) -> bytes:
    return json.dumps(openapi.document(public_url), ensure_ascii=False, indent=1).encode()


def _shown(route: Route, base: str, known: Mapping[str, Any]) -> dict[str, Any]:
    fields = list(_rows_of_parameters(route))
    if route.asks is not None and route.has_body:
        fields += _rows_of(known[openapi.name_of(route.asks, known)], known, "")
    answer = known[openapi.name_of(route.answer, known)]
    return {
        "route": route,
        "fields": fields,
        "curl": examples.curl(route, base),
        "answer": _pretty(examples.of(answer, known)),
        "told": list(_rows_of(answer, known, "")),
        "codes": [
            {"code": code, "status": status}
            for status, classes in openapi.refusals_of(route).items()
            for one in classes
            if one in route.refusals
            for code in problems.codes_of(one)
        ],
    }


def _rows_of_parameters(route: Route) -> Iterator[dict[str, Any]]:
    for one in openapi.parameters_of(route):
        yield {
            "name": one["name"],
            "place": {"path": "в адресе", "query": "в запросе", "header": "заголовок"}[one["in"]],
            "kind": _kind(one["schema"]),
            "is_required": one["required"],
            "words": one["description"],
        }


def _rows_of(schema: Mapping[str, Any], known: Mapping[str, Any], prefix: str) -> Iterator[dict[str, Any]]:
    """The fields of an object, those inside it too."""
    required = schema.get("required", ())
    for name, one in schema.get("properties", {}).items():
        inner = _inner(one)
        path = f"{prefix}{name}"
        yield {
            "name": path,
            "place": "",
            "kind": _kind(one),
            "is_required": name in required,
            "words": one.get("description") or inner.get("description", ""),
        }
        reference = inner.get("$ref") or inner.get("items", {}).get("$ref")
        if reference:
            suffix = "[]." if inner.get("type") == "array" else "."
            yield from _rows_of(known[reference.rsplit("/", 1)[-1]], known, f"{path}{suffix}")


def _inner(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is there when it is not null."""
    kinds: list[Mapping[str, Any]] = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    return kinds[0] if len(kinds) == 1 else schema


def _kind(schema: Mapping[str, Any]) -> str:
    inner = _inner(schema)
    words = {
        "integer": "целое",
        "string": "строка",
        "boolean": "true или false",
        "array": "список",
        "date": "дата",
        "date-time": "время",
    }
    kind = words.get(inner.get("format") or inner.get("type") or "", "объект")
    if inner.get("enum"):
        kind = " | ".join(map(str, inner["enum"]))
    return f"{kind} или null" if inner is not schema else kind


def _pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
