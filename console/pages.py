"""The console's one page: how everything is, what waits for a person, and «Повторить».

Reads and acts through flows alone. Owns no words (words.py) and no keys (access.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, cast
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, abort, current_app, redirect, render_template, request, url_for

from console import access, words
from flows import health, lookup
from flows.errors import DatabaseAway
from flows.present import full_date, thousands

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from werkzeug.wrappers import Response as AnyResponse

    from flows.health import Facts
    from flows.runtime import Runtime

ROWS_SHOWN = 50
ROWS_LOOKED_AT = 200
ROW_ID_MAX = 2**63 - 1
PROOF_KEPT = timedelta(seconds=60)
"""Recounting a book of millions of lines takes seconds: a page that is opened often must not do it each time."""
SWEEP_LATE_ROUNDS = 4
SWEEP_LATE_MIN_S = 30.0

_PROOF = "console proof"
_BOXES: dict[str, Literal["inbox", "outbox"]] = {"inbox": "inbox", "outbox": "outbox"}
_SAID = {
    "again": ("good", "Повторяем. Обновите страницу через несколько секунд."),
    "busy": ("warn", "Это событие уже выполнено или выполняется: повторять нечего."),
}

blueprint = Blueprint("console", __name__, url_prefix="/console", template_folder="templates", static_folder="static")


@dataclass(frozen=True)
class Row:
    """One line of the lists. `again` is (box, id) for the button, None where the program tries by itself."""

    title: str
    reason: words.Reason
    when: str
    tries: int
    again: tuple[str, int] | None


@dataclass(frozen=True)
class Proof:
    """What the recount of the ledger said at `at`."""

    at: datetime
    transfers: int
    is_whole: bool
    faults: tuple[str, ...]


@blueprint.before_request
def only_the_link_opens() -> Response | None:
    if request.endpoint == "console.static":
        return None
    rt = _runtime()
    if request.method == "GET" and access.is_link(rt, request.args.get(access.LINK_PARAMETER, "")):
        return _let_in(rt)
    if not access.is_cookie(rt, request.cookies.get(access.COOKIE, "")):
        return Response(render_template("console/closed.html"), 403)
    return None


@blueprint.errorhandler(DatabaseAway)
def database_away(_: DatabaseAway) -> Response:
    return Response(render_template("console/away.html"), 503, {"Retry-After": "5"})


@blueprint.get("/")
def overview() -> str:
    rt = _runtime()
    now, zone = rt.now(), ZoneInfo(rt.programme.timezone)
    facts = health.facts(rt)
    readiness = health.readiness(rt)
    proof = _proof(rt)
    parked, failing = _standing(rt, zone)
    return render_template(
        "console/overview.html",
        programme=rt.programme.name,
        today=full_date(now.astimezone(zone).date()),
        clock=f"{now.astimezone(zone):%H:%M}",
        members=thousands(facts.members),
        boxes=[
            _box("Пришло", "от amoCRM и банков", facts.inbox, facts.inbox_oldest_s),
            _box("Отправка", "в amoCRM и на карты", facts.outbox, facts.outbox_oldest_s),
        ],
        crm=words.crm(facts.crm_state, facts.crm_reason, closed_s=facts.crm_closed_s),
        redis_ok=readiness.redis == "ok",
        sweep=_sweep(rt, facts.heartbeats, now),
        proof=proof,
        transfers=thousands(proof.transfers),
        proof_at=f"{proof.at.astimezone(zone):%H:%M:%S}",
        parked=parked,
        parked_total=_total(facts, "parked"),
        failing=failing,
        said=_SAID.get(request.args.get("said", "")),
        form_token=access.form_token(rt, request.cookies[access.COOKIE]),
    )


@blueprint.post("/replay")
def replay() -> AnyResponse:
    """«Повторить»: a parked event waits once more."""
    rt = _runtime()
    form = request.form
    if not access.is_form_token(rt, request.cookies[access.COOKIE], form.get("form_token", "")):
        abort(403)
    box, number = _BOXES.get(form.get("box", "")), form.get("id", "")
    if box is None or not (number.isascii() and number.isdigit() and len(number) < 20):
        abort(400)
    is_found = int(number) <= ROW_ID_MAX and lookup.replay(rt, box, int(number))
    return redirect(url_for("console.overview", said="again" if is_found else "busy"), 303)


def _let_in(rt: Runtime) -> Response:
    """A page that goes on to the console by itself: after a redirect from a foreign page a browser would hold the
    strict cookie back. The address without the secret is what stays in view."""
    response = Response(render_template("console/entering.html"))
    response.set_cookie(
        access.COOKIE,
        access.new_cookie(rt),
        max_age=int(access.STAY.total_seconds()),
        path=access.PATH,
        secure=rt.settings.public_url.startswith("https://"),
        httponly=True,
        samesite="Strict",
    )
    return response


def _standing(rt: Runtime, zone: ZoneInfo) -> tuple[list[Row], list[Row]]:
    """What waits for a person, and what has failed and will be tried again by the program."""
    shown = {}
    for state in ("parked", "waiting"):
        inbox, outbox = lookup.events(rt, states=(state,), limit=ROWS_LOOKED_AT)
        rows = [("inbox", row) for row in inbox] + [("outbox", row) for row in outbox]
        shown[state] = [
            _row(box, row, zone, is_parked=state == "parked") for box, row in rows if state == "parked" or row.failures
        ][:ROWS_SHOWN]
    return shown["parked"], shown["waiting"]


def _row(box: str, row: Any, zone: ZoneInfo, *, is_parked: bool) -> Row:
    if box == "inbox":
        title, came_at = words.inbox_title(row.source, row.external_id), row.received_at
    else:
        title, came_at = words.outbox_title(row.kind, row.target_id), row.created_at
    return Row(
        title=title,
        reason=words.reason(row.outcome),
        when=words.moment(came_at if is_parked else row.due_at, zone),
        tries=max(row.failures, row.crashes),
        again=(box, row.id) if is_parked else None,
    )


def _proof(rt: Runtime) -> Proof:
    """The book's proof, recounted at most once in PROOF_KEPT."""
    now = rt.now()
    kept: Proof | None = current_app.extensions.get(_PROOF)
    if kept is None or not kept.at <= now < kept.at + PROOF_KEPT:
        verdict = health.verify_ledger(rt)
        kept = Proof(now, verdict.transfers, verdict.is_whole, verdict.faults)
        current_app.extensions[_PROOF] = kept
    return kept


def _sweep(rt: Runtime, heartbeats: Mapping[str, datetime], now: datetime) -> tuple[str, str]:
    """(tone, text) of the last round."""
    beat = heartbeats.get("sweep")
    if beat is None:
        return "bad", "ещё не запускался: запустите kopilka sweep --forever"
    late_s = max(SWEEP_LATE_MIN_S, rt.settings.sweep_interval_s * SWEEP_LATE_ROUNDS)
    text = words.ago(beat, now)
    if (now - beat).total_seconds() > late_s:
        return "bad", f"{text}: проверьте, запущен ли kopilka sweep --forever"
    return "good", text


def _box(title: str, hint: str, counts: Mapping[str, int], oldest_s: float) -> dict[str, Any]:
    wait = words.waiting(counts.get("waiting", 0), oldest_s)
    return {"title": title, "hint": hint, "counts": words.counts(counts), "wait": wait}


def _total(facts: Facts, state: str) -> int:
    return facts.inbox.get(state, 0) + facts.outbox.get(state, 0)


def _runtime() -> Runtime:
    return cast("Runtime", current_app.extensions["runtime"])
