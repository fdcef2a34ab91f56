"""Lists of buyers to call and the task of each: planned, written into the CRM, closed with a result, dropped.

An outbox row of kind «task» says when a planned task is written. Who may be on a list is read in `call_people.py`, what
became of it in `call_reports.py`. Decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sqlalchemy as sa

from storage.text import storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, datetime

RESULT_CHARS_MAX = 500
WHY_CHARS_MAX = 200
MENDED = "итог прежнего звонка исправлен"


@dataclass(frozen=True)
class NewList:
    """What the owner asked for. `responsible_ref`: a user of the CRM."""

    title: str
    template: str
    segment_code: str
    due_on: date
    responsible_ref: int | None
    tries: int
    again_after_days: int


@dataclass(frozen=True)
class CallTask:
    """One call of one member, with what its list says. `person_id`: the living member; `contact_ref`: his contact now.
    `asked_at`: a request to write it, for the contact of then, has left, and its answer may be lost. `has_twin`: the
    same person is on the list under another member who was merged. `is_erased`: his data were taken out."""

    id: int
    list_id: int
    member_id: int
    person_id: int
    contact_ref: int | None
    try_no: int
    due_on: date
    state: str
    asked_at: datetime | None
    asked_contact_ref: int | None
    task_ref: int | None
    result_code: int | None
    result_text: str | None = field(repr=False)
    title: str
    template: str
    responsible_ref: int | None
    tries: int
    again_after_days: int
    is_stopped: bool
    has_twin: bool
    is_erased: bool


_TASKS = """
    SELECT t.id, t.list_id, t.member_id, COALESCE(m.merged_into_id, m.id) AS person_id, person.contact_ref, t.try_no,
        t.due_on, t.state, t.asked_at, t.contact_ref, t.task_ref, t.result_code, t.result_text, l.title, l.template,
        l.responsible_ref, l.tries, l.again_after_days, l.stopped_at IS NOT NULL AS is_stopped,
        EXISTS (
            SELECT FROM call_task twin JOIN member other ON other.id = twin.member_id
            WHERE twin.list_id = t.list_id AND twin.member_id <> t.member_id AND twin.state <> 'dropped'
                AND COALESCE(other.merged_into_id, other.id) = COALESCE(m.merged_into_id, m.id)
                AND (twin.state <> 'planned' OR twin.id < t.id)
        ) AS has_twin, person.erased_at IS NOT NULL AS is_erased
    FROM call_task t
        JOIN call_list l ON l.id = t.list_id
        JOIN member m ON m.id = t.member_id
        JOIN member person ON person.id = COALESCE(m.merged_into_id, m.id)
"""


def add_list(tx: sa.Connection, new: NewList, *, now: datetime) -> int:
    statement = sa.text(
        """
        INSERT INTO call_list (title, template, segment_code, due_on, responsible_ref, tries, again_after_days,
            created_at)
        VALUES (:title, :template, :segment_code, :due_on, :responsible_ref, :tries, :again_after_days, :now)
        RETURNING id
        """
    )
    return int(tx.execute(statement, {**vars(new), "now": now}).scalar_one())


def one_at_a_time(tx: sa.Connection) -> None:
    """Two lists made at once would not see each other's members."""
    tx.execute(sa.text("LOCK TABLE call_list IN SHARE ROW EXCLUSIVE MODE"))


def add_tasks(
    tx: sa.Connection, list_id: int, member_ids: Sequence[int], *, try_no: int = 1, due_on: date, now: datetime
) -> list[int]:
    """Planned calls; their ids. A call that is there is left alone, unless it was dropped because of a result that has
    been mended."""
    statement = sa.text(
        """
        INSERT INTO call_task (list_id, member_id, try_no, due_on, created_at)
        SELECT :list_id, member_id, :try_no, :due_on, :now FROM unnest(CAST(:members AS bigint[])) AS member_id
        ORDER BY member_id
        ON CONFLICT ON CONSTRAINT one_task_per_try DO UPDATE SET state = 'planned', dropped_why = NULL,
            due_on = EXCLUDED.due_on
            WHERE call_task.state = 'dropped' AND call_task.dropped_why = :mended AND call_task.task_ref IS NULL
        RETURNING id
        """
    )
    parameters = {
        "list_id": list_id,
        "members": list(member_ids),
        "try_no": try_no,
        "due_on": due_on,
        "now": now,
        "mended": MENDED,
    }
    return [int(one) for one in tx.execute(statement, parameters).scalars()]


def tasks(tx: sa.Connection, ids: Iterable[int]) -> dict[int, CallTask]:
    rows = tx.execute(sa.text(f"{_TASKS} WHERE t.id = ANY(:ids)"), {"ids": list(ids)})
    return {row.id: CallTask(*row) for row in rows}


def by_task(tx: sa.Connection, task_ref: int) -> CallTask | None:
    """The call of the CRM's task, locked."""
    lock = sa.text("SELECT id FROM call_task WHERE task_ref = :ref FOR UPDATE")
    call_id = tx.execute(lock, {"ref": task_ref}).scalar_one_or_none()
    return None if call_id is None else tasks(tx, [call_id])[call_id]


