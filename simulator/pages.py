"""Pages of the simulated CRM: the board of deals, a deal, the log of hooks. Only reads; buttons use the control API."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, render_template

from simulator import catalogs, controls, fields
from simulator.answers import Json
from simulator.card_controls import BY_HAND
from simulator.deliveries import log_of
from simulator.field_values import DATES, MOSCOW
from simulator.store import Record
from simulator.views import callback_view, contact_view, customer_view, deal_view, feed_view, payments_by_lead
from simulator.world import Crm, the_crm

CARDS_PER_STAGE = 60
LOG_LIMIT = 100
DEAL_LOG_LIMIT = 12

bp = Blueprint("pages", __name__)


@bp.get("/")
def board() -> str:
    crm = the_crm()
    with crm.store.lock:
        pipeline = crm.pipeline()
        stages = [{**status, "deals": [], "total": 0} for status in pipeline["statuses"] if status["type"] == 0]
        grouped = payments_by_lead(crm)
        by_id = {stage["id"]: stage for stage in stages}
        for lead in reversed(crm.rows("leads").values()):
            stage = by_id.get(lead["status_id"])
            if stage is not None and lead["pipeline_id"] == pipeline["id"]:
                stage["total"] += 1
                if len(stage["deals"]) < CARDS_PER_STAGE:
                    stage["deals"].append(deal_view(crm, lead, grouped))
        return render_template("board.html", stages=stages, **_bar(crm, "board"))


@bp.get("/deals/<int:deal_id>")
def deal_page(deal_id: int) -> tuple[str, int] | str:
    crm = the_crm()
    with crm.store.lock:
        try:
            lead = controls.deal(crm, deal_id)
        except LookupError:
            return "нет такой сделки", 404
        return render_template("deal.html", **_deal(crm, lead), **_bar(crm, "deal"))


@bp.get("/hooks")
def hooks_page() -> str:
    crm = the_crm()
    rows = [callback_view(row) for row in log_of(crm.store, limit=LOG_LIMIT)]
    with crm.store.lock:
        return render_template("hooks.html", rows=rows, **_bar(crm, "hooks"))


def _deal(crm: Crm, lead: Record) -> Json:
    view = deal_view(crm, lead)
    contact = crm.rows("contacts").get(view["contact_id"])
    customers = [crm.rows("customers")[key] for key in contact["customers"]] if contact else []
    log = [row for row in reversed(crm.rows("deliveries").values()) if lead["id"] in row.get("entity_ids", [])]
    pipeline = crm.rows("pipelines")[lead["pipeline_id"]]
    feed = feed_view(crm, "leads", lead["id"]) + (feed_view(crm, "contacts", contact["id"]) if contact else [])
    return {
        "deal": view,
        "deal_fields": _table(crm, "leads", lead),
        "contact": contact_view(crm, contact) if contact else None,
        "contact_fields": _table(crm, "contacts", contact) if contact else [],
        "customers": [customer_view(crm, row) for row in customers],
        "feed": sorted(feed, key=lambda note: int(note["created_at"]), reverse=True),
        "has_lists": catalogs.available(crm),
        "stages": [status for status in pipeline["statuses"] if status["type"] == 0],
        "log": [callback_view(row) for row in log[:DEAL_LOG_LIMIT]],
    }


def _table(crm: Crm, entity: str, record: Record) -> list[Json]:
    """Every field of the entity with its value in words; links are told apart, and what people may type into."""
    named = fields.by_name(crm, record)
    rows = []
    for definition in fields.of_entity(crm, entity):
        value = named.get(definition["name"])
        is_link = isinstance(value, str) and value.startswith(("http://", "https://"))
        rows.append(
            {
                "name": definition["name"],
                "text": _in_words(definition["type"], value),
                "link": value if is_link else None,
                "by_hand": definition["type"] in BY_HAND and not definition["is_api_only"],
            }
        )
    return rows


def _in_words(kind: str, value: object) -> str:
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "да" if value else "нет"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    if kind in DATES:
        return f"{datetime.fromtimestamp(int(str(value)), UTC).astimezone(MOSCOW):%d.%m.%Y}"
    return str(value)


def _bar(crm: Crm, here: str) -> Json:
    """What the top bar shows on every page."""
    return {
        "here": here,
        "now": crm.clock.instant(),
        "faults": crm.faults.show(),
        "banned_s": crm.limiter.banned_left_s(),
        "hooks": list(crm.rows("webhooks").values()),
        "version": crm.store.version,
        "bank_url": crm.settings.peers.bank_url,
        "mail_url": crm.settings.peers.mail_url,
    }
