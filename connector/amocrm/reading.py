"""Reading amoCRM's JSON without trusting it, and writing its query strings.

Owns small total readers: a wrong type becomes BadReply (when we cannot go on without the value) or None.
Knows no endpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from connector.errors import BadReply, Problem

Row = Mapping[str, Any]
QueryValue = str | int | Sequence["QueryValue"] | Mapping[str, "QueryValue"]

MAX_PROBLEMS = 50
MAX_DETAIL_CHARS = 200
MAX_ID = 2**63 - 1


def embedded(answer: Row | None, *names: str) -> list[Row]:
    """Rows under `_embedded`, of the first name present; no answer (204) means no rows."""
    if answer is None:
        return []
    box = answer.get("_embedded")
    if not isinstance(box, dict):
        return []
    rows: object = next((box[name] for name in names if name in box), None)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def whole(row: Row, name: str) -> int:
    """A required id or count."""
    value = optional_whole(row, name)
    if value is None:
        raise BadReply(f"amoCRM: {name} is missing or not an integer")
    return value


def optional_whole(row: Row, name: str) -> int | None:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_ID:
        return None
    return value


def text(row: Row, name: str) -> str:
    """A string; null and other types read as empty."""
    value = row.get(name)
    return value if isinstance(value, str) else ""


def instant(row: Row, name: str) -> datetime | None:
    """Unix seconds as an aware instant."""
    seconds = optional_whole(row, name)
    if seconds is None or seconds > 253_402_300_799:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def linked_ids(row: Row, name: str) -> tuple[int, ...]:
    """Ids of the entities embedded in a row."""
    found = (optional_whole(linked, "id") for linked in embedded(row, name))
    return tuple(linked_id for linked_id in found if linked_id is not None)


def ids_in_order(answer: Row | None, request_ids: Sequence[str], *names: str) -> list[int]:
    """Ids of created entities in the order in which they were sent: by the echoed request_id where it is echoed in
    full, else by position."""
    rows = embedded(answer, *names)
    if len(rows) != len(request_ids):
        raise BadReply(f"amoCRM: {len(request_ids)} entities were sent, {len(rows)} came back", ambiguous=True)
    by_request_id = {str(row.get("request_id")): row for row in rows}
    if set(request_ids) == set(by_request_id) and len(by_request_id) == len(rows):
        rows = [by_request_id[request_id] for request_id in request_ids]
    return [whole(row, "id") for row in rows]


def problems(answer: object) -> tuple[Problem, ...]:
    """The complaints of a problem+json body (section 2.5)."""
    if not isinstance(answer, dict):
        return ()
    found: list[Problem] = []
    groups = answer.get("validation-errors")
    for group in groups if isinstance(groups, list) else []:
        errors = group.get("errors") if isinstance(group, dict) else None
        for error in errors if isinstance(errors, list) else []:
            if isinstance(error, dict) and len(found) < MAX_PROBLEMS:
                found.append(_problem(error, str(group.get("request_id", ""))))
    if not found and text(answer, "detail"):
        found.append(Problem("problem", "", text(answer, "detail")[:MAX_DETAIL_CHARS]))
    return tuple(found)


def query_pairs(parameters: Mapping[str, QueryValue]) -> list[tuple[str, str]]:
    """PHP brackets: `{"filter": {"id": [1, 2]}}` -> `filter[id][0]=1`, `filter[id][1]=2`."""
    return [pair for name, value in parameters.items() for pair in _flattened(name, value)]


def _flattened(name: str, value: QueryValue) -> Iterator[tuple[str, str]]:
    if isinstance(value, str | int):
        yield name, str(value)
        return
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    for key, inner in items:
        yield from _flattened(f"{name}[{key}]", inner)


def _problem(error: Row, request_id: str) -> Problem:
    return Problem(
        code=text(error, "code")[:MAX_DETAIL_CHARS],
        path=text(error, "path")[:MAX_DETAIL_CHARS],
        detail=text(error, "detail")[:MAX_DETAIL_CHARS],
        request_id=request_id[:MAX_DETAIL_CHARS],
    )
