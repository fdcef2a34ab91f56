"""Deals and pipelines of amoCRM. Implements the amoCRM reference sections 4.1 and 4.8 (pipelines)."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response

from simulator import links
from simulator.answers import Error, Json, bracket_ids, empty, error, hal, self_link
from simulator.entities import Kind, routes
from simulator.store import Record
from simulator.world import LOST, WON, Crm, the_crm

pipelines = Blueprint("pipelines", __name__, url_prefix="/api/v4/leads/pipelines")

SCALARS = {
    "price": (int, float),
    "status_id": (int,),
    "pipeline_id": (int,),
    "loss_reason_id": (int, type(None)),
    "closed_at": (int, type(None)),
}


def _start(crm: Crm) -> Record:
    pipeline = crm.pipeline()
    return {
        "price": 0,
        "status_id": pipeline["statuses"][1]["id"],
        "pipeline_id": pipeline["id"],
        "loss_reason_id": None,
        "closed_at": None,
        "contacts": [],
        "company_id": None,
    }


def _check(crm: Crm, item: Json, record: Record | None) -> list[Error]:
    found = links.embed_errors(crm, item.get("_embedded"))
    pipeline_id = item.get("pipeline_id", record["pipeline_id"] if record else crm.pipeline()["id"])
    pipeline = crm.rows("pipelines").get(pipeline_id)
    if pipeline is None:
        return [*found, error("NotSupportedChoice", "pipeline_id", "The value you selected is not a valid choice.")]
    known = {status["id"] for status in pipeline["statuses"]}
    if "status_id" in item and item["status_id"] not in known:
        found.append(error("NotSupportedChoice", "status_id", "The value you selected is not a valid choice."))
    return found


def _apply(crm: Crm, record: Record, item: Json) -> None:
    pipeline = crm.rows("pipelines")[record["pipeline_id"]]
    if record["status_id"] not in {status["id"] for status in pipeline["statuses"]}:
        record["status_id"] = pipeline["statuses"][1]["id"]
    if "closed_at" not in item:
        closed = record["status_id"] in (WON, LOST)
        record["closed_at"] = (record["closed_at"] or crm.clock.now_s()) if closed else None


def _show(_crm: Crm, record: Record, including: set[str]) -> Json:
    companies = [{"id": record["company_id"], "_links": self_link(f"companies/{record['company_id']}")}]
    embedded: Json = {"companies": companies if record["company_id"] else []}
    if "contacts" in including:
        embedded["contacts"] = [
            {"id": row["id"], "is_main": row["is_main"], "_links": self_link(f"contacts/{row['id']}")}
            for row in record["contacts"]
        ]
    if "catalog_elements" in including:
        embedded["catalog_elements"] = links.elements_of(record)
    keys = ("status_id", "pipeline_id", "loss_reason_id", "closed_at")
    return {
        "price": int(record["price"]),
        "price_with_minor_units": record["price"],
        **{key: record[key] for key in keys},
        "source_id": None,
        "score": None,
        "labor_cost": None,
        "is_price_computed": False,
        "_embedded": embedded,
    }


def _keep() -> Callable[[Record], bool]:
    pipeline_ids, pairs = bracket_ids("filter[pipeline_id]"), _status_pairs()

    def kept(record: Record) -> bool:
        if pipeline_ids and record["pipeline_id"] not in pipeline_ids:
            return False
        return not pairs or (record["pipeline_id"], record["status_id"]) in pairs

    return kept


def _status_pairs() -> set[tuple[int, int]]:
    """Pairs of filter[statuses][n][pipeline_id] and [status_id]; both are required."""
    pairs, index = set(), 0
    while pipeline_ids := bracket_ids(f"filter[statuses][{index}][pipeline_id]"):
        status_ids = bracket_ids(f"filter[statuses][{index}][status_id]") or {0}
        pairs |= {(pipeline_id, status_id) for pipeline_id in pipeline_ids for status_id in status_ids}
        index += 1
    return pairs


LEADS = Kind(
    name="leads",
    scalars=SCALARS,
    start=_start,
    check=_check,
    apply=_apply,
    show=_show,
    keep=_keep,
    guard=lambda _crm: None,
)
bp = routes(LEADS)


@pipelines.get("")
def listed() -> Response:
    rows = [_pipeline(row) for row in the_crm().rows("pipelines").values()]
    return hal({"_total_items": len(rows), "_links": self_link("leads/pipelines"), "_embedded": {"pipelines": rows}})


@pipelines.get("/<int:pipeline_id>")
def one(pipeline_id: int) -> Response:
    row = the_crm().rows("pipelines").get(pipeline_id)
    return empty() if row is None else hal(_pipeline(row))


@pipelines.get("/<int:pipeline_id>/statuses")
def statuses(pipeline_id: int) -> Response:
    row = the_crm().rows("pipelines").get(pipeline_id)
    if row is None:
        return empty()
    return hal({"_total_items": len(row["statuses"]), "_embedded": {"statuses": row["statuses"]}})


def _pipeline(row: Record) -> Json:
    own = {key: value for key, value in row.items() if key != "statuses"}
    return {**own, "_links": self_link(f"leads/pipelines/{row['id']}"), "_embedded": {"statuses": row["statuses"]}}
