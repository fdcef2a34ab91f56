"""Tasks for managers: written for contacts, read back, never closed by us.

Owns their wire format. Implements section 4.7 of the amoCRM reference: `result` reads as an empty list when there is
none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from connector.amocrm.api import PAGE_ROWS, Api, in_write_batch
from connector.amocrm.reading import QueryValue, Row, embedded, ids_in_order, instant, optional_whole, text, whole

CALL_TASK = 1
ENTITY = "contacts"
READ_BATCH = 50


@dataclass(frozen=True)
class TaskDraft:
    """`responsible_ref` None: amoCRM gives the task to the user on whose behalf we work."""

    contact_id: int
    text: str = field(repr=False)
    complete_till: datetime
    responsible_ref: int | None = None


@dataclass(frozen=True)
class CrmTask:
    """`result`: what the manager wrote when he closed it, empty while he has not."""

    id: int
    contact_id: int | None
    text: str = field(repr=False)
    is_completed: bool
    result: str = field(repr=False)
    updated_at: datetime | None


class TasksApi(Api):
    def add_tasks(self, drafts: Sequence[TaskDraft]) -> list[int]:
        """Ids in the order of `drafts`. Not idempotent: after an ambiguous failure look before adding again."""
        in_write_batch(len(drafts))
        if not drafts:
            return []
        body = [
            {
                "task_type_id": CALL_TASK,
                "text": draft.text,
                "complete_till": int(draft.complete_till.timestamp()),
                "entity_id": draft.contact_id,
                "entity_type": ENTITY,
                "request_id": str(index),
            }
            | ({} if draft.responsible_ref is None else {"responsible_user_id": draft.responsible_ref})
            for index, draft in enumerate(drafts)
        ]
        answer = self.request("POST", "/tasks", body=body)
        return ids_in_order(answer, [str(index) for index in range(len(drafts))], "tasks")

    def tasks(self, ids: Sequence[int]) -> dict[int, CrmTask]:
        """By id; one that is gone is absent."""
        found = [one for batch in _batches(ids) for one in self._tasks({"id": batch})]
        return {one.id: one for one in found}

    def tasks_of_contacts(self, contact_ids: Sequence[int]) -> list[CrmTask]:
        """All tasks of these contacts, closed ones too."""
        return [
            one
            for batch in _batches(contact_ids)
            for row in self.all_rows("/tasks", "tasks", {"filter": {"entity_id": batch, "entity_type": ENTITY}})
            for one in [_task(row)]
        ]

    def _tasks(self, narrowed: Mapping[str, QueryValue]) -> list[CrmTask]:
        query: dict[str, QueryValue] = {"filter": narrowed, "limit": PAGE_ROWS}
        return [_task(row) for row in embedded(self.request("GET", "/tasks", query=query), "tasks")]


def _batches(ids: Sequence[int]) -> Iterator[list[int]]:
    wanted = sorted(set(ids))
    for start in range(0, len(wanted), READ_BATCH):
        yield wanted[start : start + READ_BATCH]


def _task(row: Row) -> CrmTask:
    result = row.get("result")
    return CrmTask(
        id=whole(row, "id"),
        contact_id=optional_whole(row, "entity_id") if text(row, "entity_type") == ENTITY else None,
        text=text(row, "text"),
        is_completed=row.get("is_completed") is True,
        result=text(result, "text") if isinstance(result, dict) else "",
        updated_at=instant(row, "updated_at"),
    )
