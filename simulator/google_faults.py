"""What goes wrong at the stand-in for Google on request, and its limits: calls a second, notices a day, messages.

Faults that all servers share (`faults`) spoil this API as well; here is what only Google says.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import asdict, dataclass, fields
from typing import Any

from flask import Response, request

from simulator.answers import Json, plain
from simulator.limits import drop_connection

WINDOW_S = 1.0
NOTICES_A_DAY = 3
DAY_S = 86_400.0
MESSAGES_MAX = 10


@dataclass
class Plan:
    """Each counts down to nothing: so many next calls (of this API, not of the token endpoint) are refused with 403
    and the quota's text, with 429, with 503, with 401; so many changes are made and their answers lost.
    `requests_per_second` 0: no limit; `no_rights`: the service account is nobody here; `keys_away`: root keys are not
    to be had; `rejected`: the class does not pass the review."""

    quota_403: int = 0
    error_429: int = 0
    error_503: int = 0
    error_401: int = 0
    lose_answers: int = 0
    requests_per_second: int = 0
    no_rights: bool = False
    keys_away: bool = False
    rejected: bool = False


class GoogleFaults:
    """The plan and what it has counted. Callers hold the store's lock."""

    def __init__(self) -> None:
        self.plan = Plan()
        self.calls = 0
        self.refused = 0
        self._recent: deque[float] = deque()

    def change(self, asked: Json) -> None:
        """Raises ValueError on a key it does not know."""
        known = {one.name: one for one in fields(Plan)}
        for name, value in asked.items():
            if name not in known:
                raise ValueError(f"нет такой неисправности: {name}")
            setattr(self.plan, name, type(getattr(self.plan, name))(value))

    def show(self) -> Json:
        return {**asdict(self.plan), "calls": self.calls, "refused": self.refused}

    def refusal(self) -> tuple[int, str, str] | None:
        """Code, status and message; counts the call."""
        self.calls += 1
        found = self._limited() or self._planned()
        self.refused += found is not None
        return found

    def loses_answer(self) -> bool:
        return request.method != "GET" and self._spend("lose_answers")

    def _limited(self) -> tuple[int, str, str] | None:
        now = time.monotonic()
        while self._recent and self._recent[0] <= now - WINDOW_S:
            self._recent.popleft()
        if self.plan.requests_per_second and len(self._recent) >= self.plan.requests_per_second:
            return 429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Requests'"
        self._recent.append(now)
        return None

    def _planned(self) -> tuple[int, str, str] | None:
        if self.plan.no_rights:
            return 403, "PERMISSION_DENIED", "Permission denied."
        if self._spend("quota_403"):
            return 403, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Requests' and limit 'per second'"
        if self._spend("error_429"):
            return 429, "RESOURCE_EXHAUSTED", "Too many requests"
        if self._spend("error_503"):
            return 503, "UNAVAILABLE", "The service is currently unavailable."
        if self._spend("error_401"):
            return 401, "UNAUTHENTICATED", "Request had invalid authentication credentials."
        return None

    def _spend(self, name: str) -> bool:
        left = int(getattr(self.plan, name))
        if left > 0:
            setattr(self.plan, name, left - 1)
        return left > 0


def answered(faults: GoogleFaults, body: Any) -> Response:
    """The answer to a change that was made; sometimes nobody hears it."""
    if faults.loses_answer():
        drop_connection()
    return plain(body)
