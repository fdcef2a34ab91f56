"""What an HTTP status means, for every service alike.

Owns the one table from statuses to the tree of `errors.py`, and the reading of JSON objects. A service with meanings of
its own (amoCRM's 402, 403 and 422) looks at those first and leaves the rest to this table.
"""

from __future__ import annotations

from typing import Any

from connector.errors import AlreadyExists, BadReply, NeedsReauth, NotFound, Problem, RateLimited, Refused, ServerFailed
from connector.http import Reply

DEFAULT_PAUSE_S = 1.0
MAX_PAUSE_S = 3600.0


def raise_for_status(reply: Reply, what: str, *, is_write: bool, problems: tuple[Problem, ...] = ()) -> None:
    """Returns for 2xx only. `what` names service and operation, for example "amoCRM PATCH /contacts"."""
    status = reply.status
    if 200 <= status < 300:
        return
    if status >= 500:
        raise ServerFailed(f"{what}: status {status}", ambiguous=is_write)
    if status == 429:
        raise RateLimited(f"{what}: too many requests", retry_after_s=retry_after_s(reply))
    if status == 401:
        raise NeedsReauth(f"{what}: the credentials are not accepted")
    if status == 404:
        raise NotFound(f"{what}: not found", status=status, problems=problems)
    if status == 409:
        raise AlreadyExists(f"{what}: already exists", status=status, problems=problems)
    if status >= 400:
        raise Refused(f"{what}: status {status}{_told(problems)}", status=status, problems=problems)
    raise BadReply(f"{what}: unexpected status {status}", ambiguous=is_write)


def json_object(reply: Reply, what: str, *, is_write: bool) -> dict[str, Any]:
    """The body as a JSON object. A 2xx page that is not JSON comes from something in between: worth another try."""
    try:
        content = reply.json()
    except BadReply:
        content = None
    if not isinstance(content, dict):
        raise BadReply(f"{what}: the answer is not a JSON object", retryable=True, ambiguous=is_write)
    return content


def retry_after_s(reply: Reply) -> float:
    """Retry-After in seconds within bounds; its date form and nonsense count as the default."""
    told = reply.headers.get("retry-after", "").strip()
    if not (told.isascii() and told.isdigit() and len(told) <= 9):
        return DEFAULT_PAUSE_S
    return min(max(float(told), DEFAULT_PAUSE_S), MAX_PAUSE_S)


def _told(problems: tuple[Problem, ...]) -> str:
    # Codes and paths only: the detail may quote a buyer's value.
    return "".join(f"; {problem.code} at {problem.path}" for problem in problems[:5])
