"""Account webhooks of amoCRM: who subscribed to what, when a body is sent again, when a hook is switched off.

Implements the amoCRM reference sections 3.1 and 3.4. The queue itself is `deliveries`, the bodies are `hookbody`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response

from simulator import hookbody
from simulator.answers import body_object, bracket, empty, error, hal, invalid, paged, refuse
from simulator.deliveries import Policy
from simulator.store import Record
from simulator.world import Crm, the_crm

POLICY = "amocrm"
ANSWER_WITHIN_S = 2.0
GAPS_S = (300.0, 900.0, 900.0, 3600.0)
GAPS_FOR_ANY_FAILURE = 2
DISABLE_AFTER_FAILURES = 100
DISABLE_WITHIN_S = 2 * 3600
KEEP_EVENTS = 5000
SETTINGS = (
    *(f"responsible_{kind}" for kind in ("lead", "contact", "company", "customer", "task")),
    *(f"restore_{kind}" for kind in ("lead", "contact", "company")),
    *(f"add_{kind}" for kind in ("lead", "contact", "company", "customer", "talk", "task")),
    *(f"update_{kind}" for kind in ("lead", "contact", "company", "customer", "talk", "task")),
    *(f"delete_{kind}" for kind in ("lead", "contact", "company", "customer", "task")),
    "status_lead",
    *(f"note_{kind}" for kind in ("lead", "contact", "company", "customer")),
    "add_chat_template_review",
)


# No code of theirs is documented and the API takes none: people tick them in the settings. The names are ours.
LIST_SETTINGS = ("add_catalog", "update_catalog", "delete_catalog")


@dataclass(frozen=True)
class Spread:
    """How often and how disorderly an event is told; 0 and None leave it to the fault profile."""

    copies: int = 0
    shuffle: bool | None = None


USUAL = Spread()
bp = Blueprint("webhooks", __name__, url_prefix="/api/v4/webhooks")


def policy() -> Policy:
    """2 seconds, any code of 100..299, 5 tries of which the last two only after 499 and 5xx."""
    return Policy(timeout_s=ANSWER_WITHIN_S, accepts=lambda status, _reply: 100 <= status <= 299, gap_s=_gap_s)


def attach(crm: Crm) -> None:
    """Lets the queue ask whether a hook is still on, and tell how it went."""

    def wanted(delivery: Record) -> bool:
        hook = crm.rows("webhooks").get(delivery["hook_id"])
        return hook is not None and not hook["disabled"]

    def tried(delivery: Record, ok: bool, quick: bool) -> None:
        hook = crm.rows("webhooks").get(delivery["hook_id"])
        if hook is not None and not ok and not quick:
            _count_failure(crm, hook)

    crm.mailer.wanted = wanted
    crm.mailer.tried = tried


def subscribe(crm: Crm, destination: str, settings: Iterable[str], sort: int = 10) -> Record:
    """Adds a hook, or replaces the settings of the one with this address and switches it on again.

    What people have ticked for lists stays.
    """
    now_s = crm.clock.now_s()
    found = next((row for row in crm.rows("webhooks").values() if row["destination"] == destination), None)
    hook: Record = found or {
        "id": crm.next_id("webhooks"),
        "destination": destination,
        "created_at": now_s,
        "account_id": crm.settings.crm.account_id,
        "created_by": crm.actor(),
    }
    ticked = [setting for setting in hook.get("settings", ()) if setting in LIST_SETTINGS]
    settings = list(dict.fromkeys([*settings, *ticked]))
    hook.update(updated_at=now_s, sort=sort, disabled=False, settings=settings, failures=[])
    return crm.store.put("webhooks", hook["id"], hook)


def tick_lists(crm: Crm, *, wanted: bool) -> None:
    """Ticks or unticks changes of lists at every hook, as an administrator does by hand."""
    for hook in crm.rows("webhooks").values():
        others = [setting for setting in hook["settings"] if setting not in LIST_SETTINGS]
        hook["settings"] = [*others, *(LIST_SETTINGS if wanted else ())]
        crm.store.touch("webhooks", hook["id"])


def announce(
    crm: Crm,
    kind: str,
    action: str,
    records: list[Record],
    *,
    was: dict[int, Record] | None = None,
    spread: Spread = USUAL,
) -> None:
    """Sends `{kind}[{action}][n]` about records of one kind to every hook that wants it."""
    _remember(crm, kind, action, records)
    items = [hookbody.entity(crm, kind, record, action, (was or {}).get(record["id"], record)) for record in records]
    _send(crm, kind, action, {hookbody.HOOK_KEYS[kind]: {action: items}}, records, spread)


def announce_note(crm: Crm, kind: str, note: Record) -> None:
    tree = {hookbody.HOOK_KEYS[kind]: {"note": [hookbody.note(crm, kind, note)]}}
    _send(crm, kind, "note", tree, [{"id": note["entity_id"]}], USUAL)


def announce_task(
    crm: Crm,
    action: str,
    task: Record,
    *,
    was_text: str | None = None,
    is_closing: bool = False,
    spread: Spread = USUAL,
) -> None:
    """The key is `task`, in the singular; `action_close` tells of one that was completed."""
    item = hookbody.task(crm, task, action, was_text=was_text, is_closing=is_closing)
    _send(crm, "tasks", action, {"task": {action: [item]}}, [task], spread)


def _send(crm: Crm, kind: str, action: str, tree: Record, records: list[Record], spread: Spread) -> None:
    setting = f"{action}_{hookbody.SINGULAR[kind]}"
    hooks = [row for row in crm.rows("webhooks").values() if setting in row["settings"] and not row["disabled"]]
    if not hooks or not records:
        return
    account = hookbody.account_block(crm, with_id=not crm.faults.without_account_id)
    body = hookbody.encode({**tree, "account": account})
    for hook in hooks:
        for copy in range(spread.copies or crm.faults.copies()):
            delivery = {
                "policy": POLICY,
                "url": hook["destination"],
                "content_type": "application/x-www-form-urlencoded",
                "headers": {"User-Agent": "amoCRM-Webhooks/3.0"},
                "body": body,
                "hook_id": hook["id"],
                "event": setting,
                "entity": kind,
                "entity_ids": [record["id"] for record in records],
                "copy": copy + 1,
            }
            lag_s = crm.faults.lag_s(shuffle=spread.shuffle)
            crm.mailer.send(delivery, lag_s=lag_s, quick=crm.faults.naughty, lost=crm.faults.loses())


def _remember(crm: Crm, kind: str, action: str, records: list[Record]) -> None:
    """The account's event log tells of new records, stage changes and what was deleted."""
    types = {"add": "added", "status": "status_changed", "delete": "deleted", "restore": "restored"}
    for record in records if action in types and kind != hookbody.ELEMENTS else ():
        event_id = crm.store.next_id("events", 1)
        crm.store.put(
            "events",
            event_id,
            {
                "id": f"01sim{event_id:021d}",
                "type": f"{hookbody.SINGULAR[kind]}_{types[action]}",
                "entity_id": record["id"],
                "entity_type": hookbody.SINGULAR[kind],
                "created_by": crm.actor(),
                "created_at": crm.clock.now_s() if action == "delete" else record["updated_at"],
                "account_id": crm.settings.crm.account_id,
            },
        )
        crm.store.remove("events", event_id - KEEP_EVENTS)


