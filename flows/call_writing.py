"""Tasks of call lists on their way into the CRM: each is written once, or not at all when it should not be any more.

amoCRM keeps no idempotency keys, so every text ends with a mark, and after a request whose answer was lost the
contact's tasks themselves say what was written.
"""

from __future__ import annotations

from datetime import time
from typing import TYPE_CHECKING

from connector.amocrm.tasks import TaskDraft
from connector.errors import Refused
from flows import call_results, consent_fields, consents, crm_desk, crm_fields
from flows.settle import NotYet, SetupIncomplete, written_once
from loyalty.calendar import at_local
from loyalty.call_texts import NAME_MAX, marked_task, task_text
from loyalty.wording import count_text
from storage import call_lists, lots, members
from storage import consents as ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from connector.amocrm.client import AmoCrm
    from flows.runtime import Runtime
    from storage.call_lists import CallTask
    from storage.members import Member

DUE_AT = time(23, 59)
"""amoCRM shows a task that ends with the day as one for the whole day."""
WITHDREW = "просил не звонить"
NO_CONTACT = "нет контакта в CRM"
MERGED = "объединён с другим участником этого списка"
UNNEEDED = "задача не нужна"


def write(rt: Runtime, call_ids: Sequence[int], hold: Callable[[], None]) -> dict[int, str]:
    """Writes the tasks that are due; `hold` is called before. Raises ConnectorError, SetupIncomplete, ClaimLost."""
    if rt.crm is None:
        raise SetupIncomplete("amoCRM не подключена")
    with rt.db.begin() as tx:
        calls = call_lists.tasks(tx, call_ids)
    lost = [one for one in calls.values() if one.asked_at is not None and one.task_ref is None]
    outcomes = dict.fromkeys(call_ids, UNNEEDED) | _look(rt, rt.crm, lost)
    left = [one for one in calls if outcomes[one] == UNNEEDED]
    there = _listen(rt, rt.crm, [calls[one] for one in left if one in calls])
    hold()
    drafts, why = rt.db.run(lambda tx: _prepare(tx, rt, left, there))
    outcomes |= why
    if drafts:
        try:
            with written_once():
                refs = rt.crm.add_tasks(list(drafts.values()))
        except Refused as failure:
            if failure.retryable or len(drafts) > 1:
                raise
            raise NotYet(f"amoCRM не принимает задачу: {failure}. Проверьте контакт и ответственного") from failure
        rt.failpoints.reach("task.after_write")
        made = dict(zip(drafts, refs, strict=True))
        with rt.db.begin() as tx:
            call_lists.save_written(tx, made, now=rt.now())
        outcomes |= {one: f"задача {ref}" for one, ref in made.items()}
    return outcomes


def _listen(rt: Runtime, crm: AmoCrm, left: Sequence[CallTask]) -> set[int]:
    """Contacts that the CRM has, their fields heard: who was ticked «Не звонить» a second ago is not called."""
    refs = {one.contact_ref for one in left if one.state == "planned" and one.contact_ref is not None}
    read_at = rt.now()
    contacts = crm.contacts(sorted(refs)) if refs else {}
    consent_fields.look(rt, crm, contacts.values(), read_at)
    return set(contacts)


def _look(rt: Runtime, crm: AmoCrm, lost: Sequence[CallTask]) -> dict[int, str]:
    """What an attempt left behind. A manager may have closed it already."""
    by_id = {one.id: one for one in lost}
    contacts = {ref for one in lost for ref in (one.asked_contact_ref, one.contact_ref) if ref is not None}
    outcomes: dict[int, str] = {}
    for task in sorted(crm.tasks_of_contacts(sorted(contacts)) if contacts else (), key=lambda task: task.id):
        mark = marked_task(task.text)
        call = None if mark is None else by_id.get(mark[1])
        if mark is None or call is None or call.list_id != mark[0] or call.id in outcomes:
            continue
        with rt.db.begin() as tx:
            call_lists.save_written(tx, {call.id: task.id}, now=rt.now())
        rt.db.run(lambda tx, task=task: call_results.take(tx, rt, task.id, task))  # type: ignore[misc]
        outcomes[call.id] = f"задача {task.id}, записана прежней попыткой"
    return outcomes


def _prepare(
    tx: sa.Connection, rt: Runtime, call_ids: Iterable[int], there: Collection[int]
) -> tuple[dict[int, TaskDraft], dict[int, str]]:
    """What is still to be written, remembered as asked; and why the others are not."""
    planned = {one.id: one for one in call_lists.tasks(tx, call_ids).values() if one.state == "planned"}
    people = members.by_ids(tx, {one.person_id for one in planned.values()})
    words = ledger.standing(tx, people)
    burns = lots.next_burns(tx, people)
    why = {
        one.id: reason
        for one in planned.values()
        if (reason := _reason(one, there, is_withdrawn=consents.is_withdrawn(words[one.person_id], "call"))) is not None
    }
    call_lists.drop(tx, why)
    contacts = {one.id: one.contact_ref for one in planned.values() if one.contact_ref is not None}
    asked = call_lists.save_asked(
        tx, {one: contact for one, contact in sorted(contacts.items()) if one not in why}, now=rt.now()
    )
    drafts = {
        one: TaskDraft(
            contact_id=contacts[one],
            text=_text(rt, planned[one], people[planned[one].person_id], burns),
            complete_till=at_local(planned[one].due_on, DUE_AT, rt.programme.timezone),
            responsible_ref=planned[one].responsible_ref,
        )
        for one in sorted(asked)
    }
    return drafts, why


def _reason(call: CallTask, there: Collection[int], *, is_withdrawn: bool) -> str | None:
    if call.is_stopped:
        return "список остановлен"
    if is_withdrawn:
        return WITHDREW
    if call.contact_ref not in there:
        return NO_CONTACT
    return MERGED if call.has_twin else None


def _text(rt: Runtime, call: CallTask, person: Member, burns: Mapping[int, tuple[int, datetime]]) -> str:
    burn = burns.get(person.id)
    values = {
        "имя": " ".join(person.name.split())[:NAME_MAX] or "без имени",
        "баланс": count_text(max(0, person.balance.available - person.balance.debt), rt.point_forms),
        "сгорает": "ничего" if burn is None else crm_fields.burn_text(rt, *burn),
        "сегмент": crm_desk.segment_title(rt, person) or "без сегмента",
    }
    return task_text(call.template, values, title=call.title, list_id=call.list_id, task_id=call.id, try_no=call.try_no)
