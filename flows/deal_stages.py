"""Which stages of the CRM's funnel mean «paid», by the names in the rules file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connector.amocrm.leads import LOST_STATUS_ID, WON_STATUS_ID
from flows.settle import SetupIncomplete

if TYPE_CHECKING:
    from config.model import AmoCrmConfig
    from connector.amocrm.client import AmoCrm
    from connector.amocrm.leads import Pipeline
    from flows.runtime import Runtime

PAID_STAGES = "paid_stages"


@dataclass(frozen=True)
class PaidStages:
    """(pipeline, stage) pairs that mean paid; `entry` is the configured one, where a paid deal is put, `before`
    are those of its funnel from which it is put there."""

    all: frozenset[tuple[int, int]]
    entry: tuple[int, int]
    before: frozenset[tuple[int, int]]


def paid(rt: Runtime, crm: AmoCrm) -> PaidStages:
    """Stages that mean «paid»: the configured one and those after it in the funnel, won included, but neither lost
    nor the refund stage."""
    names = rt.crm_names
    wanted = f"{names.pipeline}\n{names.paid_status}\n{names.refund_status}"
    cached = rt.directory.get(PAID_STAGES)
    if cached is None or cached.get("for") != wanted or "before" not in cached:
        cached = {"for": wanted, **_look_up_stages(crm, names)}
        rt.directory.put(PAID_STAGES, cached)
    entry = cached["entry"]
    return PaidStages(_pairs(cached["stages"]), (entry[0], entry[1]), _pairs(cached["before"]))


def _pairs(stored: list[list[int]]) -> frozenset[tuple[int, int]]:
    return frozenset((pipeline_id, status_id) for pipeline_id, status_id in stored)


def _look_up_stages(crm: AmoCrm, names: AmoCrmConfig) -> dict[str, list[Any]]:
    pipelines = crm.pipelines()
    pipeline = next((one for one in pipelines if one.name == names.pipeline), None)
    if pipeline is None:
        known = ", ".join(one.name for one in pipelines)
        raise SetupIncomplete(f"В amoCRM нет воронки «{names.pipeline}»; есть: {known}. Поправьте amocrm.pipeline")
    paid = _place(pipeline, names.paid_status, "amocrm.paid_status")
    unpaid = {LOST_STATUS_ID}
    if names.refund_status is not None:
        unpaid.add(pipeline.statuses[_place(pipeline, names.refund_status, "amocrm.refund_status")][0])
    ids = {status_id for status_id, _ in pipeline.statuses[paid:]} | {WON_STATUS_ID}
    stages = [[pipeline.id, status_id] for status_id in sorted(ids - unpaid)]
    before = [[pipeline.id, status_id] for status_id, _ in pipeline.statuses[:paid] if status_id not in unpaid]
    return {"stages": stages, "entry": [pipeline.id, pipeline.statuses[paid][0]], "before": before}


def _place(pipeline: Pipeline, name: str, rule: str) -> int:
    """Where the stage stands in the funnel."""
    stages = [title for _, title in pipeline.statuses]
    if name not in stages:
        known = ", ".join(stages)
        raise SetupIncomplete(f"В воронке «{pipeline.name}» нет этапа «{name}»; есть: {known}. Поправьте {rule}")
    return stages.index(name)
