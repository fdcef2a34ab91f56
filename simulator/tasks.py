"""Tasks for managers, and a manager who closes one by hand. Implements the amoCRM reference section 4.7."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from simulator import hooks
from simulator.answers import (
    Error,
    Json,
    body_list,
    body_object,
    bracket,
    bracket_ids,
    error,
    hal,
    invalid,
    paged,
    plain,
    refuse,
    request_ids,
    self_link,
)
from simulator.controls import spread_of
from simulator.shared_controls import asked_object, explain_refusals
from simulator.store import Record
from simulator.world import USERS, Crm, the_crm

ENTITIES = ("leads", "contacts", "companies", "customers")
CHANGEABLE = ("text", "complete_till", "responsible_user_id", "task_type_id")

bp = Blueprint("tasks", __name__, url_prefix="/api/v4/tasks")
controls = Blueprint("task_controls", __name__)
explain_refusals(controls)


@bp.get("")
def listed() -> Response:
    """Narrowed by id, entity, kind of entity, responsible user and whether it is done."""
    rows = [row for row in the_crm().rows("tasks").values() if not row.get("is_deleted")]
    for name, key in (("id", "id"), ("entity_id", "entity_id"), ("responsible_user_id", "responsible_user_id")):
        wanted = bracket_ids(f"filter[{name}]")
        rows = [row for row in rows if not wanted or row[key] in wanted]
    kinds = bracket("filter[entity_type]")
    rows = [row for row in rows if not kinds or row["entity_type"] in kinds]
    done = bracket("filter[is_completed]")
    rows = [row for row in rows if not done or str(int(row["is_completed"])) in done]
    return paged("tasks", rows, _shown)


@bp.get("/<int:task_id>")
def one(task_id: int) -> Response:
    return hal(_shown(_task(the_crm(), task_id)))


@bp.post("")
def create() -> Response:
    crm, items = the_crm(), body_list()
    ids = request_ids(items)
    errors = {key: _errors(crm, item, is_new=True) for key, item in zip(ids, items, strict=True)}
    if any(errors.values()):
        raise invalid({key: found for key, found in errors.items() if found})
    shown = []
    for key, item in zip(ids, items, strict=True):
        task = _made(crm, item)
        hooks.announce_task(crm, "add", task)
        shown.append({"id": task["id"], "request_id": key, "_links": self_link(f"tasks/{task['id']}")})
    return hal({"_links": self_link("tasks"), "_embedded": {"tasks": shown}})


@bp.patch("/<int:task_id>")
def change(task_id: int) -> Response:
    crm, asked = the_crm(), body_object()
    task = _task(crm, task_id)
    errors = _errors(crm, asked, is_new=False)
    if errors:
        raise invalid({"0": errors})
    _apply(crm, task, asked)
    return hal({"id": task_id, "updated_at": task["updated_at"], "_links": self_link(f"tasks/{task_id}")})


@controls.get("/sim/tasks")
def board() -> Response:
    crm = the_crm()
    with crm.store.lock:
        return plain({"tasks": [_shown(row) for row in crm.rows("tasks").values() if not row.get("is_deleted")]})


@controls.post("/sim/tasks/<int:task_id>/close")
def close(task_id: int) -> Response:
    """`{"result": "5 просил не звонить"}`: the manager closes a task, or mends the result of a closed one."""
    crm, asked = the_crm(), asked_object()
    with crm.store.lock:
        task = _known(crm, task_id)
        closing = {"is_completed": True, "result": {"text": str(asked.get("result") or "")}}
        _apply(crm, task, closing, spread=spread_of(asked))
        return plain(_shown(task))


@controls.post("/sim/tasks/<int:task_id>/delete")
def delete(task_id: int) -> Response:
    crm = the_crm()
    with crm.store.lock:
        task = _known(crm, task_id)
        task["is_deleted"] = True
        crm.stamp("tasks", task)
        hooks.announce_task(crm, "delete", task)
        return plain({"ok": True})


def _apply(crm: Crm, task: Record, asked: Json, *, spread: hooks.Spread = hooks.USUAL) -> None:
    was_text, was_done = task["text"], task["is_completed"]
    task.update({key: asked[key] for key in CHANGEABLE if key in asked})
    if "is_completed" in asked:
        task["is_completed"] = bool(asked["is_completed"])
    if isinstance(asked.get("result"), dict):
        task["result"] = {"text": str(asked["result"].get("text", ""))}
    crm.stamp("tasks", task)
    is_closing = task["is_completed"] and not was_done
    hooks.announce_task(crm, "update", task, was_text=was_text, is_closing=is_closing, spread=spread)


def _errors(crm: Crm, item: Json, *, is_new: bool) -> list[Error]:
    found = []
    if is_new:
        missing = [name for name in ("text", "complete_till") if not item.get(name)]
        found += [error("FieldMissing", name, "This field is missing.") for name in missing]
    kind: Any = item.get("entity_type")
    if kind is not None and (kind not in ENTITIES or item.get("entity_id") not in crm.rows(str(kind))):
        found.append(error("NotSupportedChoice", "entity_id", "Entity not found."))
    user: Any = item.get("responsible_user_id")
    if user is not None and user not in [row["id"] for row in USERS]:
        found.append(error("NotSupportedChoice", "responsible_user_id", "User not found."))
    return found


def _made(crm: Crm, item: Json) -> Record:
    now_s, task_id = crm.clock.now_s(), crm.next_id("tasks")
    row: Record = {
        "id": task_id,
        "text": item["text"],
        "complete_till": item["complete_till"],
        "entity_id": item.get("entity_id"),
        "entity_type": item.get("entity_type"),
        "task_type_id": item.get("task_type_id", 1),
        "responsible_user_id": item.get("responsible_user_id", crm.actor()),
        "is_completed": False,
        "result": [],
        "created_by": crm.actor(),
        "created_at": now_s,
        "updated_at": now_s,
        "updated_by": crm.actor(),
        "account_id": crm.settings.crm.account_id,
    }
    return crm.store.put("tasks", task_id, row)


def _task(crm: Crm, task_id: int) -> Record:
    task = crm.rows("tasks").get(task_id)
    if task is None or task.get("is_deleted"):
        raise refuse(404, "Task not found")
    return task


def _known(crm: Crm, task_id: int) -> Record:
    """Raises LookupError."""
    task = crm.rows("tasks").get(task_id)
    if task is None or task.get("is_deleted"):
        raise LookupError(f"нет задачи {task_id}")
    return task


def _shown(task: Record) -> Json:
    return {key: value for key, value in task.items() if key != "is_deleted"}