def _gap_s(tries: int, status: int) -> float | None:
    if tries > len(GAPS_S):
        return None
    temporary = status == 499 or 500 <= status <= 599
    return GAPS_S[tries - 1] if tries <= GAPS_FOR_ANY_FAILURE or temporary else None


def _count_failure(crm: Crm, hook: Record) -> None:
    now = crm.clock.now()
    hook["failures"] = [at for at in hook["failures"] if at > now - DISABLE_WITHIN_S] + [now]
    if len(hook["failures"]) > DISABLE_AFTER_FAILURES:
        hook["disabled"] = True
    crm.store.touch("webhooks", hook["id"])


@bp.get("")
def listed() -> Response:
    wanted = bracket("filter[destination]")
    rows = [row for row in the_crm().rows("webhooks").values() if not wanted or row["destination"] in wanted]
    return paged("webhooks", rows, _model, totals=True)


@bp.post("")
def create() -> Response:
    asked = body_object()
    destination, settings = asked.get("destination"), asked.get("settings")
    errors = []
    if not isinstance(destination, str) or not destination.startswith(("http://", "https://")):
        errors.append(error("InvalidType", "destination", "This value is not a valid URL."))
    if not isinstance(settings, list) or not settings:
        errors.append(error("NotBlank", "settings", "This value should not be blank."))
    else:
        errors += [
            error("NotSupportedChoice", f"settings.{index}", "The value you selected is not a valid choice.")
            for index, value in enumerate(settings)
            if value not in SETTINGS
        ]
    if errors:
        raise invalid({"0": errors})
    return hal(_model(subscribe(the_crm(), str(destination), settings or [], int(asked.get("sort", 10)))), 201)


@bp.delete("")
def delete() -> Response:
    crm = the_crm()
    destination: Any = body_object().get("destination")
    for hook_id, row in list(crm.rows("webhooks").items()):
        if row["destination"] == destination:
            crm.store.remove("webhooks", hook_id)
            return empty()
    raise refuse(404, "Webhook not found")


def _model(hook: Record) -> Record:
    return {key: value for key, value in hook.items() if key != "failures"}
