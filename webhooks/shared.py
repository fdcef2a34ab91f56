"""What every view needs: the Runtime and the counters of its application; and how a webhook is described."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from flask import current_app

if TYPE_CHECKING:
    from collections.abc import Callable
    from wsgiref.types import WSGIEnvironment

    from flows.runtime import Runtime
    from webhooks.counters import Counters


@dataclass(frozen=True)
class Taken:
    """The reply to a message that is durable now. `source` is its name in /metrics."""

    source: str
    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True)
class Taker:
    """A webhook: what stands after `prefix` in its path is a name that `is_known` or not; `take` keeps the body."""

    prefix: str
    is_known: Callable[[Runtime, str], bool]
    take: Callable[[Runtime, str, WSGIEnvironment, bytes], Taken]


def runtime() -> Runtime:
    return cast("Runtime", current_app.extensions["runtime"])


def counters() -> Counters:
    return cast("Counters", current_app.extensions["counters"])
