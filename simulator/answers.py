"""How amoCRM words its answers: HAL, problem+json, 204 for empty, pages with absolute links.

Implements the amoCRM reference sections 1.7, 2.3, 2.4 and 2.5. Owns no state.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from flask import Response, request

Json = dict[str, Any]
Error = dict[str, str]

PAGE_SIZE = 50
PAGE_SIZE_MAX = 250
TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    422: "Unprocessable Entity",
    500: "Internal Server Error",
}


class Refused(Exception):
    """An answer that ends the request."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def hal(payload: Json | list[Json], status: int = 200) -> Response:
    return _json(payload, status, "application/hal+json")


def plain(payload: Any, status: int = 200) -> Response:
    """JSON of the token endpoint and of the control API."""
    return _json(payload, status, "application/json")


def empty() -> Response:
    return Response(status=204)


def html(status: int, body: str) -> Response:
    return Response(body, status=status, content_type="text/html")


def problem(status: int, detail: str, **extra: Any) -> Response:
    body = {
        **extra,
        "title": TITLES[status],
        "type": f"https://httpstatus.es/{status}",
        "status": status,
        "detail": detail,
    }
    return _json(body, status, "application/problem+json")


def refuse(status: int, detail: str) -> Refused:
    return Refused(problem(status, detail))


def error(code: str, path: str, detail: str) -> Error:
    return {"code": code, "path": path, "detail": detail}


def invalid(errors: dict[str, list[Error]]) -> Refused:
    """400 with every item that is wrong, by request_id."""
    listed = [{"request_id": request_id, "errors": found} for request_id, found in errors.items()]
    return Refused(problem(400, "Request validation failed", **{"validation-errors": listed}))


def body_list() -> list[Json]:
    """The JSON array of a bulk write. Raises Refused for anything else, as amoCRM wants arrays even for one item."""
    data = _body()
    if not isinstance(data, list) or not data or not all(isinstance(item, dict) for item in data):
        raise invalid({"0": [error("InvalidType", "", "This value should be of type array.")]})
    if len(data) > PAGE_SIZE_MAX:
        raise invalid({"0": [error("TooManyItems", "", f"This collection should contain {PAGE_SIZE_MAX} or less.")]})
    return data


def body_object() -> Json:
    """The JSON object of a write by id. Raises Refused for anything else."""
    data = _body()
    if not isinstance(data, dict):
        raise invalid({"0": [error("InvalidType", "", "This value should be of type object.")]})
    return data


def request_ids(items: Sequence[Json]) -> list[str]:
    """The caller's request_id of every item; by default its index."""
    return [str(item.get("request_id", index)) for index, item in enumerate(items)]


def page_window() -> tuple[int, int]:
    """(page, limit) of the query. Raises Refused beyond 250, our assumption for the unknown reaction."""
    page, limit = _whole("page", 1), _whole("limit", PAGE_SIZE)
    if limit > PAGE_SIZE_MAX:
        raise refuse(400, f"Invalid limit: the maximum is {PAGE_SIZE_MAX}")
    return page, limit


def paged(
    name: str, rows: Sequence[Any], render: Callable[[Any], Json], *, totals: bool = False, before: int = 0
) -> Response:
    """One page of `rows` under `_embedded.{name}`, or 204 when the page is empty. `before`: rows of the whole list that
    stand before the first of these."""
    page, limit = page_window()
    part = rows[(page - 1) * limit - before : page * limit - before]
    if not part:
        return empty()
    links = {"self": {"href": page_url(page)}}
    if page * limit < before + len(rows):
        links["next"] = {"href": page_url(page + 1)}
    counts: Json = {}
    if totals:
        last = -(-len(rows) // limit)
        counts = {"_total_items": len(rows), "_page_count": last}
        links["last"] = {"href": page_url(last)}
    embedded = {"_embedded": {name: [render(row) for row in part]}}
    return hal({**counts, "_page": page, "_links": links, **embedded})


def page_url(page: int) -> str:
    pairs = [(key, value) for key, value in request.args.items(multi=True) if key != "page"]
    return f"{request.base_url}?{urlencode([*pairs, ('page', str(page))])}"


def self_link(path: str) -> Json:
    return {"self": {"href": f"{request.host_url}api/v4/{path}"}}


def bracket(name: str) -> list[str]:
    """Values of `name`, `name[]`, `name[0]` ... in the query."""
    found: list[str] = []
    for key, value in request.args.items(multi=True):
        if key == name or (key.startswith(f"{name}[") and key.count("[") == name.count("[") + 1):
            found.append(value)
    return found


def bracket_ids(name: str) -> set[int]:
    """Whole numbers among the values of a filter."""
    return {int(value) for value in bracket(name) if value.lstrip("-").isdecimal()}


def _whole(name: str, default: int) -> int:
    text = request.args.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise refuse(400, f"Invalid {name}")
    return int(text)


def _body() -> Any:
    try:
        return json.loads(request.get_data())
    except (ValueError, RecursionError) as wrong:
        raise refuse(400, "Invalid JSON") from wrong


def _json(payload: Any, status: int, content_type: str) -> Response:
    return Response(json.dumps(payload, ensure_ascii=False), status=status, content_type=content_type)
