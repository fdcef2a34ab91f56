"""Salesbots: which there are, which ran for whom with what in his fields. Implements the amoCRM reference section 7.

A bot here only remembers that it ran: what it would have said stands in the fields at that moment.
"""

from __future__ import annotations

from flask import Blueprint, Response

from simulator import fields
from simulator.answers import Json, body_list, body_object, hal, paged, plain, refuse
from simulator.shared_controls import explain_refusals
from simulator.store import Record
from simulator.world import Crm, the_crm

MOST = 100
ENTITIES = ("leads", "contacts", "customers")
BOTS: tuple[Json, ...] = ({"id": 501, "name": "Поздравить с VIP"}, {"id": 502, "name": "Вернуть уснувшего"})

bp = Blueprint("bots", __name__, url_prefix="/api/v4/bots")
controls = Blueprint("bot_controls", __name__)
explain_refusals(controls)


@bp.get("")
def listed() -> Response:
    return paged("bots", list(BOTS), dict)


@bp.post("/run")
def run_many() -> Response:
    """Up to a hundred at once, all or none."""
    crm, items = the_crm(), body_list()
    if len(items) > MOST:
        raise refuse(400, f"No more than {MOST} bots at once")
    for item in items:
        _check(crm, item, item.get("bot_id"))
    for item in items:
        _ran(crm, item, int(item["bot_id"]))
    return hal({"success": True}, 202)


@bp.post("/<int:bot_id>/run")
def run(bot_id: int) -> Response:
    crm, item = the_crm(), body_object()
    _check(crm, item, bot_id)
    _ran(crm, item, bot_id)
    return hal({"success": True}, 202)


@controls.get("/sim/bots")
def runs() -> Response:
    crm = the_crm()
    with crm.store.lock:
        return plain({"runs": list(crm.rows("bot_runs").values())})


def _check(crm: Crm, item: Json, bot_id: object) -> None:
    if bot_id not in [bot["id"] for bot in BOTS]:
        raise refuse(404, "Bot not found")
    if item.get("entity_type") not in ENTITIES or item.get("entity_id") not in crm.rows(str(item.get("entity_type"))):
        raise refuse(400, "Entity not found")


def _ran(crm: Crm, item: Json, bot_id: int) -> None:
    record: Record = crm.rows(item["entity_type"])[item["entity_id"]]
    number = crm.store.next_id("bot_runs", 1)
    shown = fields.shown(crm, record) or []
    values = {one["field_name"]: one["values"][0]["value"] for one in shown if one["values"]}
    run_of = {"bot_id": bot_id, "entity_type": item["entity_type"], "entity_id": item["entity_id"], "fields": values}
    crm.store.put("bot_runs", number, run_of)
