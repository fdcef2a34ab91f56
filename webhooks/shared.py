"""What every view needs: the Runtime and the counters of its application."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from flask import current_app

if TYPE_CHECKING:
    from flows.runtime import Runtime
    from webhooks.counters import Counters


def runtime() -> Runtime:
    return cast("Runtime", current_app.extensions["runtime"])


def counters() -> Counters:
    return cast("Counters", current_app.extensions["counters"])
