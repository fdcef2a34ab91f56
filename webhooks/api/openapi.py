"""The OpenAPI 3.1 document, made from the table of routes and the models that read and write the requests.

Nothing is described here that is not in the table: what is said and what is done cannot drift apart.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from flows.access import SCOPE_WORDS
from flows.idempotency import KeyConflict, KeyInProgress
from webhooks.api import answers, examples, problems
from webhooks.api.fields import HoldId, MemberId, OrderName
from webhooks.api.routes import ROUTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flows.refusals import Denied
    from webhooks.api.route import Route

VERSION = "1.0.0"
REF = "#/components/schemas/{model}"
KEY_PATTERN = r"^[\x20-\x7e]{1,255}$"
PATH_KINDS: Mapping[str, Any] = {"member_id": MemberId, "hold_id": HoldId, "order": OrderName}

ALWAYS = (problems.Unauthorized, problems.InsufficientScope, problems.RateLimited, problems.Unavailable)
WITH_BODY = (problems.BadRequest, problems.BodyTooLarge, problems.NotJson)
WITH_KEY = (problems.KeyMissing, problems.KeyBad, KeyConflict, KeyInProgress)


def document(server_url: str) -> dict[str, Any]:
    """The whole description of an installation that answers at this address."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Копилка: API для сайта, кассы, бота и приложения",
            "version": VERSION,
            "description": "Деньги в копейках, баллы целые, время ISO 8601 в UTC. Ошибки: problem+json с полем code.",
        },
        "servers": [{"url": f"{server_url}/api/v1"}],
        "security": [{"token": []}],
        "paths": _paths(),
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Права ключа: "
                    + "; ".join(f"{scope} — {words}" for scope, words in SCOPE_WORDS.items()),
                }
            },
        },
    }


def schemas() -> dict[str, Any]:
    """Every model by name: requests as they are read, answers as they are written."""
    asked = {route.asks for route in ROUTES if route.asks is not None and route.has_body}
    told = {route.answer for route in ROUTES} | {answers.Problem}
    inputs = [(model, "validation") for model in sorted(asked, key=lambda one: one.__name__)]
    outputs = [(model, "serialization") for model in sorted(told, key=lambda one: one.__name__)]
    _, found = models_json_schema([*inputs, *outputs], ref_template=REF)  # type: ignore[list-item]
    defined: dict[str, Any] = found["$defs"]
    return {name: _tidy(schema) for name, schema in sorted(defined.items())}


def name_of(model: type, schemas_by_name: Iterable[str]) -> str:
    """The name under which a model stands among the schemas."""
    known = set(schemas_by_name)
    full = f"{model.__module__}__{model.__name__}".replace(".", "__")
    return next(name for name in (model.__name__, full, f"{full}-Output", f"{full}-Input") if name in known)


def refusals_of(route: Route) -> dict[int, list[type[Denied]]]:
    """Everything this route may refuse with, by status."""
    found: dict[int, list[type[Denied]]] = {}
    possible: list[type[Denied]] = [*ALWAYS, *route.refusals, problems.BadRequest]
    possible += WITH_BODY if route.has_body else ()
    possible += WITH_KEY if route.is_write else ()
    for one in dict.fromkeys(possible):
        found.setdefault(one.status, []).append(one)
    return dict(sorted(found.items()))


def parameters_of(route: Route) -> list[dict[str, Any]]:
    """Path, query and header."""
    found = [
        {"name": name, "in": "path", "required": True, **_described(TypeAdapter(PATH_KINDS[name]).json_schema())}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    if route.asks is not None and not route.has_body:
        schema = route.asks.model_json_schema(ref_template=REF)
        required = schema.get("required", ())
        found += [
            {"name": name, "in": "query", "required": name in required, **_described(_without_null(_tidy(one)))}
            for name, one in schema["properties"].items()
        ]
    if route.is_write:
        words = "Имя этого действия, своё для каждого: повтор с тем же ключом и телом даст тот же ответ"
        key = {"type": "string", "pattern": KEY_PATTERN, "examples": ["A-1001-paid"]}
        found.append({"name": "Idempotency-Key", "in": "header", "required": True, "description": words, "schema": key})
    return found


def _paths() -> dict[str, Any]:
    known = schemas()
    paths: dict[str, Any] = {}
    for route in ROUTES:
        operation: dict[str, Any] = {
            "operationId": route.name,
            "summary": route.title,
            "description": f"{route.text}\n\nПраво ключа: {route.scope}.",
            "tags": [route.path.split("/")[1]],
            "parameters": parameters_of(route),
            "responses": _responses(route, known),
        }
        if route.asks is not None and route.has_body:
            schema = {"$ref": REF.format(model=name_of(route.asks, known))}
            operation["requestBody"] = {
                "required": bool(route.asks.model_fields),
                "content": {"application/json": {"schema": schema, "example": examples.BODIES[route.name]}},
            }
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    return paths


def _responses(route: Route, known: Mapping[str, Any]) -> dict[str, Any]:
    headers: dict[str, Any] = {"X-Request-Id": {"schema": {"type": "string"}}}
    if route.is_write:
        headers["Idempotent-Replayed"] = {
            "description": "true: ответ дан раньше, сейчас ничего не сделано",
            "schema": {"type": "string", "const": "true"},
        }
    done = {"schema": {"$ref": REF.format(model=name_of(route.answer, known))}}
    found: dict[str, Any] = {
        str(route.status): {"description": route.title, "headers": headers, "content": {"application/json": done}}
    }
    problem = {problems.CONTENT_TYPE: {"schema": {"$ref": REF.format(model="Problem")}}}
    for status, classes in refusals_of(route).items():
        words = "; ".join(
            f"{code}: {problems.title_of(one, code)}" for one in classes for code in problems.codes_of(one)
        )
        found[str(status)] = {"description": words, "content": problem}
    return found


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter's own description, and the rest as its schema."""
    rest = {name: value for name, value in schema.items() if name != "description"}
    return {"description": schema.get("description", ""), "schema": rest}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query has no null: what is not given is left out."""
    kinds = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    if len(kinds) != 1:
        return schema
    rest = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    return {**kinds[0], **rest}


def _tidy(schema: Any) -> Any:
    """Without the titles that pydantic makes of names: they say nothing new."""
    if isinstance(schema, dict):
        return {
            name: ({key: _tidy(one) for key, one in value.items()} if name == "properties" else _tidy(value))
            for name, value in schema.items()
            if name != "title"
        }
    if isinstance(schema, list):
        return [_tidy(one) for one in schema]
    return schema
