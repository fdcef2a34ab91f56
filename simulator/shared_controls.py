"""Control calls that all servers have in common: faults, the clock, where the others live; refusals in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, request

from simulator.answers import Json, plain


def routes_for_all(bp: Blueprint, world: Callable[[], Any], faults_changed: Callable[[Json], None]) -> None:
    """Adds the calls to a blueprint. `world()` is the CRM or the bank that the application serves."""

    def faults() -> Response:
        if request.method == "POST":
            asked = asked_object()
            world().faults.change(asked)
            faults_changed(asked)
            with world().store.lock:
                world().store.version += 1
        return plain(world().faults.show())

    def clock() -> Response:
        if request.method == "POST":
            world().clock.move(asked_object())
            with world().store.lock:
                world().store.version += 1
        return plain({"now": world().clock.instant().isoformat(), "offset_s": world().clock.offset_s})

    def peers() -> Response:
        known = world().settings.peers
        if request.method == "POST":
            known.update(asked_object())
            with world().store.lock:
                world().store.put("peers", "known", vars(known).copy())
        return plain(vars(known))

    for view in (faults, clock, peers):
        bp.add_url_rule(f"/sim/{view.__name__}", view.__name__, view, methods=["GET", "POST"])


def explain_refusals(bp: Blueprint) -> None:
    """A command that makes no sense answers 404 (no such thing) or 400, with `error` in words."""

    def refused(problem: Exception) -> Response:
        return plain({"error": str(problem)}, 404 if isinstance(problem, LookupError) else 400)

    for kind in (LookupError, ValueError, TypeError):
        bp.register_error_handler(kind, refused)


def asked_object() -> Json:
    """The JSON object of a control call, {} for no body. Raises ValueError."""
    if not request.get_data():
        return {}
    asked: Any = request.get_json(silent=True)
    if not isinstance(asked, dict):
        raise ValueError("ждём объект JSON (Content-Type: application/json)")  # noqa: TRY004 - one class for bad input
    return asked
