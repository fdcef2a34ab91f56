"""Reading amoCRM's JSON without trusting it, and writing its query strings.

Owns small total readers: a wrong type becomes BadReply (when we cannot go on without the value) or None. Values of
custom fields are read as section 4.4 of the amoCRM reference describes them. Knows no endpoint.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from connector.errors import BadReply, Problem

Row = Mapping[str, Any]
QueryValue = str | int | Sequence["QueryValue"] | Mapping[str, "QueryValue"]

MAX_PROBLEMS = 50
MAX_DETAIL_CHARS = 200
MAX_ID = 2**63 - 1
DAY_S = 86_400
_EPOCH_DAY = date(1970, 1, 1)
_DAY_BY_HAND = re.compile(r"([0-9]{2})\.([0-9]{2})\.([0-9]{4})")


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


def field_values(row: Row) -> dict[int, object]:
    """Custom fields by id: the value of a field with one, a tuple of them with several; an empty field is absent."""
    found: dict[int, object] = {}
    for one, values in _filled_fields(row):
        field_id = optional_whole(one, "field_id")
        if field_id is not None:
            found[field_id] = values[0] if len(values) == 1 else tuple(values)
    return found


def field_texts(row: Row, code: str) -> tuple[str, ...]:
    """Every text of the fields with this code: a contact may have several phones."""
    found = (value for one, values in _filled_fields(row) if one.get("field_code") == code for value in values)
    texts = (value.strip() for value in found if isinstance(value, str))
    return tuple(dict.fromkeys(value for value in texts if value))


def date_value(stored: object) -> date | None:
    """The day in a field of type date or birthday; None when there is none or it cannot be read.

    amoCRM keeps a day as the midnight with which it begins in the account's zone, in Unix seconds. Whatever the zone
    (up to twelve hours from UTC), the nearest midnight of UTC has the right date. A text is a day as ISO 8601 or as
    people write it: 17.05.1990.
    """
    if isinstance(stored, bool) or not isinstance(stored, str | int):
        return None
    try:
        seconds = int(stored)
    except ValueError:
        return _written_day(str(stored).strip())
    return _day_of(seconds)


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


def _filled_fields(row: Row) -> Iterator[tuple[Row, list[object]]]:
    """Custom fields of an entity that have values; `custom_fields_values` may be null or odd."""
    fields = row.get("custom_fields_values")
    for one in fields if isinstance(fields, list) else []:
        stored = one.get("values") if isinstance(one, dict) else None
        values = [value.get("value") for value in stored if isinstance(value, dict)] if isinstance(stored, list) else []
        if values:
            yield one, values


def _day_of(seconds: int) -> date | None:
    try:
        return _EPOCH_DAY + timedelta(days=(seconds + DAY_S // 2) // DAY_S)
    except OverflowError:
        return None


def _written_day(words: str) -> date | None:
    by_hand = _DAY_BY_HAND.fullmatch(words)
    try:
        at = datetime.fromisoformat("-".join(by_hand.group(3, 2, 1)) if by_hand else words)
    except ValueError:
        return None
    # Midnight is the day as somebody wrote it; any other hour is a midnight told in another zone.
    if at.time() == time.min or at.tzinfo is None:
        return at.date()
    return _day_of(int(at.timestamp()))


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