def tasks_of_ours(tx: sa.Connection, task_refs: Iterable[int]) -> list[int]:
    """Those of these tasks of the CRM that we wrote."""
    statement = sa.text("SELECT task_ref FROM call_task WHERE task_ref = ANY(:refs) ORDER BY task_ref")
    return list(tx.execute(statement, {"refs": list(task_refs)}).scalars())


def open_refs(tx: sa.Connection, *, limit: int) -> list[int]:
    """Tasks that people have not closed, as far as we know; those that were not looked at longest first."""
    statement = sa.text(
        """
        SELECT task_ref FROM call_task WHERE state = 'written'
        ORDER BY checked_at NULLS FIRST, id LIMIT :limit
        """
    )
    return list(tx.execute(statement, {"limit": limit}).scalars())


def save_checked(tx: sa.Connection, task_refs: Iterable[int], *, now: datetime) -> None:
    statement = sa.text("UPDATE call_task SET checked_at = :now WHERE task_ref = ANY(:refs)")
    tx.execute(statement, {"refs": list(task_refs), "now": now})


def save_asked(tx: sa.Connection, contacts: Mapping[int, int], *, now: datetime) -> set[int]:
    """A request to write these calls is about to leave; their contacts by call. Returns those that are planned still:
    a list may have been stopped a moment ago."""
    statement = sa.text(
        """
        UPDATE call_task t SET asked_at = :now, contact_ref = asked.contact_ref
        FROM unnest(CAST(:ids AS bigint[]), CAST(:contacts AS bigint[])) AS asked (id, contact_ref)
        WHERE t.id = asked.id AND t.state = 'planned' RETURNING t.id
        """
    )
    parameters = {"ids": list(contacts), "contacts": list(contacts.values()), "now": now}
    return set(tx.execute(statement, parameters).scalars())


def save_written(tx: sa.Connection, task_refs: Mapping[int, int], *, now: datetime) -> None:
    """The CRM has them: its tasks by call. One that was dropped meanwhile is in the CRM all the same."""
    statement = sa.text(
        """
        UPDATE call_task t SET state = 'written', dropped_why = NULL, task_ref = made.task_ref, written_at = :now
        FROM unnest(CAST(:ids AS bigint[]), CAST(:refs AS bigint[])) AS made (id, task_ref)
        WHERE t.id = made.id AND t.task_ref IS NULL
        """
    )
    tx.execute(statement, {"ids": list(task_refs), "refs": list(task_refs.values()), "now": now})


def save_result(tx: sa.Connection, call_id: int, *, code: int | None, words: str, closed_at: datetime) -> None:
    statement = sa.text(
        """
        UPDATE call_task SET state = 'closed', dropped_why = NULL, result_code = :code, result_text = :words,
            closed_at = COALESCE(closed_at, :at)
        WHERE id = :id
        """
    )
    told = {"id": call_id, "code": code, "words": storable(words, chars_max=RESULT_CHARS_MAX), "at": closed_at}
    tx.execute(statement, told)


def drop(tx: sa.Connection, why: Mapping[int, str]) -> None:
    """These calls will not be made; what is closed stays closed."""
    statement = sa.text(
        """
        UPDATE call_task t SET state = 'dropped', dropped_why = told.why
        FROM unnest(CAST(:ids AS bigint[]), CAST(:whys AS text[])) AS told (id, why)
        WHERE t.id = told.id AND t.state IN ('planned', 'written')
        """
    )
    if why:
        tx.execute(statement, {"ids": list(why), "whys": [one[:WHY_CHARS_MAX] for one in why.values()]})


def drop_try(tx: sa.Connection, call: CallTask, *, try_no: int) -> None:
    """The call after this one, if it is not in the CRM yet."""
    statement = sa.text(
        """
        UPDATE call_task SET state = 'dropped', dropped_why = :why
        WHERE list_id = :list_id AND member_id = :member_id AND try_no = :try_no AND state = 'planned'
        """
    )
    parameters = {"list_id": call.list_id, "member_id": call.member_id, "try_no": try_no, "why": MENDED}
    tx.execute(statement, parameters)


def stop(tx: sa.Connection, list_id: int, *, why: str, now: datetime) -> tuple[int, int] | None:
    """How many unwritten calls were dropped, and how many are open with people; None: there is no such list."""
    known = sa.text("UPDATE call_list SET stopped_at = COALESCE(stopped_at, :now) WHERE id = :id RETURNING id")
    if tx.execute(known, {"id": list_id, "now": now}).one_or_none() is None:
        return None
    unwritten = sa.text(
        "UPDATE call_task SET state = 'dropped', dropped_why = :why WHERE list_id = :id AND state = 'planned'"
    )
    dropped = tx.execute(unwritten, {"id": list_id, "why": why}).rowcount
    left = sa.text("SELECT count(*) FROM call_task WHERE list_id = :id AND state = 'written'")
    return dropped, int(tx.execute(left, {"id": list_id}).scalar_one())
