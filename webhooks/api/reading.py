"""What a call says, read strictly: the parts of its path, its query or its body. Nothing else reads requests.

Raises BadRequest with the field's path, NotJson, and for names that cannot be anybody's the refusal of their kind.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeVar

from flask import request
from pydantic import TypeAdapter, ValidationError

from flows.refusals import HoldNotFound, MemberNotFound
from webhooks.api import mistakes, problems
from webhooks.api.fields import ID_MAX, OrderName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

    from webhooks.api.route import Route

Read = TypeVar("Read")

NAME_CHARS_TOLD_MAX = 64

_HOLD_ID = re.compile(r"hold_[A-Za-z0-9_-]{1,64}")
_ORDER: TypeAdapter[str] = TypeAdapter(OrderName)


def path(parts: Mapping[str, str]) -> dict[str, Any]:
    """The named parts of the path as values."""
    return {name: _READERS[name](text) for name, text in parts.items()}


def rest(route: Route) -> dict[str, BaseModel]:
    """The query or the body as the route's model."""
    repeated = sorted(name for name, values in request.args.lists() if len(values) > 1)
    if repeated:
        raise problems.BadRequest(f"Параметр {repeated[0][:NAME_CHARS_TOLD_MAX]} повторяется")
    model = route.asks
    if route.method == "GET" and model is not None:
        return {"query": _checked(lambda: model.model_validate(request.args.to_dict(), strict=False))}
    if request.args:
        raise problems.BadRequest(f"Неизвестный параметр {next(iter(request.args))[:NAME_CHARS_TOLD_MAX]}")
    return {} if model is None else {"body": _checked(lambda: _body(model))}


def _body(model: type[BaseModel]) -> BaseModel:
    """Read twice: strictly into the model, and once more for keys that stand twice, which the first reading allows."""
    raw = request.get_data()
    if not raw and not model.model_fields:
        return model()
    if request.mimetype != "application/json" or "Content-Encoding" in request.headers:
        raise problems.NotJson
    found = model.model_validate_json(raw)
    json.loads(raw.decode(), object_pairs_hook=_without_repeats)
    return found


def _checked(read: Callable[[], Read], *, path: str = "") -> Read:
    try:
        return read()
    except ValidationError as failure:
        found = [{**one, "path": one["path"] or path} for one in mistakes.of(failure)]
        detail = f"{found[0]['path']}: {found[0]['message']}" if found[0]["path"] else found[0]["message"]
        raise problems.BadRequest(detail, errors=found) from failure


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise problems.BadRequest(f"Поле {repeated[:NAME_CHARS_TOLD_MAX]} повторяется")
    return found


def _member_id(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 0 < int(text) <= ID_MAX):
        raise MemberNotFound
    return int(text)


def _hold_id(text: str) -> str:
    if not _HOLD_ID.fullmatch(text):
        raise HoldNotFound
    return text


def _order(text: str) -> str:
    return str(_checked(lambda: _ORDER.validate_python(text), path="order"))


_READERS: Mapping[str, Callable[[str], Any]] = {"member_id": _member_id, "hold_id": _hold_id, "order": _order}
"""What stands in a path, by its name in the table."""
