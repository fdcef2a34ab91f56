"""What managers said when they closed tasks of call lists: kept, and followed.

A hook only names a task; what is true is read from the CRM, so repeated, late and forged hooks change nothing. A result
that a person mends is taken over; a withdrawn consent comes back only by the contact's field.
"""

from __future__ import annotations

from datetime import time, timedelta
from typing import TYPE_CHECKING

from flows import consents
from flows.settle import ClaimLost, SetupIncomplete
from loyalty.calendar import at_local, local_day
from loyalty.call_results import AGAIN, CODE_WORDS, NO_MORE_CALLS, WORDS_MAX, read_result
from storage import boxes, call_lists, outbox
from storage.text import storable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from connector.amocrm.client import AmoCrm
    from connector.amocrm.tasks import CrmTask
    from flows.runtime import Runtime
    from storage.call_lists import CallTask
    from storage.inbox import InboxRow

LOOKED_AT_ONCE = 250
WRITTEN_AT = time(8, 0)
"""When the next call's task comes to the managers, on its day."""
QUOTED_MAX = 200
DELETED = "задача удалена в CRM"
OPEN = "задача не закрыта"


def fetch(rt: Runtime, task_refs: Sequence[int]) -> Mapping[int, CrmTask]:
    """Raises ConnectorError, SetupIncomplete."""
    if rt.crm is None:
        raise SetupIncomplete("amoCRM не подключена: заполните раздел amocrm файла правил")
    return rt.crm.tasks(task_refs)


def record(rt: Runtime, row: InboxRow, found: Mapping[int, CrmTask]) -> None:
    """One task's row."""
    task_ref = int(row.external_id)

    def save(tx: sa.Connection) -> None:
        outcome = take(tx, rt, task_ref, found.get(task_ref))
        rt.failpoints.reach("inbox.before_commit")
        if not boxes.finish(tx, "inbox", row.claim, now=rt.now(), outcome=outcome):
            raise ClaimLost

    rt.db.run(save)
    rt.bell.ring("outbox", row.claim.id)


def look_again(rt: Runtime, crm: AmoCrm, *, now: datetime) -> int:
    """Open tasks of ours, a bounded number of them each time. Returns how many were closed. Raises ConnectorError."""
    with rt.db.begin() as tx:
        refs = call_lists.open_refs(tx, limit=LOOKED_AT_ONCE)
    if not refs:
        return 0
    found = crm.tasks(refs)
    closed = 0
    for ref in refs:
        task = found.get(ref)
        if task is None or task.is_completed:
            outcome = rt.db.run(lambda tx, ref=ref, task=task: take(tx, rt, ref, task))  # type: ignore[misc]
            closed += outcome != OPEN
    with rt.db.begin() as tx:
        call_lists.save_checked(tx, refs, now=now)
    return closed


def take(tx: sa.Connection, rt: Runtime, task_ref: int, task: CrmTask | None) -> str:
    """Follows one task as the CRM has it now; None: it has it no more."""
    call = call_lists.by_task(tx, task_ref)
    if call is None:
        return "не наша задача"
    if task is None:
        call_lists.drop(tx, {call.id: DELETED})
        return DELETED
    if not task.is_completed:
        return OPEN
    result = read_result(task.result)
    words = "" if call.is_erased else storable(result.words, chars_max=WORDS_MAX)  # a manager may write a name
    if call.state == "closed" and (call.result_code, call.result_text) == (result.code, words):
        return "итог известен"
    now = rt.now()
    closed_at = min(task.updated_at or now, now)
    call_lists.save_result(tx, call.id, code=result.code, words=words, closed_at=closed_at)
    if result.code == NO_MORE_CALLS:
        proof = f"задача {task.id}, обзвон {call.list_id}/{call.id}: {words[:QUOTED_MAX]}".removesuffix(": ")
        consents.withdraw(tx, rt, call.person_id, consents.CALL, source="call", evidence=proof)
    _plan_next(tx, rt, call, result.code, now=now)
    return "итог без кода" if result.code is None else f"итог: {result.code} {CODE_WORDS[result.code]}"


def _plan_next(tx: sa.Connection, rt: Runtime, call: CallTask, code: int | None, *, now: datetime) -> None:
    """One more call after «перезвонить» and «не дозвонились», some days later and not without end."""
    if code not in AGAIN or call.try_no >= call.tries or call.is_stopped:
        call_lists.drop_try(tx, call, try_no=call.try_no + 1)
        return
    zone = rt.programme.timezone
    day = local_day(now, zone) + timedelta(days=call.again_after_days)
    added = call_lists.add_tasks(tx, call.list_id, [call.member_id], try_no=call.try_no + 1, due_on=day, now=now)
    outbox.add(tx, "task", added, now=now, due_at=max(now, at_local(day, WRITTEN_AT, zone)))
